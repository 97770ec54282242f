//! Keys over batches, over runs, over masks.

use super::*;
use arrow::array::Decimal128Array;
use arrow::compute::cast;

fn key(name: &str, data_type: DataType) -> Property {
    with(name, data_type, |p| p.unique = true)
}

fn doubles(gate: &mut Gate, columns: Vec<(&str, ArrayRef)>) -> Vec<String> {
    causes(&gate.pass(raw(columns), NOW).expect("rows are parted"))
}

#[test]
fn a_key_passes_once_in_a_run() {
    let mut gate = gate(entity(vec![key("id", DataType::Int64)]));
    assert_eq!(doubles(&mut gate, vec![("id", text(&[Some("1"), Some("1"), None, None]))]), ["id: unique @ 2"]);
    assert_eq!(doubles(&mut gate, vec![("id", words(&["2", "01"]))]), ["id: unique @ 2"]);
}

#[test]
fn a_row_set_aside_for_something_else_does_not_take_its_key() {
    let mut gate = gate(entity(vec![key("id", DataType::Int64), property("n", DataType::Int64)]));
    let columns = vec![("id", words(&["1", "1", "1"])), ("n", words(&["x", "1", "2"]))];
    assert_eq!(doubles(&mut gate, columns), ["n: type @ 1", "id: unique @ 3"]);
}

#[test]
fn keys_of_earlier_runs_count_however_the_table_encodes_them() {
    let properties = vec![
        with("a", DataType::Utf8, |p| p.primary_key = Some(2)),
        with("b", DataType::Decimal128(12, 2), |p| p.primary_key = Some(1)),
    ];
    for encoding in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View] {
        let mut gate = gate(entity(properties.clone()));
        assert_eq!(gate.unique_columns(), [["b", "a"]]);
        let b: ArrayRef =
            Arc::new(Decimal128Array::from(vec![150]).with_precision_and_scale(12, 2).expect("a decimal"));
        let a = cast(&words(&["a key longer than a view"]), &encoding).expect("an encoding");
        gate.remember(&RecordBatch::try_from_iter([("a", a), ("b", b)]).expect("a batch")).expect("keys");
        let a = words(&["a key longer than a view", "a key longer than a view", "other"]);
        let found = doubles(&mut gate, vec![("a", a), ("b", words(&["1.5", "1.6", "1.50"]))]);
        assert_eq!(found, ["b, a: unique @ 1"], "{encoding}");
    }
}

#[test]
fn masked_keys_are_compared_as_they_are_stored() {
    let person = with("cpf", DataType::Utf8, |p| {
        *p = Property { unique: true, ..masked("cpf", DataType::Utf8, "pseudonym(person)") }
    });
    let mut first = gate(entity(vec![person.clone()]));
    let stored = first.pass(raw(vec![("cpf", words(&["1", "2"]))]), NOW).expect("rows pass").safe.into_batch();
    let mut second = gate(entity(vec![person]));
    second.remember(&stored).expect("keys");
    assert_eq!(doubles(&mut second, vec![("cpf", words(&["3", "2"]))]), ["cpf: unique @ 2"]);
}

#[test]
fn keys_that_the_mask_scatters_or_removes_are_unique_within_the_run() {
    for mask in ["random", "redact", "drop"] {
        let mut gate = gate(entity(vec![Property { unique: true, ..masked("cpf", DataType::Utf8, mask) }]));
        assert_eq!(gate.unique_columns(), [[""; 0]; 0], "the table can't tell");
        assert_eq!(doubles(&mut gate, vec![("cpf", words(&["1", "2", "1"]))]), ["cpf: unique @ 3"], "{mask}");
        assert_eq!(doubles(&mut gate, vec![("cpf", words(&["2", "3"]))]), ["cpf: unique @ 1"], "{mask}");
    }
}

#[test]
fn a_source_that_gives_rows_again_has_them_let_go_by_the_primary_key() {
    let id = with("id", DataType::Int64, |p| p.primary_key = Some(1));
    let mail = with("mail", DataType::Utf8, |p| p.unique = true);
    let mut gate = gate(entity(vec![id, mail]));
    let give = |gate: &mut Gate, ids: &[&str], mails: &[&str]| {
        gate.pass(raw(vec![("id", words(ids)), ("mail", words(mails))]).may_repeat(), NOW).expect("rows pass")
    };
    give(&mut gate, &["1", "2"], &["a", "b"]);
    let passed = give(&mut gate, &["2", "3", "3", "x", "4"], &["b", "c", "c", "d", "a"]);
    assert_eq!(causes(&passed), ["id: type @ 4", "mail: unique @ 5"]);
    let tally = &passed.tally;
    assert_eq!((tally.rows_read, tally.rows_passed, tally.rows_quarantined, tally.rows_repeated), (5, 1, 2, 2));

    let hidden = Property { primary_key: Some(1), ..masked("id", DataType::Utf8, "random") };
    let refused = super::gate(entity(vec![hidden])).pass(raw(vec![("id", words(&["1"]))]).may_repeat(), NOW);
    assert!(refused.err().is_some_and(|e| e.detail.contains("can be joined on")));
}
