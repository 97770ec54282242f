//! What is new in a change log, in the order of its keys: no value but those of keys is read.

use super::fold::{Change, Emptied, Fate, Fold, Order, Place};
use super::read::{Part, read};
use crate::model::fresh::{self, News};
use crate::model::run::Pinned;
use crate::model::scd2::VALIDITY;
use crate::origin::progress;
use crate::sql::failed;
use crate::table::{At, Table};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, new_null_array};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use kernel::error::{Error, Result};
use kernel::gate::Op;
use kernel::position::{Point, Positions};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// Bytes of a batch of keys.
const BATCH_BYTES: usize = 1 << 20;
/// With more late keys than this all is read from the start.
const LATE_KEYS_MAX: usize = 1 << 18;
/// What the log says of each change.
const SAID: [&str; 5] = ["_op", "_changed_at", "_unchanged", "_position", "_ingested_at"];
/// The same as it is sorted, behind the key.
const SORTED: [&str; 8] = ["first", "partition", "offset", "op", "at", "unchanged", "file", "row"];

/// A key's columns, comparable as bytes.
#[derive(Clone)]
pub struct Key {
    pub names: Vec<String>,
    types: Vec<DataType>,
    converter: Arc<RowConverter>,
}

impl Key {
    pub fn new(names: &[String], schema: &Schema) -> Result<Self> {
        let types = names.iter().map(|name| schema.field_with_name(name).map(|field| field.data_type().clone()));
        let types: Vec<DataType> = types.collect::<Result<_, _>>().map_err(|e| Error::internal("find a key", &e))?;
        let fields = types.iter().map(|data_type| SortField::new(data_type.clone())).collect();
        let converter = RowConverter::new(fields).map_err(fault)?;
        Ok(Self { names: names.to_vec(), types, converter: Arc::new(converter) })
    }

    fn columns(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let named = self.names.iter().zip(&self.types);
        named.map(|(name, data_type)| column(batch, name, data_type)).collect()
    }

    pub fn rows(&self, batch: &RecordBatch) -> Result<Rows> {
        self.converter.convert_columns(&self.columns(batch)?).map_err(fault)
    }

    /// The bytes that all keys with this first column begin with; `None` where its text does not tell the column's order.
    pub fn prefix(&self, text: &str) -> Option<Vec<u8>> {
        use DataType::{Date32, Decimal128, Int8, Int16, Int32, Int64, Utf8View};
        let first = self
            .types
            .first()
            .filter(|t| matches!(t, Int8 | Int16 | Int32 | Int64 | Date32 | Decimal128(..) | Utf8View))?;
        let text: ArrayRef = Arc::new(arrow::array::StringViewArray::from(vec![text]));
        let value = cast(&text, first).ok().filter(|value| value.null_count() == 0)?;
        let converter = RowConverter::new(vec![SortField::new(first.clone())]).ok()?;
        let rows = converter.convert_columns(&[value]).ok()?;
        Some(rows.row(0).as_ref().to_vec())
    }
}

/// A column of the asked type; nulls where the batch has none.
pub fn column(batch: &RecordBatch, name: &str, data_type: &DataType) -> Result<ArrayRef> {
    match batch.column_by_name(name) {
        None => Ok(new_null_array(data_type, batch.num_rows())),
        Some(found) if found.data_type() == data_type => Ok(found.clone()),
        Some(found) => cast(found, data_type).map_err(fault),
    }
}

pub fn fault(error: arrow::error::ArrowError) -> Error {
    Error::internal("apply changes", "arrow refused a column").because(error)
}

/// A file of the log.
#[derive(Debug, Clone)]
pub struct LogFile {
    pub path: String,
    pub is_new: bool,
}

/// The changes to apply.
pub struct Log {
    shared: Arc<Shared>,
    pub emptied: Vec<Emptied>,
    pub keeps_history: bool,
    /// All of the table is made anew.
    pub is_whole: bool,
    /// Whether there is a change behind the first read, in the log so far.
    pub has_changed: bool,
    pub rows: u64,
}

/// What the thread that reads needs.
struct Shared {
    table: Table,
    key: Key,
    files: Vec<LogFile>,
    /// Keys of which an older change came after a younger one was applied. All of their changes are read again.
    late: HashSet<Box<[u8]>>,
    schema: SchemaRef,
    /// The table's columns, by name.
    columns: HashMap<String, usize>,
}

