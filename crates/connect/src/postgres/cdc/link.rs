//! The stream of changes: what comes is read ahead, and the server hears all the time that we live and what is durable.

use super::pgoutput::EPOCH_MICROS;
use super::position::{At, History};
use super::publication::dropped;
use super::slot::{A_MOMENT, IN_USE, gone};
use super::wire::{Fault, Message, Wire};
use crate::postgres::setup::Setup;
use bytes::{Buf, Bytes, BytesMut};
use kernel::clock::Clock;
use kernel::error::{Error, Kind, Result};
use postgres_protocol::message::frontend::CopyData;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// A replication connection; it ends with this value.
pub struct Link {
    news: mpsc::Receiver<Result<Vec<Event>, Fault>>,
    came: std::vec::IntoIter<Event>,
    /// Changes with all that comes, be it a part of a message.
    heard: watch::Receiver<()>,
    settled: watch::Sender<u64>,
    told: watch::Receiver<u64>,
    publication: String,
    patience: Duration,
    /// When something came last, as far as was seen.
    since: Instant,
}

/// What the server sends.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A message of `pgoutput`.
    Change(Bytes),
    /// It lives, and everything before this place in its log was sent.
    Alive(u64),
}

/// A process that died holds its slot until the server notices.
const HELD_TRIES: u32 = 150;

/// How long the server may take to hear of what is durable when nothing else goes on.
const TOLD: Duration = Duration::from_secs(1);

/// How often the server hears of us when there is nothing else to tell, also while what it sent waits here.
const BEAT: Duration = Duration::from_secs(1);

/// What is read ahead: so many times what one read gives, which is a block or one larger message.
const READ_AHEAD: usize = 4;

/// The server's code for an object that is not there.
const UNDEFINED: &str = "42704";

impl Link {
    /// Begins to stream behind `at`, which is durable, and tells whose log that is. An error when it is none that goes on with what
    /// was taken.
    pub async fn open(setup: &Setup, clock: Arc<dyn Clock>, at: At) -> Result<(Self, History)> {
        let (slot, publication) = (setup.slot(), setup.publication());
        let what = format!("follow the replication slot `{slot}`");
        let tls = setup.address.tls()?;
        let mut tries = 0;
        loop {
            let starting = async {
                let (mut wire, version) = Wire::open(&setup.address, tls.clone()).await?;
                match begin(&mut wire, &version, setup, at).await {
                    Ok(Ok(history)) => Ok(Ok((wire, history))),
                    other => {
                        wire.end().await;
                        other.map(|history| history.map(|history| (wire, history)))
                    }
                }
            };
            let late = |_| Error::new(Kind::Unreachable, &what, "no answer in time (`timeout_ms`)");
            match timeout(setup.patience(), starting).await.map_err(late)? {
                Ok(begun) => {
                    let (wire, history) = begun?;
                    return Ok((Self::on(wire, clock, publication, setup.patience()), history));
                }
                Err(fault) if fault.code() == Some(IN_USE) && tries < HELD_TRIES => {
                    tries += 1;
                    sleep(A_MOMENT).await;
                }
                // It is looked up right now; the publication is not before there are changes.
                Err(fault) if fault.code() == Some(UNDEFINED) => return Err(gone(&slot)),
                Err(fault) => return Err(fault.told(&what)),
            }
        }
    }

    /// Of a connection that streams.
    fn on(wire: Wire, clock: Arc<dyn Clock>, publication: String, patience: Duration) -> Self {
        let (out, news) = mpsc::channel(READ_AHEAD);
        let (settled, durable) = watch::channel(0);
        let (said, told) = watch::channel(0);
        let (hears, heard) = watch::channel(());
        let reader = Reader { wire, durable, said, hears, clock, patience };
        tokio::spawn(reader.run(out));
        let since = Instant::now();
        Self { news, came: Vec::new().into_iter(), heard, settled, told, publication, patience, since }
    }

    /// The next event. Who drops this call has taken nothing, and a silence goes on in the next one.
    pub async fn next(&mut self) -> Result<Event> {
        const WHAT: &str = "follow changes";
        let late = |_| Error::new(Kind::Unreachable, WHAT, "the server says nothing (`timeout_ms`)");
        loop {
            if let Some(event) = self.came.next() {
                return Ok(event);
            }
            let left = self.patience.saturating_sub(self.since.elapsed());
            let news = tokio::select! {
                biased;
                // A long message takes its time, and who sends it lives.
                Ok(()) = self.heard.changed() => {
                    self.since = Instant::now();
                    continue;
                }
                news = timeout(left, self.news.recv()) => news.map_err(late)?,
            };
            self.since = Instant::now();
            match news {
                Some(Ok(events)) => self.came = events.into_iter(),
                Some(Err(fault)) => return Err(failed(WHAT, &self.publication, &fault)),
                None => return Err(Fault::Ended.told(WHAT)),
            }
        }
    }

