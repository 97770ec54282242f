//! Models: SQL files that become tables.

mod checks;
mod compile;
mod fresh;
mod header;
mod lineage;
mod misnamed;
mod run;
mod scd2;
mod shape;
mod stage;
mod unit;
mod ways;

pub use compile::{Model, ModelFile, compile};
pub use header::{Checks, Grain, Header, Write};
pub use lineage::{ColumnRef, Lineage, Sources, Via};
pub use run::{ModelReport, ModelRun, consumed, exposure, run, why_run};
pub use unit::{UnitTest, UnitVerdict, run_unit_test};
