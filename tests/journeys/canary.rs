//! Personal data in every place where it can be, looked for in every byte that a run leaves behind and says.

use crate::harness::{Answer, Project};
use crate::people::{cpf, dotted};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::path::Path;

const COLUMNS: &str = "
    { name: id, logicalType: string, primaryKey: true, required: true }
    { name: cpf, logicalType: string, required: true, classification: personal.cpf, logicalTypeOptions: { format: cpf },
        customProperties: [{ property: mask, value: pseudonym(person) }] }
    { name: email, logicalType: string, classification: personal.email,
        customProperties: [{ property: mask, value: encrypt(contact) }] }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }
    { name: born, logicalType: date }
    { name: state, logicalType: string, logicalTypeOptions: { pattern: '[A-Z]{2}' } }";

/// Invented people who are counted, so that each place has its own.
struct People {
    next: u64,
    all: Vec<String>,
}

impl People {
    fn cpf(&mut self) -> String {
        self.next += 1;
        let cpf = cpf(700_000_000 + self.next * 7_919);
        self.all.extend([cpf.clone(), dotted(&cpf)]);
        if self.next.is_multiple_of(2) { dotted(&cpf) } else { cpf }
    }

    fn email(&mut self) -> String {
        self.next += 1;
        let email = format!("canario.{}@exemplo-{}.com.br", self.next * 7_919, self.next);
        self.all.push(email.clone());
        email
    }
}

/// A CSV whose rows have a person where none should be.
fn orders(people: &mut People) -> String {
    let mut text = "id,cpf,email,amount,born,state\n".to_owned();
    for id in 0..20 {
        text.push_str(&format!("{id},{},{},{id}.50,1980-01-02,SP\n", people.cpf(), people.email()));
    }
    let (a, b) = (people.cpf(), people.email());
    text.push_str(&format!("wrong types,{a},{b},{},{},{}\n", people.cpf(), people.email(), people.cpf()));
    text.push_str(&format!("bad amount,{},{},x,1980-01-02,SP\n", people.cpf(), people.email()));
    text.push_str(&format!("ragged,{},{}\n", people.cpf(), people.email()));
    text.push_str(&format!("ragged,{},{},1.00,1980-01-02,SP,{}\n", people.cpf(), people.email(), people.cpf()));
    text.push_str(&format!("{},,{},1.00,1980-01-02,SP\n", people.cpf(), people.cpf()));
    text.push_str(&format!("0,{},{},1.00,1980-01-02,SP\n", people.cpf(), people.email()));
    text.push_str(&format!("swapped,{},{},1.00,1980-01-02,SP\n", people.email(), people.cpf()));
    text.push_str(&format!("\"open,{},{}\n", people.cpf(), people.email()));
    text
}

fn project(people: &mut People) -> Project {
    let project = Project::new("canary");
    for (name, change) in [
        ("orders", "quarantine"),
        ("evolving", "evolve"),
        ("frozen", "freeze"),
        ("headless", "evolve"),
        ("keyed", "evolve"),
        ("failing", "freeze"),
    ] {
        project.source(name, &format!("data/{name}*"), &[]);
        let violation = if name == "failing" { "fail" } else { "quarantine" };
        project.contract(name, COLUMNS, &[("schema_change", change), ("on_violation", violation)]);
    }
    project.write("data/orders.csv", orders(people));
    project.write("data/failing.csv", orders(people));
    for name in ["orders-2", "evolving", "frozen"] {
        let row = |p: &mut People| {
            let id = p.next;
            format!("{id},{},{},1.00,1980-01-02,SP,{},{}\n", p.cpf(), p.email(), p.cpf(), p.email())
        };
        let rows: String = (0..10).map(|_| row(people)).collect();
        project.write(&format!("data/{name}.csv"), format!("id,cpf,email,amount,born,state,document,contact\n{rows}"));
    }
    let headless: String =
        (0..3).map(|id| format!("h{id},{},{},1.00,1980-01-02,SP\n", people.cpf(), people.email())).collect();
    project.write("data/headless.csv", headless);
    let (a, b, c) = (people.cpf(), people.email(), people.cpf());
    let nested = format!("{{\"id\":\"n1\",\"cpf\":{{\"v\":\"{a}\"}},\"amount\":[\"{b}\"],\"born\":\"{c}\"}}\n");
    let broken = format!(
        "{{\"id\":\"n2\",\"cpf\":\"{}\",\"email\":\"{}\"\n{{]{}\n",
        people.cpf(),
        people.email(),
        people.email()
    );
    project.write("data/orders-3.ndjson", format!("{nested}{broken}"));
    project.write("data/keyed.ndjson", format!("{{\"id\":\"k\",\"{}\":1}}\n", people.cpf()));
    project.model("silver.orders", "-- write: merge\n-- key: [id]\nselect id, cpf, email, amount from bronze.orders\n");
    project.model("silver.bad", "select cast(cpf as bigint) as n from bronze.orders\n");
    project
}

