//! What a server must be like, each with its remedy: for `lavra doctor`, and before changes are followed.

use super::coverage::coverage;
use super::login::{Login, connect, fault};
use super::options::{Mode, Options};
use super::patience::Patience;
use super::table::{Table, has_partial_key};
use crate::spec::{Finding, Grade, Opening};
use kernel::{Error, Kind, Result};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::collections::HashMap;

/// Clocks further apart than this make times of changes misleading.
const SKEW_MICROS_MAX: i64 = 5_000_000;

/// A log that is kept for less than a day is gone after a long night.
const KEPT_SECONDS_MIN: u64 = 86_400;

/// A server's settings.
pub struct Server {
    pub is_mariadb: bool,
    version: String,
    variables: HashMap<String, String>,
}

impl Server {
    pub async fn ask(conn: &mut Conn) -> Result<Self> {
        let rows: Vec<(String, Option<String>)> =
            conn.query("SHOW GLOBAL VARIABLES").await.map_err(|e| fault("ask for the server's settings", e))?;
        let variables: HashMap<_, _> =
            rows.into_iter().map(|(name, value)| (name.to_lowercase(), value.unwrap_or_default())).collect();
        let version = variables.get("version").cloned().unwrap_or_default();
        Ok(Self { is_mariadb: version.to_lowercase().contains("mariadb"), version, variables })
    }

    /// A MariaDB with these settings.
    #[cfg(test)]
    pub fn with(settings: &[(&str, &str)]) -> Self {
        let variables = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { is_mariadb: true, version: "10.11.0-MariaDB".into(), variables }
    }

    pub fn is(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }
}

pub fn good(subject: &'static str, found: impl Into<String>) -> Finding {
    Finding { subject, grade: Grade::Good, found: found.into(), remedy: None }
}

pub fn finding(subject: &'static str, grade: Grade, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { subject, grade, found: found.into(), remedy: Some(remedy.into()) }
}

/// Refuses a server of which changes would be lost; gives one that is as it must be.
pub async fn good_server(conn: &mut Conn, source: &str, table: &Table) -> Result<Server> {
    let server = Server::ask(conn).await?;
    let covered = coverage(conn, &server, table).await?;
    let bad: Vec<String> = settings(&server)
        .into_iter()
        .chain(covered)
        .filter(|finding| finding.grade == Grade::Bad)
        .map(|finding| format!("{} is {}: {}", finding.subject, finding.found, finding.remedy.unwrap_or_default()))
        .collect();
    match bad.is_empty() {
        true => Ok(server),
        false => Err(Error::project(format!("follow {} of source `{source}`", table.shown()), bad.join("; "))),
    }
}

/// What the log must be like.
fn settings(server: &Server) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut must = |subject: &'static str, allowed: &[&str], remedy: &str| {
        let value = server.is(&subject.to_lowercase()).to_owned();
        let is_good = allowed.iter().any(|word| value.eq_ignore_ascii_case(word));
        let shown = if value.is_empty() { "not set".to_owned() } else { value };
        found.push(if is_good { good(subject, shown) } else { finding(subject, Grade::Bad, shown, remedy) });
    };
    must("log_bin", &["ON", "1"], "start the server with `log_bin`, and `server_id` set");
    must(
        "binlog_format",
        &["ROW", ""],
        "set `binlog_format = ROW` in the server's configuration, and close sessions that were open",
    );
    must(
        "binlog_row_image",
        &["FULL", "NOBLOB", ""],
        "set `binlog_row_image = FULL`: of new rows the log lacks values otherwise",
    );
    if server.is_mariadb {
        must("log_bin_compress", &["OFF", "0", ""], "set `log_bin_compress = OFF`: compressed events are not read yet");
    } else {
        must(
            "gtid_mode",
            &["ON"],
            "set `enforce_gtid_consistency = ON` and `gtid_mode = ON` (step by step on a running server)",
        );
        must(
            "binlog_row_value_options",
            &[""],
            "set `binlog_row_value_options = ''`: changed parts of JSON are not read",
        );
    }
    let metadata = server.is("binlog_row_metadata");
    found.push(match metadata {
        full if full.eq_ignore_ascii_case("FULL") => good("binlog_row_metadata", "FULL"),
        other => finding(
            "binlog_row_metadata",
            Grade::Warning,
            if other.is_empty() { "not known to this server" } else { other },
            "set `binlog_row_metadata = FULL`: without names in the log, an `ALTER` that does not tell what it makes of the columns stops the source",
        ),
    });
    let kept = ["binlog_expire_logs_seconds", "expire_logs_days"]
        .map(|name| server.is(name).parse::<f64>().unwrap_or_default());
    let seconds = if kept[0] > 0.0 { kept[0] } else { kept[1] * 86_400.0 } as u64;
    found.push(match seconds {
        0 => good("log kept", "until somebody purges it"),
        1..KEPT_SECONDS_MIN => finding(
            "log kept",
            Grade::Warning,
            format!("{seconds} seconds"),
            "set `binlog_expire_logs_seconds` to several days: when the log is gone, the table must be taken anew",
        ),
        _ => good("log kept", format!("{} days", seconds / 86_400)),
    });
    found
}

