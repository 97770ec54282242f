//! A connection that is asked for a replication stream: how it begins and who signs in, its messages, and how it ends.
//! By PostgreSQL's manual, "Frontend/Backend Protocol". The ordinary client can't ask for one.

use super::position::shown;
use crate::postgres::address::{APPLICATION, Address, SslMode};
use crate::postgres::client::{literal, quoted, server_fault, tls_fault};
use crate::tls;
use bytes::{Buf, Bytes, BytesMut};
use kernel::error::{Error, Kind};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Why a connection came to nothing.
#[derive(Debug)]
pub enum Fault {
    /// What the server said, and its code (SQLSTATE).
    Server {
        code: String,
        said: String,
    },
    SignIn(String),
    Tls(String),
    Way(io::Error),
    /// A message is not as the protocol has it.
    Broken,
    /// The server has ended the stream.
    Ended,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        // By this kind a stream tells what TLS does not like, be it said later than the handshake.
        match error.kind() {
            io::ErrorKind::InvalidData => Self::Tls(error.to_string()),
            _ => Self::Way(error),
        }
    }
}

impl Fault {
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Server { code, .. } => Some(code),
            Self::SignIn(_) | Self::Tls(_) | Self::Way(_) | Self::Broken | Self::Ended => None,
        }
    }

    pub fn told(&self, what: &str) -> Error {
        match self {
            Self::Server { code, said } => server_fault(what, code, said),
            Self::SignIn(why) => Error::refused(what, format!("{why}; look at the user and the password")),
            Self::Tls(why) => tls_fault(what, why),
            Self::Way(error) => {
                Error::new(Kind::Unreachable, what, format!("the stream broke off: {}", tls::broken(error)))
            }
            Self::Broken => Error::new(Kind::Unreachable, what, "the stream broke off: a message is broken"),
            Self::Ended => Error::new(Kind::Unreachable, what, "the server ended the stream"),
        }
    }

    /// From an error of the server: fields that begin with a letter and end with a zero.
    fn said(body: &[u8]) -> Self {
        let field = |letter: u8| {
            let text = body.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(&[letter]));
            text.map(|text| String::from_utf8_lossy(text).into_owned())
        };
        Self::Server {
            code: field(b'C').unwrap_or_else(|| "XX000".into()),
            said: field(b'M').unwrap_or_else(|| "it says no more".into()),
        }
    }
}

/// A message of the server: its letter and what follows it.
#[derive(Debug)]
pub struct Message {
    pub letter: u8,
    pub body: Bytes,
}

/// Bytes both ways, encrypted or not.
pub trait Way: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Way for T {}

pub struct Wire {
    way: Box<dyn Way>,
    /// What came and was not taken yet.
    came: BytesMut,
    /// Where messages are put that are smaller than a block. A value that is kept keeps no more of its neighbours than this.
    small: BytesMut,
}

/// So much is read at once.
const BLOCK_BYTES: usize = 64 << 10;
const SMALL_BYTES: usize = 4 << 10;
/// The server makes no larger ones.
const MESSAGE_BYTES_MAX: usize = 1 << 30;
/// The server takes no longer times.
const WAIT_MS_MAX: u128 = (1 << 31) - 1;
/// How long to wait for a goodbye to be on its way.
const GOODBYE: Duration = Duration::from_secs(5);

impl Wire {
    pub fn new(way: impl Way + 'static) -> Self {
        let (came, small) = (BytesMut::with_capacity(2 * BLOCK_BYTES), BytesMut::with_capacity(SMALL_BYTES));
        Self { way: Box::new(way), came, small }
    }

    /// Connects and signs in; gives the version that the server calls itself, too.
    pub async fn open(address: &Address, tls: Option<MakeRustlsConnect>) -> Result<(Self, String), Fault> {
        let plain = TcpStream::connect((address.host.as_str(), address.port)).await?;
        plain.set_nodelay(true)?;
        let mut wire = Self::encrypted(plain, address, tls).await?;
        let parameters = [
            ("user", address.user.as_str()),
            ("database", &address.database),
            ("replication", "database"),
            ("application_name", APPLICATION),
            ("client_encoding", "UTF8"),
            ("options", SESSION_OPTIONS),
        ];
        let mut hello = BytesMut::new();
        frontend::startup_message(parameters, &mut hello)?;
        wire.send(&hello).await?;
        let version = wire.sign_in(address).await?;
        Ok((wire, version))
    }

