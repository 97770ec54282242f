//! Masks that treat each person by itself.

use super::*;

const OWN: &str = "own(subject: cpf)";

fn contract(on_violation: OnViolation) -> Entity {
    let email = masked("email", DataType::Utf8, OWN);
    Entity {
        on_violation,
        ..entity(vec![email, masked("cpf", DataType::Utf8, "pseudonym(person)"), property("x", DataType::Int64)])
    }
}

fn rows() -> Vec<(&'static str, ArrayRef)> {
    let emails = text(&[Some("a@x"), Some("b@x"), None]);
    vec![("email", emails), ("cpf", text(&[Some("1"), None, None])), ("x", words(&["1", "2", "3"]))]
}

fn hidden(value: &str, whose: &str) -> String {
    let toy = Toy { spec: OWN.into() };
    format!("{} of personal.cpf {}", toy.mask(value), toy.mask(whose))
}

#[test]
fn a_mask_is_told_whose_a_row_is_before_that_is_masked() {
    let passed = pass(contract(OnViolation::Quarantine), rows());
    assert_eq!(
        shown(passed.safe.batch(), "email"),
        [Some(hidden("a@x", "1")), None],
        "a row without a value needs nobody"
    );
    assert_eq!(causes(&passed), ["email: mask @ 2"]);
    assert_eq!(shown(aside(&passed), "reason"), some(&["nobody's"]));
    let row = shown(aside(&passed), "row").remove(0).expect("a row");
    assert!(row.contains("\"email\":\"***\""), "{row}");
}

#[test]
fn what_becomes_of_a_row_of_nobodys_is_the_contracts_policy() {
    let dropped = pass(contract(OnViolation::DropValue), rows());
    assert_eq!(shown(dropped.safe.batch(), "email"), [Some(hidden("a@x", "1")), None, None]);
    assert_eq!((dropped.tally.values_dropped, dropped.quarantined.is_none()), (1, true));
    let failed = gate(contract(OnViolation::Fail)).pass(raw(rows()), NOW).map(|_| ()).map_err(|e| (e.kind, e.what));
    assert_eq!(failed, Err((Kind::Contract, "a.csv:2: email: mask".into())));
}

#[test]
fn a_replay_can_not_make_up_for_a_subject_that_is_gone() {
    let replay = |then: Entity, now: Entity, rows| {
        let passed = pass(then, rows);
        let replayed = gate(now).replay(aside(&passed)).expect("a replay");
        (replayed.passed.safe.num_rows(), replayed.staying.num_rows())
    };
    let now = || contract(OnViolation::Quarantine);
    assert_eq!(replay(now(), now(), rows()), (0, 1), "the value was not kept");
    // The rows fall for `x`.
    let fallen = || vec![("email", words(&["aa"])), ("cpf", words(&["1"])), ("x", words(&["1,5"]))];
    let then = |email: Option<&str>, cpf: Option<&str>| {
        let mut then = contract(OnViolation::Quarantine);
        then.properties[0].mask = email.map(|mask| MaskSpec::parse(mask).expect("a mask"));
        then.properties[1].mask = cpf.map(|mask| MaskSpec::parse(mask).expect("a mask"));
        then
    };
    let mended = || {
        let mut now = now();
        now.properties[2] = with("x", DataType::Decimal128(4, 1), |p| p.decimal_comma = true);
        now
    };
    assert_eq!(replay(then(Some(OWN), Some("pseudonym(person)")), mended(), fallen()), (1, 0), "masked then");
    assert_eq!(replay(then(None, None), mended(), fallen()), (1, 0), "masked now");
    assert_eq!(
        replay(then(None, Some("pseudonym(person)")), mended(), fallen()),
        (0, 1),
        "the subject is masked already"
    );
}

#[test]
fn a_subject_that_is_not_there_or_tells_nobody_apart_is_told_before_the_first_row() {
    let fails = |mask: &str, of: DataType| {
        let broken = entity(vec![masked("email", DataType::Utf8, mask), property("cpf", of)]);
        try_gate(broken, Vec::new()).map(|_| ()).expect_err("a fault").to_string()
    };
    assert!(fails("own(subject: cfp)", DataType::Utf8).contains("did you mean `cpf`?"));
    assert!(fails(OWN, DataType::Float64).contains("not floats"));
    let itself = entity(vec![masked("cpf", DataType::Utf8, OWN)]);
    let passed = pass(itself, vec![("cpf", words(&["1"]))]);
    assert_eq!(shown(passed.safe.batch(), "cpf"), [Some(hidden("1", "1"))]);
}
