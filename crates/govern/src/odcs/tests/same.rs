//! Reading what was written gives the same contract.

use super::*;
use crate::odcs::physical::timestamp;
use crate::odcs::{TIME, write};
use arrow::datatypes::{DataType, Field, Fields};
use kernel::Classification;
use kernel::contract::{
    Bound, Constraints, Entity, MaskSpec, Must, OnPersonalData, OnViolation, SchemaChange, SqlRule,
};
use proptest::prelude::*;
use std::sync::Arc;

fn property(name: &str, data_type: DataType) -> Property {
    Property {
        name: name.into(),
        description: None,
        data_type,
        required: false,
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

fn entity(name: &str, properties: Vec<Property>) -> Entity {
    let (on_violation, schema_change) = (OnViolation::default(), SchemaChange::default());
    let on_personal_data = OnPersonalData::default();
    Entity {
        name: name.into(),
        description: None,
        properties,
        rules: vec![],
        on_violation,
        schema_change,
        on_personal_data,
    }
}

fn contract(entities: Vec<Entity>) -> Contract {
    Contract { id: "shop".into(), version: "1.0.0".into(), entities, owner: None, retention_days: None }
}

fn bound(value: &str, exclusive: bool) -> Option<Bound> {
    Some(Bound { value: value.into(), exclusive })
}

fn same(contract: &Contract) -> String {
    let text = write(contract);
    let (again, draft) = good(&text);
    assert_eq!(form(&again), form(contract), "{text}");
    assert!(draft.warnings.is_empty(), "{:?}\n{text}", draft.warnings);
    assert_eq!(write(&again), text);
    text
}

#[test]
fn a_contract_is_written_in_the_style_of_the_design() {
    let key = Property { primary_key: Some(1), required: true, ..property("payment_id", DataType::Utf8) };
    let mask = MaskSpec::parse("pseudonym(person)").ok();
    let class = Some(Classification::new("personal.cpf"));
    let cpf = Property { mask, classification: class, ..property("payer_cpf", DataType::Utf8) };
    let amount = Property { required: true, ..property("amount", DataType::Decimal128(12, 2)) };
    let rule = SqlRule {
        name: "positive".into(),
        query: "select count(*) from {table} where \"amount\" <= 0".into(),
        must: Must::Be(0.0),
        property: Some("amount".into()),
    };
    let mut payments = entity("payments", vec![key, cpf, amount, property("paid_at", timestamp(true))]);
    payments.rules.push(rule);
    let mut payments = contract(vec![payments]);
    (payments.owner, payments.retention_days) = (Some("payments team".into()), Some(365));
    let expected = r#"apiVersion: v3.1.0
kind: DataContract
id: shop
version: 1.0.0
status: active
schema:
  - name: payments
    properties:
      - { name: payment_id, logicalType: string, primaryKey: true, required: true }
      - name: payer_cpf
        logicalType: string
        classification: personal.cpf
        customProperties: [{ property: mask, value: pseudonym(person) }]
      - name: amount
        logicalType: number
        physicalType: "decimal(12,2)"
        required: true
        quality:
          - name: positive
            type: sql
            query: "select count(*) from {table} where \"amount\" <= 0"
            mustBe: 0
      - { name: paid_at, logicalType: timestamp, physicalType: "timestamp(6, UTC)" }
team: { name: payments team }
slaProperties: [{ property: retention, value: 365, unit: d }]
customProperties: [{ property: on_violation, value: quarantine }]
"#;
    assert_eq!(same(&payments), expected);
}

#[test]
fn every_kind_of_constraint_survives() {
    let limits = |limits: Constraints, data_type| Property { constraints: limits, ..property("x", data_type) };
    let none = Constraints::default;
    let columns = [
        limits(
            Constraints { pattern: Some(r"^\d+ [$]\{x\}$".into()), min_length: Some(1), max_length: Some(9), ..none() },
            DataType::Utf8,
        ),
        limits(Constraints { pattern: Some("[0-9]{3}".into()), ..none() }, DataType::Int64),
        limits(Constraints { accepted: Some(vec!["a, b".into(), "no".into(), " ".into()]), ..none() }, DataType::Utf8),
        limits(Constraints { accepted: Some(vec!["1".into(), "20".into()]), ..none() }, DataType::Int16),
        limits(Constraints { accepted: Some(vec!["2026-01-01".into()]), ..none() }, DataType::Date32),
        limits(Constraints { accepted: Some(vec!["true".into()]), ..none() }, DataType::Boolean),
        limits(
            Constraints {
                min: bound("0.01", true),
                max: bound("12345678901234567890.12", false),
                multiple_of: Some("0.01".into()),
                ..none()
            },
            DataType::Decimal128(38, 2),
        ),
        limits(Constraints { min: bound("-0.5", false), ..none() }, DataType::Float64),
        limits(Constraints { max: bound("2026-01-01T00:00:00.250Z", true), ..none() }, timestamp(true)),
        limits(Constraints { min: bound("2026-01-01T00:00:00", false), ..none() }, timestamp(false)),
        limits(Constraints { pattern: Some(TIME.into()), min: bound("08:00:00", false), ..none() }, DataType::Utf8),
        limits(Constraints { pattern: Some(TIME.into()), ..none() }, DataType::Utf8),
        Property { format: Some("%d/%m/%Y %H:%M:%S%.3f".into()), ..property("x", timestamp(false)) },
        Property { decimal_comma: true, ..property("x", DataType::Decimal128(38, 9)) },
    ];
    let renamed = columns.into_iter().enumerate().map(|(at, column)| Property { name: format!("c{at}"), ..column });
    same(&contract(vec![entity("t", renamed.collect())]));
}

#[test]
fn policies_that_differ_are_written_with_their_tables() {
    let mut first = entity("a", vec![property("x", DataType::Utf8)]);
    (first.on_violation, first.schema_change) = (OnViolation::Fail, SchemaChange::Evolve);
    (first.on_personal_data, first.properties[0].not_personal) = (OnPersonalData::Warn, true);
    let second = entity("b", vec![property("x", DataType::Utf8)]);
    let text = same(&contract(vec![first, second]));
    assert_eq!(text.matches("on_violation").count(), 2);
    assert!(
        text.contains("on_personal_data, value: warn") && text.contains("holds_personal_data, value: false"),
        "{text}"
    );
    assert!(same(&contract(vec![])).ends_with("status: active\n"));
}

fn any_type() -> impl Strategy<Value = DataType> {
    let simple = prop_oneof![
        Just(DataType::Utf8),
        Just(DataType::Int8),
        Just(DataType::Int16),
        Just(DataType::Int32),
        Just(DataType::Int64),
        Just(DataType::Float32),
        Just(DataType::Float64),
        Just(DataType::Boolean),
        Just(DataType::Date32),
        Just(timestamp(true)),
        Just(timestamp(false)),
        (1u8..=38, 0i8..=38).prop_map(|(precision, scale)| DataType::Decimal128(precision, scale.min(precision as i8))),
    ];
    simple.prop_recursive(3, 12, 3, |inner| {
        let fields = prop::collection::vec(inner.clone(), 1..4).prop_map(|types| {
            let fields = types.into_iter().enumerate().map(|(at, of)| Field::new(format!("Feld {at}"), of, true));
            DataType::Struct(fields.collect::<Fields>())
        });
        let map = inner.clone().prop_map(|value| {
            let pair = vec![Field::new("key", DataType::Utf8, false), Field::new("value", value, true)];
            DataType::Map(Arc::new(Field::new("entries", DataType::Struct(pair.into()), false)), false)
        });
        prop_oneof![fields, map, inner.prop_map(|item| DataType::new_list(item, true))]
    })
}

/// Text as people write it, and as they should not.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z][a-zA-Z0-9_ ]{0,20}[a-z]",
        "[ -~]{0,30}",
        "\\PC{0,20}",
        "([a-zé$#:-]{0,8}\n){1,3}[a-z{}]{0,5}",
        Just("${HOME} $${x} {table}".to_owned()),
        prop::sample::select(vec![
            "yes",
            "null",
            "1e5",
            "0x1f",
            "~",
            "- a",
            "a: b",
            "a #b",
            "12:30:00",
            "=",
            "<<",
            "!!str",
            "%",
            "@",
            "`",
            "\u{85}\u{2028}\u{feff}"
        ])
        .prop_map(str::to_owned),
    ]
}

