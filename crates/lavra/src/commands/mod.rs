//! One file a command. Each answers with the program's exit code.

pub mod audit;
pub mod check;
pub mod connectors;
pub mod demo;
pub mod discover;
pub mod docs;
pub mod doctor;
pub mod history;
pub mod init;
pub mod keys;
pub mod lineage;
pub mod maintain;
pub mod plan;
pub mod privacy;
pub mod public_key;
pub mod quarantine;
pub mod query;
pub mod registry;
pub mod run;
pub mod scan;
pub mod schema;
pub mod shell;
pub mod status;
pub mod subject;
pub mod test;
pub mod up;
pub mod worker;

use crate::wiring::Failure;

/// The exit code, or why there is none.
pub type Outcome = Result<u8, Failure>;
