use super::*;
use crate::odcs::physical::timestamp;
use arrow::datatypes::{DataType, Field};
use kernel::contract::{Bound, Must, OnViolation, SchemaChange};

#[test]
fn a_column_is_encrypted_in_either_spelling() {
    let of = |value: &str| {
        let text = format!("{{ name: a, logicalType: number, customProperties: [{value}] }}");
        column(&text).mask.map(|mask| mask.to_string())
    };
    let same = of("{ property: mask, value: 'encrypt(sums, homomorphic)' }");
    assert_eq!(of("{ property: encrypt, value: homomorphic }"), same);
    assert_eq!(
        of("{ property: encrypt, value: { mode: homomorphic, scope: amounts, max: 100000.00 } }").as_deref(),
        Some("encrypt(amounts, homomorphic, max: 100000.00)")
    );
    for wrong in [
        "{ property: encrypt, value: [homomorphic] }",
        "{ property: encrypt, value: { scope: amounts } }",
        "{ property: encrypt, value: { mode: homomorphic, most: 5 } }",
    ] {
        let text = table(&[&format!("{{ name: a, logicalType: number, customProperties: [{wrong}] }}")], "");
        assert!(faults(&text).iter().any(|fault| fault.contains("no way to encrypt")), "{wrong}");
    }
    let both = "{ name: a, logicalType: number, customProperties: [{ property: mask, value: redact }, { property: encrypt, value: homomorphic }] }";
    assert!(faults(&table(&[both], "")).iter().any(|fault| fault.contains("not both")));
}

#[test]
fn the_example_of_the_design_is_read() {
    let text = r#"
apiVersion: v3.1.0
kind: DataContract
id: payments
version: 1.2.0
status: active
schema:
  - name: payments
    properties:
      - { name: payment_id, logicalType: string, primaryKey: true, required: true }
      - { name: payer_cpf,  logicalType: string, classification: personal.cpf,
          customProperties: [{ property: mask, value: pseudonym(person) }] }
      - { name: amount,     logicalType: number, physicalType: "decimal(12,2)", required: true,
          quality: [{ type: sql, query: "select count(*) from {table} where {property} <= 0", mustBe: 0 }] }
      - { name: paid_at,    logicalType: timestamp, physicalType: "timestamp(6, UTC)", required: true }
customProperties: [{ property: on_violation, value: quarantine }]
"#;
    let (contract, draft) = good(text);
    assert!(draft.warnings.is_empty());
    assert_eq!((contract.id.as_str(), contract.version.as_str()), ("payments", "1.2.0"));
    let entity = &contract.entities[0];
    assert_eq!(
        (entity.name.as_str(), entity.key(), entity.on_violation),
        ("payments", vec!["payment_id"], OnViolation::Quarantine)
    );
    let types: Vec<DataType> = entity.properties.iter().map(|p| p.data_type.clone()).collect();
    assert_eq!(types, [DataType::Utf8, DataType::Utf8, DataType::Decimal128(12, 2), timestamp(true)]);
    let cpf = entity.property("payer_cpf").expect("the column");
    assert!(cpf.classification.as_ref().is_some_and(|class| class.is_personal()));
    assert_eq!(cpf.mask.as_ref().map(ToString::to_string).as_deref(), Some("pseudonym(person)"));
    assert_eq!(entity.rules[0].query, "select count(*) from {table} where \"amount\" <= 0");
    assert_eq!((entity.rules[0].name.as_str(), entity.rules[0].must), ("amount_sql", Must::Be(0.0)));
    let path = crate::odcs::mask_path(&draft.value, "payments", "payer_cpf").expect("a path");
    assert_eq!(draft.span(&path).map(|(start, end)| &text[start..end]), Some("pseudonym(person)"));
}

