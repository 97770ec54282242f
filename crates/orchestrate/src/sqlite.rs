//! The ledger of one machine: a SQLite file, shared by all processes that open it.

mod file;
pub mod vault;

use async_trait::async_trait;
use file::SqliteFile;
use kernel::ledger::{Entry, Ledger};
use kernel::{Error, Result};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A row is replaced by a new one, never updated, and `autoincrement` gives no number twice, also not that of a removed
/// row: so a version only grows, and nothing has to be kept of what was removed.
const CREATE: &str = "create table ledger (
    version integer primary key autoincrement,
    key text not null unique,
    value text not null
) strict";

const LEDGER: SqliteFile = SqliteFile {
    noun: "ledger",
    schema: 1,
    create: CREATE,
    if_damaged: "put a backup in its place, or move it away to begin a new one; it holds no rows and no progress",
};

/// One statement, so that nobody comes between the look and the write.
const SWAP: &str = "insert or replace into ledger (key, value)
    select ?1, ?2 where (select version from ledger where key = ?1) is ?3";

#[derive(Clone)]
pub struct SqliteLedger {
    path: Arc<Path>,
    connection: Arc<Mutex<Connection>>,
}

impl SqliteLedger {
    /// Opens the file, or makes it. `Kind::Data` if it is damaged or something else, `Kind::Storage` if it can't be
    /// opened or written, `Kind::Conflict` if another process keeps it locked.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path: Arc<Path> = path.into().into();
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let at = Arc::clone(&path);
        let connection = blocking(move || LEDGER.connect(&at, flags)).await?;
        Ok(Self { path, connection: Arc::new(Mutex::new(connection)) })
    }

    /// Removes the key if its version is `expected`; returns whether it was.
    pub async fn remove(&self, key: &str, expected: u64) -> Result<bool> {
        let (key, Ok(expected)) = (key.to_owned(), i64::try_from(expected)) else { return Ok(false) };
        let delete = "delete from ledger where key = ?1 and version = ?2";
        self.act("remove a key from", move |c| Ok(c.prepare_cached(delete)?.execute(params![key, expected])? > 0)).await
    }

    /// The act goes on when the caller stops waiting for it: whether it was done is then to be read from the ledger.
    async fn act<T: Send + 'static>(
        &self,
        verb: &'static str,
        act: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (connection, path) = (Arc::clone(&self.connection), Arc::clone(&self.path));
        blocking(move || {
            // Each act is one statement, so there is no half-done work that a panic could have left.
            let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            act(&connection).map_err(|error| LEDGER.told(verb, &path, error))
        })
        .await
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        let key = key.to_owned();
        let select = "select key, value, version from ledger where key = ?1";
        let found = self.act("read", move |c| c.prepare_cached(select)?.query_row([key], row).optional()).await?;
        Ok(found.map(|(_, entry)| entry))
    }

    async fn swap(&self, key: &str, expected: Option<u64>, value: &str) -> Result<bool> {
        let (key, value) = (key.to_owned(), value.to_owned());
        // No version is greater than what SQLite can hold, so nothing is replaced under such a one.
        let Ok(expected) = expected.map(i64::try_from).transpose() else { return Ok(false) };
        self.act("write", move |c| Ok(c.prepare_cached(SWAP)?.execute(params![key, value, expected])? > 0)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, Entry)>> {
        let prefix = prefix.to_owned();
        self.act("list", move |c| {
            // Rows come one by one along the index, so it stops where the prefix does.
            let mut select = c.prepare_cached("select key, value, version from ledger where key >= ?1 order by key")?;
            let rows = select.query_map([&prefix], row)?;
            rows.take_while(|row| row.as_ref().map_or(true, |(key, _)| key.starts_with(&prefix))).collect()
        })
        .await
    }
}

fn row(row: &Row<'_>) -> rusqlite::Result<(String, Entry)> {
    Ok((row.get(0)?, Entry { value: row.get(1)?, version: row.get(2)? }))
}

async fn blocking<T: Send + 'static>(act: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let joined = tokio::task::spawn_blocking(act).await;
    joined.map_err(|e| Error::internal("use the ledger", "its thread broke off").because(e))?
}

#[cfg(test)]
mod tests;
