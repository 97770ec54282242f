//! Personal data in columns that nobody called personal.

use super::*;
use crate::contract::OnPersonalData;
use crate::error::Kind;

const CPF: &str = "529.982.247-25";

fn notes(change: impl FnOnce(&mut Property)) -> Entity {
    entity(vec![property("id", DataType::Int64), with("notes", DataType::Utf8, change)])
}

fn rows(values: &[Option<&str>]) -> Vec<(&'static str, ArrayRef)> {
    let ids: Vec<String> = (1..=values.len()).map(|id| id.to_string()).collect();
    vec![("id", words(&ids.iter().map(String::as_str).collect::<Vec<_>>())), ("notes", text(values))]
}

#[test]
fn the_row_is_set_aside_and_the_value_hidden() {
    let passed = pass(notes(|_| {}), rows(&[Some("ok"), Some(CPF), None]));
    assert_eq!(causes(&passed), ["notes: personal_data @ 2"]);
    assert_eq!(shown(aside(&passed), "row"), some(&["{\"id\":\"2\",\"notes\":\"***\"}"]));
    let reason = shown(aside(&passed), "reason")[0].clone().expect("a reason");
    assert!(
        reason.contains("classification: personal.cpf") && reason.contains("holds_personal_data: false"),
        "{reason}"
    );
    assert_eq!((passed.tally.rows_passed, passed.tally.undeclared["notes: cpf"]), (2, 1));
}

#[test]
fn a_contract_can_say_stop_or_only_warn() {
    let policy = |on_personal_data| Entity { on_personal_data, ..notes(|_| {}) };
    let error = gate(policy(OnPersonalData::Fail)).pass(raw(rows(&[Some(CPF)])), NOW).err().expect("a stop");
    assert_eq!((error.kind, error.what.as_str()), (Kind::Refused, "column `notes` of `payments`"));
    assert!(!format!("{error:?}").contains("529"), "{error:?}");
    let warned = pass(policy(OnPersonalData::Warn), rows(&[Some(CPF), Some("ok")]));
    assert_eq!((warned.tally.rows_passed, warned.tally.undeclared["notes: cpf"]), (2, 1));
    assert!(warned.quarantined.is_none());
}

#[test]
fn a_column_that_states_to_be_nobodys_is_left_alone() {
    let public = |p: &mut Property| p.classification = Some(Classification::new("public.registry"));
    for contract in [notes(|p| p.not_personal = true), notes(public)] {
        let passed = pass(contract, rows(&[Some(CPF)]));
        assert_eq!((passed.tally.rows_passed, passed.tally.undeclared.len()), (1, 0));
    }
    let internal = notes(|p| p.classification = Some(Classification::new("internal")));
    assert_eq!(pass(internal, rows(&[Some(CPF)])).tally.rows_passed, 0, "a class that says nothing of people");
    let hidden = entity(vec![property("id", DataType::Int64), masked("notes", DataType::Utf8, "redact")]);
    assert_eq!(pass(hidden, rows(&[Some(CPF)])).tally.rows_passed, 1, "a masked column");
}

#[test]
fn a_sample_raises_the_alarm_and_then_every_value_is_looked_at() {
    let mut many: Vec<Option<&str>> = vec![Some("ok"); 10_000];
    many[9_999] = Some(CPF);
    let mut gate = gate(notes(|_| {}));
    assert_eq!(gate.pass(raw(rows(&many)), NOW).expect("it passes").tally.rows_passed, 10_000, "not in the sample");
    many[0] = Some(CPF);
    assert_eq!(gate.pass(raw(rows(&many)), NOW).expect("it passes").tally.rows_passed, 9_998);
    many[0] = Some("ok");
    assert_eq!(gate.pass(raw(rows(&many)), NOW).expect("it passes").tally.rows_passed, 9_999, "it is suspected now");
    // Among many nulls the values are what is sampled.
    let mut sparse: Vec<Option<&str>> = vec![None; 10_000];
    sparse[9_999] = Some(CPF);
    assert_eq!(pass(notes(|_| {}), rows(&sparse)).tally.rows_passed, 9_999);
}
