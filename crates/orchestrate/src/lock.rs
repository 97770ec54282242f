//! Who is at work in a project's folder: any number side by side, each with leases on what it touches, or one alone.

use chrono::{DateTime, SecondsFormat};
use kernel::clock::{Clock, Timestamp};
use kernel::error::io;
use kernel::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

const WHAT: &str = "start in this project";

/// A process that has just taken the lock has not yet written who it is, and one that is ending still holds it.
const SECOND_LOOK: Duration = Duration::from_millis(100);

/// The folder below the project's state where each process that shares it has a sign, and may tell how it goes.
pub const AT_WORK: &str = "at-work";

const SIGN: &str = "lock";

/// How the sign of a process ends that stays while it makes way.
const HERE: &str = "here";

/// Locked by a process that waits to have the project alone.
const REQUEST: &str = "make-way";

/// How long those at work are waited for, once they are asked to make way.
const MAKE_WAY: Duration = Duration::from_secs(60);

/// The right to change what belongs to a project. It is the operating system's lock on an open file, which ends with the
/// process in whatever way that ends, so there is no stale lock to be removed by hand.
#[derive(Debug)]
pub struct RunLock {
    file: File,
    /// Of who shares it; who has it alone is named in the file itself.
    sign: Option<Sign>,
}

/// A locked file of a process that is at work beside others.
#[derive(Debug)]
struct Sign {
    path: PathBuf,
    _file: File,
}

/// Who holds a lock: the file's content, for whoever finds it taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Of this life of the process: numbers of processes come again, and in containers they are all 1.
    #[serde(default)]
    pub id: String,
    pub pid: u32,
    /// RFC 3339, UTC.
    pub since: String,
    pub command: String,
    /// Whether it makes way when it is asked to, and goes on afterwards.
    #[serde(default)]
    pub makes_way: bool,
}

