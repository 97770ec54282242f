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
            vec![id, property("mail", DataType::Utf8), property("limit_brl", DataType::Decimal128(12, 2))]
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
    RecordBatch::try_from_iter([("id", ids), ("mail", mails), ("limit_brl", limits)]).expect("a batch")
}

fn spec() -> Spec {
    let files = connect::by_name("files").expect("the files connector");
    Spec {
        name: "toy",
        schemes: &["toy"],
        options_schema: || json!({ "properties": { "connection": {}, "table": {}, "mode": {} } }),
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
    let empty = read("contracts/empty.yaml");
    assert!(empty.contains("personal.cpf"), "by its name, without a row: {empty}");
    std::fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn tables_are_called_without_their_schema_where_that_says_enough() {
    let table =
        |name: &str| Discovered { name: name.into(), options: Map::new(), entity: nothing_known(name), rows: None };
    let all: Vec<Discovered> = ["a.orders", "b.orders", "a.OrderItems", "2024"].map(table).into();
    assert_eq!(names(&all), ["a_orders", "b_orders", "order_items", "t_2024"]);
}
