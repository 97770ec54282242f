//! Rows that come back out of the quarantine, after the contract was mended.

use super::*;
use crate::contract::Bound;
use arrow::array::{BooleanArray, Date32Array, Decimal128Array, Float64Array, ListArray, TimestampNanosecondArray};

const DECIMAL: DataType = DataType::Decimal128(12, 2);

/// Lets rows fall under `then`, and replays them under `now`.
fn replay(then: Entity, columns: Vec<(&str, ArrayRef)>, now: Entity) -> Replayed {
    let held = aside(&pass(then, columns)).clone();
    gate(now).replay(&held).expect("a replay")
}

/// Rows that pass and rows that stay.
fn counts(replayed: &Replayed) -> (usize, usize) {
    (replayed.passed.safe.num_rows(), replayed.staying.num_rows())
}

fn at_least(value: &str) -> impl FnOnce(&mut Property) {
    let value = value.to_owned();
    |p| p.constraints.min = Some(Bound { value, exclusive: false })
}

/// A row falls for `x` alone, so that all other columns are as they came.
fn fallen(property: Property) -> (Entity, Entity) {
    let now = entity(vec![property.clone(), super::property("x", DataType::Int64)]);
    let then = entity(vec![property, with("x", DataType::Int64, at_least("5"))]);
    (then, now)
}

#[test]
fn a_mended_contract_lets_rows_pass_with_their_old_place() {
    let then = entity(vec![property("amount", DECIMAL), masked("cpf", DataType::Utf8, "pseudonym(person)")]);
    let now = entity(vec![
        with("amount", DECIMAL, |p| p.decimal_comma = true),
        masked("cpf", DataType::Utf8, "pseudonym(person)"),
    ]);
    let passed = pass(then, vec![("amount", words(&["1.00", "1.234,56", "x"])), ("cpf", words(&["1", "2", "3"]))]);
    let stamp =
        Stamp { source: "other".into(), contract_version: "1.1.0".into(), run_id: "run-2".into(), changes: false };
    let mut gate = Gate::new(now, &Toys, Vec::new(), stamp, Arc::new(Eyes)).expect("a contract");
    let replayed = gate.replay(aside(&passed)).expect("a replay");
    assert_eq!(counts(&replayed), (1, 1));
    let batch = replayed.passed.safe.batch();
    assert_eq!(shown(batch, "amount"), some(&["1234.56"]));
    let pseudonym = Toy { spec: "pseudonym(person)".into() }.mask("2");
    assert_eq!(shown(batch, "cpf"), [Some(pseudonym)], "masked once, not twice");
    assert_eq!(shown(batch, "_contract_version"), some(&["1.1.0"]));
    assert_eq!((shown(batch, "_run_id"), shown(batch, "_source")), (some(&["run-1"]), some(&["files"])));
    assert_eq!(shown(batch, "_position"), some(&["{\"partition\":\"a.csv\",\"offset\":2}"]));
    let tally = &replayed.passed.tally;
    assert_eq!((tally.rows_read, tally.rows_passed, tally.rows_quarantined), (2, 1, 1));
    let staying = gate.staying(&replayed.staying).expect("the quarantine's schema");
    assert_eq!((staying.schema(), shown(staying.batch(), "rule")), (quarantine_schema(), some(&["type"])));
}

#[test]
fn a_row_that_breaks_a_rule_still_stays() {
    let contract = || entity(vec![with("x", DataType::Int64, at_least("5"))]);
    assert_eq!(counts(&replay(contract(), vec![("x", words(&["1", "2"]))], contract())), (0, 2));
    let lower = entity(vec![with("x", DataType::Int64, at_least("2"))]);
    assert_eq!(counts(&replay(contract(), vec![("x", words(&["1", "2"]))], lower)), (1, 1));
}

#[test]
fn a_hidden_value_stays_whatever_the_contract_says() {
    let then = entity(vec![property("x", DataType::Int64)]);
    let now = entity(vec![property("x", DataType::Utf8)]);
    assert_eq!(counts(&replay(then, vec![("x", words(&["Ana", "1.5"]))], now)), (1, 1));
}

