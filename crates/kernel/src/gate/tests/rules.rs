//! Each rule, and each policy for rows that break one.

use super::*;
use crate::contract::Bound;
use arrow::array::{BooleanArray, Decimal128Array, Float64Array, Int32Array};

/// Holds a column to constraints; gives the offsets of the rows set aside.
fn broken(data_type: DataType, column: ArrayRef, rule: &str, constrain: impl FnOnce(&mut Constraints)) -> Vec<usize> {
    let property = with("x", data_type, |p| constrain(&mut p.constraints));
    let passed = pass(entity(vec![property]), vec![("x", column)]);
    let rows: Vec<String> = causes(&passed);
    rows.iter()
        .map(|cause| cause.strip_prefix(&format!("x: {rule} @ ")).expect(cause).parse().expect("an offset"))
        .collect()
}

fn bound(value: &str, exclusive: bool) -> Option<Bound> {
    Some(Bound { value: value.into(), exclusive })
}

fn decimals(values: Vec<i128>) -> ArrayRef {
    Arc::new(Decimal128Array::from(values).with_precision_and_scale(12, 2).expect("a decimal"))
}

#[test]
fn a_required_value_is_there() {
    let property = with("x", DataType::Int64, |p| p.required = true);
    let columns = vec![("x", text(&[Some("1"), None, Some("y")]))];
    assert_eq!(
        causes(&pass(entity(vec![property.clone()]), columns)),
        ["x: type @ 3", "x: required @ 2"].map(String::from).into_iter().rev().collect::<Vec<_>>()
    );
    let absent = pass(entity(vec![property, super::property("y", DataType::Utf8)]), vec![("y", words(&["a"]))]);
    assert_eq!(causes(&absent), ["x: required @ 1"]);
}

#[test]
fn text_matches_its_pattern_as_a_whole() {
    let pattern = |column, to, pattern: &str| broken(to, column, "pattern", |c| c.pattern = Some(pattern.into()));
    let codes = text(&[Some("AB1"), Some("xAB1"), Some("AB1\n"), None, Some("")]);
    assert_eq!(pattern(codes, DataType::Utf8, "[A-Z]+1|b"), [2, 3, 5]);
    assert_eq!(pattern(words(&["12", "123"]), DataType::Int64, r"\d{2}"), [2]);
    assert_eq!(pattern(words(&["1.5", "1.25"]), DataType::Decimal128(9, 2), r"\d\.\d0"), [2]);
    assert_eq!(pattern(words(&["2026-07-01T12:00", "2025-07-01T12:00"]), MICROS_UTC(), "2026.*"), [2]);
    let wrong = with("x", DataType::Utf8, |p| p.constraints.pattern = Some("(".into()));
    assert_eq!(try_gate(entity(vec![wrong]), Vec::new()).err().map(|e| e.kind), Some(Kind::Project));
}

#[test]
fn length_counts_characters() {
    let long = "é".repeat(13);
    let values = [Some("ção"), Some("a"), None, Some(long.as_str()), Some("")];
    let length =
        |min, max| broken(DataType::Utf8, text(&values), "length", |c| (c.min_length, c.max_length) = (min, max));
    assert_eq!(length(Some(2), Some(3)), [2, 4, 5]);
    assert_eq!(length(None, Some(13)), [0; 0]);
    assert_eq!(length(Some(1), None), [5]);
}

#[test]
fn only_accepted_values_pass() {
    let accept = |values: &[&str]| Some(values.iter().map(ToString::to_string).collect::<Vec<_>>());
    let text = text(&[Some("pix"), Some("PIX"), None, Some("card")]);
    assert_eq!(broken(DataType::Utf8, text, "accepted", |c| c.accepted = accept(&["pix", "card"])), [2]);
    let amounts = decimals(vec![1000, 1050, 1001]);
    assert_eq!(broken(DataType::Decimal128(12, 2), amounts, "accepted", |c| c.accepted = accept(&["10", "10.5"])), [3]);
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]));
    assert_eq!(broken(DataType::Boolean, flags, "accepted", |c| c.accepted = accept(&["true"])), [2]);
}

