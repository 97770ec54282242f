//! Columns that come, go and are added; batches of odd shapes.

use super::*;
use arrow::array::{NullArray, StructArray, TimestampMicrosecondArray};
use arrow::datatypes::TimestampMicrosecondType;

fn two_columns(schema_change: SchemaChange) -> Entity {
    Entity {
        schema_change,
        ..entity(vec![property("id", DataType::Int64), masked("cpf", DataType::Utf8, "pseudonym(person)")])
    }
}

fn stranger(values: ArrayRef) -> Vec<(&'static str, ArrayRef)> {
    vec![("id", words(&["1", "2"])), ("amout", values)]
}

#[test]
fn freeze_stops_at_a_new_column_and_guesses_what_was_meant() {
    let mut contract = two_columns(SchemaChange::Freeze);
    contract.properties.push(property("amount", DataType::Int64));
    let error = gate(contract).pass(raw(stranger(words(&["5", "6"]))), NOW).err().expect("a stop");
    assert_eq!((error.kind, error.what.as_str()), (Kind::Contract, "new column `amout` (2 of 2) in `payments`"));
    assert!(error.detail.contains("is it `amount`?"), "{error}");
}

#[test]
fn quarantine_sets_aside_rows_with_a_value_in_a_new_column() {
    let passed = pass(two_columns(SchemaChange::Quarantine), stranger(text(&[None, Some("secret")])));
    assert_eq!(causes(&passed), ["amout: schema @ 2"]);
    assert_eq!(shown(aside(&passed), "row"), some(&["{\"id\":\"2\",\"amout\":\"***\"}"]));
    assert_eq!(passed.safe.schema().fields().len(), 2 + STAMPS.len());
    let nothing = pass(two_columns(SchemaChange::Quarantine), stranger(Arc::new(NullArray::new(2))));
    assert_eq!(nothing.tally.rows_passed, 2);
}

#[test]
fn evolve_takes_new_columns_in_as_text() {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(7)]));
    let passed = pass(two_columns(SchemaChange::Evolve), stranger(numbers));
    assert_eq!(shown(passed.safe.batch(), "amout"), [None, Some("7".into())]);
    assert_eq!(passed.safe.schema().field_with_name("amout").expect("the column").data_type(), &DataType::Utf8View);
    let parts: ArrayRef = Arc::new(StructArray::from(vec![(
        Arc::new(Field::new("n", DataType::Int64, true)),
        Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef,
    )]));
    let passed = pass(two_columns(SchemaChange::Evolve), stranger(parts));
    assert_eq!(shown(passed.safe.batch(), "amout"), some(&["{\"n\":1}", "{\"n\":2}"]));
}

#[test]
fn evolve_redacts_what_looks_personal_and_goes_on_redacting() {
    let mut gate = gate(two_columns(SchemaChange::Evolve));
    let mut next = |values| gate.pass(raw(stranger(values)), NOW).expect("rows pass");
    assert_eq!(shown(next(words(&["a", "b"])).safe.batch(), "amout"), some(&["a", "b"]));
    assert_eq!(shown(next(text(&[Some("x@y.br"), None])).safe.batch(), "amout"), [Some("***".into()), None]);
    assert_eq!(shown(next(words(&["a", "b"])).safe.batch(), "amout"), some(&["***", "***"]));
}

#[test]
fn a_record_in_the_place_of_the_header_is_not_told_on() {
    for change in [SchemaChange::Freeze, SchemaChange::Evolve, SchemaChange::Quarantine] {
        let rows = raw(vec![("id", words(&["1"])), ("529.982.247-25", words(&["x"]))]);
        let error = gate(two_columns(change)).pass(rows, NOW).err().expect("a stop");
        assert!(!error.to_string().contains("529"), "{error}");
        assert_eq!(error.kind, Kind::Contract);
    }
}

