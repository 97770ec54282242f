//! How far the stream is taken, and of which history of a server that is a place: one that failed over to a standby, or whose
//! disk was put back, writes other changes at the places that were taken before.

use super::publication::Published;
use super::slot::{again, went_back};
use super::wire::{Fault, Wire};
use crate::postgres::setup::Setup;
use bytes::Bytes;
use kernel::Point;
use kernel::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use tokio::time::timeout;

/// How far the stream is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// The end of the last transaction that is taken whole, or a place behind it where none of ours was open.
    pub lsn: u64,
    /// Rows that are taken of the transaction behind it.
    pub taken: u64,
    /// Where the log was when the snapshot was whole. Before it, rows may have been missed that moved while it was read.
    pub snapshot: u64,
    /// The table by the server's number; 0 where it was not written down.
    #[serde(default)]
    pub table: u32,
    /// What published it when it was taken; none where it was not written down.
    #[serde(default)]
    pub published: Option<Published>,
    /// Whose places these are; none where it was not written down.
    #[serde(default)]
    pub history: Option<History>,
}

impl At {
    pub fn read(partition: &str, point: &Point) -> Result<(Self, u64)> {
        let what = || format!("read the position of {partition}");
        match point {
            Point::Mark { rows, token, .. } => {
                Ok((serde_json::from_str(token).map_err(|e| Error::data(what(), &e))?, *rows))
            }
            _ => Err(Error::data(what(), "it is another connector's")),
        }
    }

    pub fn point(self, rows: u64) -> Result<Point> {
        let token = serde_json::to_string(&self).map_err(|e| Error::internal("write a position", &e))?;
        Ok(Point::Mark { rows, token, done: false })
    }

    /// Nothing behind this place of the log is in the lake. Rows that were read are of the time when the last of them were.
    pub fn reached(&self) -> u64 {
        self.lsn.max(self.snapshot)
    }
}

/// A server's log, told from those that begin as it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// All copies of a server have one number.
    pub system: u64,
    /// Each standby that is promoted begins another one. 0 of a standby: it may be promoted while it is followed.
    pub timeline: u32,
}

/// What a server says of its log.
struct Identity {
    own: History,
    end: u64,
    is_standby: bool,
}

/// The server's code for a file that is not there.
const NO_FILE: &str = "58P01";

impl History {
    /// Asks on a connection of its own.
    pub async fn ask(setup: &Setup, known: Option<At>) -> Result<Self> {
        const WHAT: &str = "ask for the server's history";
        let tls = setup.address.tls()?;
        let asking = async {
            let (mut wire, _) = Wire::open(&setup.address, tls).await?;
            let looked = Self::look(&mut wire, &setup.slot(), known).await;
            wire.end().await;
            looked
        };
        let late = |_| Error::new(Kind::Unreachable, WHAT, "no answer in time (`timeout_ms`)");
        timeout(setup.patience(), asking).await.map_err(late)?.map_err(|fault: Fault| fault.told(WHAT))?
    }

    /// That of the server at the other end. The error inside says that what is known is none of its past; the outer one is of
    /// the connection.
    pub async fn look(wire: &mut Wire, slot: &str, known: Option<At>) -> Result<Result<Self>, Fault> {
        let now = Identity::look(wire).await?;
        if let Some(at) = known
            && let Err(error) = now.check(wire, slot, at).await?
        {
            return Ok(Err(error));
        }
        let timeline = if now.is_standby { 0 } else { now.own.timeline };
        Ok(Ok(Self { timeline, ..now.own }))
    }
}

impl Identity {
    async fn look(wire: &mut Wire) -> Result<Self, Fault> {
        // First: who is no standby now has the same timeline for as long as it runs.
        let is_standby =
            wire.ask("SELECT pg_catalog.pg_is_in_recovery()").await?.first().is_some_and(|told| *told == "t");
        let told = wire.ask("IDENTIFY_SYSTEM").await?;
        let text = |at: usize| told.get(at).and_then(|field: &Bytes| std::str::from_utf8(field).ok());
        let read = || {
            let own = History { system: text(0)?.parse().ok()?, timeline: text(1)?.parse().ok()? };
            Some(Self { own, end: place(text(2)?)?, is_standby })
        };
        read().ok_or(Fault::Broken)
    }