impl Log {
    /// Looks what came since the table was made; all of the log where that can't be told or the table is made anew.
    pub async fn open(
        pinned: &Pinned<'_>,
        key: &Key,
        schema: &Schema,
        is_first: bool,
        keeps_history: bool,
    ) -> Result<Self> {
        let name = pinned.model.reads.first().ok_or_else(|| Error::internal("apply changes", "of no table"))?;
        let table = pinned.inputs[name].clone();
        let all: Vec<String> = table.files()?.into_iter().map(|file| file.path).collect();
        let is_first = is_first || !pinned.is_same_model() || gains_what_was_there(pinned, &table).await?;
        let added = match is_first {
            true => None,
            false => match fresh::arrivals(pinned, name).await? {
                News::Nothing => Some(HashSet::new()),
                News::Added(files) => Some(files.into_iter().collect()),
                News::Rewritten { .. } => None,
            },
        };
        let had_changed = pinned.consumed.as_ref().is_some_and(|origin| origin.has_changed);
        let files = |added: Option<&HashSet<String>>| -> Vec<LogFile> {
            let file =
                |path: &String| LogFile { is_new: added.is_none_or(|added| added.contains(path)), path: path.clone() };
            all.iter().map(file).collect()
        };
        let columns = schema.fields().iter().enumerate().map(|(at, field)| (field.name().clone(), at)).collect();
        let mut shared = Shared {
            schema: sorted_schema(key),
            table,
            key: key.clone(),
            files: files(added.as_ref()),
            late: HashSet::new(),
            columns,
        };
        let consumed = pinned.consumed_of(name).map(|input| input.version);
        if let (Some(_), Some(version)) = (&added, consumed) {
            let taken = taken(&shared.table, version).await?;
            let latest = taken.iter().last().map(|(partition, _)| partition.to_owned());
            if let Some(news) = shared.look(Some(&Before { taken, latest, had_changed })).await? {
                shared.late = news.late;
                return Ok(Self::of(
                    shared,
                    news.emptied,
                    keeps_history,
                    false,
                    news.has_changed || had_changed,
                    news.rows,
                ));
            }
        }
        shared.files = files(None);
        let news = shared.look(None).await?.unwrap_or_default();
        Ok(Self::of(shared, news.emptied, keeps_history, true, news.has_changed, news.rows))
    }

    fn of(
        shared: Shared,
        emptied: Vec<Emptied>,
        keeps_history: bool,
        is_whole: bool,
        has_changed: bool,
        rows: u64,
    ) -> Self {
        Self { shared: Arc::new(shared), emptied, keeps_history, is_whole, has_changed, rows }
    }

    pub fn table(&self) -> &Table {
        &self.shared.table
    }

    pub fn files(&self) -> &[LogFile] {
        &self.shared.files
    }

    /// Whether the table was emptied since it was made.
    pub fn empties(&self) -> Option<&Emptied> {
        self.emptied.iter().find(|emptied| emptied.is_new)
    }

