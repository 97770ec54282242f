//! Slowly changing dimension, type 2: each version of a key with the time it held.

use super::compile::Model;
use super::run::{join, quoted};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use kernel::clock::Timestamp;
use std::sync::Arc;

pub(super) const VALIDITY: [&str; 3] = ["valid_from", "valid_to", "is_current"];

/// The query's columns with those that say when a row holds.
pub(super) fn with_validity(schema: &SchemaRef) -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields: Vec<Field> = schema.fields().iter().map(|f| f.as_ref().clone()).collect();
    fields.push(Field::new(VALIDITY[0], time.clone(), true));
    fields.push(Field::new(VALIDITY[1], time, true));
    fields.push(Field::new(VALIDITY[2], DataType::Boolean, true));
    Arc::new(Schema::new(fields))
}

/// The columns that name a row of the query, and what to do when they don't: two rows of one key at one time can't be
/// ordered.
pub(super) fn names_of_a_row(model: &Model) -> (Vec<String>, &'static str) {
    let mut names = model.header.key.clone();
    names.extend(model.header.time.clone());
    let help = match model.header.time {
        Some(_) => "give one row for each key and time, and leave out rows without one",
        None => "give one row for each key, or say with `time: column` since when each row holds",
    };
    (names, help)
}

/// The rows that change the table, over `n` (the query) and `t` (the table).
pub(super) fn versions(model: &Model, now: Timestamp) -> String {
    match &model.header.time {
        Some(time) => rebuilt(model, time),
        None => following(model, now),
    }
}

/// What a relation's row is called in these queries.
struct Names {
    key: String,
    columns: Vec<String>,
    /// Columns that make a new version when they differ.
    values: Vec<String>,
}

impl Names {
    fn of(model: &Model) -> Self {
        let is_own = |name: &&String| !VALIDITY.contains(&name.as_str());
        let columns: Vec<String> = model.schema.fields().iter().map(|f| f.name()).filter(is_own).cloned().collect();
        let is_value = |c: &&String| !model.header.key.contains(c) && model.header.time.as_ref() != Some(c);
        let values = columns.iter().filter(is_value).cloned().collect();
        Self { key: join(&model.header.key, |k| k.to_owned(), ", "), columns, values }
    }

    fn of_table(&self, table: &str) -> String {
        join(&self.columns, |c| format!("{table}.{c}"), ", ")
    }

    /// Whether one of the values is another in these two.
    fn differ(&self, one: impl Fn(&str) -> String, other: impl Fn(&str) -> String) -> String {
        match self.values.is_empty() {
            true => "false".to_owned(),
            false => join(&self.values, |c| format!("({} is distinct from {})", one(c), other(c)), " or "),
        }
    }

    /// Rows `marked` with whether they change their key's values, from rows with a `valid_from`.
    fn marked(&self, rows: &str) -> String {
        let differs = self.differ(|c| format!("lag({c}) over w"), str::to_owned);
        format!(
            "marked as (
               select *, (row_number() over w = 1 or {differs}) as _lavra_changes from {rows}
               window w as (partition by {} order by valid_from))",
            self.key
        )
    }

    /// The versions that stay, as `lasting`, with their ends.
    fn lasting(&self, more: &str) -> String {
        format!(
            "kept as (select {}, valid_from{more} from marked where _lavra_changes),
             lasting as (
               select *, lead(valid_from) over (partition by {} order by valid_from) as valid_to from kept)",
            join(&self.columns, str::to_owned, ", "),
            self.key
        )
    }
}

fn same(model: &Model, one: &str, other: &str) -> String {
    join(&model.header.key, |k| format!("{one}.{k} = {other}.{k}"), " and ")
}

fn utc(time: &str) -> String {
    format!("arrow_cast({time}, 'Timestamp(Microsecond, Some(\"UTC\"))')")
}

/// All versions of the keys with news. A row takes its place by its time, whenever it came; a version of the table that the
/// query does not give any more stays in its place.
fn rebuilt(model: &Model, time: &str) -> String {
    let names = Names::of(model);
    let at_once =
        |one: &str, other: &str| format!("{} and {one}.valid_from = {other}.valid_from", same(model, one, other));
    format!(
        "with arrived as (select {all}, {since} as valid_from from n),
         rows_ as (
           select {all}, valid_from from arrived
           union all
           select {t_columns}, t.valid_from from t left anti join arrived a on {t_a}),
         {marked},
         {lasting},
         news as (
           select {l_key} from lasting l left join t on {l_t}
           where t.valid_from is null or (l.valid_to is distinct from t.valid_to) or {differs}
           union
           select {t_key} from t left anti join lasting l on {t_l})
         select {l_columns}, l.valid_from, l.valid_to, l.valid_to is null as is_current
         from lasting l left semi join news a on {l_a}",
        all = join(&names.columns, str::to_owned, ", "),
        since = utc(&quoted(time)),
        t_columns = names.of_table("t"),
        t_a = at_once("t", "a"),
        marked = names.marked("rows_"),
        lasting = names.lasting(""),
        l_key = join(&model.header.key, |k| format!("l.{k}"), ", "),
        l_t = at_once("l", "t"),
        differs = names.differ(|c| format!("l.{c}"), |c| format!("t.{c}")),
        t_key = join(&model.header.key, |k| format!("t.{k}"), ", "),
        t_l = at_once("t", "l"),
        l_columns = names.of_table("l"),
        l_a = same(model, "l", "a"),
    )
}

/// For each key with another row than its current one: the current row with an end, and the new one as of now.
fn following(model: &Model, now: Timestamp) -> String {
    let names = Names::of(model);
    format!(
        "with arrived as (select {all}, {since} as valid_from, true as _lavra_fresh from n),
         held as (select {t_columns}, t.valid_from, false as _lavra_fresh from t where t.is_current),
         timely as (
           select a.* from arrived a left join held h on {a_h}
           where h.valid_from is null or a.valid_from > h.valid_from),
         rows_ as (
           select {all}, valid_from, _lavra_fresh from timely
           union all
           select {h_columns}, h.valid_from, h._lavra_fresh from held h left semi join timely a on {h_a}),
         {marked},
         {lasting},
         news as (select distinct {key} from kept where _lavra_fresh)
         select {l_columns}, l.valid_from, l.valid_to, l.valid_to is null as is_current
         from lasting l left semi join news a on {l_a}",
        all = join(&names.columns, str::to_owned, ", "),
        since = utc(&format!("to_timestamp_micros({})", now.0)),
        t_columns = names.of_table("t"),
        a_h = same(model, "a", "h"),
        h_columns = names.of_table("h"),
        h_a = same(model, "h", "a"),
        marked = names.marked("rows_"),
        lasting = names.lasting(", _lavra_fresh"),
        key = names.key,
        l_columns = names.of_table("l"),
        l_a = same(model, "l", "a"),
    )
}
