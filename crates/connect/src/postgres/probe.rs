//! Whether a run would work, and go on working: what `lavra doctor` says of a source.

use super::cdc::publication::{self, Sent, to_publish};
use super::cdc::slot::{Slot, TAKEN_OVER, gone, identity_fault, mebibytes};
use super::cdc::{At, reached};
use super::client::{Client, quoted};
use super::cursor::Cursor;
use super::incremental;
use super::options::Mode;
use super::ranges::{check_same, cut};
use super::setup::Setup;
use super::table::{Heap, Table};
use crate::spec::{Finding, Grade, Opening};
use kernel::error::{Kind, Result, advice};

fn good(subject: &'static str, found: impl Into<String>) -> Finding {
    Finding { subject, grade: Grade::Good, found: found.into(), remedy: None }
}

fn warning(subject: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { subject, grade: Grade::Warning, found: found.into(), remedy: Some(remedy.into()) }
}

fn bad(subject: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { subject, grade: Grade::Bad, found: found.into(), remedy: Some(remedy.into()) }
}

pub async fn probe(opening: &Opening) -> Vec<Finding> {
    let reached = async {
        let setup = Setup::read(opening)?;
        let client = setup.connect().await?;
        Ok::<_, kernel::Error>((setup, client))
    };
    let (setup, client) = match reached.await {
        Ok(reached) => reached,
        Err(error) => return vec![bad("reachability", error.to_string(), advice(error.kind).sentence)],
    };
    let mut all = vec![good("reachability", client.shown.to_string())];
    let looked = look(&setup, &client, opening, &mut all).await;
    if let Err(error) = looked {
        all.push(bad("server", error.to_string(), advice(error.kind).sentence));
    }
    all
}

async fn look(setup: &Setup, client: &Client, opening: &Opening, all: &mut Vec<Finding>) -> Result<()> {
    all.push(tls(client).await?);
    all.push(clock(client, opening).await?);
    let table = Table::look(client, setup.options.table(), &setup.entity).await?;
    all.push(grant(setup, client, opening, &table).await?);
    if let Some((found, remedy)) = table.heirs() {
        all.push(warning("inheritance", found, remedy));
    }
    match setup.options.mode {
        Mode::Snapshot => all.extend(other(check_same(&table, &table.heaps(client).await?, &opening.from))),
        Mode::Incremental => {
            all.extend(other(incremental::check_same(&table, &opening.from)));
            all.push(cursor(setup, client, &table).await?);
        }
        Mode::Cdc => {
            let changes = Changes { setup, client, table: &table, from: reached(&opening.from, &table) };
            changes.look(all).await?;
            changes.untold(all).await?;
        }
    }
    Ok(())
}

/// What the lake has of another table.
fn other(checked: Result<()>) -> Option<Finding> {
    checked.err().map(|error| bad("table", error.what, error.detail))
}

/// Rows that are never taken because of their cursor.
async fn cursor(setup: &Setup, client: &Client, table: &Table) -> Result<Finding> {
    const SUBJECT: &str = "cursor";
    let name = setup.options.cursor.as_deref().unwrap_or_default();
    let cursor = match Cursor::look(table, name, &setup.source) {
        Ok(cursor) => cursor,
        Err(error) => return Ok(bad(SUBJECT, error.detail, "name a column of the table by `cursor`")),
    };
    let all = cursor.untaken(client, &table.own_rows()).await?;
    let (found, remedies): (Vec<String>, Vec<&str>) = all.into_iter().unzip();
    Ok(match remedies.first() {
        None => good(SUBJECT, format!("every row has a `{name}`")),
        Some(remedy) => warning(SUBJECT, found.join("; "), *remedy),
    })
}

async fn tls(client: &Client) -> Result<Finding> {
    const SQL: &str = "SELECT ssl, version, inet_client_addr() IS NULL OR inet_client_addr() <<= '127.0.0.0/8'
        OR inet_client_addr() = '::1' FROM pg_catalog.pg_stat_ssl WHERE pid = pg_backend_pid()";
    let row = client.ask("look at TLS", client.query_opt(SQL, &[])).await?;
    let Some(row) = row else { return Ok(warning("TLS", "the server does not tell", "set `sslmode=verify-full`")) };
    let (on, version, is_near): (bool, Option<String>, Option<bool>) = (row.get(0), row.get(1), row.get(2));
    Ok(match (on, is_near.unwrap_or_default()) {
        (true, _) => good("TLS", version.unwrap_or_default()),
        (false, true) => good("TLS", "none, and the server is on this machine"),
        (false, false) => warning("TLS", "none: everybody on the way can read the rows", "set `sslmode=verify-full`"),
    })
}

