//! No value of a masked column, and none that went astray, is anywhere in what leaves the gate: not in a cell, not in a
//! reason, not in an error, not in a buffer behind them.

use super::*;
use arrow::array::{ArrayData, UInt32Array};
use arrow::compute::{cast, take};
use proptest::prelude::*;

/// What a cell of a generated row holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell {
    Good,
    Null,
    Short,
    Long,
    Digits,
    Mail,
}

/// The name of a column, whether its values are secret, a good value, and what else is put there.
const COLUMNS: [(&str, bool, &str); 11] = [
    ("id", false, "1"),
    ("cpf", true, "529.982.247-25"),
    ("email", true, "maria.da.silva@example.com"),
    ("birth", true, "1961-07-23"),
    ("salary", true, "98761.43"),
    ("gone", true, "Rua das Laranjeiras, 1"),
    ("amount", false, "10.00"),
    ("paid_at", false, "2026-07-01T12:00:00Z"),
    ("ok", false, "true"),
    ("city", false, "São João del-Rei"),
    ("unknown", true, "who knows what this may be"),
];

fn contract(on_violation: OnViolation, schema_change: SchemaChange) -> Entity {
    let decimal = || DataType::Decimal128(12, 2);
    let properties = vec![
        property("id", DataType::Int64),
        with("cpf", DataType::Utf8, |p| {
            *p = masked("cpf", DataType::Utf8, "pseudonym(person)");
            p.constraints.max_length = Some(14);
        }),
        with("email", DataType::Utf8, |p| {
            *p = masked("email", DataType::Utf8, "redact");
            p.constraints.pattern = Some(".+@.+".into());
        }),
        masked("birth", DataType::Date32, "redact"),
        masked("salary", decimal(), "pseudonym(money)"),
        masked("gone", DataType::Utf8, "drop"),
        with("amount", decimal(), |p| p.required = true),
        property("paid_at", MICROS_UTC()),
        property("ok", DataType::Boolean),
        property("city", DataType::Utf8),
    ];
    Entity { on_violation, schema_change, ..entity(properties) }
}

/// The text of a cell, unlike any other; no shorter than what a search can tell from chance.
fn token(cell: Cell, row: usize, column: usize) -> Option<String> {
    let (name, _, good) = COLUMNS[column];
    // In a text column or a number's that is open, anything that fits is what the contract lets pass.
    let cell = match (name, cell) {
        ("city", Cell::Short | Cell::Long | Cell::Digits | Cell::Mail) => Cell::Good,
        ("id", Cell::Digits) => Cell::Short,
        (_, cell) => cell,
    };
    match cell {
        Cell::Good => Some(good.to_owned()),
        Cell::Null => None,
        Cell::Short => Some(format!("Zq{row:03}x{column:02}")),
        Cell::Long => Some(format!("Maria Aparecida {row:03}/{column:02} da Conceição")),
        Cell::Digits => Some(format!("73{row:04}{column:02}519")),
        Cell::Mail => Some(format!("m{row:03}.{column:02}@example.com")),
    }
}

/// Columns as a reader makes them: views into one block that has the bytes of all of them.
fn block(rows: &[Vec<Cell>]) -> Vec<ArrayRef> {
    let width = COLUMNS.len();
    let cells = rows.iter().enumerate().flat_map(|(row, cells)| (0..width).map(move |at| token(cells[at], row, at)));
    let all: StringViewArray = cells.collect();
    let column = |at: usize| {
        let places: UInt32Array = (0..rows.len()).map(|row| (row * width + at) as u32).collect();
        take(&all, &places, None).expect("rows of the block")
    };
    (0..width).map(column).collect()
}

/// Every secret of the rows: what stands in masked and unknown columns, and what went astray.
fn secrets(rows: &[Vec<Cell>]) -> Vec<String> {
    let mut secrets = Vec::new();
    for (row, cells) in rows.iter().enumerate() {
        for (at, cell) in cells.iter().enumerate() {
            let secret = token(*cell, row, at).filter(|text| COLUMNS[at].1 || text != COLUMNS[at].2);
            secrets.extend(secret);
        }
    }
    secrets
}

fn bytes(data: &ArrayData, into: &mut Vec<u8>) {
    for buffer in data.buffers() {
        // The whole of it, also what a slice does not show.
        into.extend_from_slice(buffer.as_slice());
        into.push(0);
    }
    data.child_data().iter().for_each(|child| bytes(child, into));
}

