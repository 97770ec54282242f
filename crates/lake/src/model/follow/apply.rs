//! Changes put into the table: files with a touched key are written anew, the others stay, and no more of either is in
//! memory than a slice's patches and a batch.

use super::again::Again;
use super::fates::Slice;
use super::fold::{Base, End, Fate, Times, Version};
use super::held::{Held, Look, Spans, is_current};
use super::key::Key;
use super::log::Log;
use super::narrow::times;
use super::read::{Part, read};
use super::rows::{Patches, Pick, Validity, names};
use super::writers::Writers;
use crate::model::run::Pinned;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use futures::StreamExt;
use kernel::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Bytes of a batch of rows, at most.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Rows made at once.
const PICKS_MAX: usize = 4 << 10;
/// A file smaller than this is written together with others.
const SMALL_FILE_BYTES: u64 = 16 << 20;

pub struct Apply<'a> {
    pub log: &'a Log,
    pub held: &'a Held<'a>,
    pub key: &'a Key,
    pub schema: SchemaRef,
    /// Of a history.
    again: Option<Again>,
    pub memory_bytes: usize,
    batch_bytes: usize,
    pub writers: Writers,
    pub touched: BTreeSet<usize>,
    /// Of each touched file, how many of its rows had their turn.
    seen: BTreeMap<usize, u64>,
    /// Rows of the log that are the table's as they are, by file: one bit a row.
    plain: Vec<Vec<u64>>,
    pub rows: u64,
}

impl<'a> Apply<'a> {
    pub fn new(pinned: &Pinned<'_>, log: &'a Log, held: &'a Held<'a>, key: &'a Key, schema: SchemaRef) -> Result<Self> {
        let again = if log.keeps_history { Some(Again::new(&schema, key)?) } else { None };
        let memory_bytes = pinned.run.engine.memory_bytes();
        let group_bytes = (memory_bytes / 16).clamp(1 << 20, encode::GROUP_BYTES_MAX);
        let writers = Writers::new(pinned.run.engine.store(), &pinned.model.name, group_bytes);
        let batch_bytes = (memory_bytes / 64).clamp(64 << 10, BATCH_BYTES_MAX);
        let plain = vec![Vec::new(); log.files().len()];
        let (touched, seen) = (BTreeSet::new(), BTreeMap::new());
        Ok(Self { log, held, key, schema, again, memory_bytes, batch_bytes, writers, touched, seen, plain, rows: 0 })
    }

    /// Finds the files that have a touched key, then writes slice after slice.
    pub async fn run(&mut self, pinned: &Pinned<'_>) -> Result<()> {
        // A fate and a version take a few hundred bytes.
        let version_bytes = 256 + self.again.as_ref().map_or(0, Again::version_bytes);
        let most = (self.memory_bytes / 16 / version_bytes).clamp(1 << 10, 1 << 20);
        let mut only = None;
        if !self.held.files.is_empty() {
            let mut fates = self.log.fates(pinned).await?;
            let mut slices = 0;
            while let Some(mut slice) = fates.next(most).await? {
                let look = self.look(&mut slice).await?;
                self.touched.extend(look.touched(&slice));
                (only, slices) = (Some((slice, look)), slices + 1);
            }
            only = only.filter(|_| slices == 1);
            if self.log.empties().is_some() {
                self.touched.extend(0..self.held.files.len());
            }
        }
        if let Some((slice, look)) = only {
            self.slice(slice, &look).await?;
        } else {
            let mut fates = self.log.fates(pinned).await?;
            while let Some(mut slice) = fates.next(most).await? {
                let look = self.look(&mut slice).await?;
                self.slice(slice, &look).await?;
            }
        }
        self.check_seen()?;
        self.write_plain().await
    }

    /// What the table has of a slice's keys. Versions that are no new ones go out of the slice.
    async fn look(&self, slice: &mut Slice) -> Result<Look> {
        let look = self.held.look(slice).await?;
        if let Some(again) = &self.again {
            again.join(self.log, self.held, slice, &look).await?;
        }
        Ok(look)
    }

    /// A file that is written anew loses no row, whatever its statistics say.
    fn check_seen(&self) -> Result<()> {
        for (place, file) in self.touched.iter().map(|place| (place, &self.held.files[*place])) {
            let seen = self.seen.get(place).copied().unwrap_or_default();
            if file.rows.is_some_and(|rows| rows != seen) {
                let what = format!("write {} anew", file.file.path);
                return Err(Error::data(what, "its statistics do not fit its keys, so that rows of it would be lost"));
            }
        }
        Ok(())
    }

