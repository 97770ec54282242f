//! Bronze: masked rows and the positions they cover, in one commit; what was set aside goes before, and comes back out
//! when its bronze never came.
//!
//! Two processes may do so for one source: one that was taken for dead, or on another machine. Of the commits to bronze
//! with one sequence one comes, so whatever is written in bronze has one history. Each commit to the quarantine has an id of
//! its own, and says which id bronze knew of before it; bronze says the id of the last one whose rows it covers.
//!
//! * None goes behind an uncovered one: that is a conflict. So only the last can be uncovered, and its ids tell it.
//! * Before an uncovered one is taken out, bronze is moved on by a commit without rows (`FENCE`), from what was read of it.
//!   If the bronze that covers the rows comes first, the fence is a conflict and nothing is taken out; if the fence comes
//!   first, that bronze is a conflict, and its rows come again. So no rows are taken out that the positions have passed.
//! * Whoever opens the table takes an uncovered one out, and who had it open before is stopped by the first law. So none is
//!   set aside twice.

use crate::commit::{Change, NewFile};
use crate::commits::Commits;
use crate::origin::{Exposure, Origin, SourceProgress, progress};
use crate::sql::{Catalog, SqlEngine, single_number, staged_files};
use crate::store::Store;
use crate::table::{At, Table};
use crate::write::TableWriter;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use kernel::clock::Clock;
use kernel::contract::SqlRule;
use kernel::error::{Error, Kind, Result};
use kernel::gate::Passed;
use kernel::name::TableName;
use kernel::position::Positions;
use kernel::sink::{Commit, Sink};
use kernel::vault::Vault;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// One source's way into one bronze table.
pub struct BronzeSink {
    engine: SqlEngine,
    rules: Vec<SqlRule>,
    exposes: Exposure,
    keys: Option<String>,
    vault: Option<Arc<dyn Vault>>,
    commits: Commits,
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
        let commits = Commits { store: engine.store().clone(), source, run_id, clock };
        let source = &commits.source;
        let bronze = commits.open(&table, schema.clone()).await?;
        bronze.evolved(&schema)?;
        let done = progress(&commits.store, &table, bronze.version()).await?.of(source);
        if let (Some(then), Some(now)) = (&done.keys, &keys)
            && then != now
        {
            return Err(other_keys(&table, source));
        }
        if let (Some(then), Some(vault)) = (&done.vault, &vault)
            && Some(then) != vault.identity()?.as_ref()
        {
            return Err(other_vault(&table, source));
        }
        let mut sink = Self {
            engine: engine.clone(),
            rules,
            exposes,
            keys,
            vault,
            commits,
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
            self.commits.source,
            self.bronze.name()
        )
    }

    /// A run that died between the two commits left rows in quarantine that will be judged again; so did one that came
    /// second in bronze, and a bronze table that was removed, or brought back as it was before.
    async fn heal_quarantine(&mut self) -> Result<()> {
        let name = self.bronze.name().quarantine();
        let Some(table) = Table::open(&self.commits.store, &name, At::Latest).await? else {
            self.warning = (self.done.aside > 0).then(|| self.quarantine_is_gone());
            return Ok(());
        };
        let held = progress(&self.commits.store, &name, table.version()).await?.of(&self.commits.source);
        let is_ahead = held.sequence > self.done.sequence;
        let is_uncovered = self.done.aside_id.as_ref().is_some_and(|known| held.is_uncovered(known));
        if !is_ahead && !is_uncovered {
            // Bronze says nothing of it where no commit had an id yet: what is there then is covered.
            self.done.aside_id = self.done.aside_id.take().or(held.aside_id);
            return Ok(());
        }
        let since = if is_ahead { self.done.sequence } else { held.sequence.saturating_sub(1) };
        match held.sequence > since + 1 {
            false => self.fence().await?,
            // More than one, and bronze did not move while the two were read: it was removed, or brought back as it was.
            true => self.stands_still().await?,
        }
        let origin = Origin { aside_id: Some(self.known()), ..self.commits.origin(self.done.sequence) };
        self.commits.undo_since(&name, &held, since, origin).await
    }

    /// The last commit to the quarantine that bronze knows of.
    fn known(&self) -> String {
        self.done.aside_id.clone().unwrap_or_default()
    }

    /// A conflict when another process has moved the source on in bronze since that was read.
    async fn stands_still(&self) -> Result<()> {
        let (name, now) = (self.bronze.name(), self.commits.reached(self.bronze.name()).await?);
        match now.sequence == self.done.sequence {
            true => Ok(()),
            false => Err(Error::new(
                Kind::Conflict,
                format!("open {name}"),
                format!("another process took `{}` further meanwhile (version {})", self.commits.source, now.version),
            )),
        }
    }

    /// Moves the source on in bronze without a row: no commit can come any more that was begun before, and none has come
    /// since bronze was read.
    async fn fence(&mut self) -> Result<()> {
        let sequence = self.done.sequence + 1;
        let origin = self.origin(sequence, &Positions::new())?;
        let change = Change { operation: "FENCE", txn: self.txn(sequence), ..Change::default() };
        let (version, _) = self.commits.append(&self.bronze.name().clone(), change, origin, None).await?;
        self.done.aside_id = Some(self.known());
        self.moved(sequence, version).await
    }

    /// What a commit to bronze says.
    fn origin(&self, sequence: u64, upto: &Positions) -> Result<Origin> {
        Ok(Origin {
            positions: upto.clone(),
            exposes: self.exposes.clone(),
            aside_id: Some(self.known()),
            keys: self.keys.clone(),
            vault: self.vault.as_ref().map(|vault| vault.identity()).transpose()?.flatten(),
            ..self.commits.origin(sequence)
        })
    }

    fn txn(&self, sequence: u64) -> Option<(String, u64)> {
        Some((format!("lavra/{}", self.commits.source), sequence))
    }

    async fn moved(&mut self, sequence: u64, version: u64) -> Result<()> {
        (self.done.sequence, self.done.version) = (sequence, version);
        if let Some(bronze) = Table::open(&self.commits.store, self.bronze.name(), At::Latest).await? {
            self.bronze = bronze;
        }
        Ok(())
    }

    /// Asks the contract's queries of the rows about to be committed.
    async fn hold_rules(&self, adds: &[NewFile]) -> Result<()> {
        if self.rules.is_empty() || adds.is_empty() {
            return Ok(());
        }
        // The queries find the store of the files by that.
        self.engine.provide(&self.bronze, None).await?;
        let mut catalog = Catalog::default();
        let name = self.bronze.name();
        catalog.give(name.clone(), staged_files(&self.commits.store, name, adds, self.bronze.schema())?);
        for rule in &self.rules {
            let sql = rule.query.replace("{table}", &name.to_string());
            let found = single_number(self.engine.frame_over(catalog.clone(), &sql).await?).await?;
            if !found.is_some_and(|number| rule.must.holds(number)) {
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
                self.commits.store.delete(&self.commits.store.path(name, &file.path)).await?;
            }
        }
        Ok(())
    }

    /// Gives the number of rows that were set aside, and their commit's id.
    async fn commit_aside(&mut self, sequence: u64) -> Result<Option<(u64, String)>> {
        let Some(writer) = self.aside.take() else { return Ok(None) };
        let id = uuid::Uuid::new_v4().to_string();
        let (aside_id, aside_after) = (Some(id.clone()), Some(self.known()));
        let origin = Origin { aside_id, aside_after, ..self.commits.origin(sequence) };
        let rows = self.commits.set_aside(&self.bronze.name().quarantine(), writer, origin).await?;
        Ok(Some((rows, id)))
    }

    /// Takes rows that were set aside out again, behind a conflict in bronze. Not so where bronze covers them after all, or
    /// still could. When it fails, the next who opens the table does it.
    async fn undo_aside(&self, id: &str, sequence: u64) -> Result<()> {
        let name = self.bronze.name().quarantine();
        let done = self.commits.reached(self.bronze.name()).await?;
        let held = self.commits.reached(&name).await?;
        let is_covered = done.aside_id.as_deref() == Some(id);
        if done.sequence < sequence || is_covered || held.aside_id.as_deref() != Some(id) {
            return Ok(());
        }
        let origin = Origin { aside_id: Some(self.known()), ..self.commits.origin(sequence) };
        self.commits.undo_since(&name, &held, sequence - 1, origin).await
    }

    /// Makes the commit's parts, which nobody sees yet: the schema of its files and what it says.
    async fn prepared(&self, upto: &Positions, adds: &[NewFile], schemas: Vec<Schema>) -> Result<(SchemaRef, Origin)> {
        let schema = Schema::try_merge(schemas).map_err(|e| Error::internal("commit", &e))?;
        self.hold_rules(adds).await?;
        Ok((Arc::new(schema), self.origin(self.done.sequence + 1, upto)?))
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
            let writer = self.aside.get_or_insert_with(|| TableWriter::new(&self.commits.store, &name, 1));
            writer.write(aside.into_batch()).await?;
        }
        let batch: RecordBatch = rows.safe.into_batch();
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let writer =
            self.writer.get_or_insert_with(|| TableWriter::new(&self.commits.store, self.bronze.name(), self.lanes));
        writer.write(batch).await
    }

    async fn commit(&mut self, upto: &Positions) -> Result<Commit> {
        if self.done.positions.holds(upto) {
            self.forget().await?;
            return Ok(Commit::AlreadyDone(self.done.version));
        }
        let sequence = self.done.sequence + 1;
        let files = match self.writer.take() {
            Some(writer) => writer.finish().await?,
            None => Vec::new(),
        };
        let (adds, schemas): (Vec<NewFile>, Vec<Schema>) =
            files.into_iter().map(|(file, schema)| (file, schema.as_ref().clone())).unzip();
        let bytes: u64 = adds.iter().map(|file| file.bytes).sum();
        let (schema, origin) = match self.prepared(upto, &adds, schemas).await {
            Ok(prepared) => prepared,
            Err(error) => {
                self.commits.take_back(self.bronze.name(), &adds).await;
                return Err(error);
            }
        };
        let aside = match self.commit_aside(sequence).await {
            Ok(aside) => aside,
            Err(error) => {
                self.commits.take_back(self.bronze.name(), &adds).await;
                return conflict(error);
            }
        };
        let (rows, aside_id) = match &aside {
            Some((rows, id)) => (*rows, Some(id.clone())),
            None => (0, origin.aside_id.clone()),
        };
        let origin = Origin { aside: rows, aside_id: aside_id.clone(), ..origin };
        let change = Change { operation: "WRITE", adds, txn: self.txn(sequence), ..Change::default() };
        match self.commits.append(&self.bronze.name().clone(), change, origin, Some(&schema)).await {
            Ok((version, _)) => {
                self.done.positions.advance(upto);
                self.done.aside += rows;
                self.done.aside_id = aside_id;
                self.bytes += bytes;
                self.moved(sequence, version).await?;
                Ok(Commit::Done(version))
            }
            Err(error) => {
                if let (Kind::Conflict, Some((_, id))) = (error.kind, &aside)
                    && let Err(error) = self.undo_aside(id, sequence).await
                {
                    tracing::debug!(%error, "rows that were set aside stay until the table is opened again");
                }
                conflict(error)
            }
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
