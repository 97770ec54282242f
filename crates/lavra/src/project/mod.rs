//! A project's folder: its files, read and checked together.

mod compile;
mod config;
mod contracts;
mod exposure;
mod forms;
mod holds;
mod joins;
mod materialize;
mod privacy;
mod read;
mod retention;
mod running;
mod secrets;
mod select_list;
mod sources;
mod terms;
mod unit_tests;
mod users;

pub use compile::{Compiled, Source, compile, row_rules};
pub use config::{Config, Environment, SourceConfig, Upkeep};
pub use exposure::{Carried, Nearness, nearest};
pub use holds::{Held, Holds};
pub use materialize::set_rules;
pub use privacy::{PrivacyConfig, own_kinds};
pub use read::{Files, find_folder};
pub use retention::{Reason, Verdict, limits, verdicts};
pub use running::{COMMIT_EVERY, span};
pub use terms::LegalHold;
pub use users::Users;

/// The folder for what a project keeps beside its lake: keys, lock, ledger.
pub const STATE: &str = ".lavra";
