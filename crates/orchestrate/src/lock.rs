//! One run at a time in a project's folder.

use chrono::{DateTime, SecondsFormat};
use kernel::clock::{Clock, Timestamp};
use kernel::error::io;
use kernel::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

const WHAT: &str = "start in this project";

/// A process that has just taken the lock has not yet written who it is, and one that is ending still holds it.
const SECOND_LOOK: Duration = Duration::from_millis(100);

/// The right to change what belongs to a project. It is the operating system's lock on an open file, which ends with the
/// process in whatever way that ends, so there is no stale lock to be removed by hand.
#[derive(Debug)]
pub struct RunLock {
    file: File,
}

/// Who holds a lock: the file's content, for whoever finds it taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    /// RFC 3339, UTC.
    pub since: String,
    pub command: String,
}

impl RunLock {
    /// Takes `<state>/run.lock`, or fails with `Kind::Conflict` that names who has it. May block for a moment.
    pub fn acquire(state: &Path, command: &str, clock: &dyn Clock) -> Result<Self> {
        std::fs::create_dir_all(state).map_err(|e| io(format!("make the folder {}", state.display()), e))?;
        let path = state.join("run.lock");
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(|e| io(format!("open {}", path.display()), e))?;
        if !locks(&file, &path)? {
            std::thread::sleep(SECOND_LOOK);
            if !locks(&file, &path)? {
                return Err(taken(&mut file));
            }
        }
        let holder = Holder { pid: std::process::id(), since: rfc3339(clock.now()), command: command.into() };
        write(&mut file, &holder).map_err(|e| io(format!("write {}", path.display()), e))?;
        Ok(Self { file })
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // The name is stale from now on. The file stays: were it removed, two processes could lock two files. If it can't
        // be emptied the next holder overwrites it.
        let _ = self.file.set_len(0);
    }
}

fn locks(file: &File, path: &Path) -> Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(io(format!("lock {}", path.display()), error)),
    }
}

fn write(file: &mut File, holder: &Holder) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(holder)?)
}

fn taken(file: &mut File) -> Error {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text)).ok();
    let holder: Option<Holder> = read.and_then(|_| serde_json::from_str(&text).ok());
    let who = match holder {
        Some(Holder { pid, since, command }) => {
            format!("`{command}` (process {pid}) has been at work in it since {since}")
        }
        None => "another process is at work in it".into(),
    };
    Error::new(Kind::Conflict, WHAT, format!("{who}; wait for its end, or stop it"))
}

fn rfc3339(time: Timestamp) -> String {
    let time = DateTime::from_timestamp_micros(time.0).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::clock::ManualClock;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    fn acquire(state: &Path) -> Result<RunLock> {
        RunLock::acquire(state, "lavra run", &ManualClock::at(1_700_000_000_000_000))
    }

    /// Another process that holds the lock of `state` until it ends.
    fn other_process(state: &Path) -> Child {
        let mut command = Command::new(std::env::current_exe().expect("this test's program"));
        command.args(["--exact", "lock::tests::the_other_process", "--ignored", "--nocapture"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a second process");
        writeln!(child.stdin.as_mut().expect("its input"), "{}", state.display()).expect("a folder to lock");
        let said = BufReader::new(child.stdout.as_mut().expect("its output")).lines();
        assert!(said.map_while(|line| line.ok()).any(|line| line.contains("has the lock")), "it takes the lock");
        child
    }

    #[test]
    #[ignore = "the second process of the tests below, which start it"]
    fn the_other_process() {
        let mut lines = std::io::stdin().lines();
        let Some(Ok(state)) = lines.next() else { return };
        let _lock = acquire(Path::new(&state)).expect("a free lock");
        println!("has the lock");
        assert!(lines.next().is_none());
    }

    #[test]
    fn a_second_process_is_told_who_is_at_work() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut other = other_process(folder.path());
        let error = acquire(folder.path()).expect_err("taken");
        assert_eq!(error.kind, Kind::Conflict);
        let who = format!("`lavra run` (process {}) has been at work in it since 2023-11-14T22:13:20Z", other.id());
        assert!(error.to_string().contains(&who), "{error}");
        drop(other.stdin.take());
        assert!(other.wait().expect("its end").success());
        acquire(folder.path()).expect("free again");
    }

    #[test]
    fn a_killed_process_leaves_no_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut other = other_process(folder.path());
        acquire(folder.path()).expect_err("taken");
        other.kill().expect("a kill that can't be refused");
        other.wait().expect("its end");
        let _lock = acquire(folder.path()).expect("free again");
        let written = std::fs::read(folder.path().join("run.lock")).expect("the lock's file");
        let holder: Holder = serde_json::from_slice(&written).expect("a holder");
        assert_eq!(holder.pid, std::process::id());
    }

    #[test]
    fn a_lock_ends_with_its_value() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("not/yet/there");
        let lock = acquire(&state).expect("a free lock");
        acquire(&state).expect_err("taken, also by oneself");
        drop(lock);
        assert_eq!(std::fs::read(state.join("run.lock")).expect("the lock's file"), b"");
        acquire(&state).expect("free again");
    }

    #[test]
    fn a_lock_that_can_not_be_made_is_the_stores_fault() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("run.lock")).expect("a folder in the way");
        let error = acquire(folder.path()).expect_err("no file");
        assert_eq!(error.kind, Kind::Storage);
        assert!(error.to_string().contains("run.lock"), "{error}");
    }
}
