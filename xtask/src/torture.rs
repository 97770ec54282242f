//! `cargo x torture`: the suites at full size. `cargo x test --services` runs the same cases small.

use crate::repo::root;
use crate::suites::{self, Size};
use crate::{DONE, FAILED, misuse};
use anyhow::Result;

pub const HELP: &str = "\
cargo x torture [SUITE] [--yes]: the suites that need real servers, at full size

  The same cases as `cargo x test --services`, with more kills, larger transactions and tables: hours, and some GB of disk.
  What each case found is printed as it goes.
  SUITE   only those with the word in their names
  --yes   install the servers without asking

example: cargo x torture postgres --yes";

pub fn run(args: &[String]) -> Result<u8> {
    let (mut filter, mut yes) = (None, false);
    for arg in args {
        match arg.as_str() {
            "--yes" => yes = true,
            word if !word.starts_with('-') && filter.is_none() => filter = Some(word),
            other => return Ok(misuse("torture", other)),
        }
    }
    let report = suites::run(&root()?, filter, yes, Size::Full)?;
    println!("{}", report.summary());
    Ok(if report.total().failed == 0 { DONE } else { FAILED })
}
