//! The connection: its URL, TLS, and what its errors mean.

use super::options::Options;
use crate::spec::Opening;
use kernel::{Error, Kind, Result};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, IoError, Opts, OptsBuilder, SslOpts};
use percent::decode;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// What is needed to sign in.
#[derive(Clone)]
pub struct Login {
    user: String,
    password: Option<String>,
    host: String,
    port: u16,
    pub database: Option<String>,
    ssl: Ssl,
    ssl_ca: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ssl {
    Disabled,
    Preferred,
    Required,
    VerifyCa,
    VerifyIdentity,
}

impl Login {
    /// Of `mysql://user:password@host:port/database?ssl-mode=…`. The message has no part of the URL that may be secret.
    pub fn parse(url: &str) -> Result<Self, String> {
        let shape = "`connection` is written as `mysql://user:${PASSWORD}@host:3306/database`";
        let url = Url::parse(url)
            .map_err(|e| format!("{shape} ({e}; signs such as `@`, `/` and `#` of a password are escaped by %)"))?;
        if !["mysql", "mariadb"].contains(&url.scheme()) {
            return Err(format!("{shape}, not `{}://`", url.scheme()));
        }
        let host =
            url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| format!("{shape}: the host is missing"))?;
        let mut login = Self {
            user: decode(url.username()).ok_or(shape)?,
            password: url.password().map(|password| decode(password).ok_or(shape)).transpose()?,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: url.port().unwrap_or(3306),
            database: Some(decode(url.path().trim_start_matches('/')).ok_or(shape)?).filter(|name| !name.is_empty()),
            ssl: Ssl::Preferred,
            ssl_ca: None,
        };
        for (name, value) in url.query_pairs() {
            match (&*name, &*value.to_lowercase()) {
                ("ssl-mode" | "sslmode", "disabled" | "disable") => login.ssl = Ssl::Disabled,
                ("ssl-mode" | "sslmode", "preferred" | "prefer") => login.ssl = Ssl::Preferred,
                ("ssl-mode" | "sslmode", "required" | "require") => login.ssl = Ssl::Required,
                ("ssl-mode" | "sslmode", "verify-ca" | "verify_ca") => login.ssl = Ssl::VerifyCa,
                ("ssl-mode" | "sslmode", "verify-identity" | "verify_identity" | "verify-full") => {
                    login.ssl = Ssl::VerifyIdentity
                }
                ("ssl-mode" | "sslmode", _) => {
                    return Err("`ssl-mode` can be: disabled, preferred, required, verify-ca, verify-identity".into());
                }
                ("ssl-ca", _) => login.ssl_ca = Some(value.into_owned()),
                (other, _) => {
                    return Err(format!(
                        "`connection` has an unknown parameter `{other}`; it can be: ssl-mode, ssl-ca"
                    ));
                }
            }
        }
        if login.ssl_ca.is_some() && matches!(login.ssl, Ssl::Disabled | Ssl::Preferred | Ssl::Required) {
            return Err("`ssl-ca` is looked at with `ssl-mode=verify-ca` or `verify-identity` only".into());
        }
        Ok(login)
    }

    /// Host and port, for messages.
    pub fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub fn is_verified(&self) -> bool {
        matches!(self.ssl, Ssl::VerifyCa | Ssl::VerifyIdentity)
    }

    pub fn is_local(&self) -> bool {
        self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    fn opts(&self, base: &std::path::Path, tls: bool) -> Opts {
        let ssl = tls.then(|| {
            let roots: Vec<PathBuf> = self.ssl_ca.iter().map(|path| base.join(path)).collect();
            SslOpts::default()
                .with_disable_built_in_roots(!roots.is_empty())
                .with_root_certs(roots.into_iter().map(Into::into).collect())
                .with_danger_accept_invalid_certs(!self.is_verified())
                .with_danger_skip_domain_validation(self.ssl != Ssl::VerifyIdentity)
        });
        let builder = OptsBuilder::default()
            .ip_or_hostname(self.host.clone())
            .tcp_port(self.port)
            .user(Some(self.user.clone()))
            .pass(self.password.clone())
            .db_name(self.database.clone())
            .prefer_socket(false)
            .tcp_keepalive(Some(Duration::from_secs(30)))
            .max_allowed_packet(Some(1 << 30))
            .wait_timeout(Some(28_800))
            .ssl_opts(ssl);
        builder.into()
    }
}

/// Signs in: times are UTC then, text is UTF-8, and a reader may be slow.
pub async fn connect(opening: &Opening, options: &Options) -> Result<Conn> {
    let login =
        Login::parse(&options.connection).map_err(|e| Error::project(format!("source `{}`", opening.source), e))?;
    let what = format!("connect to {}", login.place());
    // The client takes the process's provider, of which several are linked. Somebody may have chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dial = async {
        let tls = login.ssl != Ssl::Disabled;
        let dialled = match Conn::new(login.opts(&opening.base, tls)).await {
            Err(mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer)) if login.ssl == Ssl::Preferred => {
                Conn::new(login.opts(&opening.base, false)).await
            }
            other => other,
        };
        let mut conn = dialled?;
        conn.query_drop(SESSION).await?;
        Ok(conn)
    };
    let wait = Duration::from_millis(options.timeout_ms);
    let late = |_| {
        Error::new(
            Kind::Unreachable,
            what.clone(),
            format!("no answer within {} ms (`timeout_ms`)", options.timeout_ms),
        )
    };
    tokio::time::timeout(wait, dial).await.map_err(late)?.map_err(|e| fault(&what, e))
}

