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

/// Prints rows as CSV, in the words that `lavra query --format csv` has.
const READ: &str = "
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.remote('sc://ADDRESS').getOrCreate()
spark.conf.set('spark.sql.session.timeZone', 'UTC')
def lines(sql):
    for row in spark.sql(sql).collect():
        print(','.join('' if value is None else str(value) for value in row))
";

fn spark(project: &Project, script: &str) -> Vec<String> {
    let head = READ.replace("ADDRESS", server("spark").address());
    let said = SPARK.run(project, &format!("{head}{script}\n"));
    said.lines().map(str::to_owned).collect()
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
    let at = |table: &str| format!("delta.`{}/{table}`", lake.display());
    // Each side prints its own way but for these columns, so that they are given as text.
    let columns = "id, cast(amount as string) as amount, cast(pieces as string) as pieces";
    for table in ["bronze/orders", "silver/orders"] {
        let mut theirs = spark(&project, &format!("lines('select {columns} from {}')", at(table)));
        theirs.sort();
        let ours =
            project.lines(&format!("select {} from {}", columns.replace("string", "varchar"), table.replace('/', ".")));
        assert_eq!(theirs, ours, "{table}");
    }
    let whole = format!(
        "lines('select date_format(at, \"yyyy-MM-dd HH:mm:ss.SSSSSS\"), day, paid, place.city, array_join(tags, \"+\"), _position.offset \
         from {} where id = \"ç11\"')",
        at("bronze/orders")
    );
    assert_eq!(spark(&project, &whole), ["2026-07-01 10:00:00.123411,2026-07-12,True,São Paulo,a+b,1"]);
    let silver =
        "lines('select count(*), cast(sum(amount) as string) from SILVER')".replace("SILVER", &at("silver/orders"));
    assert_eq!(spark(&project, &silver), ["13,-57.00"]);
    let old = "lines('select count(*) from BRONZE version as of 1')".replace("BRONZE", &at("bronze/orders"));
    let ours = project.count("bronze.orders version as of 1");
    assert_eq!(spark(&project, &old), [ours.to_string()]);
}
