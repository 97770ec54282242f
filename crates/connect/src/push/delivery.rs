//! What a request brought, and what became of it.

use crate::files::json::parse;
use crate::json_path::JsonPath;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use twox_hash::XxHash3_64;

/// Records that wait to be taken, with who waits for their commit. Dropped before it, they were not taken.
pub struct Delivery {
    /// One after another, with `,` between them.
    pub records: Vec<u8>,
    pub count: u64,
    pub name: Option<Name>,
    /// Bytes of the queue, until the commit.
    pub room: OwnedSemaphorePermit,
    pub done: oneshot::Sender<()>,
}

/// What a delivery is known by, for as long as this process listens.
///
/// A position has the hashed names that senders gave, and no hash of records: whoever knows most of a record could try out
/// the rest of it, such as a CPF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    hash: u64,
    /// Of the records, where they are not the name.
    content: Option<u64>,
    is_named: bool,
}

/// Makes the hashes of records others than those of names, which are in one memory with them.
const RECORDS: u64 = 0x6c61_7672_6163_6f6e;

impl Label {
    /// Of a delivery that its sender names.
    pub fn named(name: &[u8], records: &[u8]) -> Self {
        let content = Some(XxHash3_64::oneshot_with_seed(RECORDS, records));
        Self { hash: XxHash3_64::oneshot(name), content, is_named: true }
    }

    /// Of one without a name, whose records can't come twice but by being sent again.
    pub fn unnamed(records: &[u8]) -> Self {
        Self { hash: XxHash3_64::oneshot_with_seed(RECORDS, records), content: None, is_named: false }
    }

    /// Of a name that a position has.
    pub fn kept(hash: u64) -> Self {
        Self { hash, content: None, is_named: true }
    }

    /// What a position may have of it.
    pub fn kept_name(&self) -> Option<u64> {
        self.is_named.then_some(self.hash)
    }

    fn differs(self, content: Option<u64>) -> bool {
        matches!((self.content, content), (Some(own), Some(other)) if own != other)
    }
}

/// Splits a JSON body into records. An error says what is wrong with the sender's body, and where.
pub fn of_json(body: &[u8], path: &JsonPath) -> Result<(Vec<u8>, u64), String> {
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(body) {
        return Err(format!("the body is no JSON: line {}, column {}", error.line(), error.column()));
    }
    std::str::from_utf8(body).map_err(|e| format!("the body is not UTF-8 from byte {} on", e.valid_up_to() + 1))?;
    let wrong = |_| "the body's JSON can't be read".to_owned();
    let found = path.find(body, 0).map_err(wrong)?;
    let mut records = Records::default();
    match &found[..] {
        [] if path.is_many() => {}
        [] => return Err("the body has no records where they must be".into()),
        [list] if !path.is_many() && body[list.range.start] == b'[' => {
            let mut ranges = Vec::new();
            parse::array(body, list.range.start, |value| {
                ranges.push(value.range);
                Ok(())
            })
            .map_err(wrong)?;
            ranges.into_iter().try_for_each(|range| records.add(&body[range]))?;
        }
        all => all.iter().try_for_each(|value| records.add(&body[value.range.clone()]))?,
    }
    Ok((records.text, records.count))
}

/// Splits lines of JSON.
pub fn of_ndjson(body: &[u8]) -> Result<(Vec<u8>, u64), String> {
    let mut records = Records::default();
    for (place, line) in body.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let is_json =
            serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok() && std::str::from_utf8(line).is_ok();
        if !is_json {
            return Err(format!("line {} is no JSON", place + 1));
        }
        records.add(line)?;
    }
    Ok((records.text, records.count))
}

#[derive(Default)]
struct Records {
    text: Vec<u8>,
    count: u64,
}

impl Records {
    fn add(&mut self, record: &[u8]) -> Result<(), String> {
        self.count += 1;
        if !record.starts_with(b"{") {
            return Err(format!("record {} is no object", self.count));
        }
        if self.count > 1 {
            self.text.push(b',');
        }
        self.text.extend_from_slice(record);
        Ok(())
    }
}

/// Names of deliveries: those under way, and the last ones that were committed.
#[derive(Clone)]
pub struct Names(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// With their contents.
    under_way: HashMap<u64, Option<u64>>,
    committed: HashMap<u64, Committed>,
    last: VecDeque<u64>,
    most: usize,
}

#[derive(Default)]
struct Committed {
    /// How often the name is among the last.
    count: u32,
    content: Option<u64>,
}

/// What is known of a name.
pub enum Seen {
    New(Name),
    UnderWay,
    Committed,
    /// Another delivery has it, with other records.
    Other,
}

/// A name that is under way for as long as this lives.
pub struct Name {
    pub label: Label,
    names: Names,
}

