//! Rows to Parquet files that no reader sees yet; a commit names them later, or nobody does.

use crate::commit::NewFile;
use crate::schema::kept_schema;
use crate::stats;
use crate::store::Store;
use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use encode::ParquetFile;
use kernel::error::{Error, Result};
use kernel::name::TableName;
use object_store::buffered::BufWriter;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A file is closed when it is about this large.
const FILE_BYTES_TARGET: usize = 128 << 20;

/// Writes a table's new files on as many tasks as it is given. When it is dropped before `finish`, or fails, it takes
/// back what it wrote: a full disk must not become fuller with each try.
pub(crate) struct TableWriter {
    store: Store,
    name: TableName,
    lanes: Vec<Lane>,
    next: usize,
}

type Written = Vec<(NewFile, SchemaRef)>;

struct Lane {
    /// Nothing is the end; a lane whose sender goes before that is not to keep its files.
    batches: mpsc::Sender<Option<RecordBatch>>,
    files: JoinHandle<Result<Written>>,
}

impl TableWriter {
    pub fn new(store: &Store, name: &TableName, lanes: usize) -> Self {
        Self::within(store, name, lanes, encode::GROUP_BYTES_MAX)
    }

    /// The same with row groups, which are held in memory, of so many bytes at most.
    pub fn within(store: &Store, name: &TableName, lanes: usize, group_bytes_max: usize) -> Self {
        let lanes = (0..lanes.max(1))
            .map(|_| {
                let (batches, queue) = mpsc::channel(2);
                let files = tokio::spawn(write_lane(store.clone(), name.clone(), queue, group_bytes_max));
                Lane { batches, files }
            })
            .collect();
        Self { store: store.clone(), name: name.clone(), lanes, next: 0 }
    }

    /// Hands a batch to a lane; waits when all are busy.
    pub async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.next = (self.next + 1) % self.lanes.len().max(1);
        let Some(lane) = self.lanes.get(self.next) else {
            return Err(Error::internal("write a file", "this writer has failed before"));
        };
        match lane.batches.send(Some(batch)).await {
            Ok(()) => Ok(()),
            // The lane ended early: its own error says why.
            Err(_) => match self.abandon().await {
                Err(error) => Err(error),
                Ok(()) => Err(Error::internal("write a file", "a writer ended early")),
            },
        }
    }

    /// Takes back what was written. An error is why a lane had ended before.
    pub async fn abandon(&mut self) -> Result<()> {
        let lanes = std::mem::take(&mut self.lanes);
        let ends: Vec<_> = lanes.into_iter().map(|Lane { files, .. }| files).collect();
        let mut outcome = Ok(());
        for end in ends {
            outcome = end.await.map_err(|e| Error::internal("write a file", &e)).flatten().map(drop).and(outcome);
        }
        outcome
    }

    /// Closes all files; gives them with the schema each was written in.
    pub async fn finish(self) -> Result<Written> {
        let (mut files, mut failed) = (Vec::new(), None);
        for lane in &self.lanes {
            // A lane that can't be told has failed, and says so below.
            let _ = lane.batches.send(None).await;
        }
        for lane in self.lanes {
            match lane.files.await.map_err(|e| Error::internal("write a file", &e)).flatten() {
                Ok(written) => files.extend(written),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            None => Ok(files),
            Some(error) => {
                take_back(&self.store, &self.name, &files).await;
                Err(error)
            }
        }
    }
}

async fn write_lane(
    store: Store,
    name: TableName,
    mut queue: mpsc::Receiver<Option<RecordBatch>>,
    group_bytes_max: usize,
) -> Result<Written> {
    let (mut files, mut open) = (Vec::new(), None);
    let create = |schema| OpenFile::create(&store, &name, schema, group_bytes_max);
    let is_whole = fill(&create, &mut queue, &mut files, &mut open).await;
    if let Ok(true) = is_whole {
        return Ok(files);
    }
    if let Some(OpenFile { mut out, .. }) = open
        && let Err(error) = out.abort().await
    {
        tracing::debug!(%error, "an unfinished file could not be given up");
    }
    take_back(&store, &name, &files).await;
    is_whole.map(|_| Vec::new())
}