#[test]
fn a_rule_on_a_masked_column_stays_until_it_is_taken_away() {
    let cpf = |change: &dyn Fn(&mut Property)| {
        let mut cpf = masked("cpf", DataType::Utf8, "redact");
        change(&mut cpf);
        entity(vec![cpf, property("x", DataType::Int64)])
    };
    let strict = || cpf(&|p| p.constraints.pattern = Some("[0-9]+".into()));
    let rows = || vec![("cpf", words(&["abc"])), ("x", words(&["1"]))];
    assert_eq!(counts(&replay(strict(), rows(), strict())), (0, 1));
    assert_eq!(counts(&replay(strict(), rows(), cpf(&|_| {}))), (1, 0));
    let required = || cpf(&|p| p.required = true);
    let absent = || vec![("cpf", text(&[None])), ("x", words(&["1"]))];
    assert_eq!(counts(&replay(required(), absent(), required())), (0, 1));
    assert_eq!(counts(&replay(required(), absent(), cpf(&|_| {}))), (1, 0));
}

#[test]
fn a_rule_that_was_not_the_first_to_break_is_not_forgotten() {
    let cpf = || with("cpf", DataType::Int64, |p| *p = masked("cpf", DataType::Int64, "redact"));
    let then = entity(vec![with("x", DataType::Int64, at_least("5")), cpf()]);
    let now = entity(vec![property("x", DataType::Int64), cpf()]);
    let rows = vec![("x", words(&["1", "1"])), ("cpf", words(&["no number", "1"]))];
    let replayed = replay(then, rows, now);
    assert_eq!(counts(&replayed), (1, 1), "the mask never saw `no number`");
    assert_eq!(shown(replayed.passed.safe.batch(), "cpf"), some(&[HIDDEN]));
}

#[test]
fn a_column_that_is_masked_now_is_masked_on_its_way_out() {
    let (then, mut now) = fallen(property("name", DataType::Utf8));
    now.properties[0] = masked("name", DataType::Utf8, "pseudonym(person)");
    let replayed = replay(then, vec![("name", words(&["Ana"])), ("x", words(&["1"]))], now);
    let pseudonym = Toy { spec: "pseudonym(person)".into() }.mask("Ana");
    assert_eq!(shown(replayed.passed.safe.batch(), "name"), [Some(pseudonym)]);
}

#[test]
fn a_column_that_was_masked_otherwise_stays() {
    for now_masked in ["redact", "pseudonym(other)", "drop", ""] {
        let (then, mut now) = fallen(masked("name", DataType::Utf8, "pseudonym(person)"));
        now.properties[0] = match now_masked {
            "" => property("name", DataType::Utf8),
            mask => masked("name", DataType::Utf8, mask),
        };
        let rows = vec![("name", words(&["Ana"])), ("x", words(&["1"]))];
        assert_eq!(counts(&replay(then, rows, now)), (0, 1), "{now_masked}");
    }
}

#[test]
fn a_column_without_a_place_in_the_contract_stays() {
    let (mut then, now) = fallen(property("n", DataType::Int64));
    let rows = |new| vec![("n", words(&["1", "2"])), ("x", words(&["1", "9"])), ("new", new)];
    let mut named = now;
    named.properties.push(property("new", DataType::Utf8));
    then.schema_change = SchemaChange::Quarantine;
    let new = || text(&[None, Some("secret")]);
    assert_eq!(counts(&replay(then.clone(), rows(new()), named)), (1, 1), "the value was hidden");
    let without = entity(vec![property("x", DataType::Int64)]);
    assert_eq!(counts(&replay(then, rows(new()), without)), (0, 2), "`n` would be lost");
}

