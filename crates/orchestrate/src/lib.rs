//! Runs a project's graph: which nodes, in which order, how often again after a failure; and keeps what a run must
//! remember that is not data.

pub mod breaker;
pub mod changed;
pub mod dag;
pub mod guard;
pub mod ingest;
pub mod lease;
pub mod lock;
pub mod run;
pub mod select;
pub mod sqlite;
pub mod timetable;
pub mod up;

pub use breaker::{BreakerConfig, BreakerState, BreakerView};
pub use changed::changed_files;
pub use dag::{Dag, DagFault, Node, NodeKind};
pub use guard::{Breakers, Guard, Turned};
pub use ingest::{Ingested, Pace, Told, ingest};
pub use lease::{Claim, Leases};
pub use lock::{Holder, RunLock, at_work};
pub use run::{End, Ended, Event, Events, Fault, Finished, Options, Outcome, Retry, Status, Stop, Task, Work, run};
pub use select::{Changed, Selector};
pub use sqlite::SqliteLedger;
pub use sqlite::vault::SqliteVault;
pub use timetable::Timetable;
