//! A project's folder: its files, read and checked together.

mod compile;
mod config;
mod contracts;
mod exposure;
mod forms;
mod joins;
mod read;
mod secrets;
mod sources;
mod terms;
mod unit_tests;

pub use compile::{Compiled, Source, compile, row_rules};
pub use config::{Config, Environment, SourceConfig};
pub use read::{Files, find_folder};
pub use terms::LegalHold;

/// The folder for what a project keeps beside its lake: keys, lock, ledger.
pub const STATE: &str = ".lavra";
