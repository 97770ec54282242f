//! A topic read from where its rows were taken last: what the gate let through, on its way to a table.

use arrow::datatypes::Schema;
use async_trait::async_trait;
use kernel::broker::{Broker, Ends, Retention, Topic};
use kernel::clock::{Clock, Timestamp};
use kernel::gate::{Safe, Sealed};
use kernel::source::{Pulled, Source};
use kernel::{Error, Kind, Point, Positions, Result};
use std::sync::Arc;

/// A table's positions name a partition of a log by this and its topic, beside the partitions of the source itself.
const LOG: &str = "log ";

/// Whether a table's position is one of a log.
pub fn is_of_log(partition: &str) -> bool {
    partition.starts_with(LOG)
}

pub struct TopicSource {
    broker: Arc<dyn Broker>,
    topic: Topic,
    group: String,
    clock: Arc<dyn Clock>,
    parts: Vec<Part>,
    /// The partition that is asked first.
    turn: usize,
    /// Where it begins in partitions of which the table knows nothing, or another place, until that is handed on.
    begins: Positions,
    /// By number of the partition: where it once began to look, and what the table has.
    origin: Positions,
    settled: Positions,
    told_at: Timestamp,
}

/// How often, in microseconds, the home is told again what a group knows though nothing moved. Kafka forgets each position some
/// time after it was told last (`offsets.retention.minutes`, a week), whoever reads meanwhile.
const TELL_EVERY: i64 = 3_600_000_000;

/// Under which it is kept where a group once began to look.
fn origin_of(group: &str) -> String {
    format!("{group}.origin")
}

struct Part {
    /// As positions name it.
    name: Arc<str>,
    at: u64,
    /// What was visible when it was asked last.
    end: u64,
}

