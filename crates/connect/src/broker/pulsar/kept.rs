//! Positions of a writer or of a group: in a topic of their own, whose last message is all of them.

use super::admin::{offset, place};
use super::bound::{self, Bound, Size};
use super::cursor::Cursor;
use super::spans::{self, Span, Spans};
use super::unfinished::Unfinished;
use super::{Home, partition_name};
use kernel::broker::Ends;
use kernel::{Error, Kind, Positions, Result};
use pulsar::{Producer, ProducerOptions, TokioExecutor};
use serde::{Deserialize, Serialize};
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
    /// Of a writer: where its rows are. Before this was kept, `ends` alone says something of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spans: Option<Spans>,
    /// Of a writer: rows before `ends` that are to come again, which no position covers yet.
    #[serde(default, skip_serializing_if = "Unfinished::is_empty")]
    pub left: Unfinished,
}

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
    /// Where a writer's rows are.
    pub fn spans(&self) -> Spans {
        let derive = || {
            let ends = (0..).zip(&self.ends).filter(|(_, end)| **end > 0);
            ends.map(|(partition, end)| (partition, Span::before(*end))).collect()
        };
        self.spans.clone().unwrap_or_else(derive)
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

/// Whether no row of a partition from `at` on is gone, which is not between where it begins and ends now. Who may not list the
/// writers does not know it.
pub async fn is_whole(home: &Arc<Home>, topic: &str, partition: u32, ends: Ends, at: u64) -> Result<bool> {
    let begin = format!("{topic}.writer.");
    let writers = match home.admin.topics(&begin).await {
        Ok(writers) => writers,
        Err(error) if error.kind == Kind::Project => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut spans = Vec::new();
    for writer in &writers {
        spans.push(read(home, topic, writer).await?.spans().remove(&partition));
    }
    Ok(spans::is_whole(at, ends, &spans))
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
    bound: Bound,
    producer: Producer<TokioExecutor>,
}

impl Writer {
    pub async fn open(home: &Arc<Home>, topic: &str, bound: Bound) -> Result<Self> {
        home.admin.make(topic, 1, None).await?;
        let options = ProducerOptions {
            access_mode: Some(EXCLUSIVE_WITH_FENCING),
            compression: Some(bound::compression()),
            ..ProducerOptions::default()
        };
        let name = home.whole(&partition_name(topic, 0));
        let producer = home.client().await?.producer().with_topic(name).with_options(options).build().await;
        let producer = producer.map_err(|e| home.error(&format!("open {topic}"), e))?;
        Ok(Self { home: home.clone(), topic: topic.to_owned(), bound, producer })
    }

    /// Durable on return. Nothing is written of what is more than a message may have.
    pub async fn write(&mut self, kept: &Kept) -> Result<()> {
        let text = serde_json::to_vec(kept).map_err(|e| Error::internal("write positions", e))?;
        let what = format!("write positions to {}", self.topic);
        let refusal = |bytes| {
            let all = format!("how far the source is, in {} partitions or files,", kept.positions.len());
            Error::data(&what, self.bound.refusal(&all, bytes))
        };
        let size = self.bound.size(&text, 0)?;
        if let Size::Beyond(bytes) = size {
            return Err(refusal(bytes));
        }
        let sent = match self.producer.send_non_blocking(text).await {
            Ok(sent) => sent.await.map(drop),
            Err(error) => Err(error),
        };
        sent.map_err(|error| match size {
            Size::Doubtful(bytes) => refusal(bytes),
            _ => self.home.error(&what, error),
        })
    }

    pub async fn close(mut self) -> Result<()> {
        self.producer.close().await.map_err(|e| self.home.error(&format!("close {}", self.topic), e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Point;

    /// A writer's state from before it kept where its rows are: an end may be one that the partition had without any.
    #[test]
    fn of_a_state_of_before_all_that_is_known_is_where_rows_end() {
        let before = r#"{"positions":{},"ends":[0,6442450944,6442450947],"begun":{"2":6442450944}}"#;
        let before: Kept = serde_json::from_str(before).expect("what was written before");
        assert_eq!(before.ends, [0, offset(24, 0), offset(24, 3)]);
        let spans = Spans::from([(1, Span::before(offset(24, 0))), (2, Span::before(offset(24, 3)))]);
        assert_eq!(before.spans(), spans);
        let mut spans = Spans::new();
        spans::add(&mut spans, 2, offset(24, 2));
        let now = Kept { spans: Some(spans.clone()), ..before };
        let text = serde_json::to_string(&now).expect("text");
        assert_eq!(serde_json::from_str::<Kept>(&text).expect("what was written").spans(), spans);
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
