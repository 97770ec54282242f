//! From files of every format to gold; then nothing, then what is new and no more, then a look back.

use crate::harness::{Project, gzip, node, statuses};
use crate::people::{cpf, dotted};
use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use std::sync::Arc;

const ORDERS: &str = "
    { name: order_id, logicalType: string, primaryKey: true, required: true }
    { name: customer_id, logicalType: string, required: true }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)', required: true,
        quality: [{ type: sql, name: above_zero, query: 'select count(*) from {table} where {property} <= 0', mustBe: 0 }] }
    { name: ordered_at, logicalType: timestamp, physicalType: 'timestamp(6, UTC)', required: true }
    { name: note, logicalType: string }";

const CUSTOMERS: &str = "
    { name: customer_id, logicalType: string, primaryKey: true, required: true }
    { name: cpf, logicalType: string, required: true, classification: personal.cpf,
        customProperties: [{ property: mask, value: pseudonym(person) }] }
    { name: address, logicalType: object, properties: [{ name: city, logicalType: string }, { name: state, logicalType: string }] }
    { name: tags, logicalType: array, items: { logicalType: string } }";

const STOCK: &str = "
    { name: sku, logicalType: string, required: true }
    { name: pieces, logicalType: integer, physicalType: bigint }
    { name: price, logicalType: number, physicalType: 'decimal(10,2)' }";

/// A byte order mark, quotes with delimiters and line ends inside, a ragged row, a bad number, Windows line ends.
fn dirty_orders() -> Vec<u8> {
    let text = "\u{feff}order_id;customer_id;amount;ordered_at;note\r\n\
        o1;c1;10.50;2026-07-01T10:00:00Z;\"said \"\"yes\"\"; twice\"\r\n\
        o2;c2;5.25;2026-07-01T23:30:00-03:00;\"two\r\nlines\"\r\n\
        o3;c1;ten;2026-07-02T10:00:00Z;not a number\r\n\
        o4;c1;1.00\r\n\
        o5;c1;-3.00;2026-07-02T10:00:00Z;below zero\r\n\
        o6;c2;7.00;2026-07-03T08:00:00Z;\r\n";
    gzip(text)
}

pub fn parquet_of(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.close().expect("a file");
    bytes
}

fn stock() -> Vec<(&'static str, ArrayRef)> {
    let price = Decimal128Array::from(vec![Some(999), None]).with_precision_and_scale(10, 2).expect("a decimal");
    vec![
        ("sku", Arc::new(StringArray::from(vec!["a", "b"])) as ArrayRef),
        ("pieces", Arc::new(Int64Array::from(vec![3, 4]))),
        ("price", Arc::new(price)),
    ]
}

fn ipc_of(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let mut bytes = Vec::new();
    let mut writer = arrow::ipc::writer::FileWriter::try_new(&mut bytes, &batch.schema()).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.finish().expect("a file");
    drop(writer);
    bytes
}

fn avro_of(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let mut bytes = Vec::new();
    let mut writer =
        arrow_avro::writer::AvroWriter::new(&mut bytes, batch.schema().as_ref().clone()).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.finish().expect("a file");
    drop(writer);
    bytes
}

fn shop() -> Project {
    let project = Project::new("shop");
    project.source("orders", "data/orders*.csv.gz", &[]).contract("orders", ORDERS, &[]);
    project.source("customers", "data/customers*.ndjson", &[]).contract("customers", CUSTOMERS, &[]);
    for (name, ending) in [("stock", "parquet"), ("stock_ipc", "arrow"), ("stock_avro", "avro")] {
        project.source(name, &format!("data/{name}.{ending}"), &[]).contract(name, STOCK, &[]);
    }
    let ana = json!({ "customer_id": "c1", "cpf": cpf(1), "address": { "city": "São Paulo", "state": "SP" }, "tags": ["a", "b"] });
    let bia = json!({ "customer_id": "c2", "cpf": dotted(&cpf(2)), "address": { "city": "Recife", "state": "PE" }, "tags": [] });
    project.write("data/orders-1.csv.gz", dirty_orders());
    project.write("data/customers-1.ndjson", format!("{ana}\n\n{bia}\n"));
    project.write("data/stock.parquet", parquet_of(stock()));
    project.write("data/stock_ipc.arrow", ipc_of(stock()));
    project.write("data/stock_avro.avro", avro_of(stock()[..2].to_vec()));
    project.model(
        "silver.orders",
        "-- write: merge\n-- key: [order_id]\n-- checks: { not_null: [amount], unique: [order_id] }\n\
         select o.order_id, c.cpf as person, c.address['state'] as state, o.amount, o.ordered_at\n\
         from bronze.orders o join bronze.customers c on o.customer_id = c.customer_id\n",
    );
    project.model(
        "gold.by_state",
        "select state, cast(count(*) as bigint) as orders, sum(amount) as amount from silver.orders group by state\n",
    );
    project
}