    /// Halves a slice until its patches fit.
    async fn slice(&mut self, mut slice: Slice, look: &Look) -> Result<()> {
        let has = |at: usize| look.has.get(&at).copied().unwrap_or_default();
        slice.fates.iter_mut().enumerate().for_each(|(at, fate)| fate.meet(has(at)));
        let mut open = vec![slice];
        while let Some(mut slice) = open.pop() {
            match Patches::load(self.log, &slice, &self.schema, self.memory_bytes / 8).await? {
                Some(patches) => self.write(&slice, &patches).await?,
                None => {
                    let right = slice.fates.split_off(slice.fates.len() / 2);
                    let middle = slice.fates.last().map(|fate| fate.key.clone());
                    open.push(Slice { fates: right, from: middle.clone(), to: slice.to });
                    open.push(Slice { fates: slice.fates, from: slice.from, to: middle });
                }
            }
        }
        Ok(())
    }

    async fn write(&mut self, slice: &Slice, patches: &Patches) -> Result<()> {
        let by_key: HashMap<&[u8], &Fate> = slice.fates.iter().map(|fate| (&*fate.key, fate)).collect();
        let touched: Vec<usize> = self.touched.iter().copied().filter(|at| self.held.files[*at].meets(slice)).collect();
        for place in touched {
            self.rewrite(place, slice, &by_key, patches).await?;
        }
        self.write_based(slice, patches).await?;
        let untold = slice.fates.iter().flat_map(|fate| &fate.versions).filter(|v| v.chain.base == Base::Nothing);
        let picks: Vec<Pick> = untold.map(|version| version_of(None, version)).collect();
        self.rows += picks.len() as u64;
        self.make(&nothing(), &picks, patches, false).await
    }

