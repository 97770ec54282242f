//! One source's commits into tables, each behind the one before it.

use crate::commit::{Change, NewFile, OldFile};
use crate::origin::{Origin, Progress, of_version, progress};
use crate::store::Store;
use crate::table::{At, Table};
use crate::write::TableWriter;
use arrow::datatypes::SchemaRef;
use kernel::clock::Clock;
use kernel::error::{Error, Kind, Result};
use kernel::gate::quarantine_schema;
use kernel::name::TableName;
use std::collections::HashSet;
use std::sync::Arc;

/// How often a commit follows others that did not touch this source's progress.
const REBASES_MAX: usize = 20;

pub(crate) struct Commits {
    pub store: Store,
    pub source: String,
    pub run_id: String,
    pub clock: Arc<dyn Clock>,
}

impl Commits {
    pub fn origin(&self, sequence: u64) -> Origin {
        Origin { run_id: self.run_id.clone(), source: Some(self.source.clone()), sequence, ..Origin::default() }
    }

    /// Opens a table, made when it is not there.
    pub async fn open(&self, name: &TableName, schema: SchemaRef) -> Result<Table> {
        match Table::open(&self.store, name, At::Latest).await? {
            Some(table) => Ok(table),
            None => make_or_open(&self.store, name, schema, &self.run_id, self.clock.as_ref()).await,
        }
    }

    /// Deletes files that no commit names. One that stays is a nuisance, no fault.
    pub async fn take_back(&self, name: &TableName, files: &[NewFile]) {
        for file in files {
            if let Err(error) = self.store.delete(&self.store.path(name, &file.path)).await {
                tracing::debug!(%error, "a file that nothing names stays");
            }
        }
    }

    /// Appends at the table's end. Another source's commit is stepped over; another commit of this source's is a conflict,
    /// and then nothing of the change stays. After any other error it may be there.
    pub async fn append(
        &self,
        name: &TableName,
        change: Change,
        origin: Origin,
        schema: Option<&SchemaRef>,
    ) -> Result<(u64, Table)> {
        let files = change.adds.clone();
        let outcome = self.try_append(name, change, origin, schema).await;
        if outcome.as_ref().is_err_and(|e| e.kind == Kind::Conflict) {
            self.take_back(name, &files).await;
        }
        outcome
    }

    async fn try_append(
        &self,
        name: &TableName,
        mut change: Change,
        origin: Origin,
        schema: Option<&SchemaRef>,
    ) -> Result<(u64, Table)> {
        let expected = origin.sequence;
        for _ in 0..REBASES_MAX {
            let gone = || Error::data(format!("commit to {name}"), "the table was removed while it was written");
            let table = Table::open(&self.store, name, At::Latest).await?.ok_or_else(gone)?;
            let now: Progress = progress(&self.store, name, table.version()).await?;
            if now.of(&self.source).sequence >= expected {
                return Err(Error::new(
                    Kind::Conflict,
                    format!("commit to {name}"),
                    format!(
                        "another process took `{}` further meanwhile (version {})",
                        self.source,
                        now.of(&self.source).version
                    ),
                ));
            }
            let mut origin = origin.clone();
            origin.fold = now.fold_if_due(&self.store, name, table.version()).await?;
            change.origin = json(&origin)?;
            change.schema = schema.map(|schema| table.evolved(schema)).transpose()?.flatten();
            match table.commit(&change, self.clock.now()).await {
                Ok(version) => return Ok((version, table)),
                Err(e) if e.kind == Kind::Conflict => {}
                Err(e) => return Err(e),
            }
        }
        Err(Error::new(Kind::Conflict, format!("commit to {name}"), format!("{REBASES_MAX} other commits came first")))
    }

    /// Commits rows that were set aside; gives their number.
    pub async fn set_aside(&self, name: &TableName, writer: TableWriter, origin: Origin) -> Result<u64> {
        let files = writer.finish().await?;
        let adds: Vec<NewFile> = files.into_iter().map(|(file, _)| file).collect();
        let rows = adds.iter().map(|file| file.rows).sum();
        self.open(name, quarantine_schema()).await?;
        let added = adds.iter().map(|file| OldFile { path: file.path.clone(), bytes: file.bytes }).collect();
        let change = Change { operation: "WRITE", adds, ..Change::default() };
        self.append(name, change, Origin { added, ..origin }, None).await.map(|_| rows)
    }

    /// Takes back what this source's commits behind one added to a table and what is still there of it: it comes again.
    pub async fn undo_since(&self, table: &Table, sequence: u64) -> Result<()> {
        let name = table.name();
        let active: HashSet<String> = table.files()?.into_iter().map(|file| file.path).collect();
        let mut removes = self.added_since(name, table.version(), sequence).await?;
        removes.retain(|file| active.contains(&file.path));
        let change =
            Change { operation: "TAKE BACK", removes, origin: json(&self.origin(sequence))?, ..Change::default() };
        table.commit(&change, self.clock.now()).await.map(drop)
    }

    async fn added_since(&self, name: &TableName, latest: u64, sequence: u64) -> Result<Vec<OldFile>> {
        let mut files = Vec::new();
        for version in (0..=latest).rev() {
            let Some(origin) = of_version(&self.store, name, version).await? else { continue };
            if origin.source.as_ref() != Some(&self.source) {
                continue;
            }
            if origin.sequence <= sequence {
                break;
            }
            files.extend(origin.added);
            if origin.sequence == sequence + 1 {
                break;
            }
        }
        Ok(files)
    }
}

/// Makes an empty table, or opens the one that another source made first.
async fn make_or_open(
    store: &Store,
    name: &TableName,
    schema: SchemaRef,
    run_id: &str,
    clock: &dyn Clock,
) -> Result<Table> {
    match make(store, name, schema, run_id, clock).await {
        Err(error) if error.kind == Kind::Conflict => Table::open(store, name, At::Latest).await?.ok_or(error),
        made => made,
    }
}

/// Makes an empty table.
pub(crate) async fn make(
    store: &Store,
    name: &TableName,
    schema: SchemaRef,
    run_id: &str,
    clock: &dyn Clock,
) -> Result<Table> {
    let origin = Origin { run_id: run_id.to_owned(), ..Origin::default() };
    let schema = crate::schema::kept_schema(&schema);
    let change =
        Change { operation: "CREATE TABLE", schema: Some(schema), origin: json(&origin)?, ..Change::default() };
    Table::create(store, name, &change, clock.now()).await?;
    let made = Table::open(store, name, At::Latest).await?;
    made.ok_or_else(|| Error::data(format!("create {name}"), "it was removed at once"))
}

pub(crate) fn json(origin: &Origin) -> Result<serde_json::Value> {
    serde_json::to_value(origin).map_err(|e| Error::internal("write a commit", &e))
}
