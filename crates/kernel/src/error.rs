//! One error crosses rooms. Its [`Kind`] is a closed set, and [`advice`] is the one place that decides
//! retry-or-stop, what the operator reads and which exit code the program ends with.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What went wrong, in the few ways that change what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The project or the call is wrong; only its author can mend it.
    Project,
    /// The data contradicts the contract and the policy says stop.
    Contract,
    /// A policy or a privacy rule refuses.
    Refused,
    /// Data that can't be read: half a file, bad bytes, a broken table.
    Data,
    /// Somebody else moved what we were about to move.
    Conflict,
    /// An outside system does not answer.
    Unreachable,
    /// The store can't take or give bytes: full disk, no permission.
    Storage,
    /// The memory budget does not hold what has to be held.
    Memory,
    /// It took longer than allowed, or was told to stop.
    Stopped,
    /// A law of ours is broken: a bug.
    Internal,
}

/// What to do about an error of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// Whether the same act may be tried again unchanged.
    pub retry: bool,
    /// The program's exit code (0 is done).
    pub exit: u8,
    /// One sentence for the operator.
    pub sentence: &'static str,
    /// The page under `docs/errors/`.
    pub page: &'static str,
}

/// The one match that decides every retry and every exit code.
pub fn advice(kind: Kind) -> Advice {
    let (retry, exit, sentence, page) = match kind {
        Kind::Project => (
            false,
            2,
            "Mend the call or the project: `lavra check` names what is wrong in its files, `lavra doctor` what is wrong outside.",
            "project",
        ),
        Kind::Contract => (
            false,
            1,
            "The data breaks its contract: mend the data or the contract, or let it set such rows aside (`on_violation: quarantine`; for \
             new columns `schema_change: quarantine`).",
            "contract",
        ),
        Kind::Refused => (
            false,
            3,
            "Refused, and trying again changes nothing: the reason says what has to change first.",
            "refused",
        ),
        Kind::Data => (
            false,
            1,
            "The input can't be read as it is; what was read before is safe, and nothing is stored twice.",
            "data",
        ),
        Kind::Conflict => (false, 1, "Another process moved this table; look who, then run again.", "conflict"),
        Kind::Unreachable => (
            true,
            4,
            "An outside system does not answer: is it up, and its address right? What was committed is safe.",
            "unreachable",
        ),
        Kind::Storage => {
            (false, 1, "The store refused: look at free space and permissions, then run again.", "storage")
        }
        Kind::Memory => (
            false,
            1,
            "The memory budget is too small: raise `--memory`, or let the query hold less at once.",
            "memory",
        ),
        Kind::Stopped => (false, 1, "Stopped before the end; run again to go on from the last commit.", "stopped"),
        Kind::Internal => (false, 1, "This is a defect of Lavra; please report it with the message above.", "internal"),
    };
    Advice { retry, exit, sentence, page }
}

/// What failed, and why. Never holds a value taken from a row.
pub struct Error {
    pub kind: Kind,
    /// The act that failed, in a few words: `read data/a.csv.gz`.
    pub what: String,
    /// Why, and where: `the gzip stream ends at byte 4,096`.
    pub detail: String,
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(kind: Kind, what: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self { kind, what: what.into(), detail: detail.to_string(), source: None }
    }

    #[must_use]
    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    pub fn project(what: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self::new(Kind::Project, what, detail)
    }

    pub fn refused(what: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self::new(Kind::Refused, what, detail)
    }

    pub fn data(what: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self::new(Kind::Data, what, detail)
    }

    pub fn internal(what: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self::new(Kind::Internal, what, detail)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({:?})", self.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

/// An I/O error is the store's, but for the few that mean something else.
pub fn io(what: impl Into<String>, error: std::io::Error) -> Error {
    use std::io::ErrorKind as K;
    let kind = match error.kind() {
        K::NotFound | K::InvalidData | K::UnexpectedEof => Kind::Data,
        K::ConnectionRefused | K::ConnectionReset | K::TimedOut | K::NotConnected => Kind::Unreachable,
        _ => Kind::Storage,
    };
    Error::new(kind, what, &error).because(error)
}

/// A URL for a message: without whoever signs in (`user:password@`) and without its query, which may hold a signature. Text
/// that is no URL, such as a path, stays what it is.
pub fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    // A password may hold any sign that nobody escaped: the last `@` ends it.
    let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(_, rest)| ("***@", rest));
    let (rest, hidden) = rest.find(['?', '#']).map_or((rest, ""), |at| (&rest[..at], "?***"));
    format!("{scheme}://{user}{rest}{hidden}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        for (url, shown) in [
            ("s3://bucket/lake", "s3://bucket/lake"),
            ("s4://user:SECRET@host/lake", "s4://***@host/lake"),
            ("https://host:9000/a.csv?X-Amz-Signature=SECRET", "https://host:9000/a.csv?***"),
            ("vault://t:SEC/RET@vault:8200/transit#SECRET", "vault://***@vault:8200/transit?***"),
            ("s3://u:SEC?RET@host/x?y", "s3://***@host/x?***"),
            ("data/ana@home?.csv", "data/ana@home?.csv"),
            ("", ""),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }
}
