//! The publication and the replication slot of a source: looked at, made where they are not there, and kept from filling
//! the server's disk.

use crate::postgres::client::{Client, fault, quoted};
use crate::postgres::options::OnWalBudget;
use crate::postgres::setup::Setup;
use crate::postgres::table::Table;
use kernel::error::{Error, Kind, Result};
use std::sync::Arc;
use std::time::Duration;

/// A slot as the server has it. Places in its log are bytes from the log's beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    pub plugin: Option<String>,
    pub is_own_database: bool,
    /// Behind what was acknowledged.
    pub confirmed: u64,
    /// How much of its log the server keeps for it.
    pub retained: u64,
    /// `lost` when the server has let its log go.
    pub wal_status: Option<String>,
    pub active_process: Option<i32>,
}

const SLOT: &str = "
    SELECT plugin::text, database = current_database(), pg_catalog.pg_wal_lsn_diff(confirmed_flush_lsn, '0/0')::bigint,
      pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
        restart_lsn)::bigint, wal_status, active_pid
    FROM pg_catalog.pg_replication_slots WHERE slot_name = $1";

impl Slot {
    pub async fn look(client: &Client, name: &str) -> Result<Option<Self>> {
        let row = client.query_opt(SLOT, &[&name]).await.map_err(|e| fault("look at the replication slot", &e))?;
        let bytes = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).unwrap_or_default();
        Ok(row.map(|row| Self {
            plugin: row.get(0),
            is_own_database: row.get::<_, Option<bool>>(1).unwrap_or_default(),
            confirmed: bytes(row.get(2)),
            retained: bytes(row.get(3)),
            wal_status: row.get(4),
            active_process: row.get(5),
        }))
    }

    /// Whether changes from `from` on can be had of it.
    pub fn check(&self, name: &str, from: Option<u64>) -> Result<()> {
        let what = format!("use the replication slot `{name}`");
        if self.plugin.as_deref() != Some("pgoutput") || !self.is_own_database {
            let why = "it is of another kind or of another database: name another one by `slot`";
            return Err(Error::project(what, why));
        }
        if self.wal_status.as_deref() == Some("lost") {
            return Err(again(&what, "the server has let its log go (`max_slot_wal_keep_size`), and changes with it"));
        }
        match from {
            Some(from) if self.confirmed > from => {
                let why = "it was moved beyond what is in the lake, by somebody else or another project: changes between are lost";
                Err(again(&what, why))
            }
            _ => Ok(()),
        }
    }
}

pub fn again(what: &str, why: &str) -> Error {
    let help = "Drop the slot if it is still there, move the folder of the bronze table away, and run again: the table is taken anew";
    Error::data(what, format!("{why}. {help}"))
}

/// Of a slot that was there when rows were taken.
pub fn gone(name: &str) -> Error {
    again(&format!("use the replication slot `{name}`"), "it is gone, and with it the changes since the last run")
}

/// Makes sure of the publication and the slot; gives the place from which changes come. `from` is what was committed.
pub async fn ensure(client: &Client, setup: &Setup, table: &Table, from: Option<u64>) -> Result<u64> {
    let name = setup.slot();
    check_level(client).await?;
    check_identity(setup, table)?;
    publish(client, setup, table).await?;
    let slot = match (Slot::look(client, &name).await?, from) {
        (Some(slot), _) => slot,
        (None, Some(_)) => return Err(gone(&name)),
        (None, None) => make(client, setup, &name).await?,
    };
    slot.check(&name, from)?;
    guard(client, setup, &slot).await?;
    Ok(from.unwrap_or(slot.confirmed))
}

/// The server waits for all transactions that are open to end.
async fn make(client: &Client, setup: &Setup, name: &str) -> Result<Slot> {
    let what = format!("make the replication slot `{name}`");
    let failed = |e| fault(&what, &e);
    let wait = |ms: u64| format!("SET statement_timeout = {ms}");
    client.batch_execute(&wait(setup.options.timeout_ms)).await.map_err(failed)?;
    let made = client.execute("SELECT pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput')", &[&name]).await;
    made.map_err(|e| {
        let error = fault(&what, &e);
        let help = "the server first waits for open transactions to end (pg_stat_activity shows them), or `timeout_ms`";
        match e.code().is_some_and(|code| code.code() == CANCELLED) {
            true => Error { detail: format!("{}: {help}", error.detail), ..error },
            false => error,
        }
    })?;
    client.batch_execute(&wait(0)).await.map_err(failed)?;
    tracing::info!(slot = name, "made a replication slot; from now on the server keeps its log for it");
    Slot::look(client, name).await?.ok_or_else(|| Error::new(Kind::Unreachable, what, "it is gone again"))
}

