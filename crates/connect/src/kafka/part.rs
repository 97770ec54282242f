//! One partition of the topic: what was polled of it and is not handed on yet.

use super::empty;
use super::keys::{Keys, MISSING};
use super::meta::{Meta, NAMES};
use super::options::{Mode, Options, Tombstones};
use crate::records::{Decode, Records, Rows};
use arrow::array::Int64Array;
use kernel::gate::{Changes, Malformed, Op, Raw};
use kernel::source::Pulled;
use kernel::{Entity, Error, Point, Positions, Result};
use rdkafka::message::Message;
use std::sync::Arc;
use std::time::Duration;

pub struct Part {
    /// `topic/3`, as positions name it.
    pub name: Arc<str>,
    /// The offset behind the last record that was polled.
    pub next: i64,
    /// Where this round ends.
    pub end: i64,
    /// How long was polled when it moved last, or when this round began.
    pub moved_at: Duration,
    /// And when its leader was asked whether it is there.
    pub asked_at: Duration,
    /// The offset behind the last record that was handed on.
    given: i64,
    records: Records,
    /// The key of each record, where it is the contract's primary key.
    keys: Records,
    malformed: Vec<Malformed>,
    /// Offsets of the records that are rows without values.
    empty: Vec<i64>,
    /// Offsets of the records that delete.
    deletes: Vec<i64>,
    /// When each record was written, where changes tell it.
    times: Vec<(i64, Option<i64>)>,
    meta: Meta,
}

impl Part {
    pub fn new(topic: &str, partition: i32, from: i64, entity: &Entity) -> Self {
        Self {
            name: Arc::from(format!("{topic}/{partition}")),
            next: from,
            end: from,
            moved_at: Duration::ZERO,
            asked_at: Duration::ZERO,
            given: from,
            records: Records::default(),
            keys: Records::default(),
            malformed: Vec::new(),
            empty: Vec::new(),
            deletes: Vec::new(),
            times: Vec::new(),
            meta: Meta::new(topic, partition, entity),
        }
    }

    pub fn is_behind(&self) -> bool {
        self.next < self.end
    }

    pub fn has_any(&self) -> bool {
        !self.records.is_empty() || !self.malformed.is_empty() || !self.empty.is_empty()
    }

    /// Takes a record in; gives the bytes that it holds on to.
    pub fn take(&mut self, message: &impl Message, options: &Options, keys: Option<&Keys>) -> usize {
        let offset = message.offset();
        self.next = offset + 1;
        let before = self.num_bytes();
        match (message.payload(), options.mode, options.tombstones) {
            (value, Mode::Upsert, _) => self.take_state(offset, message.key(), value, keys),
            (Some(value), Mode::Append, _) => self.records.push(offset, value),
            (None, Mode::Append, Tombstones::Malformed) => {
                self.malformed(offset, "it has no value (`tombstones: keep` or `skip` takes such records)");
            }
            (None, Mode::Append, Tombstones::Keep) => self.empty.push(offset),
            (None, Mode::Append, Tombstones::Skip) => {}
        }
        let bytes = self.num_bytes() - before;
        if bytes > 0 {
            self.meta.take(message);
            if options.mode == Mode::Upsert {
                self.times.push((offset, message.timestamp().to_millis().map(|ms| ms.saturating_mul(1_000))));
            }
        }
        bytes
    }

    /// The state of a key, or its end. Which key it is, the record's key says, whether or not the value repeats it.
    fn take_state(&mut self, offset: i64, key: Option<&[u8]>, value: Option<&[u8]>, keys: Option<&Keys>) {
        match (key, value, keys) {
            (_, Some(value), None) => return self.records.push(offset, value),
            (_, None, None) => return self.malformed(offset, "it deletes, and the contract has no primary key"),
            (None, _, Some(_)) => return self.malformed(offset, MISSING),
            (Some(key), _, Some(keys)) => match keys.object(key) {
                Ok(object) => self.keys.push(offset, &object),
                Err(reason) => return self.malformed(offset, reason),
            },
        }
        // Who deletes has nothing but the key.
        self.records.push(offset, value.unwrap_or(b"{}"));
        if value.is_none() {
            self.deletes.push(offset);
        }
    }

