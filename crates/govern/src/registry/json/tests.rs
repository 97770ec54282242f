use super::{JsonSchema, compare};
use crate::registry::schema::{Definition, Resolved, SchemaType};

fn schema(text: &str) -> JsonSchema {
    JsonSchema::read(text, &[]).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn rules(old: &str, new: &str) -> Vec<&'static str> {
    compare(&schema(old), &schema(new), false).into_iter().map(|one| one.rule).collect()
}

fn object(properties: &str, more: &str) -> String {
    format!("{{\"type\":\"object\",\"properties\":{{{properties}}}{more}}}")
}

const CLOSED: &str = r#","additionalProperties":false"#;

/// A rule, and a change that breaks it.
type Case = (&'static str, &'static str, &'static str);

const BOUNDS: &[Case] = &[
    ("TYPE_NARROWED", r#"{"type":"number"}"#, r#"{"type":"integer"}"#),
    ("MAX_LENGTH_ADDED", r#"{"type":"string"}"#, r#"{"type":"string","maxLength":3}"#),
    ("MAX_LENGTH_DECREASED", r#"{"type":"string","maxLength":5}"#, r#"{"type":"string","maxLength":3}"#),
    ("MIN_LENGTH_ADDED", r#"{"type":"string"}"#, r#"{"type":"string","minLength":3}"#),
    ("MIN_LENGTH_INCREASED", r#"{"type":"string","minLength":1}"#, r#"{"type":"string","minLength":3}"#),
    ("PATTERN_ADDED", r#"{"type":"string"}"#, r#"{"type":"string","pattern":"a"}"#),
    ("MAXIMUM_ADDED", r#"{"type":"number"}"#, r#"{"type":"number","maximum":3}"#),
    ("MAXIMUM_DECREASED", r#"{"type":"number","maximum":5}"#, r#"{"type":"number","maximum":3}"#),
    ("MINIMUM_ADDED", r#"{"type":"number"}"#, r#"{"type":"number","minimum":3}"#),
    ("MINIMUM_INCREASED", r#"{"type":"number","minimum":1}"#, r#"{"type":"number","minimum":3}"#),
    ("EXCLUSIVE_MAXIMUM_ADDED", r#"{"type":"number"}"#, r#"{"type":"number","exclusiveMaximum":3}"#),
    (
        "EXCLUSIVE_MAXIMUM_DECREASED",
        r#"{"type":"number","exclusiveMaximum":5}"#,
        r#"{"type":"number","exclusiveMaximum":3}"#,
    ),
    ("EXCLUSIVE_MINIMUM_ADDED", r#"{"type":"number"}"#, r#"{"type":"number","exclusiveMinimum":3}"#),
    (
        "EXCLUSIVE_MINIMUM_INCREASED",
        r#"{"type":"number","exclusiveMinimum":1}"#,
        r#"{"type":"number","exclusiveMinimum":3}"#,
    ),
    ("MULTIPLE_OF_ADDED", r#"{"type":"number"}"#, r#"{"type":"number","multipleOf":2}"#),
    ("MULTIPLE_OF_EXPANDED", r#"{"type":"number","multipleOf":0.1}"#, r#"{"type":"number","multipleOf":0.5}"#),
];

const LISTS_AND_CHOICES: &[Case] = &[
    ("MAX_ITEMS_ADDED", r#"{"type":"array"}"#, r#"{"type":"array","maxItems":3}"#),
    ("MAX_ITEMS_DECREASED", r#"{"type":"array","maxItems":5}"#, r#"{"type":"array","maxItems":3}"#),
    ("MIN_ITEMS_ADDED", r#"{"type":"array"}"#, r#"{"type":"array","minItems":3}"#),
    ("MIN_ITEMS_INCREASED", r#"{"type":"array","minItems":1}"#, r#"{"type":"array","minItems":3}"#),
    ("UNIQUE_ITEMS_ADDED", r#"{"type":"array"}"#, r#"{"type":"array","uniqueItems":true}"#),
    ("SCHEMA_ADDED", r#"{"type":"array"}"#, r#"{"type":"array","items":{"type":"string"}}"#),
    ("ADDITIONAL_ITEMS_REMOVED", r#"{"type":"array"}"#, r#"{"type":"array","additionalItems":false}"#),
    ("ADDITIONAL_ITEMS_NARROWED", r#"{"type":"array"}"#, r#"{"type":"array","additionalItems":{"type":"string"}}"#),
    (
        "ITEM_ADDED_TO_OPEN_CONTENT_MODEL",
        r#"{"type":"array","items":[{"type":"string"}]}"#,
        r#"{"type":"array","items":[{"type":"string"},{"type":"null"}]}"#,
    ),
    (
        "ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL",
        r#"{"type":"array","items":[{"type":"string"},{"type":"null"}],"additionalItems":false}"#,
        r#"{"type":"array","items":[{"type":"string"}],"additionalItems":false}"#,
    ),
    (
        "ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
        r#"{"type":"array","items":[{}],"additionalItems":{"type":"number"}}"#,
        r#"{"type":"array","items":[{},{"type":"integer"}],"additionalItems":{"type":"number"}}"#,
    ),
    (
        "ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
        r#"{"type":"array","items":[{},{"type":"number"}],"additionalItems":{"type":"integer"}}"#,
        r#"{"type":"array","items":[{}],"additionalItems":{"type":"integer"}}"#,
    ),
    ("ENUM_ARRAY_NARROWED", r#"{"enum":["a","b"]}"#, r#"{"enum":["a"]}"#),
    (
        "SUM_TYPE_NARROWED",
        r#"{"anyOf":[{"type":"string"},{"type":"null"},{"type":"boolean"}]}"#,
        r#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#,
    ),
    (
        "PRODUCT_TYPE_EXTENDED",
        r#"{"allOf":[{"type":"string"},{"minLength":1}]}"#,
        r#"{"allOf":[{"type":"string"},{"minLength":1},{"maxLength":3}]}"#,
    ),
    (
        "COMBINED_TYPE_CHANGED",
        r#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#,
        r#"{"oneOf":[{"type":"string"},{"type":"null"}]}"#,
    ),
    ("NOT_TYPE_EXTENDED", r#"{"not":{"type":"integer"}}"#, r#"{"not":{"type":"number"}}"#),
    ("TYPE_CHANGED", r#"{"type":["string","null"]}"#, r#"{"type":"string"}"#),
    ("UNEVALUATED_ITEMS_REMOVED", r#"{"type":"array"}"#, r#"{"type":"array","unevaluatedItems":false}"#),
    ("MIN_CONTAINS_ADDED", r#"{"type":"array","contains":{}}"#, r#"{"type":"array","contains":{},"minContains":2}"#),
    ("MAX_CONTAINS_DECREASED", r#"{"type":"array","maxContains":3}"#, r#"{"type":"array","maxContains":2}"#),
];

#[test]
fn a_rule_is_broken_one_way_and_kept_the_other() {
    for (rule, old, new) in BOUNDS.iter().chain(LISTS_AND_CHOICES) {
        assert_eq!(rules(old, new), [*rule], "{old} → {new}");
        assert!(!rules(new, old).contains(rule), "{rule}, back: {:?}", rules(new, old));
    }
}

#[test]
fn both_ways_broken_is_what_is_changed() {
    for (rule, old, new) in [
        ("TYPE_CHANGED", r#"{"type":"string"}"#, r#"{"type":"number"}"#),
        ("PATTERN_CHANGED", r#"{"type":"string","pattern":"a"}"#, r#"{"type":"string","pattern":"b"}"#),
        ("MULTIPLE_OF_CHANGED", r#"{"type":"number","multipleOf":2}"#, r#"{"type":"number","multipleOf":3}"#),
        ("ENUM_ARRAY_CHANGED", r#"{"enum":["a","b"]}"#, r#"{"enum":["a","c"]}"#),
        ("ENUM_ARRAY_CHANGED", r#"{"const":"a"}"#, r#"{"const":"b"}"#),
        (
            "COMBINED_TYPE_SUBSCHEMAS_CHANGED",
            r#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#,
            r#"{"anyOf":[{"type":"string"},{"type":"number"}]}"#,
        ),
        ("CONDITION_CHANGED", r#"{"if":{"type":"string"}}"#, r#"{"if":{"type":"number"}}"#),
    ] {
        assert_eq!(rules(old, new), [rule], "{old} → {new}");
        assert_eq!(rules(new, old), [rule], "{new} → {old}");
    }
}

#[test]
fn rules_of_objects_are_broken_one_way_and_kept_the_other() {
    let a = r#""a":{"type":"string"}"#;
    let ab = r#""a":{"type":"string"},"b":{"type":"string"}"#;
    let default = r#""a":{"type":"string"},"b":{"type":"string","default":""}"#;
    let required = |what: &str| format!(r#","required":[{what}]"#);
    let closed = |more: &str| format!("{more}{CLOSED}");
    let partly = r#","additionalProperties":{"type":"number"}"#;
    let cases = [
        ("OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL", object(a, ""), object(ab, "")),
        ("REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL", object(a, ""), object(ab, &required("\"b\""))),
        (
            "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL",
            object(a, ""),
            object(default, &required("\"b\"")),
        ),
        ("PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL", object(ab, CLOSED), object(a, CLOSED)),
        ("REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL", object(a, CLOSED), object(ab, &closed(&required("\"b\"")))),
        ("REQUIRED_ATTRIBUTE_ADDED", object(ab, ""), object(ab, &required("\"b\""))),
        ("ADDITIONAL_PROPERTIES_REMOVED", object(a, ""), object(a, CLOSED)),
        ("ADDITIONAL_PROPERTIES_NARROWED", object(a, ""), object(a, partly)),
        ("UNEVALUATED_PROPERTIES_REMOVED", object(a, ""), object(a, r#","unevaluatedProperties":false"#)),
        ("UNEVALUATED_PROPERTIES_NARROWED", object(a, ""), object(a, r#","unevaluatedProperties":{"type":"null"}"#)),
        ("PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", object(a, partly), object(ab, partly)),
        ("PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", object(ab, partly), object(a, partly)),
        ("MAX_PROPERTIES_ADDED", object(a, ""), object(a, r#","maxProperties":2"#)),
        ("MIN_PROPERTIES_INCREASED", object(a, r#","minProperties":1"#), object(a, r#","minProperties":2"#)),
        ("DEPENDENCY_ARRAY_ADDED", object(a, ""), object(a, r#","dependencies":{"a":["b"]}"#)),
        (
            "DEPENDENCY_ARRAY_EXTENDED",
            object(a, r#","dependencies":{"a":["b"]}"#),
            object(a, r#","dependencies":{"a":["b","c"]}"#),
        ),
        ("DEPENDENCY_SCHEMA_ADDED", object(a, ""), object(a, r#","dependencies":{"a":{"minProperties":2}}"#)),
    ];
    for (rule, old, new) in cases {
        assert_eq!(rules(&old, &new), [rule], "{old} → {new}");
        assert!(!rules(&new, &old).contains(&rule), "{rule}, back: {:?}", rules(&new, &old));
    }
}

#[test]
fn what_breaks_nobody_passes() {
    let closed = |properties: &str| object(properties, CLOSED);
    for (old, new) in [
        (closed(r#""a":{"type":"string"}"#), closed(r#""a":{"type":"string"},"b":{"type":"null"}"#)),
        (object(r#""a":{"type":"string"}"#, ""), object("", "")),
        (object("", ""), object(r#""a":{}"#, "")),
        (r#"{"type":"integer"}"#.into(), r#"{"type":"number"}"#.into()),
        (r#"{"type":"string"}"#.into(), r#"{"type":["string","null"]}"#.into()),
        (r#"{"type":"string"}"#.into(), r#"{"oneOf":[{"type":"null"},{"type":"string"}]}"#.into()),
        (r#"{"oneOf":[{"type":"string"}]}"#.into(), r#"{"type":"string"}"#.into()),
        (r#"{"allOf":[{"type":"string"},{"maxLength":3}]}"#.into(), r#"{"type":"string"}"#.into()),
        (
            r#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#.into(),
            r#"{"anyOf":[{"type":"null"},{"type":"string"}]}"#.into(),
        ),
        (r#"{"type":"string","title":"a"}"#.into(), r#"{"type":"string","title":"b","description":"c"}"#.into()),
        ("false".into(), r#"{"type":"string"}"#.into()),
        (r#"{"type":"string"}"#.into(), "true".into()),
        (
            object(r#""a":{"type":"string"}"#, r#","patternProperties":{"^b":{"type":"string"}}"#),
            object(
                r#""a":{"type":"string"},"b1":{"type":"string"}"#,
                r#","patternProperties":{"^b":{"type":"string"}}"#,
            ),
        ),
    ] {
        assert_eq!(rules(&old, &new), Vec::<&str>::new(), "{old} → {new}");
    }
}

#[test]
fn lenient_looks_over_what_open_objects_may_hold() {
    let (old, new) = (schema(&object("", "")), schema(&object(r#""a":{"type":"string"}"#, "")));
    assert_eq!(compare(&old, &new, false).len(), 1);
    assert!(compare(&old, &new, true).is_empty());
    let required = schema(&object(r#""a":{"type":"string"}"#, r#","required":["a"]"#));
    assert_eq!(compare(&old, &required, true).len(), 1, "what is required is asked for by lenient ones too");
}

/// A tree whose leaves change: the pair of roots is met inside itself.
#[test]
fn schemas_that_contain_themselves_are_compared_to_the_end() {
    let tree = |leaf: &str| {
        let node = format!(
            r##"{{"type":"object","properties":{{"left":{{"$ref":"#/definitions/node"}},"leaf":{leaf}}},"additionalProperties":false}}"##
        );
        format!(r##"{{"definitions":{{"node":{node}}},"$ref":"#/definitions/node"}}"##)
    };
    assert!(rules(&tree(r#"{"type":"integer"}"#), &tree(r#"{"type":"number"}"#)).is_empty());
    let found = compare(&schema(&tree(r#"{"type":"number"}"#)), &schema(&tree(r#"{"type":"integer"}"#)), false);
    assert!(found.iter().any(|one| one.at == "#/properties/leaf" && one.rule == "TYPE_NARROWED"), "{found:?}");
}

#[test]
fn a_reference_leads_into_what_the_schema_came_with_and_nowhere_else() {
    let customer = Resolved {
        name: "customer.json".into(),
        definition: Definition {
            schema_type: SchemaType::Json,
            schema: r#"{"type":"object","definitions":{"name":{"type":"string"}}}"#.into(),
            ..Definition::default()
        },
    };
    let order = r#"{"type":"object","properties":{"customer":{"$ref":"customer.json"},"name":{"$ref":"customer.json#/definitions/name"}}}"#;
    let with = JsonSchema::read(order, std::slice::from_ref(&customer)).expect("a schema with its reference");
    let plain = schema(r#"{"type":"object","properties":{"customer":{"type":"object"},"name":{"type":"string"}}}"#);
    assert!(compare(&with, &plain, false).is_empty() && compare(&plain, &with, false).is_empty());
    for bad in [
        order,
        r##"{"$ref":"#/definitions/nothing"}"##,
        r#"{"$ref":"http://localhost:9/customer.json"}"#,
        r#"{"$ref":"file:///etc/passwd"}"#,
        r#"{"$ref":"/etc/passwd"}"#,
    ] {
        let told = JsonSchema::read(bad, &[]).expect_err(bad);
        assert!(told.contains("leads nowhere") || told.contains("no JSON Schema"), "{told}");
    }
}

#[test]
fn what_is_no_schema_is_told() {
    for bad in ["", "{", "[]", "3", r#"{"type":"strin"}"#, r#"{"properties":3}"#, r#"{"type":"string","pattern":"("}"#]
    {
        assert!(JsonSchema::read(bad, &[]).is_err(), "{bad}");
    }
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(JsonSchema::read(&deep, &[]).is_err());
}

/// Choices in choices are compared each with each: that must not take for ever.
#[test]
fn interwoven_schemas_end() {
    let nested = |depth: usize, leaf: &str| {
        (0..depth).fold(format!(r#"{{"type":"{leaf}"}}"#), |inner, at| {
            format!(r#"{{"anyOf":[{inner},{{"type":"object","properties":{{"p{at}":{inner}}}}},{{"enum":[{at}]}}]}}"#)
        })
    };
    let (old, new) = (nested(9, "string"), nested(9, "boolean"));
    assert!(!rules(&old, &new).is_empty());
}

#[test]
fn a_schema_is_kept_as_it_was_written_without_its_white_space() {
    let one = schema("{ \"type\": \"object\",\n \"properties\": {\"b\": {}, \"a\": {}} }");
    assert_eq!(one.canonical(), r#"{"type":"object","properties":{"b":{},"a":{}}}"#);
    assert_eq!(one.normal(), r#"{"properties":{"a":{},"b":{}},"type":"object"}"#);
}
