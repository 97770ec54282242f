//! Files that hold the changes of a table.

use super::super::options::Options;
use super::*;
use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use arrow::util::display::array_value_to_string;
use kernel::clock::Timestamp;

const ENVELOPES: &str = concat!(
    r#"{"before":null,"after":{"id":1,"v":"a"},"source":{"ts_ms":1000,"table":"t"},"op":"r","ts_ms":2000}"#,
    "\n",
    r#"{"schema":{"type":"struct"},"payload":{"before":null,"after":{"id":2,"v":"b"},"source":{},"op":"c","ts_ms":2000}}"#,
    "\n",
    r#"{"op":"u","after":{"v":"__debezium_unavailable_value","id":2},"before":{"id":2}}"#,
    "\n",
    r#"{"op":"x","after":{"id":2}}"#,
    "\n",
    r#"{"id":2}"#,
    "\n",
    r#"{"op":"u","before":{"id":2},"after":null}"#,
    "\n",
    r#"{"op":"d","before":{"id":1},"after":null,"ts_ms":3000}"#,
    "\n",
    r#"{"op":"t","before":null,"after":null}"#,
    "\n",
);

/// Each row as the gate stamps it, and what is set aside.
async fn taken(file: &str, content: &[u8], options: Value) -> (Vec<String>, Vec<i64>) {
    let project = Project::new(&[(file, content)]);
    let mut options = options;
    options["path"] = json!("*");
    let opening = opening(project.path(), options, entity(&["id", "v"]), Positions::new());
    let mut source = Files::open(opening).expect("a source");
    let (mut rows, mut malformed) = (Vec::new(), Vec::new());
    while let Some(pulled) = source.next(1 << 20).await.expect("a batch") {
        let passed = kernel::laws::source::as_text(true)
            .pass(pulled.rows.into_raw().expect("raw rows"), Timestamp(0))
            .expect("a pass");
        let batch = passed.safe.into_batch();
        for row in 0..batch.num_rows() {
            let shown = |name: &str| {
                let column = batch.column_by_name(name).expect("a column");
                let utc = DataType::Timestamp(TimeUnit::Microsecond, None);
                let column = if name == "_changed_at" { cast(column, &utc).expect("a time") } else { column.clone() };
                array_value_to_string(&column, row).expect("a text")
            };
            rows.push(["_op", "id", "v", "_unchanged", "_changed_at"].map(shown).join("|"));
        }
        if let Some(aside) = passed.quarantined {
            let position = aside.into_batch().column_by_name("_position").expect("a position").clone();
            let offsets = position.as_struct().column(1).clone();
            let offsets = offsets.as_primitive::<Int64Type>().clone();
            malformed.extend(offsets.values().iter().copied());
        }
    }
    (rows, malformed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_read_out_of_debeziums_envelope() {
    let (rows, malformed) = taken("a.ndjson", ENVELOPES.as_bytes(), json!({ "changes": "debezium" })).await;
    let expected =
        ["r|1|a||1970-01-01T00:00:01", "c|2|b||1970-01-01T00:00:02", "u|2||[v]|", "d|1|||1970-01-01T00:00:03", "t||||"];
    assert_eq!((rows, malformed), (expected.map(str::to_owned).to_vec(), vec![4, 5, 6]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_read_out_of_columns_of_any_format() {
    let csv =
        "Op,id,v,at\nI,1,a,2026-07-01T10:00:00Z\nupdate,1,__debezium_unavailable_value,1000\nD,1,,\n?,1,,\nu,1,,soon\n";
    let options = json!({ "changes": { "op": "Op", "at": "at" } });
    let (rows, malformed) = taken("a.csv", csv.as_bytes(), options).await;
    let expected = ["c|1|a||2026-07-01T10:00:00", "u|1||[v]|1970-01-01T00:00:01", "d|1|||"];
    assert_eq!((rows, malformed), (expected.map(str::to_owned).to_vec(), vec![5, 6]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_log_in_files_obeys_the_laws_of_sources() {
    let project = Project::new(&[
        ("a.ndjson", ENVELOPES.repeat(20).as_bytes()),
        ("b.ndjson.gz", &gzip(ENVELOPES.repeat(3).as_bytes())),
        ("c.json", format!("[{}]", ENVELOPES.trim_end().replace('\n', ",")).as_bytes()),
    ]);
    kernel::laws::source::obeys(async |from| {
        let options = json!({ "path": "*", "changes": "debezium" });
        let opening = opening(project.path(), options, entity(&["id", "v"]), from);
        Box::new(Files::open(opening).expect("a source")) as Box<dyn Source>
    })
    .await;
}

#[test]
fn changes_that_can_not_be_read_are_told() {
    let told = |options: Value| {
        let faults = Options::check(&options).err().unwrap_or_default();
        faults.into_iter().map(|fault| format!("{}: {}", fault.option, fault.message)).collect::<String>()
    };
    assert!(told(json!({ "path": "a", "changes": "debezium", "format": "csv" })).contains("ndjson"));
    assert!(told(json!({ "path": "a", "changes": "dbz" })).contains("changes: unknown value `dbz`"));
    let twice = json!({ "path": "a", "changes": { "op": "op" }, "on_replaced": "new_version" });
    assert!(told(twice).contains("applied twice"));
    assert_eq!(told(json!({ "path": "a", "changes": "debezium" })), "");
}