prop_compose! {
    fn any_property()(
        data_type in any_type(),
        name in "[a-z]{1,6}( [a-z]{1,3})?",
        description in prop::option::of(any_text()),
        flags in prop::array::uniform3(any::<bool>()),
        class in prop::option::of("(personal|public)(\\.[a-z]{1,5})?"),
        mask in prop::option::of(prop::sample::select(vec!["redact", "pseudonym(person)", "partial(first: 6, last: 4)"])),
    ) -> Property {
        Property {
            required: flags[0],
            unique: flags[1],
            decimal_comma: flags[2] && data_type.is_numeric(),
            classification: class.map(Classification::new),
            mask: mask.and_then(|mask| MaskSpec::parse(mask).ok()),
            description,
            ..property(&name, data_type)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_contract_is_the_same_when_it_is_read_again(
        properties in prop::collection::vec(any_property(), 1..5),
        description in prop::option::of(any_text()),
        id in "[a-z][a-z0-9-]{0,9}",
        owner in prop::option::of(any_text().prop_filter("a name", |name| !name.is_empty())),
        key in any::<bool>(),
    ) {
        let mut columns: Vec<Property> = Vec::new();
        for (at, mut column) in properties.into_iter().enumerate() {
            column.name = format!("{} {at}", column.name);
            column.primary_key = (key && !column.data_type.is_nested()).then_some(0);
            columns.push(column);
        }
        let places = columns.iter_mut().filter(|column| column.primary_key.is_some());
        places.enumerate().for_each(|(at, column)| column.primary_key = Some(at as u32 + 1));
        let mut table = entity("t", columns);
        table.description = description;
        let contract = Contract { id, owner, ..contract(vec![table]) };
        same(&contract);
    }
}
