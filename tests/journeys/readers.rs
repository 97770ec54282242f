//! Other programs read our tables, and we read theirs.

use crate::harness::Project;
use crate::python::READERS;
use serde_json::Value;

const COLUMNS: &str = "
    { name: id, logicalType: string, required: true }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }
    { name: pieces, logicalType: integer, physicalType: bigint }
    { name: paid, logicalType: boolean }
    { name: day, logicalType: date }
    { name: at, logicalType: timestamp, physicalType: 'timestamp(6, UTC)' }
    { name: local_at, logicalType: timestamp, physicalType: 'timestamp(6)' }
    { name: place, logicalType: object, properties: [{ name: city, logicalType: string }] }
    { name: tags, logicalType: array, items: { logicalType: string } }";

fn project() -> Project {
    let project = Project::new("readers");
    project.source("orders", "data/*.ndjson", &[]).contract("orders", COLUMNS, &[]);
    project.model("silver.orders", "-- write: merge\n-- key: [id]\nselect id, amount, pieces, paid, day, at, local_at, place, tags from bronze.orders\n");
    for (file, amount) in ["1.10", "-2.25", "99999999.99"].iter().enumerate() {
        let row = format!(
            "{{\"id\":\"ç{file}\",\"amount\":\"{amount}\",\"pieces\":{file},\"paid\":true,\"day\":\"2026-07-0{}\",\
             \"at\":\"2026-07-01T10:00:00.12345{file}Z\",\"local_at\":\"2026-07-01T10:00:00.5\",\
             \"place\":{{\"city\":\"São Paulo\"}},\"tags\":[\"a\",\"b\"]}}\n{{\"id\":\"null{file}\"}}\n",
            file + 1
        );
        project.write(&format!("data/{file}.ndjson"), row);
        project.run();
    }
    project
}

/// Prints each reader's rows as one JSON list, the exact text of decimals and times.
const READ: &str = r#"
import json, sys
import deltalake, duckdb, polars, pyarrow as pa

def text(value):
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value if value is None or isinstance(value, (bool, int, dict, list)) else str(value)

def rows(table):
    columns = ["id", "amount", "pieces", "paid", "day", "at", "local_at", "place", "tags"]
    return sorted([[text(row[c]) for c in columns] for row in table.to_pylist()], key=lambda r: r[0])

where = "lake/silver/orders"
table = deltalake.DeltaTable(where)
arrow = pa.table(table.to_pyarrow_table()) if hasattr(table, "to_pyarrow_table") else pa.table(table.to_arrow())
connection = duckdb.connect()
connection.execute("set timezone = 'UTC'")
ours = arrow
found = {
    "deltalake": rows(arrow),
    "polars": rows(polars.read_delta(where).to_arrow()),
    "duckdb": rows(connection.sql("select * from ours").to_arrow_table()),
}
found["files"] = connection.sql(f"select count(*) from read_parquet({[f for f in table.file_uris()]!r})").fetchone()[0]
found["version"] = table.version()
print(json.dumps(found))
"#;

#[test]
fn other_programs_read_our_tables() {
    let project = project();
    let found: Value = serde_json::from_str(&READERS.run(&project, READ)).expect("what they read");
    for reader in ["deltalake", "polars", "duckdb"] {
        let rows = found[reader].as_array().expect("rows");
        assert_eq!(rows.len(), 6, "{reader}: {found}");
        assert_eq!(rows, found["deltalake"].as_array().expect("rows"), "{reader} and deltalake agree");
    }
    let last = &found["deltalake"].as_array().expect("rows")[5];
    assert_eq!((last[0].as_str(), last[1].as_str(), last[2].as_i64()), (Some("ç2"), Some("99999999.99"), Some(2)));
    assert_eq!((last[4].as_str(), last[5].as_str()), (Some("2026-07-03"), Some("2026-07-01T10:00:00.123452+00:00")));
    assert_eq!((last[6].as_str(), &last[8]), (Some("2026-07-01T10:00:00.500000"), &serde_json::json!(["a", "b"])));
    assert_eq!(last[7], serde_json::json!({ "city": "São Paulo" }));
    assert_eq!(found["version"].as_u64(), Some(project.version("silver.orders")));
    let ours = project.lines("select id, amount, at from silver.orders where id = 'ç2'");
    assert_eq!(ours, ["ç2,99999999.99,2026-07-01T10:00:00.123452Z"]);
}

#[test]
fn other_programs_read_our_tables_over_checkpoints() {
    let project = Project::new("checkpoints");
    project.source("orders", "data/*.csv", &[]).contract("orders", "{ name: id, logicalType: string }", &[]);
    for file in 0..12 {
        project.write(&format!("data/{file:02}.csv"), format!("id\n{file}\n"));
        project.run();
    }
    let checkpoint = project.path("lake/bronze/orders/_delta_log/_last_checkpoint");
    assert!(checkpoint.is_file(), "there is a checkpoint after ten versions");
    let count = "import deltalake; t = deltalake.DeltaTable('lake/bronze/orders'); print(t.version(), t.count())";
    assert_eq!(READERS.run(&project, count).trim(), format!("{} 12", project.version("bronze.orders")));
    let log = project.path("lake/bronze/orders/_delta_log");
    for version in 0..10 {
        std::fs::remove_file(log.join(format!("{version:020}.json"))).expect("a log file that the checkpoint sums up");
    }
    let again = project.run();
    assert_eq!(crate::harness::node(&again, "orders")["status"], "up_to_date", "positions outlive the log's clean-up");
    project.write("data/99.csv", "id\n99\n");
    project.run();
    assert_eq!(project.count("bronze.orders"), 13);
}

#[test]
fn we_read_the_tables_of_other_programs() {
    let project = project();
    let write = r#"
import decimal, datetime, deltalake, pyarrow as pa
table = pa.table({
    "id": pa.array(["a", "b"]),
    "amount": pa.array([decimal.Decimal("1.50"), None], pa.decimal128(12, 2)),
    "at": pa.array([datetime.datetime(2026, 7, 1, 10, tzinfo=datetime.timezone.utc)] * 2, pa.timestamp("us", "UTC")),
    "part": pa.array(["x", "y"]),
})
deltalake.write_deltalake("lake/silver/theirs", table, partition_by=["part"])
deltalake.write_deltalake("lake/silver/theirs", table.slice(0, 1), mode="append")
"#;
    READERS.run(&project, write);
    assert_eq!(project.lines("select id, amount, part from silver.theirs"), ["a,1.50,x", "a,1.50,x", "b,,y"]);
    assert_eq!(project.count("silver.theirs version as of 0"), 2);
    assert_eq!(project.version("silver.theirs"), 1);
}

#[test]
fn a_table_that_another_program_compacted_goes_on() {
    let project = project();
    let compact =
        "import deltalake; t = deltalake.DeltaTable('lake/bronze/orders'); t.optimize.compact(); print(t.version())";
    READERS.run(&project, compact);
    let run = project.run();
    assert_eq!(
        crate::harness::node(&run, "orders")["status"],
        "up_to_date",
        "positions are found behind the other's commit"
    );
    project.write("data/9.ndjson", "{\"id\":\"z\"}\n");
    project.run();
    assert_eq!((project.count("bronze.orders"), project.count("silver.orders")), (7, 7));
}
