//! One source's commits into tables, each behind the one before it.

use crate::commit::{Change, NewFile, OldFile};
use crate::origin::{Origin, Progress, SourceProgress, of_version, progress};
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

    /// How far this source is in a table; nothing where there is no table.
    pub async fn reached(&self, name: &TableName) -> Result<SourceProgress> {
        match Table::open(&self.store, name, At::Latest).await? {
            Some(table) => Ok(progress(&self.store, name, table.version()).await?.of(&self.source)),
            None => Ok(SourceProgress::default()),
        }
    }

    /// Deletes files that no commit is to name. One that stays is a nuisance, no fault.
    pub async fn take_back(&self, name: &TableName, files: &[NewFile]) {
        if let Err(error) = delete_unnamed(&self.store, name, files).await {
            tracing::debug!(%error, "files that nothing names stay");
        }
    }

    /// Appends at the table's end. Another source's commit is stepped over; another commit of this source's is a conflict.
    /// Where it is known that the change did not come, its files are taken back; after an error of the put it may be there.
    pub async fn append(
        &self,
        name: &TableName,
        mut change: Change,
        origin: Origin,
        schema: Option<&SchemaRef>,
    ) -> Result<(u64, Table)> {
        let mut why =
            Error::new(Kind::Conflict, format!("commit to {name}"), format!("{REBASES_MAX} other commits came first"));
        for _ in 0..REBASES_MAX {
            let table = match self.place_for(name, &mut change, &origin, schema).await {
                Ok(table) => table,
                Err(error) => {
                    why = error;
                    break;
                }
            };
            match table.commit(&change, self.clock.now()).await {
                Ok(version) => return Ok((version, table)),
                Err(e) if e.kind == Kind::Conflict => {}
                Err(e) => return Err(e),
            }
        }
        self.take_back(name, &change.adds).await;
        Err(why)
    }

    /// The version that a change is to follow, with the change made ready for it. A conflict when this source went further.
    async fn place_for(
        &self,
        name: &TableName,
        change: &mut Change,
        origin: &Origin,
        schema: Option<&SchemaRef>,
    ) -> Result<Table> {
        let gone = || Error::data(format!("commit to {name}"), "the table was removed while it was written");
        let table = Table::open(&self.store, name, At::Latest).await?.ok_or_else(gone)?;
        let now: Progress = progress(&self.store, name, table.version()).await?;
        let own = now.of(&self.source);
        let conflict = |why: &str| {
            let detail = format!("another process {why} (version {})", own.version);
            Err(Error::new(Kind::Conflict, format!("commit to {name}"), detail))
        };
        if own.sequence >= origin.sequence {
            return conflict(&format!("took `{}` further meanwhile", self.source));
        }
        if origin.aside_after.as_ref().is_some_and(|known| own.is_uncovered(known)) {
            return conflict(&format!(
                "set rows of `{}` aside meanwhile, and has not committed the others",
                self.source
            ));
        }
        let mut origin = origin.clone();
        origin.fold = now.fold_if_due(&self.store, name, table.version()).await?;
        change.origin = json(&origin)?;
        change.schema = schema.map(|schema| table.evolved(schema)).transpose()?.flatten();
        Ok(table)
    }

    /// Commits rows that were set aside; gives their number.
    pub async fn set_aside(&self, name: &TableName, writer: TableWriter, origin: Origin) -> Result<u64> {
        let files = writer.finish().await?;
        let adds: Vec<NewFile> = files.into_iter().map(|(file, _)| file).collect();
        let rows = adds.iter().map(|file| file.rows).sum();
        if let Err(error) = self.open(name, quarantine_schema()).await {
            self.take_back(name, &adds).await;
            return Err(error);
        }
        let added = adds.iter().map(|file| OldFile { path: file.path.clone(), bytes: file.bytes }).collect();
        let change = Change { operation: "WRITE", adds, ..Change::default() };
        self.append(name, change, Origin { added, ..origin }, None).await.map(|_| rows)
    }

    /// Takes back what this source's commits behind one (`since`) added to a table and what is still there of it: it comes
    /// again. `held` is where the source was in it when that was decided; a conflict when it is elsewhere now.
    pub async fn undo_since(&self, name: &TableName, held: &SourceProgress, since: u64, origin: Origin) -> Result<()> {
        let conflict =
            |why: &str| Error::new(Kind::Conflict, format!("take rows of `{}` out of {name}", self.source), why);
        for _ in 0..REBASES_MAX {
            let Some(table) = Table::open(&self.store, name, At::Latest).await? else { return Ok(()) };
            let now = progress(&self.store, name, table.version()).await?.of(&self.source);
            if now.version != held.version {
                return Err(conflict("another process has just committed to it"));
            }
            let active: HashSet<String> = table.files()?.into_iter().map(|file| file.path).collect();
            let mut removes = self.added_since(name, table.version(), since).await?;
            removes.retain(|file| active.contains(&file.path));
            let change = Change { operation: "TAKE BACK", removes, origin: json(&origin)?, ..Change::default() };
            match table.commit(&change, self.clock.now()).await {
                Err(error) if error.kind == Kind::Conflict => {}
                done => return done.map(drop),
            }
        }
        Err(conflict("other commits came first each time"))
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

/// Deletes files that no commit is to name. Whatever was thought of that commit: one that the latest version names stays.
pub(crate) async fn delete_unnamed(store: &Store, name: &TableName, files: &[NewFile]) -> Result<()> {
    let named: HashSet<String> = match Table::open(store, name, At::Latest).await? {
        Some(table) => table.files()?.into_iter().map(|file| file.path).collect(),
        None => HashSet::new(),
    };
    let mut outcome = Ok(());
    for file in files {
        match named.contains(&file.path) {
            true => tracing::warn!(table = %name, "a commit came that was thought not to; its files stay"),
            false => outcome = outcome.and(store.delete(&store.path(name, &file.path)).await),
        }
    }
    outcome
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
