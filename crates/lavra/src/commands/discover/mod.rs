//! `lavra discover`: what is behind a connection, and what a project should make of it.

mod connection;
#[cfg(test)]
mod tests;

use super::Outcome;
use super::scan::group::{nothing_known, option};
use super::scan::name::snake;
use super::scan::propose::{Proposal, Proposer, Record};
use super::scan::target::Project;
use super::scan::write::{self, Written, lines};
use super::scan::{look, print, told};
use crate::cli::Context;
use crate::clock::tomorrow;
use crate::show::{self, Format};
use arrow::datatypes::DataType;
use connect::{Discovered, Opening, Spec};
use connection::{Connection, Setting};
use kernel::error::{Error, Result, advice};
use kernel::{Entity, Positions, TableName};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Lists the tables, topics or collections behind a connection, looks at some rows of each for personal data, and proposes
/// sources, contracts and masks.
///
/// Values are looked at and forgotten. A password in the URL, or in that of an option, is used and not written: a variable
/// stands in its place.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lavra discover 'postgres://app:${SHOP_PASSWORD}@db.acme/shop'
  lavra discover 'postgres://app:${SHOP_PASSWORD}@db.acme/shop' --table 'public.order*' --write
  lavra discover 'mysql://app@db.acme/shop' --set sslmode=require --format json")]
pub struct Discover {
    /// A URL; `${VAR}` in it is put in
    #[arg(value_name = "CONNECTION")]
    pub connection: String,
    /// Only tables whose name matches: `public.*`; may be given several times
    #[arg(long = "table", value_name = "PATTERN")]
    pub tables: Vec<String>,
    /// Look at about this many rows of each table; 0 looks at names only
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub rows: u64,
    /// Write sources/<table>.yaml and contracts/<table>.yaml into the project, where there are none
    #[arg(long)]
    pub write: bool,
    /// With --write: replace files that are there
    #[arg(long, requires = "write")]
    pub force: bool,
    /// A further option of the connector: `sslmode=require`, …
    #[arg(long = "set", value_name = "OPTION=VALUE", value_parser = option)]
    pub options: Vec<(String, Value)>,
}

/// A table with what is proposed for it.
struct Found {
    discovered: Discovered,
    /// Its name in the project.
    name: String,
    looked: look::Looked,
    proposal: Proposal,
}

pub async fn run(context: &Context, args: Discover) -> Outcome {
    if args.write {
        // Without a project there is no place to write to: the search for one says so.
        context.ask()?;
    }
    let project = Project::open(context)?;
    let env = |name: &str| std::env::var(name).ok();
    let connection = Connection::parse(&args.connection, &env)?.with(&args.options, &env)?;
    let spec = connect::by_scheme(&connection.scheme).ok_or_else(|| no_connector(&connection.scheme))?;
    let proposer = Proposer::new(project.config.as_ref().map(|config| config.masks.clone()).unwrap_or_default());
    let call = Call { project: &project, connection: &connection, spec: &spec, proposer: &proposer, args: &args };
    let (found, exit) = call.find().await?;
    show_all(context.format, &found)?;
    if args.write {
        call.write_all(context.format, &found)?;
    } else if context.format == Format::Table && !found.is_empty() {
        match project.ask {
            Some(_) => println!("the same with --write makes sources and contracts of this"),
            None => println!("to keep them:  lavra init NAME, and the same there with --write"),
        }
    }
    Ok(exit)
}

/// A contract has no type for bytes: they are hexadecimal text.
fn in_contract(mut entity: Entity) -> Entity {
    let bytes = entity.properties.iter_mut().filter(|property| property.data_type == DataType::Binary);
    bytes.for_each(|property| property.data_type = DataType::Utf8);
    entity
}