    /// Encrypts where both want it, or says that it can't be.
    async fn encrypted(mut plain: TcpStream, address: &Address, tls: Option<MakeRustlsConnect>) -> Result<Self, Fault> {
        let Some(mut tls) = tls else { return Ok(Self::new(plain)) };
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        plain.write_all(&request).await?;
        // Nothing but the answer: what else came unencrypted is not to be trusted.
        match plain.read_u8().await? {
            b'S' => {
                let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls, &address.host);
                let tls = tls.map_err(|e| Fault::Tls(e.to_string()))?;
                Ok(Self::new(tls.connect(plain).await?))
            }
            _ if address.sslmode == SslMode::Prefer => Ok(Self::new(plain)),
            _ => Err(Fault::Tls("the server has no TLS".into())),
        }
    }

    async fn sign_in(&mut self, address: &Address) -> Result<String, Fault> {
        let mut version = String::new();
        let mut scram = None;
        loop {
            let Message { letter, body } = self.message().await?;
            match letter {
                b'R' => self.send(&answer(address, &mut scram, body)?).await?,
                b'S' => {
                    let mut parts = body.split(|byte| *byte == 0);
                    if parts.next() == Some(b"server_version") {
                        version = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
                    }
                }
                b'Z' => return Ok(version),
                // Keys to cancel by, notices.
                _ => {}
            }
        }
    }

    /// The fields of the one row that a command gives; empty where they have no value, and none where it gives no row.
    pub async fn ask(&mut self, command: &str) -> Result<Vec<Bytes>, Fault> {
        let mut query = BytesMut::new();
        frontend::query(command, &mut query)?;
        self.send(&query).await?;
        let mut row = Vec::new();
        loop {
            let Message { letter, body } = self.message().await?;
            match letter {
                b'D' => row = fields(body)?,
                b'Z' => return Ok(row),
                b'T' | b'C' | b'N' | b'S' => {}
                _ => return Err(Fault::Broken),
            }
        }
    }

    /// In one large transaction the server says that it lives at half of its own time-out. A longer one than ours is made ours,
    /// where it may be set here (since version 12).
    pub async fn shorten(&mut self, patience: Duration) -> Result<(), Fault> {
        let ms = patience.as_millis().clamp(1, WAIT_MS_MAX);
        let sql = format!(
            "SELECT pg_catalog.set_config(name, '{ms}', false) FROM pg_catalog.pg_settings WHERE \
             CASE WHEN name = 'wal_sender_timeout' AND context = 'user' THEN setting::bigint > {ms} ELSE false END"
        );
        self.ask(&sql).await.map(drop)
    }

    /// Begins the stream behind `from`. With an error, nothing has begun.
    pub async fn start(&mut self, version: &str, slot: &str, publication: &str, from: u64) -> Result<(), Fault> {
        let mut query = BytesMut::new();
        frontend::query(&command(version, slot, publication, from), &mut query)?;
        self.send(&query).await?;
        loop {
            match self.message().await?.letter {
                b'W' => return Ok(()),
                b'N' | b'S' => {}
                _ => return Err(Fault::Broken),
            }
        }
    }

    async fn message(&mut self) -> Result<Message, Fault> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(message);
            }
            self.fill().await?;
        }
    }

    /// The next message that has come whole, if there is one; what the server refuses is an error.
    pub fn take(&mut self) -> Result<Option<Message>, Fault> {
        let Some(length) = self.length()? else { return Ok(None) };
        if self.came.len() < length {
            return Ok(None);
        }
        let letter = self.came[0];
        let body = if length > BLOCK_BYTES {
            // It takes the buffer with it: nothing large is copied, and the next buffer is small again.
            let mut next = BytesMut::with_capacity(2 * BLOCK_BYTES);
            next.extend_from_slice(&self.came[length..]);
            let mut whole = std::mem::replace(&mut self.came, next);
            whole.truncate(length);
            whole.advance(HEADER);
            whole.freeze()
        } else {
            self.small.extend_from_slice(&self.came[HEADER..length]);
            self.came.advance(length);
            self.small.split().freeze()
        };
        match letter {
            b'E' => Err(Fault::said(&body)),
            _ => Ok(Some(Message { letter, body })),
        }
    }

    /// How long the message is that comes next, with its letter.
    fn length(&self) -> Result<Option<usize>, Fault> {
        let Some([_, length @ ..]) = self.came.first_chunk::<HEADER>() else { return Ok(None) };
        match u32::from_be_bytes(*length) as usize {
            length @ 4..=MESSAGE_BYTES_MAX => Ok(Some(length + 1)),
            _ => Err(Fault::Broken),
        }
    }

    /// Waits for more to come. Who drops this call has lost nothing.
    pub async fn fill(&mut self) -> Result<(), Fault> {
        let missing = self.length()?.map_or(0, |length| length.saturating_sub(self.came.len()));
        self.came.reserve(missing.max(BLOCK_BYTES));
        match self.way.read_buf(&mut self.came).await? {
            0 => Err(Fault::Way(io::ErrorKind::UnexpectedEof.into())),
            _ => Ok(()),
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.way.write_all(bytes).await?;
        Ok(self.way.flush().await?)
    }

    /// Says goodbye, so that the server lets go of the slot at once.
    pub async fn end(&mut self) {
        let mut goodbye = BytesMut::new();
        frontend::copy_done(&mut goodbye);
        frontend::terminate(&mut goodbye);
        let leaving = async {
            self.send(&goodbye).await?;
            Ok::<(), Fault>(self.way.shutdown().await?)
        };
        // A server that does not hear it notices that the connection is gone.
        drop(tokio::time::timeout(GOODBYE, leaving).await);
    }
}