/// Everything that is looked at.
pub async fn probe(opening: &Opening) -> Vec<Finding> {
    let options = match Options::read(&opening.source, &opening.options) {
        Ok(options) => options,
        Err(error) => {
            return vec![finding(
                "options",
                Grade::Bad,
                error.to_string(),
                "mend the source's file and run `lavra check`",
            )];
        }
    };
    let mut conn = match connect(opening, &options).await {
        Ok(conn) => conn,
        Err(error) => {
            let remedy = match error.kind {
                Kind::Unreachable => "look whether the server is up, and reachable from here",
                Kind::Refused => "look at user and password of the connection, and from where the server lets them in",
                _ => "mend the connection",
            };
            return vec![finding("connection", Grade::Bad, error.to_string(), remedy)];
        }
    };
    let mut found = Vec::new();
    let looked = look(&mut conn, opening, &options, &mut found);
    if let Err(error) = Patience::of(&options).beginning("look at the server", looked).await {
        found.push(finding("server", Grade::Bad, error.to_string(), kernel::error::advice(error.kind).sentence));
    }
    found
}

async fn look(conn: &mut Conn, opening: &Opening, options: &Options, found: &mut Vec<Finding>) -> Result<()> {
    let server = Server::ask(conn).await?;
    let kind = if server.is_mariadb { "MariaDB" } else { "MySQL" };
    found.push(good("connection", format!("{kind} {}", server.version)));
    found.push(tls(conn, options).await?);
    found.push(clock(conn, opening).await?);
    match Table::read(conn, &opening.source, options).await {
        Ok(table) => {
            found.push(readable(conn, &table).await);
            found.extend(shape(conn, opening, options, &table).await?);
            if options.mode == Mode::Cdc {
                found.extend(coverage(conn, &server, &table).await?);
            }
        }
        Err(error) => {
            let remedy = "mend `table`, grant SELECT on it, or take another `mode`: the error says which";
            found.push(finding("table", Grade::Bad, error.to_string(), remedy));
        }
    }
    if options.mode == Mode::Cdc {
        found.extend(settings(&server));
        found.push(replication(conn, &server).await?);
    }
    Ok(())
}

async fn tls(conn: &mut Conn, options: &Options) -> Result<Finding> {
    let row: Option<(String, String)> =
        conn.query_first("SHOW SESSION STATUS LIKE 'Ssl_version'").await.map_err(|e| fault("ask about TLS", e))?;
    let version = row.map(|(_, version)| version).unwrap_or_default();
    let login = Login::parse(&options.connection).ok();
    let local = login.as_ref().is_some_and(Login::is_local);
    Ok(match (version.as_str(), login.is_some_and(|login| login.is_verified())) {
        ("", _) if local => good("TLS", "none, on this machine"),
        ("", _) => finding(
            "TLS",
            Grade::Warning,
            "none: rows and password can be read on the way",
            "give the server a certificate, and set `ssl-mode=verify-identity`",
        ),
        (version, true) => good("TLS", format!("{version}, certificate verified")),
        (version, false) if local => good("TLS", version),
        (version, false) => finding(
            "TLS",
            Grade::Warning,
            format!("{version}, whoever the server is"),
            "set `ssl-mode=verify-identity`, and `ssl-ca` for an authority of your own",
        ),
    })
}

