use super::*;

#[test]
fn unknown_fields_are_refused_with_a_suggestion() {
    let text =
        table(&["{ name: a, logicaltype: string }", "{ nam: b, logicalType: strng }"], "").replace("status", "staus");
    assert_eq!(
        faults(&text),
        [
            "5 «staus» unknown field `staus` [did you mean `status`?]",
            "9 «logicaltype» unknown field `logicaltype` [did you mean `logicalType`?]",
            "10 «nam» unknown field `nam` [did you mean `name`?]",
            "10 «strng» unknown value `strng` [did you mean `string`?]",
        ]
    );
    assert_eq!(
        faults(&HEAD.replace("v3.1.0", "v4.0.0"))[0],
        "1 «v4.0.0» unknown value `v4.0.0` [did you mean `v3.0.0`?]"
    );
    assert_eq!(
        faults(&HEAD.replace("status: active\n", "")),
        ["1 «apiVersion» the field `status` is missing [write `status: active`]"]
    );
}

#[test]
fn a_contract_that_contradicts_itself_is_told_where() {
    let one = |text: &str| faults(&table(&[text], "")).join("; ");
    let options = |logical: &str, options: &str| {
        one(&format!("{{ name: a, logicalType: {logical}, logicalTypeOptions: {{ {options} }} }}"))
    };
    assert_eq!(options("integer", "minimum: 5, maximum: 1"), "9 «1» no value is above the minimum and below this");
    assert_eq!(
        options("number", "exclusiveMinimum: 5, maximum: 5"),
        "9 «5» no value is above the minimum and below this"
    );
    assert_eq!(
        options("string", "minLength: 5, maxLength: 1"),
        "9 «5» at least 5 and at most 1 characters: no text is both"
    );
    assert_eq!(options("string", "pattern: '[a'"), "9 «'[a'» this pattern can't be used: unclosed character class");
    assert_eq!(
        options("string", "pattern: '(?=a)b'"),
        "9 «'(?=a)b'» this pattern can't be used: look-around, including look-ahead and look-behind, is not supported"
    );
    assert_eq!(
        options("string", "minimum: 5"),
        "9 «5» `minimum` says nothing here: the type has minLength, maxLength, pattern, format"
    );
    assert_eq!(options("number", "format: f46"), "9 «f46» unknown format `f46` [did you mean `f64`?]");
    assert_eq!(options("integer", "minimum: 1.5"), "9 «1.5» `1.5` is not a whole number");
    assert_eq!(
        options("integer", "minimum: 1, exclusiveMinimum: 2"),
        "9 «2» write `minimum` or `exclusiveMinimum`, not both"
    );
    assert_eq!(
        options("date", "minimum: yesterday"),
        "9 «yesterday» `yesterday` is not a date of the column's format, nor of ISO 8601"
    );
    assert_eq!(
        options("date", "format: '%d/%m/%Y'"),
        "9 «'%d/%m/%Y'» `%d/%m/%Y` is written as strftime [formats are written as `dd/MM/yyyy HH:mm:ss`]"
    );
    assert_eq!(
        options("timestamp", "defaultTimezone: America/Sao_Paulo"),
        "9 «America/Sao_Paulo» values without a zone can't be taken as of `America/Sao_Paulo`: they are UTC \
         [write `timezone: false` to keep them as they are, or let the format say the zone (`XXX`)]"
    );
    assert_eq!(
        one("{ name: a, logicalType: timestamp, physicalType: timestamp(9) }"),
        "9 «timestamp(9)» `timestamp(9)` can't be kept: Delta stores microseconds, which are 6 decimals"
    );
    assert_eq!(
        one("{ name: a, logicalType: integer, physicalType: \"decimal(12,2)\" }"),
        "9 «\"decimal(12,2)\"» an integer has no decimals: the two types contradict each other"
    );
}