/// More than this, and `_changed_at` of one system can't be compared with times of another.
const SKEW_MAX_MS: i64 = 2_000;

async fn clock(client: &Client, opening: &Opening) -> Result<Finding> {
    const SQL: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let before = opening.clock.now().0 / 1000;
    let row = client.ask("ask for the time", client.query_one(SQL, &[])).await?;
    let after = opening.clock.now().0 / 1000;
    let skew = row.get::<_, i64>(0) - (before + after) / 2;
    Ok(match skew.abs() > SKEW_MAX_MS {
        true => warning("clock", format!("the server's is {skew} ms off"), "let both machines set their clocks by NTP"),
        false => good("clock", format!("within {} ms", skew.abs())),
    })
}

async fn grant(setup: &Setup, client: &Client, opening: &Opening, table: &Table) -> Result<Finding> {
    // The server tells whether policies stand between this user and some rows: a run asks for all rows or none.
    const SQL: &str = "
        SELECT has_schema_privilege(c.relnamespace, 'USAGE'), has_table_privilege(c.oid, 'SELECT'),
          row_security_active(c.oid), current_user::text FROM pg_catalog.pg_class c WHERE c.oid = $1";
    let row = client.ask("look at grants", client.query_one(SQL, &[&table.oid])).await?;
    let (enters, may, is_filtered): (bool, bool, bool) = (row.get(0), row.get(1), row.get(2));
    let user = quoted(&row.get::<_, String>(3));
    if let Some(finding) = refused(table, &user, enters, may, is_filtered) {
        return Ok(finding);
    }
    let may_not = match table.kind == 'p' && setup.options.mode != Mode::Incremental {
        true => unreadable(setup, client, opening, table).await?,
        false => Vec::new(),
    };
    Ok(match may_not.first() {
        None => good("grants", format!("{user} may read {}", table.shown())),
        Some(leaf) => {
            let (own, shown) = (format!("{}.{}", quoted(&leaf.schema), quoted(&leaf.name)), table.shown());
            let others = if may_not.len() > 1 { format!(" and {} more", may_not.len() - 1) } else { String::new() };
            warning(
                "grants",
                format!(
                    "{user} may read {shown}, and not its partition {}.{}{others} by itself: the table is read in one piece, by \
                     one connection, and anew if that breaks off",
                    leaf.schema, leaf.name
                ),
                format!("GRANT SELECT ON {own} TO {user}, and so on, before the first run"),
            )
        }
    })
}

/// What keeps the user from a table.
fn refused(table: &Table, user: &str, enters: bool, may: bool, is_filtered: bool) -> Option<Finding> {
    const SUBJECT: &str = "grants";
    let (shown, own) = (table.shown(), table.quoted());
    let enter = format!("GRANT USAGE ON SCHEMA {} TO {user}", quoted(&table.schema));
    let read = format!("GRANT SELECT ON {own} TO {user}");
    let remedy = match (enters, may) {
        (false, true) => enter,
        (false, false) => format!("{enter}; {read}"),
        (true, false) => read,
        (true, true) if is_filtered => {
            let found =
                format!("row security of {shown} holds for {user}: a run takes all rows or none, and is refused");
            let remedy = format!("ALTER ROLE {user} BYPASSRLS, or read as the table's owner");
            return Some(bad(SUBJECT, found, remedy));
        }
        (true, true) => return None,
    };
    let where_not = if enters { String::new() } else { format!(": not even use its schema {}", quoted(&table.schema)) };
    Some(bad(SUBJECT, format!("{user} may not read {shown}{where_not}"), remedy))
}

/// Partitions that may not be read by themselves, where the table is to be read in one piece because of them.
async fn unreadable(setup: &Setup, client: &Client, opening: &Opening, table: &Table) -> Result<Vec<Heap>> {
    let heaps = table.heaps(client).await?;
    let ranges = cut(table, &heaps, setup.options.parallel, setup.options.refresh, &opening.from)?;
    let in_one_piece = ranges.iter().any(|range| !range.has_places && !range.done);
    Ok(heaps.into_iter().filter(|heap| in_one_piece && !heap.is_readable).collect())
}

