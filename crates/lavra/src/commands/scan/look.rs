//! Reads the first rows of a table, from its files, its source or the lake.

use super::group::{Files, Group};
use super::name::snake;
use super::watch::{Seen, Watch};
use arrow::array::new_empty_array;
use connect::{Opening, Spec};
use futures::StreamExt;
use kernel::engine::{Engine, Session};
use kernel::error::{Error, Result};
use kernel::gate::{Inspector, is_kept};
use kernel::name::TableName;
use kernel::source::{Pulled, Rows};
use privacy::detect::OwnKind;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Bytes of a batch: small, for several files may be open.
const BATCH_BYTES: usize = 8 << 20;
/// Rows of a batch at most, so that not many more are read than were asked for.
const BATCH_ROWS: u64 = 8192;
/// Rows of a file that are worth opening it.
const FILE_ROWS_MIN: u64 = 1000;

/// A table that was looked at.
pub struct Looked {
    pub table: String,
    pub files: usize,
    pub files_read: usize,
    pub rows: u64,
    pub malformed: u64,
    /// Whether nothing was left unread.
    pub is_whole: bool,
    pub seen: Seen,
    /// The first line of its files is data: the columns' names are made up.
    pub is_headerless: bool,
    /// Changes of a table, to which columns of Lavra's own are added.
    pub is_log: bool,
}

impl Looked {
    /// Whether there is something, and nothing of it was a row.
    pub fn is_unreadable(&self) -> bool {
        self.rows == 0 && self.malformed > 0
    }
}

/// Looks at the files of a group, at about as many rows in each.
pub async fn files(files: &Files, group: &Group, rows_max: u64) -> Result<Looked> {
    let mut watch = watch(&group.table, &files.own_kinds)?;
    let picked = pick(&group.files, rows_max);
    let mut count = Count { is_whole: picked.len() == group.files.len(), ..Count::default() };
    for (place, file) in picked.iter().enumerate() {
        if count.rows >= rows_max {
            count.is_whole = false;
            break;
        }
        let share = rows_max
            .saturating_sub(count.rows)
            .div_ceil((picked.len() - place) as u64)
            .max(FILE_ROWS_MIN.min(rows_max));
        let opening = files.opening(&group.table, &[super::name::escape(file)]);
        pull(&files.spec, opening, share, &mut watch, &mut count).await.map_err(|e| hinted(e, file))?;
    }
    let seen = watch.finish();
    let is_headerless = is_headerless(files, group, &seen).await?;
    Ok(count.looked(&group.table, group.files.len(), picked.len(), seen, is_headerless))
}

/// Looks at what a source would read from its start.
pub async fn source(spec: &Spec, opening: Opening, rows_max: u64, own: &Arc<[OwnKind]>) -> Result<Looked> {
    let table = opening.source.clone();
    let partitions: BTreeSet<String> = spec.pending(&opening).await?.into_iter().map(|one| one.partition).collect();
    let is_log = (spec.changes)(&opening.options);
    let mut watch = watch(&table, own)?;
    let mut count = Count { is_whole: true, ..Count::default() };
    pull(spec, opening, rows_max, &mut watch, &mut count).await?;
    // What stands beside the positions is none of them.
    let read = if count.is_whole { partitions.len() } else { partitions.intersection(&count.partitions).count() };
    Ok(Looked { is_log, ..count.looked(&table, partitions.len(), read, watch.finish(), false) })
}

/// Looks at a table that a connection has: what its system says of its columns is known, also when it has no row.
pub async fn listed(spec: &Spec, opening: Opening, rows_max: u64, own: &Arc<[OwnKind]>) -> Result<Looked> {
    let (table, columns) = (opening.source.clone(), opening.entity.properties.clone());
    let mut watch = watch(&table, own)?;
    let mut count = Count { is_whole: true, ..Count::default() };
    pull(spec, opening, rows_max, &mut watch, &mut count).await?;
    columns.iter().for_each(|known| watch.column(&known.name, &new_empty_array(&known.data_type)));
    Ok(count.looked(&table, 0, 0, watch.finish(), false))
}

/// Looks at a table of the lake.
pub async fn table(engine: &dyn Engine, name: &TableName, rows_max: u64, own: &Arc<[OwnKind]>) -> Result<Looked> {
    let mut watch = watch(name.table(), own)?;
    let sql = format!("select * from {name} limit {rows_max}");
    let mut rows = engine.query(&Session::owner("scan"), &sql).await?;
    let mut count = Count::default();
    while let Some(batch) = rows.batches.next().await {
        let batch = batch?;
        count.rows += batch.num_rows() as u64;
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns());
        // Its own columns are nobody's.
        let columns = columns.filter(|(field, _)| !is_kept(field.name()));
        columns.for_each(|(field, values)| watch.column(field.name(), values));
    }
    count.is_whole = count.rows < rows_max;
    Ok(count.looked(&name.to_string(), 0, 0, watch.finish(), false))
}

#[derive(Default)]
struct Count {
    rows: u64,
    malformed: u64,
    is_whole: bool,
    partitions: BTreeSet<String>,
}

impl Count {
    fn looked(self, table: &str, files: usize, files_read: usize, seen: Seen, is_headerless: bool) -> Looked {
        let Count { rows, malformed, is_whole, .. } = self;
        Looked {
            table: table.to_owned(),
            files,
            files_read,
            rows,
            malformed,
            is_whole,
            seen,
            is_headerless,
            is_log: false,
        }
    }
}

