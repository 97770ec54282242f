//! Rows that the log takes back: of a transaction, or of what came behind a savepoint of it. The log has such where a table
//! without transactions was written in between.

use super::Cdc;
use super::follow::Transaction;
use kernel::source::Pulled;
use kernel::{Error, Result};

/// Where a transaction's rows may be taken back to.
pub(super) struct Savepoint {
    name: String,
    kept: u64,
}

impl Transaction {
    pub(super) fn save(&mut self, name: &str) {
        self.savepoints.retain(|savepoint| !savepoint.name.eq_ignore_ascii_case(name));
        self.savepoints.push(Savepoint { name: name.to_owned(), kept: self.kept });
    }

    /// Goes back to a savepoint, and says how many rows were kept there. One that the log does not have was set before the
    /// first row.
    fn back(&mut self, name: &str) -> u64 {
        match self.savepoints.iter().position(|savepoint| savepoint.name.eq_ignore_ascii_case(name)) {
            Some(at) => {
                self.savepoints.truncate(at + 1);
                self.savepoints[at].kept
            }
            None => {
                self.savepoints.clear();
                0
            }
        }
    }
}

impl Cdc {
    /// Takes back what came behind the savepoint. It counts as a row, so that a position tells whether it is behind it.
    pub(super) fn roll_back_to(&mut self, name: &str) -> Result<Option<Pulled>> {
        let Some(open) = self.following.as_mut().and_then(|following| following.open.as_mut()) else {
            return Ok(None);
        };
        let kept = open.back(name);
        let undone = open.kept.saturating_sub(kept);
        if undone == 0 {
            return Ok(None);
        }
        open.rows += 1;
        open.kept = kept;
        if open.skip > 0 {
            open.skip -= 1;
            return Ok(None);
        }
        if undone > open.held {
            return Err(self.gone());
        }
        open.held -= undone;
        self.take_back(undone, false)
    }

    /// Takes back all rows of the transaction, and ends it.
    pub(super) fn roll_back(&mut self) -> Result<Option<Pulled>> {
        let Some(following) = &mut self.following else { return Ok(None) };
        let (kept, held) = following.open.as_ref().map_or((0, 0), |open| (open.kept, open.held));
        if kept > held {
            return Err(self.gone());
        }
        following.commit();
        if kept == 0 { Ok(None) } else { self.take_back(kept, true) }
    }

    fn gone(&self) -> Error {
        self.error(
            "rows of a large transaction were rolled back in the log, to a savepoint or as a whole, when some of them were no longer in memory; \
             nothing of it was kept: set a larger `batch_rows_max`, or take the table anew by `refresh: <any new text>`",
        )
    }

    /// Hands the batch out without its last rows.
    fn take_back(&mut self, undone: u64, whole: bool) -> Result<Option<Pulled>> {
        let undone = usize::try_from(undone).unwrap_or(usize::MAX);
        let kept = self.batch.cells.rows().saturating_sub(undone);
        if kept == 0 {
            if let Some(following) = &self.following {
                following.plan.begin(&mut self.batch);
            }
            return Ok(None);
        }
        self.note_place();
        self.handed = self.token.clone();
        let token = crate::marks::write_token(&self.handed)?;
        self.batch.finish_first(kept, token, false, whole).map(Some)
    }
}