/// The server's code for a statement that took too long.
const CANCELLED: &str = "57014";

async fn check_level(client: &Client) -> Result<()> {
    let row = client.query_one("SELECT current_setting('wal_level')", &[]).await;
    let level: String = row.map_err(|e| fault("look at wal_level", &e))?.get(0);
    match level.as_str() {
        "logical" => Ok(()),
        _ => Err(Error::project(
            "follow changes",
            format!("the server's wal_level is {level}: `ALTER SYSTEM SET wal_level = 'logical'`, and start it again"),
        )),
    }
}

/// A published table without an identity refuses its owner's own updates.
fn check_identity(setup: &Setup, table: &Table) -> Result<()> {
    let what = format!("follow {}", table.shown());
    if !matches!(table.kind, 'r' | 'p') {
        return Err(Error::project(what, "it is no table, and has no changes to follow: use `mode: snapshot`"));
    }
    if !table.columns.iter().any(|column| column.identifies) {
        let help = format!("ALTER TABLE {} REPLICA IDENTITY FULL, or give it a primary key", table.quoted());
        let why = "the table has no primary key: published, it would refuse its own updates and deletes";
        return Err(Error::project(what, format!("{why}. {help}")));
    }
    let key = setup.entity.key();
    let untold = key.iter().find(|name| table.column(name).is_none_or(|column| !column.identifies));
    match untold {
        None => Ok(()),
        Some(name) => Err(Error::project(
            what,
            format!(
                "changes do not tell the old value of `{name}`, which is part of the contract's key: make the key the table's \
                 own, or ALTER TABLE {} REPLICA IDENTITY FULL",
                table.quoted()
            ),
        )),
    }
}

const PUBLICATION: &str = "
    SELECT p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate, p.pubviaroot,
      EXISTS (SELECT FROM pg_catalog.pg_publication_tables t WHERE t.pubname = p.pubname AND t.schemaname = $2 AND t.tablename = $3)
    FROM pg_catalog.pg_publication p WHERE p.pubname = $1";

async fn publish(client: &Client, setup: &Setup, table: &Table) -> Result<()> {
    if is_published(client, setup, table).await? {
        return Ok(());
    }
    let sql = to_publish(setup, table);
    let made = client.batch_execute(&sql).await;
    made.map_err(|e| {
        let error = fault(&format!("make the publication `{}`", setup.publication()), &e);
        Error { detail: format!("{}; let the table's owner run: {sql}", error.detail), ..error }
    })
}

/// What makes the publication.
pub fn to_publish(setup: &Setup, table: &Table) -> String {
    let root = if table.kind == 'p' { " WITH (publish_via_partition_root = true)" } else { "" };
    format!("CREATE PUBLICATION {} FOR TABLE {}{root}", quoted(&setup.publication()), table.quoted())
}

/// Whether the publication is there; an error when it is another than is needed.
pub async fn is_published(client: &Client, setup: &Setup, table: &Table) -> Result<bool> {
    let name = setup.publication();
    let what = format!("use the publication `{name}`");
    let failed = |e| fault(&what, &e);
    let found = client.query_opt(PUBLICATION, &[&name, &table.schema, &table.name]).await.map_err(failed)?;
    let Some(found) = found else { return Ok(false) };
    let (whole, via_root, has_table): (bool, bool, bool) = (found.get(0), found.get(1), found.get(2));
    let refuse = |why: &str, sql: String| Err(Error::project(&what, format!("{why}: {sql}")));
    let own = quoted(&name);
    if !has_table {
        return refuse("it does not name the table", format!("ALTER PUBLICATION {own} ADD TABLE {}", table.quoted()));
    }
    if !whole {
        let sql = format!("ALTER PUBLICATION {own} SET (publish = 'insert, update, delete, truncate')");
        return refuse("it leaves some changes out", sql);
    }
    if table.kind == 'p' && !via_root {
        let sql = format!("ALTER PUBLICATION {own} SET (publish_via_partition_root = true)");
        return refuse("it names the partitions, not the table", sql);
    }
    Ok(true)
}

