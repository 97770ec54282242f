//! The library of rules that ODCS defines: `metric` in v3.1, `rule` in v3.0.

use super::limits;
use super::notes::Notes;
use super::quality::{Place, Rules, identifier, musts, needs_operator};
use crate::odcs::model::{self, Metric, Quality};
use arrow::datatypes::DataType;
use kernel::contract::{Must, Property};

/// A library rule as it is meant.
struct Library<'a> {
    rule: &'a Quality,
    metric: Metric,
    musts: Vec<Must>,
    percent: bool,
}

impl<'a> Library<'a> {
    fn read(rule: &'a Quality, path: &str, notes: &mut Notes) -> Option<Self> {
        let metric = match (rule.metric, rule.rule.as_deref()) {
            (Some(metric), _) => metric,
            (None, Some(old)) => match renamed(old) {
                Some(metric) => metric,
                None => {
                    notes.warn(
                        &format!("{path}.rule"),
                        format!("the rule `{old}` is none of the standard's: it is kept and not run"),
                    );
                    return None;
                }
            },
            (None, None) => {
                let known = "nullValues, missingValues, invalidValues, duplicateValues, rowCount";
                notes.error_help(
                    path,
                    "a rule needs a `metric`",
                    format!("one of {known}; or `type: sql` and a `query`"),
                );
                return None;
            }
        };
        let mut musts = musts(rule, path, notes);
        // In v3.0 a rule such as `validValues` needs no operator: none may break it.
        if musts.is_empty() && rule.metric.is_none() && metric != Metric::RowCount {
            musts.push(Must::Be(0.0));
        }
        if musts.is_empty() {
            needs_operator(path, notes);
            return None;
        }
        let percent = match rule.unit.as_deref() {
            None | Some("rows") => false,
            Some("percent" | "%") => true,
            Some(_) => {
                notes.warn(&format!("{path}.unit"), "a unit is `rows` or `percent`: taken as rows");
                false
            }
        };
        Some(Self { rule, metric, musts, percent })
    }

    /// Whether not a single row may break it, so that the gate can hold it row by row.
    fn never(&self) -> bool {
        match self.musts.as_slice() {
            [Must::Be(x) | Must::BeAtMost(x)] => *x == 0.0,
            [Must::BeLessThan(x)] => !self.percent && *x > 0.0 && *x <= 1.0,
            _ => false,
        }
    }

    fn name(&self) -> &'static str {
        match self.metric {
            Metric::NullValues => "nullValues",
            Metric::MissingValues => "missingValues",
            Metric::InvalidValues => "invalidValues",
            Metric::DuplicateValues => "duplicateValues",
            Metric::RowCount => "rowCount",
        }
    }

    /// Rows for which `predicate` is true, counted or as a share.
    fn count(&self, predicate: &str, place: &Place, rules: &mut Rules) {
        let query = if self.percent {
            format!(
                "select coalesce(100.0 * sum(case when {predicate} then 1 else 0 end) / count(*), 0) from {{table}}"
            )
        } else {
            format!("select count(*) from {{table}} where {predicate}")
        };
        self.sql(&query, place, rules);
    }

    /// Values of `columns` that more than one row has, counted; or the share of those rows.
    fn duplicates(&self, columns: &[String], place: &Place, rules: &mut Rules) {
        let by = columns.join(", ");
        let there: Vec<String> = columns.iter().map(|column| format!("{column} is not null")).collect();
        let groups = format!("select count(*) as n from {{table}} where {} group by {by}", there.join(" and "));
        let query = if self.percent {
            format!(
                "select coalesce(100.0 * sum(case when n > 1 then n else 0 end) / sum(n), 0) from ({groups}) as groups"
            )
        } else {
            format!("select count(*) from ({groups} having count(*) > 1) as groups")
        };
        self.sql(&query, place, rules);
    }

    fn sql(&self, query: &str, place: &Place, rules: &mut Rules) {
        for must in &self.musts {
            rules.add(self.rule, self.name(), query, *must, place);
        }
    }
}

/// Names from v3.0 and its examples.
fn renamed(rule: &str) -> Option<Metric> {
    Some(match rule {
        "nullValues" | "nullCheck" | "nullCount" => Metric::NullValues,
        "missingValues" | "missingCount" => Metric::MissingValues,
        "invalidValues" | "validValues" | "invalidCount" => Metric::InvalidValues,
        "duplicateValues" | "duplicateCount" | "uniqueCheck" => Metric::DuplicateValues,
        "rowCount" | "countCheck" => Metric::RowCount,
        _ => return None,
    })
}

/// A library rule of a table.
pub(super) fn table(rule: &Quality, columns: &mut [Property], place: &Place, rules: &mut Rules, notes: &mut Notes) {
    let Some(library) = Library::read(rule, place.path, notes) else { return };
    match library.metric {
        Metric::RowCount => library.sql("select count(*) from {table}", place, rules),
        Metric::DuplicateValues => {
            let listed = format!("{}.arguments.properties", place.path);
            let names = rule.arguments.as_ref().and_then(|arguments| arguments.properties.clone()).unwrap_or_default();
            if names.is_empty() {
                let help = "write `arguments: { properties: [tenant, id] }`";
                return notes.error_help(place.path, "duplicates of which columns?", help);
            }
            for (at, name) in names.iter().enumerate() {
                if !columns.iter().any(|column| column.name == *name) {
                    let known: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
                    notes.unknown(&format!("{listed}[{at}]"), format!("there is no column `{name}`"), known);
                }
            }
            match columns.iter_mut().find(|column| names.len() == 1 && column.name == names[0]) {
                Some(column) if library.never() => column.unique = true,
                _ => library.duplicates(&names.iter().map(|name| identifier(name)).collect::<Vec<_>>(), place, rules),
            }
        }
        Metric::NullValues | Metric::MissingValues | Metric::InvalidValues => {
            notes.error(place.path, format!("`{}` is about a column: write it below one", library.name()));
        }
    }
}