#[test]
fn a_new_column_whose_name_may_be_a_value_is_told_by_its_place() {
    for name in ["Zulmira Prates", "12345", "Rua A, 5", "x.y_z", "a1982b0517", "ana@example", "", "1a"] {
        let rows = raw(vec![("id", words(&["1"])), (name, words(&["x"])), ("more", words(&["y"]))]);
        let error = gate(two_columns(SchemaChange::Freeze)).pass(rows, NOW).err().expect("a stop");
        assert_eq!(error.what, "new column 2 of 3 in `payments`");
        assert!(name.is_empty() || !error.to_string().contains(name), "{error}");
        assert!(error.detail.contains("2 columns are new") && error.detail.contains("header"), "{error}");
    }
    let rows = vec![("id", words(&["1"])), ("Zulmira Prates", words(&["x"]))];
    assert_eq!(causes(&pass(two_columns(SchemaChange::Quarantine), rows)), ["column 2 of 2: schema @ 1"]);
}

#[test]
fn a_file_none_of_whose_columns_is_known_shows_none_of_their_names() {
    let rows = raw(vec![("zulmira", words(&["1"])), ("prates", words(&["x"]))]);
    let error = gate(two_columns(SchemaChange::Freeze)).pass(rows, NOW).err().expect("a stop");
    assert!(!error.to_string().contains("zulmira") && error.to_string().contains("1 of 2"), "{error}");
}

#[test]
fn two_columns_of_one_name_are_refused() {
    let field = |name| Field::new(name, DataType::Utf8View, true);
    let schema = Arc::new(Schema::new(vec![field("a"), field("a")]));
    let batch = RecordBatch::try_new(schema, vec![words(&["1"]), words(&["2"])]).expect("arrow takes it");
    assert_eq!(Raw::new(batch, "a.csv", Int64Array::from(vec![1])).err().map(|e| e.kind), Some(Kind::Data));
}

#[test]
fn each_row_is_stamped_with_where_it_came_from() {
    let passed = pass(two_columns(SchemaChange::Freeze), vec![("id", words(&["1", "x", "3"]))]);
    let check = |batch: &RecordBatch, offsets: &[i64]| {
        let position = batch.column_by_name("_position").expect("a position").as_struct().clone();
        assert_eq!(position.column(1).as_primitive::<Int64Type>().values(), offsets);
        assert!(position.column(0).as_string_view().iter().all(|p| p == Some("a.csv")));
        let at =
            batch.column_by_name("_ingested_at").expect("a time").as_primitive::<TimestampMicrosecondType>().clone();
        assert_eq!(at, TimestampMicrosecondArray::from(vec![NOW.0; offsets.len()]).with_timezone("UTC"));
        for (name, value) in [("_source", "files"), ("_contract_version", "1.0.0"), ("_run_id", "run-1")] {
            assert_eq!(shown(batch, name), vec![Some(value.to_owned()); offsets.len()]);
        }
    };
    check(passed.safe.batch(), &[1, 3]);
    check(aside(&passed), &[2]);
    assert_eq!(aside(&passed).schema(), quarantine_schema());
}

#[test]
fn the_output_schema_is_that_of_what_passes() {
    let mut contract = two_columns(SchemaChange::Freeze);
    contract.properties.push(masked("gone", DataType::Utf8, "drop"));
    contract.properties.push(masked("age", DataType::Int64, "tens"));
    let gate = gate(contract.clone());
    let names: Vec<String> = gate.output_schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names[..3], ["id", "cpf", "age"]);
    let passed = pass(contract, vec![("id", words(&["1"])), ("gone", words(&["secret"])), ("age", words(&["37"]))]);
    assert_eq!(passed.safe.schema(), gate.output_schema());
    assert_eq!(shown(passed.safe.batch(), "age"), some(&["30"]));
    assert_eq!(passed.tally.masked.get("gone"), Some(&1));
}

#[test]
fn the_gates_own_names_are_its_own() {
    let error = try_gate(entity(vec![property("_position", DataType::Utf8)]), Vec::new()).err().expect("refused");
    assert_eq!(error.kind, Kind::Project);
    // Delta takes it for the same.
    let error = try_gate(entity(vec![property("_Position", DataType::Utf8)]), Vec::new()).err().expect("refused");
    assert_eq!(error.kind, Kind::Project);
    assert!(try_gate(entity(vec![property("_op", DataType::Utf8)]), Vec::new()).is_ok(), "no change log");
}