impl Holder {
    /// This process.
    pub fn of_this_process(command: &str, clock: &dyn Clock) -> Self {
        let id = format!("{:016x}", fastrand::u64(..));
        Self { id, pid: std::process::id(), since: rfc3339(clock.now()), command: command.into(), makes_way: false }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` (process {})", self.command, self.pid)
    }
}

impl RunLock {
    /// Takes the project alone, or fails with `Kind::Conflict` that names who has it. Blocks for a moment; for longer when
    /// all that are at work make way, which they are asked to.
    pub fn acquire(state: &Path, command: &str, clock: &dyn Clock) -> Result<Self> {
        let (mut file, path) = open(state)?;
        if !locks(&file, &path, File::try_lock)? {
            std::thread::sleep(SECOND_LOOK);
            if !locks(&file, &path, File::try_lock)? && !comes_free(&file, &path, state)? {
                return Err(taken(&mut file, state));
            }
        }
        let holder = Holder::of_this_process(command, clock);
        write(&mut file, &holder).map_err(|e| io(format!("write {}", path.display()), e))?;
        Ok(Self { file, sign: None })
    }

    /// Goes to work in the project beside others who do the same; fails with `Kind::Conflict` while somebody has it alone.
    /// What is touched is agreed on by leases. May block for a moment.
    pub fn share(state: &Path, holder: &Holder) -> Result<Self> {
        let (mut file, path) = open(state)?;
        if !locks(&file, &path, File::try_lock_shared)? {
            std::thread::sleep(SECOND_LOOK);
            if !locks(&file, &path, File::try_lock_shared)? {
                return Err(taken(&mut file, state));
            }
        }
        // Nobody has it alone now, so a name that stands there is of a dead process.
        let _ = file.set_len(0);
        let sign = sign(state, holder, SIGN)?;
        Ok(Self { file, sign: Some(sign) })
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        match &self.sign {
            // Its lock ends with it. A sign that stays has no lock, which tells that its process is dead.
            Some(sign) => drop(std::fs::remove_file(&sign.path)),
            // The name is stale from now on. The file stays: were it removed, two processes could lock two files. If it
            // can't be emptied the next holder overwrites it.
            None => drop(self.file.set_len(0)),
        }
    }
}

/// That a process lives, be it at work or making way. Its share of a project does not tell it, for that is given up to make
/// way; this is a locked file of its own, so that it ends with the process in whatever way that ends.
#[derive(Debug)]
pub struct Presence(Sign);

impl Presence {
    /// To be shown before the process tells how it goes, and kept until it has told its end.
    pub fn show(state: &Path, holder: &Holder) -> Result<Self> {
        sign(state, holder, HERE).map(Self)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // One that stays has no lock.
        let _ = std::fs::remove_file(&self.0.path);
    }
}

/// Whether the process with this `id` shows its presence.
pub fn is_here(state: &Path, id: &str) -> bool {
    living(&sign_of(state, id, HERE)).is_some()
}

/// The processes that are at work beside each other.
pub fn at_work(state: &Path) -> Vec<Holder> {
    let mut found: Vec<Holder> = signs(state, SIGN).iter().filter_map(|path| living(path)).collect();
    found.sort_by(|a, b| (&a.since, a.pid).cmp(&(&b.since, b.pid)));
    found
}

/// Whether the process is known to have ended: its sign is gone, or its lock is.
pub fn is_dead(state: &Path, holder: &Holder) -> bool {
    living(&sign_of(state, &holder.id, SIGN)).is_none()
}

/// Whether somebody waits for those at work to make way.
pub fn is_asked_to_make_way(state: &Path) -> bool {
    let request = File::open(state.join(AT_WORK).join(REQUEST));
    request.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Asks those at work to make way, if all of them do so, and waits for the lock.
fn comes_free(file: &File, path: &Path, state: &Path) -> Result<bool> {
    let at_work = at_work(state);
    if at_work.is_empty() || !at_work.iter().all(|holder| holder.makes_way) {
        return Ok(false);
    }
    let Some(_request) = Request::put(state)? else { return Ok(false) };
    for _ in 0..MAKE_WAY.as_millis() / SECOND_LOOK.as_millis() {
        std::thread::sleep(SECOND_LOOK);
        if locks(file, path, File::try_lock)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// It ends with its process, as all locks do.
struct Request {
    path: PathBuf,
    _file: File,
}

impl Request {
    /// None when somebody else is asking already.
    fn put(state: &Path) -> Result<Option<Self>> {
        let path = state.join(AT_WORK).join(REQUEST);
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(|e| io(format!("write {}", path.display()), e))?;
        Ok(locks(&file, &path, File::try_lock)?.then_some(Self { path, _file: file }))
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // One that stays is locked by nobody, and asks for nothing.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn signs(state: &Path, kind: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(state.join(AT_WORK)).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == kind)).collect()
}

fn living(sign: &Path) -> Option<Holder> {
    let mut file = File::open(sign).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read(&mut file),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

fn sign_of(state: &Path, id: &str, kind: &str) -> PathBuf {
    state.join(AT_WORK).join(format!("{id}.{kind}"))
}

/// Puts a sign, and takes away those of processes that died. What they told stays, for who asks how they are.
fn sign(state: &Path, holder: &Holder, kind: &str) -> Result<Sign> {
    let path = sign_of(state, &holder.id, kind);
    let failed = |e| io(format!("write {}", path.display()), e);
    std::fs::create_dir_all(state.join(AT_WORK)).map_err(failed)?;
    for dead in signs(state, kind).into_iter().filter(|path| living(path).is_none()) {
        let _ = std::fs::remove_file(dead);
    }
    // It is locked before it has its name, so that what is seen without a lock is dead.
    let young = path.with_extension("young");
    let mut file = File::create(&young).map_err(failed)?;
    file.try_lock().map_err(|e| failed(e.into()))?;
    write(&mut file, holder).map_err(failed)?;
    std::fs::rename(&young, &path).map_err(failed)?;
    Ok(Sign { path, _file: file })
}

fn open(state: &Path) -> Result<(File, PathBuf)> {
    std::fs::create_dir_all(state).map_err(|e| io(format!("make the folder {}", state.display()), e))?;
    let path = state.join("run.lock");
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    Ok((opened.map_err(|e| io(format!("open {}", path.display()), e))?, path))
}

type TryLock = fn(&File) -> std::result::Result<(), TryLockError>;

fn locks(file: &File, path: &Path, try_lock: TryLock) -> Result<bool> {
    match try_lock(file) {
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

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).ok()?;
    serde_json::from_str(&text).ok()
}

fn taken(file: &mut File, state: &Path) -> Error {
    let who: Vec<String> = match read(file) {
        Some(alone) => vec![alone],
        None => at_work(state),
    }
    .iter()
    .map(|holder| format!("{holder} has been at work in it since {}", holder.since))
    .collect();
    let (who, it) = match &who[..] {
        [] => ("another process is at work in it".to_owned(), "it"),
        [one] => (one.clone(), "it"),
        many => (many.join(", "), "them"),
    };
    let its = if it == "it" { "its" } else { "their" };
    Error::new(Kind::Conflict, WHAT, format!("{who}; wait for {its} end, or stop {it}"))
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

    fn share(state: &Path, pid: u32) -> Result<RunLock> {
        let clock = ManualClock::at(1_700_000_000_000_000);
        RunLock::share(state, &Holder { pid, ..Holder::of_this_process(&format!("lavra up {pid}"), &clock) })
    }

    #[test]
    fn many_are_at_work_beside_each_other_or_one_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (share(folder.path(), 1).expect("shared"), share(folder.path(), 2).expect("shared"));
        assert_eq!(at_work(folder.path()).iter().map(|holder| holder.pid).collect::<Vec<_>>(), [1, 2]);
        let error = acquire(folder.path()).expect_err("taken").to_string();
        assert!(error.contains("`lavra up 1` (process 1) has been") && error.contains("stop them"), "{error}");
        let first = at_work(folder.path())[0].clone();
        assert!(!is_dead(folder.path(), &first));
        drop(one);
        assert!(is_dead(folder.path(), &first));
        let error = acquire(folder.path()).expect_err("taken").to_string();
        assert!(error.contains("process 2") && error.contains("stop it"), "{error}");
        drop(two);
        let alone = acquire(folder.path()).expect("free");
        let error = share(folder.path(), 3).expect_err("taken").to_string();
        assert!(error.contains("`lavra run`"), "{error}");
        drop(alone);
        drop(share(folder.path(), 3).expect("free"));
    }

    #[test]
    fn a_sign_without_a_lock_is_of_a_dead_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = share(folder.path(), 7).expect("shared");
        let holder = at_work(folder.path())[0].clone();
        let path = sign_of(folder.path(), &holder.id, SIGN);
        let sign = std::fs::read(&path).expect("a sign");
        drop(lock);
        std::fs::write(&path, sign).expect("left behind");
        assert!(is_dead(folder.path(), &holder) && at_work(folder.path()).is_empty());
        let _next = share(folder.path(), 8).expect("shared");
        assert!(!path.exists(), "taken away by the next one");
    }

    #[test]
    fn who_makes_way_is_still_here_and_who_died_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = ManualClock::at(1_700_000_000_000_000);
        let holder = Holder::of_this_process("lavra up", &clock);
        let lock = RunLock::share(folder.path(), &holder).expect("shared");
        let presence = Presence::show(folder.path(), &holder).expect("shown");
        drop(lock);
        assert!(is_here(folder.path(), &holder.id) && is_dead(folder.path(), &holder));
        drop(acquire(folder.path()).expect("it is in nobody's way"));
        let path = sign_of(folder.path(), &holder.id, HERE);
        let left = std::fs::read(&path).expect("a sign");
        drop(presence);
        assert!(!is_here(folder.path(), &holder.id) && !path.exists());
        std::fs::write(&path, left).expect("left behind");
        assert!(!is_here(folder.path(), &holder.id));
        let _next = Presence::show(folder.path(), &Holder::of_this_process("lavra up", &clock)).expect("shown");
        assert!(!path.exists(), "taken away by the next one");
    }

    #[test]
    fn who_wants_the_project_alone_is_made_way_for_by_those_who_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = ManualClock::at(1_700_000_000_000_000);
        let polite = Holder { makes_way: true, ..Holder::of_this_process("lavra up", &clock) };
        let lock = RunLock::share(folder.path(), &polite).expect("shared");
        assert!(!is_asked_to_make_way(folder.path()));
        let state = folder.path().to_path_buf();
        let waiting = std::thread::spawn(move || acquire(&state).map(drop));
        while !is_asked_to_make_way(folder.path()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(lock);
        waiting.join().expect("its end").expect("had it alone");
        assert!(!is_asked_to_make_way(folder.path()));
        let _busy = share(folder.path(), 3).expect("shared");
        acquire(folder.path()).expect_err("one that does not make way is waited for by nobody");
    }
}
