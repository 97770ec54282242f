//! Bronze: masked rows and the positions they cover, in one commit; what was set aside goes before, and comes back out
//! when its bronze never came.

use crate::commit::{Change, NewFile};
use crate::commits::Commits;
use crate::origin::{Exposure, Origin, SourceProgress, progress};
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
use kernel::gate::Passed;
use kernel::name::TableName;
use kernel::position::Positions;
use kernel::sink::{Commit, Sink};
use kernel::vault::Vault;
use std::sync::Arc;

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

    /// A run that died between the two commits left rows in quarantine that will be judged again; so did a bronze table
    /// that was removed, or brought back as it was before.
    async fn heal_quarantine(&mut self) -> Result<()> {
        let name = self.bronze.name().quarantine();
        let Some(table) = Table::open(&self.commits.store, &name, At::Latest).await? else {
            self.warning = (self.done.aside > 0).then(|| self.quarantine_is_gone());
            return Ok(());
        };
        let held = progress(&self.commits.store, &name, table.version()).await?.of(&self.commits.source);
        match held.sequence > self.done.sequence {
            true => self.commits.undo_since(&table, self.done.sequence).await,
            false => Ok(()),
        }
    }

    /// Asks the contract's queries of the rows about to be committed.
    async fn hold_rules(&self, adds: &[NewFile]) -> Result<()> {
        if self.rules.is_empty() || adds.is_empty() {
            return Ok(());
        }
        let mut catalog = Catalog::default();
        let name = self.bronze.name();
        catalog.give(name.clone(), staged_files(&self.commits.store, name, adds, self.bronze.schema())?);
        for rule in &self.rules {
            let sql = rule.query.replace("{table}", &name.to_string());
            let found = single_number(self.engine.frame_over(catalog.clone(), &sql).await?).await?;
            if !found.is_some_and(|number| rule.must.holds(number)) {
                self.commits.take_back(name, adds).await;
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

    /// Gives the number of rows that were set aside.
    async fn commit_aside(&mut self, sequence: u64) -> Result<u64> {
        let Some(writer) = self.aside.take() else { return Ok(0) };
        self.commits.set_aside(&self.bronze.name().quarantine(), writer, self.commits.origin(sequence)).await
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
        let schemas: Vec<_> = files.iter().map(|(_, schema)| schema.as_ref().clone()).collect();
        let schema = arrow::datatypes::Schema::try_merge(schemas).map_err(|e| Error::internal("commit", &e))?;
        let adds: Vec<NewFile> = files.into_iter().map(|(file, _)| file).collect();
        let bytes: u64 = adds.iter().map(|file| file.bytes).sum();
        self.hold_rules(&adds).await?;
        let aside = match self.commit_aside(sequence).await {
            Ok(aside) => aside,
            Err(error) => {
                self.commits.take_back(self.bronze.name(), &adds).await;
                return conflict(error);
            }
        };
        let outcome = async {
            let origin = Origin {
                positions: upto.clone(),
                exposes: self.exposes.clone(),
                aside,
                keys: self.keys.clone(),
                vault: self.vault.as_ref().map(|vault| vault.identity()).transpose()?.flatten(),
                ..self.commits.origin(sequence)
            };
            let txn = Some((format!("lavra/{}", self.commits.source), sequence));
            let change = Change { operation: "WRITE", adds, txn, ..Change::default() };
            self.commits.append(&self.bronze.name().clone(), change, origin, Some(&Arc::new(schema))).await
        };
        match outcome.await {
            Ok((version, _)) => {
                self.done.sequence = sequence;
                self.done.positions.advance(upto);
                self.done.version = version;
                self.done.aside += aside;
                self.bytes += bytes;
                if let Some(bronze) = Table::open(&self.commits.store, self.bronze.name(), At::Latest).await? {
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
