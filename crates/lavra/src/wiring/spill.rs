//! Where queries of this process spill to: a folder of its own, so that a dead process's folder can be told from a living
//! one's and removed.

use kernel::error::{Result, io};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

/// Held by the operating system's lock on a file beside it, which ends with the process in whatever way that ends.
pub struct SpillFolder {
    all: PathBuf,
    own: PathBuf,
    _held: File,
}

impl SpillFolder {
    /// Makes a folder of this process below `all`.
    pub fn take(all: &Path) -> Result<Self> {
        let failed = |path: &Path, e| io(format!("make {}", path.display()), e);
        std::fs::create_dir_all(all).map_err(|e| failed(all, e))?;
        let own = all.join(uuid::Uuid::new_v4().to_string());
        let lock = lock_of(&own);
        // Locked before there is a folder: what has none is looked for by nobody.
        let held = OpenOptions::new().write(true).create_new(true).open(&lock).map_err(|e| failed(&lock, e))?;
        held.try_lock().map_err(|e| failed(&lock, e.into()))?;
        std::fs::create_dir(&own).map_err(|e| failed(&own, e))?;
        Ok(Self { all: all.to_path_buf(), own, _held: held })
    }

    pub fn path(&self) -> &Path {
        &self.own
    }

    /// Removes the folders that no living process holds.
    pub fn clear_dead(&self) -> Result<()> {
        let failed = |e| io(format!("clear {}", self.all.display()), e);
        for entry in std::fs::read_dir(&self.all).map_err(failed)? {
            let folder = entry.map_err(failed)?.path();
            if folder.is_dir() && !is_held(&folder) {
                std::fs::remove_dir_all(&folder).map_err(failed)?;
                let _ = std::fs::remove_file(lock_of(&folder)); // of no more meaning
            }
        }
        Ok(())
    }
}

impl Drop for SpillFolder {
    fn drop(&mut self) {
        // What stays is removed by a later run.
        let _ = std::fs::remove_dir_all(&self.own);
        let _ = std::fs::remove_file(lock_of(&self.own));
    }
}

fn lock_of(folder: &Path) -> PathBuf {
    folder.with_added_extension("lock")
}

/// Whether a process that lives has locked it; a lock that can't be looked at counts as held.
fn is_held(folder: &Path) -> bool {
    match File::open(lock_of(folder)) {
        Ok(lock) => lock.try_lock().is_err(),
        Err(e) => e.kind() != std::io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_spilled_goes_and_a_living_one_keeps_its_own() -> Result<()> {
        let all = std::env::temp_dir().join(format!("lavra-spill-{}", std::process::id()));
        let (one, two) = (SpillFolder::take(&all)?, SpillFolder::take(&all)?);
        let dead = all.join("datafusion-x");
        std::fs::create_dir_all(dead.join("deep")).map_err(|e| io("make a folder", e))?;
        std::fs::write(dead.join("deep/rows"), "spilled").map_err(|e| io("spill", e))?;
        one.clear_dead()?;
        assert!(!dead.exists() && one.path().is_dir() && two.path().is_dir());
        drop((one, two));
        assert_eq!(std::fs::read_dir(&all).map_or(9, Iterator::count), 0);
        let _ = std::fs::remove_dir(&all);
        Ok(())
    }
}