const TABLES: [&str; 7] = [
    "bronze.orders",
    "bronze.customers",
    "bronze.stock",
    "bronze.stock_ipc",
    "bronze.stock_avro",
    "silver.orders",
    "gold.by_state",
];

#[test]
fn files_of_every_format_become_governed_gold_and_then_only_what_is_new() {
    let shop = shop();
    shop.lavra(&["check"]).exits(0).says("no fault");
    let first = shop.run();
    assert_eq!(node(&first, "orders")["report"]["rows_written"], 3);
    assert_eq!(node(&first, "orders")["report"]["rows_quarantined"], 3);
    assert!(statuses(&first).iter().all(|(_, status)| *status == "done"), "{first}");
    assert_eq!(shop.lines("select state, orders, amount from gold.by_state"), ["PE,2,12.25", "SP,1,10.50"]);
    for stock in ["stock", "stock_ipc"] {
        assert_eq!(
            shop.lines(&format!("select sku, pieces, price from bronze.{stock}")),
            ["a,3,9.99", "b,4,"],
            "{stock}"
        );
    }
    assert_eq!(shop.lines("select sku, pieces from bronze.stock_avro"), ["a,3", "b,4"]);
    let causes = "select rule, _position['offset'] as line from quarantine.orders";
    assert_eq!(shop.lines(causes), ["malformed,6", "sql,7", "type,5"]);

    let versions = || TABLES.map(|table| shop.version(table));
    let before = versions();
    let again = shop.run();
    assert!(statuses(&again).iter().all(|(_, status)| *status == "up_to_date"), "{again}");
    assert_eq!(versions(), before, "a run with nothing new makes no version");
    shop.lavra(&["run", "--quiet"]).exits(0).says("nothing new");

    let late = "order_id;customer_id;amount;ordered_at;note\no7;c1;2.00;2026-07-04T08:00:00Z;late\n";
    shop.write("data/orders-2.csv.gz", gzip(late));
    let third = shop.run();
    assert_eq!(node(&third, "orders")["report"]["rows_read"], 1, "only the new file is read");
    assert_eq!(node(&third, "customers")["status"], "up_to_date");
    assert_eq!(shop.lines("select state, orders, amount from gold.by_state"), ["PE,2,12.25", "SP,2,12.50"]);
    assert_eq!(shop.version("bronze.orders"), before[0] + 1);
    look_back(&shop, before[6]);
}

fn look_back(shop: &Project, version: u64) {
    let then = ["PE,2,12.25", "SP,1,10.50"];
    let sql = format!("select state, orders, amount from gold.by_state version as of {version}");
    assert_eq!(shop.lines(&sql), then);
    let history = shop.lavra(&["history", "gold.by_state", "--format", "json"]).exits(0).json();
    let entries = history.as_array().expect("a list");
    assert_eq!(entries.len() as u64, version + 2, "{history}");
    assert_eq!(entries[0]["made_from"], format!("silver.orders v{}", shop.version("silver.orders")));
    let old = entries.iter().find(|entry| entry["version"] == version).expect("the version before");
    assert!(old["at"].as_str().is_some_and(|at| at.ends_with('Z') && at.contains('T')), "RFC 3339: {old}");
    let at = old["at_micros"].as_i64().expect("its time") + 1_000;
    let clock = shop.value(&format!("select cast(to_timestamp_micros({at}) as varchar) as t"));
    let Value::String(clock) = clock else { panic!("a time: {clock}") };
    let sql = format!("select state, orders, amount from gold.by_state timestamp as of '{clock}'");
    assert_eq!(shop.lines(&sql), then);
    shop.lavra(&["query", "select * from gold.by_state version as of 99"]).exits(2).says("no version 99");
    let before = "select * from gold.by_state timestamp as of '2001-01-01'";
    assert_ne!(shop.lavra(&["query", before]).code, Some(0), "there was no such table then");
}

#[test]
fn what_was_masked_is_nowhere_and_joins_all_the_same() {
    let shop = shop();
    shop.run();
    let people = shop.lines("select distinct cpf from bronze.customers");
    assert_eq!(people.len(), 2);
    for number in [1, 2] {
        assert!(!people.iter().any(|token| token.contains(&cpf(number)) || token.contains(&dotted(&cpf(number)))));
    }
    assert_eq!(shop.count("silver.orders o join bronze.customers c on o.person = c.cpf"), 3);
    assert_eq!(
        shop.lines("select address['city'] as city, tags[1] as first from bronze.customers"),
        ["Recife,", "São Paulo,a"]
    );
}
