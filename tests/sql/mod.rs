//! SQL files, each statement through the real binary. What a query gives is held as CSV prints it: decimals and times
//! as their exact text, null as `NULL`, an empty text as `(empty)`.

use crate::harness::Project;
use sqllogictest::{DB, DBOutput, DefaultColumnType, Runner};
use std::path::Path;
use std::sync::Arc;

#[derive(Debug)]
struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

struct Lavra(Arc<Project>);

impl DB for Lavra {
    type Error = Refused;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Refused> {
        let answer = self.0.lavra(&["query", "--format", "csv", sql]);
        if answer.code != Some(0) {
            return Err(Refused(answer.stderr));
        }
        let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(answer.stdout.as_bytes());
        let columns = reader.headers().map_err(|e| Refused(e.to_string()))?.len();
        let shown = |cell: &str| if cell.is_empty() { "NULL".to_owned() } else { cell.to_owned() };
        let rows: Result<Vec<Vec<String>>, _> =
            reader.records().map(|row| row.map(|row| row.iter().map(shown).collect())).collect();
        Ok(DBOutput::Rows {
            types: vec![DefaultColumnType::Text; columns],
            rows: rows.map_err(|e| Refused(e.to_string()))?,
        })
    }

    fn engine_name(&self) -> &str {
        "lavra"
    }
}

const PAYMENTS: &str = "
    { name: id, logicalType: integer, physicalType: bigint, required: true }
    { name: person, logicalType: string }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }
    { name: rate, logicalType: number, physicalType: 'decimal(38,10)' }
    { name: at, logicalType: timestamp, physicalType: 'timestamp(6, UTC)' }
    { name: wall, logicalType: timestamp, physicalType: 'timestamp(6)' }
    { name: day, logicalType: date }";

const PEOPLE: &str = "
    { name: person, logicalType: string, required: true }
    { name: place, logicalType: object, properties: [{ name: city, logicalType: string }, { name: state, logicalType: string }] }
    { name: tags, logicalType: array, items: { logicalType: string } }";

/// Two runs, so that tables have a past.
fn project() -> Project {
    let project = Project::new("sql");
    project.source("payments", "data/payments-*.csv", &[]).contract("payments", PAYMENTS, &[]);
    project.source("people", "data/people.ndjson", &[]).contract("people", PEOPLE, &[]);
    let models = [
        ("silver.payments", include_str!("models/payments.sql")),
        ("silver.people", include_str!("models/people.sql")),
        ("gold.running", include_str!("models/running.sql")),
        ("gold.everything", include_str!("models/everything.sql")),
    ];
    for (table, text) in models {
        project.model(table, text);
    }
    project.write("data/people.ndjson", include_str!("data/people.ndjson"));
    project.write("data/payments-1.csv", include_str!("data/payments-1.csv"));
    project.run();
    project.write("data/payments-2.csv", include_str!("data/payments-2.csv"));
    project.run();
    project
}

#[test]
fn sql_files_give_what_they_say() {
    let project = Arc::new(project());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the SQL files").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "slt"));
    files.sort();
    assert!(files.len() >= 4, "{files:?}");
    let mut broken = Vec::new();
    for file in files {
        let project = project.clone();
        let mut runner = Runner::new(move || {
            let project = project.clone();
            async move { Ok(Lavra(project)) }
        });
        if let Err(error) = runner.run_file(&file) {
            broken.push(format!("{error}"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}
