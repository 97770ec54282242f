//! Bronze: masked rows and the positions they cover, in one commit; what was set aside goes before, and comes back out
//! when its bronze never came.

use crate::commit::{Change, NewFile, OldFile};
use crate::origin::{Exposure, Origin, Progress, SourceProgress, of_version, progress};
use crate::sql::{Catalog, SqlEngine, single_number, staged_files};
use crate::store::Store;
use crate::table::{At, Table};
use crate::write::TableWriter;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use kernel::clock::Clock;
use kernel::contract::SqlRule;
use kernel::error::{Error, Kind, Result};
use kernel::gate::{Passed, quarantine_schema};
use kernel::name::TableName;
use kernel::position::{Point, Positions};
use kernel::sink::{Commit, Sink};
use kernel::vault::Vault;
use std::collections::HashSet;
use std::sync::Arc;

/// How often a commit follows others that did not touch this source's progress.
const REBASES_MAX: usize = 20;

/// One source's way into one bronze table.
pub struct BronzeSink {
    engine: SqlEngine,
    store: Store,
    rules: Vec<SqlRule>,
    exposes: Exposure,
    keys: Option<String>,
    vault: Option<Arc<dyn Vault>>,
    source: String,
    run_id: String,
    clock: Arc<dyn Clock>,
    lanes: usize,
    bronze: Table,
    done: SourceProgress,
    writer: Option<TableWriter>,
    /// Rows set aside are few; when they are not, they are written early.
    aside: Option<TableWriter>,
    bytes: u64,
    warning: Option<String>,
}

/// What a sink is opened for.
pub struct SinkOptions {
    pub table: TableName,
    pub source: String,
    pub run_id: String,
    /// What the gate makes.
    pub schema: SchemaRef,
    /// Files written at once.
    pub lanes: usize,
    /// SQL rules over the rows of one commit; those that judge single rows are the gate's.
    pub rules: Vec<SqlRule>,
    /// Columns about people, for whoever looks at the table later.
    pub exposes: Exposure,
    /// Tells the keys of the masks from others; none where no mask has a key.
    pub keys: Option<String>,
    /// The vault of the masks; none where no mask has one.
    pub vault: Option<Arc<dyn Vault>>,
}

impl BronzeSink {
    /// Opens the table (made when it is not there) and takes back rows in quarantine whose bronze never came.
    pub async fn open(engine: &SqlEngine, options: SinkOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        let SinkOptions { table, source, run_id, schema, lanes, rules, exposes, keys, vault } = options;
        let store = engine.store();
        let bronze = match Table::open(store, &table, At::Latest).await? {
            Some(bronze) => bronze,
            None => make_or_open(store, &table, schema.clone(), &run_id, clock.as_ref()).await?,
        };
        bronze.evolved(&schema)?;
        let done = progress(store, &table, bronze.version()).await?.of(&source);
        if let (Some(then), Some(now)) = (&done.keys, &keys)
            && then != now
        {
            return Err(other_keys(&table, &source));
        }
        if let (Some(then), Some(vault)) = (&done.vault, &vault)
            && Some(then) != vault.identity()?.as_ref()
        {
            return Err(other_vault(&table, &source));
        }
        let mut sink = Self {
            engine: engine.clone(),
            store: store.clone(),
            rules,
            exposes,
            keys,
            vault,
            source,
            run_id,
            clock,
            lanes,
            bronze,
            done,
            writer: None,
            aside: None,
            bytes: 0,
            warning: None,
        };
        sink.heal_quarantine().await?;
        Ok(sink)
    }

    /// How far a source is in a table; nothing when there is no table.
    pub async fn progress_of(store: &Store, table: &TableName, source: &str) -> Result<Positions> {
        match Table::open(store, table, At::Latest).await? {
            Some(open) => Ok(progress(store, table, open.version()).await?.of(source).positions),
            None => Ok(Positions::new()),
        }
    }

    /// Bytes of data files that this sink has committed.
    pub fn bytes_written(&self) -> u64 {
        self.bytes
    }

    pub fn version(&self) -> u64 {
        self.bronze.version()
    }

