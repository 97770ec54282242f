//! Files being written for a table that is kept from changes.

use crate::commit::NewFile;
use crate::store::Store;
use crate::write::TableWriter;
use arrow::record_batch::RecordBatch;
use kernel::error::Result;
use kernel::name::TableName;

pub struct Writers {
    store: Store,
    name: TableName,
    group_bytes: usize,
    shared: Option<TableWriter>,
    /// Takes the place of one file, so that files stay apart by their keys.
    own: Option<TableWriter>,
    done: Vec<NewFile>,
}

impl Writers {
    pub fn new(store: &Store, name: &TableName, group_bytes: usize) -> Self {
        Self { store: store.clone(), name: name.clone(), group_bytes, shared: None, own: None, done: Vec::new() }
    }

    pub async fn write(&mut self, batch: RecordBatch, to_own: bool) -> Result<()> {
        let place = if to_own { &mut self.own } else { &mut self.shared };
        let writer = place.get_or_insert_with(|| TableWriter::within(&self.store, &self.name, 1, self.group_bytes));
        writer.write(batch).await
    }

    /// Ends the file that takes another's place.
    pub async fn close_own(&mut self) -> Result<()> {
        if let Some(own) = self.own.take() {
            self.done.extend(own.finish().await?.into_iter().map(|(file, _)| file));
        }
        Ok(())
    }

    pub async fn finish(&mut self) -> Result<Vec<NewFile>> {
        self.close_own().await?;
        if let Some(shared) = self.shared.take() {
            self.done.extend(shared.finish().await?.into_iter().map(|(file, _)| file));
        }
        Ok(std::mem::take(&mut self.done))
    }

    /// Takes back what was written; a file that stays is found by no reader.
    pub async fn discard(&mut self) {
        for writer in [self.own.take(), self.shared.take()].into_iter().flatten() {
            drop(writer);
        }
        for file in self.done.drain(..) {
            if let Err(error) = self.store.delete(&self.store.path(&self.name, &file.path)).await {
                tracing::warn!(%error, "a file that nobody names was left behind");
            }
        }
    }
}