    /// An error inside when the server's log is not the one that was followed up to `at`, or goes on from before it.
    async fn check(&self, wire: &mut Wire, slot: &str, at: At) -> Result<Result<()>, Fault> {
        // A standby that was started again, or lags, gets there.
        if at.reached() > self.end && !self.is_standby {
            return Ok(Err(went_back(slot, at.reached(), self.end)));
        }
        let Some(before) = at.history else { return Ok(Ok(())) };
        let refused = |why: &str| Ok(Err(again(&format!("follow the replication slot `{slot}`"), why)));
        if before.system != self.own.system {
            return refused(
                "the server is another one than the lake has followed (its system identifier differs), and has another log. Let \
                 `connection` lead to the one that was followed; if this one has taken its place",
            );
        }
        let (old, new) = (before.timeline, self.own.timeline);
        match new.cmp(&old) {
            _ if old == 0 => Ok(Ok(())),
            Ordering::Equal => Ok(Ok(())),
            Ordering::Less => refused(&format!(
                "the server is on timeline {new}, and the lake has changes of timeline {old}, which another server began when it took \
                 over. Let `connection` lead to that one; if this one is right"
            )),
            // What was read on the way is not told by one place.
            Ordering::Greater if at.snapshot == 0 => refused(&format!(
                "another server took over while the table was read (its timeline was {old} and is {new}): it may not have had all rows \
                 that were read until then"
            )),
            Ordering::Greater => match wire.ask(&format!("TIMELINE_HISTORY {new}")).await {
                Ok(told) => Ok(gone_on(slot, at.reached(), (old, new), told.get(1).map_or(&[], |file| &file[..]))),
                Err(fault) if fault.code() == Some(NO_FILE) => refused(&format!(
                    "another server took over: its timeline was {old} and is {new}, whose history file is not in its pg_wal, so that \
                     nobody knows whether it had all that the lake has. Put that file there; if it is lost"
                )),
                Err(fault) => Err(fault),
            },
        }
    }
}

/// Whether the timeline `new` goes on with all that was taken of `old`, by the file of its history.
fn gone_on(slot: &str, reached: u64, (old, new): (u32, u32), file: &[u8]) -> Result<()> {
    let why = match left(file, old) {
        Some(end) if reached <= end => return Ok(()),
        Some(end) => format!(
            "another server took over at {} of the log, and the lake has changes up to {} of the one before: the last of them were \
             lost in the failover, and what was written since has taken their places (timelines {old} and {new}). A standby that \
             keeps up (`synchronized_standby_slots`, `synchronous_standby_names`) prevents that",
            shown(end),
            shown(reached)
        ),
        None => format!(
            "another server took over, and its timeline {new} does not come from timeline {old}, which the lake has followed"
        ),
    };
    Err(again(&format!("follow the replication slot `{slot}`"), &why))
}

/// Where a timeline was left, by the file of the history of a later one: its number, the place and a reason, a line each.
fn left(file: &[u8], timeline: u32) -> Option<u64> {
    String::from_utf8_lossy(file).lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let is_own = words.next()?.parse() == Ok(timeline);
        words.next().filter(|_| is_own).and_then(place)
    })
}

/// A place in the log as the server writes it.
fn place(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let part = |hex: &str| u32::from_str_radix(hex, 16).ok().map(u64::from);
    Some(part(high)? << 32 | part(low)?)
}