    /// What the user must know, though nothing failed.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    fn quarantine_is_gone(&self) -> String {
        let (name, rows) = (self.bronze.name().quarantine(), self.done.aside);
        format!(
            "{name} was removed, and with it rows of `{}` ({rows} were set aside). They do not come again by themselves: \
             restore the folder, or move away that of {} as well and load all again",
            self.source,
            self.bronze.name()
        )
    }

    /// A run that died between the two commits left rows in quarantine that will be judged again; so did a bronze table
    /// that was removed, or brought back as it was before.
    async fn heal_quarantine(&mut self) -> Result<()> {
        let name = self.bronze.name().quarantine();
        let Some(table) = Table::open(&self.store, &name, At::Latest).await? else {
            self.warning = (self.done.aside > 0).then(|| self.quarantine_is_gone());
            return Ok(());
        };
        let held = progress(&self.store, &name, table.version()).await?.of(&self.source);
        if held.sequence <= self.done.sequence {
            return Ok(());
        }
        let active: HashSet<String> = table.files()?.into_iter().map(|file| file.path).collect();
        let mut removes = self.set_aside_since(&name, table.version()).await?;
        removes.retain(|file| active.contains(&file.path));
        let origin = Origin {
            run_id: self.run_id.clone(),
            source: Some(self.source.clone()),
            sequence: self.done.sequence,
            ..Origin::default()
        };
        let change = Change { operation: "TAKE BACK", removes, origin: json(&origin)?, ..Change::default() };
        table.commit(&change, self.clock.now()).await.map(drop)
    }

    /// The files that this source's commits into the quarantine added behind bronze's last one.
    async fn set_aside_since(&self, name: &TableName, latest: u64) -> Result<Vec<OldFile>> {
        let mut files = Vec::new();
        for version in (0..=latest).rev() {
            let Some(origin) = of_version(&self.store, name, version).await? else { continue };
            if origin.source.as_ref() != Some(&self.source) {
                continue;
            }
            if origin.sequence <= self.done.sequence {
                break;
            }
            files.extend(origin.added);
            if origin.sequence == self.done.sequence + 1 {
                break;
            }
        }
        Ok(files)
    }

    /// Asks the contract's queries of the rows about to be committed.
    async fn hold_rules(&self, adds: &[NewFile]) -> Result<()> {
        if self.rules.is_empty() || adds.is_empty() {
            return Ok(());
        }
        let mut catalog = Catalog::default();
        let name = self.bronze.name();
        catalog.give(name.clone(), staged_files(&self.store, name, adds, self.bronze.schema())?);
        for rule in &self.rules {
            let sql = rule.query.replace("{table}", &name.to_string());
            let found = single_number(self.engine.frame_over(catalog.clone(), &sql).await?).await?;
            if !found.is_some_and(|number| rule.must.holds(number)) {
                self.take_back(name, adds).await;
                let found = found.map_or("nothing".to_owned(), |number| number.to_string());
                return Err(Error::new(
                    Kind::Contract,
                    format!("{name}: rule `{}`", rule.name),
                    format!("the query gives {found}, which it must not; nothing of this batch was kept"),
                ));
            }
        }
        Ok(())
    }

    /// Drops what was written and is committed already.
    async fn forget(&mut self) -> Result<()> {
        let quarantine = self.bronze.name().quarantine();
        for (writer, name) in [(self.writer.take(), self.bronze.name()), (self.aside.take(), &quarantine)] {
            let Some(writer) = writer else { continue };
            for (file, _) in writer.finish().await? {
                self.store.delete(&self.store.path(name, &file.path)).await?;
            }
        }
        Ok(())
    }

    /// Deletes files that no commit names. One that stays is a nuisance, no fault.
    async fn take_back(&self, name: &TableName, files: &[NewFile]) {
        for file in files {
            if let Err(error) = self.store.delete(&self.store.path(name, &file.path)).await {
                tracing::debug!(%error, "a file that nothing names stays");
            }
        }
    }

    /// Gives the number of rows that were set aside.
    async fn commit_aside(&mut self, sequence: u64) -> Result<u64> {
        let Some(writer) = self.aside.take() else { return Ok(0) };
        let files = writer.finish().await?;
        let adds: Vec<NewFile> = files.into_iter().map(|(file, _)| file).collect();
        let rows = adds.iter().map(|file| file.rows).sum();
        let name = self.bronze.name().quarantine();
        if Table::open(&self.store, &name, At::Latest).await?.is_none() {
            make_or_open(&self.store, &name, quarantine_schema(), &self.run_id, self.clock.as_ref()).await?;
        }
        let origin = Origin {
            run_id: self.run_id.clone(),
            source: Some(self.source.clone()),
            sequence,
            added: adds.iter().map(|f| OldFile { path: f.path.clone(), bytes: f.bytes }).collect(),
            ..Origin::default()
        };
        let change = Change { operation: "WRITE", adds, ..Change::default() };
        self.append(&name, change, origin, None).await.map(|_| rows)
    }

    /// Appends at the table's end. Another source's commit is stepped over; another commit of this source's is a conflict,
    /// and then nothing of the change stays. After any other error it may be there.
    async fn append(
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
}

#[async_trait]
impl Sink for BronzeSink {
    async fn positions(&self) -> Result<Positions> {
        Ok(self.done.positions.clone())
    }