/// The columns that the publication sends, where it names some. Generated columns are not sent.
pub async fn published(client: &Client, setup: &Setup, table: &Table) -> Result<Vec<Arc<str>>> {
    const NAMES: &str = "
        SELECT attnames::text[] FROM pg_catalog.pg_publication_tables WHERE pubname = $1 AND schemaname = $2 AND tablename = $3";
    const VERSION: &str = "SELECT current_setting('server_version_num')::int";
    let failed = |e| fault("look at the publication", &e);
    let version: i32 = client.query_one(VERSION, &[]).await.map_err(failed)?.get(0);
    let own = || table.columns.iter().filter(|column| !column.generated).map(|column| column.name.clone());
    if version < 150_000 {
        return Ok(own().collect());
    }
    let name = setup.publication();
    let row = client.query_opt(NAMES, &[&name, &table.schema, &table.name]).await.map_err(failed)?;
    let names: Vec<String> = row.and_then(|row| row.get::<_, Option<Vec<String>>>(0)).unwrap_or_default();
    Ok(own().filter(|column| names.is_empty() || names.iter().any(|name| **name == **column)).collect())
}

/// Warns before the budget is used up, and does what the project says when it is.
pub async fn guard(client: &Client, setup: &Setup, slot: &Slot) -> Result<()> {
    let Some(budget) = setup.options.wal_budget() else { return Ok(()) };
    let name = setup.slot();
    let (kept, budget_shown) = (mebibytes(slot.retained), mebibytes(budget));
    if slot.retained > budget && setup.options.on_wal_budget == OnWalBudget::Drop {
        drop_slot(client, &name).await?;
        let why = format!(
            "the server kept {kept} MiB of its log for it, more than `wal_budget` ({budget_shown} MiB), and `on_wal_budget: drop` \
             asks for this. Move the folder of the bronze table away and run again: the table is taken anew"
        );
        return Err(Error::refused(format!("dropped the replication slot `{name}`"), why));
    }
    if slot.retained > budget / 5 * 4 {
        let over = slot.retained > budget;
        tracing::warn!(
            slot = name,
            "the server keeps {kept} MiB of its log for it; the budget is {budget_shown} MiB{}",
            if over { " and exceeded" } else { "" }
        );
    }
    Ok(())
}

/// Ends who holds the slot, which takes a moment, and drops it.
async fn drop_slot(client: &Client, name: &str) -> Result<()> {
    const END: &str = "SELECT pg_catalog.pg_terminate_backend(active_pid) FROM pg_catalog.pg_replication_slots
        WHERE slot_name = $1 AND active_pid IS NOT NULL";
    const DROP: &str = "SELECT pg_catalog.pg_drop_replication_slot($1)";
    let failed = |e| fault(&format!("drop the replication slot `{name}`"), &e);
    let mut tries = 0;
    loop {
        client.query(END, &[&name]).await.map_err(failed)?;
        match client.query(DROP, &[&name]).await {
            Err(error) if error.code().is_some_and(|code| code.code() == IN_USE) && tries < TRIES => {
                tries += 1;
                tokio::time::sleep(A_MOMENT).await;
            }
            dropped => return dropped.map(drop).map_err(failed),
        }
    }
}

/// The server's code for a slot that somebody holds.
pub const IN_USE: &str = "55006";
const TRIES: usize = 50;
pub const A_MOMENT: Duration = Duration::from_millis(200);

pub fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

/// How far the server's log is on its disk.
pub async fn log_end(client: &Client) -> Result<u64> {
    const END: &str = "SELECT pg_catalog.pg_wal_lsn_diff((CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END)
        , '0/0')::bigint";
    let row = client.query_one(END, &[]).await.map_err(|e| fault("ask for the log's end", &e))?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or_default())
}