#[test]
fn every_type_comes_back_as_it_would_have_passed() {
    let micros = 1_782_907_200_123_456_i64;
    let list = DataType::List(Arc::new(Field::new("item", DataType::Int64, true)));
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1), None])]);
    let comma = |p: &mut Property| p.decimal_comma = true;
    let cases: Vec<(Property, ArrayRef)> = vec![
        (property("c", DataType::Utf8), words(&["a \"quoted\" text\nof two lines"])),
        (property("c", DECIMAL), Arc::new(Float64Array::from(vec![10.1]))),
        (with("c", DataType::Decimal128(9, 3), comma), words(&["1.234,5"])),
        (
            with("c", DataType::Decimal128(9, 3), comma),
            Arc::new(Decimal128Array::from(vec![1234]).with_precision_and_scale(9, 3).expect("a decimal")),
        ),
        (property("c", DataType::Float64), Arc::new(Float64Array::from(vec![1e-7]))),
        (property("c", DataType::Boolean), Arc::new(BooleanArray::from(vec![false]))),
        (property("c", DataType::Date32), Arc::new(Date32Array::from(vec![-1]))),
        (with("c", DataType::Date32, |p| p.format = Some("%d/%m/%Y".into())), words(&["31/12/2026"])),
        (
            property("c", MICROS_UTC()),
            Arc::new(TimestampNanosecondArray::from(vec![micros * 1000]).with_timezone("-03:00")),
        ),
        (property("c", DataType::Timestamp(TimeUnit::Microsecond, None)), words(&["2026-07-01T12:00:00.000001"])),
        (property("c", list), Arc::new(lists)),
        (masked("c", DataType::Int64, "tens"), words(&["37"])),
        (masked("c", DataType::Int64, "drop"), words(&["37"])),
        (masked("c", DataType::Date32, "pseudonym(person)"), words(&["1961-07-23"])),
    ];
    for (property, column) in cases {
        let about = format!("{property:?} of {}", column.data_type());
        let (then, now) = fallen(property);
        let rows = || vec![("c", column.clone()), ("x", words(&["1"]))];
        let straight = pass(now.clone(), rows()).safe.into_batch();
        let replayed = replay(then, rows(), now);
        assert_eq!(counts(&replayed), (1, 0), "{about}");
        assert_eq!(replayed.passed.safe.batch(), &straight, "{about}");
    }
}

#[test]
fn keys_are_held_again() {
    let keyed = |mask: Option<&str>, unique| {
        let id = mask.map_or(property("id", DataType::Utf8), |mask| masked("id", DataType::Utf8, mask));
        entity(vec![Property { unique, ..id }])
    };
    for mask in [None, Some("pseudonym(person)")] {
        let passed = pass(keyed(mask, true), vec![("id", words(&["1", "1"]))]);
        let mut gate = gate(keyed(mask, true));
        assert_eq!(counts(&gate.replay(aside(&passed)).expect("a replay")), (1, 0), "the table is empty");
        assert_eq!(counts(&gate.replay(aside(&passed)).expect("a replay")), (0, 1), "now it is not");
    }
    let rows = || vec![("id", words(&["1", "1"]))];
    assert_eq!(counts(&replay(keyed(Some("random"), true), rows(), keyed(Some("random"), true))), (0, 1));
    assert_eq!(counts(&replay(keyed(Some("random"), true), rows(), keyed(Some("random"), false))), (1, 0));
}

#[test]
fn a_dropped_value_stays_dropped() {
    let cpf = masked("cpf", DataType::Int64, "pseudonym(person)");
    let (mut then, mut now) = fallen(cpf);
    then.properties[1].required = true;
    (then.on_violation, now.on_violation) = (OnViolation::DropValue, OnViolation::DropValue);
    let replayed = replay(then, vec![("cpf", words(&["no number"])), ("x", words(&["1"]))], now);
    assert_eq!(counts(&replayed), (1, 0));
    assert_eq!(shown(replayed.passed.safe.batch(), "cpf"), [None]);
}

#[test]
fn what_could_not_be_split_into_fields_stays() {
    let contract = || entity(vec![property("x", DataType::Int64)]);
    let malformed = vec![Malformed { offset: 2, reason: "too many fields".into() }];
    let passed = gate(contract()).pass(raw(vec![("x", words(&["1"]))]).with_malformed(malformed), NOW).expect("a pass");
    let replayed = gate(contract()).replay(aside(&passed)).expect("a replay");
    assert_eq!(counts(&replayed), (0, 1));
    let none = replayed.staying.slice(0, 0);
    assert_eq!(counts(&gate(contract()).replay(&none).expect("a replay")), (0, 0));
}

/// `x` must be above 0; tells what it reads, or not.
struct Positive(Option<Vec<String>>);

