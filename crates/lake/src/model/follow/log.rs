//! What is new in a change log, in the order of its keys: no value but those of keys is read.

use super::fates::Fates;
use super::fold::{Change, Emptied};
use super::key::{Key, column, fault};
use super::narrow::{Begun, SAID, Spot, begun, changes, narrow, op, sorted_schema};
use super::read::{Part, read};
use crate::model::fresh::{self, News};
use crate::model::run::Pinned;
use crate::model::scd2::VALIDITY;
use crate::origin::progress;
use crate::sql::failed;
use crate::table::{At, Table};
use arrow::array::{AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::row::Rows;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use kernel::error::{Error, Result};
use kernel::gate::Op;
use kernel::name::TableName;
use kernel::position::{Point, Positions};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// Bytes of a batch of keys.
const BATCH_BYTES: usize = 1 << 20;
/// With more late keys than this all is read from the start.
const LATE_KEYS_MAX: usize = 1 << 18;

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
    begun: Arc<Begun>,
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
        if keeps_history && !is_first && is_another(pinned, &table) {
            return Err(versions_are_lost(pinned, name));
        }
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
            begun: Arc::default(),
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

    /// Whether all of a key's changes are read, from the first on.
    pub fn reads_whole(&self, key: &[u8]) -> bool {
        self.is_whole || self.shared.late.contains(key)
    }

    /// The changes of a batch of the sorted log, and their keys.
    pub fn opened(&self, batch: &RecordBatch) -> Result<(Vec<Change>, Rows)> {
        let changes = changes(batch, self.shared.key.names.len(), &self.shared.columns)?;
        Ok((changes, self.shared.key_rows(batch)?))
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
        Ok(Fates::of(self, batches))
    }
}

/// Whether the table gains a column that the log had when it was last read.
async fn gains_what_was_there(pinned: &Pinned<'_>, log: &Table) -> Result<bool> {
    let (old, consumed) = (pinned.target.schema(), pinned.consumed_of(log.name()));
    let is_gained = |name: &str| old.field_with_name(name).is_err() && !VALIDITY.contains(&name);
    let gained: Vec<&String> = pinned.model.schema.fields().iter().map(|f| f.name()).filter(|n| is_gained(n)).collect();
    // Another log is read whole as it is.
    let consumed = consumed.filter(|_| !gained.is_empty() && !is_another(pinned, log));
    let Some(consumed) = consumed else { return Ok(false) };
    let then = Table::open(log.store(), log.name(), At::Version(consumed.version)).await?;
    Ok(then.is_none_or(|then| gained.iter().any(|name| then.schema().field_with_name(name).is_ok())))
}

/// Whether the log was removed and made anew since it was last read.
fn is_another(pinned: &Pinned<'_>, log: &Table) -> bool {
    pinned.consumed_of(log.name()).is_some_and(|consumed| consumed.id != log.id())
}

/// A log that was made anew begins with the rows as they are now.
fn versions_are_lost(pinned: &Pinned<'_>, log: &TableName) -> Error {
    let own = pinned.target.name();
    let why = format!(
        "{log} was made anew, and versions that ended before are in the old log alone: {own} would lose them. Put the old folder of \
         {log} back; or keep a copy of the folder of {own}, and let it begin anew: lavra run --full-refresh {own}"
    );
    Error::data(format!("follow {log}"), why)
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
    fn is_late(&self, change: &Change) -> bool {
        let order = &change.order;
        let offset = u64::try_from(order.offset).unwrap_or_default();
        let is_before_others = self.latest.as_ref().is_some_and(|latest| *latest > order.partition);
        let is_behind = match self.taken.get(&order.partition) {
            Some(Point::Offset(next)) => offset < *next,
            Some(Point::Mark { rows, .. }) => offset <= *rows,
            // A key's changes may be in any file of a log.
            Some(Point::File { row, .. }) => offset <= *row || is_before_others,
            None => is_before_others,
        };
        // An emptied table concerns the keys of all partitions.
        let is_behind = is_behind || (change.op == Op::Truncate && is_before_others);
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
    async fn look(&mut self, before: Option<&Before>) -> Result<Option<Looked>> {
        self.begun = Arc::default();
        if self.may_begin_anew(before).await? {
            self.begun = Arc::new(begun(&self.emptied(true).await?));
        }
        let mut found = Looked::default();
        for (place, _) in self.files.iter().enumerate().filter(|(_, file)| file.is_new) {
            let mut batches = self.narrow(place).await?;
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                let keys = self.key_rows(&batch)?;
                for (row, change) in changes(&batch, self.key.names.len(), &self.columns)?.into_iter().enumerate() {
                    found.rows += 1;
                    found.has_changed |= change.op != Op::Read;
                    let is_late = before.is_some_and(|before| before.is_late(&change));
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
            found.emptied.extend(self.emptied(false).await?);
            self.begun = Arc::new(begun(&found.emptied));
        }
        found.emptied.sort_by(|a, b| a.order.cmp(&b.order));
        Ok(Some(found))
    }

    /// Whether new rows of a read may stand behind a truncate.
    async fn may_begin_anew(&self, before: Option<&Before>) -> Result<bool> {
        let (mut reads, mut empties) = (false, before.is_some_and(|before| before.had_changed));
        let columns = ["_op".to_owned()];
        for file in self.files.iter().filter(|file| file.is_new) {
            let part = Part { columns: Some(&columns), rows: None, batch_bytes: BATCH_BYTES };
            let mut batches = read(&self.table, &file.path, part).await?;
            while let Some(batch) = batches.next().await {
                let ops = column(&batch?, "_op", &DataType::Utf8View)?;
                for letter in ops.as_string_view() {
                    (reads, empties) = (reads || op(letter) == Op::Read, empties || op(letter) == Op::Truncate);
                }
            }
        }
        Ok(reads && empties)
    }

    /// When the table was emptied: in files that were applied before, or in all.
    async fn emptied(&self, in_all: bool) -> Result<Vec<Emptied>> {
        let mut emptied = Vec::new();
        for (place, file) in self.files.iter().enumerate().filter(|(_, file)| in_all || !file.is_new) {
            let mut batches = self.narrow(place).await?;
            while let Some(batch) = batches.next().await {
                let all = changes(&batch?, self.key.names.len(), &self.columns)?.into_iter();
                let these = all.filter(|change| change.op == Op::Truncate);
                let new = |change: Change| Emptied { order: change.order, at: change.at, is_new: file.is_new };
                emptied.extend(these.map(new));
            }
        }
        Ok(emptied)
    }

    /// Of one file the keys and what is said of each change.
    async fn narrow(&self, file: usize) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let columns: Vec<String> = self.key.names.iter().cloned().chain(SAID.map(str::to_owned)).collect();
        let part = Part { columns: Some(&columns), rows: None, batch_bytes: BATCH_BYTES };
        let batches = read(&self.table, &self.files[file].path, part).await?;
        let (key, schema, begun) = (self.key.clone(), self.schema.clone(), self.begun.clone());
        let numbered = batches.scan(0u64, move |row, batch| {
            let first = *row;
            *row += batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
            futures::future::ready(Some(batch.map(|batch| (first, batch))))
        });
        Ok(numbered
            .map(move |batch| {
                batch.and_then(|(first, batch)| narrow(&batch, &key, &schema, Spot { file, first }, &begun))
            })
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
        self.key.rows_of(&narrow.columns()[..self.key.names.len()])
    }
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