/// A table whose changes are followed.
struct Changes<'a> {
    setup: &'a Setup,
    client: &'a Client,
    table: &'a Table,
    /// What the lake has of it.
    from: Result<Option<At>>,
}

impl Changes<'_> {
    fn known(&self) -> Option<At> {
        self.from.as_ref().ok().cloned().flatten()
    }

    async fn look(&self, all: &mut Vec<Finding>) -> Result<()> {
        const SQL: &str = "
            SELECT current_setting('wal_level'), rolreplication OR rolsuper, current_user::text,
              current_setting('max_replication_slots')::bigint - (SELECT count(*) FROM pg_catalog.pg_replication_slots),
              current_setting('max_wal_senders')::bigint - (SELECT count(*) FROM pg_catalog.pg_stat_replication),
              (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'max_slot_wal_keep_size')
            FROM pg_catalog.pg_roles WHERE rolname = current_user";
        let row = self.client.ask("look at replication", self.client.query_one(SQL, &[])).await?;
        let (level, may, user): (String, bool, String) = (row.get(0), row.get(1), row.get(2));
        let (slots, senders, kept): (i64, i64, Option<i64>) = (row.get(3), row.get(4), row.get(5));
        all.push(match level.as_str() {
            "logical" => good("wal_level", level),
            _ => bad(
                "wal_level",
                format!("{level}, must be logical"),
                "ALTER SYSTEM SET wal_level = 'logical', and start it again",
            ),
        });
        all.push(match may {
            true => good("replication", format!("{user} may follow changes")),
            false => bad(
                "replication",
                format!("{user} may not follow changes"),
                format!("ALTER ROLE \"{user}\" REPLICATION"),
            ),
        });
        all.push(match identity_fault(&self.setup.entity, self.table, self.known().is_some()) {
            None => good("replica identity", format!("{} tells which row changed", self.table.shown())),
            Some((why, remedy)) => bad("replica identity", format!("{}: {why}", self.table.shown()), remedy),
        });
        all.push(self.followed(slots).await?);
        all.push(self.publication().await?);
        all.push(match senders > 0 {
            true => good("senders", format!("{senders} are free")),
            false => bad("senders", "none is free", "raise max_wal_senders, and start the server again"),
        });
        all.push(disk(self.client, kept).await?);
        Ok(())
    }

    /// Whether what the lake has goes on with what the slot has.
    async fn followed(&self, free: i64) -> Result<Finding> {
        const ANEW: &str = "drop the slot if it is there, move the folder of the bronze table away, and run again";
        let name = self.setup.slot();
        let slot = Slot::look(self.client, &name).await?;
        let wrong = match (&self.from, &slot) {
            (Err(error), _) => Some(error.to_string()),
            (Ok(Some(_)), None) => Some(gone(&name).to_string()),
            (Ok(from), Some(slot)) => slot.check(&name, from.as_ref().map(|at| at.lsn)).err().map(|e| e.to_string()),
            (Ok(None), None) => None,
        };
        let is_taken_over = slot.is_some() && matches!(self.from, Ok(None));
        Ok(match wrong {
            Some(why) => bad("slot", why, ANEW),
            None if is_taken_over => {
                warning("slot", format!("`{name}`: {TAKEN_OVER}"), "give each copy of the project its own, by `slot`")
            }
            None => slot_of(self.setup, &name, slot.as_ref(), free),
        })
    }

    async fn publication(&self) -> Result<Finding> {
        let Self { setup, client, table, .. } = self;
        const SUBJECT: &str = "publication";
        const MAY: &str = "SELECT has_database_privilege(current_database(), 'CREATE') AND
            (SELECT pg_has_role(relowner, 'USAGE') FROM pg_catalog.pg_class WHERE oid = $1)";
        let name = setup.publication();
        match publication::look(client, setup, table, self.known()).await {
            Ok(Some(_)) => return Ok(good(SUBJECT, format!("`{name}` publishes {}", table.shown()))),
            Ok(None) => {}
            // Who is silent is not asked more.
            Err(error) if error.kind == Kind::Unreachable => return Err(error),
            Err(error) => return Ok(bad(SUBJECT, error.what, error.detail)),
        }
        let row = client.ask("look at rights", client.query_one(MAY, &[&table.oid])).await?;
        Ok(match row.get::<_, Option<bool>>(0).unwrap_or_default() {
            true => good(SUBJECT, format!("`{name}` will be made")),
            false => bad(
                SUBJECT,
                format!("`{name}` is not there, and this user may not make it"),
                format!("let the table's owner run: {}", to_publish(setup, table)),
            ),
        })
    }

    /// What changes do not tell of the table.
    async fn untold(&self, all: &mut Vec<Finding>) -> Result<()> {
        let Self { setup, client, table, .. } = self;
        let sent = Sent::look(client, setup, table).await?;
        let name = setup.publication();
        if let Err(error) = sent.check(setup, table, self.known().is_some()) {
            all.push(bad("columns", error.what, error.detail));
        } else if sent.has_list {
            all.push(warning(
                "columns",
                format!("`{name}` publishes only some columns of {}: {}", table.shown(), sent.columns.join(", ")),
                "publish all columns, unless the others are not wanted",
            ));
        }
        if let Some(filter) = &sent.filter {
            all.push(warning(
                "row filter",
                format!("`{name}` publishes changes of {} only where {filter}", table.shown()),
                "rows outside stay as they were read first: publish the table without a WHERE, and take it anew",
            ));
        }
        if table.kind == 'p' {
            all.push(warning(
                "truncate",
                format!(
                    "{} is partitioned: the server does not tell when one partition is truncated, dropped or detached, nor the rows \
                     of one that is attached with rows in it",
                    table.shown()
                ),
                "delete the rows instead, or truncate the whole table; attach empty partitions and insert into them, or take \
                 the table anew",
            ));
        }
        Ok(())
    }
}