/// A letter and a length.
const HEADER: usize = 5;
/// So that values have one text.
const SESSION_OPTIONS: &str = "-c TimeZone=UTC -c DateStyle=ISO,YMD -c IntervalStyle=postgres -c extra_float_digits=1 \
                               -c bytea_output=hex -c client_encoding=UTF8";

fn fields(mut row: Bytes) -> Result<Vec<Bytes>, Fault> {
    let count = row.try_get_u16().map_err(|_| Fault::Broken)?;
    let field = |_| {
        // Without a value, -1.
        let length = usize::try_from(row.try_get_i32().map_err(|_| Fault::Broken)?).unwrap_or_default();
        if length > row.len() { Err(Fault::Broken) } else { Ok(row.split_to(length)) }
    };
    (0..count).map(field).collect()
}

/// What the server wants to hear of who signs in; nothing where it says that all is well. `scram` is what has begun.
fn answer(address: &Address, scram: &mut Option<ScramSha256>, mut body: Bytes) -> Result<BytesMut, Fault> {
    let failed = |e: io::Error| Fault::SignIn(format!("signing in came to nothing: {e}"));
    let (user, password) = (address.user.as_bytes(), address.password.as_bytes());
    let mut out = BytesMut::new();
    match (body.try_get_u32().map_err(|_| Fault::Broken)?, scram.take()) {
        (0, None) => {}
        (3, None) => frontend::password_message(password, &mut out)?,
        (5, None) => {
            let salt = body.first_chunk().ok_or(Fault::Broken)?;
            frontend::password_message(md5_hash(user, password, *salt).as_bytes(), &mut out)?;
        }
        (10, None) if body.split(|byte| *byte == 0).any(|way| way == SCRAM_SHA_256.as_bytes()) => {
            let begun = scram.insert(ScramSha256::new(password, ChannelBinding::unsupported()));
            frontend::sasl_initial_response(SCRAM_SHA_256, begun.message(), &mut out)?;
        }
        (11, Some(mut begun)) => {
            begun.update(&body).map_err(failed)?;
            frontend::sasl_response(scram.insert(begun).message(), &mut out)?;
        }
        (12, Some(mut begun)) => begun.finish(&body).map_err(failed)?,
        // It must prove that it knows the password as well.
        (_, Some(_)) => return Err(Fault::SignIn("the server breaks off signing in by SCRAM-SHA-256".into())),
        (_, None) => return Err(Fault::SignIn("the server wants a way to sign in that is not by a password".into())),
    }
    Ok(out)
}

/// What asks for the stream. Transactions are not asked for while they are open, by whatever version.
fn command(version: &str, slot: &str, publication: &str, from: u64) -> String {
    let protocol = protocol(version);
    // Servers that know version 1 only do not know what else could be.
    let streaming = if protocol == 1 { "" } else { ", streaming 'off'" };
    format!(
        "START_REPLICATION SLOT {} LOGICAL {} (proto_version '{protocol}', publication_names {}{streaming})",
        quoted(slot),
        shown(from),
        literal(&quoted(publication)),
    )
}

