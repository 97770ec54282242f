use super::{AvroSchema, compare};
use crate::registry::schema::{Definition, Resolved};
use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;

fn schema(text: &str) -> AvroSchema {
    AvroSchema::read(text, &[]).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn rules(reader: &str, writer: &str) -> Vec<&'static str> {
    compare(&schema(reader), &schema(writer)).into_iter().map(|one| one.rule).collect()
}

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
}

#[test]
fn a_rule_is_broken_one_way_and_kept_the_other() {
    let a = r#"{"name":"a","type":"string"}"#;
    let symbols = |list: &str| format!(r#"{{"type":"enum","name":"E","symbols":[{list}]}}"#);
    let cases = [
        ("READER_FIELD_MISSING_DEFAULT_VALUE", record(&format!(r#"{a},{{"name":"b","type":"string"}}"#)), record(a)),
        ("MISSING_ENUM_SYMBOLS", symbols(r#""A""#), symbols(r#""A","B""#)),
        ("MISSING_UNION_BRANCH", r#"["null","string"]"#.into(), r#"["null","string","int"]"#.into()),
        ("MISSING_UNION_BRANCH", r#"["null","string"]"#.into(), r#""int""#.into()),
        ("TYPE_MISMATCH", r#""string""#.into(), r#"["null","string"]"#.into()),
        ("TYPE_MISMATCH", r#""int""#.into(), r#""long""#.into()),
        ("TYPE_MISMATCH", r#""float""#.into(), r#""double""#.into()),
    ];
    for (rule, reader, writer) in cases {
        assert_eq!(rules(&reader, &writer), [rule], "{reader} reads {writer}");
        assert!(!rules(&writer, &reader).contains(&rule) || rule == "MISSING_UNION_BRANCH", "{rule}, back");
    }
}

#[test]
fn both_ways_broken_is_what_is_changed() {
    let decimal = |scale: u32| format!(r#"{{"type":"bytes","logicalType":"decimal","precision":9,"scale":{scale}}}"#);
    for (rule, one, other) in [
        (
            "NAME_MISMATCH",
            r#"{"type":"fixed","name":"F","size":2}"#.to_owned(),
            r#"{"type":"fixed","name":"G","size":2}"#.to_owned(),
        ),
        (
            "FIXED_SIZE_MISMATCH",
            r#"{"type":"fixed","name":"F","size":2}"#.into(),
            r#"{"type":"fixed","name":"F","size":3}"#.into(),
        ),
        ("TYPE_MISMATCH", r#"{"type":"array","items":"string"}"#.into(), r#"{"type":"map","values":"string"}"#.into()),
        ("TYPE_MISMATCH", r#""boolean""#.into(), r#""string""#.into()),
        ("DECIMAL_MISMATCH", decimal(2), decimal(3)),
        ("TYPE_MISMATCH", decimal(2), r#""string""#.into()),
    ] {
        assert_eq!(rules(&one, &other), [rule], "{one} reads {other}");
        assert_eq!(rules(&other, &one), [rule], "{other} reads {one}");
    }
}

#[test]
fn what_breaks_nobody_passes() {
    let a = r#"{"name":"a","type":"string"}"#;
    for (reader, writer) in [
        (record(&format!(r#"{a},{{"name":"b","type":["null","int"],"default":null}}"#)), record(a)),
        (record(a), record(&format!(r#"{a},{{"name":"b","type":"string"}}"#))),
        (record(r#"{"name":"c","aliases":["a"],"type":"string"}"#), record(a)),
        (r#""long""#.into(), r#""int""#.into()),
        (r#""double""#.into(), r#""float""#.into()),
        (r#""string""#.into(), r#""bytes""#.into()),
        (r#"["null","long"]"#.into(), r#""int""#.into()),
        (
            r#"{"type":"enum","name":"E","symbols":["A"],"default":"A"}"#.into(),
            r#"{"type":"enum","name":"E","symbols":["A","B"]}"#.into(),
        ),
        (
            r#"{"type":"fixed","name":"F","size":2,"aliases":["G"]}"#.into(),
            r#"{"type":"fixed","name":"G","size":2}"#.into(),
        ),
    ] {
        assert_eq!(rules(&reader, &writer), Vec::<&str>::new(), "{reader} reads {writer}");
    }
}

#[test]
fn types_that_contain_themselves_are_compared_to_the_end() {
    let list = |of: &str| record(&format!(r#"{{"name":"of","type":"{of}"}},{{"name":"next","type":["null","R"]}}"#));
    assert!(rules(&list("long"), &list("int")).is_empty());
    let found = compare(&schema(&list("int")), &schema(&list("long")));
    assert_eq!(found[0].at, "/fields/0/type");
}

/// Each record twice in the one above, in unions: looked at anew each time, this would take 2^28 steps.
#[test]
fn interwoven_types_are_compared_in_time() {
    let tree = |leaf: &str| {
        let levels = (0..28).fold(format!("\"{leaf}\""), |inner, at| {
            let (name, first) = (format!("R{at}"), inner);
            let again = if at == 0 { first.clone() } else { format!("\"R{}\"", at - 1) };
            format!(r#"{{"type":"record","name":"{name}","fields":[{{"name":"a","type":["null",{first}]}},{{"name":"b","type":["null",{again}]}}]}}"#)
        });
        schema(&levels)
    };
    assert!(compare(&tree("long"), &tree("int")).is_empty());
    assert!(!compare(&tree("int"), &tree("long")).is_empty());
}

#[test]
fn a_reference_gives_the_types_that_a_schema_only_names() {
    let inner = r#"{"type":"record","name":"shop.Address","fields":[{"name":"city","type":"string"}]}"#;
    let outer = r#"{"type":"record","name":"Person","namespace":"shop","fields":[{"name":"home","type":"Address"}]}"#;
    let resolved = Resolved {
        name: "shop.Address".into(),
        definition: Definition { schema: inner.into(), ..Definition::default() },
    };
    let with = AvroSchema::read(outer, &[resolved]).expect("a schema with its reference");
    assert_eq!(with.canonical(), outer, "what it refers to is not put in");
    assert!(AvroSchema::read(outer, &[]).is_err(), "a name that nobody defines");
}

#[test]
fn a_schema_is_kept_without_what_says_nothing() {
    let written = r#" { "name" : "R", "type": "record", "fields": [ { "type": {"type":"string"}, "name": "a", "default": "x", "doc": "d" } ], "namespace": "n", "own": {"b":1,"a":2} } "#;
    let one = schema(written);
    assert_eq!(
        one.canonical(),
        r#"{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":"string","doc":"d","default":"x"}],"own":{"b":1,"a":2}}"#
    );
    assert_eq!(
        one.normal(),
        r#"{"type":"record","name":"n.R","fields":[{"name":"a","type":"string","doc":"d","default":"x"}],"own":{"a":2,"b":1}}"#
    );
    assert_eq!(schema("string").canonical(), r#""string""#);
    assert_eq!(schema(r#"{"type":"string"}"#).canonical(), r#""string""#);
}

#[test]
fn what_is_no_schema_is_told() {
    for bad in [
        "",
        "{",
        "[]x",
        "\"strin\"",
        r#"{"type":"record","name":"R"}"#,
        r#"{"type":"record","name":"1R","fields":[]}"#,
        r#"{"type":"array"}"#,
        "3",
        "null_",
    ] {
        assert!(AvroSchema::read(bad, &[]).is_err(), "{bad}");
    }
}

/// A type, and a value of it.
fn types(depth: u32) -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "boolean", "int", "long", "float", "double", "bytes", "string"])
            .prop_map(|name| format!("\"{name}\"")),
        prop::sample::subsequence(vec!["A", "B", "C", "D"], 1..=4).prop_map(|symbols| {
            let list: Vec<String> = symbols.iter().map(|symbol| format!("\"{symbol}\"")).collect();
            format!(r#"{{"type":"enum","name":"NAME_E","symbols":[{}]}}"#, list.join(","))
        }),
        prop::sample::select(vec![1_u32, 2])
            .prop_map(|size| format!(r#"{{"type":"fixed","name":"NAME_F","size":{size}}}"#)),
        prop::sample::select(vec![1_u32, 2])
            .prop_map(|scale| format!(r#"{{"type":"bytes","logicalType":"decimal","precision":9,"scale":{scale}}}"#)),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    prop_oneof![
        3 => leaf,
        1 => types(depth - 1).prop_map(|of| format!(r#"{{"type":"array","items":{of}}}"#)),
        1 => types(depth - 1).prop_map(|of| format!(r#"{{"type":"map","values":{of}}}"#)),
        2 => types(depth - 1).prop_filter_map("a union holds no union and nothing twice", |of| {
            (of != "\"null\"" && !of.starts_with('[')).then(|| format!(r#"["null",{of}]"#))
        }),
    ]
    .boxed()
}

/// A record of some of the fields `a` to `e`; some have a default.
fn records() -> impl Strategy<Value = String> {
    let field = |name: &'static str| {
        (any::<bool>(), any::<bool>(), types(2)).prop_map(move |(is_there, has_default, of)| {
            let of = of.replace("NAME_", &format!("T{name}_"));
            let default = match (has_default, of.starts_with("[\"null\"")) {
                (true, true) => r#","default":null"#,
                _ => "",
            };
            is_there.then(|| format!(r#"{{"name":"{name}","type":{of}{default}}}"#))
        })
    };
    (field("a"), field("b"), field("c")).prop_map(|(a, b, c)| {
        let fields: Vec<String> = [a, b, c].into_iter().flatten().collect();
        record(&fields.join(","))
    })
}

/// Some value of a type, by a seed.
fn value(of: &Schema, seed: u64) -> Value {
    let next = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let pick = (seed >> 33) as usize;
    match of {
        Schema::Null => Value::Null,
        Schema::Boolean => Value::Boolean(pick.is_multiple_of(2)),
        Schema::Int => Value::Int(pick as i32),
        Schema::Long => Value::Long(pick as i64 * 1_000_003),
        Schema::Float => Value::Float(pick as f32 / 7.0),
        Schema::Double => Value::Double(pick as f64 / 7.0),
        // Bytes may be read as text, so they are some.
        Schema::Bytes => Value::Bytes(format!("é{pick}").into_bytes()),
        Schema::String => Value::String(format!("é{pick}")),
        Schema::Decimal(_) => Value::Decimal(apache_avro::Decimal::from(vec![0x01, pick as u8, 0, 0])),
        Schema::Array(array) => Value::Array((0..pick as u64 % 3).map(|at| value(&array.items, next ^ at)).collect()),
        Schema::Map(map) => {
            Value::Map((0..pick as u64 % 3).map(|at| (at.to_string(), value(&map.types, next ^ at))).collect())
        }
        Schema::Union(union) => {
            let at = pick % union.variants().len();
            Value::Union(at as u32, Box::new(value(&union.variants()[at], next)))
        }
        Schema::Record(record) => {
            let fields = record.fields.iter().enumerate();
            Value::Record(
                fields
                    .map(|(at, field)| (field.name.clone(), value(&field.schema, next ^ ((at as u64) << 34))))
                    .collect(),
            )
        }
        Schema::Enum(symbols) => {
            let at = pick % symbols.symbols.len();
            Value::Enum(at as u32, symbols.symbols[at].clone())
        }
        Schema::Fixed(fixed) => Value::Fixed(fixed.size, vec![pick as u8; fixed.size]),
        other => panic!("no value of {other:?} is made here"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    /// Where nothing is found, the reader reads what the writer wrote; and Avro's own library, for which only a full
    /// compatibility counts, says the same.
    #[test]
    fn what_is_compatible_reads(reader in records(), writer in records(), seed in any::<u64>()) {
        let found = compare(&schema(&reader), &schema(&writer));
        let (reads, writes) = (Schema::parse_str(&reader).expect("a schema"), Schema::parse_str(&writer).expect("a schema"));
        let theirs = SchemaCompatibility::can_read(&writes, &reads);
        let is_full = matches!(theirs, Ok(Compatibility::Full));
        // Text that is read as the digits of a decimal, or the reverse, is none of ours.
        let is_stricter = reader.contains("decimal") || writer.contains("decimal");
        prop_assert!(found.is_empty() == is_full || (is_full && is_stricter), "{reader} reads {writer}: {found:?}, {theirs:?}");
        if found.is_empty() {
            let writer_of = GenericDatumWriter::builder(&writes).build().expect("a writer");
            let bytes = writer_of.write_value_to_vec(value(&writes, seed)).expect("written");
            let reader_of = GenericDatumReader::builder(&writes).reader_schema(&reads).build().expect("a reader");
            let read = reader_of.read_value(&mut bytes.as_slice());
            // The library takes no decimal for the bytes that it is, nor the reverse.
            let is_read = read.as_ref().map_or_else(|e| e.to_string().contains("ecimal"), |_| true);
            prop_assert!(is_read, "{} reads {}: {:?}", reader, writer, read);
        }
    }

    /// The written forms are schemas, mean the same, and don't change when they are read again.
    #[test]
    fn a_form_is_the_form_of_itself(text in records()) {
        let one = schema(&text);
        for form in [one.canonical(), one.normal()] {
            let again = schema(&form);
            prop_assert!(compare(&one, &again).is_empty() && compare(&again, &one).is_empty());
            prop_assert_eq!(again.normal(), one.normal());
        }
        prop_assert_eq!(schema(&one.canonical()).canonical(), one.canonical());
    }
}