fn slot_of(setup: &Setup, name: &str, slot: Option<&Slot>, free: i64) -> Finding {
    const SUBJECT: &str = "slot";
    let Some(slot) = slot else {
        return match free > 0 {
            true => good(SUBJECT, format!("`{name}` will be made; {free} are free")),
            false => bad(SUBJECT, "no slot is free", "raise max_replication_slots, or drop a slot that nobody uses"),
        };
    };
    let kept = mebibytes(slot.retained);
    let found = format!("`{name}` keeps {kept} MiB of the server's log");
    match (slot.wal_status.as_deref(), setup.options.wal_budget()) {
        (Some("unreserved"), _) => warning(SUBJECT, found, "run now: the server is about to let the log go"),
        (_, Some(budget)) if slot.retained > budget / 5 * 4 => {
            warning(SUBJECT, format!("{found} of {} MiB (`wal_budget`)", mebibytes(budget)), "run it, or more often")
        }
        _ => good(SUBJECT, found),
    }
}

/// What SQL can tell of the server's disk: how large its log is, and whether a slot may fill the disk with it.
async fn disk(client: &Client, kept: Option<i64>) -> Result<Finding> {
    const SUBJECT: &str = "disk";
    let size = client.query_one("SELECT coalesce(sum(size), 0)::bigint FROM pg_catalog.pg_ls_waldir()", &[]);
    let size = match client.answer("look at the log's size", size).await? {
        Ok(row) => format!("the log has {} MiB", mebibytes(u64::try_from(row.get::<_, i64>(0)).unwrap_or_default())),
        // Only monitors may look.
        Err(_) => "the size of the log is not told to this user".to_owned(),
    };
    Ok(match kept {
        Some(-1) | None => warning(
            SUBJECT,
            format!(
                "{size}, and max_slot_wal_keep_size sets no bound to what slots keep; free space can't be asked for"
            ),
            "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB' (or what the disk has), and SELECT pg_reload_conf()",
        ),
        Some(kept) => good(SUBJECT, format!("{size}; a slot keeps {kept} MiB at most")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_user_from_a_table_is_told_with_its_remedy() {
        let table = Table::bare("t", 1);
        let told = |enters, may, is_filtered| {
            let finding = refused(&table, "\"u\"", enters, may, is_filtered)?;
            Some(format!("{}: {}", finding.found, finding.remedy.unwrap_or_default()))
        };
        assert_eq!(told(true, true, false), None);
        let (enter, read) = ("GRANT USAGE ON SCHEMA \"s\" TO \"u\"", "GRANT SELECT ON \"s\".\"t\" TO \"u\"");
        let both = told(false, false, false).expect("a finding");
        assert!(both.contains(enter) && both.contains(read), "{both}");
        assert!(told(false, true, false).is_some_and(|told| told.contains(enter) && !told.contains(read)));
        assert!(told(true, false, false).is_some_and(|told| told.ends_with(read) && !told.contains("schema")));
        assert!(told(true, true, true).is_some_and(|told| told.contains("row security") && told.contains("BYPASSRLS")));
    }
}
