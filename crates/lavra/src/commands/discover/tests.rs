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
        _ => vec![property("cpf", DataType::Utf8), property("n", DataType::Int64)],
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
    assert_eq!(names(&all), ["a_orders", "b_orders", "order_items", "t_2024"]);
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
    for (url, more) in [
        ("kafka://host:9092", json!({ "topic": "orders" })),
        ("postgres://u@host/shop", json!({ "table": "orders", "mode": "cdc" })),
        ("mysql://u@host/shop", json!({ "table": "orders" })),
        ("sqlite:shop.db", json!({ "table": "orders" })),
    ] {
        let connection = Connection::parse(url, &|_| None).expect("a connection");
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