/// Three rows, of which the first two have a value in a field of this name.
fn with_field(name: &str) -> Vec<(&str, ArrayRef)> {
    vec![("id", words(&["1", "2", "3"])), (name, text(&[Some("a"), Some("b"), None]))]
}

#[test]
fn a_field_with_a_name_of_the_gates_own_is_one_that_the_contract_does_not_name() {
    for name in STAMPS.iter().chain(&CHANGES) {
        let error = gate(two_columns(SchemaChange::Freeze)).pass(raw(with_field(name)), NOW).err().expect("a stop");
        assert_eq!((error.kind, error.what), (Kind::Contract, format!("new column `{name}` (2 of 2) in `payments`")));
        let why = format!("the name `{name}` is kept for Lavra's own columns; let the source leave it out");
        assert!(error.detail.contains(&why) && !error.detail.contains("evolve"), "{}", error.detail);
        for change in [SchemaChange::Quarantine, SchemaChange::Evolve] {
            let passed = pass(two_columns(change), with_field(name));
            assert_eq!(causes(&passed), [format!("{name}: schema @ 1"), format!("{name}: schema @ 2")]);
            assert_eq!(passed.safe.schema(), gate(two_columns(change)).output_schema());
            assert_eq!(
                (shown(passed.safe.batch(), "id"), shown(passed.safe.batch(), "_source")[0].as_deref()),
                (some(&["3"]), Some("files"))
            );
        }
    }
    // Also where no column is known: none of these names is a value.
    let passed = pass(two_columns(SchemaChange::Evolve), vec![("_Run_ID", words(&["x"]))]);
    assert_eq!(shown(aside(&passed), "reason"), some(&["the name `_Run_ID` is kept for Lavra's own columns"]));
}

#[test]
fn evolve_sets_rows_aside_whose_field_differs_from_a_column_only_in_case() {
    let mut contract = two_columns(SchemaChange::Evolve);
    contract.properties.extend([property("Ação do Dia", DataType::Utf8), masked("gone", DataType::Utf8, "drop")]);
    for (name, other) in [("ID", "id"), ("CPF", "cpf"), ("aÇÃo do dia", "Ação do Dia"), ("Gone", "gone")] {
        let passed = pass(contract.clone(), with_field(name));
        assert_eq!(causes(&passed), [format!("{name}: schema @ 1"), format!("{name}: schema @ 2")]);
        let reason = format!("`{name}` and `{other}` differ only in upper and lower case, and no table can have both");
        assert_eq!(shown(aside(&passed), "reason")[0], Some(reason));
        assert_eq!(passed.safe.schema(), gate(contract.clone()).output_schema());
        let error = gate(two_columns(SchemaChange::Freeze)).pass(raw(with_field("ID")), NOW).err().expect("a stop");
        assert!(error.detail.contains("is it `id`?") && error.detail.contains("`ID` and `id` differ only"), "{error}");
    }
}

#[test]
fn of_two_new_fields_that_differ_only_in_case_the_first_becomes_the_column() {
    let mut gate = gate(two_columns(SchemaChange::Evolve));
    let id = || ("id", words(&["1", "2", "3"]));
    let (first, second) = (text(&[Some("a"), Some("b"), None]), text(&[None, Some("c"), Some("d")]));
    let rows = raw(vec![id(), ("xy", first.clone()), ("XY", second.clone()), ("Xy", text(&[None; 3]))]);
    let passed = gate.pass(rows, NOW).expect("rows pass");
    assert_eq!(causes(&passed), ["XY: schema @ 2", "XY: schema @ 3"], "one has both");
    assert_eq!(shown(passed.safe.batch(), "xy"), some(&["a"]));
    assert!(passed.safe.schema().field_with_name("XY").is_err() && passed.safe.schema().field_with_name("Xy").is_err());
    // Batches that come later too.
    let passed = gate.pass(raw(vec![id(), ("XY", first), ("xy", second)]), NOW).expect("rows pass");
    assert_eq!(causes(&passed), ["XY: schema @ 1", "XY: schema @ 2"]);
    assert_eq!(shown(passed.safe.batch(), "xy"), some(&["d"]));
    // Names that may be values are told neither way.
    let rows =
        raw(vec![id(), ("Zulmira Prates", words(&["a", "b", "c"])), ("zulmira prates", words(&["a", "b", "c"]))]);
    let passed = gate.pass(rows, NOW).expect("rows are set aside");
    assert_eq!(causes(&passed)[0], "column 3 of 3: schema @ 1");
    assert!(shown(aside(&passed), "reason").iter().flatten().all(|reason| !reason.contains("rates")));
}

