//! Runs a project's graph: which nodes, in which order, how often again after a failure; and keeps what a run must
//! remember that is not data.

pub mod changed;
pub mod dag;
pub mod ingest;
pub mod lock;
pub mod run;
pub mod select;
pub mod sqlite;

pub use changed::changed_files;
pub use dag::{Dag, DagFault, Node, NodeKind};
pub use ingest::{Ingested, Pace, Told, ingest};
pub use lock::RunLock;
pub use run::{End, Ended, Event, Events, Fault, Finished, Options, Outcome, Retry, Status, Stop, Task, Work, run};
pub use select::{Changed, Selector};
pub use sqlite::SqliteLedger;
pub use sqlite::vault::SqliteVault;