    /// What waits; a row without values is one as well.
    fn num_bytes(&self) -> usize {
        self.records.num_bytes() + self.keys.num_bytes() + self.empty.len()
    }

    fn malformed(&mut self, offset: i64, reason: &str) {
        self.malformed.push(Malformed { offset, reason: reason.into() });
    }

    /// What was polled, as batches; the last of them covers all up to `next`.
    pub fn give(
        &mut self,
        decoder: &mut dyn Decode,
        keys: Option<&mut Keys>,
        options: &Options,
    ) -> Result<Vec<Pulled>> {
        let all = self.rows(decoder, keys)?;
        let count = all.len();
        let mut pulled = Vec::with_capacity(count);
        for (place, rows) in all.into_iter().enumerate() {
            let next = match place + 1 == count {
                true => self.next,
                false => rows.last().map_or(self.given, |last| last + 1),
            };
            self.given = self.given.max(next);
            let changes = (options.mode == Mode::Upsert).then(|| self.changes(&rows.offsets));
            let batch = self.meta.columns(rows.batch, &rows.offsets)?;
            let mut raw = Raw::new(batch, self.name.clone(), rows.offsets)?.with_malformed(rows.malformed);
            if let Some(changes) = changes {
                raw = raw.with_changes(changes)?;
            }
            pulled.push(Pulled { rows: raw.into(), upto: self.upto(), whole: true });
        }
        self.meta.clear();
        self.deletes.clear();
        self.times.clear();
        Ok(pulled)
    }

    /// Each record that was polled, as a row or malformed.
    pub fn rows(&mut self, decoder: &mut dyn Decode, keys: Option<&mut Keys>) -> Result<Vec<Rows>> {
        let records = std::mem::take(&mut self.records);
        let first = records.iter().next().map(|(offset, _)| offset);
        let mut all = decoder.decode(records).map_err(|mut error| {
            if let Some(first) = first {
                error.what = format!("{} (offsets {first} to {} of {})", error.what, self.next - 1, self.name);
            }
            error
        })?;
        empty::put(&mut all, &std::mem::take(&mut self.empty))?;
        if let Some(keys) = keys {
            all = keys.put(all, std::mem::take(&mut self.keys))?;
        }
        let malformed = std::mem::take(&mut self.malformed);
        if !malformed.is_empty() {
            let last = all.last_mut().ok_or_else(|| Error::internal(&*self.name, "no batch for malformed records"))?;
            last.malformed.extend(malformed);
            last.malformed.sort_by_key(|bad| bad.offset);
        }
        Ok(all)
    }

    /// The position behind what was handed on.
    pub fn upto(&self) -> Positions {
        let mut upto = Positions::new();
        upto.set(&*self.name, Point::Offset(u64::try_from(self.given).unwrap_or_default()));
        upto
    }

    /// Whether the partition went on over offsets that no record has, behind the last one that was handed on.
    pub fn moved_silently(&mut self) -> bool {
        let moved = !self.has_any() && self.given < self.next;
        if moved {
            self.given = self.next;
        }
        moved
    }

    fn changes(&self, offsets: &Int64Array) -> Changes {
        let own = NAMES.map(Arc::from).to_vec();
        let mut changes = Changes { own, ..Changes::default() };
        for offset in offsets.values() {
            let op = if self.deletes.binary_search(offset).is_ok() { Op::Delete } else { Op::Update };
            let at = self.times.binary_search_by_key(offset, |(offset, _)| *offset);
            changes.push(op, at.ok().and_then(|place| self.times[place].1), Vec::new());
        }
        changes
    }
}