impl Names {
    pub fn new(last: &[u64], most: usize) -> Self {
        let mut known = Known { most, ..Known::default() };
        last.iter().for_each(|hash| known.commit(Label::kept(*hash)));
        Self(Arc::new(Mutex::new(known)))
    }

    pub fn meet(&self, label: Label) -> Seen {
        let mut known = self.known();
        let committed = known.committed.get(&label.hash).map(|committed| (committed.content, Seen::Committed));
        let under_way = || known.under_way.get(&label.hash).map(|content| (*content, Seen::UnderWay));
        match committed.or_else(under_way) {
            Some((content, _)) if label.differs(content) => return Seen::Other,
            Some((_, seen)) => return seen,
            None => {}
        }
        known.under_way.insert(label.hash, label.content);
        Seen::New(Name { label, names: self.clone() })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn commit(&mut self, label: Label) {
        self.last.push_back(label.hash);
        let committed = self.committed.entry(label.hash).or_default();
        (committed.count, committed.content) = (committed.count + 1, label.content);
        while self.last.len() > self.most {
            let Some(old) = self.last.pop_front() else { return };
            if let Some(committed) = self.committed.get_mut(&old) {
                committed.count -= 1;
                if committed.count == 0 {
                    self.committed.remove(&old);
                }
            }
        }
    }
}

impl Name {
    pub fn committed(self) {
        self.names.known().commit(self.label);
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        self.names.known().under_way.remove(&self.label.hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_become_records_or_a_sentence_without_values() {
        let json = |path: &str, body: &str| {
            let path = JsonPath::parse(path).expect("a path");
            of_json(body.as_bytes(), &path).map(|(text, count)| (String::from_utf8(text).expect("UTF-8"), count))
        };
        assert_eq!(json("$", r#"[{"a":1}, {"a":2}]"#), Ok((r#"{"a":1},{"a":2}"#.into(), 2)));
        assert_eq!(json("$", r#" {"a":1.50} "#), Ok((r#"{"a":1.50}"#.into(), 1)));
        assert_eq!(json("$.events[*].data", r#"{"events":[{"data":{"a":1}}]}"#), Ok((r#"{"a":1}"#.into(), 1)));
        assert_eq!(json("$", "[]"), Ok((String::new(), 0)));
        assert_eq!(json("$", r#"[{"a":1}, "ana"]"#), Err("record 2 is no object".into()));
        assert_eq!(json("$.events", r#"{"event":"ana"}"#), Err("the body has no records where they must be".into()));
        assert_eq!(json("$", "{\"cpf\": ana}"), Err("the body is no JSON: line 1, column 9".into()));
        let lines = |body: &str| {
            of_ndjson(body.as_bytes()).map(|(text, count)| (String::from_utf8(text).expect("UTF-8"), count))
        };
        assert_eq!(lines("{\"a\":1}\r\n\n{\"a\":2}"), Ok((r#"{"a":1},{"a":2}"#.into(), 2)));
        assert_eq!(lines("{\"a\":1}\n{\"a\":"), Err("line 2 is no JSON".into()));
    }

    #[test]
    fn a_name_is_new_once_and_the_oldest_are_forgotten() {
        let names = Names::new(&[1, 2], 2);
        let meet = |hash| names.meet(Label::kept(hash));
        assert!(matches!(meet(1), Seen::Committed));
        let Seen::New(three) = meet(3) else { panic!("it is new") };
        assert!(matches!(meet(3), Seen::UnderWay));
        drop(three);
        let Seen::New(three) = meet(3) else { panic!("it was not taken") };
        three.committed();
        assert!(matches!(meet(3), Seen::Committed) && matches!(meet(2), Seen::Committed));
        assert!(matches!(meet(1), Seen::New(_)), "the oldest of three is forgotten");
    }

    #[test]
    fn a_name_with_other_records_is_neither_new_nor_a_repetition() {
        let (one, other) = (Label::named(b"d-1", b"{\"a\":1}"), Label::named(b"d-1", b"{\"a\":2}"));
        let names = Names::new(&[], 10);
        let Seen::New(name) = names.meet(one) else { panic!("it is new") };
        assert!(matches!(names.meet(other), Seen::Other) && matches!(names.meet(one), Seen::UnderWay));
        name.committed();
        assert!(matches!(names.meet(other), Seen::Other) && matches!(names.meet(one), Seen::Committed));
        let names = Names::new(&[one.kept_name().expect("it has one")], 10);
        assert!(matches!(names.meet(other), Seen::Committed), "a position has nothing to compare with");
        assert_eq!(Label::unnamed(b"{}").kept_name(), None);
        assert_ne!(Label::unnamed(b"d-1").hash, one.hash);
    }
}
