//! Models: SQL files that become tables.

mod checks;
mod compile;
mod follow;
mod fresh;
mod header;
mod lineage;
mod misnamed;
mod run;
mod scd2;
mod shape;
mod stage;
mod totals;
mod unit;
mod ways;

pub use checks::{Distance, Diversity, GroupSize, KAnonymity, LDiversity, TCloseness, Uniqueness};
pub use compile::{Model, ModelFile, compile};
pub use header::{Checks, Exposes, Grain, Header, Write};
pub use lineage::{Carries, ColumnRef, Lineage, Sources, Via};
pub use run::{ModelReport, ModelRun, consumed, exposure, run, why_run};
pub use totals::Floor;
pub use unit::{UnitTest, UnitVerdict, run_unit_test};