fn assert_hides(batch: &RecordBatch, secrets: &[String]) {
    let mut all = Vec::new();
    batch.columns().iter().for_each(|column| bytes(&column.to_data(), &mut all));
    let finder = regex::bytes::RegexSet::new(secrets.iter().map(|secret| regex::escape(secret))).expect("plain words");
    let found: Vec<&String> = finder.matches(&all).into_iter().map(|at| &secrets[at]).collect();
    assert!(found.is_empty(), "{found:?} left the gate");
}

fn encode(column: ArrayRef, encoding: u8) -> ArrayRef {
    let to = match encoding {
        0 => return column,
        1 => DataType::Utf8,
        _ => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
    };
    cast(&column, &to).expect("another encoding")
}

fn cells() -> impl Strategy<Value = Vec<Vec<Cell>>> {
    let cell = prop_oneof![
        6 => Just(Cell::Good),
        1 => Just(Cell::Null),
        1 => Just(Cell::Short),
        1 => Just(Cell::Long),
        1 => Just(Cell::Digits),
        1 => Just(Cell::Mail),
    ];
    prop::collection::vec(prop::collection::vec(cell, COLUMNS.len()), 0..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn secrets_stay_before_the_gate(rows in cells(), policy in 0u8..3, with_unknown: bool, encoding in 0u8..3, skip in 0usize..3) {
        let on_violation = [OnViolation::Quarantine, OnViolation::DropValue, OnViolation::Fail][usize::from(policy)];
        let mut columns = block(&rows);
        if !with_unknown {
            columns.pop();
        }
        let skip = skip.min(rows.len());
        let columns = COLUMNS.iter().zip(columns).map(|((name, ..), column)| {
            (*name, encode(column, encoding).slice(skip, rows.len() - skip))
        });
        let secrets = secrets(&rows);
        match gate(contract(on_violation, SchemaChange::Quarantine)).pass(raw(columns.collect()), NOW) {
            Ok(passed) => {
                prop_assert_eq!(passed.tally.rows_passed + passed.tally.rows_quarantined, (rows.len() - skip) as u64);
                assert_hides(passed.safe.batch(), &secrets);
                passed.quarantined.iter().for_each(|aside| assert_hides(aside.batch(), &secrets));
            }
            Err(error) => {
                let text = format!("{error:?} {:?}", std::error::Error::source(&error));
                prop_assert!(secrets.iter().all(|secret| !text.contains(secret.as_str())), "{}", text);
            }
        }
    }
}

#[test]
fn a_shifted_row_leaves_nothing_that_the_screen_knows() {
    let columns = vec![("amount", words(&["x", "1.00"])), ("city", words(&["maria@example.com", "Olinda"]))];
    let passed = pass(contract(OnViolation::Quarantine, SchemaChange::Freeze), columns);
    assert_eq!(shown(aside(&passed), "row"), some(&["{\"amount\":\"***\",\"city\":\"***\"}"]));
    assert_hides(passed.safe.batch(), &["maria@example.com".to_owned()]);
}

#[test]
fn what_could_not_be_parsed_is_shown_only_when_it_tells_of_nobody() {
    let contract = entity(vec![
        property("n", DataType::Int64),
        property("amount", DataType::Decimal128(12, 2)),
        property("day", DataType::Date32),
        property("at", MICROS_UTC()),
        property("ok", DataType::Boolean),
        masked("cpf", DataType::Int64, "pseudonym(person)"),
    ]);
    let cells = |n, amount, day, at, ok, cpf| {
        let columns = [("n", n), ("amount", amount), ("day", day), ("at", at), ("ok", ok), ("cpf", cpf)];
        let columns = columns.map(|(name, value)| (name, words(&[value])));
        let row: serde_json::Value = serde_json::from_str(
            shown(aside(&pass(contract.clone(), columns.into())), "row")[0].as_deref().expect("a row"),
        )
        .expect("JSON");
        ["n", "amount", "day", "at", "ok", "cpf"].map(|name| row[name].as_str().unwrap_or("null").to_owned())
    };
    let shown = cells("1.5", "1.234,56", "31/12/2026", "31/12/2026 23:59:59", "2", "no");
    assert_eq!(shown, ["1.5", "1.234,56", "31/12/2026", "31/12/2026 23:59:59", "2", "***"]);
    let hidden = cells("Ana", "R$ 1", "529.982.247-2", "+55 11 98765-4321", "ok", "x");
    assert_eq!(hidden, ["***"; 6]);
    let hidden = cells("1.0000000000", "12345678901", "2026 10 123", "20:01:12:34:56:78", "ab", "x");
    assert_eq!(hidden, ["***"; 6]);
}

#[test]
fn what_passes_does_not_hold_on_to_the_block_it_was_read_from() {
    let rows = vec![vec![Cell::Good; COLUMNS.len()]; 3];
    let mut columns: Vec<(&str, ArrayRef)> = COLUMNS.iter().map(|c| c.0).zip(block(&rows)).collect();
    columns.pop();
    let block_bytes = columns[9].1.to_data().buffers()[1].len();
    let passed = pass(contract(OnViolation::Quarantine, SchemaChange::Freeze), columns);
    let city = passed.safe.batch().column_by_name("city").expect("the column").to_data();
    assert!(city.buffers()[1].len() < block_bytes);
    assert_eq!(shown(passed.safe.batch(), "city"), some(&["São João del-Rei"; 3]));
}

#[test]
fn nested_text_does_not_hold_on_to_it_either() {
    let all = words(&["a secret of thirty letters or so", "a city with a rather long name"]);
    let field = || Arc::new(Field::new("city", DataType::Utf8View, true));
    let city = arrow::array::StructArray::from(vec![(field(), all.slice(1, 1))]);
    let contract = entity(vec![property("place", DataType::Struct(vec![field()].into()))]);
    let passed = pass(contract, vec![("place", Arc::new(city))]);
    assert_hides(passed.safe.batch(), &["a secret of thirty letters or so".to_owned()]);
    assert_eq!(shown(passed.safe.batch(), "place"), some(&["{\"city\":\"a city with a rather long name\"}"]));
}

#[test]
fn nothing_is_left_under_a_null() {
    let at_most = |max: &str| Some(crate::contract::Bound { value: max.into(), exclusive: false });
    let mut contract = contract(OnViolation::DropValue, SchemaChange::Freeze);
    contract.properties[0].constraints.max = at_most("5");
    let number = i64::from_le_bytes(*b"Zq001x02");
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![number, 1]));
    // A reader may have left a value there too.
    let cities = arrow::compute::nullif(&words(&["Zq003x04", "Olinda"]), &vec![true, false].into()).expect("a null");
    let amounts = words(&["1", "2"]);
    let passed = pass(contract, vec![("id", numbers), ("city", cities), ("amount", amounts)]);
    assert_eq!(shown(passed.safe.batch(), "id"), [None, Some("1".into())]);
    assert_eq!(shown(passed.safe.batch(), "city"), [None, Some("Olinda".into())]);
    assert_hides(passed.safe.batch(), &["Zq001x02".to_owned(), "Zq003x04".to_owned()]);
}

