//! Tables that are kept from change logs: models that nobody wrote.

use super::compile::{Check, Source};
use super::config::{Materialize, SourceConfig, Way};
use kernel::contract::{Must, SqlRule};
use kernel::diagnostic::Diagnostic;
use kernel::draft::Draft;
use kernel::gate::{CHANGES, STAMPS};
use kernel::{Entity, Property, TableName};
use lake::{ModelFile, row_condition};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a table that is kept says of each row beside its values: the change that made it what it is.
const KEPT: [&str; 2] = ["_changed_at", "_position"];

impl Check<'_> {
    /// The contract's columns that would be taken for what the gate says of a change.
    pub fn reserved(&mut self, draft: &Draft<SourceConfig>, entity: &Entity) {
        let names = entity.properties.iter().map(|property| property.name.as_str());
        for name in names.filter(|name| CHANGES.contains(&name.to_lowercase().as_str())) {
            let message = format!("the contract has a column `{name}`, which says here what a change did");
            self.found.push(Diagnostic::new(&draft.file, draft.key_span("connector"), message));
        }
    }

    /// The table that a source's changes are kept in, if its rows can be told from one another.
    pub fn materialized(
        &mut self,
        source: &str,
        asked: &Materialize,
        changes: bool,
        draft: &Draft<SourceConfig>,
        (entity, contract): (&Entity, &str),
    ) -> Option<TableName> {
        let name = asked.into().or(draft.value.into.as_deref()).unwrap_or(source);
        let name = TableName::new("silver", name);
        let faults = match (&name, changes) {
            (_, false) => vec![(
                "the source gives rows, and does not say what happened to them".to_owned(),
                "files say it with `changes: debezium` or `changes: { op: column }`",
            )],
            (Err(e), true) => vec![(e.to_string(), "give it another name with `into`")],
            (Ok(_), true) => [self.untold(entity), taken(asked.way(), entity, contract)].concat(),
        };
        let is_told = faults.is_empty();
        let place = |(message, help)| draft.fault("materialize", message).help(Some(help));
        self.found.extend(faults.into_iter().map(place));
        name.ok().filter(|_| is_told)
    }

    /// Why the contract's key does not tell rows from one another.
    fn untold(&self, entity: &Entity) -> Vec<(String, &'static str)> {
        let key: Vec<&Property> = entity.key().into_iter().filter_map(|name| entity.property(name)).collect();
        let mut faults = Vec::new();
        if key.is_empty() {
            let message = "the contract has no primary key, so that no row can be told from another";
            faults.push((
                message.to_owned(),
                "say `primaryKey: true` and `required: true` of the columns that name a row",
            ));
        }
        for property in key {
            let name = &property.name;
            if !property.required {
                let message = format!("`{name}` of the primary key may be missing");
                faults.push((message, "say `required: true` of it in the contract"));
            }
            if let Some(mask) = property.mask.as_ref().filter(|_| !self.is_told_apart(property)) {
                let message =
                    format!("`{name}` of the primary key is masked by `{mask}`, by which no row is found again");
                faults.push((message, "give it a mask that can be joined on, for example `pseudonym(scope)`"));
            }
        }
        faults
    }

    /// Whether equal values stay equal.
    pub fn is_told_apart(&self, property: &Property) -> bool {
        let built = property.mask.as_ref().map(|mask| self.masks.build(mask, property.classification.as_ref()));
        built.is_none_or(|mask| mask.is_ok_and(|mask| mask.promise().joinable))
    }

    /// The models that keep these tables, beside those that somebody wrote.
    pub fn kept_tables(&mut self, sources: &[Source], models: &[ModelFile]) -> Vec<ModelFile> {
        let (mut all, mut by_name) = (Vec::new(), BTreeMap::<&TableName, &str>::new());
        for source in sources {
            let Some(name) = &source.materialized else {
                self.found.extend(unheld(source));
                continue;
            };
            let other = sources.iter().find(|other| other.table == source.table && other.name != source.name);
            let fault = |message: String| Diagnostic::new(&source.file, None, message);
            if let Some(other) = other {
                let message = format!(
                    "{} takes in `{}` as well: whose changes come first can't be told, so that {name} can't be kept",
                    source.table, other.name
                );
                self.found.push(fault(message).help(Some("give each source a table of its own with `into`")));
            } else if let Some(model) = models.iter().find(|model| model.name == *name) {
                let message = format!("`{name}` is made by {} already", model.file);
                self.found.push(fault(message).help(Some("write `materialize: { as: current, into: another_name }`")));
            } else if let Some(first) = by_name.insert(name, &source.name) {
                let message = format!("`{name}` is kept from the changes of `{first}` already");
                self.found.push(fault(message).help(Some("write `materialize: { as: current, into: another_name }`")));
            } else {
                let (file, text) = (source.file.clone(), text(source));
                all.push(ModelFile { name: name.clone(), file, text, follows: true });
            }
        }
        all
    }
}