    async fn write(&mut self, rows: Passed) -> Result<()> {
        if let Some(aside) = rows.quarantined {
            let name = self.bronze.name().quarantine();
            let writer = self.aside.get_or_insert_with(|| TableWriter::new(&self.store, &name, 1));
            writer.write(aside.into_batch()).await?;
        }
        let batch: RecordBatch = rows.safe.into_batch();
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let writer = self.writer.get_or_insert_with(|| TableWriter::new(&self.store, self.bronze.name(), self.lanes));
        writer.write(batch).await
    }

    async fn commit(&mut self, upto: &Positions) -> Result<Commit> {
        if holds(&self.done.positions, upto) {
            self.forget().await?;
            return Ok(Commit::AlreadyDone(self.done.version));
        }
        let sequence = self.done.sequence + 1;
        let files = match self.writer.take() {
            Some(writer) => writer.finish().await?,
            None => Vec::new(),
        };
        let schemas: Vec<_> = files.iter().map(|(_, schema)| schema.as_ref().clone()).collect();
        let schema = arrow::datatypes::Schema::try_merge(schemas).map_err(|e| Error::internal("commit", &e))?;
        let adds: Vec<NewFile> = files.into_iter().map(|(file, _)| file).collect();
        let bytes: u64 = adds.iter().map(|file| file.bytes).sum();
        self.hold_rules(&adds).await?;
        let aside = match self.commit_aside(sequence).await {
            Ok(aside) => aside,
            Err(error) => {
                self.take_back(self.bronze.name(), &adds).await;
                return conflict(error);
            }
        };
        let outcome = async {
            let origin = Origin {
                run_id: self.run_id.clone(),
                source: Some(self.source.clone()),
                sequence,
                positions: upto.clone(),
                exposes: self.exposes.clone(),
                aside,
                keys: self.keys.clone(),
                vault: self.vault.as_ref().map(|vault| vault.identity()).transpose()?.flatten(),
                ..Origin::default()
            };
            let txn = Some((format!("lavra/{}", self.source), sequence));
            let change = Change { operation: "WRITE", adds, txn, ..Change::default() };
            self.append(&self.bronze.name().clone(), change, origin, Some(&Arc::new(schema))).await
        };
        match outcome.await {
            Ok((version, _)) => {
                self.done.sequence = sequence;
                self.done.positions.advance(upto);
                self.done.version = version;
                self.done.aside += aside;
                self.bytes += bytes;
                if let Some(bronze) = Table::open(&self.store, self.bronze.name(), At::Latest).await? {
                    self.bronze = bronze;
                }
                Ok(Commit::Done(version))
            }
            Err(error) => conflict(error),
        }
    }
}

/// One person must not get a second pseudonym.
fn other_keys(table: &TableName, source: &str) -> Error {
    Error::refused(
        format!("take `{source}` into {table}"),
        "its rows were masked with other keys than the ones at hand, so that one person would have two pseudonyms and old \
         values could not be read: put the key file back (`keys:` in lavra.yaml says where it is), or move the table's \
         folder away and load all again",
    )
}

/// Nor a second token.
fn other_vault(table: &TableName, source: &str) -> Error {
    Error::refused(
        format!("take `{source}` into {table}"),
        "its tokens, or its persons' keys, are in another vault than the one at hand, which was lost or made anew: people \
         would get second tokens, and old values could not be opened. Put the vault back, from a backup if need be (`vault:` \
         in lavra.yaml says where it is), or move the table's folder away and load all again",
    )
}

/// An error that is an outcome of a commit.
fn conflict(error: Error) -> Result<Commit> {
    match error.kind {
        Kind::Conflict => Ok(Commit::Conflict(error.to_string())),
        _ => Err(error),
    }
}

/// Whether all of `upto` is committed. A file of another etag is another file, and a token may move on without rows: the
/// source must not be told that what is behind it is durable before it is.
fn holds(done: &Positions, upto: &Positions) -> bool {
    let is_done = |partition, point: &Point| match (done.get(partition), point) {
        (Some(Point::File { etag: a, .. }), Point::File { etag: b, .. }) if a != b => false,
        (Some(Point::Mark { rows: i, token: a, .. }), Point::Mark { rows: j, token: b, .. }) if i == j && a != b => {
            false
        }
        (Some(own), point) => own.reaches(point),
        (None, _) => false,
    };
    !upto.is_empty() && upto.iter().all(|(partition, point)| is_done(partition, point))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_moved_without_rows_is_not_committed_yet() {
        let at = |rows, token: &str| {
            let mut positions = Positions::new();
            positions.set("p", Point::Mark { rows, token: token.into(), done: false });
            positions
        };
        assert!(holds(&at(3, "a"), &at(3, "a")) && holds(&at(3, "a"), &at(2, "b")));
        assert!(!holds(&at(3, "a"), &at(3, "b")) && !holds(&at(3, "a"), &at(4, "b")));
        assert!(!holds(&at(3, "a"), &Positions::new()));
    }
}
