//! Positions of a writer or of a group: in a topic of their own, whose last message is all of them.

use super::admin::{offset, place};
use super::cursor::Cursor;
use super::unfinished::Unfinished;
use super::{Home, partition_name};
use kernel::broker::Ends;
use kernel::{Error, Kind, Positions, Result};
use pulsar::{Producer, ProducerOptions, TokioExecutor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One state.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Kept {
    /// Which topic of this name they are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    pub positions: Positions,
    /// Of a writer: by partition, an offset behind which all is that was appended later.
    #[serde(default)]
    pub ends: Vec<u64>,
    /// Of a writer: by partition, where its first row is; absent where it never appended one. Before this was kept, it can be
    /// told from `ends` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Begun>,
    /// Of a writer: rows before `ends` that are to come again, which no position covers yet.
    #[serde(default, skip_serializing_if = "Unfinished::is_empty")]
    pub left: Unfinished,
}

/// By partition, the offset of a writer's first row.
pub type Begun = BTreeMap<u32, u64>;

/// Only one process at a time writes it: who opens it takes it from who had it.
const EXCLUSIVE_WITH_FENCING: i32 = 3;

/// Where the positions of a writer or group are kept.
pub fn kept_in(topic: &str, of: &str, name: &str) -> Result<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&c);
    match !name.is_empty() && name.chars().all(fits) {
        true => Ok(format!("{topic}.{of}.{name}")),
        false => Err(Error::project(format!("{of} `{name}`"), "its name holds only letters, digits, `.`, `_` and `-`")),
    }
}

impl Kept {
    /// Where a writer's first row of each partition is.
    pub fn begun(&self) -> Begun {
        let derive = || {
            // Behind a row is never the begin of a ledger. Where there is one, the first may have been anywhere.
            let had_any = (0..).zip(&self.ends).filter(|(_, end)| place(**end).1 > 0);
            had_any.map(|(partition, _)| (partition, 0)).collect()
        };
        self.begun.clone().unwrap_or_else(derive)
    }

    /// Those of a topic that was removed, and made anew by this name, say nothing of the one that is there now.
    fn unless_of_another(self, of: Option<String>) -> Self {
        // Nobody can tell two topics apart that were made without a name of their own: what was kept is believed then.
        match self.of == of {
            true => self,
            false => Self { of, ..Self::default() },
        }
    }
}

/// What is kept of a topic by this name of a topic.
pub async fn read(home: &Arc<Home>, topic: &str, kept_in: &str) -> Result<Kept> {
    let of = match home.admin.topic(topic).await {
        Ok((_, of)) => of,
        Err(error) if error.kind == Kind::Project => None,
        Err(error) => return Err(error),
    };
    Ok(last(home, kept_in).await?.unless_of_another(of))
}

/// Whether nothing that was ever appended to a partition, which ends there now, is gone. Then a position at the begin of any
/// ledger is where the partition begins: a ledger without messages is given up for another one, and so is a partition. Who
/// may not list the writers does not know it.
pub async fn is_whole(home: &Arc<Home>, topic: &str, partition: u32, ends: Ends) -> Result<bool> {
    // Of one that is not there, all is gone.
    let first = if ends.next == 0 { u64::MAX } else { ends.first };
    let begin = format!("{topic}.writer.");
    let writers = match home.admin.topics(&begin).await {
        Ok(writers) => writers,
        Err(error) if error.kind == Kind::Project => return Ok(false),
        Err(error) => return Err(error),
    };
    for writer in &writers {
        let kept = read(home, topic, writer).await?;
        if kept.begun().get(&partition).is_some_and(|begun| *begun < first) {
            return Ok(false);
        }
    }
    Ok(!writers.is_empty())
}

