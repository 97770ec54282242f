//! Rows that are set aside while the others go into a log: the quarantine of the table that the log leads to.

use crate::commits::Commits;
use crate::origin::progress;
use crate::store::Store;
use crate::table::{At, Table};
use crate::write::TableWriter;
use kernel::clock::Clock;
use kernel::error::Result;
use kernel::gate::Safe;
use kernel::name::TableName;
use std::sync::Arc;

pub struct AsideSink {
    commits: Commits,
    name: TableName,
    sequence: u64,
    writer: Option<TableWriter>,
}

impl AsideSink {
    /// Of a source whose log knows of so many commits: what the later ones set aside comes again, and is taken back.
    pub async fn open(
        store: &Store,
        table: &TableName,
        source: &str,
        run_id: &str,
        clock: Arc<dyn Clock>,
        known: u64,
    ) -> Result<Self> {
        // A name of its own, for the table's commits from the log have the source's.
        let (source, run_id) = (format!("{source}/log"), run_id.to_owned());
        let commits = Commits { store: store.clone(), source, run_id, clock };
        let sink = Self { commits, name: table.quarantine(), sequence: known, writer: None };
        if let Some(table) = Table::open(store, &sink.name, At::Latest).await? {
            let held = progress(store, &sink.name, table.version()).await?.of(&sink.commits.source);
            if held.sequence > known {
                sink.commits.undo_since(&sink.name, &held, known, sink.commits.origin(known)).await?;
            }
        }
        Ok(sink)
    }

    pub async fn write(&mut self, rows: Safe) -> Result<()> {
        let new = || TableWriter::new(&self.commits.store, &self.name, 1);
        self.writer.get_or_insert_with(new).write(rows.into_batch()).await
    }

    /// Shows what was written; gives the number of commits there are now, which is to go into the log with the rows beside
    /// it. To be called before that.
    pub async fn commit(&mut self) -> Result<u64> {
        if let Some(writer) = self.writer.take() {
            let origin = self.commits.origin(self.sequence + 1);
            self.commits.set_aside(&self.name, writer, origin).await?;
            self.sequence += 1;
        }
        Ok(self.sequence)
    }

    /// Drops what was written, for it was committed before.
    pub async fn forget(&mut self) -> Result<()> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let files: Vec<_> = writer.finish().await?.into_iter().map(|(file, _)| file).collect();
        self.commits.take_back(&self.name, &files).await;
        Ok(())
    }
}