    /// Everything before `upto` is durable: the server may forget it. `waits` until it has been told.
    pub async fn settle(&self, upto: u64, waits: bool) {
        self.settled.send_if_modified(|settled| {
            let is_more = upto > *settled;
            *settled = upto.max(*settled);
            is_more
        });
        if waits {
            let mut told = self.told.clone();
            // Who is not told in time is told by the next run.
            drop(timeout(TOLD, told.wait_for(|told| *told >= upto)).await);
        }
    }
}

/// What is asked before the stream, and then the stream. The error inside is not the connection's.
async fn begin(wire: &mut Wire, version: &str, setup: &Setup, at: At) -> Result<Result<History>, Fault> {
    let slot = setup.slot();
    wire.shorten(setup.patience()).await?;
    let history = History::look(wire, &slot, Some(at)).await?;
    if history.is_ok() {
        wire.start(version, &slot, &setup.publication(), at.lsn).await?;
    }
    Ok(history)
}

/// The server looks for the publication as it was at each place of its log.
fn failed(what: &str, publication: &str, fault: &Fault) -> Error {
    match fault.code() {
        Some(UNDEFINED) => dropped(publication),
        _ => fault.told(what),
    }
}

/// What reads the connection for a link, and ends with it.
struct Reader {
    wire: Wire,
    durable: watch::Receiver<u64>,
    said: watch::Sender<u64>,
    hears: watch::Sender<()>,
    clock: Arc<dyn Clock>,
    patience: Duration,
}

impl Reader {
    async fn run(mut self, out: mpsc::Sender<Result<Vec<Event>, Fault>>) {
        if let Err(fault) = self.follow(&out).await {
            drop(out.send(Err(fault)).await);
        }
        drop(out);
        self.wire.end().await;
    }

