//! A made-up system with two tables, looked at as a real one is.

use super::*;
use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use futures::FutureExt;
use kernel::Property;
use kernel::contract::Constraints;
use kernel::gate::Raw;
use kernel::position::Point;
use kernel::source::{Pulled, Source};
use serde_json::json;

fn property(name: &str, data_type: DataType) -> Property {
    Property {
        name: name.into(),
        description: None,
        data_type,
        required: false,
        unique: false,
        primary_key: None,
        constraints: Constraints::default(),
        classification: None,
        mask: None,
        format: None,
        decimal_comma: false,
        not_personal: false,
    }
}

fn columns(table: &str) -> Vec<Property> {
    match table {
        "shop.people" => {
            let id = Property { primary_key: Some(1), required: true, ..property("id", DataType::Int64) };
            let list = || DataType::List(Arc::new(arrow::datatypes::Field::new_list_field(DataType::Utf8, true)));
            vec![
                id,
                property("mail", DataType::Utf8),
                property("limit_brl", DataType::Decimal128(12, 2)),
                property("tags", list()),
                property("matrix", list()),
            ]
        }
        // A name of our own is in no contract.
        _ => vec![property("cpf", DataType::Utf8), property("n", DataType::Int64), property("_Op", DataType::Utf8)],
    }
}

/// The rows of a table, once.
struct Rows(Option<RecordBatch>);

#[async_trait::async_trait]
impl Source for Rows {
    async fn next(&mut self, _: usize) -> kernel::Result<Option<Pulled>> {
        let Some(batch) = self.0.take() else { return Ok(None) };
        let mut upto = Positions::new();
        upto.set("t", Point::Offset(batch.num_rows() as u64));
        let offsets: Vec<i64> = (0..batch.num_rows() as i64).collect();
        Ok(Some(Pulled { rows: Raw::new(batch, "t", offsets.into())?.into(), upto, whole: true }))
    }

    async fn settled(&mut self, _: &Positions) -> kernel::Result<()> {
        Ok(())
    }
}

fn people() -> RecordBatch {
    let ids = Arc::new(Int64Array::from_iter_values(0..40)) as ArrayRef;
    let mails = (0..40).map(|n| format!("ana{n}@acme.example"));
    let mails = Arc::new(StringArray::from_iter_values(mails)) as ArrayRef;
    let limits = Arc::new(StringArray::from_iter_values((0..40).map(|n| format!("{n}.50")))) as ArrayRef;
    let mut tags = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
    (0..40).for_each(|_| tags.append_value([Some("new")]));
    let tags = Arc::new(tags.finish()) as ArrayRef;
    // A list of lists comes as text.
    let matrix = Arc::new(StringArray::from_iter_values((0..40).map(|_| "{{1,2},{3,4}}"))) as ArrayRef;
    let columns = [("id", ids), ("mail", mails), ("limit_brl", limits), ("tags", tags), ("matrix", matrix)];
    RecordBatch::try_from_iter(columns).expect("a batch")
}

fn spec() -> Spec {
    let files = connect::by_name("files").expect("the files connector");
    Spec {
        name: "toy",
        schemes: &["toy"],
        options_schema: || json!({ "properties": { "connection": {}, "table": {}, "mode": { "enum": ["snapshot", "cdc"] } } }),
        check: |_| Vec::new(),
        open: |opening| {
            async move {
                assert_eq!(opening.options["connection"], "toy://u:s3cret@host/shop", "the password is used");
                assert_eq!(opening.options["mode"], "snapshot", "nothing is left behind in the system");
                let batch = (opening.options["table"] == "shop.people").then(people);
                Ok(Box::new(Rows(batch)) as Box<dyn Source>)
            }
            .boxed()
        },
        pending: |_| async { Ok(Vec::new()) }.boxed(),
        discover: Some(|_| {
            let one = |name: &str| Discovered {
                name: name.into(),
                options: json!({ "table": name, "mode": "cdc" }).as_object().expect("options").clone(),
                entity: Entity { properties: columns(name), ..nothing_known(name) },
                rows: Some(40),
            };
            async move { Ok(vec![one("shop.people"), one("shop.empty")]) }.boxed()
        }),
        ..files
    }
}

