//! What a request brought, and what became of it.

use crate::files::json::parse;
use crate::json_path::JsonPath;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

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
    under_way: HashSet<u64>,
    /// With how often each is among the last.
    committed: HashMap<u64, u32>,
    last: VecDeque<u64>,
    most: usize,
}

/// What is known of a name.
pub enum Seen {
    New(Name),
    UnderWay,
    Committed,
}

/// A name that is under way for as long as this lives.
pub struct Name {
    pub hash: u64,
    names: Names,
}

impl Names {
    pub fn new(last: &[u64], most: usize) -> Self {
        let mut known = Known { most, ..Known::default() };
        last.iter().for_each(|hash| known.commit(*hash));
        Self(Arc::new(Mutex::new(known)))
    }

    pub fn meet(&self, hash: u64) -> Seen {
        let mut known = self.known();
        if known.committed.contains_key(&hash) {
            return Seen::Committed;
        }
        match known.under_way.insert(hash) {
            true => Seen::New(Name { hash, names: self.clone() }),
            false => Seen::UnderWay,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn commit(&mut self, hash: u64) {
        self.last.push_back(hash);
        *self.committed.entry(hash).or_default() += 1;
        while self.last.len() > self.most {
            let Some(old) = self.last.pop_front() else { return };
            if let Some(count) = self.committed.get_mut(&old) {
                *count -= 1;
                if *count == 0 {
                    self.committed.remove(&old);
                }
            }
        }
    }
}

impl Name {
    pub fn committed(self) {
        self.names.known().commit(self.hash);
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        self.names.known().under_way.remove(&self.hash);
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
        assert!(matches!(names.meet(1), Seen::Committed));
        let Seen::New(three) = names.meet(3) else { panic!("it is new") };
        assert!(matches!(names.meet(3), Seen::UnderWay));
        drop(three);
        let Seen::New(three) = names.meet(3) else { panic!("it was not taken") };
        three.committed();
        assert!(matches!(names.meet(3), Seen::Committed) && matches!(names.meet(2), Seen::Committed));
        assert!(matches!(names.meet(1), Seen::New(_)), "the oldest of three is forgotten");
    }
}