/// The newest version of `pgoutput` that a server knows and we do. `18beta1` is 18.
fn protocol(version: &str) -> u8 {
    let digits = version.bytes().take_while(u8::is_ascii_digit).count();
    match version[..digits].parse().unwrap_or(0) {
        0..=13 => 1,
        14 => 2,
        15 => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(letter: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).expect("a length").to_be_bytes();
        [&[letter][..], &length, body].concat()
    }

    #[test]
    fn the_newest_version_is_asked_for_that_the_server_knows() {
        let versions = ["13.4", "14.1 (Debian 14.1-1)", "15.10", "16.0", "18beta1", "another server"];
        assert_eq!(versions.map(protocol), [1, 2, 3, 4, 4, 1]);
        let asked = command("16.2", "mine", "a\"b'c", 0x1_0000_002A);
        let options = r#"(proto_version '4', publication_names '"a""b''c"', streaming 'off')"#;
        assert_eq!(asked, format!(r#"START_REPLICATION SLOT "mine" LOGICAL 1/2A {options}"#));
        assert!(
            !command("13.2", "mine", "p", 0).contains("streaming"),
            "an older server refuses what it does not know"
        );
    }

    #[tokio::test]
    async fn messages_come_whole_however_they_are_cut() {
        let large = vec![7; 3 * BLOCK_BYTES];
        let sent = [framed(b'd', b"one"), framed(b'd', &large), framed(b'N', b""), framed(b'd', b"two")].concat();
        for piece in [1, 1000, sent.len()] {
            let (near, mut far) = tokio::io::duplex(piece);
            let sent = sent.clone();
            let sending = tokio::spawn(async move { far.write_all(&sent).await.map(|()| far) });
            let mut wire = Wire::new(near);
            let mut came = Vec::new();
            for _ in 0..4 {
                let Message { letter, body } = wire.message().await.expect("a message");
                came.push((letter, body.to_vec()));
            }
            let whole = [(b'd', b"one".to_vec()), (b'd', large.clone()), (b'N', Vec::new()), (b'd', b"two".to_vec())];
            assert_eq!(came, whole, "{piece}");
            drop(sending.await.expect("the far end"));
            assert!(matches!(wire.message().await, Err(Fault::Way(_))), "the other end is gone");
        }
    }

    #[tokio::test]
    async fn what_the_server_refuses_keeps_its_code() {
        let (near, mut far) = tokio::io::duplex(1000);
        far.write_all(&framed(b'E', b"SERROR\0C55006\0Mreplication slot \"a\" is active\0\0")).await.expect("an error");
        let fault = Wire::new(near).message().await.expect_err("an error");
        assert_eq!(fault.code(), Some("55006"));
        let told = fault.told("follow");
        assert!(told.kind == Kind::Unreachable && told.to_string().contains("is active (55006)"), "{told}");
        let (near, mut far) = tokio::io::duplex(1000);
        far.write_all(&[b'd', 0, 0, 0, 3]).await.expect("no message");
        assert!(matches!(Wire::new(near).message().await, Err(Fault::Broken)));
    }

    #[tokio::test]
    async fn what_a_command_gives_is_a_row() {
        let ask = async |answer: &[Vec<u8>]| {
            let (near, mut far) = tokio::io::duplex(1000);
            far.write_all(&answer.concat()).await.expect("an answer");
            Wire::new(near).ask("IDENTIFY_SYSTEM").await
        };
        let [names, done, ready] = [framed(b'T', b"\0\x02"), framed(b'C', b"SELECT 1\0"), framed(b'Z', b"I")];
        let row = framed(b'D', b"\0\x02\0\0\0\x03one\xff\xff\xff\xff");
        let told = ask(&[names.clone(), row, done.clone(), ready.clone()]).await.expect("a row");
        assert_eq!(told, [Bytes::from_static(b"one"), Bytes::new()]);
        assert!(ask(&[names.clone(), done.clone(), ready.clone()]).await.expect("no row").is_empty());
        let cut = framed(b'D', b"\0\x01\0\0\0\x09one");
        assert!(matches!(ask(&[names, cut, done, ready]).await, Err(Fault::Broken)));
        let refused = ask(&[framed(b'E', b"SERROR\0C58P01\0Mno such file\0\0")]).await.expect_err("an error");
        assert_eq!(refused.code(), Some("58P01"));
    }

    #[test]
    fn who_signs_in_answers_what_is_asked() {
        let address = Address::parse("postgres://ana:secret@db/shop").expect("an address");
        let mut scram = None;
        let mut ask = |body: &[u8]| answer(&address, &mut scram, Bytes::copy_from_slice(body));
        assert_eq!(&ask(&[0, 0, 0, 0]).expect("signed in")[..], b"");
        assert_eq!(&ask(&[0, 0, 0, 3]).expect("in the clear")[5..], b"secret\0");
        assert_eq!(&ask(&[0, 0, 0, 5, 1, 2, 3, 4]).expect("a hash")[5..8], b"md5");
        assert!(matches!(ask(&[0, 0, 0, 11]), Err(Fault::SignIn(_))), "nobody began");
        let first = ask(b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0").expect("a beginning");
        assert!(first[5..].starts_with(b"SCRAM-SHA-256\0"), "{first:?}");
        assert!(matches!(ask(b"\0\0\0\x0br=another,s=AAAA,i=4096"), Err(Fault::SignIn(_))), "no nonce of ours");
        ask(b"\0\0\0\x0aSCRAM-SHA-256\0\0").expect("a beginning");
        assert!(matches!(ask(&[0, 0, 0, 0]), Err(Fault::SignIn(_))), "the server did not prove itself");
        assert!(matches!(ask(b"\0\0\0\x0aOAUTHBEARER\0\0"), Err(Fault::SignIn(_))));
    }
}