    /// The keys that changed, in their order, with what becomes of each.
    pub async fn fates(&self, pinned: &Pinned<'_>) -> Result<Fates<'_>> {
        let memory = pinned.run.engine.memory_bytes() / 4;
        let mut context = pinned.workspace_within(memory)?;
        let rows = Narrow(self.shared.clone());
        let table = StreamingTable::try_new(self.shared.schema.clone(), vec![Arc::new(rows)]).map_err(failed)?;
        context.give("n", Arc::new(table))?;
        let keys = (0..self.shared.key.names.len()).map(|at| format!("k{at}, ")).collect::<String>();
        let frame = context.sql(&format!("select * from n order by {keys}first, partition, \"offset\"")).await?;
        let batches = frame.execute_stream().await.map_err(failed)?;
        Ok(Fates { log: self, batches, batch: None, open: None, from: None, is_done: false })
    }
}

/// Whether the table gains a column that the log had when it was last read.
async fn gains_what_was_there(pinned: &Pinned<'_>, log: &Table) -> Result<bool> {
    let (old, consumed) = (pinned.target.schema(), pinned.consumed_of(log.name()));
    let is_gained = |name: &str| old.field_with_name(name).is_err() && !VALIDITY.contains(&name);
    let gained: Vec<&String> = pinned.model.schema.fields().iter().map(|f| f.name()).filter(|n| is_gained(n)).collect();
    let Some(consumed) = consumed.filter(|_| !gained.is_empty()) else { return Ok(false) };
    let then = Table::open(log.store(), log.name(), At::Version(consumed.version)).await?;
    Ok(then.is_none_or(|then| gained.iter().any(|name| then.schema().field_with_name(name).is_ok())))
}

/// What was applied before.
struct Before {
    taken: Positions,
    /// The last partition, by name.
    latest: Option<String>,
    had_changed: bool,
}

impl Before {
    /// Whether a change may be older than one that was applied.
    fn is_late(&self, order: &Order) -> bool {
        let offset = u64::try_from(order.offset).unwrap_or_default();
        let covers = |point: &Point| match point {
            Point::Offset(next) => offset < *next,
            Point::File { row, .. } => offset <= *row,
            Point::Mark { rows, .. } => offset <= *rows,
        };
        let is_behind = match self.taken.get(&order.partition) {
            Some(point) => covers(point),
            None => self.latest.as_ref().is_some_and(|latest| *latest > order.partition),
        };
        is_behind || (!order.is_change && self.had_changed)
    }
}

/// How far the log's sources were taken at a version.
async fn taken(log: &Table, version: u64) -> Result<Positions> {
    let mut taken = Positions::new();
    for (source, done) in progress(log.store(), log.name(), version).await?.sources {
        if !source.ends_with("/replay") {
            taken.advance(&done.positions);
        }
    }
    Ok(taken)
}

#[derive(Default)]
struct Looked {
    late: HashSet<Box<[u8]>>,
    emptied: Vec<Emptied>,
    has_changed: bool,
    rows: u64,
}

impl Shared {
    /// Finds what touches more than its key. `None` when all must be read from the start.
    async fn look(&self, before: Option<&Before>) -> Result<Option<Looked>> {
        let mut found = Looked::default();
        for (place, _) in self.files.iter().enumerate().filter(|(_, file)| file.is_new) {
            let mut batches = self.narrow(place).await?;
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                let keys = self.key_rows(&batch)?;
                for (row, change) in changes(&batch, self.key.names.len(), &self.columns)?.into_iter().enumerate() {
                    found.rows += 1;
                    found.has_changed |= change.op != Op::Read;
                    let is_late = before.is_some_and(|before| before.is_late(&change.order));
                    match (change.op, is_late) {
                        (Op::Truncate, true) => return Ok(None),
                        (Op::Truncate, false) => {
                            found.emptied.push(Emptied { order: change.order, at: change.at, is_new: true });
                        }
                        (_, true) => drop(found.late.insert(keys.row(row).as_ref().into())),
                        (_, false) => {}
                    }
                }
                if found.late.len() > LATE_KEYS_MAX {
                    return Ok(None);
                }
            }
        }
        if !found.late.is_empty() {
            self.emptied_before(&mut found.emptied).await?;
        }
        found.emptied.sort_by(|a, b| a.order.cmp(&b.order));
        Ok(Some(found))
    }

    /// Adds when the table was emptied in files that were applied before.
    async fn emptied_before(&self, emptied: &mut Vec<Emptied>) -> Result<()> {
        for (place, _) in self.files.iter().enumerate().filter(|(_, file)| !file.is_new) {
            let mut batches = self.narrow(place).await?;
            while let Some(batch) = batches.next().await {
                let all = changes(&batch?, self.key.names.len(), &self.columns)?.into_iter();
                let these = all.filter(|change| change.op == Op::Truncate);
                emptied.extend(these.map(|change| Emptied { order: change.order, at: change.at, is_new: false }));
            }
        }
        Ok(())
    }

