//! A SQLite file that several processes open: what the ledger and the vault share.

use kernel::{Error, Kind, Result};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::path::Path;
use std::time::Duration;

/// How long to wait for others that are writing. Each write takes milliseconds, but waiting is by chance and not in turn, and
/// on a busy disk each of them waits for its sync.
const BUSY_TIMEOUT: Duration = Duration::from_secs(15);

pub(super) struct SqliteFile {
    /// What the file is called in errors.
    pub noun: &'static str,
    /// The version of `create`, kept in the file's `user_version`.
    pub schema: i64,
    pub create: &'static str,
    pub if_damaged: &'static str,
}

impl SqliteFile {
    /// Opens the file, or makes it. `Kind::Data` if it is damaged or something else, `Kind::Storage` if it can't be
    /// opened or written, `Kind::Conflict` if another process keeps it locked.
    pub fn connect(&self, path: &Path, flags: OpenFlags) -> Result<Connection> {
        if let Some(folder) = path.parent() {
            let made = std::fs::create_dir_all(folder);
            made.map_err(|e| kernel::error::io(format!("make the folder {}", folder.display()), e))?;
        }
        let opened =
            Connection::open_with_flags(path, flags).and_then(|mut c| self.prepare(&mut c).map(|schema| (c, schema)));
        match opened {
            Ok((connection, schema)) if schema == self.schema => Ok(connection),
            Ok((_, schema)) => Err(Error::project(
                format!("open the {} {}", self.noun, path.display()),
                format!(
                    "it is of version {schema}, and this program knows version {}: use the program that wrote it",
                    self.schema
                ),
            )),
            Err(error) => Err(self.told("open", path, error)),
        }
    }

    /// Answers the version of the file's schema.
    fn prepare(&self, connection: &mut Connection) -> rusqlite::Result<i64> {
        write_ahead(connection)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // What was granted or given out must outlive a power cut.
        connection.pragma_update(None, "synchronous", "full")?;
        let schema = version(connection)?;
        if schema != 0 {
            return Ok(schema);
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Somebody else may have made it while we waited for our turn.
        if version(&transaction)? == 0 {
            transaction.execute_batch(self.create)?;
            transaction.pragma_update(None, "user_version", self.schema)?;
        }
        transaction.commit()?;
        version(connection)
    }

    pub fn told(&self, verb: &str, path: &Path, error: rusqlite::Error) -> Error {
        use ErrorCode as C;
        let (kind, detail) = match error.sqlite_error_code() {
            Some(C::DatabaseBusy | C::DatabaseLocked | C::FileLockingProtocolFailed) => {
                (Kind::Conflict, format!("another process has kept it locked for {BUSY_TIMEOUT:?}"))
            }
            Some(C::NotADatabase | C::DatabaseCorrupt) => {
                (Kind::Data, format!("it is damaged, or no SQLite file: {}", self.if_damaged))
            }
            Some(C::ReadOnly | C::PermissionDenied) => {
                (Kind::Storage, "it may not be written: look at its permissions".into())
            }
            Some(C::CannotOpen) => (Kind::Storage, "it can't be opened: look at its folder and permissions".into()),
            Some(C::DiskFull) => (Kind::Storage, "the disk is full".into()),
            Some(C::SystemIoFailure) => (Kind::Storage, format!("the disk failed: {error}")),
            _ => (Kind::Internal, error.to_string()),
        };
        Error::new(kind, format!("{verb} the {} {}", self.noun, path.display()), detail).because(error)
    }
}

/// Lets readers and a writer not wait for each other. Where the file system can't do it the mode stays another, which is
/// slower and just as safe.
///
/// Of several that change the mode of a new file, SQLite turns all but one away at once, whatever the timeout is.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    const PAUSE: Duration = Duration::from_millis(20);
    connection.busy_timeout(Duration::ZERO)?;
    let mut turns = BUSY_TIMEOUT.as_millis() / PAUSE.as_millis();
    loop {
        match connection.query_row("pragma journal_mode = wal", [], |_| Ok(())) {
            Err(error) if turns > 0 && error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => turns -= 1,
            other => return other,
        }
        std::thread::sleep(PAUSE);
    }
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("pragma user_version", [], |row| row.get(0))
}
