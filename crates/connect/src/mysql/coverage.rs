//! Whether a server's log has the changes of a table at all. What a replica or a node of a cluster takes over from another server
//! is in its tables, but in its log only where it is told to write it there; and whole databases may be left out of the log.

use super::health::{Server, finding, good};
use super::login::fault;
use super::table::Table;
use crate::spec::{Finding, Grade};
use kernel::Result;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

/// What is asked beside the settings.
#[derive(Debug, Default)]
struct Asked {
    /// Whether it takes changes over from another server; `None` where this user may not ask.
    is_replica: Option<bool>,
    /// Databases that alone are in the log (`binlog_do_db`).
    only: String,
    /// Databases that are not (`binlog_ignore_db`).
    without: String,
    /// Whether the log has columns of the table that its catalog does not have.
    has_hashes: bool,
}

/// Looks for what keeps the table's changes out of the log, or from being told by it.
pub async fn coverage(conn: &mut Conn, server: &Server, table: &Table) -> Result<Vec<Finding>> {
    let is_replica =
        if updates(server).is_some_and(|(_, is_on)| !is_on) { is_replica(conn, server).await? } else { Some(false) };
    let (only, without) = filters(conn).await?;
    let has_hashes = server.is_mariadb && has_hashes(conn, table).await?;
    Ok(told(server, &table.database, &Asked { is_replica, only, without, has_hashes }))
}

/// Whether what is taken over is in the log, and the setting that says so.
fn updates(server: &Server) -> Option<(&'static str, bool)> {
    let known = ["log_replica_updates", "log_slave_updates"].into_iter().find(|name| !server.is(name).is_empty())?;
    Some((known, ["ON", "1"].iter().any(|on| server.is(known).eq_ignore_ascii_case(on))))
}

fn told(server: &Server, database: &str, asked: &Asked) -> Vec<Finding> {
    let mut found = Vec::new();
    let provider = server.is("wsrep_provider");
    let is_node = ["ON", "1"].iter().any(|on| server.is("wsrep_on").eq_ignore_ascii_case(on))
        && !provider.is_empty()
        && !provider.eq_ignore_ascii_case("none");
    if let Some((setting, is_on)) = updates(server) {
        let bad = |what: &str, more: &str| {
            let remedy = format!(
                "start the server with `{setting} = ON`, or follow the server where the changes are made{more}: else what comes from other \
                 servers is in the table and not in this log. What came before is told by `refresh: <any new text>`"
            );
            finding(setting, Grade::Bad, format!("OFF, and {what}"), remedy)
        };
        found.push(match asked.is_replica {
            _ if is_on => good(setting, "ON"),
            _ if is_node => bad("the server is a node of a Galera cluster", ""),
            Some(true) => bad("the server is a replica", ""),
            Some(false) => good(setting, "OFF, and the server is no replica"),
            None => {
                let right = if server.is_mariadb { "SLAVE MONITOR" } else { "REPLICATION CLIENT" };
                let more = format!(", or let this user see that it is no replica (`GRANT {right} ON *.* TO` it)");
                bad("this user may not see whether the server is a replica", &more)
            }
        });
    }
    let names = |list: &str| list.split(',').any(|name| name.trim().eq_ignore_ascii_case(database));
    if !asked.only.is_empty() && !names(&asked.only) {
        let remedy = format!(
            "add `binlog_do_db = {database}` to the server's configuration, or leave `binlog_do_db` out of it, and start it again: the log has \
             no change of this database. What came before is told by `refresh: <any new text>`"
        );
        found.push(finding("binlog_do_db", Grade::Bad, asked.only.clone(), remedy));
    }
    // The server looks at the second list only where there is no first.
    if asked.only.is_empty() && names(&asked.without) {
        let remedy = format!(
            "take `binlog_ignore_db = {database}` out of the server's configuration, and start it again: the log has no change of this \
             database. What came before is told by `refresh: <any new text>`"
        );
        found.push(finding("binlog_ignore_db", Grade::Bad, asked.without.clone(), remedy));
    }
    if asked.has_hashes && !server.is("binlog_row_metadata").eq_ignore_ascii_case("FULL") {
        found.push(finding(
            "unique index",
            Grade::Bad,
            "over long text, for which the server keeps a column of its own",
            "set `binlog_row_metadata = FULL` (MariaDB 10.5 and later): without names in the log, that column can't be told from those of the table. \
             Else drop the index, or read the table by another `mode`",
        ));
    }
    found
}

/// What a server says to who may not ask, and to a statement that it does not know.
const DENIED: [u16; 2] = [1045, 1227];
const SYNTAX: u16 = 1064;

/// The first answer to one of these statements, which have other names on other servers; `None` to who may not ask.
async fn rows(conn: &mut Conn, what: &str, statements: &[&str]) -> Result<Option<Vec<Row>>> {
    for (at, statement) in statements.iter().enumerate() {
        match conn.query(*statement).await {
            Ok(rows) => return Ok(Some(rows)),
            Err(mysql_async::Error::Server(error)) if DENIED.contains(&error.code) => return Ok(None),
            Err(mysql_async::Error::Server(error)) if error.code == SYNTAX && at + 1 < statements.len() => {}
            Err(error) => return Err(fault(what, error)),
        }
    }
    Ok(None)
}