pub fn shown(place: u64) -> String {
    format!("{:X}/{:X}", place >> 32, place & 0xFFFF_FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    const OWN: History = History { system: 7_301_234_567_890_123_456, timeline: 2 };
    const FILE: &[u8] = b"1\t0/40\tno recovery target specified\n\n2\t1/80\tbefore 2026-07-01\n";

    fn at(lsn: u64, snapshot: u64, history: Option<History>) -> At {
        At { lsn, taken: 0, snapshot, table: 5, published: None, history }
    }

    fn framed(letter: u8, body: &[u8]) -> Vec<u8> {
        [&[letter][..], &u32::try_from(body.len() + 4).expect("a length").to_be_bytes(), body].concat()
    }

    /// An answer of one row.
    fn row(fields: &[&[u8]]) -> Vec<u8> {
        let mut body = u16::try_from(fields.len()).expect("a number").to_be_bytes().to_vec();
        for field in fields {
            body.extend(i32::try_from(field.len()).expect("a length").to_be_bytes());
            body.extend(*field);
        }
        [framed(b'T', b"\0\0"), framed(b'D', &body), framed(b'C', b"done\0"), framed(b'Z', b"I")].concat()
    }

    /// A server that answers what it is asked. `None` has no file of its history.
    async fn serve(mut far: DuplexStream, standby: bool, timeline: u32, file: Option<&[u8]>) {
        while let Ok(b'Q') = far.read_u8().await {
            let mut asked = vec![0; far.read_u32().await.expect("a length") as usize - 4];
            far.read_exact(&mut asked).await.expect("a question");
            let asked = String::from_utf8(asked).expect("a text");
            let own = OWN.system.to_string();
            let answer = match (asked.split([' ', '\0']).next(), file) {
                (Some("SELECT"), _) => row(&[if standby { b"t" } else { b"f" }]),
                (Some("IDENTIFY_SYSTEM"), _) => {
                    row(&[own.as_bytes(), timeline.to_string().as_bytes(), b"1/100", b"shop"])
                }
                (Some("TIMELINE_HISTORY"), Some(file)) => row(&[b"00000003.history", file]),
                _ => framed(b'E', b"SERROR\0C58P01\0Mcould not open file\0\0"),
            };
            far.write_all(&answer).await.expect("an answer");
        }
    }

    async fn looked(known: Option<At>, standby: bool, timeline: u32, file: Option<&'static [u8]>) -> Result<History> {
        let (near, far) = tokio::io::duplex(10_000);
        let server = tokio::spawn(serve(far, standby, timeline, file));
        let looked = History::look(&mut Wire::new(near), "mine", known).await.expect("a server that answers");
        server.await.expect("its end");
        looked
    }

    #[tokio::test]
    async fn a_failover_that_kept_all_that_was_taken_is_gone_on_behind() {
        let (end, all) = (0x1_0000_0080, Some(FILE));
        let kept = |lsn, snapshot| Some(at(lsn, snapshot, Some(OWN)));
        assert_eq!(looked(None, false, 2, None).await.expect("nothing is known"), OWN);
        assert_eq!(looked(kept(end, 1), false, 2, None).await.expect("no failover"), OWN);
        let now = History { timeline: 3, ..OWN };
        assert_eq!(looked(kept(end, 1), false, 3, all).await.expect("all of it was kept"), now);
        let older = Some(at(end + 0x10, 1, None));
        assert_eq!(looked(older, false, 3, all).await.expect("nobody wrote down whose it was"), now);
        let told = async |known, timeline, file| {
            let error: Error = looked(known, false, timeline, file).await.expect_err("an error");
            assert!(error.kind == Kind::Data && error.to_string().contains("the table is taken anew"), "{error}");
            error.to_string()
        };
        let lost = told(kept(end + 1, 1), 3, all).await;
        assert!(lost.contains("took over at 1/80") && lost.contains("up to 1/81"), "{lost}");
        let read = told(kept(8, end + 1), 3, all).await;
        assert!(read.contains("up to 1/81"), "rows of the snapshot were lost as well: {read}");
        assert!(told(kept(8, 0), 3, all).await.contains("while the table was read"));
        assert!(told(kept(8, 1), 3, None).await.contains("history file"));
        assert!(told(kept(8, 1), 3, Some(b"1\t0/40\tother\n")).await.contains("does not come from"));
        assert!(told(kept(8, 1), 1, None).await.contains("lead to that one"));
        assert!(told(Some(at(8, 1, Some(History { system: 9, ..OWN }))), 2, all).await.contains("another one"));
        let back = told(kept(0x1_0000_0101, 1), 2, None).await;
        assert!(back.contains("up to 1/101") && back.contains("ends at 1/100"), "{back}");
    }

    /// It may be promoted while it is followed, and be behind for a while.
    #[tokio::test]
    async fn the_timeline_of_a_standby_is_not_written_down() {
        let unknown = History { timeline: 0, ..OWN };
        let far = Some(at(0x2_0000_0000, 1, Some(OWN)));
        assert_eq!(looked(far, true, 2, None).await.expect("it gets there"), unknown);
        let known = Some(at(0x1_0000_0090, 1, Some(unknown)));
        assert_eq!(looked(known, false, 3, Some(FILE)).await.expect("promoted"), History { timeline: 3, ..OWN });
    }

    #[test]
    fn a_position_keeps_whose_it_is() {
        let own = at(9, 8, Some(OWN));
        assert_eq!(At::read("t", &own.point(3).expect("a point")).expect("a position"), (own, 3));
        let token = r#"{"lsn":9,"taken":0,"snapshot":8,"table":5}"#.into();
        let (older, _) = At::read("t", &Point::Mark { rows: 3, token, done: false }).expect("an older position");
        assert_eq!(older, at(9, 8, None));
    }
}