    /// Of one file the keys and what is said of each change.
    async fn narrow(&self, file: usize) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let columns: Vec<String> = self.key.names.iter().cloned().chain(SAID.map(str::to_owned)).collect();
        let part = Part { columns: Some(&columns), rows: None, batch_bytes: BATCH_BYTES };
        let batches = read(&self.table, &self.files[file].path, part).await?;
        let (key, schema) = (self.key.clone(), self.schema.clone());
        let numbered = batches.scan(0u64, move |row, batch| {
            let first = *row;
            *row += batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
            futures::future::ready(Some(batch.map(|batch| (first, batch))))
        });
        Ok(numbered
            .map(move |batch| batch.and_then(|(first, batch)| narrow(&batch, &key, &schema, file, first)))
            .boxed())
    }

    /// All that is to be applied.
    fn stream(self: Arc<Self>) -> BoxStream<'static, Result<RecordBatch>> {
        let wanted = |file: &LogFile| file.is_new || !self.late.is_empty();
        let files: Vec<usize> = (0..self.files.len()).filter(|at| wanted(&self.files[*at])).collect();
        let shared = self.clone();
        let each = stream::iter(files).then(move |file| {
            let shared = shared.clone();
            async move {
                let batches = shared.narrow(file).await?;
                Ok::<_, Error>(batches.map(move |batch| batch.and_then(|batch| shared.applied(batch, file))))
            }
        });
        each.try_flatten().boxed()
    }

    /// Of a batch the rows that have a key, and of an old file those of late keys.
    fn applied(&self, batch: RecordBatch, file: usize) -> Result<RecordBatch> {
        let ops = column(&batch, "op", &DataType::Utf8View)?;
        let has_key = ops.as_string_view().iter().map(|op| op != Some(Op::Truncate.letter()));
        let wanted: BooleanArray = match self.files[file].is_new {
            true => has_key.map(Some).collect(),
            false => {
                let keys = self.key_rows(&batch)?;
                has_key.zip(keys.iter()).map(|(has, key)| Some(has && self.late.contains(key.as_ref()))).collect()
            }
        };
        filter_record_batch(&batch, &wanted).map_err(fault)
    }

    fn key_rows(&self, narrow: &RecordBatch) -> Result<Rows> {
        self.key.converter.convert_columns(&narrow.columns()[..self.key.names.len()]).map_err(fault)
    }
}

fn sorted_schema(key: &Key) -> SchemaRef {
    let names = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8View, true)));
    let text = || DataType::Utf8View;
    let types =
        [DataType::Int64, text(), DataType::Int64, text(), DataType::Int64, names, DataType::Int64, DataType::Int64];
    let keys =
        key.types.iter().enumerate().map(|(at, data_type)| Field::new(format!("k{at}"), data_type.clone(), true));
    let said = SORTED.iter().zip(types).map(|(name, data_type)| Field::new(*name, data_type, true));
    Arc::new(Schema::new(keys.chain(said).collect::<Vec<_>>()))
}

fn narrow(batch: &RecordBatch, key: &Key, schema: &SchemaRef, file: usize, first: u64) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let ops = column(batch, "_op", &DataType::Utf8View)?;
    let is_change = ops.as_string_view().iter().map(|op| i64::from(op.is_some_and(|op| op != Op::Read.letter())));
    let is_change: Int64Array = is_change.collect();
    let position = batch.column_by_name("_position").and_then(|column| column.as_struct_opt());
    let position =
        position.ok_or_else(|| Error::data("apply changes", "the log does not say where its rows are from"))?;
    let partition = cast(position.column(0), &DataType::Utf8View).map_err(fault)?;
    let offset = cast(position.column(1), &DataType::Int64).map_err(fault)?;
    let numbers = Int64Array::from_iter_values((first..).take(rows).map(|row| row as i64));
    let mut columns = key.columns(batch)?;
    let unchanged = schema.field(columns.len() + 5).data_type();
    columns.extend([
        Arc::new(is_change) as ArrayRef,
        partition,
        offset,
        ops,
        Arc::new(times(batch)?),
        column(batch, "_unchanged", unchanged)?,
        Arc::new(Int64Array::from_value(file as i64, rows)),
        Arc::new(numbers),
    ]);
    RecordBatch::try_new(schema.clone(), columns).map_err(fault)
}

/// When each change was committed, or else when it came.
pub fn times(batch: &RecordBatch) -> Result<Int64Array> {
    let number = |name: &str| -> Result<ArrayRef> {
        match batch.column_by_name(name) {
            Some(found) => cast(found, &DataType::Int64).map_err(fault),
            None => Ok(new_null_array(&DataType::Int64, batch.num_rows())),
        }
    };
    let (changed, came) = (number("_changed_at")?, number("_ingested_at")?);
    let both = changed.as_primitive::<Int64Type>().iter().zip(came.as_primitive::<Int64Type>());
    Ok(both.map(|(changed, came)| Some(changed.or(came).unwrap_or_default())).collect())
}

