//! Google Cloud KMS: `encrypt` and `decrypt` of a key (cloud.google.com/kms/docs/reference/rest/v1), signed in by a service
//! account's file, whose own signed token the API takes (google.aip.dev/auth/4111), or by the machine's service account.

use super::http::{Answer, client, hidden, root, secret, send};
use super::place::{endpoint, is_name, options};
use super::{Env, Root, Wrapper};
use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use kernel::clock::Clock;
use kernel::error::{Error, Kind, Result, io};
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use zeroize::Zeroizing;

const AUDIENCE: &str = "https://cloudkms.googleapis.com/";
const SIGNED_FOR_SECONDS: i64 = 600;

/// A key by its resource name.
pub struct Address {
    name: String,
    endpoint: Option<String>,
}

impl Address {
    pub(super) fn parse(rest: &str) -> Result<Self, String> {
        let (name, options) = options(rest, &["endpoint"])?;
        let parts: Vec<&str> = name.split('/').collect();
        let words = ["projects", "locations", "keyRings", "cryptoKeys"];
        let fits = parts.len() == 8
            && parts.chunks(2).zip(words).all(|(pair, word)| pair[0] == word && is_name(&pair[1].replace(':', "-")));
        match fits {
            true => {
                Ok(Self { name: name.to_owned(), endpoint: options.first().map(|(_, url)| endpoint(url)).transpose()? })
            }
            false => Err("write gcp-kms://projects/P/locations/L/keyRings/R/cryptoKeys/KEY".into()),
        }
    }
}

pub(super) struct CloudKms {
    address: Address,
    endpoint: String,
    login: Login,
    clock: Arc<dyn Clock>,
}

enum Login {
    Account {
        email: String,
        key_id: String,
        key: Zeroizing<Vec<u8>>,
    },
    /// Where the machine's metadata are.
    Machine(String),
}

/// The file that Google gives for a service account.
#[derive(Deserialize)]
struct Account {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    client_email: String,
    #[serde(default)]
    private_key_id: String,
    #[serde(default)]
    private_key: String,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

#[derive(Deserialize)]
struct Encrypted {
    ciphertext: String,
}

#[derive(Deserialize)]
struct Decrypted {
    plaintext: String,
}

#[derive(Deserialize)]
struct Failure {
    error: Status,
}

#[derive(Deserialize)]
struct Status {
    status: String,
}

impl CloudKms {
    pub fn new(address: Address, env: Env, clock: Arc<dyn Clock>) -> Result<Self> {
        let endpoint = address.endpoint.clone().unwrap_or_else(|| AUDIENCE.trim_end_matches('/').to_owned());
        let login = match secret(env, "GOOGLE_APPLICATION_CREDENTIALS") {
            Some(path) => account(&path)?,
            None => {
                let host = secret(env, "GCE_METADATA_HOST");
                let host = host.map_or("metadata.google.internal".to_owned(), |host| host.to_string());
                Login::Machine(format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token"))
            }
        };
        Ok(Self { address, endpoint, login, clock })
    }

    async fn token(&self, client: &Client) -> Result<Zeroizing<String>> {
        let url = match &self.login {
            Login::Machine(url) => url,
            Login::Account { email, key_id, key } => {
                return signed(email, key_id, key, self.clock.wall().0 / 1_000_000).ok_or_else(|| {
                    Error::project(format!("sign in to {}", self.describe()), "the account's key can't sign")
                });
            }
        };
        let answer = send(client.get(url).header("metadata-flavor", "Google"), &self.describe()).await?;
        match answer.is_ok() {
            true => Ok(Zeroizing::new(answer.json::<Token>()?.access_token)),
            false => Err(answer.failure("", "this machine has no service account: give it one")),
        }
    }

    async fn ask(&self, act: &str, body: Value) -> Result<Answer> {
        let client = client(&[])?;
        let bearer = Zeroizing::new(format!("Bearer {}", self.token(&client).await?.as_str()));
        let request = client.post(format!("{}/v1/{}:{act}", self.endpoint, self.address.name));
        let request = request.header("content-type", "application/json").header("authorization", hidden(&bearer)?);
        let answer = send(request.body(body.to_string()), &self.describe()).await?;
        if answer.is_ok() { Ok(answer) } else { Err(failure(&answer)) }
    }
}

/// Bound to the wrapped secret, as additional authenticated data.
fn bound() -> String {
    STANDARD.encode("lavra keyring")
}

#[async_trait]
impl Wrapper for CloudKms {
    async fn wrap(&self, root: &Root) -> Result<String> {
        let plain = Zeroizing::new(STANDARD.encode(**root));
        let body = json!({ "plaintext": plain.as_str(), "additionalAuthenticatedData": bound() });
        Ok(self.ask("encrypt", body).await?.json::<Encrypted>()?.ciphertext)
    }

    async fn unwrap(&self, wrapped: &str) -> Result<Root> {
        let body = json!({ "ciphertext": wrapped, "additionalAuthenticatedData": bound() });
        let answer = self.ask("decrypt", body).await?;
        root(answer.json::<Decrypted>()?.plaintext, &STANDARD, &self.describe())
    }

    fn describe(&self) -> String {
        format!("Google Cloud KMS, key {}", self.address.name)
    }
}

fn account(path: &str) -> Result<Login> {
    let what = || format!("read GOOGLE_APPLICATION_CREDENTIALS, {path}");
    let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|e| io(what(), e))?;
    let wrong = |detail: &str| Error::project(what(), detail);
    let read: Account = serde_json::from_str(&text).map_err(|_| wrong("it is no file of Google credentials"))?;
    if read.kind != "service_account" {
        return Err(wrong(
            "it is not of a service account; on Google's machines leave the variable out and give the machine one",
        ));
    }
    let pem = Zeroizing::new(read.private_key);
    let lines: Zeroizing<String> = Zeroizing::new(pem.lines().filter(|line| !line.starts_with("-----")).collect());
    let key = STANDARD.decode(lines.as_bytes()).map(Zeroizing::new);
    let key = key.ok().filter(|key| RsaKeyPair::from_pkcs8(key).is_ok());
    let key = key.ok_or_else(|| wrong("its private_key is no RSA key in PKCS #8"))?;
    Ok(Login::Account { email: read.client_email, key_id: read.private_key_id, key })
}

/// A JSON Web Token (RFC 7519) signed by RS256.
fn signed(email: &str, key_id: &str, key: &[u8], now: i64) -> Option<Zeroizing<String>> {
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": key_id }).to_string();
    let until = now + SIGNED_FOR_SECONDS;
    let claims = json!({ "iss": email, "sub": email, "aud": AUDIENCE, "iat": now, "exp": until }).to_string();
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let pair = RsaKeyPair::from_pkcs8(key).ok()?;
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).ok()?;
    Some(Zeroizing::new(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

fn failure(answer: &Answer) -> Error {
    let status = answer.peek::<Failure>().map(|failure| failure.error.status).unwrap_or_default();
    let remedy = match answer.status {
        401 | 403 => "the account needs cloudkms.cryptoKeyVersions.useToEncrypt and useToDecrypt on this key",
        404 => "there is no such key; its name is projects/P/locations/L/keyRings/R/cryptoKeys/KEY",
        400 => "the version that wrapped is disabled or destroyed, or another key did: enable it, or name that key",
        _ => "no row passes until it answers",
    };
    let mut error = answer.failure(&status, remedy);
    if answer.status == 404 {
        error.kind = Kind::Project;
    }
    error
}