#[test]
fn columns_and_keys_have_to_agree() {
    let both = |a: &str, b: &str| faults(&table(&[a, b], "")).join("; ");
    assert_eq!(
        both("{ name: Id, logicalType: string }", "{ name: id, logicalType: string }"),
        "10 «id» there are two columns `id` [the first one is `Id`]"
    );
    assert_eq!(
        both("{ name: a, logicalType: string, primaryKeyPosition: 1 }", "{ name: b, logicalType: string }"),
        "9 «1» `a` has a place in the primary key and is not in it [write `primaryKey: true`, or take the position away]"
    );
    let key = |name: &str| format!("{{ name: {name}, logicalType: string, primaryKey: true, primaryKeyPosition: 1 }}");
    assert_eq!(both(&key("a"), &key("b")), "10 «1» two columns have place 1 in the primary key");
    let without = "{ name: c, logicalType: string, primaryKey: true }";
    assert_eq!(
        both(&key("a"), without),
        "10 «true» this column of the primary key has no `primaryKeyPosition`, and others have"
    );
    assert_eq!(faults(&format!("{HEAD}schema: [{{ name: t }}, {{ name: T }}]\n")), ["6 «T» there are two tables `T`"]);
}

#[test]
fn a_mask_that_would_hide_nothing_is_an_error() {
    let custom = |custom: &str| {
        faults(&table(&[&format!("{{ name: a, logicalType: string, customProperties: [{custom}] }}")], ""))
    };
    assert_eq!(
        custom("{ property: mask, value: 'pseudonym(person' }"),
        [
            "9 «'pseudonym(person'» `pseudonym(person` is not a mask [write it as `redact`, `pseudonym(person)` or `partial(first: 6, last: 4)`]"
        ]
    );
    assert_eq!(
        custom("{ property: mask, value: [redact] }")[0],
        "9 «value» a mask is text [write it as `redact` or `pseudonym(person)`]"
    );
    assert_eq!(
        custom("{ property: mask, value: redact }, { property: mask, value: drop }"),
        ["9 «mask» `mask` is written twice"]
    );
    let above =
        table(&["{ name: a, logicalType: string }"], "    customProperties: [{ property: mask, value: redact }]\n");
    assert_eq!(faults(&above), ["10 «mask» `mask` says nothing here: it belongs to a column"]);
    let nested = |inner: &str, outer: &str| {
        let inner = format!("properties: [{{ name: cpf, logicalType: string, {inner} }}]");
        faults(&table(&[&format!("{{ name: person, logicalType: object, {inner}{outer} }}")], "")).join("; ")
    };
    assert!(nested("classification: personal.cpf", "").contains("can't be masked by itself [give `person` a mask"));
    assert_eq!(nested("classification: personal.cpf", ", classification: personal"), "");
    assert!(
        nested("customProperties: [{ property: mask, value: redact }]", "").contains("a mask hides a whole column")
    );
}

#[test]
fn near_misses_and_what_is_not_held_are_warned_of() {
    let near = table(&["{ name: a, logicalType: string, customProperties: [{ property: marker, value: x }] }"], "");
    assert_eq!(warnings(&near), ["9 «marker» `marker` means nothing to Lavra; did you mean `mask`?"]);
    let one = |text: &str| warnings(&table(&[text], "")).join("; ");
    assert_eq!(
        one("{ name: a, logicalType: number, physicalType: BIGNUMERIC }"),
        "9 «BIGNUMERIC» `BIGNUMERIC` is not known here as a number: `logicalType` decides"
    );
    assert_eq!(one("{ name: a }"), "9 «name» `a` has no type that is known here: it is taken as text");
    assert_eq!(
        one("{ name: a, logicalType: object }"),
        "9 «name» `a` does not say its fields: it is taken as text (JSON)"
    );
    assert_eq!(
        one("{ name: a, logicalType: string, physicalName: b }"),
        "9 «b» columns are found by `name`: `a` is, `b` is not"
    );
    assert!(
        one("{ name: a, logicalType: array, items: { logicalType: string, required: true } }")
            .contains("`required` is not held")
    );
}

#[test]
fn words_of_policies_are_checked() {
    let text = format!(
        "{HEAD}customProperties:\n  - {{ property: on_violation, value: quarantene }}\n  - {{ property: schema_change, value: 1 }}\n"
    );
    assert_eq!(
        faults(&text),
        [
            "7 «quarantene» unknown value `quarantene` [did you mean `quarantine`?]",
            "8 «1» unknown value `1` [it can be: freeze, evolve, quarantine]",
        ]
    );
    let separator = table(
        &["{ name: a, logicalType: string, customProperties: [{ property: decimal_separator, value: ',' }] }"],
        "",
    );
    assert_eq!(
        faults(&separator),
        ["9 «customProperties» `decimal_separator` is for numbers, and this column holds none"]
    );
    let retention = format!("{HEAD}slaProperties: [{{ property: retention, value: forever }}]\n");
    assert!(faults(&retention)[0].starts_with("6 «forever» this is not a time of at least a day"));
}

