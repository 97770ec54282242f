//! Collections of a server that speaks MongoDB's protocol. Needs: ferretdb.

use super::harness::opened::{entity, open, opening, rows, text};
use super::harness::proxy::Proxy;
use super::harness::{server, unique};
use crate::harness::{Project, node};
use connect::Grade;
use kernel::{Entity, Error, Kind, Positions};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Document, doc};
use mongodb::{Client, Database};
use serde_json::{Value, json};
use std::time::Duration;

async fn database(name: &str) -> (Database, String) {
    let url = server("ferretdb").url;
    let name = unique(name).replace('-', "_");
    let client = Client::with_uri_str(&url).await.expect("a client");
    (client.database(&name), format!("{url}/{name}"))
}

async fn fill(database: &Database, count: i32) {
    let one = |n: i32| {
        doc! { "name": format!("né \"{n}\""), "n": n, "big": i64::from(n) << 40, "at": DateTime::from_millis(1_767_225_600_123 + i64::from(n)),
        "lines": [{ "sku": format!("s{n}"), "price": 1.25 }], "flag": n % 2 == 0, "none": Bson::Null }
    };
    database.collection::<Document>("orders").insert_many((0..count).map(one)).await.expect("documents");
}

fn options(url: &str, more: Value) -> Value {
    let mut options = json!({ "connection": url, "table": "orders" });
    options.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
    options
}

const FIELDS: [&str; 8] = ["_id", "name", "n", "big", "at", "lines", "flag", "none"];