/// A list that came as text has lists inside, or other bounds than a list's: in the contract it is text.
fn as_seen(mut entity: Entity, looked: &look::Looked) -> Entity {
    let came_as_text = |name: &str| {
        let is_text = |of: &DataType| matches!(of, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
        looked.seen.columns.iter().any(|column| column.name == name && column.types.iter().any(is_text))
    };
    let lists = entity.properties.iter_mut().filter(|property| property.data_type.is_list());
    lists.filter(|list| came_as_text(&list.name)).for_each(|list| list.data_type = DataType::Utf8);
    entity
}

/// Options that a snapshot refuses, or that would make it another one.
const OF_OTHER_MODES: [&str; 7] = ["cursor", "lookback", "slot", "publication", "wal_budget", "server_id", "refresh"];

/// Whether an option takes the word, by what its connector's schema says of it.
fn takes(schema: &Value, option: &Value, word: &str) -> bool {
    let named = option["$ref"].as_str().and_then(|path| schema.pointer(path.strip_prefix('#')?));
    let parts = ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|key| option[key].as_array()).flatten();
    option["const"] == word
        || option["enum"].as_array().is_some_and(|words| words.iter().any(|own| own == word))
        || named.into_iter().chain(parts).any(|part| takes(schema, part, word))
}

/// Whether a pattern means a table: by its whole name or, when it has no dot, by the name without database or schema.
fn means(pattern: &glob::Pattern, name: &str) -> bool {
    let bare = name.rsplit('.').next().unwrap_or(name);
    pattern.matches(name) || (!pattern.as_str().contains('.') && pattern.matches(bare))
}

fn nothing_matches(pattern: &glob::Pattern, all: &[Discovered]) -> Error {
    const SHOWN_MAX: usize = 30;
    let names = || all.iter().map(|one| one.name.as_str());
    let bare = names().map(|name| name.rsplit('.').next().unwrap_or(name));
    let near = kernel::suggest::nearest(pattern.as_str(), names().chain(bare));
    let hint = near.map(|near| format!("; did you mean `{near}`")).unwrap_or_default();
    let shown: Vec<&str> = names().take(SHOWN_MAX).collect();
    let more = match all.len().saturating_sub(SHOWN_MAX) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let detail = format!("no table is called so{hint}; there are: {}{more}", shown.join(", "));
    Error::project(format!("discover --table {pattern}"), detail)
}

fn no_connector(scheme: &str) -> Error {
    let known: Vec<&str> = connect::all().iter().flat_map(|spec| spec.schemes.iter().copied()).collect();
    let hint = match scheme {
        "file" | "s3" | "gs" | "az" => String::new(),
        _ => kernel::suggest::hint(scheme, known).map(|hint| hint + "; ").unwrap_or_default(),
    };
    Error::project(format!("discover {scheme}://…"), format!("{hint}files are looked at by `lavra scan`"))
}

struct Call<'a> {
    project: &'a Project,
    connection: &'a Connection,
    spec: &'a Spec,
    proposer: &'a Proposer,
    args: &'a Discover,
}