/// The changes of a batch of [`sorted_schema`].
fn changes(batch: &RecordBatch, width: usize, columns: &HashMap<String, usize>) -> Result<Vec<Change>> {
    let number = |at: usize| batch.column(width + at).as_primitive::<Int64Type>().clone();
    let text = |at: usize| batch.column(width + at).as_string_view().clone();
    let (first, partition, offset, ops, at) = (number(0), text(1), number(2), text(3), number(4));
    let (unchanged, file, row) = (batch.column(width + 5).as_list::<i32>().clone(), number(6), number(7));
    let change = |place: usize| Change {
        order: Order {
            is_change: first.value(place) > 0,
            partition: partition.value(place).to_owned(),
            offset: offset.value(place),
        },
        op: op(ops.is_valid(place).then(|| ops.value(place))),
        at: at.value(place),
        unchanged: untold(&unchanged, place, columns),
        place: Place { file: file.value(place) as usize, row: row.value(place) as u64 },
    };
    Ok((0..batch.num_rows()).map(change).collect())
}

/// A row without a word on what happened is one that was there.
fn op(letter: Option<&str>) -> Op {
    let others = [Op::Create, Op::Update, Op::Delete, Op::Truncate];
    others.into_iter().find(|op| letter == Some(op.letter())).unwrap_or(Op::Read)
}

/// The table's columns that a change does not tell, in order.
pub fn untold(unchanged: &ListArray, row: usize, columns: &HashMap<String, usize>) -> Vec<usize> {
    if unchanged.is_null(row) {
        return Vec::new();
    }
    let names = unchanged.value(row);
    let names = names.as_string_view().iter().flatten();
    let mut untold: Vec<usize> = names.filter_map(|name| columns.get(name).copied()).collect();
    untold.sort_unstable();
    untold
}

struct Narrow(Arc<Shared>);

impl fmt::Debug for Narrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("changes")
    }
}

impl PartitionStream for Narrow {
    fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = self.0.clone().stream().map_err(|e| DataFusionError::External(Box::new(e)));
        Box::pin(RecordBatchStreamAdapter::new(self.0.schema.clone(), batches))
    }
}

/// Keys next to each other with what becomes of them: those behind `from`, up to and with `to`.
pub struct Slice {
    pub fates: Vec<Fate>,
    pub from: Option<Box<[u8]>>,
    pub to: Option<Box<[u8]>>,
}

/// The keys that changed, slice by slice.
pub struct Fates<'l> {
    log: &'l Log,
    batches: SendableRecordBatchStream,
    batch: Option<(Vec<Change>, Rows, usize)>,
    open: Option<(Box<[u8]>, Fold<'l>)>,
    from: Option<Box<[u8]>>,
    is_done: bool,
}

impl Fates<'_> {
    /// The next slice of about so many rows. Together the slices are all keys there can be; the last may have no fates.
    pub async fn next(&mut self, most: usize) -> Result<Option<Slice>> {
        let (mut fates, mut weight) = (Vec::new(), 0);
        while !self.is_done {
            let Some((key, change)) = self.change().await? else {
                self.is_done = true;
                fates.extend(self.open.take().map(|(key, fold)| fold.finish(key)));
                return Ok(Some(Slice { fates, from: self.from.take(), to: None }));
            };
            if let Some((open, fold)) = &mut self.open
                && *open == key
            {
                fold.push(&change);
                continue;
            }
            let log = self.log;
            let is_whole = log.is_whole || log.shared.late.contains(&key);
            let mut fold = Fold::new(log.keeps_history, is_whole, &log.emptied);
            fold.push(&change);
            let Some((key, before)) = self.open.replace((key, fold)) else { continue };
            let fate = before.finish(key);
            weight += 1 + fate.versions.len();
            let to = fate.key.clone();
            fates.push(fate);
            if weight >= most {
                let from = self.from.replace(to.clone());
                return Ok(Some(Slice { fates, from, to: Some(to) }));
            }
        }
        Ok(None)
    }

    async fn change(&mut self) -> Result<Option<(Box<[u8]>, Change)>> {
        loop {
            if let Some((changes, keys, at)) = &mut self.batch
                && *at < changes.len()
            {
                *at += 1;
                return Ok(Some((keys.row(*at - 1).as_ref().into(), changes[*at - 1].clone())));
            }
            let Some(batch) = self.batches.next().await else { return Ok(None) };
            let (batch, shared) = (batch.map_err(failed)?, &self.log.shared);
            let changes = changes(&batch, shared.key.names.len(), &shared.columns)?;
            self.batch = Some((changes, shared.key_rows(&batch)?, 0));
        }
    }
}