#[test]
fn bounds_are_kept_with_and_without_their_ends() {
    let ints: ArrayRef = Arc::new(Int32Array::from(vec![Some(0), Some(1), None, Some(9), Some(10)]));
    let int = |rule: &str, min, max| broken(DataType::Int32, ints.clone(), rule, |c| (c.min, c.max) = (min, max));
    assert_eq!(int("min", bound("1", false), None), [1]);
    assert_eq!(int("min", bound("1", true), None), [1, 2]);
    assert_eq!(int("max", None, bound("9", false)), [5]);
    assert_eq!(int("max", None, bound("9", true)), [4, 5]);
    let amounts = || decimals(vec![-1, 0, 1]);
    assert_eq!(broken(DataType::Decimal128(12, 2), amounts(), "min", |c| c.min = bound("0", true)), [1, 2]);
    let days = words(&["2025-12-31", "2026-01-01"]);
    assert_eq!(broken(DataType::Date32, days, "min", |c| c.min = bound("2026-01-01", false)), [1]);
    let times = words(&["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"]);
    assert_eq!(broken(MICROS_UTC(), times, "max", |c| c.max = bound("2026-01-01T00:00:00Z", false)), [2]);
    let wrong = with("x", DataType::Int64, |p| p.constraints.min = bound("a", false));
    assert_eq!(try_gate(entity(vec![wrong]), Vec::new()).err().map(|e| e.kind), Some(Kind::Project));
}

#[test]
fn multiples_hold_over_scales_and_types() {
    let of =
        |data_type, column, step: &str| broken(data_type, column, "multiple_of", |c| c.multiple_of = Some(step.into()));
    let amounts = || decimals(vec![0, 5, 25, -25, 26, 100]);
    assert_eq!(of(DataType::Decimal128(12, 2), amounts(), "0.05"), [5]);
    assert_eq!(of(DataType::Decimal128(12, 2), amounts(), "0.25"), [2, 5]);
    assert_eq!(of(DataType::Decimal128(12, 2), amounts(), "1"), [2, 3, 4, 5]);
    assert_eq!(of(DataType::Decimal128(12, 2), amounts(), "0.005"), [0; 0]);
    assert_eq!(of(DataType::Int64, words(&["5", "6", "-10"]), "2.5"), [2]);
    let big = words(&["99999999999999999999999999999999999999", "99999999999999999999999999999999999998"]);
    assert_eq!(of(DataType::Decimal128(38, 0), big, "9"), [2]);
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.3), Some(0.35), None]));
    assert_eq!(of(DataType::Float64, floats, "0.1"), [2]);
    for (data_type, step) in [(DataType::Int64, "0"), (DataType::Int64, "x"), (DataType::Utf8, "1")] {
        let wrong = with("x", data_type, |p| p.constraints.multiple_of = Some(step.into()));
        assert_eq!(try_gate(entity(vec![wrong]), Vec::new()).err().map(|e| e.kind), Some(Kind::Project), "{step}");
    }
}

/// `a` must not be above `b`.
struct Ordered;

impl RowRule for Ordered {
    fn name(&self) -> &str {
        "a is not above b"
    }

    fn column(&self) -> Option<&str> {
        None
    }

    fn violates(&self, typed: &RecordBatch) -> Result<BooleanArray> {
        let column = |name| typed.column_by_name(name).expect("the column").clone();
        Ok(arrow::compute::kernels::cmp::gt(&column("a"), &column("b")).expect("a comparison"))
    }
}

fn ordered(on_violation: OnViolation) -> Gate {
    let a = with("a", DataType::Int64, |p| p.constraints.min = bound("0", false));
    let b = with("b", DataType::Int64, |p| p.required = true);
    let entity = Entity { on_violation, ..entity(vec![a, b]) };
    try_gate(entity, vec![Box::new(Ordered)]).expect("a good contract")
}

