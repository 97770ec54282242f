//! `quality`: rules about rows and values. What the gate can hold value by value becomes a constraint of the column; the
//! rest is SQL.

use super::library;
use super::notes::Notes;
use crate::odcs::model::{self, Quality, QualityKind, SchemaObject};
use kernel::contract::{Must, Property, SqlRule};
use regex::Regex;
use serde_json::Value;

/// Names for a rule's table and column: the standard's and those of tools that read it, with and without `$`.
pub(super) fn placeholder(name: &str) -> Option<&'static str> {
    match name {
        "table" | "object" | "model" | "schema" => Some("{table}"),
        "property" | "column" | "field" => Some("{property}"),
        _ => None,
    }
}

/// The rules of one table.
pub(super) struct Rules<'a> {
    object: &'a SchemaObject,
    rules: Vec<SqlRule>,
}

/// Where a rule stands.
pub(super) struct Place<'a> {
    /// Its path in the file.
    pub path: &'a str,
    /// The column, unless it is a rule of the table.
    pub column: Option<&'a str>,
}

impl<'a> Rules<'a> {
    pub fn new(object: &'a SchemaObject) -> Self {
        Self { object, rules: Vec::new() }
    }

    pub fn finish(self) -> Vec<SqlRule> {
        self.rules
    }

    pub fn table(&mut self, columns: &mut [Property], path: &str, notes: &mut Notes) {
        for (place, rule) in self.object.quality.iter().flatten().enumerate() {
            let path = format!("{path}.quality[{place}]");
            let place = Place { path: &path, column: None };
            if self.plain(rule, &place, notes) {
                library::table(rule, columns, &place, self, notes);
            }
        }
    }

    pub fn column(&mut self, property: &model::Property, column: &mut Property, path: &str, notes: &mut Notes) {
        library::items(property, column, self);
        for (place, rule) in property.quality.iter().flatten().enumerate() {
            let (path, name) = (format!("{path}.quality[{place}]"), column.name.clone());
            let place = Place { path: &path, column: Some(&name) };
            if self.plain(rule, &place, notes) {
                library::column(rule, column, &place, self, notes);
            }
        }
    }

    /// Takes a rule that is not the library's; true for one that is.
    fn plain(&mut self, rule: &Quality, place: &Place, notes: &mut Notes) -> bool {
        match rule.kind {
            Some(QualityKind::Text) => false,
            Some(QualityKind::Custom) => {
                let engine = rule.engine.as_deref().unwrap_or("another engine");
                notes.warn(place.path, format!("rules of `{engine}` are kept and not run"));
                false
            }
            Some(QualityKind::Sql) => {
                self.sql(rule, place, notes);
                false
            }
            None if rule.query.is_some() && rule.metric.is_none() => {
                notes.error_help(place.path, "a rule with a `query` needs its type", "write `type: sql`");
                false
            }
            None | Some(QualityKind::Library) => true,
        }
    }

    fn sql(&mut self, rule: &Quality, place: &Place, notes: &mut Notes) {
        let at = format!("{}.query", place.path);
        let Some(query) = rule.query.as_deref().map(str::trim).filter(|query| !query.is_empty()) else {
            return notes.error(place.path, "a rule of type `sql` needs a `query`");
        };
        let query = self.named(query);
        if place.column.is_none() && query.contains("{property}") {
            return notes.error_help(
                &at,
                "this rule is a table's, so `{property}` is nothing",
                "name the column, or write the rule below it",
            );
        }
        if !query.contains("{table}") {
            notes.warn(&at, "the query does not read `{table}`: it is about some other table");
        }
        let musts = musts(rule, place.path, notes);
        if musts.is_empty() {
            needs_operator(place.path, notes);
        }
        for must in musts {
            self.add(rule, "sql", &query, must, place);
        }
    }

