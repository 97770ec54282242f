//! Slowly changing dimension, type 2: each version of a key with the time it held.

use super::compile::Model;
use super::run::{Workspace, join, quoted};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use kernel::clock::Timestamp;
use kernel::error::{Error, Kind, Result};
use std::sync::Arc;

const VALIDITY: [&str; 3] = ["valid_from", "valid_to", "is_current"];

/// The query's columns with those that say when a row holds.
pub(super) fn with_validity(schema: &SchemaRef) -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields: Vec<Field> = schema.fields().iter().map(|f| f.as_ref().clone()).collect();
    fields.push(Field::new(VALIDITY[0], time.clone(), true));
    fields.push(Field::new(VALIDITY[1], time, true));
    fields.push(Field::new(VALIDITY[2], DataType::Boolean, true));
    Arc::new(Schema::new(fields))
}

fn columns(model: &Model) -> Vec<String> {
    let own = model.schema.fields().iter().map(|f| f.name()).filter(|name| !VALIDITY.contains(&name.as_str()));
    own.cloned().collect()
}

/// The rows that change the table, over `n` (the query) and `t` (the table): for each key with news, its current row (with
/// an end, if a new one follows) and the new ones. Rows not younger than the current one are late and stay out.
pub(super) fn versions(model: &Model, now: Timestamp) -> String {
    let key = join(&model.header.key, |k| k.to_owned(), ", ");
    let columns = columns(model);
    let time = match &model.header.time {
        Some(time) => quoted(time),
        None => format!("to_timestamp_micros({})", now.0),
    };
    let at = "arrow_cast({}, 'Timestamp(Microsecond, Some(\"UTC\"))')";
    let since = at.replace("{}", &time);
    let all = join(&columns, |c| c.to_owned(), ", ");
    let of = |table: &str| join(&columns, |c| format!("{table}.{c}"), ", ");
    let on = |a: &str, b: &str| join(&model.header.key, |k| format!("{a}.{k} = {b}.{k}"), " and ");
    let values: Vec<String> = columns
        .iter()
        .filter(|c| !model.header.key.contains(c) && model.header.time.as_ref() != Some(c))
        .cloned()
        .collect();
    let differs = match values.is_empty() {
        true => "false".to_owned(),
        false => join(&values, |c| format!("(lag({c}) over w is distinct from {c})"), " or "),
    };
    format!(
        "with arrived as (select {all}, {since} as valid_from, true as fresh from n),
         held as (select {t_columns}, t.valid_from, false as fresh from t where t.is_current),
         timely as (
           select a.* from arrived a left join held h on {a_h}
           where h.valid_from is null or a.valid_from > h.valid_from),
         both_ as (
           select {all}, valid_from, fresh from timely
           union all
           select {h_columns}, h.valid_from, h.fresh from held h left semi join timely a on {h_a}),
         marked as (
           select *, (row_number() over w = 1 or {differs}) as changes from both_
           window w as (partition by {key} order by valid_from)),
         kept as (select {all}, valid_from, fresh from marked where changes),
         news as (select distinct {key} from kept where fresh),
         lasting as (
           select k.*, lead(k.valid_from) over (partition by {k_key} order by k.valid_from) as valid_to from kept k)
         select {l_columns}, l.valid_from, l.valid_to, l.valid_to is null as is_current
         from lasting l left semi join news a on {l_a}",
        t_columns = of("t"),
        h_columns = of("h"),
        l_columns = of("l"),
        a_h = on("a", "h"),
        h_a = on("h", "a"),
        l_a = on("l", "a"),
        k_key = join(&model.header.key, |k| format!("k.{k}"), ", "),
    )
}

/// Two rows of one key at one time can't be ordered.
pub(super) async fn refuse_doubles(model: &Model, context: &Workspace) -> Result<()> {
    let mut names = model.header.key.clone();
    names.extend(model.header.time.clone());
    let list = join(&names, |k| k.to_owned(), ", ");
    let doubled = context.count(&format!("select {list} from n group by {list} having count(*) > 1")).await?;
    if doubled == 0 {
        return Ok(());
    }
    let help = match model.header.time {
        Some(_) => "give one row for each key and time",
        None => "give one row for each key, or say with `time: column` since when each row holds",
    };
    Err(Error::new(
        Kind::Contract,
        format!("key ({})", names.join(", ")),
        format!("{doubled} keys come more than once; {help}"),
    ))
}
