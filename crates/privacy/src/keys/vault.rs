//! HashiCorp Vault and OpenBao: the transit engine (`POST /v1/<mount>/encrypt|decrypt/<key>`), signed in by a token or by
//! AppRole. The API is that of developer.hashicorp.com/vault/api-docs/secret/transit and /auth/approle.

use super::http::{Answer, client, hidden, root, secret, send};
use super::place::{endpoint, is_name};
use super::{Env, Root, Wrapper};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::error::{Error, Kind, Result, io};
use reqwest::{Certificate, Client, RequestBuilder};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// A key of a transit engine.
pub struct Address {
    base: String,
    mount: String,
    key: String,
}

impl Address {
    pub(super) fn parse(scheme: &str, rest: &str) -> Result<Self, String> {
        let form = || "write vault://HOST:8200/transit/KEY".to_owned();
        let (host, path) = rest.split_once('/').ok_or_else(form)?;
        let base = endpoint(&format!("{scheme}://{host}"))?;
        let (mount, key) = path.rsplit_once('/').ok_or_else(form)?;
        if !is_name(key) || !mount.split('/').all(is_name) {
            return Err(form());
        }
        Ok(Self { base, mount: mount.to_owned(), key: key.to_owned() })
    }
}

pub(super) struct Vault {
    address: Address,
    login: Login,
    namespace: Option<Zeroizing<String>>,
    authorities: Vec<Certificate>,
}

enum Login {
    Token(Zeroizing<String>),
    AppRole { role: Zeroizing<String>, secret: Zeroizing<String> },
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
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
struct SignedIn {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: String,
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<String>,
}

impl Vault {
    pub fn new(address: Address, env: Env) -> Result<Self> {
        let token = secret(env, "VAULT_TOKEN");
        let role = secret(env, "VAULT_ROLE_ID").zip(secret(env, "VAULT_SECRET_ID"));
        let login = token.map(Login::Token).or(role.map(|(role, secret)| Login::AppRole { role, secret }));
        let login = login.ok_or_else(|| {
            let detail = "no credential: set VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID";
            Error::project(format!("sign in to {}", describe(&address)), detail)
        })?;
        let authorities = secret(env, "VAULT_CACERT").map_or(Ok(Vec::new()), |path| authorities(&path))?;
        Ok(Self { address, login, namespace: secret(env, "VAULT_NAMESPACE"), authorities })
    }

    fn post(&self, client: &Client, path: &str, body: &Value) -> Result<RequestBuilder> {
        let request = client.post(format!("{}/v1/{path}", self.address.base));
        let request = request.header("x-vault-request", "true").body(body.to_string());
        Ok(match &self.namespace {
            Some(namespace) => request.header("x-vault-namespace", hidden(namespace)?),
            None => request,
        })
    }

    /// A token that is good now. AppRole signs in for each errand, minutes apart, so that no lease has to be kept alive; a
    /// token that was given is renewed at each, which one that can't be renewed refuses without harm.
    async fn token(&self, client: &Client) -> Result<Zeroizing<String>> {
        let (role, secret) = match &self.login {
            Login::Token(token) => {
                let renewal = self.post(client, "auth/token/renew-self", &json!({}))?;
                send(renewal.header("x-vault-token", hidden(token)?), &self.describe()).await?;
                return Ok(token.clone());
            }
            Login::AppRole { role, secret } => (role, secret),
        };
        let body = json!({ "role_id": role.as_str(), "secret_id": secret.as_str() });
        let answer = send(self.post(client, "auth/approle/login", &body)?, &self.describe()).await?;
        match answer.status {
            200 => Ok(Zeroizing::new(answer.json::<SignedIn>()?.auth.client_token)),
            400 | 403 => {
                let detail = "it takes VAULT_ROLE_ID with VAULT_SECRET_ID no more: give the role a new secret id";
                Err(Error::refused(format!("sign in to {}", self.describe()), detail))
            }
            _ => Err(failure(&answer)),
        }
    }

    async fn ask(&self, act: &str, body: Value) -> Result<Answer> {
        let client = client(&self.authorities)?;
        let token = self.token(&client).await?;
        let Address { mount, key, .. } = &self.address;
        let request = self.post(&client, &format!("{mount}/{act}/{key}"), &body)?;
        let answer = send(request.header("x-vault-token", hidden(&token)?), &self.describe()).await?;
        if answer.is_ok() { Ok(answer) } else { Err(failure(&answer)) }
    }
}

#[async_trait]
impl Wrapper for Vault {
    async fn wrap(&self, root: &Root) -> Result<String> {
        let plain = Zeroizing::new(STANDARD.encode(**root));
        let answer = self.ask("encrypt", json!({ "plaintext": plain.as_str() })).await?;
        Ok(answer.json::<Data<Encrypted>>()?.data.ciphertext)
    }

    async fn unwrap(&self, wrapped: &str) -> Result<Root> {
        let answer = self.ask("decrypt", json!({ "ciphertext": wrapped })).await?;
        root(answer.json::<Data<Decrypted>>()?.data.plaintext, &STANDARD, &self.describe())
    }

    fn describe(&self) -> String {
        describe(&self.address)
    }
}

fn describe(Address { base, mount, key }: &Address) -> String {
    format!("Vault at {base}, key {mount}/{key}")
}

fn failure(answer: &Answer) -> Error {
    let errors = answer.peek::<Errors>().map(|told| told.errors).unwrap_or_default();
    let sealed = answer.status == 503;
    let remedy = match answer.status {
        403 => "the token is wrong, has ended, or its policy lacks `update` on the key's encrypt and decrypt paths",
        404 => "make the key with `vault write -f transit/keys/KEY`, or mend the path under `keys:`",
        _ if sealed => "it is sealed, or no node is active: unseal it; no row passes until then",
        400 => "the key can't open what it wrapped: was it deleted, made anew, or its minimum version raised?",
        _ => "no row passes until it answers",
    };
    answer.failure(errors.first().map_or("", String::as_str).trim(), remedy)
}

fn authorities(path: &str) -> Result<Vec<Certificate>> {
    let what = || format!("read VAULT_CACERT, {path}");
    let pem = std::fs::read(path).map_err(|e| io(what(), e))?;
    Certificate::from_pem_bundle(&pem).map_err(|_| Error::new(Kind::Project, what(), "it is no PEM certificate"))
}