    /// The query with one spelling for the table and the column; a query may name its table too.
    fn named(&self, query: &str) -> String {
        let mut query = query.to_owned();
        for name in ["table", "object", "model", "schema", "property", "column", "field"] {
            let Some(ours) = placeholder(name) else { continue };
            for quote in ["\"", "`", "'", ""] {
                query = query.replace(&format!("{quote}${{{name}}}{quote}"), ours);
                query = query.replace(&format!("{quote}{{{name}}}{quote}"), ours);
            }
        }
        let names = [Some(&self.object.name), self.object.physical_name.as_ref()];
        for name in names.into_iter().flatten() {
            let named = Regex::new(&format!(r#"(?i)\b(from|join)(\s+)["`]?{}["`]?($|[\s;,)])"#, regex::escape(name)));
            if let Ok(named) = named {
                query = named.replace_all(&query, "${1}${2}{table}${3}").into_owned();
            }
        }
        query
    }

    /// Adds a rule; `{property}` in the query becomes the column's name.
    pub fn add(&mut self, rule: &Quality, measure: &str, query: &str, must: Must, place: &Place) {
        let given = rule.name.clone().or_else(|| rule.id.clone());
        let base = given.unwrap_or_else(|| format!("{}_{measure}", place.column.unwrap_or(&self.object.name)));
        self.push(&base, query, must, place.column);
    }

    pub fn push(&mut self, base: &str, query: &str, must: Must, column: Option<&str>) {
        let taken = |name: &str| self.rules.iter().any(|rule| rule.name == name);
        let names = std::iter::once(base.to_owned()).chain((2..).map(|n| format!("{base}_{n}")));
        let Some(name) = names.into_iter().find(|name| !taken(name)) else { return };
        let query = column.map_or_else(|| query.to_owned(), |column| query.replace("{property}", &identifier(column)));
        self.rules.push(SqlRule { name, query, must, property: column.map(str::to_owned) });
    }
}

pub(super) fn needs_operator(path: &str, notes: &mut Notes) {
    notes.error_help(path, "the rule does not say what must hold", "for example `mustBe: 0`");
}

/// A name as SQL, whatever it is made of.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What the rule's number must be: one for each operator that is written.
pub(super) fn musts(rule: &Quality, path: &str, notes: &mut Notes) -> Vec<Must> {
    let mut musts = Vec::new();
    musts.extend(number(rule.must_be.as_ref(), path, "mustBe", notes).map(Must::Be));
    musts.extend(number(rule.must_not_be.as_ref(), path, "mustNotBe", notes).map(Must::NotBe));
    musts.extend(rule.must_be_greater_than.map(Must::BeGreaterThan));
    musts.extend(rule.must_be_greater_or_equal_to.map(Must::BeAtLeast));
    musts.extend(rule.must_be_less_than.map(Must::BeLessThan));
    musts.extend(rule.must_be_less_or_equal_to.map(Must::BeAtMost));
    let between = range(rule.must_be_between.as_deref(), path, "mustBeBetween", notes);
    musts.extend(between.map(|(least, most)| Must::BeBetween(least, most)));
    let outside = range(rule.must_not_be_between.as_deref(), path, "mustNotBeBetween", notes);
    musts.extend(outside.map(|(least, most)| Must::NotBeBetween(least, most)));
    musts
}

/// A query may answer true or false: those are 1 and 0.
fn number(value: Option<&Value>, path: &str, field: &str, notes: &mut Notes) -> Option<f64> {
    let value = value?;
    let flag = value.as_bool().map(|flag| f64::from(u8::from(flag)));
    let number = value.as_f64().or(flag).or_else(|| value.as_str()?.parse().ok());
    if number.is_none() {
        notes.error(&format!("{path}.{field}"), "a rule measures a number, or true or false");
    }
    number
}

fn range(range: Option<&[f64]>, path: &str, field: &str, notes: &mut Notes) -> Option<(f64, f64)> {
    let [least, most] = range? else { return None };
    if least > most {
        notes.error(&format!("{path}.{field}"), "the smaller number comes first");
    }
    Some((*least, *most))
}