/// The same, of a kind of which a column has one.
struct Form(&'static str, [String; 1]);

impl RowRule for Form {
    fn rule(&self) -> &'static str {
        "format"
    }

    fn name(&self) -> &str {
        self.0
    }

    fn column(&self) -> Option<&str> {
        Some("x")
    }

    fn reads(&self) -> Option<&[String]> {
        Some(&self.1)
    }

    fn violates(&self, typed: &RecordBatch) -> Result<BooleanArray> {
        Positive(None).violates(typed)
    }
}

#[test]
fn a_form_of_masked_text_stands_also_in_another_shape() {
    let run = |now: Option<&'static str>| {
        let form = |name| -> Vec<Box<dyn RowRule>> { vec![Box::new(Form(name, ["x".into()]))] };
        let contract = || entity(vec![masked("x", DataType::Int64, "redact")]);
        let rows = raw(vec![("x", words(&["0"]))]);
        let passed = try_gate(contract(), form("is a CPF")).and_then(|mut gate| gate.pass(rows, NOW)).expect("a pass");
        assert_eq!(causes(&passed), ["x: format @ 1"]);
        let mut gate = try_gate(contract(), now.map_or(Vec::new(), form)).expect("a contract");
        counts(&gate.replay(aside(&passed)).expect("a replay"))
    };
    assert_eq!((run(Some("is a CPF")), run(Some("is a CNPJ")), run(None)), ((0, 1), (0, 1), (1, 0)));
}

impl RowRule for Positive {
    fn name(&self) -> &str {
        "x is positive"
    }

    fn column(&self) -> Option<&str> {
        Some("x")
    }

    fn reads(&self) -> Option<&[String]> {
        self.0.as_deref()
    }

    fn violates(&self, typed: &RecordBatch) -> Result<BooleanArray> {
        let x = typed.column_by_name("x").expect("the column").as_primitive::<Int64Type>();
        Ok(x.iter().map(|x| x.map(|x| x <= 0)).collect())
    }
}

#[test]
fn row_rules_are_held_again_or_stand() {
    let run = |property: Property, rule: fn() -> Option<Vec<String>>, still: bool| {
        let contract = || entity(vec![property.clone(), masked("cpf", DataType::Utf8, "redact")]);
        let rules =
            |on: bool| -> Vec<Box<dyn RowRule>> { if on { vec![Box::new(Positive(rule()))] } else { Vec::new() } };
        let rows = raw(vec![("x", words(&["0"])), ("cpf", words(&["1"]))]);
        let passed = try_gate(contract(), rules(true)).and_then(|mut gate| gate.pass(rows, NOW)).expect("a pass");
        let replayed = try_gate(contract(), rules(still)).and_then(|mut gate| gate.replay(aside(&passed)));
        counts(&replayed.expect("a replay"))
    };
    let open = || property("x", DataType::Int64);
    assert_eq!(run(open(), || None, true), (0, 1));
    assert_eq!(run(open(), || None, false), (1, 0));
    assert_eq!(run(open(), || Some(vec!["x".into()]), true), (0, 1), "held again");
    let hidden = || masked("x", DataType::Int64, "redact");
    assert_eq!(run(hidden(), || Some(vec!["x".into()]), true), (0, 1), "it can't be, so it stands");
    assert_eq!(run(hidden(), || Some(vec!["x".into()]), false), (1, 0));
}

#[test]
fn a_value_that_parses_now_is_held_to_the_row_rules() {
    let contract =
        |comma| entity(vec![property("x", DataType::Int64), with("y", DECIMAL, |p| p.decimal_comma = comma)]);
    let rules = || -> Vec<Box<dyn RowRule>> { vec![Box::new(Positive(None))] };
    let rows = raw(vec![("x", words(&["0", "1"])), ("y", words(&["1,5", "1,5"]))]);
    let passed = try_gate(contract(false), rules()).and_then(|mut gate| gate.pass(rows, NOW)).expect("a pass");
    let replayed = try_gate(contract(true), rules()).and_then(|mut gate| gate.replay(aside(&passed)));
    assert_eq!(counts(&replayed.expect("a replay")), (1, 1));
}
