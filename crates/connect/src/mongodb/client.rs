//! The connection, and what its errors mean.

use super::options::Options;
use kernel::error::redacted;
use kernel::{Error, Kind, Result};
use mongodb::error::ErrorKind;
use mongodb::options::ClientOptions;
use mongodb::{Client, Database};
use std::time::Duration;

/// Nothing is sent before the first question.
pub async fn connect(source: &str, options: &Options) -> Result<(Client, Option<String>)> {
    let what = format!("source `{source}`");
    let mut parsed = ClientOptions::parse(&options.connection).await.map_err(|error| match *error.kind {
        ErrorKind::InvalidArgument { message, .. } => Error::project(&what, format!("`connection`: {message}")),
        _ => Error::project(&what, "`connection` can't be read"),
    })?;
    let wait = Duration::from_millis(options.timeout_ms);
    parsed.server_selection_timeout = Some(wait);
    parsed.connect_timeout = Some(wait.min(parsed.connect_timeout.unwrap_or(wait)));
    parsed.app_name = Some("lavra".into());
    let database = parsed.default_database.clone();
    let client = Client::with_options(parsed).map_err(|e| fault(&what, &e))?;
    Ok((client, database))
}

/// Database and collection as the options name them.
pub fn names(source: &str, options: &Options, database: Option<&str>) -> Result<(String, String)> {
    match (database, options.table.split_once('.')) {
        // A collection's own name may have points.
        (Some(database), _) => Ok((database.to_owned(), options.table.clone())),
        (None, Some((database, table))) => Ok((database.to_owned(), table.to_owned())),
        (None, None) => Err(Error::project(
            format!("source `{source}`"),
            "neither `connection` nor `table` names the database: write `table: shop.orders`",
        )),
    }
}

pub async fn database(source: &str, options: &Options) -> Result<(Database, String)> {
    let (client, own) = connect(source, options).await?;
    let (database, table) = names(source, options, own.as_deref())?;
    Ok((client.database(&database), table))
}

/// A question may have to be worked for before its answer begins: so many times `timeout_ms`.
const BEGINNING: u32 = 10;

/// Waits for what the server has at hand: the driver waits for ever.
pub async fn soon<T>(timeout_ms: u64, what: &str, asked: impl Future<Output = T>) -> Result<T> {
    let late = |_| Error::new(Kind::Unreachable, what, "the server says nothing (`timeout_ms`)");
    tokio::time::timeout(Duration::from_millis(timeout_ms), asked).await.map_err(late)
}

/// Waits for the beginning of an answer.
pub async fn beginning<T>(timeout_ms: u64, what: &str, asked: impl Future<Output = Result<T>>) -> Result<T> {
    let wait = Duration::from_millis(timeout_ms).saturating_mul(BEGINNING);
    let late = |_| {
        let detail = format!("the server says nothing, {BEGINNING} times as long as `timeout_ms`");
        Error::new(Kind::Unreachable, what, detail)
    };
    tokio::time::timeout(wait, asked).await.map_err(late)?
}

/// An error of the driver as one of ours. A server's words may hold values, and are not shown.
pub fn fault(what: &str, error: &mongodb::error::Error) -> Error {
    let (kind, detail) = match &*error.kind {
        ErrorKind::Authentication { .. } => {
            (Kind::Unreachable, "the server does not know this user and password".to_owned())
        }
        ErrorKind::Command(error) => match error.code {
            13 | 18 => {
                (Kind::Unreachable, format!("this user may not ({}); grant it `read` on the database", error.code_name))
            }
            code => (Kind::Data, format!("the server answers with error {code} ({})", error.code_name)),
        },
        ErrorKind::ServerSelection { .. } => (Kind::Unreachable, "no server answers within `timeout_ms`".to_owned()),
        ErrorKind::Io(error) => (Kind::Unreachable, crate::tls::broken(error)),
        ErrorKind::ConnectionPoolCleared { .. } | ErrorKind::DnsResolve { .. } => {
            (Kind::Unreachable, "the connection broke".to_owned())
        }
        ErrorKind::InvalidTlsConfig { message, .. } => (Kind::Project, format!("TLS: {message}")),
        ErrorKind::IncompatibleServer { message, .. } => (Kind::Project, message.clone()),
        ErrorKind::InvalidArgument { message, .. } => (Kind::Project, message.clone()),
        _ => (Kind::Data, "the server's answer can't be understood".to_owned()),
    };
    Error::new(kind, what, detail)
}

pub fn shown(options: &Options) -> String {
    redacted(&options.connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_may_be_silent_for_so_long_and_longer_before_it_begins() {
        let answer = |millis: u64| async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Ok(7)
        };
        assert_eq!(soon(1000, "read", answer(900)).await.expect("in time").expect("an answer"), 7);
        assert_eq!(beginning(1000, "read", answer(9900)).await.expect("an answer"), 7);
        let late = soon(1000, "read", answer(1100)).await.expect_err("silence");
        for told in [late, beginning(1000, "read", answer(10_100)).await.expect_err("silence")] {
            assert!(told.kind == Kind::Unreachable && told.to_string().contains("`timeout_ms`"), "{told}");
        }
    }
}