#[tokio::test]
async fn what_is_behind_a_connection_becomes_sources_and_contracts_without_its_password() {
    let folder = std::env::temp_dir().join(format!("lavra-discover-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("lavra.yaml"), "project: shop\n").expect("a project");
    let context = Context::of(folder.clone());
    let project = Project::open(&context).unwrap_or_else(|_| panic!("a project"));
    let connection = Connection::parse("toy://u:s3cret@host/shop", &|_| None).expect("a connection");
    let (spec, proposer) = (spec(), Proposer::new(BTreeMap::new()));
    let args = Discover {
        connection: String::new(),
        tables: vec!["shop.*".into()],
        rows: 1_000,
        write: true,
        force: false,
        options: vec![],
    };
    let call = Call { project: &project, connection: &connection, spec: &spec, proposer: &proposer, args: &args };
    let (found, exit) = call.find().await.expect("two tables");
    assert_eq!((found.len(), exit), (2, 0));
    call.write_all(Format::Json, &found).expect("written");
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).expect("a file");
    let source = read("sources/people.yaml");
    assert_eq!(
        source,
        "connector: toy\nconnection: \"toy://u:${SHOP_PASSWORD}@host/shop\"\ntable: shop.people\nmode: cdc\n"
    );
    let contract = read("contracts/people.yaml");
    assert!(contract.contains("personal.email") && contract.contains("decimal(12,2)"), "{contract}");
    assert!(contract.contains("primaryKey: true"), "{contract}");
    let types = &found[0].proposal.entity;
    let of = |name: &str| &types.property(name).expect("a column").data_type;
    assert!(of("tags").is_list() && *of("matrix") == DataType::Utf8, "a list of lists is text: {contract}");
    let empty = read("contracts/empty.yaml");
    assert!(empty.contains("personal.cpf"), "by its name, without a row: {empty}");
    std::fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn tables_are_called_without_their_schema_where_that_says_enough() {
    let all: Vec<Discovered> = ["a.orders", "b.orders", "a.OrderItems", "2024"].map(listed).into();
    assert_eq!(names(&all, &all), ["a_orders", "b_orders", "order_items", "t_2024"]);
}

#[test]
fn tables_whose_names_become_one_are_numbered() {
    let all: Vec<Discovered> = ["orders-v2", "orders_v2", "orders.v2", "orders"].map(listed).into();
    let called = names(&all, &all);
    assert_eq!(called, ["orders_v2", "orders_v2_3", "v2", "orders"], "no two have one name");
    assert_eq!(names(&all[1..2], &all), ["orders_v2_3"], "also where the others are not meant");
    let all: Vec<Discovered> = ["a-b", "a_b", "a_b_2"].map(listed).into();
    let called: BTreeSet<String> = names(&all, &all).into_iter().collect();
    assert_eq!(called.len(), 3, "{called:?}");
}

#[test]
fn a_look_is_a_snapshot_where_the_connector_has_one_and_else_in_its_own_mode() {
    let has_snapshot = |name: &str| {
        let schema = (connect::by_name(name).expect("the connector").options_schema)();
        takes(&schema, &schema["properties"]["mode"], "snapshot")
    };
    assert!(["postgres", "mysql", "sqlite"].into_iter().all(has_snapshot));
    assert!(!has_snapshot("kafka") && !has_snapshot("mongodb"));
    let schema = json!({
        "properties": { "mode": { "anyOf": [{ "$ref": "#/$defs/Mode" }, { "type": "null" }] } },
        "$defs": { "Mode": { "oneOf": [{ "const": "append" }, { "const": "snapshot", "description": "Once." }] } },
    });
    let mode = &schema["properties"]["mode"];
    assert!(takes(&schema, mode, "snapshot") && !takes(&schema, mode, "upsert"));
}

/// What a look at each connector's table is told passes the connector's own check.
#[test]
fn the_options_of_a_look_are_ones_that_the_connector_takes() {
    let context = Context::of(std::env::temp_dir());
    let project = Project::open(&context).unwrap_or_else(|_| panic!("no project is needed"));
    let by_cursor: &[(&str, &str)] = &[("mode", "incremental"), ("cursor", "updated_at")];
    for (url, more, set) in [
        ("kafka://host:9092", json!({ "topic": "orders" }), &[][..]),
        ("postgres://u@host/shop", json!({ "table": "orders", "mode": "cdc" }), &[("wal_budget", "1 GiB")]),
        ("postgres://u@host/shop", json!({ "table": "orders", "mode": "cdc" }), by_cursor),
        ("mysql://u@host/shop", json!({ "table": "orders" }), by_cursor),
        ("mysql://u@host/shop", json!({ "table": "orders" }), &[("mode", "cdc"), ("server_id", "7")]),
        ("sqlite:shop.db", json!({ "table": "orders" }), by_cursor),
        ("sqlite:shop.db", json!({ "table": "orders" }), &[("refresh", "1")]),
    ] {
        let set: Vec<_> = set.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
        let connection = Connection::parse(url, &|_| None).expect("a connection");
        let connection = connection.with(&set, &|_| None).expect("options");
        let spec = connect::by_scheme(&connection.scheme).expect("a connector");
        let proposer = Proposer::new(BTreeMap::new());
        let args =
            Discover { connection: url.into(), tables: vec![], rows: 1, write: false, force: false, options: vec![] };
        let call = Call { project: &project, connection: &connection, spec: &spec, proposer: &proposer, args: &args };
        let options = call.to_look(more.as_object().expect("options"));
        let opening = call.opening("orders", options, nothing_known("orders"));
        assert!((spec.check)(&opening.options).is_empty(), "{url}: {}", opening.options);
    }
}

#[test]
fn states_by_key_are_looked_at_as_rows_of_their_own() {
    let project = Project::open(&Context::of(std::env::temp_dir())).unwrap_or_else(|_| panic!("no project is needed"));
    let connection = Connection::parse("kafka://host:9092", &|_| None).expect("a connection");
    let options = [("mode".to_owned(), Value::from("upsert"))];
    let connection = connection.with(&options, &|_| None).expect("options");
    let spec = connect::by_scheme("kafka").expect("a connector");
    let proposer = Proposer::new(BTreeMap::new());
    let args = Discover {
        connection: String::new(),
        tables: vec![],
        rows: 1,
        write: false,
        force: false,
        options: options.into(),
    };
    let call = Call { project: &project, connection: &connection, spec: &spec, proposer: &proposer, args: &args };
    let look = call.to_look(json!({ "topic": "orders" }).as_object().expect("options"));
    let opening = call.opening("orders", look, nothing_known("orders"));
    assert_eq!((&opening.options["mode"], &opening.options["tombstones"]), (&json!("append"), &json!("skip")));
    assert!((spec.check)(&opening.options).is_empty(), "{}", opening.options);
}

fn listed(name: &str) -> Discovered {
    Discovered { name: name.into(), options: Map::new(), entity: nothing_known(name), rows: None }
}

#[test]
fn a_pattern_without_a_dot_means_tables_of_any_schema() {
    let means = |pattern: &str, name: &str| means(&glob::Pattern::new(pattern).expect("a pattern"), name);
    for (pattern, name) in
        [("big", "app.big"), ("b*", "app.big"), ("app.big", "app.big"), ("app.*", "app.big"), ("big", "big")]
    {
        assert!(means(pattern, name), "{pattern} means {name}");
    }
    for (pattern, name) in [("big", "app.bigger"), ("app", "app.big"), ("other.big", "app.big"), ("x.*", "app.big")] {
        assert!(!means(pattern, name), "{pattern} does not mean {name}");
    }
}

#[test]
fn a_pattern_that_means_nothing_is_told_which_tables_there_are() {
    let all: Vec<Discovered> = (0..40).map(|n| listed(&format!("app.table_{n:02}"))).collect();
    let pattern = glob::Pattern::new("tabel_07").expect("a pattern");
    let told = nothing_matches(&pattern, &all).to_string();
    for word in ["tabel_07", "did you mean `table_07`", "app.table_00, app.table_01", "and 10 more"] {
        assert!(told.contains(word), "{word}: {told}");
    }
}

/// Runs `test` with a call on the made-up system, in a folder of its own.
fn with_call(name: &str, spec: &Spec, test: impl FnOnce(&Call<'_>, &Path)) {
    let folder = std::env::temp_dir().join(format!("lavra-discover-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("lavra.yaml"), "project: shop\n").expect("a project");
    let project = Project::open(&Context::of(folder.clone())).unwrap_or_else(|_| panic!("a project"));
    let connection = Connection::parse("toy://host/shop", &|_| None).expect("a connection");
    let options = [("registry".to_owned(), Value::from("https://u:s3cret@reg.acme"))];
    let connection = connection.with(&options, &|_| None).expect("options");
    let proposer = Proposer::new(BTreeMap::new());
    let args = Discover {
        connection: String::new(),
        tables: vec![],
        rows: 1,
        write: true,
        force: false,
        options: options.into(),
    };
    test(&Call { project: &project, connection: &connection, spec, proposer: &proposer, args: &args }, &folder);
    std::fs::remove_dir_all(folder).expect("removed");
}

fn found(name: &str, malformed: u64) -> Found {
    let columns = vec![property("n", DataType::Int64)];
    let entity = Entity { properties: columns, ..nothing_known(name) };
    let looked = look::Looked {
        table: name.into(),
        files: 0,
        files_read: 0,
        rows: 0,
        malformed,
        is_whole: true,
        seen: super::super::scan::watch::Seen { columns: Vec::new(), findings: Vec::new() },
        is_headerless: false,
        is_log: false,
    };
    let proposal = Proposal { entity, records: Vec::new(), notes: Vec::new() };
    Found { discovered: listed(name), name: name.into(), looked, proposal }
}

#[test]
fn what_can_not_be_read_is_not_written_and_no_password_of_an_option_is() {
    with_call("written", &spec(), |call, folder| {
        call.write_all(Format::Json, &[found("wrong", 50), found("right", 0)]).expect("written");
        assert!(!folder.join("sources/wrong.yaml").exists() && !folder.join("contracts/wrong.yaml").exists());
        let source = std::fs::read_to_string(folder.join("sources/right.yaml")).expect("a source");
        assert!(source.contains("registry: \"https://u:${REGISTRY_PASSWORD}@reg.acme\"\n"), "{source}");
        let opening = call.opening("right", Map::new(), nothing_known("right"));
        assert_eq!(opening.options["registry"], "https://u:s3cret@reg.acme", "it is used");
    });
}

#[test]
fn of_states_by_key_it_is_told_that_values_do_not_say_the_key() {
    let by_key = Spec { changes: |_| true, ..spec() };
    with_call("keys", &by_key, |call, _| {
        let mut entity = Entity { properties: vec![property("id", DataType::Int64)], ..nothing_known("orders") };
        let told = call.key_note(&listed("orders"), &entity).expect("a note");
        assert!(told.contains("can't be told from their values") && told.contains("primaryKey: true"), "{told}");
        entity.properties[0].primary_key = Some(1);
        let told = call.key_note(&listed("orders"), &entity).expect("a note");
        assert!(told.contains("`id` is its primary key by the name alone"), "{told}");
        let known = Discovered { entity: entity.clone(), ..listed("orders") };
        assert!(call.key_note(&known, &entity).is_none(), "the system says the key");
    });
    with_call("rows", &Spec { changes: |_| false, ..spec() }, |call, _| {
        let entity = Entity { properties: vec![property("id", DataType::Int64)], ..nothing_known("orders") };
        assert!(call.key_note(&listed("orders"), &entity).is_none(), "rows of their own");
    });
}
