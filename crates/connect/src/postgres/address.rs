//! Where a server is and who asks: `postgres://user:password@host:5432/database?sslmode=verify-full`.

use crate::tls::{self, Verify};
use kernel::error::{Error, Result, redacted};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_postgres_rustls::MakeRustlsConnect;

/// A connection's URL, read. Its password is shown nowhere.
#[derive(Clone)]
pub struct Address {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: String,
    pub database: String,
    pub sslmode: SslMode,
    pub files: tls::Files,
    shown: String,
}

/// As the server's own clients say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

const PARAMETERS: &str = "sslmode, sslrootcert, sslcert, sslkey";

impl Address {
    /// Reads a URL; the message says what is wrong with it, without its secrets.
    pub fn parse(url: &str) -> Result<Self, String> {
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or("write it as `postgres://user:${PASSWORD}@host:5432/database`")?;
        // A password may hold any sign that nobody escaped: the last `@` before the query ends it.
        let (who, place) =
            rest.rsplit_once('@').ok_or("it names no user: write `postgres://user:${PASSWORD}@host/…`")?;
        let (user, password) = who.split_once(':').unwrap_or((who, ""));
        let (place, query) = place.split_once('?').unwrap_or((place, ""));
        let (server, database) = place.split_once('/').unwrap_or((place, ""));
        let (host, port) = match server.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| "its port is no number")?),
            _ => (server, 5432),
        };
        if host.is_empty() || user.is_empty() || database.is_empty() {
            return Err("a user, a host and a database are needed: `postgres://user:${PASSWORD}@host/database`".into());
        }
        let mut address = Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            user: unescaped(user),
            password: unescaped(password),
            database: unescaped(database),
            sslmode: SslMode::Prefer,
            files: tls::Files::default(),
            shown: redacted(url),
        };
        address.parameters(query)?;
        Ok(address)
    }

    fn parameters(&mut self, query: &str) -> Result<(), String> {
        let (mut certificate, mut key) = (None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = unescaped(value);
            match name {
                "sslmode" => {
                    self.sslmode = match value.as_str() {
                        "disable" => SslMode::Disable,
                        "prefer" => SslMode::Prefer,
                        "require" => SslMode::Require,
                        "verify-ca" => SslMode::VerifyCa,
                        "verify-full" => SslMode::VerifyFull,
                        _ => return Err("sslmode can be: disable, prefer, require, verify-ca, verify-full".into()),
                    }
                }
                "sslrootcert" => self.files.roots = Some(value.into()),
                "sslcert" => certificate = Some(PathBuf::from(value)),
                "sslkey" => key = Some(PathBuf::from(value)),
                _ => return Err(format!("its parameters can be: {PARAMETERS}")),
            }
        }
        self.files.own = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err("`sslcert` and `sslkey` come together".into()),
        };
        Ok(())
    }

    /// Files of certificates are the project's.
    pub fn based(mut self, base: &Path) -> Self {
        let own = &mut self.files;
        own.roots = own.roots.take().map(|file| base.join(file));
        own.own = own.own.take().map(|(certificate, key)| (base.join(certificate), base.join(key)));
        self
    }

    /// For messages.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// How much of the certificate must be right. As with the server's own clients, whoever names roots wants them used.
    pub fn verify(&self) -> Verify {
        match self.sslmode {
            SslMode::VerifyFull => Verify::Host,
            SslMode::VerifyCa => Verify::Chain,
            SslMode::Require if self.files.roots.is_some() => Verify::Chain,
            _ => Verify::Nothing,
        }
    }

    pub fn config(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host(&self.host).port(self.port).user(&self.user).password(&self.password).dbname(&self.database);
        config.application_name(APPLICATION).connect_timeout(CONNECT_TIMEOUT).keepalives_idle(KEEPALIVE);
        config.ssl_mode(match self.sslmode {
            SslMode::Disable => tokio_postgres::config::SslMode::Disable,
            SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
            _ => tokio_postgres::config::SslMode::Require,
        });
        config
    }

    /// What encrypts the way to the server, where it may be.
    pub fn tls(&self) -> Result<Option<MakeRustlsConnect>> {
        match self.sslmode {
            SslMode::Disable => Ok(None),
            _ => Ok(Some(MakeRustlsConnect::new(tls::client_config(self.verify(), &self.files)?))),
        }
    }
}

/// Shown in `pg_stat_activity` and `pg_stat_replication`.
pub const APPLICATION: &str = "lavra";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// A server that is gone is noticed, also behind a gateway that says nothing.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// `%40` is `@`; what is no such sequence stays.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| more.get(..2)).flatten();
        let code = escaped.and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &more[2..] } else { more };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads the connection of a source.
pub fn address(source: &str, url: &str, base: &Path) -> Result<Address> {
    let read = Address::parse(url).map_err(|why| Error::project(format!("`connection` of source `{source}`"), why))?;
    Ok(read.based(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_who() {
        let read = Address::parse("postgres://ana:s%40/e?c@ret@db:5433/shop?sslmode=verify-full&sslrootcert=ca.pem");
        let read = read.expect("an address").based(Path::new("/project"));
        assert_eq!((read.host.as_str(), read.port, read.database.as_str()), ("db", 5433, "shop"));
        assert_eq!((read.user.as_str(), read.password.as_str()), ("ana", "s@/e?c@ret"));
        assert_eq!((read.verify(), read.files.roots.as_deref()), (Verify::Host, Some(Path::new("/project/ca.pem"))));
        assert!(!read.shown().contains("ret"), "{}", read.shown());
        let short = Address::parse("postgresql://ana@[::1]/shop").expect("an address");
        assert_eq!((short.host.as_str(), short.port, short.sslmode), ("::1", 5432, SslMode::Prefer));
        let own_roots = Address::parse("postgres://a@b/c?sslmode=require&sslrootcert=x").expect("an address");
        assert_eq!(own_roots.verify(), Verify::Chain);
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        for bad in [
            "mysql://ana:SECRET@db/shop",
            "postgres://db/shop",
            "postgres://ana:SECRET@db",
            "postgres://ana:SECRET@db:port/shop",
            "postgres://ana:SECRET@db/shop?sslmode=SECRET",
            "postgres://ana:SECRET@db/shop?secret=SECRET",
            "postgres://ana:SECRET@db/shop?sslcert=a",
        ] {
            let told = Address::parse(bad).err().expect("a fault");
            assert!(!told.contains("SECRET"), "{told}");
        }
    }
}