    /// Hands on what comes until nobody wants it. While it waits for a taker nothing is read, and so the server waits too.
    async fn follow(&mut self, out: &mpsc::Sender<Result<Vec<Event>, Fault>>) -> Result<(), Fault> {
        // Often enough that an answer comes in time.
        let mut beat = interval(BEAT.min(self.patience / 4).max(Duration::from_millis(1)));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut came, mut over, mut is_heard) = (Vec::new(), None, true);
        loop {
            if came.is_empty() && over.is_none() {
                over = self.take(&mut came).await.err();
            }
            // What came before the end is handed on first.
            if came.is_empty()
                && let Some(fault) = over.take()
            {
                return Err(fault);
            }
            tokio::select! {
                place = out.reserve(), if !came.is_empty() => match place {
                    Ok(place) => place.send(Ok(std::mem::take(&mut came))),
                    Err(_) => return Ok(()),
                },
                filled = self.wire.fill(), if came.is_empty() => {
                    filled?;
                    is_heard = true;
                    self.hears.send_replace(());
                }
                raised = self.durable.changed() => match raised {
                    Ok(()) => self.tell(false).await?,
                    Err(_) => return Ok(()),
                },
                // A server that looks through what is not for us says nothing of itself, as long as it hears of us.
                _ = beat.tick() => {
                    self.tell(came.is_empty() && !is_heard).await?;
                    is_heard = false;
                }
            }
        }
    }

    /// Takes all that has come whole, and answers where the server asks.
    async fn take(&mut self, came: &mut Vec<Event>) -> Result<(), Fault> {
        while let Some(Message { letter, mut body }) = self.wire.take()? {
            match letter {
                b'd' => match body.try_get_u8() {
                    // Where it begins and ends, and when it was sent.
                    Ok(b'w') if body.len() >= 24 => {
                        body.advance(24);
                        came.push(Event::Change(body));
                    }
                    Ok(b'k') if body.len() == 17 => {
                        came.push(Event::Alive(body.get_u64()));
                        if body[8] != 0 {
                            self.tell(false).await?;
                        }
                    }
                    _ => return Err(Fault::Broken),
                },
                b'c' => return Err(Fault::Ended),
                // Notices, and settings that change.
                _ => {}
            }
        }
        Ok(())
    }

    /// Tells what is durable; of nothing yet, 0 is no place. May ask for a sign of life.
    async fn tell(&mut self, asks: bool) -> Result<(), Fault> {
        let upto = *self.durable.borrow_and_update();
        let now = self.clock.now().0.saturating_sub(EPOCH_MICROS);
        let place = upto.to_be_bytes();
        // Written, durable and applied are one.
        let status = [&b"r"[..], &place, &place, &place, &now.to_be_bytes(), &[u8::from(asks)]].concat();
        let mut message = BytesMut::new();
        CopyData::new(&status[..])?.write(&mut message);
        let late = |_| Fault::Way(io::ErrorKind::TimedOut.into());
        timeout(self.patience, self.wire.send(&message)).await.map_err(late)??;
        self.said.send_replace(upto);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::clock::ManualClock;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    const PATIENCE: Duration = Duration::from_secs(60);

    fn link(capacity: usize) -> (Link, DuplexStream) {
        let (near, far) = tokio::io::duplex(capacity);
        let clock = Arc::new(ManualClock::at(EPOCH_MICROS + 7));
        (Link::on(Wire::new(near), clock, "own".into(), PATIENCE), far)
    }

    fn framed(letter: u8, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let length = u32::try_from(body.len() + 4).expect("a length").to_be_bytes();
        [&[letter][..], &length, &body].concat()
    }

    fn change(data: &[u8]) -> Vec<u8> {
        framed(b'd', &[b"w", &[0; 24], data])
    }

    fn alive(upto: u64, asks: bool) -> Vec<u8> {
        framed(b'd', &[b"k", &upto.to_be_bytes(), &[0; 8], &[u8::from(asks)]])
    }

    /// The next message of the client: a place that it tells is durable, or the letter of another one.
    async fn heard(far: &mut DuplexStream) -> Result<u64, u8> {
        Ok(said(far).await?.0)
    }

    /// The same, and whether it asks for an answer.
    async fn said(far: &mut DuplexStream) -> Result<(u64, bool), u8> {
        let letter = far.read_u8().await.expect("a message");
        let mut body = vec![0; far.read_u32().await.expect("a length") as usize - 4];
        far.read_exact(&mut body).await.expect("its body");
        match letter {
            b'd' => {
                assert_eq!((body.len(), body[0]), (34, b'r'), "{body:?}");
                assert_eq!(body[25..33], 7_u64.to_be_bytes(), "microseconds since 2000");
                assert!(body[1..9] == body[9..17] && body[9..17] == body[17..25], "{body:?}");
                Ok((u64::from_be_bytes(body[1..9].try_into().expect("a place")), body[33] == 1))
            }
            other => Err(other),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_hears_what_is_durable_at_once_and_that_we_live() {
        let (link, mut far) = link(1000);
        assert_eq!(heard(&mut far).await, Ok(0), "who only looks lets the server forget nothing");
        let start = tokio::time::Instant::now();
        link.settle(42, true).await;
        assert_eq!(start.elapsed(), Duration::ZERO, "it is told before anything else happens");
        assert_eq!(heard(&mut far).await, Ok(42));
        link.settle(41, true).await;
        assert_eq!(heard(&mut far).await, Ok(42), "it never goes back");
        assert!(start.elapsed() >= BEAT / 2, "nothing new is told when it is time");
        let asked = tokio::time::Instant::now();
        far.write_all(&alive(50, true)).await.expect("a question");
        assert_eq!(heard(&mut far).await, Ok(42));
        assert_eq!(asked.elapsed(), Duration::ZERO, "who asks is answered");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_silent_is_left_however_short_each_call_is() {
        let (mut link, _far) = link(1000);
        let start = tokio::time::Instant::now();
        let error = loop {
            if let Ok(event) = timeout(PATIENCE / 6, link.next()).await {
                break event.expect_err("nobody says anything");
            }
            assert!(start.elapsed() <= 2 * PATIENCE, "it is waited for ever");
        };
        assert!(error.detail.contains("timeout_ms"), "{error:?}");
        assert!(start.elapsed() >= PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_of_itself_is_asked_whether_it_lives() {
        let (mut link, mut far) = link(1000);
        let server = tokio::spawn(async move {
            for upto in 1..=600 {
                while !said(&mut far).await.expect("a status").1 {}
                far.write_all(&alive(upto, false)).await.expect("an answer");
            }
            far
        });
        let start = tokio::time::Instant::now();
        for upto in 1..=600 {
            assert_eq!(link.next().await.expect("a sign of life"), Event::Alive(upto));
        }
        assert!(start.elapsed() > 10 * PATIENCE);
        let _far = server.await.expect("a server");
        let told = link.next().await.expect_err("now it is gone");
        assert!(told.to_string().contains("`timeout_ms`"), "{told}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_message_is_waited_for_while_it_comes() {
        let (mut link, far) = link(1000);
        let (mut hears, mut says) = tokio::io::split(far);
        tokio::spawn(async move { while hears.read_u8().await.is_ok() {} });
        let whole = change(&[1; 500]);
        let saying = tokio::spawn(async move {
            for piece in whole.chunks(50) {
                sleep(PATIENCE / 2).await;
                says.write_all(piece).await.expect("a piece");
            }
            says.write_all(&change(&[2; 500])[..50]).await.expect("a piece");
            says
        });
        assert_eq!(link.next().await.expect("a change"), Event::Change(Bytes::from(vec![1; 500])));
        let start = tokio::time::Instant::now();
        let _says = saying.await.expect("all was sent");
        let told = link.next().await.expect_err("the next one comes no further");
        assert!(told.to_string().contains("`timeout_ms`"), "{told}");
        assert!(start.elapsed() < 2 * PATIENCE, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_dropped_takes_nothing() {
        let (mut link, mut far) = link(1000);
        let whole = [change(b"one"), alive(9, false), change(b"two")].concat();
        let mut came = Vec::new();
        for piece in whole.chunks(5) {
            far.write_all(piece).await.expect("a piece");
            if let Ok(event) = timeout(Duration::from_millis(1), link.next()).await {
                came.push(event.expect("an event"));
            }
        }
        while came.len() < 3 {
            came.push(link.next().await.expect("an event"));
        }
        let one = |data: &'static [u8]| Event::Change(Bytes::from_static(data));
        assert_eq!(came, [one(b"one"), Event::Alive(9), one(b"two")]);
    }

    #[tokio::test(start_paused = true)]
    async fn while_nobody_takes_the_server_waits_and_hears_of_us() {
        let (mut link, far) = link(1000);
        let (mut hears, mut says) = tokio::io::split(far);
        let sent = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = sent.clone();
        let saying = tokio::spawn(async move {
            for _ in 0..1000 {
                says.write_all(&change(&[1; 10_000])).await.expect("a change");
                counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        });
        let mut beats = vec![0; 20 * 39];
        hears.read_exact(&mut beats).await.expect("so many beats");
        let waiting = sent.load(std::sync::atomic::Ordering::SeqCst);
        assert!(waiting < 100, "{waiting} changes are here or on their way");
        for _ in 0..1000 {
            assert_eq!(link.next().await.expect("a change"), Event::Change(Bytes::from(vec![1; 10_000])));
        }
        saying.await.expect("all was sent");
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_that_is_dropped_says_goodbye() {
        let (link, mut far) = link(1000);
        assert_eq!(heard(&mut far).await, Ok(0));
        drop(link);
        assert_eq!((heard(&mut far).await, heard(&mut far).await), (Err(b'c'), Err(b'X')));
        assert_eq!(far.read(&mut [0; 1]).await.expect("an end"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_ends_the_stream_is_told_behind_what_came_before() {
        let error = |code: &str| framed(b'E', &[b"SERROR\0C", code.as_bytes(), b"\0Mwhy\0\0"]);
        let done = framed(b'c', &[]);
        for (end, kind, why) in [
            (error(UNDEFINED), Kind::Data, "was dropped"),
            (error("57P01"), Kind::Unreachable, "why (57P01)"),
            (error("22P02"), Kind::Data, "not shown"),
            (done, Kind::Unreachable, "ended the stream"),
            (framed(b'd', &[b"?"]), Kind::Unreachable, "broke off"),
            (Vec::new(), Kind::Unreachable, "says nothing"),
        ] {
            let (mut link, mut far) = link(1000);
            far.write_all(&[change(b"one"), end].concat()).await.expect("a change");
            assert_eq!(link.next().await.expect("a change"), Event::Change(Bytes::from_static(b"one")), "{why}");
            let told = link.next().await.expect_err("an end");
            assert!(told.kind == kind && told.to_string().contains(why), "{told} is not: {why}");
        }
    }
}
