//! A connection, and what its errors mean.

use super::address::{Address, SslMode};
use crate::tls;
use kernel::error::{Error, Kind, Result};
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::NoTls;
use tokio_postgres::error::DbError;
use tokio_postgres_rustls::MakeRustlsConnect;

/// A session that ends with this value.
pub struct Client {
    client: tokio_postgres::Client,
    driver: tokio::task::JoinHandle<()>,
    /// What it is connected to, for messages.
    pub shown: Arc<str>,
}

impl std::ops::Deref for Client {
    type Target = tokio_postgres::Client;

    fn deref(&self) -> &tokio_postgres::Client {
        &self.client
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Rows come in their order, in one text each, all of them or none; nothing waits for ever for a lock.
const SESSION: &str = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; \
    SET extra_float_digits = 1; SET bytea_output = 'hex'; SET client_encoding = 'UTF8'; SET statement_timeout = 0; \
    SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '30s'; SET synchronize_seqscans = off; \
    SET max_parallel_workers_per_gather = 0; SET row_security = off";

impl Client {
    pub async fn connect(address: &Address, timeout: Duration) -> Result<Self> {
        let connecting = async {
            let config = address.config();
            let shown: Arc<str> = address.shown().into();
            let failed = |e| fault(&format!("connect to {shown}"), &e);
            let (client, driver) = if address.sslmode == SslMode::Disable {
                let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
                (client, tokio::spawn(async { drop(connection.await) }))
            } else {
                let tls = MakeRustlsConnect::new(tls::client_config(address.verify(), &address.files)?);
                let (client, connection) = config.connect(tls).await.map_err(failed)?;
                (client, tokio::spawn(async { drop(connection.await) }))
            };
            let client = Self { client, driver, shown: shown.clone() };
            client.batch_execute(SESSION).await.map_err(failed)?;
            Ok(client)
        };
        let late = |_| Error::new(Kind::Unreachable, format!("connect to {}", address.shown()), "no answer in time");
        tokio::time::timeout(timeout, connecting).await.map_err(late)?
    }
}

/// An error of the server or of the way to it. Of what the server says only that is told which names no value.
pub fn fault(what: &str, error: &tokio_postgres::Error) -> Error {
    if let Some(said) = error.as_db_error() {
        return server_fault(what, said.code().code(), Some(said));
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    match text.contains("TLS") || text.contains("certificate") {
        true => Error::refused(what, format!("{text}; look at `sslmode` and `sslrootcert` of the connection")),
        false if text.contains("invalid configuration") => Error::project(what, text),
        false => Error::new(Kind::Unreachable, what, text),
    }
}

/// By the class of the server's code (SQLSTATE), which is public; a message is shown for classes that quote no value.
pub fn server_fault(what: &str, code: &str, said: Option<&DbError>) -> Error {
    let shown = said.map(|said| format!("{} ({code})", said.message())).unwrap_or_else(|| code.to_owned());
    match code.get(..2).unwrap_or_default() {
        "28" => Error::refused(what, format!("the server does not let this user in: {shown}; look at the password")),
        "42" if code == "42501" => {
            Error::refused(what, format!("{shown}: the user lacks this right; `lavra doctor` lists them"))
        }
        "3D" | "42" | "3F" => Error::project(what, shown),
        "55" if code == "55000" => Error::project(what, shown),
        "08" | "53" | "55" | "57" | "40" | "58" => Error::new(Kind::Unreachable, what, shown),
        "0A" | "25" => Error::project(what, shown),
        _ => Error::data(
            what,
            format!("the server refused with code {code}; its words may quote a value and are not shown"),
        ),
    }
}

/// An error of the stream of changes.
pub fn stream_fault(what: &str, error: &pgwire_replication::PgWireError) -> Error {
    use pgwire_replication::PgWireError as E;
    match error {
        E::Io(inner) => Error::new(Kind::Unreachable, what, format!("the stream broke off: {inner}")),
        E::Task(_) | E::Protocol(_) => Error::new(Kind::Unreachable, what, "the stream broke off"),
        E::Auth(_) => Error::refused(what, "the server does not let this user in; look at the password"),
        E::Tls(why) => Error::refused(what, format!("{why}; look at `sslmode` and `sslrootcert` of the connection")),
        E::Server(said) => {
            let code = code_of(said);
            let said = if SHOWN.contains(&&code[..2]) { said.as_str() } else { "" };
            let error = server_fault(what, code, None);
            Error { detail: if said.is_empty() { error.detail.clone() } else { said.to_owned() }, ..error }
        }
        other => Error::data(what, other),
    }
}

/// Classes of codes whose messages quote no value.
const SHOWN: [&str; 9] = ["28", "3D", "42", "55", "57", "53", "0A", "08", "58"];

/// The code in `slot is active (SQLSTATE 55006)`.
pub fn code_of(said: &str) -> &str {
    said.rsplit_once("SQLSTATE ").and_then(|(_, code)| code.get(..5)).unwrap_or("XX000")
}

/// A name as SQL takes it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Columns of the table `of`, each as its type's output function writes it.
pub fn shown_columns<'a>(of: &str, names: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<String> = names.map(|name| super::kinds::shown(&format!("{of}.{}", quoted(name)))).collect();
    all.join(", ")
}

/// A text as SQL takes it.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_to_do_and_quote_no_row() {
        assert_eq!(server_fault("x", "28P01", None).kind, Kind::Refused);
        assert_eq!(server_fault("x", "57P03", None).kind, Kind::Unreachable);
        assert_eq!(server_fault("x", "42P01", None).kind, Kind::Project);
        assert!(server_fault("x", "22P02", None).to_string().contains("not shown"));
        let said = pgwire_replication::PgWireError::Server("slot is active (SQLSTATE 55006)".into());
        assert_eq!(stream_fault("x", &said).kind, Kind::Unreachable);
        assert_eq!((quoted("a\"b"), literal("a'b")), ("\"a\"\"b\"".into(), "'a''b'".into()));
    }
}