async fn pull(spec: &Spec, mut opening: Opening, rows_max: u64, watch: &mut Watch, count: &mut Count) -> Result<()> {
    let batch_rows = rows_max.clamp(1, BATCH_ROWS);
    if let Some(options) = opening.options.as_object_mut().filter(|_| spec.name == "files") {
        options.insert("batch_rows_max".into(), batch_rows.into());
    }
    let mut source = spec.open(opening).await?;
    let mut rows = 0;
    while rows < rows_max {
        let Some(Pulled { rows: Rows::Raw(raw), upto, .. }) = source.next(BATCH_BYTES).await? else { return Ok(()) };
        for (place, field) in (1..).zip(raw.schema().fields()) {
            if watch.is_personal_name(field.name()) {
                let file = upto.iter().last().map(|(partition, _)| partition.to_owned()).unwrap_or_default();
                return Err(nameless(&file, place));
            }
        }
        raw.inspect(watch);
        rows += raw.num_rows() as u64;
        count.rows += raw.num_rows() as u64;
        count.malformed += raw.num_malformed() as u64;
        if raw.num_rows() > 0 {
            count.partitions.extend(upto.iter().map(|(partition, _)| partition.to_owned()));
        }
    }
    count.is_whole &= source.next(BATCH_BYTES).await?.is_none();
    Ok(())
}

/// Names are shown and written into files, so none of them may be somebody's.
fn nameless(file: &str, place: usize) -> Error {
    let detail = format!(
        "the name of column {place} looks like somebody's data. Is there no header? Then say `--set header=false`"
    );
    Error::project(format!("scan {file}"), detail)
}

/// Files whose share of the rows is worth opening them, spread evenly over all.
fn pick(files: &[String], rows_max: u64) -> Vec<&String> {
    let most = usize::try_from(rows_max / FILE_ROWS_MIN).unwrap_or(usize::MAX).max(1);
    let picked = files.len().min(most);
    (0..picked).map(|place| &files[place * files.len() / picked]).collect()
}

/// Made-up names could be the file's own; read as names, they tell.
async fn is_headerless(files: &Files, group: &Group, seen: &Seen) -> Result<bool> {
    let is_made_up = |(place, name): (usize, &str)| name == format!("column_{place}");
    let names = || seen.columns.iter().map(|column| column.name.as_str());
    let (Some(first), true) = (group.files.first(), names().next().is_some() && (1..).zip(names()).all(is_made_up))
    else {
        return Ok(false);
    };
    if files.options.contains_key("header") {
        return Ok(false);
    }
    let mut opening = files.opening(&group.table, &[super::name::escape(first)]);
    if let Some(options) = opening.options.as_object_mut() {
        options.insert("header".into(), true.into());
    }
    let Ok(mut source) = files.spec.open(opening).await else { return Ok(true) };
    let schema = source.next(BATCH_BYTES).await.ok().flatten();
    let schema = schema.and_then(|pulled| pulled.rows.into_raw()).map(|rows| rows.schema());
    Ok(schema.is_none_or(|schema| !(1..).zip(schema.fields()).all(|(place, field)| is_made_up((place, field.name())))))
}

/// Only this command's reader can't write the option into a file.
fn hinted(mut error: Error, file: &str) -> Error {
    if error.detail.contains("set `format`") {
        error = Error::project(
            format!("scan {file}"),
            "its name does not tell its format; say it with `--set format=csv` (csv, ndjson, json, parquet, avro, arrow)",
        );
    }
    error
}

fn watch(table: &str, own: &Arc<[OwnKind]>) -> Result<Watch> {
    let keys = keys(table);
    Watch::new(own.clone(), move |column| keys.contains(&snake(&column.replace([' ', '-', '.'], "_"))))
}

/// The names that the key of a table has: `id`, `payment_id` of card_payments, `id_cliente` of clientes.
fn keys(table: &str) -> Vec<String> {
    let last = table.rsplit('_').next().unwrap_or(table);
    let mut keys: Vec<String> = ["id", "uuid", "guid"].map(str::to_owned).to_vec();
    for word in [table, last].iter().flat_map(|word| singulars(word)) {
        keys.extend(["id", "uuid", "code", "codigo"].map(|what| format!("{word}_{what}")));
        keys.extend(["id", "cod", "codigo"].map(|what| format!("{what}_{word}")));
        keys.push(format!("{word}id"));
    }
    keys
}

/// What an English or Portuguese word may be the plural of.
fn singulars(word: &str) -> Vec<String> {
    let rules = [("ies", "y"), ("oes", "ao"), ("res", "r"), ("ns", "m"), ("ais", "al"), ("sses", "ss"), ("s", "")];
    let made = rules.iter().filter_map(|(plural, singular)| Some(format!("{}{singular}", word.strip_suffix(plural)?)));
    made.filter(|made| made.len() > 1).chain([word.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_called_after_its_table() {
        let is_key = |table: &str, column: &str| keys(table).contains(&column.to_owned());
        assert!(is_key("card_payments", "payment_id") && is_key("customers", "customer_id") && is_key("x", "id"));
        assert!(
            is_key("clientes", "id_cliente")
                && is_key("transacoes", "transacao_id")
                && is_key("categories", "category_id")
        );
        assert!(!is_key("card_payments", "customer_id") && !is_key("orders", "order_ref"));
    }

    #[test]
    fn many_files_are_looked_at_here_and_there() {
        let files: Vec<String> = (0..1000).map(|n| format!("{n:04}")).collect();
        let picked = pick(&files, 100_000);
        assert_eq!((picked.len(), picked[1].as_str()), (100, "0010"));
        assert_eq!(pick(&files[..3], 100_000).len(), 3);
        assert_eq!(pick(&files, 10).len(), 1);
    }
}