/// Writes what comes; whether it came to its end.
async fn fill(
    create: &(dyn Fn(SchemaRef) -> Result<OpenFile> + Send + Sync),
    queue: &mut mpsc::Receiver<Option<RecordBatch>>,
    files: &mut Written,
    open: &mut Option<OpenFile>,
) -> Result<bool> {
    while let Some(batch) = queue.recv().await {
        let Some(batch) = batch else {
            files.extend(close(open.take()).await?);
            return Ok(true);
        };
        let batch = kept(batch)?;
        if open.as_ref().is_some_and(|file| file.schema != batch.schema()) {
            files.extend(close(open.take()).await?);
        }
        let file = match &mut *open {
            Some(file) => file,
            none => none.insert(create(batch.schema())?),
        };
        file.write(batch).await?;
        if file.is_full() {
            files.extend(close(open.take()).await?);
        }
    }
    Ok(false)
}

/// Files that no commit will name. One that can't be deleted is found by no reader.
async fn take_back(store: &Store, name: &TableName, files: &Written) {
    for (file, _) in files {
        if let Err(error) = store.delete(&store.path(name, &file.path)).await {
            tracing::warn!(%error, "a file that nobody names was left behind");
        }
    }
}

async fn close(file: Option<OpenFile>) -> Result<Option<(NewFile, SchemaRef)>> {
    match file {
        Some(file) => file.finish().await.map(Some),
        None => Ok(None),
    }
}

struct OpenFile {
    path: String,
    schema: SchemaRef,
    file: ParquetFile,
    out: BufWriter,
}

impl OpenFile {
    fn create(store: &Store, name: &TableName, schema: SchemaRef, group_bytes_max: usize) -> Result<Self> {
        let path = format!("part-{}.snappy.parquet", uuid::Uuid::new_v4());
        let out = BufWriter::new(store.objects(), store.path(name, &path));
        // What is on its way to the store is in memory as well.
        let is_small = group_bytes_max < encode::GROUP_BYTES_MAX;
        let out = if is_small { out.with_max_concurrency(1) } else { out };
        let file = ParquetFile::new(schema.clone()).map_err(|e| fault(&path, e))?.with_group_bytes(group_bytes_max);
        Ok(Self { path, schema, file, out })
    }

    async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        self.file.write(batch).map_err(|e| fault(&self.path, e))?;
        match self.file.take() {
            nothing if nothing.is_empty() => Ok(()),
            group => self.out.put(group.into()).await.map_err(|e| not_written(&self.path, e)),
        }
    }

    fn is_full(&self) -> bool {
        self.file.num_bytes() > FILE_BYTES_TARGET
    }

    async fn finish(self) -> Result<(NewFile, SchemaRef)> {
        let Self { path, schema, file, mut out } = self;
        let (rest, bytes, footer) = file.finish().map_err(|e| fault(&path, e))?;
        out.put(rest.into()).await.map_err(|e| not_written(&path, e))?;
        tokio::io::AsyncWriteExt::shutdown(&mut out)
            .await
            .map_err(|e| kernel::error::io(format!("write {path}"), e))?;
        let rows = u64::try_from(footer.file_metadata().num_rows()).unwrap_or_default();
        let stats = stats::of(&footer, &schema);
        Ok((NewFile { path, bytes, rows, stats }, schema))
    }
}

/// A batch in the types that the lake keeps.
fn kept(batch: RecordBatch) -> Result<RecordBatch> {
    let schema = kept_schema(&batch.schema());
    if schema == batch.schema() {
        return Ok(batch);
    }
    let columns: Result<Vec<ArrayRef>, _> = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| match column.data_type() == field.data_type() {
            true => Ok(Arc::clone(column)),
            false => cast(column, field.data_type()),
        })
        .collect();
    columns
        .and_then(|columns| RecordBatch::try_new(schema, columns))
        .map_err(|e| Error::internal("write a batch", "its types have no home in Delta").because(e))
}

fn fault(path: &str, error: parquet::errors::ParquetError) -> Error {
    Error::internal(format!("encode {path}"), &error).because(error)
}

fn not_written(path: &str, error: object_store::Error) -> Error {
    crate::store::failed(format!("write {path}"), error)
}
