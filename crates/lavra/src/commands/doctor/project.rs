//! What belongs to no source: the lake, the disk, the keys, the clock, the ledger, a registry.

use super::Told;
use crate::project::STATE;
use crate::show::bytes;
use crate::wiring::{KEY_FILE, VAULT_FILE, Wiring, place};
use connect::Grade;
use kernel::error::{Error, redacted};
use orchestrate::SqliteLedger;
use std::path::{Path, PathBuf};

/// Less than this is soon nothing.
const FREE_WARNING: u64 = 10_000_000_000;
const FREE_BAD: u64 = 1_000_000_000;

/// Clocks that differ by more confuse which file is young, and signatures of object stores end at 15 minutes.
const SKEW_WARNING_MS: i64 = 2_000;
const SKEW_BAD_MS: i64 = 300_000;

pub async fn look(wiring: &Wiring) -> Vec<Told> {
    let mut told = lake(wiring).await;
    let state = wiring.ask.folder.join(STATE);
    told.extend(wiring.store.folder().map(|folder| free("free disk, lake", &folder)));
    told.push(free("free disk, state", &state));
    told.extend(secret_files(wiring));
    told.push(match SqliteLedger::open(wiring.ledger_file()).await {
        Ok(_) => Told::project("ledger", Grade::Good, "can be opened and written", None),
        Err(error) => Told::failed("project", "ledger", &error),
    });
    if wiring.environment.registry.is_some() {
        told.push(registry(wiring).await);
    }
    told.push(time_zone(wiring));
    told
}

/// One that is outside: whether it answers. Which subject is asked for does not matter.
async fn registry(wiring: &Wiring) -> Told {
    let asked = async {
        let registry = wiring.registry().await?;
        registry.version(&wiring.project.config.project, None).await?;
        Ok::<_, Error>(registry.place())
    };
    match asked.await {
        Ok(place) => Told::project("registry", Grade::Good, format!("{place} answers"), None),
        Err(error) => Told::failed("project", "registry", &error),
    }
}

/// Writes a small object and looks what time the store has put on it.
async fn lake(wiring: &Wiring) -> Vec<Told> {
    let shown = redacted(wiring.environment.lake.as_deref().unwrap_or("lake"));
    let begun = wiring.clock.now().0;
    let there = match wiring.store.write_and_look(&uuid::Uuid::new_v4().to_string()).await {
        Ok(there) => there.0,
        Err(error) => return vec![Told::failed("project", "lake", &error)],
    };
    let ended = wiring.clock.now().0;
    let took_ms = (ended - begun) / 1_000;
    let good = Told::project("lake", Grade::Good, format!("{shown} can be written; it took {took_ms} ms"), None);
    // It was written between two looks at our clock; what lies outside of them is skew. Stores cut to the second.
    let skew_ms = if there < begun { (begun - there) / -1_000 } else { ((there - ended) / 1_000).max(0) };
    let skew_ms = if (-1_000..0).contains(&skew_ms) { 0 } else { skew_ms };
    let grade = match skew_ms.abs() {
        0..SKEW_WARNING_MS => Grade::Good,
        SKEW_WARNING_MS..SKEW_BAD_MS => Grade::Warning,
        _ => Grade::Bad,
    };
    let found = match skew_ms {
        0 => "none against the lake's store".to_owned(),
        ahead @ 1.. => format!("the lake's store is {:.1} s ahead of this machine", ahead as f64 / 1e3),
        behind => format!("the lake's store is {:.1} s behind this machine", -behind as f64 / 1e3),
    };
    let remedy =
        (grade != Grade::Good).then(|| "let a time service keep both clocks: `timedatectl set-ntp true`".to_owned());
    vec![good, Told::project("clock skew", grade, found, remedy)]
}

#[cfg(unix)]
fn free(subject: &'static str, folder: &Path) -> Told {
    match rustix::fs::statvfs(folder) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let grade = match free {
                FREE_WARNING.. => Grade::Good,
                FREE_BAD..FREE_WARNING => Grade::Warning,
                _ => Grade::Bad,
            };
            let remedy = (grade != Grade::Good).then(|| format!("make room on the disk of {}", folder.display()));
            Told::project(subject, grade, format!("{} free", bytes(free)), remedy)
        }
        Err(error) => {
            let found = format!("{} can't be looked at: {error}", folder.display());
            Told::project(subject, Grade::Warning, found, Some("look at the folder and its permissions".to_owned()))
        }
    }
}

#[cfg(not(unix))]
fn free(subject: &'static str, _: &Path) -> Told {
    Told::project(subject, Grade::Good, "not looked at on this system", None)
}

/// The key file and the vault, where they are files and there.
fn secret_files(wiring: &Wiring) -> Vec<Told> {
    let file = |set: Option<&str>, usual: &str| PathBuf::from(place(&wiring.ask.folder, set.unwrap_or(usual)));
    let keys = wiring.environment.keys.as_deref();
    let is_file = keys.is_none_or(|keys| !keys.contains("://"));
    let keys = is_file.then(|| ("key file", file(keys, KEY_FILE)));
    let vault = ("vault", file(wiring.environment.vault.as_deref(), VAULT_FILE));
    keys.into_iter()
        .chain([vault])
        .filter(|(_, file)| file.exists())
        .map(|(subject, file)| mode(subject, &file))
        .collect()
}

#[cfg(unix)]
fn mode(subject: &'static str, file: &Path) -> Told {
    use std::os::unix::fs::PermissionsExt;
    let shown = file.display();
    match std::fs::metadata(file) {
        Ok(found) => {
            let mode = found.permissions().mode() & 0o777;
            let grade = if mode & 0o077 == 0 { Grade::Good } else { Grade::Bad };
            let remedy = (grade != Grade::Good).then(|| format!("others can read it: `chmod 600 {shown}`"));
            Told::project(subject, grade, format!("{shown}, mode {mode:03o}"), remedy)
        }
        Err(error) => {
            let remedy = Some("look at the folder and its permissions".to_owned());
            Told::project(subject, Grade::Bad, format!("{shown} can't be looked at: {error}"), remedy)
        }
    }
}

#[cfg(not(unix))]
fn mode(subject: &'static str, file: &Path) -> Told {
    Told::project(subject, Grade::Good, format!("{} is there", file.display()), None)
}

/// Cron lines are read in UTC, which somebody far from it should know.
fn time_zone(wiring: &Wiring) -> Told {
    let offset = chrono::Local::now().offset().local_minus_utc();
    let is_cron = |schedule: &str| schedule.split_whitespace().count() == 5;
    let all = &wiring.project.sources;
    let has_cron = all.iter().any(|source| source.config.schedule.as_deref().is_some_and(is_cron));
    let shown = chrono::Local::now().format("UTC%:z").to_string();
    match offset {
        0 => Told::project("time zone", Grade::Good, "UTC", None),
        _ if has_cron => {
            let remedy = "write cron lines in UTC: 06:00 there is another hour here".to_owned();
            Told::project("time zone", Grade::Warning, format!("{shown}; cron lines are read in UTC"), Some(remedy))
        }
        _ => Told::project("time zone", Grade::Good, format!("{shown}; times are stored and shown in UTC"), None),
    }
}
