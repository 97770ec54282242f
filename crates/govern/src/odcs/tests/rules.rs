use super::*;
use kernel::contract::{Must, SqlRule};

/// The rules and the first column of a table whose first column has this `quality`.
fn with(logical: &str, quality: &str) -> (Vec<SqlRule>, Property) {
    let column = format!("{{ name: a, logicalType: {logical}, quality: [{quality}] }}");
    let entity = good(&table(&[&column, "{ name: b, logicalType: string }"], "")).0.entities.remove(0);
    let first = entity.properties[0].clone();
    (entity.rules, first)
}

fn query(logical: &str, quality: &str) -> String {
    let (rules, _) = with(logical, quality);
    assert_eq!(rules.len(), 1, "{rules:?}");
    rules[0].query.clone()
}

fn fault(quality: &str) -> String {
    faults(&table(&[&format!("{{ name: a, logicalType: string, quality: [{quality}] }}")], "")).join("; ")
}

#[test]
fn what_no_row_may_break_is_held_row_by_row() {
    let (rules, a) =
        with("string", "{ metric: nullValues, mustBe: 0 }, { metric: duplicateValues, mustBeLessThan: 1 }");
    assert!(rules.is_empty() && a.required && a.unique);
    let (rules, a) =
        with("string", "{ metric: invalidValues, arguments: { validValues: [x, 1, null], pattern: '.' }, mustBe: 0 }");
    assert!(rules.is_empty());
    assert_eq!(a.constraints.accepted, Some(vec!["x".to_owned(), "1".to_owned()]));
    assert_eq!(a.constraints.pattern.as_deref(), Some("."));
    let (_, a) = with("integer", "{ type: library, rule: validValues, validValues: [1, 2.0] }");
    assert_eq!(a.constraints.accepted, Some(vec!["1".to_owned(), "2".to_owned()]));
    assert!(
        with("string", "{ rule: nullCheck }").1.required
            && with("string", "{ rule: duplicateCount, mustBe: 0 }").1.unique
    );
}

#[test]
fn what_some_rows_may_break_is_sql() {
    assert_eq!(
        query("string", "{ metric: nullValues, mustBeLessThan: 10 }"),
        "select count(*) from {table} where \"a\" is null"
    );
    assert_eq!(
        query("string", "{ metric: nullValues, mustBeLessThan: 1, unit: percent }"),
        "select coalesce(100.0 * sum(case when \"a\" is null then 1 else 0 end) / count(*), 0) from {table}"
    );
    assert_eq!(
        query("integer", "{ metric: invalidValues, arguments: { validValues: [1, o'x] }, mustBeLessOrEqualTo: 5 }"),
        "select count(*) from {table} where cast(\"a\" as varchar) not in ('1', 'o''x')"
    );
    assert_eq!(
        query("string", "{ metric: invalidValues, arguments: { pattern: '[A-Z]{2}' }, mustBeLessThan: 5 }"),
        "select count(*) from {table} where not regexp_like(\"a\", '^(?:[A-Z]{2})$')"
    );
    assert_eq!(
        query(
            "string",
            "{ metric: missingValues, arguments: { missingValues: [null, '', N/A] }, mustBeLessThan: 100 }"
        ),
        "select count(*) from {table} where \"a\" is null or \"a\" in ('', 'N/A')"
    );
    assert_eq!(
        query("string", "{ metric: duplicateValues, mustBeLessThan: 10 }"),
        "select count(*) from (select count(*) as n from {table} where \"a\" is not null group by \"a\" having count(*) > 1) as groups"
    );
    let (rules, a) = with("string", "{ metric: missingValues, arguments: { missingValues: [null, ''] }, mustBe: 0 }");
    assert!(a.required);
    assert_eq!(rules[0].query, "select count(*) from {table} where \"a\" in ('')");
}

#[test]
fn arrays_have_rules_of_their_own() {
    let text = table(
        &[
            "{ name: a, logicalType: array, items: { logicalType: string }, logicalTypeOptions: { minItems: 1, uniqueItems: true } }",
        ],
        "",
    );
    let rules = &good(&text).0.entities[0].rules;
    let names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["a_minItems", "a_uniqueItems"]);
    assert_eq!(
        rules[0].query,
        "select count(*) from {table} where \"a\" is not null and coalesce(array_length(\"a\"), 0) < 1"
    );
}