/// A library rule of a column.
pub(super) fn column(rule: &Quality, column: &mut Property, place: &Place, rules: &mut Rules, notes: &mut Notes) {
    let Some(library) = Library::read(rule, place.path, notes) else { return };
    match library.metric {
        Metric::NullValues if library.never() => column.required = true,
        Metric::NullValues => library.count("{property} is null", place, rules),
        Metric::MissingValues => missing(&library, column, place, rules, notes),
        Metric::InvalidValues => invalid(&library, column, place, rules, notes),
        Metric::DuplicateValues if library.never() => column.unique = true,
        Metric::DuplicateValues => library.duplicates(&["{property}".to_owned()], place, rules),
        Metric::RowCount => notes.error(place.path, "`rowCount` is about a table: write it below the table"),
    }
}

/// Values that stand for "nothing": null, and the texts that are listed.
fn missing(library: &Library, column: &mut Property, place: &Place, rules: &mut Rules, notes: &mut Notes) {
    let listed = library.rule.arguments.as_ref().and_then(|arguments| arguments.missing_values.as_ref());
    let path = format!("{}.arguments.missingValues", place.path);
    let texts: Vec<&str> =
        (0..listed.map_or(0, Vec::len)).filter_map(|at| notes.text(&format!("{path}[{at}]"))).collect();
    let null = listed.is_none_or(|values| values.is_empty() || values.iter().any(serde_json::Value::is_null));
    let words = (!texts.is_empty()).then(|| format!("{} in ({})", as_text(column), literals(&texts)));
    if null && library.never() {
        column.required = true;
    }
    match (null && !library.never(), words) {
        (true, Some(words)) => library.count(&format!("{{property}} is null or {words}"), place, rules),
        (true, None) => library.count("{property} is null", place, rules),
        (false, Some(words)) => library.count(&words, place, rules),
        (false, None) => {}
    }
}

/// Values outside of a list, or that don't match a pattern.
fn invalid(library: &Library, column: &mut Property, place: &Place, rules: &mut Rules, notes: &mut Notes) {
    let arguments = library.rule.arguments.as_ref();
    let (listed, path) = match arguments.and_then(|arguments| arguments.valid_values.as_ref()) {
        Some(values) => (Some(values.len()), format!("{}.arguments.validValues", place.path)),
        None => (library.rule.valid_values.as_ref().map(Vec::len), format!("{}.validValues", place.path)),
    };
    let pattern = arguments.and_then(|arguments| arguments.pattern.as_deref());
    if listed.is_none() && pattern.is_none() {
        let help = "write `arguments: { validValues: [a, b] }` or `arguments: { pattern: … }`";
        return notes.error_help(place.path, "which values are valid?", help);
    }
    let places: Vec<String> = (0..listed.unwrap_or(0)).map(|at| format!("{path}[{at}]")).collect();
    match listed {
        Some(_) if library.never() => limits::accept(column, places, &path, notes),
        Some(_) => {
            let texts: Vec<&str> = places.iter().filter_map(|place| notes.text(place)).collect();
            library.count(&format!("{} not in ({})", as_text(column), literals(&texts)), place, rules);
        }
        None => {}
    }
    let Some(pattern) = pattern else { return };
    let here = format!("{}.arguments.pattern", place.path);
    if !limits::compile(pattern, &here, notes) {
        return;
    }
    match &column.constraints.pattern {
        None if library.never() => column.constraints.pattern = Some(pattern.to_owned()),
        Some(same) if library.never() && same == pattern => {}
        _ => {
            let whole = literals(&[&format!("^(?:{pattern})$")]);
            library.count(&format!("not regexp_like({}, {whole})", as_text(column)), place, rules);
        }
    }
}

/// The column as text, to be held against values as they are written.
fn as_text(column: &Property) -> &'static str {
    if column.data_type == DataType::Utf8 { "{property}" } else { "cast({property} as varchar)" }
}

fn literals(texts: &[&str]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("'{}'", text.replace('\'', "''"))).collect();
    if quoted.is_empty() { "null".to_owned() } else { quoted.join(", ") }
}

/// `minItems`, `maxItems` and `uniqueItems` of an array.
pub(super) fn items(property: &model::Property, column: &Property, rules: &mut Rules) {
    let Some(options) = property.logical_type_options.as_ref() else { return };
    if !matches!(column.data_type, DataType::List(_)) {
        return;
    }
    let length = "coalesce(array_length({property}), 0)";
    let broken = [
        ("minItems", options.min_items.filter(|min| *min > 0).map(|min| format!("{length} < {min}"))),
        ("maxItems", options.max_items.map(|max| format!("{length} > {max}"))),
        (
            "uniqueItems",
            options
                .unique_items
                .filter(|unique| *unique)
                .map(|_| format!("array_length(array_distinct({{property}})) < {length}")),
        ),
    ];
    for (name, predicate) in broken.into_iter().filter_map(|(name, predicate)| Some((name, predicate?))) {
        let query = format!("select count(*) from {{table}} where {{property}} is not null and {predicate}");
        rules.push(&format!("{}_{name}", column.name), &query, Must::Be(0.0), Some(&column.name));
    }
}
