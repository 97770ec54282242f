//! Keys that changed with what becomes of each, slice by slice.

use super::fold::{Change, Fate, Fold};
use super::log::Log;
use crate::sql::failed;
use arrow::row::Rows;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use kernel::error::Result;

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

impl<'l> Fates<'l> {
    pub fn of(log: &'l Log, batches: SendableRecordBatchStream) -> Self {
        Self { log, batches, batch: None, open: None, from: None, is_done: false }
    }

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
            let mut fold = Fold::new(log.keeps_history, log.reads_whole(&key), &log.emptied);
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
            let (changes, keys) = self.log.opened(&batch.map_err(failed)?)?;
            self.batch = Some((changes, keys, 0));
        }
    }
}