    /// The rows of a file that are the slice's.
    async fn rewrite(
        &mut self,
        place: usize,
        slice: &Slice,
        by_key: &HashMap<&[u8], &Fate>,
        patches: &Patches,
    ) -> Result<()> {
        let held = self.held;
        let file = &held.files[place];
        let to_own = file.file.bytes >= SMALL_FILE_BYTES && file.is_within(slice);
        let part = Part { columns: None, rows: None, batch_bytes: self.batch_bytes };
        let mut batches = read(held.table(), &file.file.path, part).await?;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let keys = self.key.rows(&batch)?;
            let spans = Spans::of(&batch)?;
            let mut picks = Vec::new();
            for (row, key) in keys.iter().enumerate() {
                let key: &[u8] = key.as_ref();
                let is_behind = slice.from.as_ref().is_none_or(|from| **from < *key);
                if !is_behind || slice.to.as_ref().is_some_and(|to| *key > **to) {
                    continue;
                }
                *self.seen.entry(place).or_default() += 1;
                let fate = by_key.get(key).copied();
                let before = picks.len();
                picks.extend(self.old_row(&batch, row, &spans, fate));
                let is_kept = picks.len() - before;
                picks.extend(fate.into_iter().flat_map(|fate| on_held(&batch, row, fate, self.log.keeps_history)));
                self.rows += (picks.len() - before - is_kept) as u64;
            }
            self.make(&batch, &picks, patches, to_own).await?;
        }
        if to_own {
            self.writers.close_own().await?;
        }
        Ok(())
    }

    /// What stays of a row of the table itself.
    fn old_row<'s>(&self, batch: &RecordBatch, row: usize, spans: &Spans, fate: Option<&Fate>) -> Option<Pick<'s>> {
        if !self.log.keeps_history {
            return fate.is_none().then(|| Pick::kept(row));
        }
        if fate.is_some_and(|fate| fate.is_whole) {
            return None;
        }
        if !is_current(batch, row) {
            return Some(Pick::kept(row));
        }
        let held = match (fate, self.log.empties()) {
            (Some(fate), _) => fate.held,
            (None, Some(emptied)) => {
                let end = End { at: emptied.at, is_own: false };
                Some(Times::behind(i64::MIN).end(spans.from(row), spans.is_timed(row), end))
            }
            (None, None) => None,
        };
        let Some((from, to)) = held else { return Some(Pick::kept(row)) };
        Some(Pick { row: Some(row), over: &[], validity: Validity::Of { from, to: Some(to) } })
    }

    /// Rows over a row of the log; those that are that row itself wait for their file's turn.
    async fn write_based(&mut self, slice: &Slice, patches: &Patches) -> Result<()> {
        let mut by_file: BTreeMap<usize, Vec<(u64, &Version)>> = BTreeMap::new();
        for version in slice.fates.iter().flat_map(|fate| &fate.versions) {
            let Base::Row(place) = version.chain.base else { continue };
            match version.chain.over.is_empty() && version.to.is_none() && !version.is_moved {
                true => self.mark(place.file, place.row),
                false => by_file.entry(place.file).or_default().push((place.row, version)),
            }
        }
        let columns = names(&self.schema);
        for (file, mut versions) in by_file {
            versions.sort_by_key(|(row, _)| *row);
            let mut numbers: Vec<u64> = versions.iter().map(|(row, _)| *row).collect();
            numbers.dedup();
            let part = Part { columns: Some(&columns), rows: Some(&numbers), batch_bytes: self.batch_bytes };
            let mut batches = read(self.log.table(), &self.log.files()[file].path, part).await?;
            let (mut numbers, mut versions) = (numbers.iter(), versions.into_iter().peekable());
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                let mut picks = Vec::new();
                for (row, number) in numbers.by_ref().take(batch.num_rows()).enumerate() {
                    while let Some((_, version)) = versions.next_if(|(of, _)| of == number) {
                        picks.push(version_of(Some(row), version));
                    }
                }
                self.rows += picks.len() as u64;
                self.make(&batch, &picks, patches, false).await?;
            }
        }
        Ok(())
    }

    fn mark(&mut self, file: usize, row: u64) {
        let (word, bit) = ((row / 64) as usize, row % 64);
        let bits = &mut self.plain[file];
        if bits.len() <= word {
            bits.resize(word + 1, 0);
        }
        bits[word] |= 1 << bit;
    }

    /// Rows of the log that are the table's as they are, in the order in which they came.
    async fn write_plain(&mut self) -> Result<()> {
        let (columns, schema) = (names(&self.schema), self.schema.clone());
        let none = Slice { fates: Vec::new(), from: None, to: None };
        let Some(patches) = Patches::load(self.log, &none, &schema, 0).await? else { return Ok(()) };
        for file in 0..self.plain.len() {
            let numbers = set_bits(&std::mem::take(&mut self.plain[file]));
            if numbers.is_empty() {
                continue;
            }
            let part = Part { columns: Some(&columns), rows: Some(&numbers), batch_bytes: self.batch_bytes };
            let mut batches = read(self.log.table(), &self.log.files()[file].path, part).await?;
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                let times = times(&batch)?;
                let validity = |row: usize| match self.log.keeps_history {
                    true => Validity::Of { from: times.value(row), to: None },
                    false => Validity::Kept,
                };
                let pick = |row| Pick { row: Some(row), over: &[], validity: validity(row) };
                let picks: Vec<Pick> = (0..batch.num_rows()).map(pick).collect();
                self.rows += picks.len() as u64;
                self.make(&batch, &picks, &patches, false).await?;
            }
        }
        Ok(())
    }

    async fn make(&mut self, base: &RecordBatch, picks: &[Pick<'_>], patches: &Patches, to_own: bool) -> Result<()> {
        // A batch that stays as it is stays whole.
        let most = PICKS_MAX.max(base.num_rows());
        for picks in picks.chunks(most) {
            let made = patches.over(base, picks, &self.schema)?;
            self.writers.write(made, to_own).await?;
        }
        Ok(())
    }
}

fn version_of(row: Option<usize>, version: &Version) -> Pick<'_> {
    let validity = Validity::Of { from: version.from, to: version.to.map(|end| end.at) };
    Pick { row, over: &version.chain.over, validity }
}

/// The rows that are made of a key's row as the table has it.
fn on_held<'s>(batch: &RecordBatch, row: usize, fate: &'s Fate, keeps_history: bool) -> Vec<Pick<'s>> {
    if keeps_history && !is_current(batch, row) {
        return Vec::new();
    }
    let over = fate.versions.iter().filter(|version| version.chain.base == Base::Held);
    over.map(|version| version_of(Some(row), version)).collect()
}

fn set_bits(words: &[u64]) -> Vec<u64> {
    let mut rows = Vec::new();
    for (at, word) in words.iter().enumerate() {
        rows.extend((0..64).filter(|bit| word >> bit & 1 == 1).map(|bit| at as u64 * 64 + bit));
    }
    rows
}

/// A batch of no column and no row.
fn nothing() -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(0));
    let schema = Arc::new(arrow::datatypes::Schema::empty());
    RecordBatch::try_new_with_options(schema.clone(), Vec::new(), &options)
        .unwrap_or_else(|_| RecordBatch::new_empty(schema))
}
