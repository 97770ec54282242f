//! The vault of one machine: a SQLite file beside the keys, shared by all processes that open it.

use super::file::SqliteFile;
use kernel::vault::{self, Id, Secret, TOKEN_TRIES_MAX, Vault};
use kernel::{Error, Result};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A secret is written once, at the table's end, and shredded where it stands by as many zeros: no page is ever split or
/// merged with secrets on it, so that no copy of one is left behind. Its token stays taken.
const CREATE: &str = "
create table secret (
    number integer primary key,
    space text not null,
    id blob not null,
    token text,
    sealed blob not null,
    shredded integer not null default 0,
    unique (space, id),
    unique (space, token)
) strict;
create table shredded (prefix text not null, id blob not null, primary key (id, prefix)) strict, without rowid";

const VAULT: SqliteFile = SqliteFile {
    noun: "vault",
    schema: 1,
    create: CREATE,
    if_damaged: "put a backup in its place; without it tokens and what is encrypted by subject can't be read again",
};

const GET: &str = "select token, sealed from secret where space = ?1 and id = ?2 and shredded = 0";
const FIND: &str = "select token, sealed from secret where space = ?1 and token = ?2 and shredded = 0";
/// Whoever has a secret keeps it; a token that is somebody else's is a fault.
const PUT: &str =
    "insert into secret (space, id, token, sealed) values (?1, ?2, ?3, ?4) on conflict (space, id) do nothing";
const IS_SHREDDED: &str =
    "select exists (select 1 from shredded where id = ?1 and substr(?2, 1, length(prefix)) = prefix)";
const REMEMBER: &str = "insert or ignore into shredded (prefix, id) values (?1, ?2)";
const ANY_SHREDDED: &str = "select exists (select 1 from shredded)";

/// Made where it is missing, for older files have none.
const IDENTITY: &str = "
create table if not exists identity (only integer primary key check (only = 1), code text not null) strict;
insert or ignore into identity (only, code) values (1, lower(hex(randomblob(16))))";

const OVERWRITE: &str = "update secret set sealed = zeroblob(length(sealed)), shredded = 1
    where id = ?2 and substr(space, 1, length(?1)) = ?1 and shredded = 0";

/// Opens its file when it is first asked for something, so that a project whose masks need no vault has none.
pub struct SqliteVault {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
}

impl SqliteVault {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), connection: Mutex::new(None) }
    }

    fn act<T>(&self, verb: &str, act: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T> {
        self.with(|connection| act(connection).map_err(|error| VAULT.told(verb, &self.path, error)))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        // What a panic leaves is a transaction that was rolled back.
        let mut held = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *held {
            Some(connection) => act(connection),
            none => act(none.insert(open(&self.path)?)),
        }
    }

    /// Looks first: most rows are of people who are known, and to read takes no lock from anybody.
    fn known(&self, space: &str, ids: &[Id]) -> Result<Vec<Option<Secret>>> {
        self.act("read", |connection| {
            let look = connection.transaction()?;
            let mut get = look.prepare_cached(GET)?;
            ids.iter().map(|id| get.query_row(params![space, id], secret).optional()).collect()
        })
    }

    fn any_shredded(&self, space: &str, ids: &[Id]) -> Result<bool> {
        let any = self.act("read", |connection| connection.query_row(ANY_SHREDDED, [], |row| row.get::<_, bool>(0)))?;
        Ok(any && self.shredded(space, ids)?.contains(&true))
    }
}

impl Vault for SqliteVault {
    fn get_or_put(
        &self,
        space: &str,
        ids: &[Id],
        make: &mut dyn FnMut(usize) -> Result<Secret>,
    ) -> Result<Vec<Secret>> {
        let known = self.known(space, ids)?;
        if known.iter().all(Option::is_some) {
            return Ok(known.into_iter().flatten().collect());
        }
        if self.any_shredded(space, ids)? {
            return Err(vault::refused(space));
        }
        self.with(|connection| {
            let told = |error| VAULT.told("write", &self.path, error);
            let all = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(told)?;
            let any_shredded = all.query_row(ANY_SHREDDED, [], |row| row.get::<_, bool>(0)).map_err(told)?;
            let secrets = known.into_iter().zip(ids).enumerate().map(|(at, (known, id))| match known {
                Some(secret) => Ok(secret),
                None if any_shredded && is_shredded(&all, space, id).map_err(told)? => Err(vault::refused(space)),
                None => put(&all, space, id, &mut || make(at), &told),
            });
            let secrets = secrets.collect::<Result<_>>()?;
            all.commit().map_err(told)?;
            Ok(secrets)
        })
    }