#[test]
fn allowed_values_have_to_be_values_of_the_column() {
    let text = table(
        &[
            "{ name: a, logicalType: integer, enum: [{ value: 1 }, { value: x }] }",
            "{ name: b, logicalType: string, logicalTypeOptions: { maxLength: 2 }, enum: [{ value: abc }] }",
            "{ name: c, logicalType: string, logicalTypeOptions: { pattern: '[A-Z]' }, enum: [{ value: A }, { value: b }] }",
        ],
        "",
    );
    assert_eq!(
        faults(&text),
        [
            "9 «x» `x` is not a number",
            "10 «abc» `abc` is allowed here, and its length is not",
            "11 «b» `b` is allowed here, and does not match `[A-Z]`",
        ]
    );
}

#[test]
fn a_property_that_is_ours_but_for_a_slip_is_an_error() {
    let column = |name: &str| {
        faults(&table(
            &[&format!(
                "{{ name: a, logicalType: string, customProperties: [{{ property: {name}, value: redact }}] }}"
            )],
            "",
        ))
    };
    for name in ["Mask", "masks", "MASK", "maks", "masking", "mask_type", "Mask "] {
        let told = column(&format!("'{name}'")).join("; ");
        assert!(told.contains(&format!("`{name}` means nothing to Lavra [did you mean `mask`?]")), "{name}: {told}");
    }
    assert_eq!(column("unit"), [""; 0]);
    let inner = "properties: [{ name: b, logicalType: string, customProperties: [{ property: Mask, value: redact }] }]";
    let told = faults(&table(&[&format!("{{ name: a, logicalType: object, {inner} }}")], "")).join("; ");
    assert!(told.contains("did you mean `mask`?"), "{told}");
    let policy = |name: &str| faults(&format!("{HEAD}customProperties: [{{ property: {name}, value: fail }}]\n"));
    for name in ["on_violaton", "onViolation", "On_Violation", "schemaChange", "decimal-separator"] {
        assert_eq!(policy(name).len(), 1, "{name}");
    }
    assert_eq!((policy("on_failure"), policy("reviewed_by")), (vec![], vec![]));
}

#[test]
fn a_class_that_is_nearly_one_of_personal_data_is_an_error() {
    let class = |class: &str| {
        faults(&table(&[&format!("{{ name: a, logicalType: string, classification: {class} }}")], "")).join("; ")
    };
    assert_eq!(
        class("personal_cpf"),
        "9 «personal_cpf» `personal_cpf` is no class of personal data, so the column would be stored as it is \
         [did you mean `personal.cpf`?]"
    );
    for wrong in ["personnal.cpf", "pii", "PII.cpf", "restricted/pii", "sensitive-health"] {
        assert!(class(wrong).contains("did you mean `"), "{wrong}");
    }
    for right in ["restricted", "internal", "public", "Personal.CPF", "sensitive.health", "non-sensitive"] {
        assert_eq!(class(right), "", "{right}");
    }
    assert_eq!(column("{ name: a, logicalType: string, classification: Personal.CPF }").classification, {
        Some(kernel::Classification::new("personal.cpf"))
    });
}

#[test]
fn what_a_variable_put_in_is_never_shown() {
    let secret = |columns: &[&str]| {
        let env = |name: &str| (name == "SECRET").then(|| "decimal(99,hunter2)".to_owned());
        let text = table(columns, "");
        let found = read("contracts/shop.yaml", &text, &env).err().unwrap_or_default();
        assert!(!found.is_empty(), "{columns:?} has a fault");
        for fault in &found {
            assert!(!fault.render(&text).contains("hunter2") && !fault.render(&text).contains("99"), "{fault:?}");
        }
    };
    secret(&["{ name: a, logicalType: number, physicalType: '${SECRET}' }"]);
    secret(&["{ name: '${SECRET}', logicalType: string }", "{ name: '${SECRET}', logicalType: string }"]);
    secret(&["{ name: a, logicalType: date, logicalTypeOptions: { format: '${SECRET}' } }"]);
    let query = "quality: [{ type: sql, query: '${SECRET}' }]";
    secret(&[&format!("{{ name: a, logicalType: string, {query} }}")]);
    let name = "{ name: b, logicalType: object, properties: [{ name: '${SECRET}' }, { name: '${SECRET}' }] }";
    secret(&[name]);
}
