//! One partition of the topic: what was polled of it and is not handed on yet.

use super::meta::Meta;
use super::options::{Mode, Options, Tombstones};
use crate::records::{Decode, Records};
use arrow::array::Int64Array;
use kernel::gate::{Changes, Malformed, Op, Raw};
use kernel::source::Pulled;
use kernel::{Entity, Error, Point, Positions, Result};
use rdkafka::message::{BorrowedMessage, Message};
use serde_json::{Map, Value};
use std::sync::Arc;

pub struct Part {
    /// `topic/3`, as positions name it.
    pub name: Arc<str>,
    /// The offset behind the last record that was polled.
    pub next: i64,
    /// Where this round ends.
    pub end: i64,
    /// The offset behind the last record that was handed on.
    given: i64,
    records: Records,
    malformed: Vec<Malformed>,
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
            given: from,
            records: Records::default(),
            malformed: Vec::new(),
            deletes: Vec::new(),
            times: Vec::new(),
            meta: Meta::new(topic, partition, entity),
        }
    }

    pub fn is_behind(&self) -> bool {
        self.next < self.end
    }

    pub fn has_any(&self) -> bool {
        !self.records.is_empty() || !self.malformed.is_empty()
    }

    /// Takes a record in; gives the bytes that it holds on to.
    pub fn take(&mut self, message: &BorrowedMessage, options: &Options, entity: &Entity) -> usize {
        let offset = message.offset();
        self.next = offset + 1;
        let before = self.records.num_bytes();
        match (message.payload(), options.mode, options.tombstones) {
            (Some(value), ..) => self.records.push(offset, value),
            (None, Mode::Upsert, _) => match key_object(message.key(), entity) {
                Some(object) => {
                    self.records.push(offset, object.to_string().as_bytes());
                    self.deletes.push(offset);
                }
                None => self.malformed(offset, "it deletes, and its key is not the contract's primary key"),
            },
            (None, Mode::Append, Tombstones::Malformed) => {
                self.malformed(offset, "it has no value (`tombstones: keep` or `skip` takes such records)");
            }
            (None, Mode::Append, Tombstones::Keep) => self.records.push(offset, b"{}"),
            (None, Mode::Append, Tombstones::Skip) => {}
        }
        let bytes = self.records.num_bytes() - before;
        if bytes > 0 {
            self.meta.take(message);
            if options.mode == Mode::Upsert {
                self.times.push((offset, message.timestamp().to_millis().map(|ms| ms.saturating_mul(1_000))));
            }
        }
        bytes
    }

    fn malformed(&mut self, offset: i64, reason: &str) {
        self.malformed.push(Malformed { offset, reason: reason.into() });
    }

    /// What was polled, as batches; the last of them covers all up to `next`.
    pub fn give(&mut self, decoder: &mut dyn Decode, options: &Options) -> Result<Vec<Pulled>> {
        let records = std::mem::take(&mut self.records);
        let first = records.iter().next().map(|(offset, _)| offset);
        let mut all = decoder.decode(records).map_err(|mut error| {
            if let Some(first) = first {
                error.what = format!("{} (offsets {first} to {} of {})", error.what, self.next - 1, self.name);
            }
            error
        })?;
        let malformed = std::mem::take(&mut self.malformed);
        if !malformed.is_empty() {
            let last = all.last_mut().ok_or_else(|| Error::internal(&*self.name, "no batch for malformed records"))?;
            last.malformed.extend(malformed);
            last.malformed.sort_by_key(|bad| bad.offset);
        }
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
        let mut changes = Changes::default();
        for offset in offsets.values() {
            let op = if self.deletes.binary_search(offset).is_ok() { Op::Delete } else { Op::Update };
            let at = self.times.binary_search_by_key(offset, |(offset, _)| *offset);
            changes.push(op, at.ok().and_then(|place| self.times[place].1), Vec::new());
        }
        changes
    }
}

/// The columns of the primary key, from a key that is a JSON object of them, or the value of the only one.
fn key_object(key: Option<&[u8]>, entity: &Entity) -> Option<Value> {
    let (key, names) = (std::str::from_utf8(key?).ok()?, entity.key());
    let read = serde_json::from_str::<Value>(key).ok();
    if let Some(Value::Object(fields)) = read {
        let own = names.iter().map(|name| Some(((*name).to_owned(), fields.get(*name)?.clone())));
        return own.collect::<Option<Map<_, _>>>().filter(|own| !own.is_empty()).map(Value::Object);
    }
    let [name] = names[..] else { return None };
    // Text in quotes is JSON, and text without is itself; a number's text is the number's.
    let text = match read {
        Some(Value::String(text)) => text,
        _ => key.to_owned(),
    };
    Some(Value::Object(Map::from_iter([(name.to_owned(), Value::String(text))])))
}