const SESSION: &str =
    "SET NAMES utf8mb4, time_zone = '+00:00', net_write_timeout = 3600, net_read_timeout = 3600, sql_mode = ''";

/// An error of the driver as one of ours. A server's words are shown only where they can't hold a value of a row.
pub fn fault(what: &str, error: mysql_async::Error) -> Error {
    use mysql_async::Error as E;
    match error {
        E::Server(error) => server_fault(what, &error),
        E::Io(IoError::Tls(error)) => untrusted(what, &error),
        E::Io(IoError::Io(error)) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            untrusted(what, &error)
        }
        E::Io(IoError::Io(error)) => Error::new(Kind::Unreachable, what, crate::tls::broken(&error)),
        E::Driver(DriverError::NoClientSslFlagFromServer) => {
            Error::project(what, "the server has no TLS, and `ssl-mode` asks for it")
        }
        E::Driver(DriverError::ConnectionClosed) => Error::new(Kind::Unreachable, what, crate::tls::CLOSED),
        E::Driver(DriverError::UnknownAuthPlugin { name }) => {
            Error::project(what, format!("the server asks for the unknown way to sign in `{name}`"))
        }
        E::Driver(DriverError::PacketTooLarge) => Error::data(what, "a row is larger than 1 GiB"),
        // What else the driver says may hold bytes of a packet.
        E::Driver(_) | E::Other(_) => Error::data(what, "the server's answer can't be understood"),
        E::Url(_) => Error::project(what, "the connection's URL is wrong"),
    }
}

fn untrusted(what: &str, error: &dyn std::error::Error) -> Error {
    Error::project(what, format!("TLS failed: {error}; `ssl-mode` and `ssl-ca` of the connection say what is trusted"))
}

fn server_fault(what: &str, error: &mysql_async::ServerError) -> Error {
    let (kind, words) = match error.code {
        1045 | 1698 => {
            (Kind::Refused, format!("the server does not let this user in: {}; look at the password", error.message))
        }
        1044 | 1142 | 1143 | 1227 | 1370 => {
            (Kind::Refused, format!("{}: the user lacks this right; `lavra doctor` lists them", error.message))
        }
        1049 | 1146 | 1054 => (Kind::Project, error.message.clone()),
        // Too many connections, shutting down, lock and statement time-outs, read-only.
        1040 | 1053 | 1129 | 1203 | 1205 | 1213 | 1317 | 1969 | 3024 | 4031 => {
            (Kind::Unreachable, error.message.clone())
        }
        1236 => (Kind::Data, error.message.clone()),
        code => (Kind::Data, format!("the server answers with error {code} ({})", error.state)),
    };
    Error::new(kind, what, words)
}

mod percent {
    /// `%40` is `@`; `None` when it is no UTF-8.
    pub fn decode(text: &str) -> Option<String> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let [first, tail @ ..] = rest {
            rest = tail;
            match (first, tail) {
                (b'%', [high, low, tail @ ..]) => {
                    let pair = [*high, *low];
                    bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
                    rest = tail;
                }
                _ => bytes.push(*first),
            }
        }
        String::from_utf8(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_who_where_and_how() {
        let login = Login::parse("mysql://an%40a:p%2Fw@[::1]:3307/sh%C3%B6p?ssl-mode=verify-identity&ssl-ca=ca.pem")
            .expect("a login");
        assert_eq!((login.user.as_str(), login.password.as_deref()), ("an@a", Some("p/w")));
        assert_eq!((login.place(), login.database.as_deref()), ("::1:3307".into(), Some("shöp")));
        assert!(login.is_verified() && login.is_local());
        let plain = Login::parse("mariadb://u@h").expect("a login");
        assert_eq!((plain.port, plain.database, plain.ssl), (3306, None, Ssl::Preferred));
        for bad in ["mysql:///db", "h:3306", "mysql://u@h/?ssl-mode=yes", "mysql://u@h/?tls=1", "mysql://u@h/?ssl-ca=x"]
        {
            assert!(Login::parse(bad).is_err(), "{bad}");
        }
    }
}