#[test]
fn logical_types_alone_have_a_type_and_none_is_a_float() {
    let of = |logical: &str| column(&format!("{{ name: x, logicalType: {logical} }}")).data_type;
    assert_eq!(of("string"), DataType::Utf8);
    assert_eq!(of("number"), DataType::Decimal128(38, 9));
    assert_eq!(of("integer"), DataType::Int64);
    assert_eq!(of("boolean"), DataType::Boolean);
    assert_eq!(of("date"), DataType::Date32);
    assert_eq!(of("timestamp"), timestamp(true));
    assert_eq!(of("time"), DataType::Utf8);
    assert_eq!(of("number, physicalType: double"), DataType::Float64);
    assert_eq!(of("number, logicalTypeOptions: { format: f32 }"), DataType::Float32);
    assert_eq!(of("integer, logicalTypeOptions: { format: i16 }"), DataType::Int16);
    assert_eq!(of("timestamp, logicalTypeOptions: { timezone: false }"), timestamp(false));
    assert_eq!(of("date, physicalType: timestamp(6)"), timestamp(false));
}

#[test]
fn a_physical_type_is_enough() {
    let of = |physical: &str| column(&format!("{{ name: x, physicalType: \"{physical}\" }}")).data_type;
    assert_eq!(of("decimal(10,4)"), DataType::Decimal128(10, 4));
    assert_eq!(of("timestamp with time zone"), timestamp(true));
    assert_eq!(of("bool"), DataType::Boolean);
    assert_eq!(column("{ name: x, physicalType: varchar(7) }").constraints.max_length, Some(7));
}

#[test]
fn unsigned_integers_keep_their_range() {
    let byte = column("{ name: x, logicalType: integer, logicalTypeOptions: { format: u8 } }");
    let bound = |value: &str| Some(Bound { value: value.into(), exclusive: false });
    assert_eq!(
        (byte.data_type, byte.constraints.min, byte.constraints.max),
        (DataType::Int16, bound("0"), bound("255"))
    );
}

#[test]
fn objects_arrays_maps_and_vectors_nest() {
    let text = table(
        &[
            "{ name: address, logicalType: object, properties: [{ name: city, logicalType: string }, { name: tags, logicalType: array, items: { logicalType: integer } }] }",
            "{ name: labels, logicalType: map, map: { key: { logicalType: string }, value: { logicalType: number } } }",
            "{ name: embedding, logicalType: vector, logicalTypeOptions: { dimensions: 3 } }",
        ],
        "",
    );
    let (contract, _) = good(&text.replace("v3.1.0", "v3.2.0"));
    let columns = &contract.entities[0].properties;
    let tags = DataType::new_list(DataType::Int64, true);
    let fields = vec![Field::new("city", DataType::Utf8, true), Field::new("tags", tags, true)];
    assert_eq!(columns[0].data_type, DataType::Struct(fields.into()));
    assert!(matches!(columns[1].data_type, DataType::Map(..)));
    assert_eq!(columns[2].data_type, DataType::new_list(DataType::Float32, true));
}

#[test]
fn bounds_are_exact_and_written_one_way() {
    let amount = column(
        "{ name: x, physicalType: \"decimal(38,9)\", logicalType: number, logicalTypeOptions: { minimum: 12345678901234567890.123456789, exclusiveMaximum: 1e25, multipleOf: 0.010 } }",
    );
    let limits = &amount.constraints;
    let bound = |value: &str, exclusive| Some(Bound { value: value.into(), exclusive });
    assert_eq!(limits.min, bound("12345678901234567890.123456789", false));
    assert_eq!(limits.max, bound("10000000000000000000000000", true));
    assert_eq!(limits.multiple_of.as_deref(), Some("0.01"));
    let born = column(
        "{ name: x, logicalType: date, logicalTypeOptions: { format: dd/MM/yyyy, minimum: 31/12/1900, maximum: '2026-01-01', exclusiveMaximum: true } }",
    );
    assert_eq!(born.format.as_deref(), Some("%d/%m/%Y"));
    assert_eq!((born.constraints.min, born.constraints.max), (bound("1900-12-31", false), bound("2026-01-01", true)));
}

