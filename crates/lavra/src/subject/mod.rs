//! A person's request: where their rows are, a copy of them, and their end.

mod case;
mod certificate;
mod export;
mod find;
mod forget;
mod forms;
mod holder;
mod marks;
mod purge;
mod requests;
mod zip;

pub use case::Case;
pub use certificate::{Certificate, verify};
pub use export::export;
pub use find::{Located, locate};
pub use forget::{Action, Step, forget, plan};
pub use forms::changed;
pub use purge::{hold_on_versions, later, purge, purge_due};
pub use requests::{forgotten, readmit};
