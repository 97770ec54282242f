//! Messages of `pgoutput`, the server's own form of changes (PostgreSQL's manual, "Logical Replication Message Formats").
//! Transactions come whole and in the order of their commits, so that nothing is kept of one that is open; whatever would
//! belong to one that is not asked for, and is an error.

use bytes::{Buf, Bytes};
use kernel::error::{Error, Result};
use std::sync::Arc;

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Cell {
    Null,
    /// A large value that did not change and was not sent.
    Unsent,
    /// As text.
    Text(Bytes),
}

pub type Tuple = Vec<Cell>;

/// What a change says of the row as it was.
#[derive(Debug, PartialEq, Eq)]
pub enum Old {
    Nothing,
    /// The columns that identify it; the others are null.
    Key(Tuple),
    Whole(Tuple),
}

#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    Begin {
        /// Where the commit is.
        commit: u64,
        /// Microseconds since 1970.
        at: i64,
    },
    Commit {
        end: u64,
    },
    Relation(Relation),
    Insert {
        relation: u32,
        new: Tuple,
    },
    Update {
        relation: u32,
        old: Old,
        new: Tuple,
    },
    Delete {
        relation: u32,
        old: Old,
    },
    Truncate {
        relations: Vec<u32>,
    },
    /// Of types, origins, and what programs write into the log: nothing for us.
    Other,
}

/// From 1970 to 2000, where the server counts from.
pub const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// A table as it is from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    pub id: u32,
    pub schema: String,
    pub name: String,
    pub columns: Vec<Described>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub name: Arc<str>,
    pub oid: u32,
    pub modifier: i32,
    /// Whether a change told its old value then.
    pub identifies: bool,
}

fn broken() -> Error {
    Error::data("read a change", "the message is not as the protocol has it")
}

pub fn read(mut bytes: Bytes) -> Result<Message> {
    let from = &mut bytes;
    Ok(match byte(from)? {
        b'B' => Message::Begin { commit: place(from)?, at: (place(from)? as i64).saturating_add(EPOCH_MICROS) },
        b'C' => {
            // Flags, and where the commit is.
            byte(from)?;
            place(from)?;
            Message::Commit { end: place(from)? }
        }
        b'R' => Message::Relation(relation(from)?),
        b'I' => {
            let relation = long(from)?;
            match byte(from)? {
                b'N' => Message::Insert { relation, new: tuple(from)? },
                _ => return Err(broken()),
            }
        }
        b'U' => {
            let relation = long(from)?;
            let (mark, old) = match byte(from)? {
                b'K' => (None, Old::Key(tuple(from)?)),
                b'O' => (None, Old::Whole(tuple(from)?)),
                mark => (Some(mark), Old::Nothing),
            };
            let mark = mark.map_or_else(|| byte(from), Ok)?;
            match mark {
                b'N' => Message::Update { relation, old, new: tuple(from)? },
                _ => return Err(broken()),
            }
        }
        b'D' => {
            let relation = long(from)?;
            match byte(from)? {
                b'K' => Message::Delete { relation, old: Old::Key(tuple(from)?) },
                b'O' => Message::Delete { relation, old: Old::Whole(tuple(from)?) },
                _ => return Err(broken()),
            }
        }
        b'T' => {
            let count = long(from)?;
            byte(from)?;
            let relations: Result<Vec<u32>> = (0..count).map(|_| long(from)).collect();
            Message::Truncate { relations: relations? }
        }
        b'Y' | b'O' | b'M' => Message::Other,
        other => return Err(unasked(other)),
    })
}

/// Of transactions that are open or only prepared, which are not asked for: what they tell may never have happened.
fn unasked(letter: u8) -> Error {
    let name = match letter {
        b'S' => "Stream Start",
        b'E' => "Stream Stop",
        b'c' => "Stream Commit",
        b'A' => "Stream Abort",
        b'p' => "Stream Prepare",
        b'b' => "Begin Prepare",
        b'P' => "Prepare",
        b'K' => "Commit Prepared",
        b'r' => "Rollback Prepared",
        other => {
            return Error::data(
                "read a change",
                format!("the server sends a message `{}` that is not known", other.escape_ascii()),
            );
        }
    };
    Error::data(
        "read a change",
        format!("the server sends `{name}`, which was not asked for: only what is committed is taken"),
    )
}

fn relation(from: &mut Bytes) -> Result<Relation> {
    let (id, schema, name) = (long(from)?, text(from)?, text(from)?);
    byte(from)?;
    let count = short(from)?;
    let column = |_| -> Result<Described> {
        // The only flag there is.
        let identifies = byte(from)? & 1 == 1;
        Ok(Described { name: text(from)?.into(), oid: long(from)?, modifier: long(from)? as i32, identifies })
    };
    let columns: Result<Vec<Described>> = (0..count).map(column).collect();
    Ok(Relation { id, schema, name, columns: columns? })
}