async fn clock(conn: &mut Conn, opening: &Opening) -> Result<Finding> {
    let asked = opening.clock.now().0;
    let seconds: Option<String> =
        conn.query_first("SELECT UNIX_TIMESTAMP(NOW(6))").await.map_err(|e| fault("ask for the time", e))?;
    let answered = opening.clock.now().0;
    let server = (seconds.and_then(|text| text.parse::<f64>().ok()).unwrap_or_default() * 1e6) as i64;
    let skew = server - (asked + answered) / 2;
    let shown = format!("{:+.1} seconds from here", skew as f64 / 1e6);
    Ok(match skew.abs() > SKEW_MICROS_MAX + (answered - asked) {
        true => finding(
            "clock",
            Grade::Warning,
            shown,
            "let both machines take their time by NTP: `_changed_at` is the server's",
        ),
        false => good("clock", shown),
    })
}

async fn readable(conn: &mut Conn, table: &Table) -> Finding {
    match conn.query_drop(format!("SELECT 1 FROM {} LIMIT 0", table.quoted())).await {
        Ok(()) => good("table", format!("{}, {} columns, {}", table.shown(), table.columns.len(), table.engine)),
        Err(error) => finding(
            "table",
            Grade::Bad,
            fault("read it", error).to_string(),
            format!("GRANT SELECT ON {} TO this user", table.quoted()),
        ),
    }
}

/// What of a table makes it hard to follow.
async fn shape(conn: &mut Conn, opening: &Opening, options: &Options, table: &Table) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    found.push(match table.open_key(&opening.entity) {
        Some(_) => good("primary key", table.key.join(", ")),
        None if table.key.is_empty() => finding(
            "primary key",
            Grade::Warning,
            match has_partial_key(conn, table).await? {
                true => "none: it has only the beginning of a column, and rows that differ behind it are others",
                false => "none",
            },
            "give the table one, of whole columns: without it the first read can't be gone on with, and changes find no row",
        ),
        None => finding(
            "primary key",
            Grade::Warning,
            "it is masked, personal, or not in the contract",
            "nothing needs to be done; but a first read that breaks off begins anew, for the last key can't be written down",
        ),
    });
    if options.mode != Mode::Cdc {
        return Ok(found);
    }
    if !table.engine.eq_ignore_ascii_case("InnoDB") {
        found.push(finding(
            "engine",
            Grade::Warning,
            table.engine.clone(),
            "convert the table to InnoDB: others have no consistent state to read",
        ));
    }
    let cascades: Option<u64> = conn
        .exec_first(
            "SELECT COUNT(*) FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ? AND TABLE_NAME = ? \
             AND (DELETE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT') OR UPDATE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT'))",
            (&table.database, &table.name),
        )
        .await
        .map_err(|e| fault("ask for foreign keys", e))?;
    if cascades.unwrap_or_default() > 0 {
        found.push(finding(
            "foreign keys",
            Grade::Warning,
            "rows change by ON DELETE or ON UPDATE of another table",
            "the server writes no such change into its log: delete and update these rows by statements of their own, or `refresh` now and then",
        ));
    }
    Ok(found)
}

async fn replication(conn: &mut Conn, server: &Server) -> Result<Finding> {
    let grants: Vec<String> = conn.query("SHOW GRANTS").await.map_err(|e| fault("ask for grants", e))?;
    let has = |words: &[&str]| {
        grants
            .iter()
            .filter(|grant| grant.contains(" ON *.*"))
            .any(|grant| words.iter().any(|word| grant.to_uppercase().contains(word)))
    };
    let follow = has(&["ALL PRIVILEGES", "REPLICATION SLAVE", "REPLICATION REPLICA"]);
    let ask = has(&["ALL PRIVILEGES", "BINLOG MONITOR", "REPLICATION CLIENT"]);
    let need =
        if server.is_mariadb { "REPLICATION SLAVE, BINLOG MONITOR" } else { "REPLICATION SLAVE, REPLICATION CLIENT" };
    Ok(match follow && ask {
        true => good("grants", "may follow the log"),
        false => finding("grants", Grade::Bad, "may not follow the log", format!("GRANT {need} ON *.* TO this user")),
    })
}
