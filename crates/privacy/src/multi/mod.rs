//! Cryptography of many short values side by side. The steps of one value wait for each other, those of different values
//! don't, and a processor works on several at a time: together they cost a fraction of one by one.

pub(crate) mod hmac;
mod sha256;
pub(crate) mod siv;

/// Values that go through together: a whole number of the groups that AES takes at once on every processor (8, 30, 64),
/// and little enough to stay in the nearest cache.
pub(crate) const TOGETHER: usize = 960;