async fn last(home: &Arc<Home>, topic: &str) -> Result<Kept> {
    match home.admin.partitions(topic).await {
        Ok(_) => {}
        Err(error) if error.kind == Kind::Project => return Ok(Kept::default()),
        Err(error) => return Err(error),
    }
    let name = partition_name(topic, 0);
    let ends = home.admin.ends(&name).await?;
    if ends.first == ends.next {
        return Ok(Kept::default());
    }
    // The last message; before it may be an empty ledger, so that all of what can be the last is read.
    let mut cursor = Cursor::new(home.clone(), topic, 0);
    let (ledger, entry) = place(ends.next);
    let mut at = if entry == 0 { ends.first } else { offset(ledger, entry - 1).max(ends.first) };
    let mut last = None;
    while at < ends.next {
        let (found, next) = cursor.values(at, ends.next, 1 << 20).await?;
        last = found.into_iter().next_back().or(last);
        at = next;
    }
    let Some(last) = last else { return Ok(Kept::default()) };
    let broken = |_| Error::data(format!("read positions from {topic}"), "the last of them can't be read");
    serde_json::from_slice(&last.payload.data).map_err(broken)
}

pub struct Writer {
    home: Arc<Home>,
    topic: String,
    producer: Producer<TokioExecutor>,
}

impl Writer {
    pub async fn open(home: &Arc<Home>, topic: &str) -> Result<Self> {
        home.admin.make(topic, 1, None).await?;
        let options = ProducerOptions { access_mode: Some(EXCLUSIVE_WITH_FENCING), ..ProducerOptions::default() };
        let name = home.whole(&partition_name(topic, 0));
        let producer = home.client().await?.producer().with_topic(name).with_options(options).build().await;
        let producer = producer.map_err(|e| home.error(&format!("open {topic}"), e))?;
        Ok(Self { home: home.clone(), topic: topic.to_owned(), producer })
    }

    /// Durable on return.
    pub async fn write(&mut self, kept: &Kept) -> Result<()> {
        let text = serde_json::to_vec(kept).map_err(|e| Error::internal("write positions", e))?;
        let what = format!("write positions to {}", self.topic);
        let sent = self.producer.send_non_blocking(text).await.map_err(|e| self.home.error(&what, e))?;
        sent.await.map_err(|e| self.home.error(&what, e))?;
        Ok(())
    }

    pub async fn close(mut self) -> Result<()> {
        self.producer.close().await.map_err(|e| self.home.error(&format!("close {}", self.topic), e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Point;

    /// A writer's state from before it kept where it began.
    #[test]
    fn a_partition_whose_end_is_the_begin_of_a_ledger_never_had_a_row() {
        let before = Kept { ends: vec![0, offset(24, 0), offset(24, 3)], ..Kept::default() };
        assert_eq!(before.begun(), Begun::from([(2, 0)]));
        let begun = Begun::from([(0, offset(60, 0)), (2, 0)]);
        let now = Kept { begun: Some(begun.clone()), ..before };
        let text = serde_json::to_string(&now).expect("text");
        assert_eq!(serde_json::from_str::<Kept>(&text).expect("what was written").begun(), begun);
    }

    #[test]
    fn positions_of_a_topic_that_was_are_void() {
        let mut positions = Positions::new();
        positions.set("a.csv", Point::Offset(7));
        let kept =
            |of: Option<&str>| Kept { of: of.map(str::to_owned), positions: positions.clone(), ..Kept::default() };
        let read = |then: Option<&str>, now: Option<&str>| kept(then).unless_of_another(now.map(str::to_owned));
        for (then, now) in [(Some("x"), Some("x")), (None, None)] {
            let read = read(then, now);
            assert_eq!((read.positions.len(), read.of.as_deref()), (1, now), "{then:?}, {now:?}");
        }
        for (then, now) in [(Some("x"), Some("y")), (Some("x"), None), (None, Some("y"))] {
            let void = read(then, now);
            assert!(void.positions.is_empty() && void.of.as_deref() == now, "{then:?}, {now:?}");
        }
        let before = r#"{"positions":{},"ends":[3]}"#;
        assert_eq!(serde_json::from_str::<Kept>(before).expect("what was written before").ends, [3]);
    }
}
