use super::definition;
use crate::registry::change::Level;
use crate::registry::schema::{Definition, Parsed, SchemaType};
use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use kernel::contract::{Constraints, MaskSpec, OnPersonalData, OnViolation, SchemaChange};
use kernel::{Entity, Property};
use std::sync::Arc;

fn property(name: &str, required: bool) -> Property {
    Property {
        name: name.into(),
        description: None,
        data_type: DataType::Utf8,
        required,
        unique: false,
        primary_key: None,
        constraints: Constraints::default(),
        classification: None,
        mask: None,
        format: None,
        decimal_comma: false,
        not_personal: false,
    }
}

/// A column: its name, whether it is required, and what it is stored as.
type Stored<'a> = (&'a str, bool, DataType);

fn made(schema_type: SchemaType, columns: &[Stored<'_>], before: Option<&Definition>) -> Definition {
    let entity = Entity {
        name: "payments".into(),
        description: Some("What was paid".into()),
        properties: columns.iter().map(|(name, required, _)| property(name, *required)).collect(),
        rules: Vec::new(),
        on_violation: OnViolation::default(),
        schema_change: SchemaChange::default(),
        on_personal_data: OnPersonalData::default(),
    };
    let fields: Vec<Field> = columns.iter().map(|(name, _, of)| Field::new(*name, of.clone(), true)).collect();
    definition(schema_type, "my-shop.bronze", &entity, &Schema::new(fields), before).expect("a schema")
}

fn all_types() -> Vec<Stored<'static>> {
    let item = |of: DataType| Arc::new(Field::new("item", of, true));
    let parts = Fields::from(vec![Field::new("city", DataType::Utf8, true), Field::new("no", DataType::Int16, false)]);
    vec![
        ("id", true, DataType::Utf8View),
        ("paid", false, DataType::Boolean),
        ("tiny", false, DataType::Int8),
        ("small", false, DataType::Int16),
        ("pieces", false, DataType::Int32),
        ("total", false, DataType::Int64),
        ("ratio", false, DataType::Float32),
        ("share", false, DataType::Float64),
        ("amount", true, DataType::Decimal128(12, 2)),
        ("day", false, DataType::Date32),
        ("at", false, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        ("local", false, DataType::Timestamp(TimeUnit::Microsecond, None)),
        ("raw", false, DataType::Binary),
        ("tags", false, DataType::List(item(DataType::Utf8))),
        ("home address", false, DataType::Struct(parts.clone())),
        ("homes", false, DataType::List(item(DataType::Struct(parts)))),
    ]
}

fn read(definition: &Definition) -> Parsed {
    Parsed::read(definition, &[]).unwrap_or_else(|e| panic!("{}: {e}", definition.schema))
}

#[test]
fn every_type_has_a_word_in_every_language() {
    for schema_type in SchemaType::ALL {
        let whole = made(schema_type, &all_types(), None);
        let parsed = read(&whole);
        assert!(parsed.reads(&parsed, false).is_empty());
        assert_eq!(made(schema_type, &all_types(), Some(&whole)), whole, "the same contract is the same schema");
        assert!(whole.schema.contains("What was paid") && whole.schema.contains("my_shop.bronze"), "{}", whole.schema);
    }
}

#[test]
fn decimals_are_exact_and_optional_columns_default_to_null() {
    let avro = made(SchemaType::Avro, &all_types(), None).schema;
    assert!(
        avro.contains(r#"{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}}"#),
        "{avro}"
    );
    assert!(avro.contains(r#"{"name":"paid","type":["null","boolean"],"default":null}"#), "{avro}");
    assert!(avro.contains(r#""name":"home_address""#) && avro.contains(r#""column":"home address""#), "{avro}");
    let json = made(SchemaType::Json, &all_types(), None).schema;
    assert!(json.contains(r#""amount":{"type":"string","pattern":"^-?\\d{1,10}(\\.\\d{1,2})?$"}"#), "{json}");
    assert!(
        json.contains(r#""paid":{"type":["boolean","null"],"default":null}"#) && json.contains(r#""home address""#),
        "{json}"
    );
    let proto = made(SchemaType::Protobuf, &all_types(), None).schema;
    assert!(proto.contains("  string amount = 9;") && proto.contains("  optional bool paid = 2;"), "{proto}");
}

/// A change of a contract, and whether its schema goes with the one before, by the level that subjects have at first.
#[test]
fn what_a_contract_may_change_holds_in_every_language() {
    let base: Vec<Stored<'_>> = vec![("id", true, DataType::Utf8), ("pieces", false, DataType::Int32)];
    let with = |more: Stored<'static>| [base.clone(), vec![more]].concat();
    let changed = |of: DataType| vec![base[0].clone(), ("pieces", false, of)];
    let cases = [
        ("an optional column comes", with(("note", false, DataType::Utf8)), [true, true, true]),
        ("a required column comes", with(("note", true, DataType::Utf8)), [false, false, true]),
        ("a number is wider", changed(DataType::Int64), [true, true, true]),
        ("a number becomes text", changed(DataType::Utf8), [false, false, false]),
        ("the order changes", vec![base[1].clone(), base[0].clone()], [true, true, true]),
        ("what was required is optional", vec![("id", false, DataType::Utf8), base[1].clone()], [true, true, true]),
    ];
    for (what, columns, expected) in cases {
        for (schema_type, is_compatible) in
            [SchemaType::Avro, SchemaType::Json, SchemaType::Protobuf].into_iter().zip(expected)
        {
            let old = made(schema_type, &base, None);
            let new = made(schema_type, &columns, Some(&old));
            let found = Level::Backward.check(&read(&new), [&read(&old)], false);
            assert_eq!(
                found.is_none(),
                is_compatible,
                "{what} in {schema_type:?}: {found:?}\n{}\n{}",
                old.schema,
                new.schema
            );
        }
    }
}

#[test]
fn a_field_of_protobuf_keeps_its_number_and_a_gone_one_leaves_it_behind() {
    let text = |name: &'static str| (name, true, DataType::Utf8);
    let one = made(SchemaType::Protobuf, &[text("a"), text("b"), text("c")], None);
    let two = made(SchemaType::Protobuf, &[text("c"), text("a"), text("d")], Some(&one));
    for line in ["reserved 2;", "string c = 3;", "string a = 1;", "string d = 4;"] {
        assert!(two.schema.contains(line), "{line} in {}", two.schema);
    }
    let three = made(SchemaType::Protobuf, &[text("b"), text("a")], Some(&two));
    for line in ["reserved 2, 3, 4;", "string b = 5;", "string a = 1;"] {
        assert!(three.schema.contains(line), "{line} in {}", three.schema);
    }
}

#[test]
fn a_column_is_described_as_it_is_stored() {
    let mut entity = Entity {
        name: "people".into(),
        description: None,
        properties: vec![property("cpf", true), property("secret", true), property("gone", true)],
        rules: Vec::new(),
        on_violation: OnViolation::default(),
        schema_change: SchemaChange::default(),
        on_personal_data: OnPersonalData::default(),
    };
    entity.properties[0].data_type = DataType::Int64;
    entity.properties[1].mask = MaskSpec::parse("null").ok();
    let stored = Schema::new(vec![
        Field::new("cpf", DataType::Utf8View, true),
        Field::new("secret", DataType::Utf8, true),
        Field::new("_run_id", DataType::Utf8, true),
    ]);
    let schema = definition(SchemaType::Avro, "p.bronze", &entity, &stored, None).expect("a schema").schema;
    assert_eq!(
        schema,
        r#"{"type":"record","name":"people","namespace":"p.bronze","fields":[{"name":"cpf","type":"string"},{"name":"secret","type":["null","string"],"default":null}]}"#
    );
}

#[test]
fn names_that_become_the_same_are_told_apart() {
    let columns = [
        ("a b", true, DataType::Utf8),
        ("a-b", true, DataType::Utf8),
        ("1", true, DataType::Utf8),
        ("A_B", true, DataType::Utf8),
    ];
    let avro = made(SchemaType::Avro, &columns, None).schema;
    for name in ["a_b", "a_b_2", "_1", "A_B_3"] {
        assert!(avro.contains(&format!(r#""name":"{name}""#)), "{name} in {avro}");
    }
    read(&made(SchemaType::Protobuf, &columns, None));
}
