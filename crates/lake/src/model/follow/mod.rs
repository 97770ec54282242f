//! A table that is kept from a change log: bronze has every change, and this the rows as they are now, or all versions of
//! each with the time it held.
//!
//! The table is a function of the set of changes: each key's changes are applied in their order, whenever they came. What
//! a run applies is what came since the last commit. Where that holds a change older than one that was applied (out of
//! the quarantine, or in a file with an earlier name), the log of its key is read from the start.
//!
//! A row that is the version before once more, with nothing between them, leaves no trace in a history: it is taken out
//! before anything else is made of the key's changes, so that it does not matter with which others it was applied.
//!
//! Keys are sorted, with spilling; rows are not. A slice of neighbouring keys is folded to what becomes of each key; only
//! changes that don't tell all of their columns are held in memory, and a slice is halved until they fit. Files whose
//! statistics exclude all touched keys are not read, and files without a touched key are not written.

mod again;
mod apply;
mod fates;
mod fold;
mod held;
mod key;
mod log;
mod narrow;
mod read;
mod rows;
#[cfg(test)]
mod tests;
mod writers;

use super::header::Write;
use super::run::Pinned;
use super::stage::Staged;
use apply::Apply;
use held::Held;
use kernel::error::Result;
use key::Key;
use log::Log;

/// Computes the new rows and what they replace.
pub(super) async fn stage(pinned: &Pinned<'_>, is_first: bool) -> Result<Staged> {
    let keeps_history = pinned.model.header.write == Write::Scd2;
    let schema = pinned.target.evolved(&pinned.model.schema)?.unwrap_or_else(|| pinned.target.schema());
    let key = Key::new(&pinned.model.header.key, &schema)?;
    let log = Log::open(pinned, &key, &schema, is_first, keeps_history).await?;
    let mut staged = Staged { has_changed: log.has_changed, ..Staged::default() };
    if log.rows == 0 && !log.is_whole {
        return Ok(staged);
    }
    let all_goes = log.is_whole || (log.empties().is_some() && !keeps_history);
    let held = Held::open(&pinned.target, &key, keeps_history, all_goes)?;
    let mut apply = Apply::new(pinned, &log, &held, &key, schema)?;
    let written = match apply.run(pinned).await {
        Ok(()) => apply.writers.finish().await,
        Err(error) => Err(error),
    };
    match written {
        Ok(adds) => staged.adds = adds,
        Err(error) => {
            apply.writers.discard().await;
            return Err(error);
        }
    }
    staged.rows = apply.rows;
    staged.removes = match all_goes {
        true => pinned.target.files()?,
        false => apply.touched.iter().map(|place| held.files[*place].file.clone()).collect(),
    };
    Ok(staged)
}