impl Call<'_> {
    /// All tables that are meant, and the exit code: some may not have been readable.
    async fn find(&self) -> Result<(Vec<Found>, u8)> {
        let Some(discover) = self.spec.discover else {
            let detail = format!("the connector `{}` can't list what a connection has", self.spec.name);
            return Err(Error::project("discover", detail));
        };
        let patterns = self.patterns()?;
        let all = discover(&self.opening("discover", Map::new(), nothing_known("discover"))).await?;
        for pattern in &patterns {
            if !all.is_empty() && !all.iter().any(|one| means(pattern, &one.name)) {
                return Err(nothing_matches(pattern, &all));
            }
        }
        let is_meant = |one: &&Discovered| patterns.is_empty() || patterns.iter().any(|p| means(p, &one.name));
        let meant: Vec<Discovered> = all.iter().filter(is_meant).cloned().collect();
        let names = names(&meant, &all);
        let (mut found, mut exit) = (Vec::new(), 0);
        for (discovered, name) in meant.into_iter().zip(names) {
            match self.look(&discovered, &name).await {
                Ok((looked, proposal)) => found.push(Found { discovered, name, looked, proposal }),
                // One table that can't be read is no reason not to look at the others.
                Err(error) => {
                    eprintln!("error: {}: {error}\n  {}", discovered.name, advice(error.kind).sentence);
                    exit = advice(error.kind).exit.max(exit);
                }
            }
        }
        Ok((found, exit))
    }

    fn patterns(&self) -> Result<Vec<glob::Pattern>> {
        let read = |text: &String| glob::Pattern::new(text).map_err(|e| Error::project(format!("--table {text}"), e));
        self.args.tables.iter().map(read).collect()
    }

    async fn look(&self, discovered: &Discovered, name: &str) -> Result<(look::Looked, Proposal)> {
        let entity = Entity { name: name.to_owned(), ..discovered.entity.clone() };
        let entity = in_contract(entity);
        let opening = self.opening(name, self.to_look(&discovered.options), entity.clone());
        let mut looked = look::listed(self.spec, opening, self.args.rows, &self.project.own_kinds).await?;
        looked.is_log = self.is_log(&discovered.options);
        let entity = as_seen(entity, &looked);
        let proposal = self.proposer.propose(&looked, false, true);
        let mut proposal = self.proposer.over(&entity, &looked, proposal);
        proposal.notes.extend(self.key_note(discovered, &proposal.entity));
        Ok((looked, proposal))
    }

    /// Of rows that are states by key, what is to be known of the key where the system does not say it: values don't tell
    /// which of their columns a record's key has.
    fn key_note(&self, discovered: &Discovered, proposed: &Entity) -> Option<String> {
        let is_untold = discovered.entity.properties.is_empty() && !proposed.properties.is_empty();
        if !is_untold || !self.is_log(&discovered.options) {
            return None;
        }
        let remedy = "give the columns of the record's key `primaryKey: true` in the contract";
        Some(match proposed.key().join("`, `") {
            none if none.is_empty() => format!(
                "which columns its records' keys have can't be told from their values, and without them nothing can be \
                 taken in: {remedy}"
            ),
            guess => format!(
                "`{guess}` is its primary key by the name alone; if the records' keys have something else, {remedy}"
            ),
        })
    }

    /// Whether a source with these options gives changes.
    fn is_log(&self, options: &Map<String, Value>) -> bool {
        let given = self.connection.options.iter().map(|setting| (setting.name.clone(), setting.value.clone()));
        let mut all: Map<String, Value> = given.collect();
        all.extend(options.clone());
        (self.spec.changes)(&Value::Object(all))
    }

    /// The options for a look: a snapshot, where there is one, for other modes may leave something behind in the system.
    /// States by key are looked at as rows of their own: who deletes by a key that nobody knows yet would be none.
    fn to_look(&self, options: &Map<String, Value>) -> Map<String, Value> {
        let mut options = options.clone();
        let schema = (self.spec.options_schema)();
        let has = |option: &str, word: &str| takes(&schema, &schema["properties"][option], word);
        let is_by_key = self.connection.options.iter().any(|given| given.name == "mode" && given.value == "upsert");
        if has("mode", "snapshot") {
            options.insert("mode".to_owned(), "snapshot".into());
            options.extend(OF_OTHER_MODES.map(|option| (option.to_owned(), Value::Null)));
        } else if is_by_key && has("mode", "append") {
            options.insert("mode".to_owned(), "append".into());
            if has("tombstones", "skip") {
                options.insert("tombstones".to_owned(), "skip".into());
            }
        }
        options
    }

    fn opening(&self, name: &str, options: Map<String, Value>, entity: Entity) -> Opening {
        let mut all = Map::from_iter([("connection".to_owned(), self.connection.url.clone().into())]);
        all.extend(self.connection.options.iter().map(|setting| (setting.name.clone(), setting.value.clone())));
        all.extend(options);
        all.retain(|_, value| !value.is_null());
        Opening {
            source: name.to_owned(),
            project: String::new(),
            options: Value::Object(all),
            base: self.project.base().to_owned(),
            entity,
            from: Positions::new(),
            store: self.project.environment().store,
            clock: Arc::new(tomorrow()),
        }
    }

    fn write_all(&self, format: Format, found: &[Found]) -> Result<()> {
        let mut is_any_new = false;
        for one in found {
            if one.looked.is_unreadable() {
                eprintln!(
                    "warning: nothing is written for {}: {}",
                    one.discovered.name,
                    print::unreadable(&one.looked)
                );
                continue;
            }
            let contract = match self.proposer.contract(&one.proposal.entity) {
                Ok(contract) => contract,
                Err(why) => {
                    eprintln!("warning: no contract for {}: {why}", one.discovered.name);
                    continue;
                }
            };
            for (folder, text) in [("sources", self.source(one)), ("contracts", contract)] {
                let file = format!("{folder}/{}.yaml", one.name);
                let written = write::put(Path::new(self.project.base()), &file, &text, self.args.force)?;
                is_any_new |= written != Written::Kept;
                show::say(format, &told(&file, written));
            }
        }
        for variable in self.connection.variables().filter(|_| is_any_new) {
            let line =
                format!("\nthe password is in no file: set it with  export {variable}='…'  as it stands in the URL");
            show::say(format, &line);
        }
        if is_any_new {
            let contracts = self.project.shown("contracts");
            show::say(
                format,
                &format!("\nlook over the masks in {contracts}, then:  lavra check && lavra doctor && lavra run"),
            );
        }
        Ok(())
    }

    /// `sources/<table>.yaml`. The connection is in quotes, for a variable may stand in it.
    fn source(&self, found: &Found) -> String {
        let mut own = found.discovered.options.clone();
        own.remove("connection");
        let is_own = |name: &str| name == "connection" || own.contains_key(name);
        let given = self.connection.options.iter().filter(|setting| !is_own(&setting.name));
        let given: String = given.map(Setting::line).collect();
        let connection = Value::from(self.connection.written.as_str());
        format!("connector: {}\nconnection: {connection}\n{given}{}", self.spec.name, lines(&own))
    }
}