impl Part {
    /// Where it is gone on from, and where it ends now. What a home's offsets are places in may be given up when nothing is left
    /// in it: whether rows are gone with it, the home alone knows, and a fetch from there tells.
    /// Answers whether that is further than it was.
    async fn look(&mut self, broker: &dyn Broker, topic: &Topic, number: usize, ends: Ends) -> Result<bool> {
        self.end = ends.next;
        let before = self.at;
        if (ends.first..=ends.next).contains(&before) {
            return Ok(false);
        }
        match broker.fetch(topic, number as u32, self.at, 1).await {
            Ok(fetched) if fetched.rows.is_empty() && fetched.strangers.is_empty() => {
                self.at = fetched.next;
                self.end = self.end.max(self.at);
                Ok(self.at > before)
            }
            // It is told where it is read from there.
            Ok(_) => Ok(false),
            Err(error) if error.kind == Kind::Data => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// `known` is of its group.
    fn refuse_behind(&self, known: Option<&Point>, topic: &str, group: &str) -> Result<()> {
        let Some(Point::Offset(known)) = known.filter(|known| !Point::Offset(self.at).reaches(known)) else {
            return Ok(());
        };
        let detail = format!(
            "the table was at offset {known} of {} and knows of {} now: was it removed, or brought back as it was before? Put it \
             back as it was; or remove the topic too, and load all again. Where the lake of another environment goes through \
             this topic: give one of the two another broker",
            self.name, self.at
        );
        Err(Error::data(format!("take {topic} into {group}"), detail))
    }

    /// A log that ends before what was taken of it is another one of its name.
    fn check(&self, topic: &str) -> Result<()> {
        if self.at <= self.end {
            return Ok(());
        }
        let detail = format!(
            "offset {} of {} was taken, and it ends at {}: it was removed and made anew, or is that of another machine. Put it \
             back; or remove what is there of the topic too, move the table's folder away, and load all again",
            self.at, self.name, self.end
        );
        Err(Error::data(format!("read {topic}"), detail))
    }
}

impl TopicSource {
    /// Goes on behind `from`, the table's positions. Where they say nothing it begins where it once began to look, which is
    /// kept beside the group's own positions until the table has it, so that retention takes nothing unseen. A table that is
    /// behind its group was removed, or brought back as it was before: it is not made again out of the log, which may have
    /// lost some of its rows and have others that the table was to lose.
    pub async fn open(
        broker: Arc<dyn Broker>,
        topic: Topic,
        group: String,
        from: &Positions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let mut origin = broker.consumed(&topic.name, &origin_of(&group)).await?;
        let consumed = broker.consumed(&topic.name, &group).await?;
        // A topic that was made anew must not seem to know the table.
        let is_known = !origin.is_empty() || !consumed.is_empty();
        // Last, for others append meanwhile: what is taken is before the end.
        let ends = broker.ends(&topic.name).await?;
        let (mut begins, mut settled) = (Positions::new(), Positions::new());
        let mut parts = Vec::with_capacity(ends.len());
        for (number, ends) in ends.into_iter().enumerate() {
            let name: Arc<str> = Arc::from(format!("{LOG}{}/{number}", topic.name));
            let key = number.to_string();
            let at = match (from.get(&name), origin.get(&key)) {
                (Some(Point::Offset(at)), _) => {
                    if is_known {
                        settled.set(key.as_str(), Point::Offset(*at));
                    }
                    *at
                }
                (_, Some(Point::Offset(at))) => *at,
                _ => {
                    origin.set(key.as_str(), Point::Offset(ends.first));
                    ends.first
                }
            };
            let is_new = !matches!(from.get(&name), Some(Point::Offset(_)));
            let mut part = Part { name, at, end: ends.next };
            part.refuse_behind(consumed.get(&key), &topic.name, &group)?;
            // The group is where the table was, wherever that is gone on from.
            let is_moved = part.look(broker.as_ref(), &topic, number, ends).await?;
            part.check(&topic.name)?;
            if is_new || is_moved {
                begins.set(&*part.name, Point::Offset(part.at));
            }
            parts.push(part);
        }
        let told_at = clock.now();
        let mut source = Self { broker, topic, group, clock, parts, turn: 0, begins, origin, settled, told_at };
        source.tell().await?;
        Ok(source)
    }

    /// Tells the home all that the group knows, also what did not move.
    async fn tell(&mut self) -> Result<()> {
        for (group, known) in [(&origin_of(&self.group), &self.origin), (&self.group, &self.settled)] {
            if !known.is_empty() {
                self.broker.consume(&self.topic.name, group, known).await?;
            }
        }
        self.told_at = self.clock.now();
        Ok(())
    }

    /// The partitions with rows that are not taken, and how many offsets those are.
    pub async fn behind(broker: &dyn Broker, topic: &str, from: &Positions) -> Result<(u64, u64)> {
        let ends = broker.ends(topic).await?;
        let topic = any_rows(topic, ends.len());
        let mut left = Vec::new();
        for (number, ends) in ends.into_iter().enumerate() {
            let name = Arc::from(format!("{LOG}{}/{number}", topic.name));
            let at = if let Some(Point::Offset(at)) = from.get(&name) { *at } else { ends.first };
            let mut part = Part { name, at, end: ends.next };
            part.look(broker, &topic, number, ends).await?;
            if part.at < ends.first {
                let detail = format!(
                    "retention has removed {} offsets before offset {} that were not taken. Say a longer `retention` in \
                     `broker:`; what is gone is in the source only: remove the topic, move the table's folder away, and load \
                     all again",
                    ends.first - part.at,
                    ends.first
                );
                return Err(Error::data(format!("read {}", part.name), detail));
            }
            part.check(&topic.name)?;
            left.push(part.end - part.at);
        }
        Ok(left.into_iter().filter(|left| *left > 0).fold((0, 0), |(parts, sum), left| (parts + 1, sum + left)))
    }

    /// Hands on where it begins. Else a partition that is quiet would have no position in the table, and what retention takes of it
    /// before its first rows are read would be missed by nobody.
    fn begin(&mut self) -> Option<Pulled> {
        let partition = self.parts.first()?.name.clone();
        let rows = Sealed { rows: None, partition, strangers: Vec::new() };
        let upto = std::mem::take(&mut self.begins);
        Some(Pulled { rows: kernel::source::Rows::Sealed(rows), upto, whole: true })
    }

    fn next_part(&self) -> Option<usize> {
        let count = self.parts.len();
        (0..count).map(|step| (self.turn + step) % count).find(|at| self.parts[*at].at < self.parts[*at].end)
    }
}

/// A topic of which no row is read.
fn any_rows(name: &str, partitions: usize) -> Topic {
    Topic {
        name: name.to_owned(),
        partitions: partitions as u32,
        key: Vec::new(),
        schema: Arc::new(Schema::empty()),
        retention: Retention::default(),
    }
}

#[async_trait]
impl Source for TopicSource {
    async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        if self.clock.now().0.saturating_sub(self.told_at.0) >= TELL_EVERY {
            self.tell().await?;
        }
        if !self.begins.is_empty() {
            return Ok(self.begin());
        }
        if self.next_part().is_none() {
            let ends = self.broker.ends(&self.topic.name).await?;
            for (number, (part, ends)) in self.parts.iter_mut().zip(ends).enumerate() {
                let is_moved = part.look(self.broker.as_ref(), &self.topic, number, ends).await?;
                part.check(&self.topic.name)?;
                // Else whoever looks has to find out each time that nothing was lost.
                if is_moved {
                    self.begins.set(&*part.name, Point::Offset(part.at));
                }
            }
            if !self.begins.is_empty() {
                return Ok(self.begin());
            }
        }
        let Some(at) = self.next_part() else { return Ok(None) };
        let part = &self.parts[at];
        let fetched = self.broker.fetch(&self.topic, at as u32, part.at, bytes_max).await?;
        let strangers = fetched.strangers.iter().map(|offset| i64::try_from(*offset).unwrap_or(i64::MAX)).collect();
        let rows = Sealed { rows: Safe::concat(&fetched.rows)?, partition: part.name.clone(), strangers };
        let mut upto = Positions::new();
        upto.set(part.name.as_ref(), Point::Offset(fetched.next));
        if fetched.next <= part.at {
            return Err(Error::internal(format!("read {}", self.topic.name), "a fetch before the end gave nothing"));
        }
        self.parts[at].at = fetched.next;
        self.turn = at + 1;
        Ok(Some(Pulled { rows: kernel::source::Rows::Sealed(rows), upto, whole: true }))
    }

    async fn settled(&mut self, upto: &Positions) -> Result<()> {
        let mut consumed = Positions::new();
        for (number, part) in self.parts.iter().enumerate() {
            if let Some(point) = upto.get(&part.name) {
                consumed.set(number.to_string(), point.clone());
            }
        }
        if consumed.is_empty() {
            return Ok(());
        }
        self.settled.advance(&consumed);
        self.broker.consume(&self.topic.name, &self.group, &consumed).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::broker::{Appender, Capabilities, Fetched};
    use kernel::clock::ManualClock;
    use std::sync::Mutex;

    /// A home of one partition, which was moved to where it begins now: nothing is gone for who was at one of `whole`. Its
    /// messages are strangers'.
    struct Moved {
        ends: Mutex<Ends>,
        whole: &'static [u64],
        group: Option<u64>,
        told: Mutex<Vec<(String, Positions)>>,
    }

    fn at(offset: Option<u64>, name: &str) -> Positions {
        let mut at = Positions::new();
        offset.into_iter().for_each(|offset| at.set(name, Point::Offset(offset)));
        at
    }

    #[async_trait]
    impl Broker for Moved {
        fn capabilities(&self) -> Capabilities {
            Capabilities { transactions: false, fences: false }
        }
        async fn create(&self, _: &Topic) -> Result<()> {
            Ok(())
        }
        async fn appender(&self, _: &Topic, _: &str) -> Result<Box<dyn Appender>> {
            Err(Error::project("append", "nobody does"))
        }
        async fn fetch(&self, _: &Topic, _: u32, from: u64, _: usize) -> Result<Fetched> {
            let ends = *self.ends.lock().expect("ends");
            match (ends.first..=ends.next).contains(&from) {
                true => {
                    let next = ends.next.min(from + 1);
                    Ok(Fetched { rows: Vec::new(), strangers: (from..next).collect(), next })
                }
                false if self.whole.contains(&from) => {
                    Ok(Fetched { rows: Vec::new(), strangers: Vec::new(), next: ends.first })
                }
                false => Err(Error::data("fetch", "rows are gone")),
            }
        }
        async fn appended(&self, _: &str, _: &str) -> Result<Positions> {
            Ok(Positions::new())
        }
        async fn ends(&self, _: &str) -> Result<Vec<Ends>> {
            Ok(vec![*self.ends.lock().expect("ends")])
        }
        async fn consumed(&self, _: &str, group: &str) -> Result<Positions> {
            Ok(at(self.group.filter(|_| group == "g"), "0"))
        }
        async fn consume(&self, _: &str, group: &str, upto: &Positions) -> Result<()> {
            self.told.lock().expect("told").push((group.to_owned(), upto.clone()));
            Ok(())
        }
    }

    fn home(first: u64, next: u64, whole: &'static [u64], group: Option<u64>) -> Arc<Moved> {
        Arc::new(Moved { ends: Mutex::new(Ends { first, next }), whole, group, told: Mutex::default() })
    }

    fn table(offset: u64) -> Positions {
        at(Some(offset), "log t/0")
    }

    async fn open(home: &Arc<Moved>, from: u64) -> Result<TopicSource> {
        open_at(home, &table(from), &Arc::new(ManualClock::at(0))).await
    }

    async fn open_at(home: &Arc<Moved>, from: &Positions, clock: &Arc<ManualClock>) -> Result<TopicSource> {
        TopicSource::open(home.clone(), any_rows("t", 1), "g".into(), from, clock.clone()).await
    }

    /// What the home was told since it was asked last.
    fn told(home: &Moved) -> Vec<(String, Positions)> {
        std::mem::take(&mut *home.told.lock().expect("told"))
    }

    async fn upto(source: &mut TopicSource) -> Option<Positions> {
        source.next(1).await.expect("what is there").map(|pulled| pulled.upto)
    }

    #[tokio::test]
    async fn where_it_begins_is_in_the_table_before_any_row_comes() {
        let (home, clock) = (home(5, 5, &[], None), Arc::new(ManualClock::at(0)));
        let mut source = open_at(&home, &Positions::new(), &clock).await.expect("a source");
        assert_eq!(told(&home), [("g.origin".to_owned(), at(Some(5), "0"))]);
        let begin = source.next(1).await.expect("what is there").expect("where it begins");
        assert_eq!((begin.rows.num_rows(), begin.upto, begin.whole), (0, table(5), true));
        assert_eq!(upto(&mut source).await, None, "once");
        // Its first rows go before they are read, and the home has forgotten what it was told.
        *home.ends.lock().expect("ends") = Ends { first: 9, next: 12 };
        let lost = open(&home, 5).await.expect("a source, which looks when it reads").next(1).await.map(drop);
        assert!(lost.is_err(), "4 rows are gone");
    }

    #[tokio::test]
    async fn what_the_group_knows_is_told_again_when_it_is_opened_and_while_it_is_read() {
        let (home, clock) = (home(0, 4, &[], Some(3)), Arc::new(ManualClock::at(0)));
        let mut source = open_at(&home, &table(3), &clock).await.expect("a source");
        let of_group = |offset| [("g".to_owned(), at(Some(offset), "0"))];
        assert_eq!(told(&home), of_group(3), "of where it begins the table knows more");
        assert_eq!(upto(&mut source).await, Some(table(4)));
        source.settled(&table(4)).await.expect("told");
        assert_eq!(told(&home), of_group(4));
        for _ in 0..2 {
            clock.advance(TELL_EVERY - 1);
            assert_eq!((upto(&mut source).await, told(&home)), (None, Vec::new()), "it was told just now");
            clock.advance(1);
            assert_eq!((upto(&mut source).await, told(&home)), (None, of_group(4).to_vec()));
        }
    }

    #[tokio::test]
    async fn a_position_that_lost_nothing_is_gone_on_from_where_its_partition_begins() {
        let home = home(100, 100, &[25, 100], Some(25));
        let mut source = open(&home, 25).await.expect("a source");
        assert_eq!(upto(&mut source).await, Some(table(100)), "so that it is found out once");
        assert_eq!(upto(&mut source).await, None);
        assert_eq!(TopicSource::behind(home.as_ref(), "t", &table(25)).await.expect("known"), (0, 0));
        *home.ends.lock().expect("ends") = Ends { first: 100, next: 102 };
        assert_eq!(TopicSource::behind(home.as_ref(), "t", &table(25)).await.expect("known"), (1, 2));
        let mut again = open(&home, 25).await.expect("a source");
        assert_eq!(upto(&mut again).await, Some(table(100)));
        for source in [&mut source, &mut again] {
            assert_eq!(upto(source).await, Some(table(101)));
            assert_eq!(upto(source).await, Some(table(102)));
            assert_eq!(upto(source).await, None, "each once");
        }
        *home.ends.lock().expect("ends") = Ends { first: 200, next: 200 };
        let lost = again.next(1).await.map(drop);
        assert!(lost.is_err(), "of 102 it is not known that nothing is gone behind it");
    }

    #[tokio::test]
    async fn a_partition_that_is_not_there_is_gone_on_in_only_if_it_lost_nothing() {
        let home = home(0, 0, &[24], None);
        let mut source = open(&home, 24).await.expect("a source");
        assert_eq!(upto(&mut source).await, None);
        assert_eq!(TopicSource::behind(home.as_ref(), "t", &table(24)).await.expect("known"), (0, 0));
        let why = |error: Option<Error>| error.map_or(String::new(), |error| error.detail);
        assert!(why(open(&home, 30).await.err()).contains("made anew"));
        let behind = TopicSource::behind(home.as_ref(), "t", &table(30)).await;
        assert!(why(behind.err()).contains("made anew"));
    }

    #[tokio::test]
    async fn rows_that_are_gone_are_an_error_wherever_it_is_looked() {
        for next in [100, 105] {
            let home = home(100, next, &[24], None);
            let behind = TopicSource::behind(home.as_ref(), "t", &table(30)).await;
            let why = behind.err().map_or(String::new(), |error| error.detail);
            assert!(why.contains("retention has removed 70 offsets before offset 100"), "{why}");
            let mut source = open(&home, 30).await.expect("a source, which looks when it reads");
            assert!(source.next(1).await.is_err());
        }
    }

    #[tokio::test]
    async fn a_table_behind_its_group_is_refused_wherever_its_partition_begins() {
        let home = home(100, 100, &[24, 25], Some(25));
        let why = open(&home, 24).await.err().map_or(String::new(), |error| error.detail);
        assert!(why.contains("the table was at offset 25") && why.contains("knows of 24 now"), "{why}");
    }
}
