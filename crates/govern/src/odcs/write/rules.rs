//! `quality`.

use super::word;
use super::yaml::{Fields, Yaml};
use arrow::datatypes::DataType;
use kernel::contract::{Entity, Must, Property, SqlRule};

/// The rules of a column: values allowed, a pattern of what is no text, SQL.
pub(super) fn of(property: &Property, entity: &Entity) -> Vec<Yaml> {
    let mut rules = Vec::new();
    if let Some(accepted) = &property.constraints.accepted {
        let bare = property.data_type.is_numeric() || property.data_type == DataType::Boolean;
        let value = |text: &String| if bare { word(text) } else { Yaml::Text(text.clone()) };
        rules.push(never_invalid("validValues", Yaml::List(accepted.iter().map(value).collect())));
    }
    if let Some(pattern) = property.constraints.pattern.as_ref().filter(|_| property.data_type != DataType::Utf8) {
        rules.push(never_invalid("pattern", Yaml::Text(pattern.clone())));
    }
    rules.extend(entity.rules.iter().filter(|rule| rule.property.as_ref() == Some(&property.name)).map(sql));
    rules
}

fn never_invalid(argument: &'static str, value: Yaml) -> Yaml {
    let arguments = Yaml::Map(vec![(argument, value)]);
    Yaml::Map(vec![("metric", word("invalidValues")), ("arguments", arguments), ("mustBe", word("0"))])
}

pub(super) fn sql(rule: &SqlRule) -> Yaml {
    let mut fields: Fields = vec![("name", Yaml::Text(rule.name.clone())), ("type", word("sql"))];
    fields.push(("query", Yaml::Text(rule.query.clone())));
    fields.push(must(rule.must));
    Yaml::Map(fields)
}

fn must(must: Must) -> (&'static str, Yaml) {
    let number = |n: f64| word(&n.to_string());
    let range = |least, most| Yaml::List(vec![number(least), number(most)]);
    match must {
        Must::Be(n) => ("mustBe", number(n)),
        Must::NotBe(n) => ("mustNotBe", number(n)),
        Must::BeGreaterThan(n) => ("mustBeGreaterThan", number(n)),
        Must::BeAtLeast(n) => ("mustBeGreaterOrEqualTo", number(n)),
        Must::BeLessThan(n) => ("mustBeLessThan", number(n)),
        Must::BeAtMost(n) => ("mustBeLessOrEqualTo", number(n)),
        Must::BeBetween(least, most) => ("mustBeBetween", range(least, most)),
        Must::NotBeBetween(least, most) => ("mustNotBeBetween", range(least, most)),
    }
}