#[test]
fn columns_that_evolve_took_in_earlier_are_known() {
    let mut gate = gate(two_columns(SchemaChange::Evolve));
    let field = |name| Field::new(name, DataType::Utf8View, true);
    gate.remember_columns(&Schema::new(vec![field("id"), field("cpf"), field("Colour"), field("_source")]));
    let passed = gate.pass(raw(with_field("colour")), NOW).expect("rows pass");
    let reason = "`colour` and `Colour` differ only in upper and lower case, and no table can have both";
    assert_eq!(shown(aside(&passed), "reason"), some(&[reason, reason]));
    let passed = gate.pass(raw(with_field("Colour")), NOW).expect("rows pass");
    assert_eq!(shown(passed.safe.batch(), "Colour"), [Some("a".into()), Some("b".into()), None]);
}

#[test]
fn evolve_makes_no_column_of_a_name_that_readers_refuse() {
    for name in ["", "x\0"] {
        let passed = pass(two_columns(SchemaChange::Evolve), with_field(name));
        assert_eq!(causes(&passed), ["column 2 of 2: schema @ 1", "column 2 of 2: schema @ 2"]);
        assert_eq!(passed.safe.schema(), gate(two_columns(SchemaChange::Evolve)).output_schema());
    }
}

#[test]
fn a_new_field_of_rows_that_are_set_aside_takes_no_name() {
    let mut gate = gate(two_columns(SchemaChange::Evolve));
    let bad = raw(vec![("id", words(&["no number"])), ("xy", words(&["a"]))]);
    assert_eq!(gate.pass(bad, NOW).expect("a row aside").safe.num_rows(), 0);
    let passed = gate.pass(raw(with_field("XY")), NOW).expect("rows pass");
    assert_eq!(passed.safe.num_rows(), 3);
}

#[test]
fn a_batch_of_no_rows_passes() {
    let none: [&str; 0] = [];
    let passed = pass(two_columns(SchemaChange::Quarantine), stranger_of_none(&none));
    assert_eq!((passed.safe.num_rows(), passed.quarantined.is_none()), (0, true));
    assert_eq!(passed.tally, Tally { masked: [("cpf".to_owned(), 0)].into(), ..Tally::default() });
    let empty = Entity { properties: Vec::new(), ..two_columns(SchemaChange::Quarantine) };
    assert_eq!(pass(empty, vec![("new", words(&none))]).safe.num_rows(), 0);
}

fn stranger_of_none(none: &[&str]) -> Vec<(&'static str, ArrayRef)> {
    vec![("id", words(none)), ("new", words(none))]
}

#[test]
fn a_batch_of_bad_rows_only_leaves_an_empty_one() {
    let passed = pass(two_columns(SchemaChange::Freeze), vec![("id", words(&["x", "y"])), ("cpf", words(&["1", "2"]))]);
    assert_eq!((passed.safe.num_rows(), aside(&passed).num_rows()), (0, 2));
}

#[test]
fn malformed_rows_are_set_aside_without_their_bytes() {
    let rows = raw(vec![("id", words(&["1"]))]);
    let malformed = vec![Malformed { offset: 2, reason: "9 fields where the header has 1".into() }];
    let passed = gate(two_columns(SchemaChange::Freeze)).pass(rows.with_malformed(malformed), NOW).expect("rows pass");
    assert_eq!(causes(&passed), [": malformed @ 2"]);
    assert_eq!(shown(aside(&passed), "row"), [None]);
    let tally = passed.tally;
    assert_eq!((tally.rows_read, tally.rows_passed, tally.rows_quarantined), (2, 1, 1));
    assert_eq!(tally.causes.get("malformed"), Some(&1));
}