    fn get(&self, space: &str, ids: &[Id]) -> Result<Vec<Option<Secret>>> {
        self.known(space, ids)
    }

    fn find(&self, space: &str, token: &str) -> Result<Option<Secret>> {
        self.act("read", |connection| {
            connection.prepare_cached(FIND)?.query_row(params![space, token], secret).optional()
        })
    }

    fn shredded(&self, space: &str, ids: &[Id]) -> Result<Vec<bool>> {
        self.act("read", |connection| {
            let look = connection.transaction()?;
            ids.iter().map(|id| is_shredded(&look, space, id)).collect()
        })
    }

    fn identity(&self) -> Result<Option<String>> {
        if !self.path.exists() {
            return Ok(None);
        }
        self.act("read", |connection| connection.query_row("select code from identity", [], |row| row.get(0)).map(Some))
    }

    fn shred(&self, prefix: &str, id: &Id) -> Result<u64> {
        self.act("shred a secret of", |connection| {
            let both = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            both.prepare_cached(REMEMBER)?.execute(params![prefix, id])?;
            let count = both.prepare_cached(OVERWRITE)?.execute(params![prefix, id])?;
            both.commit()?;
            // The pages as they were stand in the log until it is written back and cut.
            let left = connection.query_row("pragma wal_checkpoint(truncate)", [], |row| row.get::<_, i64>(0))?;
            match left {
                0 => Ok(count as u64),
                _ => Err(busy()),
            }
        })
    }
}

fn secret(row: &Row<'_>) -> rusqlite::Result<Secret> {
    Ok(Secret { token: row.get(0)?, sealed: row.get(1)? })
}

fn is_shredded(connection: &Connection, space: &str, id: &Id) -> rusqlite::Result<bool> {
    connection.prepare_cached(IS_SHREDDED)?.query_row(params![id, space], |row| row.get(0))
}

/// Makes a secret until its token is nobody else's; gives the one that is there when another process was first, or the
/// same id came before.
fn put(
    all: &Transaction<'_>,
    space: &str,
    id: &Id,
    make: &mut dyn FnMut() -> Result<Secret>,
    told: &dyn Fn(rusqlite::Error) -> Error,
) -> Result<Secret> {
    for _ in 0..TOKEN_TRIES_MAX {
        let secret = make()?;
        let put = all.prepare_cached(PUT);
        match put.and_then(|mut put| put.execute(params![space, id, secret.token, secret.sealed])) {
            Ok(1) => return Ok(secret),
            Ok(_) => return there(all, space, id).map_err(told),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {}
            Err(error) => return Err(told(error)),
        }
    }
    Err(vault::crowded(space))
}

fn there(all: &Transaction<'_>, space: &str, id: &Id) -> rusqlite::Result<Secret> {
    all.prepare_cached(GET)?.query_row(params![space, id], secret)
}

/// Somebody reads the pages as they were.
fn busy() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    rusqlite::Error::SqliteFailure(code, Some("other processes are reading it; shred again".into()))
}

fn open(path: &Path) -> Result<Connection> {
    make_private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = VAULT.connect(path, flags)?;
    let set = connection.pragma_update(None, "secure_delete", "on").and_then(|()| connection.execute_batch(IDENTITY));
    set.map_err(|error| VAULT.told("open", path, error))?;
    Ok(connection)
}

/// Makes the file for its owner alone, or refuses one that others can read. SQLite gives its other files the same rights.
///
/// A file that is there is not opened: to close it would let go of the locks that this process has on it (fcntl(2)).
#[cfg(unix)]
fn make_private(path: &Path) -> Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let what = || format!("open the vault {}", path.display());
    let fault = |e| kernel::error::io(what(), e);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(fault)?;
    }
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(fault(error)),
    }
    let mode = std::fs::metadata(path).map_err(fault)?.permissions().mode();
    if mode & 0o077 != 0 {
        let detail = format!("others can read it (mode {:04o}); run `chmod 600 {}`", mode & 0o7777, path.display());
        return Err(Error::refused(what(), detail));
    }
    Ok(())
}

/// Elsewhere the file has the rights of its folder.
#[cfg(not(unix))]
fn make_private(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
#[path = "vault_tests.rs"]
mod tests;
