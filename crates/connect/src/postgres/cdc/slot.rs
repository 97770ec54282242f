//! The replication slot of a source: looked at, made where it is not there, and kept from filling the server's disk.

use super::position::{At, History, shown};
use super::publication::{self, Published, Sent};
use crate::postgres::client::{Client, fault, literal};
use crate::postgres::options::OnWalBudget;
use crate::postgres::setup::Setup;
use crate::postgres::table::Table;
use kernel::Entity;
use kernel::error::{Error, Kind, Result};
use std::collections::BTreeSet;
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
    /// Where the server's log ends; none of a standby, which may be behind for a while.
    pub log_end: Option<u64>,
}

const SLOT: &str = "
    SELECT plugin::text, database = current_database(), pg_catalog.pg_wal_lsn_diff(confirmed_flush_lsn, '0/0')::bigint,
      pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
        restart_lsn)::bigint, wal_status, active_pid,
      CASE WHEN NOT pg_is_in_recovery() THEN pg_catalog.pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint END
    FROM pg_catalog.pg_replication_slots WHERE slot_name = $1";

impl Slot {
    pub async fn look(client: &Client, name: &str) -> Result<Option<Self>> {
        let row = client.ask("look at the replication slot", client.query_opt(SLOT, &[&name])).await?;
        let known = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        let bytes = |value| known(value).unwrap_or_default();
        Ok(row.map(|row| Self {
            plugin: row.get(0),
            is_own_database: row.get::<_, Option<bool>>(1).unwrap_or_default(),
            confirmed: bytes(row.get(2)),
            retained: bytes(row.get(3)),
            wal_status: row.get(4),
            active_process: row.get(5),
            log_end: known(row.get(6)),
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
            Some(from) if self.log_end.is_some_and(|end| from > end) => {
                Err(went_back(name, from, self.log_end.unwrap_or_default()))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// How a table is taken anew.
pub const ANEW: &str = "Drop the slot if it is still there, move the folder of the bronze table away, and run again: the table is taken anew";

pub fn again(what: &str, why: &str) -> Error {
    Error::data(what, format!("{why}. {ANEW}"))
}

/// Of a slot that was there when rows were taken.
pub fn gone(name: &str) -> Error {
    again(&format!("use the replication slot `{name}`"), "it is gone, and with it the changes since the last run")
}

/// Of a server whose log ends before what was taken of it.
pub fn went_back(name: &str, reached: u64, end: u64) -> Error {
    let why = format!(
        "the lake has changes up to {} of the server's log, which ends at {}: the server went back to an older state, by a failover to \
         a standby that lacked them or a disk that was put back, and what it writes now takes their places",
        shown(reached),
        shown(end)
    );
    again(&format!("use the replication slot `{name}`"), &why)
}

/// Where changes come from.
pub struct Ready {
    /// The place in the log.
    pub lsn: u64,
    pub history: History,
    pub published: Published,
    pub sent: Sent,
}

/// Makes sure of the publication and the slot. `known` is what was committed.
pub async fn ensure(client: &Client, setup: &Setup, table: &Table, known: Option<At>) -> Result<Ready> {
    let (name, from) = (setup.slot(), known.map(|at| at.lsn));
    check_level(client).await?;
    check_identity(setup, table, known.is_some())?;
    // Before the slot, so that what is published differently from then on is noticed, and that no slot is left behind by
    // what can't be followed.
    let published = publication::ensure(client, setup, table, known).await?;
    let sent = Sent::look(client, setup, table).await?;
    sent.check(setup, table, known.is_some())?;
    let history = match known {
        // Looked at where the stream begins.
        Some(At { history: Some(history), snapshot: 1.., .. }) => history,
        Some(_) | None => History::ask(setup, known).await?,
    };
    let slot = match (Slot::look(client, &name).await?, from) {
        (Some(slot), Some(_)) => slot,
        (Some(slot), None) => {
            tracing::warn!(slot = name, "{TAKEN_OVER}");
            slot
        }
        (None, Some(_)) => return Err(gone(&name)),
        (None, None) => make(client, setup, &name).await?,
    };
    slot.check(&name, from)?;
    guard(client, setup, &slot).await?;
    if known.is_none() {
        wait_until_seen(client, setup, &name).await?;
    }
    Ok(Ready { lsn: from.unwrap_or(slot.confirmed), history, published, sent })
}

/// Of a slot without a position.
pub const TAKEN_OVER: &str = "the replication slot was there, and this lake has no position of it: a run ended before its first commit, \
    or another copy of this project reads it. Two that read one slot take changes from each other: another copy must have a \
    `slot` of its own";

/// The server waits for all transactions that are open to end, as for a lock, and not as long as a question may take.
async fn make(client: &Client, setup: &Setup, name: &str) -> Result<Slot> {
    const MAKE: &str = "SELECT pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput')";
    let what = format!("make the replication slot `{name}`");
    let wait = |ms: u64, lock: &str| format!("SET statement_timeout = {ms}; SET lock_timeout = {}", literal(lock));
    let lock = client.query_one("SELECT current_setting('lock_timeout')", &[]);
    let lock: String = client.ask(&what, lock).await?.get(0);
    client.ask(&what, client.batch_execute(&wait(setup.options.timeout_ms, "0"))).await?;
    let made = client.answer(&what, client.execute(MAKE, &[&name])).await?;
    made.map_err(|e| {
        let error = fault(&what, &e);
        match e.code().is_some_and(|code| code.code() == CANCELLED) {
            true => Error { detail: format!("{}: {WAITED_FOR}", error.detail), ..error },
            false => error,
        }
    })?;
    client.ask(&what, client.batch_execute(&wait(0, &lock))).await?;
    tracing::info!(slot = name, "made a replication slot; from now on the server keeps its log for it");
    Slot::look(client, name).await?.ok_or_else(|| Error::new(Kind::Unreachable, what, "it is gone again"))
}

/// With synchronous replication a transaction may be in the log, before the slot begins and so in no change, while its rows are
/// not seen yet: it waits for a standby. Who reads the table now would miss them. All that are open are waited for, as the making
/// itself waits for those before.
async fn wait_until_seen(client: &Client, setup: &Setup, name: &str) -> Result<()> {
    // Each transaction that writes holds a lock on its own number, until its rows are seen.
    const OPEN: &str = "SELECT transactionid::text FROM pg_catalog.pg_locks
        WHERE locktype = 'transactionid' AND granted AND current_setting('synchronous_standby_names') <> ''";
    let what = format!("wait for transactions that were open when the replication slot `{name}` was made");
    let look = async || {
        let rows = client.ask(&what, client.query(OPEN, &[])).await?;
        Ok::<BTreeSet<String>, Error>(rows.iter().map(|row| row.get(0)).collect())
    };
    let waiting = async {
        let mut open = look().await?;
        while !open.is_empty() {
            tokio::time::sleep(A_MOMENT).await;
            let still = look().await?;
            open.retain(|number| still.contains(number));
        }
        Ok(())
    };
    let late = |_| {
        let detail = format!("{WAITED_FOR}; one that waits for a synchronous standby is open, too");
        Error::new(Kind::Unreachable, &what, detail)
    };
    tokio::time::timeout(setup.patience(), waiting).await.map_err(late)?
}

const WAITED_FOR: &str = "the server first waits for open transactions to end (pg_stat_activity shows them, and pg_prepared_xacts those \
    that are prepared), or `timeout_ms`";

/// The server's code for a statement that took too long.
const CANCELLED: &str = "57014";

async fn check_level(client: &Client) -> Result<()> {
    let row = client.query_one("SELECT current_setting('wal_level')", &[]);
    let level: String = client.ask("look at wal_level", row).await?.get(0);
    match level.as_str() {
        "logical" => Ok(()),
        _ => Err(Error::project(
            "follow changes",
            format!("the server's wal_level is {level}: `ALTER SYSTEM SET wal_level = 'logical'`, and start it again"),
        )),
    }
}

fn check_identity(setup: &Setup, table: &Table, is_known: bool) -> Result<()> {
    let what = format!("follow {}", table.shown());
    if !matches!(table.kind, 'r' | 'p') {
        return Err(Error::project(what, "it is no table, and has no changes to follow: use `mode: snapshot`"));
    }
    match identity_fault(&setup.entity, table, is_known) {
        Some((why, remedy)) => Err(Error::project(what, format!("{why}. {remedy}"))),
        None => Ok(()),
    }
}

/// Why changes do not tell which row they changed, and what to do. `is_known` says whether the lake has rows of the table.
pub fn identity_fault(entity: &Entity, table: &Table, is_known: bool) -> Option<(String, String)> {
    let full = format!("ALTER TABLE {} REPLICA IDENTITY FULL", table.quoted());
    // A published table without an identity refuses its owner's own updates.
    if !table.columns.iter().any(|column| column.identifies) {
        let refuses = "published, it would refuse its own updates and deletes";
        let has_key = table.columns.iter().any(|column| column.key.is_some());
        return Some(match (table.identity, has_key) {
            ('n' | 'i', true) => (
                format!("the table's REPLICA IDENTITY names no column: {refuses}"),
                format!("ALTER TABLE {} REPLICA IDENTITY DEFAULT, which is its primary key", table.quoted()),
            ),
            ('n' | 'i', false) => (format!("the table's REPLICA IDENTITY names no column: {refuses}"), full),
            _ => (format!("the table has no primary key: {refuses}"), format!("{full}, or give it a primary key")),
        });
    }
    let key = entity.key();
    let name = key.iter().find(|name| table.column(name).is_none_or(|column| !column.identifies))?;
    let why = format!("changes do not tell the old value of `{name}`, which is part of the contract's key");
    let mend = match table.identity {
        'i' => format!("name the columns of its REPLICA IDENTITY's index as the contract's key, or {full}"),
        _ => format!("make the key the table's own, or {full}"),
    };
    // What is in the log stays as it was written.
    let after = "What was changed until then can't be told: the table has to be taken anew after it";
    Some((why, if is_known { format!("{mend}. {after}. {ANEW}") } else { mend }))
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
    let what = format!("drop the replication slot `{name}`");
    let mut tries = 0;
    loop {
        client.ask(&what, client.query(END, &[&name])).await?;
        match client.answer(&what, client.query(DROP, &[&name])).await? {
            Err(error) if error.code().is_some_and(|code| code.code() == IN_USE) && tries < TRIES => {
                tries += 1;
                tokio::time::sleep(A_MOMENT).await;
            }
            dropped => return dropped.map(drop).map_err(|e| fault(&what, &e)),
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
    Ok(look_at_end(client).await?.0)
}

/// The same for who has taken changes up to `reached`: an error when the log has not got there.
pub async fn log_end_behind(client: &Client, name: &str, reached: u64) -> Result<u64> {
    match look_at_end(client).await? {
        (end, false) if reached > end => Err(went_back(name, reached, end)),
        // A standby that was started again, or lags, gets there.
        (end, _) => Ok(end),
    }
}

/// The log's end, and whether the server is a standby.
async fn look_at_end(client: &Client) -> Result<(u64, bool)> {
    const END: &str = "SELECT pg_catalog.pg_wal_lsn_diff((CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END)
        , '0/0')::bigint, pg_is_in_recovery()";
    let row = client.ask("ask for the log's end", client.query_one(END, &[])).await?;
    Ok((u64::try_from(row.get::<_, i64>(0)).unwrap_or_default(), row.get(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_what_is_between_its_own_place_and_the_end_of_the_log() {
        let slot = Slot {
            plugin: Some("pgoutput".into()),
            is_own_database: true,
            confirmed: 100,
            retained: 50,
            wal_status: Some("reserved".into()),
            active_process: None,
            log_end: Some(200),
        };
        for from in [None, Some(100), Some(200)] {
            slot.check("mine", from).expect("all of it is there");
        }
        let told = |from| slot.check("mine", Some(from)).expect_err("an error").to_string();
        assert!(told(99).contains("moved beyond"));
        assert!(told(201).contains("up to 0/C9") && told(201).contains("ends at 0/C8") && told(201).contains("anew"));
        Slot { log_end: None, ..slot.clone() }.check("mine", Some(201)).expect("a standby gets there");
    }
}