async fn is_replica(conn: &mut Conn, server: &Server) -> Result<Option<bool>> {
    let statements: &[&str] =
        if server.is_mariadb { &["SHOW ALL SLAVES STATUS"] } else { &["SHOW REPLICA STATUS", "SHOW SLAVE STATUS"] };
    let answer = rows(conn, "ask whether the server is a replica", statements).await?;
    // What was taken over last is told to everybody; of a server that is no replica any more it stays.
    let took_nothing = server.is_mariadb && server.is("gtid_slave_pos").is_empty();
    Ok(answer.map(|rows| !rows.is_empty()).or(took_nothing.then_some(false)))
}

/// MariaDB keeps a unique index over what is too long for one by a hidden column, `DB_ROW_HASH_1`, which is in the log.
async fn has_hashes(conn: &mut Conn, table: &Table) -> Result<bool> {
    let count: Option<u64> = conn
        .exec_first(
            "SELECT COUNT(*) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND NON_UNIQUE = 0 \
             AND INDEX_TYPE = 'HASH'",
            (&table.database, &table.name),
        )
        .await
        .map_err(|e| fault("look at the table's indices", e))?;
    // Tables in memory have indices of this kind, and no such column.
    Ok(count.unwrap_or_default() > 0 && !table.engine.eq_ignore_ascii_case("MEMORY"))
}

/// The two lists of databases. Who may not ask for them may not follow the log either, and is told so.
async fn filters(conn: &mut Conn) -> Result<(String, String)> {
    let answer = rows(conn, "ask what is in the binary log", &["SHOW MASTER STATUS", "SHOW BINARY LOG STATUS"]).await?;
    let row = answer.into_iter().flatten().next();
    let list = |at: usize| row.as_ref().and_then(|row| row.get_opt::<Option<String>, _>(at)?.ok()?).unwrap_or_default();
    Ok((list(2), list(3)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(settings: &[(&str, &str)], asked: Asked) -> Vec<(&'static str, String)> {
        let server = Server::with(settings);
        let found = told(&server, "shop", &asked).into_iter().filter(|finding| finding.grade == Grade::Bad);
        found.map(|finding| (finding.subject, finding.remedy.expect("a remedy"))).collect()
    }

    fn replica(is_replica: Option<bool>) -> Asked {
        Asked { is_replica, ..Asked::default() }
    }

    #[test]
    fn a_log_without_what_comes_from_other_servers_is_bad_where_something_comes() {
        let galera =
            [("log_slave_updates", "OFF"), ("wsrep_on", "ON"), ("wsrep_provider", "/usr/lib/galera/libgalera_smm.so")];
        assert!(bad(&galera, replica(Some(false)))[0].1.contains("log_slave_updates = ON"));
        let written = [("log_slave_updates", "ON"), galera[1], galera[2]];
        assert!(bad(&written, replica(Some(true))).is_empty());
        // Servers that can be nodes say so before they are.
        let alone = [galera[0], galera[1], ("wsrep_provider", "none")];
        assert!(bad(&alone, replica(Some(false))).is_empty());
        assert_eq!(bad(&galera[..1], replica(Some(true)))[0].0, "log_slave_updates");
        assert!(bad(&galera[..1], replica(None))[0].1.contains("GRANT SLAVE MONITOR"));
        assert_eq!(bad(&[("log_replica_updates", "OFF")], replica(Some(true)))[0].0, "log_replica_updates");
        assert!(bad(&[], replica(None)).is_empty(), "a server that does not know it");
    }

    #[test]
    fn a_database_that_is_left_out_of_the_log_is_bad() {
        let told = |only: &str, without: &str| {
            let asked = Asked { only: only.into(), without: without.into(), ..replica(Some(false)) };
            bad(&[], asked).into_iter().map(|(subject, _)| subject).collect::<Vec<_>>()
        };
        assert_eq!(told("", ""), Vec::<&str>::new());
        assert_eq!(told("stock,bills", ""), ["binlog_do_db"]);
        assert_eq!(told("stock, shop", "shop"), Vec::<&str>::new(), "the first list alone counts");
        assert_eq!(told("", "stock,shop"), ["binlog_ignore_db"]);
        assert_eq!(told("", "shop_old"), Vec::<&str>::new());
    }

    #[test]
    fn a_hidden_column_is_bad_only_in_a_log_without_names() {
        let asked = || Asked { has_hashes: true, ..replica(Some(false)) };
        assert!(bad(&[("binlog_row_metadata", "FULL")], asked()).is_empty());
        for metadata in ["NO_LOG", "MINIMAL"] {
            assert_eq!(bad(&[("binlog_row_metadata", metadata)], asked())[0].0, "unique index");
        }
        assert!(bad(&[("binlog_row_metadata", "NO_LOG")], replica(Some(false))).is_empty());
    }
}
