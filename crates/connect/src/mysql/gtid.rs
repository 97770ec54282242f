//! Sets of transactions: how far the log is taken, in either dialect.

use kernel::{Error, Result};
use mysql_async::{GnoInterval, Sid};
use std::collections::BTreeMap;
use std::fmt;

/// All transactions up to some, by where they were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gtids {
    /// By domain the last transaction: server and number. Written `0-1-7,5-2-9`.
    MariaDb(BTreeMap<u32, (u32, u64)>),
    /// By server the numbers, as ranges from and to, both taken. Written `uuid:1-7:9,uuid:1`.
    MySql(BTreeMap<[u8; 16], Vec<(u64, u64)>>),
}

/// One transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gtid {
    MariaDb { domain: u32, server: u32, number: u64 },
    MySql { server: [u8; 16], number: u64 },
}

impl Gtids {
    pub fn parse(text: &str, is_mariadb: bool) -> Result<Self> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let read = match is_mariadb {
            true => parts.map(mariadb).collect::<Option<_>>().map(Self::MariaDb),
            false => {
                parts.map(mysql).collect::<Option<Vec<_>>>().map(|servers| Self::MySql(servers.into_iter().collect()))
            }
        };
        read.ok_or_else(|| {
            let dialect = if is_mariadb { "MariaDB" } else { "MySQL, without tags," };
            Error::data(
                "read a GTID position",
                format!("it is not one of {dialect}; a position of another kind of server can't be gone on with"),
            )
        })
    }

    /// One transaction more.
    pub fn add(&mut self, gtid: Gtid) {
        match (self, gtid) {
            (Self::MariaDb(domains), Gtid::MariaDb { domain, server, number }) => {
                domains.insert(domain, (server, number));
            }
            (Self::MySql(servers), Gtid::MySql { server, number }) => join(servers.entry(server).or_default(), number),
            (Self::MariaDb(_), Gtid::MySql { .. }) | (Self::MySql(_), Gtid::MariaDb { .. }) => {}
        }
    }

    /// As the request for MySQL's log takes it.
    pub fn sids(&self) -> Vec<Sid<'static>> {
        let Self::MySql(servers) = self else { return Vec::new() };
        // The end of a range is the first that is not in it.
        let interval = |(from, to): &(u64, u64)| GnoInterval::new(*from, *to + 1);
        servers
            .iter()
            .map(|(server, ranges)| Sid::new(*server).with_intervals(ranges.iter().map(interval).collect()))
            .collect()
    }
}

/// Puts a number into ranges that are in order and do not touch.
fn join(ranges: &mut Vec<(u64, u64)>, number: u64) {
    let at = ranges.partition_point(|(_, to)| *to + 1 < number);
    match ranges.get_mut(at) {
        Some((from, to)) if *from <= number + 1 => {
            (*from, *to) = ((*from).min(number), (*to).max(number));
            if let Some(next) = ranges.get(at + 1).copied().filter(|next| next.0 == ranges[at].1 + 1) {
                ranges[at].1 = next.1;
                ranges.remove(at + 1);
            }
        }
        _ => ranges.insert(at, (number, number)),
    }
}

fn mariadb(part: &str) -> Option<(u32, (u32, u64))> {
    let mut numbers = part.split('-');
    let read = (numbers.next()?.parse().ok()?, (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?));
    numbers.next().is_none().then_some(read)
}

/// A server and ranges of its numbers.
type Ranges = ([u8; 16], Vec<(u64, u64)>);

fn mysql(part: &str) -> Option<Ranges> {
    let (server, ranges) = part.split_once(':')?;
    let hex: String = server.chars().filter(|sign| *sign != '-').collect();
    let mut bytes = [0; 16];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    let range = |text: &str| {
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        Some((from.trim().parse::<u64>().ok()?, to.trim().parse::<u64>().ok()?))
            .filter(|(from, to)| *from > 0 && from <= to)
    };
    let ranges = ranges.split(':').map(range).collect::<Option<Vec<_>>>()?;
    (hex.len() == 32).then_some((bytes, ranges))
}

impl fmt::Display for Gtids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = match self {
            Self::MariaDb(domains) => {
                domains.iter().map(|(domain, (server, number))| format!("{domain}-{server}-{number}")).collect()
            }
            Self::MySql(servers) => {
                let range =
                    |(from, to): &(u64, u64)| if from == to { format!(":{from}") } else { format!(":{from}-{to}") };
                servers
                    .iter()
                    .map(|(server, ranges)| uuid(server) + &ranges.iter().map(range).collect::<String>())
                    .collect()
            }
        };
        f.write_str(&all.join(","))
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MariaDb { domain, server, number } => write!(f, "{domain}-{server}-{number}"),
            Self::MySql { server, number } => write!(f, "{}:{number}", uuid(server)),
        }
    }
}

fn uuid(bytes: &[u8; 16]) -> String {
    let hex = |range: std::ops::Range<usize>| bytes[range].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    [hex(0..4), hex(4..6), hex(6..8), hex(8..10), hex(10..16)].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn both_dialects_come_back_as_they_were_written() {
        for (text, is_mariadb) in [
            ("", true),
            ("", false),
            ("0-1-7,5-2-900", true),
            ("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-7:9,4e11fa47-71ca-11e1-9e33-c80aa9429562:1", false),
        ] {
            assert_eq!(Gtids::parse(text, is_mariadb).expect("a set").to_string(), text);
        }
        let spread = format!("{}:1-7,\n 4e11fa47-71ca-11e1-9e33-c80aa9429562:1", SERVER.to_uppercase());
        assert!(Gtids::parse(&spread, false).is_ok(), "as the server breaks lines");
        for (bad, is_mariadb) in [("0-1", true), ("x", true), (SERVER, false), ("0-1-7", false), ("3e11:1", false)] {
            assert!(Gtids::parse(bad, is_mariadb).is_err(), "{bad}");
        }
    }

    #[test]
    fn transactions_are_joined_to_ranges_in_any_order() {
        let mut all = Gtids::parse(&format!("{SERVER}:1-3:9"), false).expect("a set");
        let Gtids::MySql(servers) = &all else { panic!("of MySQL") };
        let server = *servers.keys().next().expect("a server");
        for (number, expected) in [
            (5, "1-3:5:9"),
            (4, "1-5:9"),
            (8, "1-5:8-9"),
            (2, "1-5:8-9"),
            (20, "1-5:8-9:20"),
            (7, "1-5:7-9:20"),
            (6, "1-9:20"),
        ] {
            all.add(Gtid::MySql { server, number });
            assert_eq!(all.to_string(), format!("{SERVER}:{expected}"));
        }
        let request = &all.sids()[0];
        assert_eq!(request.intervals().iter().map(|i| (i.start(), i.end())).collect::<Vec<_>>(), [(1, 10), (20, 21)]);
        let mut maria = Gtids::parse("0-1-7", true).expect("a set");
        maria.add(Gtid::MariaDb { domain: 0, server: 2, number: 8 });
        assert_eq!(maria.to_string(), "0-2-8");
    }
}
