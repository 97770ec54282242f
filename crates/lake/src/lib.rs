//! The lake: Delta tables and the SQL over them.

mod aside;
mod commit;
mod commits;
mod kept;
#[cfg(test)]
mod laws;
mod model;
mod origin;
mod purge;
mod replay;
mod rewrite;
#[cfg(test)]
mod rewrite_tests;
mod rule;
mod schema;
mod sink;
mod sql;
mod stats;
mod store;
mod table;
mod write;

pub use aside::AsideSink;
pub use kept::{Kept, KeptFile, Unnamed, kept_files, read_bytes, read_file};
pub use model::{
    Carries, Checks, ColumnRef, Distance, Diversity, Exposes, Floor, Grain, GroupSize, Header, KAnonymity, LDiversity,
    Lineage, Model, ModelFile, ModelReport, ModelRun, Sources, TCloseness, Uniqueness, UnitTest, UnitVerdict, Via,
    Write, compile, consumed, exposure, run as run_model, run_unit_test, why_run,
};
pub use origin::{Exposure, Input, Rewrite, exposures};
pub use purge::{Due, Purged, due, purge, vacuum};
pub use replay::replay;
pub use rewrite::{Batches, Rewriting, Rewritten, rewrite, rewrites, was_rewritten};
pub use rule::{SqlRowRule, row_condition};
pub use schema::is_kept_as;
pub use sink::{BronzeSink, SinkOptions};
pub use sql::{Catalog, EngineOptions, SqlEngine, SqlFault, explain, pin_versions};
pub use store::Store;
pub use table::{At, HistoryEntry, Table};