fn ordered_rows() -> Raw {
    let a = text(&[Some("1"), Some("9"), Some("-1"), Some("x"), None, Some("-2")]);
    raw(vec![("a", a), ("b", text(&[Some("2"), Some("2"), Some("2"), Some("2"), Some("2"), None]))])
}

#[test]
fn quarantine_sets_rows_aside_with_all_rules_they_broke() {
    let passed = ordered(OnViolation::Quarantine).pass(ordered_rows(), NOW).expect("rows are parted");
    assert_eq!(causes(&passed), [": sql @ 2", "a: min @ 3", "a: type @ 4", "a: min @ 6"]);
    assert_eq!(shown(passed.safe.batch(), "a"), [Some("1".into()), None]);
    let batch = aside(&passed);
    assert_eq!(shown(batch, "reason")[0].as_deref(), Some("a is not above b"));
    assert_eq!(shown(batch, "reason")[2].as_deref(), Some("not a whole number in range"));
    assert_eq!(shown(batch, "also")[0..3], [None, None, None]);
    let other = "[{\"rule\":\"required\",\"column\":\"b\",\"reason\":\"is missing\"}]";
    assert_eq!(shown(batch, "also")[3].as_deref(), Some(other));
    let tally = &passed.tally;
    assert_eq!((tally.rows_read, tally.rows_passed, tally.rows_quarantined), (6, 2, 4));
    let counts: Vec<(&str, u64)> = tally.causes.iter().map(|(cause, count)| (cause.as_str(), *count)).collect();
    assert_eq!(counts, [("a: min", 2), ("a: type", 1), ("sql", 1)]);
}

#[test]
fn drop_value_puts_null_but_not_where_a_value_is_required() {
    let passed = ordered(OnViolation::DropValue).pass(ordered_rows(), NOW).expect("rows are parted");
    assert_eq!(causes(&passed), [": sql @ 2", "b: required @ 6"]);
    assert_eq!(shown(passed.safe.batch(), "a"), [Some("1".into()), None, None, None]);
    assert_eq!(passed.tally.values_dropped, 3);
}

#[test]
fn fail_stops_with_the_first_bad_row_and_no_value() {
    let error = ordered(OnViolation::Fail).pass(ordered_rows(), NOW).err().expect("a stop");
    assert_eq!((error.kind, error.what.as_str()), (Kind::Contract, "a.csv:2: sql"));
    assert!(error.detail.contains("4 rows of this batch break the contract of `payments`"), "{error}");
    let malformed = vec![Malformed { offset: 7, reason: "3 fields where the header has 2".into() }];
    let good = raw(vec![("a", words(&["1"])), ("b", words(&["2"]))]);
    let error = ordered(OnViolation::Fail).pass(good.with_malformed(malformed), NOW).err().expect("a stop");
    assert_eq!(error.what, "a.csv:7: malformed");
    assert!(ordered(OnViolation::Fail).pass(raw(vec![("a", words(&["1"])), ("b", words(&["2"]))]), NOW).is_ok());
}

/// Answers for fewer rows than it was shown.
struct Short;

impl RowRule for Short {
    fn name(&self) -> &str {
        "short"
    }

    fn column(&self) -> Option<&str> {
        None
    }

    fn violates(&self, _: &RecordBatch) -> Result<BooleanArray> {
        Ok(BooleanArray::from(vec![true]))
    }
}

#[test]
fn a_row_rule_answers_for_each_row() {
    let mut gate = try_gate(entity(vec![property("a", DataType::Utf8)]), vec![Box::new(Short)]).expect("a contract");
    let error = gate.pass(raw(vec![("a", words(&["1", "2"]))]), NOW).err().expect("a stop");
    assert_eq!(error.kind, Kind::Internal);
}