/// Somebody with this text in a column of kind `cpf`.
struct Gone(&'static str);

impl Forgotten for Gone {
    fn are(&self, kind: &str, values: &ArrayRef) -> Result<Option<arrow::array::BooleanArray>> {
        let is = |text: Option<&str>| text.map(|text| text == self.0);
        Ok((kind == "cpf").then(|| values.as_string_view().iter().map(is).collect()))
    }
}

#[test]
fn rows_of_the_forgotten_go_before_anything_is_made_of_them() {
    let entity =
        entity(vec![masked("cpf", DataType::Utf8View, "redact"), with("n", DataType::Int64, |p| p.required = true)]);
    let mut gate = gate(entity).without(Arc::new(Gone("a")));
    let rows = vec![
        ("cpf", text(&[Some("a"), Some("b"), None, Some("a"), Some("c")])),
        ("n", text(&[Some("1"), Some("2"), Some("3"), Some("x"), Some("y")])),
    ];
    let passed = gate.pass(raw(rows), NOW).expect("rows pass or are set aside");
    assert_eq!(shown(passed.safe.batch(), "n"), some(&["2", "3"]));
    assert_eq!(causes(&passed), ["n: type @ 5"], "neither kept nor set aside");
    let tally = &passed.tally;
    assert_eq!((tally.rows_read, tally.rows_passed, tally.rows_quarantined, tally.rows_forgotten), (5, 2, 1, 2));
    assert_eq!(tally.masked["cpf"], 2, "{tally:?}");
}