/// The contract's columns that a history gives itself.
fn taken(way: Way, entity: &Entity, contract: &str) -> Vec<(String, &'static str)> {
    let is_own = |name: &str| ModelFile::VALIDITY.iter().any(|own| own.eq_ignore_ascii_case(name));
    let names = entity.properties.iter().map(|property| &property.name).filter(|name| is_own(name));
    let fault = |name: &String| {
        let message = format!("{contract} has a column `{name}`, by which a history says how long each version held");
        (message, "keep the table as `current`, or let the source give the column another name")
    };
    match way {
        Way::Current => Vec::new(),
        Way::History => names.map(fault).collect(),
    }
}

/// Of a change log from which no table is kept, the rules that nothing holds.
fn unheld(source: &Source) -> Option<Diagnostic> {
    let rule = set_rules(&source.entity).next().filter(|_| source.changes)?;
    let message = format!("the rule `{}` looks at many rows at once, which a change log does not have", rule.name);
    let fault = Diagnostic::new(&source.file, None, message);
    Some(fault.help(Some("with `materialize: current` it is held in the table that is kept")).warning())
}

/// The model that nobody wrote: its columns, its key, and how it is written.
fn text(source: &Source) -> String {
    let way = source.config.materialize.as_ref().map_or(Way::Current, Materialize::way);
    let write = match way {
        Way::Current => "merge",
        Way::History => "scd2",
    };
    // Uniqueness beside the key is held here, for in a log every value comes again.
    let unique = source.entity.properties.iter().filter(|p| p.unique && p.primary_key.is_none() && way == Way::Current);
    let unique: Vec<[&str; 1]> = unique.map(|p| [p.name.as_str()]).collect();
    let sql: Vec<Value> = set_rules(&source.entity).map(|rule| held(rule, way)).collect();
    let is_own = |name: &&str| !STAMPS.contains(name) && !CHANGES.contains(name);
    let own = source.schema.fields().iter().map(|field| field.name().as_str()).filter(is_own);
    let columns: Vec<String> = own.chain(KEPT).map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
    let mut text = format!("-- write: {write}\n-- key: {}\n", json!(source.entity.key()));
    if !source.config.tags.is_empty() {
        text.push_str(&format!("-- tags: {}\n", json!(source.config.tags)));
    }
    if !unique.is_empty() || !sql.is_empty() {
        text.push_str(&format!("-- checks: {}\n", json!({ "unique": unique, "sql": sql })));
    }
    text + &format!("select {} from {}\n", columns.join(", "), source.table)
}

/// The rules that look at many rows at once: of a change log they are held in the table that is kept from it.
pub fn set_rules(entity: &Entity) -> impl Iterator<Item = &SqlRule> {
    entity.rules.iter().filter(|rule| row_condition(rule).is_none())
}

/// A rule as a check, which gives a row where it is broken.
fn held(rule: &SqlRule, way: Way) -> Value {
    let holds = match rule.must {
        Must::Be(n) => format!("v = {n}"),
        Must::NotBe(n) => format!("v <> {n}"),
        Must::BeGreaterThan(n) => format!("v > {n}"),
        Must::BeAtLeast(n) => format!("v >= {n}"),
        Must::BeLessThan(n) => format!("v < {n}"),
        Must::BeAtMost(n) => format!("v <= {n}"),
        Must::BeBetween(a, b) => format!("v between {a} and {b}"),
        Must::NotBeBetween(a, b) => format!("v not between {a} and {b}"),
    };
    let rows = match way {
        Way::Current => "{table}",
        Way::History => "(select * from {table} where is_current)",
    };
    let query = rule.query.trim().trim_end_matches(';').replace("{table}", rows);
    json!({ "name": rule.name, "query": format!("select v from ({query}) as measured (v) where not ({holds}) or v is null") })
}
