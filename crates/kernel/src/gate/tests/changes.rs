//! Rows that say what happened to a table: what a change doesn't tell breaks no rule, and what it tells is held to all.

use super::*;
use crate::contract::Bound;

/// What a change did, and the columns that it does not tell.
type Change<'c> = (Op, &'c [&'c str]);

fn changes_gate(entity: Entity, row_rules: Vec<Box<dyn RowRule>>) -> Gate {
    let stamp = Stamp { source: "db".into(), contract_version: "1.0.0".into(), run_id: "run-1".into(), changes: true };
    Gate::new(entity, &Toys, row_rules, stamp, Arc::new(Eyes)).expect("a good contract")
}

fn log(changes: &[Change], columns: Vec<(&str, ArrayRef)>) -> Raw {
    let mut told = Changes::default();
    for (place, (op, unchanged)) in changes.iter().enumerate() {
        told.push(*op, Some(place as i64), unchanged.iter().map(|name| Arc::from(*name)).collect());
    }
    raw(columns).with_changes(told).expect("a change a row")
}

fn take(entity: Entity, changes: &[Change], columns: Vec<(&str, ArrayRef)>) -> Passed {
    changes_gate(entity, Vec::new()).pass(log(changes, columns), NOW).expect("rows pass or are set aside")
}

fn id() -> Property {
    with("id", DataType::Int64, |p| (p.primary_key, p.required) = (Some(1), true))
}

fn required(name: &str) -> Property {
    with(name, DataType::Int64, |p| p.required = true)
}

fn all() -> [Change<'static>; 5] {
    [(Op::Read, &[]), (Op::Create, &[]), (Op::Update, &["n"]), (Op::Delete, &[]), (Op::Truncate, &[])]
}

fn columns() -> Vec<(&'static str, ArrayRef)> {
    let ids = text(&[Some("1"), Some("2"), Some("2"), Some("1"), None]);
    vec![("id", ids), ("n", text(&[Some("7"), Some("8"), None, None, None]))]
}

#[test]
fn a_change_is_stamped_with_what_it_did_before_where_it_came_from() {
    let entity = entity(vec![id(), property("n", DataType::Int64)]);
    let schema = changes_gate(entity.clone(), Vec::new()).output_schema();
    assert_eq!(change_log(&gate(entity.clone()).output_schema()), schema, "what `check` takes the log to be");
    let passed = take(entity, &all(), columns());
    let batch = passed.safe.batch();
    assert_eq!(batch.schema(), schema);
    assert_eq!(shown(batch, "_op"), some(&["r", "c", "u", "d", "t"]));
    let unchanged = batch.column_by_name("_unchanged").expect("a list").as_list::<i32>();
    assert_eq!(
        unchanged.nulls().map(|nulls| nulls.iter().collect::<Vec<_>>()),
        Some(vec![false, false, true, false, false])
    );
    assert_eq!(unchanged.value(2).as_string_view().iter().collect::<Vec<_>>(), [Some("n")]);
    assert_eq!(shown(batch, "_changed_at")[1], Some("1970-01-01T00:00:00.000001Z".into()));
}

#[test]
fn a_change_of_a_year_that_is_not_kept_is_set_aside() {
    let mut told = Changes::default();
    let end = 253_402_300_800_000_000; // 10000-01-01T00:00:00Z
    for at in [None, Some(end - 1), Some(end), Some(i64::MAX), Some(i64::MIN)] {
        told.push(Op::Update, at, Vec::new());
    }
    let rows = raw(vec![("id", words(&["1", "2", "3", "4", "5"]))]).with_changes(told).expect("a change a row");
    let passed = changes_gate(entity(vec![id()]), Vec::new()).pass(rows, NOW).expect("rows pass or are set aside");
    assert_eq!(shown(passed.safe.batch(), "_changed_at"), [None, Some("9999-12-31T23:59:59.999999Z".into())]);
    assert_eq!(causes(&passed), ["_changed_at: type @ 3", "_changed_at: type @ 4", "_changed_at: type @ 5"]);
}

#[test]
fn what_a_change_does_not_tell_is_not_missed() {
    let passed = take(entity(vec![id(), required("n")]), &all(), columns());
    assert_eq!((passed.safe.num_rows(), causes(&passed).len()), (5, 0), "{:?}", causes(&passed));
    let told: [Change; 3] = [(Op::Update, &[]), (Op::Create, &["id"]), (Op::Delete, &[])];
    let columns = vec![("id", text(&[Some("1"), None, None])), ("n", text(&[None, Some("1"), None]))];
    let passed = take(entity(vec![id(), required("n")]), &told, columns);
    assert_eq!(causes(&passed), ["n: required @ 1", "id: required @ 3"], "what it must tell is missed");
}

#[test]
fn the_old_values_of_a_row_that_goes_are_let_go_and_held_to_no_rule() {
    let least = |p: &mut Property| p.constraints.min = Some(Bound { value: "5".into(), exclusive: false });
    let then = || entity(vec![id(), with("n", DataType::Int64, least), masked("cpf", DataType::Utf8, "redact")]);
    let rows = |n| vec![("id", words(&["1", "2", "3"])), ("n", words(n)), ("cpf", words(&["a", "b", "c"]))];
    let deletes: [Change; 3] = [(Op::Delete, &[]), (Op::Delete, &[]), (Op::Update, &[])];
    let passed = take(then(), &deletes, rows(&["1", "no number", "1"]));
    assert_eq!(causes(&passed), ["n: min @ 3"], "only what stays must hold");
    assert_eq!(shown(passed.safe.batch(), "cpf"), [None, None]);
    assert_eq!(shown(passed.safe.batch(), "id"), some(&["1", "2"]));
}

#[test]
fn a_row_that_goes_is_told_by_all_it_has_where_nobody_named_a_key() {
    let changes: [Change; 2] = [(Op::Delete, &[]), (Op::Delete, &[])];
    let passed = take(entity(vec![required("n")]), &changes, vec![("n", text(&[Some("1"), None]))]);
    assert_eq!(shown(passed.safe.batch(), "n"), [Some("1".into()), None]);
}

#[test]
fn keys_come_again_in_a_change_log_and_none_is_remembered() {
    let entity = entity(vec![Property { unique: true, ..id() }, with("n", DataType::Int64, |p| p.unique = true)]);
    let mut gate = changes_gate(entity, Vec::new());
    assert_eq!(gate.unique_columns(), Vec::<Vec<String>>::new());
    let twice: [Change; 2] = [(Op::Create, &[]), (Op::Update, &[])];
    for _ in 0..2 {
        let rows = vec![("id", words(&["1", "1"])), ("n", words(&["7", "7"]))];
        assert_eq!(gate.pass(log(&twice, rows), NOW).expect("a pass").safe.num_rows(), 2);
    }
}

/// Every row breaks it.
struct Never;

impl RowRule for Never {
    fn name(&self) -> &str {
        "never"
    }

    fn column(&self) -> Option<&str> {
        None
    }

    fn violates(&self, typed: &RecordBatch) -> Result<BooleanArray> {
        Ok(BooleanArray::from(vec![true; typed.num_rows()]))
    }
}

#[test]
fn rules_in_sql_look_at_whole_rows_only() {
    let mut gate = changes_gate(entity(vec![id(), property("n", DataType::Int64)]), vec![Box::new(Never)]);
    let passed = gate.pass(log(&all(), columns()), NOW).expect("a pass");
    assert_eq!(causes(&passed), [": sql @ 1", ": sql @ 2"]);
}

/// Whoever has the CPF `1`.
struct One;

impl Forgotten for One {
    fn are(&self, _: &str, values: &ArrayRef) -> Result<Option<BooleanArray>> {
        Ok(Some(values.as_string_view().iter().map(|value| Some(value == Some("1"))).collect()))
    }
}

#[test]
fn changes_of_forgotten_people_go_with_what_they_did() {
    let entity = entity(vec![id(), masked("cpf", DataType::Utf8, "pseudonym(person)")]);
    let mut gate = changes_gate(entity, Vec::new()).without(Arc::new(One));
    let changes: [Change; 3] = [(Op::Create, &[]), (Op::Update, &["cpf"]), (Op::Delete, &[])];
    let rows = vec![("id", words(&["1", "2", "3"])), ("cpf", text(&[Some("1"), None, Some("2")]))];
    let passed = gate.pass(log(&changes, rows), NOW).expect("a pass");
    assert_eq!(passed.tally.rows_forgotten, 1);
    assert_eq!(shown(passed.safe.batch(), "_op"), some(&["u", "d"]));
    assert_eq!(shown(passed.safe.batch(), "_position")[0], Some("{\"partition\":\"a.csv\",\"offset\":2}".into()));
}

#[test]
fn a_change_comes_back_out_of_the_quarantine_as_the_change_that_it_was() {
    let person = || masked("cpf", DataType::Utf8, "pseudonym(person)");
    let only_zero = |p: &mut Property| p.constraints.accepted = Some(vec!["0".into()]);
    let strict = entity(vec![id(), with("n", DataType::Int64, only_zero), person()]);
    let open = entity(vec![id(), property("n", DataType::Int64), person()]);
    let changes: [Change; 3] = [(Op::Create, &[]), (Op::Update, &["cpf"]), (Op::Delete, &[])];
    let rows = || {
        let cpf = text(&[Some("x"), None, Some("x")]);
        vec![("id", words(&["1", "1", "1"])), ("n", words(&["1", "2", "3"])), ("cpf", cpf)]
    };
    let held = take(strict, &changes, rows());
    assert_eq!((causes(&held), held.safe.num_rows()), (vec!["n: accepted @ 1".into(), "n: accepted @ 2".into()], 1));
    let straight = take(open.clone(), &changes, rows()).safe.into_batch();
    let replayed = changes_gate(open, Vec::new()).replay(aside(&held)).expect("a replay");
    assert_eq!(replayed.passed.safe.batch(), &straight.slice(0, 2));
    assert_eq!(replayed.staying.num_rows(), 0);
}

#[test]
fn a_row_that_was_set_aside_before_there_were_changes_is_one_of_the_first_read() {
    let strict = entity(vec![id(), required("n")]);
    let held = pass(strict, vec![("id", words(&["1"])), ("n", text(&[None]))]);
    let open = entity(vec![id(), property("n", DataType::Int64)]);
    let replayed = changes_gate(open, Vec::new()).replay(aside(&held)).expect("a replay");
    assert_eq!(shown(replayed.passed.safe.batch(), "_op"), some(&["r"]));
}

#[test]
fn each_way_with_violations_takes_changes() {
    let of = |on_violation| Entity { on_violation, ..entity(vec![id(), property("n", DataType::Int64)]) };
    let changes: [Change; 2] = [(Op::Update, &[]), (Op::Delete, &[])];
    let rows = || vec![("id", words(&["1", "2"])), ("n", words(&["no number", "no number"]))];
    assert_eq!(causes(&take(of(OnViolation::Quarantine), &changes, rows())), ["n: type @ 1"]);
    let dropped = take(of(OnViolation::DropValue), &changes, rows());
    assert_eq!((shown(dropped.safe.batch(), "n"), dropped.tally.values_dropped), (vec![None, None], 1));
    let failed = changes_gate(of(OnViolation::Fail), Vec::new()).pass(log(&changes, rows()), NOW);
    assert_eq!(failed.err().map(|e| e.kind), Some(Kind::Contract));
    let only_deletes: [Change; 2] = [(Op::Delete, &[]), (Op::Delete, &[])];
    assert_eq!(take(of(OnViolation::Fail), &only_deletes, rows()).safe.num_rows(), 2);
}

#[test]
fn strangers_in_a_row_that_goes_are_no_reason_to_keep_it() {
    let quarantine = Entity { schema_change: SchemaChange::Quarantine, ..entity(vec![id()]) };
    let changes: [Change; 2] = [(Op::Update, &[]), (Op::Delete, &[])];
    let rows = vec![("id", words(&["1", "2"])), ("new", words(&["x", "y"]))];
    let passed = take(quarantine, &changes, rows);
    assert_eq!((passed.safe.num_rows(), shown(passed.safe.batch(), "_op")), (1, some(&["d"])));
}

#[test]
fn what_a_change_did_is_told_by_no_field_of_its_row() {
    let changes: [Change; 3] = [(Op::Update, &[]), (Op::Create, &[]), (Op::Delete, &[])];
    for name in ["_op", "_changed_at", "_unchanged", "_Op", "_source"] {
        let rows = || vec![("id", words(&["1", "2", "3"])), (name, text(&[Some("d"), None, Some("t")]))];
        for change in [SchemaChange::Evolve, SchemaChange::Quarantine] {
            let contract = Entity { schema_change: change, ..entity(vec![id()]) };
            let passed = take(contract.clone(), &changes, rows());
            assert_eq!(causes(&passed), [format!("{name}: schema @ 1")], "a row that goes has no other value");
            assert_eq!(passed.safe.schema(), changes_gate(contract.clone(), Vec::new()).output_schema());
            assert_eq!(shown(passed.safe.batch(), "_op"), some(&["c", "d"]));
            let replayed = changes_gate(contract, Vec::new()).replay(aside(&passed)).expect("a replay");
            assert_eq!(
                (replayed.passed.safe.num_rows(), replayed.staying.num_rows()),
                (0, 1),
                "the field would be lost"
            );
        }
        let frozen = changes_gate(entity(vec![id()]), Vec::new()).pass(log(&changes, rows()), NOW);
        assert_eq!(frozen.err().map(|error| error.kind), Some(Kind::Contract), "{name}");
    }
    for name in ["_op", "_Changed_At"] {
        let stamp = Stamp { source: "db".into(), contract_version: "1".into(), run_id: "r".into(), changes: true };
        let named = entity(vec![id(), property(name, DataType::Utf8)]);
        let refused = Gate::new(named, &Toys, Vec::new(), stamp, Arc::new(Eyes)).err().map(|error| error.kind);
        assert_eq!(refused, Some(Kind::Project), "{name}");
    }
}

#[test]
fn a_mask_that_needs_another_column_hides_what_is_there() {
    let own = masked("mail", DataType::Utf8, "own(subject: cpf)");
    let entity = entity(vec![id(), masked("cpf", DataType::Utf8, "pseudonym(person)"), own]);
    let changes: [Change; 3] = [(Op::Create, &[]), (Op::Update, &["cpf"]), (Op::Delete, &[])];
    let cpf = text(&[Some("1"), None, None]);
    let rows = vec![("id", words(&["1", "1", "1"])), ("cpf", cpf), ("mail", words(&["a", "b", "c"]))];
    let passed = take(entity, &changes, rows);
    assert_eq!(causes(&passed), ["mail: mask @ 2"], "whose it is is not told, so it is not kept");
    assert_eq!(shown(passed.safe.batch(), "mail")[1], None);
}

#[test]
fn a_batch_without_changes_does_not_pass_where_they_were_announced() {
    let entity = || entity(vec![id()]);
    assert!(changes_gate(entity(), Vec::new()).pass(raw(vec![("id", words(&["1"]))]), NOW).is_err());
    assert!(gate(entity()).pass(log(&[(Op::Create, &[])], vec![("id", words(&["1"]))]), NOW).is_err());
}
