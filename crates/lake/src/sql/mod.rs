//! SQL over the lake: names to tables, text to plans, faults to sentences.

mod catalog;
mod engine;
mod fault;
mod functions;
mod pin;
mod pool;
mod staged;
mod values;

pub use catalog::Catalog;
pub use engine::{EngineOptions, SqlEngine};
pub(crate) use engine::{failed, plan};
pub use fault::{SqlFault, explain};
pub use pin::pin_versions;
pub(crate) use pin::unpin as unpin_name;
pub(crate) use staged::{single_number, staged_files};