/// What tables are called in the project: without their schema, where that says enough. Tables whose names differ only in
/// signs that a name here can't have (`orders-v2`, `orders_v2`) are numbered, by their order among all that there are, so
/// that one of them is called the same whether or not the others are meant.
fn names(meant: &[Discovered], all: &[Discovered]) -> Vec<String> {
    let word = |text: &str| {
        let name = snake(&text.replace(|c: char| !c.is_alphanumeric(), "_"));
        let name = name.trim_matches('_').to_owned();
        if TableName::new("bronze", &name).is_ok() { name } else { format!("t_{name}") }
    };
    let short = |one: &Discovered| word(one.name.rsplit('.').next().unwrap_or(&one.name));
    let mut alike: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for one in all {
        alike.entry(word(&one.name)).or_default().insert(&one.name);
    }
    let place = |one: &Discovered| {
        let others = alike.get(&word(&one.name)).into_iter().flatten();
        others.filter(|other| **other < one.name.as_str()).count()
    };
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    meant.iter().for_each(|one| *count.entry(short(one)).or_default() += 1);
    let mut taken = BTreeSet::new();
    let mut name = |one: &Discovered| {
        let whole = word(&one.name);
        let base = if count[&short(one)] == 1 { short(one) } else { whole.clone() };
        let first = if base == whole { place(one) + 1 } else { 1 };
        let numbered = |number: usize| if number == 1 { base.clone() } else { format!("{base}_{number}") };
        let free = (first..).map(numbered).find(|name| !taken.contains(name)).unwrap_or(whole);
        taken.insert(free.clone());
        free
    };
    meant.iter().map(&mut name).collect()
}

fn show_all(format: Format, found: &[Found]) -> Result<()> {
    if found.is_empty() && format == Format::Table {
        println!("there is no table that may be read");
    }
    for Found { discovered, looked, proposal, .. } in found {
        let rows = discovered.rows.map(|rows| format!(", about {} by its statistics", show::plural(rows, "row")));
        let heading = print::heading(looked);
        let as_named = if discovered.name == looked.table { String::new() } else { format!(" ({})", discovered.name) };
        show::say(format, &format!("{heading}{as_named}{}", rows.unwrap_or_default()));
        print::notes(looked, proposal).iter().for_each(|note| show::say(format, &format!("  {note}")));
        if format == Format::Table && !proposal.records.is_empty() {
            print::records(format, &proposal.records)?;
        }
    }
    if format != Format::Table {
        let all: Vec<Record> = found.iter().flat_map(|found| found.proposal.records.clone()).collect();
        return print::records(format, &all);
    }
    let personal =
        found.iter().flat_map(|found| &found.proposal.records).filter(|record| record.kind.is_some()).count();
    println!("{} of personal data", show::plural(personal as u64, "column"));
    Ok(())
}