/// What a value may look like in bytes: itself, hexadecimal, and base64 at each of its three places.
fn shapes(value: &str) -> Vec<String> {
    let bytes = value.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut shapes = vec![value.to_owned(), hex.to_uppercase(), hex];
    for shift in 0..3 {
        let text = STANDARD_NO_PAD.encode([&vec![0; shift], bytes].concat());
        // The first and last letters also hold bits of what stands before and behind.
        let whole = (shift * 8).div_ceil(6)..(shift + bytes.len()) * 8 / 6;
        shapes.push(text[whole].to_owned());
    }
    shapes
}

/// Everything in a file; of Parquet also what is compressed in it.
fn texts(path: &Path, content: &[u8]) -> Vec<u8> {
    let mut all = content.to_vec();
    if path.extension().is_some_and(|ending| ending == "parquet") {
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes_of(content))
            .and_then(ParquetRecordBatchReaderBuilder::build);
        for batch in reader.expect("a Parquet file") {
            let batch = batch.expect("rows");
            for column in batch.columns() {
                let options = FormatOptions::default();
                let cells = ArrayFormatter::try_new(column, &options).expect("a column");
                (0..batch.num_rows()).for_each(|row| all.extend(format!("{}\n", cells.value(row)).bytes()));
            }
        }
    }
    all
}

fn bytes_of(content: &[u8]) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(content)
}

fn finds(text: &[u8], shapes: &[Vec<String>]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    shapes
        .iter()
        .filter(|all| all.iter().any(|shape| text.contains(shape.as_str())))
        .map(|all| all[0].clone())
        .collect()
}

#[test]
fn no_raw_value_is_left_behind_or_said() {
    let mut people = People { next: 0, all: Vec::new() };
    let project = project(&mut people);
    let mut said: Vec<Answer> = Vec::new();
    for args in [
        &["check"][..],
        &["plan"],
        &["run", "--retries", "0"],
        &["run", "--retries", "0", "--format", "json"],
        &["query", "select * from bronze.orders", "--format", "csv"],
        &["query", "select * from quarantine.orders", "--format", "csv"],
        &["query", "select cast(email as bigint) from bronze.orders"],
        &["quarantine", "list"],
        &["quarantine", "list", "orders"],
        &["history", "bronze.orders", "--format", "json"],
    ] {
        said.push(project.lavra(args));
    }
    let (taken, aside) = (project.count("bronze.orders"), project.count("quarantine.orders"));
    assert!(taken >= 20 && aside >= 15, "{taken} and {aside}: {:?}", said[3]);
    assert_eq!(project.count("bronze.evolving"), 10);
    let shapes: Vec<Vec<String>> = people.all.iter().map(|value| shapes(value)).collect();
    let mut hits = Vec::new();
    for answer in &said {
        let text = format!("{}\n{}", answer.stdout, answer.stderr);
        hits.extend(
            finds(text.as_bytes(), &shapes).into_iter().map(|hit| format!("{hit} in what is said by {}", answer.what)),
        );
    }
    let mut searched = 0;
    for (path, content) in project.files_below(".") {
        if path.starts_with(project.path("data")) {
            continue;
        }
        searched += content.len();
        hits.extend(
            finds(&texts(&path, &content), &shapes).into_iter().map(|hit| format!("{hit} in {}", path.display())),
        );
    }
    println!("{} values in {} shapes, {searched} bytes", people.all.len(), shapes.len() * 6);
    assert!(hits.is_empty(), "{}", hits.join("\n"));
}

#[test]
fn the_search_finds_what_is_there() {
    let shapes = vec![shapes("canario.1@exemplo.com.br")];
    for shift in ["", "x", "xy"] {
        let hidden = STANDARD_NO_PAD.encode(format!("{shift}canario.1@exemplo.com.br and more"));
        assert_eq!(finds(hidden.as_bytes(), &shapes).len(), 1, "{hidden}");
    }
    assert!(finds(b"canario.2@exemplo.com.br", &shapes).is_empty());
}