#[test]
fn a_time_is_text_of_a_pattern() {
    let time = column("{ name: x, logicalType: time, logicalTypeOptions: { minimum: '08:00:00' } }");
    assert_eq!(time.constraints.pattern.as_deref(), Some(crate::odcs::TIME));
    let regex = regex::Regex::new(&format!("^(?:{})$", crate::odcs::TIME)).expect("a pattern");
    assert!(regex.is_match("23:59:59") && regex.is_match("00:00:00.123456"));
    assert!(!regex.is_match("24:00:00") && !regex.is_match("8:00:00") && !regex.is_match("12:00"));
}

#[test]
fn policies_of_a_table_go_before_those_of_the_contract() {
    let text = format!(
        "{HEAD}schema:\n  - name: a\n  - name: b\n    customProperties: [{{ property: on_violation, value: fail }}]\n\
         customProperties:\n  - {{ property: on_violation, value: drop_value }}\n  - {{ property: schema_change, value: evolve }}\n"
    );
    let (contract, _) = good(&text);
    let of = |at: usize| (contract.entities[at].on_violation, contract.entities[at].schema_change);
    assert_eq!(of(0), (OnViolation::DropValue, SchemaChange::Evolve));
    assert_eq!(of(1), (OnViolation::Fail, SchemaChange::Evolve));
}

#[test]
fn the_owner_is_found_wherever_the_standard_puts_it() {
    let owner = |text: &str| good(&format!("{HEAD}{text}\n")).0.owner;
    let is = |text: &str| Some(text.to_owned());
    assert_eq!(owner("team: { name: payments }"), is("payments"));
    assert_eq!(owner("team: { name: payments, members: [{ username: ana, role: Data Owner }] }"), is("ana"));
    assert_eq!(
        owner("team:\n  - { username: old, role: owner, dateOut: '2025-01-01' }\n  - { username: rui, role: Owner }"),
        is("rui")
    );
    assert_eq!(owner("team: [{ username: eva, role: engineer }]"), None);
    assert_eq!(owner("team: { name: x }\ncustomProperties: [{ property: owner, value: '${OWNER}' }]"), is("data-team"));
}

#[test]
fn retention_is_days_whatever_its_unit() {
    let days =
        |text: &str| good(&format!("{HEAD}slaProperties:\n  - {{ property: retention, {text} }}\n")).0.retention_days;
    assert_eq!((days("value: 3, unit: y"), days("value: 90, unit: days")), (Some(1095), Some(90)));
    assert_eq!((days("value: P1Y6M"), days("value: 2 weeks"), days("value: 30")), (Some(545), Some(14), Some(30)));
    let two = format!(
        "{HEAD}slaProperties: [{{ property: retention, value: 3, unit: y }}, {{ property: retention, value: 90, unit: d }}]\n"
    );
    assert_eq!(good(&two).0.retention_days, Some(90));
}

#[test]
fn keys_are_numbered_as_written_or_in_order() {
    let key = |columns: &[&str]| good(&table(columns, "")).0.entities[0].key().join(",");
    assert_eq!(
        key(&[
            "{ name: a, logicalType: string, primaryKey: true }",
            "{ name: b, logicalType: string, primaryKey: true }"
        ]),
        "a,b"
    );
    let second = "{ name: a, logicalType: string, primaryKey: true, primaryKeyPosition: 2 }";
    let first = "{ name: b, logicalType: string, primaryKey: true, primaryKeyPosition: 1 }";
    assert_eq!(
        key(&[second, first, "{ name: c, logicalType: string, primaryKey: false, primaryKeyPosition: -1 }"]),
        "b,a"
    );
}

#[test]
fn what_means_nothing_here_is_kept() {
    let text = table(
        &[
            "{ name: a, logicalType: string, tags: [x], customProperties: [{ property: steward, value: { team: [1, null] } }] }",
        ],
        "servers: [{ server: s, type: postgres, host: h, port: 5432, database: d, schema: p }]\n",
    );
    let (_, draft) = good(&text);
    let kept = serde_json::to_value(&draft.value).expect("json");
    assert_eq!(
        kept["schema"][0]["properties"][0]["customProperties"][0]["value"],
        serde_json::json!({ "team": [1, null] })
    );
    assert_eq!(kept["servers"][0]["port"], 5432);
    assert!(draft.warnings.is_empty());
}