async fn obeys(options: &Value, entity: &Entity) {
    kernel::laws::source::obeys(async |from| open("mongodb", options, entity, from).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_keeps_the_laws_with_open_and_hidden_and_mixed_ids() {
    let (database, url) = database("laws").await;
    fill(&database, 120).await;
    obeys(&options(&url, json!({ "batch_rows_max": 25 })), &entity(&["_id"], &FIELDS)).await;
    let mut hidden = FIELDS;
    hidden[0] = "!_id";
    obeys(&options(&url, json!({ "batch_rows_max": 40 })), &entity(&["_id"], &hidden)).await;
    let ids = [
        Bson::Int32(5),
        Bson::Int64(7),
        "text".into(),
        "zeta".into(),
        ObjectId::new().into(),
        DateTime::from_millis(0).into(),
    ];
    let mixed = ids.into_iter().map(|id| doc! { "_id": id, "n": 1 });
    database.collection::<Document>("mixed").insert_many(mixed).await.expect("documents");
    obeys(&options(&url, json!({ "table": "mixed", "batch_rows_max": 1 })), &entity(&["_id"], &["_id", "n"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_come_exactly_and_nested_ones_as_json() {
    let (database, url) = database("types").await;
    let all = doc! {
        "_id": ObjectId::parse_str("0123456789abcdef01234567").expect("an id"), "whole": i64::MAX, "real": 0.1,
        "at": DateTime::from_millis(-1), "bytes": Binary { subtype: BinarySubtype::Generic, bytes: vec![0, 255] },
        "text": "a\"\n€", "deep": { "list": [1, "x", Bson::Null], "at": DateTime::from_millis(0) }, "yes": true,
    };
    database.collection::<Document>("orders").insert_one(&all).await.expect("a document");
    let mut source = open("mongodb", &options(&url, json!({})), &entity(&[], &[]), Positions::new()).await;
    let batch = rows(source.next(1 << 20).await.expect("a batch").expect("rows"));
    let row = |column: &str| text(&batch, column, 0);
    assert_eq!(
        [row("_id"), row("whole"), row("real"), row("yes")],
        ["0123456789abcdef01234567", "9223372036854775807", "0.1", "true"]
    );
    assert_eq!([row("at"), row("bytes"), row("text")], ["1969-12-31 23:59:59.999000Z", "00ff", "a\"\n€"]);
    assert_eq!(row("deep"), "{\"list\":[1,\"x\",null],\"at\":\"1970-01-01 00:00:00Z\"}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_place_is_told_and_collections_are_discovered() {
    let (database, url) = database("errors").await;
    fill(&database, 3).await;
    let none = entity(&[], &[]);
    let spec = connect::by_name("mongodb").expect("the connector");
    let findings = async |given: Value| spec.probe(&opening(&given, &none, Positions::new())).await;
    let good = findings(options(&url, json!({}))).await;
    assert!(good.iter().all(|finding| finding.grade == Grade::Good), "{good:?}");
    for (change, word) in [
        (json!({ "table": "order" }), "did you mean `orders`"),
        (json!({ "connection": "mongodb://u:secret@127.0.0.1:1/x", "timeout_ms": 500 }), "no server answers"),
    ] {
        let bad = format!("{:?}", findings(options(&url, change)).await);
        assert!(bad.contains("Bad") && bad.contains(word) && !bad.contains("secret"), "{bad}");
    }
    let given = json!({ "connection": url });
    let found =
        (spec.discover.expect("it discovers"))(&opening(&given, &none, Positions::new())).await.expect("collections");
    assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["orders"]);
    assert_eq!((found[0].rows, found[0].entity.key()), (Some(3), vec!["_id"]));
    let lines = &found[0].entity.property("lines").expect("a column").data_type;
    assert!(lines.to_string().contains("sku"), "{lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_falls_silent_is_told_in_time_and_the_read_goes_on_where_it_was() {
    const ROWS: i32 = 6_000;
    let (database, url) = database("silent").await;
    fill(&database, ROWS).await;
    let address = server("ferretdb").address().to_owned();
    let proxy = Proxy::to(&address);
    let given = options(&url.replace(&address, &proxy.address), json!({ "timeout_ms": 1000, "batch_rows_max": 500 }));
    let mut source = open("mongodb", &given, &entity(&["_id"], &FIELDS), Positions::new()).await;
    let mut rows = 0;
    let mut count = async || {
        while let Some(pulled) = source.next(1 << 20).await? {
            rows += pulled.rows.num_rows();
        }
        Ok::<usize, Error>(rows)
    };
    proxy.silent_after(300_000);
    let told = tokio::time::timeout(Duration::from_secs(20), count()).await.expect("an end in time");
    let told = told.expect_err("silence");
    assert!(proxy.is_silent(), "{told}");
    assert_eq!(told.kind, Kind::Unreachable, "{told}");
    let again = tokio::time::timeout(Duration::from_secs(20), count()).await.expect("an end in time");
    assert_eq!(again.expect_err("still silence").kind, Kind::Unreachable);
    proxy.mend();
    assert_eq!(count().await.expect("the rest"), ROWS as usize);
}

#[test]
fn a_project_takes_a_collection_with_its_lists_and_structs() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (_database, url) = runtime.block_on(async {
        let (database, url) = database("project").await;
        fill(&database, 300).await;
        (database, url)
    });
    let project = Project::new("mongo");
    project.write("sources/orders.yaml", format!("connector: mongodb\nconnection: {url}\ntable: orders\n"));
    let columns = "
    { name: _id, logicalType: string, primaryKey: true, required: true }
    { name: name, logicalType: string }
    { name: n, logicalType: integer, physicalType: int }
    { name: big, logicalType: integer, physicalType: bigint, classification: public }
    { name: at, logicalType: timestamp, physicalType: 'timestamp(6, UTC)' }
    { name: lines, logicalType: array, items: { logicalType: object, properties: [{ name: sku, logicalType: string }, { name: price, logicalType: number, physicalType: 'decimal(10,2)' }] } }
    { name: flag, logicalType: boolean }
    { name: none, logicalType: string }";
    project.contract("orders", columns, &[]);
    project.run();
    let row = project.lines(
        "select count(*), sum(n), max(big), cast(min(at) as varchar), sum(lines[1]['price']) from bronze.orders",
    );
    assert_eq!(row.len(), 1);
    assert!(
        row[0].starts_with("300,44850,328753976705024,2026-01-01T00:00:00.123") && row[0].ends_with("375.00"),
        "{row:?}"
    );
    assert_eq!(node(&project.run(), "orders")["status"], "up_to_date");
}
