//! The wire format: a magic byte, the schema's id in four bytes, big end first, and the message. Before a Protobuf message
//! stands which one of the file's it is.

use kernel::error::{Error, Result};

const MAGIC: u8 = 0;
const HEAD: usize = 5;
/// A path to a nested message is no longer than this in any file that somebody wrote.
const PATH_MAX: usize = 64;

/// What stands before a message.
pub fn head(id: i32) -> [u8; HEAD] {
    let id = id.to_be_bytes();
    [MAGIC, id[0], id[1], id[2], id[3]]
}

/// The id of the schema and the message.
pub fn open(bytes: &[u8]) -> Result<(i32, &[u8])> {
    match bytes {
        [MAGIC, a, b, c, d, message @ ..] => Ok((i32::from_be_bytes([*a, *b, *c, *d]), message)),
        [MAGIC, ..] => Err(unreadable("it ends before its schema's id")),
        [] => Err(unreadable("it is empty")),
        _ => Err(unreadable("it does not begin with the magic byte 0, so no serializer of a registry has written it")),
    }
}

/// The path of a message in its file: `[0]` is the first, `[2, 1]` the second one inside the third.
pub fn put_path(path: &[u32], into: &mut Vec<u8>) {
    // The first message of a file is so common that it is written as a path of no length.
    if path == [0] {
        return into.push(0);
    }
    put_varint(path.len() as u64, into);
    path.iter().for_each(|place| put_varint(u64::from(*place), into));
}

/// The path and what follows it.
pub fn path(bytes: &[u8]) -> Result<(Vec<u32>, &[u8])> {
    let (length, mut rest) = varint(bytes)?;
    if length == 0 {
        return Ok((vec![0], rest));
    }
    let length = usize::try_from(length).ok().filter(|length| *length <= PATH_MAX);
    let length = length.ok_or_else(|| unreadable("the path of its message is too long"))?;
    let mut path = Vec::with_capacity(length);
    for _ in 0..length {
        let (place, more) = varint(rest)?;
        path.push(u32::try_from(place).map_err(|_| unreadable("the path of its message has no such place"))?);
        rest = more;
    }
    Ok((path, rest))
}

fn unreadable(why: &str) -> Error {
    Error::data("read a message", why)
}

/// Numbers of a path may be negative by the format, and so are doubled; none of ours is.
fn put_varint(number: u64, into: &mut Vec<u8>) {
    let mut rest = number << 1;
    while rest >= 0x80 {
        into.push((rest as u8 & 0x7f) | 0x80);
        rest >>= 7;
    }
    into.push(rest as u8);
}

fn varint(bytes: &[u8]) -> Result<(u64, &[u8])> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at).min(63);
        if byte & 0x80 == 0 {
            return match number & 1 {
                0 => Ok((number >> 1, &bytes[at + 1..])),
                _ => Err(unreadable("the path of its message has a negative place")),
            };
        }
    }
    Err(unreadable("it ends in the path of its message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_found_by_its_id() {
        let bytes = [head(70_000).as_slice(), b"rest"].concat();
        assert_eq!(bytes, [0, 0, 1, 0x11, 0x70, b'r', b'e', b's', b't']);
        assert_eq!(open(&bytes).expect("a message"), (70_000, b"rest".as_slice()));
        for bad in [&b""[..], &[0, 0, 0], &[1, 0, 0, 0, 1], b"{}"] {
            assert!(open(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_path_reads_as_it_was_written() {
        for path_of in [vec![0], vec![1], vec![0, 0], vec![2, 1, 300]] {
            let mut bytes = Vec::new();
            put_path(&path_of, &mut bytes);
            bytes.push(0xff);
            assert_eq!(path(&bytes).expect("a path"), (path_of, &[0xff][..]));
        }
        // As other serializers write them.
        assert_eq!(path(&[0]).expect("a path").0, [0]);
        assert_eq!(path(&[4, 4, 2]).expect("a path").0, [2, 1]);
        assert!(path(&[]).is_err() && path(&[2]).is_err() && path(&[1]).is_err() && path(&[0xff; 12]).is_err());
    }
}