fn tuple(from: &mut Bytes) -> Result<Tuple> {
    let count = short(from)?;
    let mut cells = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        cells.push(match byte(from)? {
            b'n' => Cell::Null,
            b'u' => Cell::Unsent,
            b't' => {
                let length = usize::try_from(long(from)?).map_err(|_| broken())?;
                if length > from.len() {
                    return Err(broken());
                }
                Cell::Text(from.split_to(length))
            }
            _ => return Err(broken()),
        });
    }
    Ok(cells)
}

fn byte(from: &mut Bytes) -> Result<u8> {
    from.try_get_u8().map_err(|_| broken())
}

fn short(from: &mut Bytes) -> Result<u16> {
    from.try_get_u16().map_err(|_| broken())
}

fn long(from: &mut Bytes) -> Result<u32> {
    from.try_get_u32().map_err(|_| broken())
}

fn place(from: &mut Bytes) -> Result<u64> {
    from.try_get_u64().map_err(|_| broken())
}

fn text(from: &mut Bytes) -> Result<String> {
    let end = from.iter().position(|byte| *byte == 0).ok_or_else(broken)?;
    let text = from.split_to(end);
    from.advance(1);
    String::from_utf8(text.to_vec()).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(parts: &[&[u8]]) -> Bytes {
        parts.concat().into()
    }

    fn cell(text: &str) -> Cell {
        Cell::Text(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn changes_are_read() {
        let one = [0, 0, 0, 7];
        let key: &[u8] = &[0, 2, b't', 0, 0, 0, 1, b'5', b'n'];
        let new: &[u8] = &[0, 2, b't', 0, 0, 0, 1, b'6', b'u'];
        let update = read(message(&[b"U", &one, b"K", key, b"N", new])).expect("an update");
        let old = Old::Key(vec![cell("5"), Cell::Null]);
        assert_eq!(update, Message::Update { relation: 7, old, new: vec![cell("6"), Cell::Unsent] });
        let delete = read(message(&[b"D", &one, b"O", key])).expect("a delete");
        assert_eq!(delete, Message::Delete { relation: 7, old: Old::Whole(vec![cell("5"), Cell::Null]) });
        let truncate = read(message(&[b"T", &[0, 0, 0, 1, 0], &one])).expect("a truncate");
        assert_eq!(truncate, Message::Truncate { relations: vec![7] });
        let relation = message(&[b"R", &one, b"s\0t\0d", &[0, 1, 1], b"id\0", &[0, 0, 0, 23, 255, 255, 255, 255]]);
        let Message::Relation(relation) = read(relation).expect("a relation") else { panic!("a relation") };
        assert_eq!((relation.name.as_str(), &*relation.columns[0].name, relation.columns[0].oid), ("t", "id", 23));
        assert!(relation.columns[0].identifies);
    }

    #[test]
    fn a_transaction_says_when_it_was_and_where_it_ends() {
        let place = |at: u64| at.to_be_bytes();
        let begin = read(message(&[b"B", &place(40), &place(5), &[0, 0, 0, 9]])).expect("a beginning");
        assert_eq!(begin, Message::Begin { commit: 40, at: EPOCH_MICROS + 5 });
        let commit = read(message(&[b"C", &[0], &place(40), &place(48), &place(5)])).expect("an end");
        assert_eq!(commit, Message::Commit { end: 48 });
    }

    #[test]
    fn what_was_not_asked_for_is_refused_by_its_name() {
        for (letter, name) in [
            (b'S', "Stream Start"),
            (b'E', "Stream Stop"),
            (b'c', "Stream Commit"),
            (b'A', "Stream Abort"),
            (b'p', "Stream Prepare"),
            (b'b', "Begin Prepare"),
            (b'P', "Prepare"),
            (b'K', "Commit Prepared"),
            (b'r', "Rollback Prepared"),
            (b'?', "`?`"),
        ] {
            let told = read(message(&[&[letter], &[0; 40]])).expect_err("an error").to_string();
            assert!(told.contains(name), "{told}");
        }
        for letter in [b'Y', b'O', b'M'] {
            assert_eq!(read(message(&[&[letter], &[0; 40]])).expect("nothing for us"), Message::Other);
        }
    }

    #[test]
    fn a_message_that_breaks_off_is_an_error_and_no_panic() {
        let whole = message(&[b"U", &[0, 0, 0, 7], b"N", &[0, 1, b't', 0, 0, 0, 3, b'a', b'b', b'c']]);
        for length in 0..whole.len() {
            assert!(read(whole.slice(..length)).is_err(), "{length}");
        }
        assert!(read(whole).is_ok());
    }
}
