//! A connection, and what its errors mean.

use super::address::Address;
use kernel::error::{Error, Kind, Result};
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::NoTls;

/// A session that ends with this value.
pub struct Client {
    client: tokio_postgres::Client,
    driver: tokio::task::JoinHandle<()>,
    /// What it is connected to, for messages.
    pub shown: Arc<str>,
    /// How long a question may take.
    bound: Duration,
}

/// A question may have to be worked for before its answer begins: so many times `timeout_ms`.
const BEGINNING: u32 = 10;

/// What the server says to a question, its refusals included.
type Answer<T> = Result<T, tokio_postgres::Error>;

/// For making questions. They go through `ask` or `answer`: the driver waits for ever.
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
    SET max_parallel_workers_per_gather = 0; SET row_security = off; \
    SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings \
    WHERE name IN ('transaction_timeout', 'idle_session_timeout')";

impl Client {
    pub async fn connect(address: &Address, timeout: Duration) -> Result<Self> {
        let connecting = async {
            let config = address.config();
            let shown: Arc<str> = address.shown().into();
            let failed = |e| fault(&format!("connect to {shown}"), &e);
            let (client, driver) = match address.tls()? {
                None => {
                    let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
                    (client, tokio::spawn(async { drop(connection.await) }))
                }
                Some(tls) => {
                    let (client, connection) = config.connect(tls).await.map_err(failed)?;
                    (client, tokio::spawn(async { drop(connection.await) }))
                }
            };
            let bound = timeout.saturating_mul(BEGINNING);
            let client = Self { client, driver, shown: shown.clone(), bound };
            client.batch_execute(SESSION).await.map_err(failed)?;
            Ok(client)
        };
        let late = |_| {
            Error::new(Kind::Unreachable, format!("connect to {}", address.shown()), "no answer in time (`timeout_ms`)")
        };
        tokio::time::timeout(timeout, connecting).await.map_err(late)?
    }

    /// Waits for the answer to a question, or for the beginning of rows that are copied.
    pub async fn ask<T>(&self, what: &str, asked: impl Future<Output = Answer<T>>) -> Result<T> {
        self.answer(what, asked).await?.map_err(|e| fault(what, &e))
    }

    /// The same for whoever looks at what the server refuses. The error outside is its silence.
    pub async fn answer<T>(&self, what: &str, asked: impl Future<Output = Answer<T>>) -> Result<Answer<T>> {
        within(self.bound, what, asked).await
    }
}

async fn within<T>(bound: Duration, what: &str, asked: impl Future<Output = T>) -> Result<T> {
    let late = |_| {
        let detail = format!(
            "the server says nothing, {BEGINNING} times as long as `timeout_ms`: set it higher if a query takes long to begin, \
             for example for want of an index in whose order it reads"
        );
        Error::new(Kind::Unreachable, what, detail)
    };
    tokio::time::timeout(bound, asked).await.map_err(late)
}

/// An error of the server or of the way to it. Of what the server says only that is told which names no value.
pub fn fault(what: &str, error: &tokio_postgres::Error) -> Error {
    if let Some(said) = error.as_db_error() {
        return server_fault(what, said.code().code(), said.message());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    match text.contains("TLS") || text.contains("certificate") {
        true => tls_fault(what, &text),
        false if text.contains("invalid configuration") => Error::project(what, text),
        false => Error::new(Kind::Unreachable, what, text),
    }
}

/// By the class of the server's code (SQLSTATE), which is public; a message is shown for classes that quote no value.
pub fn server_fault(what: &str, code: &str, said: &str) -> Error {
    let shown = format!("{said} ({code})");
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

pub fn tls_fault(what: &str, why: &str) -> Error {
    Error::refused(what, format!("{why}; look at `sslmode` and `sslrootcert` of the connection"))
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
        assert_eq!(server_fault("x", "28P01", "no").kind, Kind::Refused);
        assert_eq!(server_fault("x", "57P03", "no").kind, Kind::Unreachable);
        assert_eq!(server_fault("x", "42P01", "no").kind, Kind::Project);
        let told = server_fault("x", "22P02", "wrong: 123-45").to_string();
        assert!(told.contains("not shown") && !told.contains("123-45"), "{told}");
        assert_eq!((quoted("a\"b"), literal("a'b")), ("\"a\"\"b\"".into(), "'a''b'".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_may_take_so_long_and_no_longer() {
        let answer = async |bound: Duration, millis: u64| {
            let slow = async {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                7
            };
            within(bound, "look", slow).await
        };
        let bound = Duration::from_secs(1).saturating_mul(BEGINNING);
        assert_eq!(answer(bound, 9_900).await.expect("an answer"), 7);
        let told = answer(bound, 10_100).await.expect_err("silence");
        assert!(
            told.kind == Kind::Unreachable && told.to_string().contains("10 times as long as `timeout_ms`"),
            "{told}"
        );
        let forever = Duration::from_millis(u64::MAX).saturating_mul(BEGINNING);
        assert_eq!(answer(forever, 10_100).await.expect("no wait is too long to be waited"), 7);
    }
}
