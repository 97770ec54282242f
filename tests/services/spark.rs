//! Apache Spark reads our tables. Needs: spark.

use super::harness::server;
use crate::harness::Project;
use crate::python::SPARK;

const COLUMNS: &str = "
    { name: id, logicalType: string, required: true }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }
    { name: pieces, logicalType: integer, physicalType: bigint }
    { name: paid, logicalType: boolean }
    { name: day, logicalType: date }
    { name: at, logicalType: timestamp, physicalType: 'timestamp(6, UTC)' }
    { name: place, logicalType: object, properties: [{ name: city, logicalType: string }] }
    { name: tags, logicalType: array, items: { logicalType: string } }";

/// Prints the rows of each query as CSV, and a line between two.
const READ: &str = "
import json
from pyspark.sql import SparkSession
spark = SparkSession.builder.remote('sc://ADDRESS').getOrCreate()
spark.conf.set('spark.sql.session.timeZone', 'UTC')
for sql in json.loads(open('queries.json').read()):
    for row in spark.sql(sql).collect():
        print(','.join('' if value is None else str(value) for value in row))
    print('--')
";

/// The sorted lines of each query. One session for all of them: a new one takes Spark long.
fn spark<const N: usize>(project: &Project, queries: [String; N]) -> [Vec<String>; N] {
    project.write("queries.json", serde_json::to_string(&queries[..]).expect("JSON"));
    let said = SPARK.run(project, &READ.replace("ADDRESS", server("spark").address()));
    let mut results = said.split("--\n").map(|result| {
        let mut lines: Vec<String> = result.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    });
    queries.map(|sql| results.next().unwrap_or_else(|| panic!("`{sql}` has a result: {said}")))
}

/// More versions than a checkpoint needs, merged rows, and every type of column.
fn project() -> Project {
    let project = Project::new("spark");
    project.source("orders", "data/*.ndjson", &[]).contract("orders", COLUMNS, &[]);
    project.model(
        "silver.orders",
        "-- write: merge\n-- key: [id]\nselect id, sum(amount) as amount, max(pieces) as pieces, max(at) as at from bronze.orders group by id\n",
    );
    for file in 0..12 {
        let row = format!(
            "{{\"id\":\"ç{file}\",\"amount\":\"-{file}.25\",\"pieces\":{file},\"paid\":true,\"day\":\"2026-07-{:02}\",\
             \"at\":\"2026-07-01T10:00:00.1234{file:02}Z\",\"place\":{{\"city\":\"São Paulo\"}},\"tags\":[\"a\",\"b\"]}}\n\
             {{\"id\":\"every\",\"amount\":\"1.00\"}}\n",
            file + 1
        );
        project.write(&format!("data/{file}.ndjson"), row);
        project.run();
    }
    project
}

#[test]
fn spark_reads_what_we_read() {
    let project = project();
    let lake = project.path("lake");
    let (bronze, silver) =
        (format!("delta.`{}/bronze/orders`", lake.display()), format!("delta.`{}/silver/orders`", lake.display()));
    let columns = "id, cast(amount as string) as amount, cast(pieces as string) as pieces";
    let whole =
        "date_format(at, 'yyyy-MM-dd HH:mm:ss.SSSSSS'), day, paid, place.city, array_join(tags, '+'), _position.offset";
    let [taken, merged, row, old] = spark(
        &project,
        [
            format!("select {columns} from {bronze}"),
            format!("select {columns} from {silver}"),
            format!("select {whole} from {bronze} where id = 'ç11'"),
            format!("select count(*) from {bronze} version as of 1"),
        ],
    );
    let ours = columns.replace("string", "varchar");
    assert_eq!(taken.len(), 24);
    assert_eq!(taken, project.lines(&format!("select {ours} from bronze.orders")));
    assert_eq!(merged.len(), 13);
    assert_eq!(merged, project.lines(&format!("select {ours} from silver.orders")));
    assert_eq!(row, ["2026-07-01 10:00:00.123411,2026-07-12,True,São Paulo,a+b,1"]);
    assert_eq!(old, [project.count("bronze.orders version as of 1").to_string()]);
}