#[test]
fn tables_have_rules_too() {
    let rules = "    quality:\n      - { metric: rowCount, mustBeBetween: [1, 10] }\n\
                 \x20     - { metric: duplicateValues, arguments: { properties: [a, b] }, mustBe: 0, id: pair }\n\
                 \x20     - { metric: duplicateValues, arguments: { properties: [b] }, mustBe: 0 }\n\
                 \x20     - { type: sql, name: sum, query: 'select sum(a) from {object}', mustNotBe: 0, mustBeGreaterThan: -5 }\n";
    let text = table(&["{ name: a, logicalType: integer }", "{ name: b, logicalType: string }"], rules);
    let entity = good(&text).0.entities.remove(0);
    assert!(entity.properties[1].unique);
    let shown: Vec<(String, Must)> =
        entity.rules.iter().map(|rule| (format!("{}: {}", rule.name, rule.query), rule.must)).collect();
    let duplicates = "select count(*) from (select count(*) as n from {table} where \"a\" is not null and \"b\" is not null \
                      group by \"a\", \"b\" having count(*) > 1) as groups";
    assert_eq!(
        shown,
        [
            ("t_rowCount: select count(*) from {table}".to_owned(), Must::BeBetween(1.0, 10.0)),
            (format!("pair: {duplicates}"), Must::Be(0.0)),
            ("sum: select sum(a) from {table}".to_owned(), Must::NotBe(0.0)),
            ("sum_2: select sum(a) from {table}".to_owned(), Must::BeGreaterThan(-5.0)),
        ]
    );
}

#[test]
fn every_spelling_of_table_and_column_is_understood() {
    let ours = "select count(*) from {table} where \"a\" > 1";
    for text in [
        "select count(*) from {object} where {property} > 1",
        "select count(*) from ${table} where ${column} > 1",
        "select count(*) from \\\"{model}\\\" where \\\"{field}\\\" > 1",
        "select count(*) from t where {property} > 1",
        "select count(*) from \\\"T\\\" where {property} > 1",
    ] {
        assert_eq!(query("integer", &format!("{{ type: sql, query: \"{text}\", mustBe: 0 }}")), ours);
    }
    let (rules, _) = with("integer", "{ type: sql, query: 'select true from {table}', mustBe: true }");
    assert_eq!(rules[0].must, Must::Be(1.0));
}

#[test]
fn rules_that_can_not_be_meant_are_told() {
    assert_eq!(
        fault("{ metric: nullValues }"),
        "9 «metric» the rule does not say what must hold [for example `mustBe: 0`]"
    );
    assert!(fault("{ description: good }").contains("a rule needs a `metric`"));
    assert!(fault("{ query: select 1, mustBe: 0 }").contains("a rule with a `query` needs its type"));
    assert!(fault("{ type: sql, mustBe: 0 }").contains("needs a `query`"));
    assert!(fault("{ metric: nullvalues, mustBe: 0 }").contains("did you mean `nullValues`?"));
    assert!(fault("{ metric: invalidValues, mustBe: 0 }").contains("which values are valid?"));
    assert!(fault("{ metric: rowCount, mustBe: 0 }").contains("`rowCount` is about a table"));
    assert!(fault("{ metric: nullValues, mustBe: zero }").contains("a rule measures a number"));
    assert!(fault("{ metric: nullValues, mustBeBetween: [5, 1] }").contains("the smaller number comes first"));
    assert!(fault("{ metric: nullValues, mustBeBetween: [5] }").contains("the list needs at least 2 items"));
    assert!(
        fault("{ metric: invalidValues, arguments: { pattern: '[' }, mustBe: 0 }")
            .contains("this pattern can't be used")
    );
    let columns = ["{ name: amount, logicalType: integer }"];
    let table_rule = |rule: &str| faults(&table(&columns, &format!("    quality: [{rule}]\n"))).join("; ");
    assert!(table_rule("{ metric: nullValues, mustBe: 0 }").contains("`nullValues` is about a column"));
    assert!(
        table_rule("{ metric: duplicateValues, arguments: { properties: [amuont] }, mustBe: 0 }")
            .contains("did you mean `amount`?")
    );
    assert!(
        table_rule("{ type: sql, query: 'select count({property}) from {table}', mustBe: 0 }")
            .contains("`{property}` is nothing")
    );
}

#[test]
fn rules_of_others_are_kept_and_not_run() {
    let (rules, _) = with("string", "{ type: text, description: be good }");
    assert!(rules.is_empty());
    let custom = table(
        &["{ name: a, logicalType: string, quality: [{ type: custom, engine: soda, implementation: 'x: 1' }] }"],
        "",
    );
    assert_eq!(warnings(&custom), ["9 «type» rules of `soda` are kept and not run"]);
    let other =
        table(&["{ name: a, logicalType: string, quality: [{ type: sql, query: select 1 from u, mustBe: 1 }] }"], "");
    assert!(warnings(&other)[0].contains("it is about some other table"));
}
