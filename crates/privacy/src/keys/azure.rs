//! Azure Key Vault and Managed HSM: `wrapkey` and `unwrapkey` by RSA-OAEP-256
//! (learn.microsoft.com/rest/api/keyvault/keys, 7.4), signed in at Entra by a client's secret, by a workload's federated
//! token (AKS), or by the machine's managed identity.

use super::http::{Answer, client, hidden, root, secret, send};
use super::place::{endpoint, is_name, options};
use super::{Env, Root, Wrapper};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::error::{Error, Result, io};
use reqwest::{Client, RequestBuilder};
use serde::Deserialize;
use serde_json::{Value, json};
use url::form_urlencoded;
use zeroize::Zeroizing;

const API: &str = "api-version=7.4";
const ALGORITHM: &str = "RSA-OAEP-256";
/// Azure's clouds: a token for one of them is sent to none but its own hosts.
const CLOUDS: [&str; 4] = ["vault.azure.net", "managedhsm.azure.net", "vault.azure.cn", "vault.usgovcloudapi.net"];

/// A key of a vault.
pub struct Address {
    host: String,
    key: String,
    /// Whom a token is for.
    cloud: &'static str,
    endpoint: Option<String>,
}

impl Address {
    pub(super) fn parse(rest: &str) -> Result<Self, String> {
        let (path, options) = options(rest, &["endpoint"])?;
        let (host, key) = path.split_once('/').ok_or("write azure-kv://VAULT.vault.azure.net/KEY")?;
        let is_of = |cloud: &&str| host.strip_suffix(*cloud).is_some_and(|vault| vault.ends_with('.'));
        let cloud = CLOUDS.into_iter().find(is_of).filter(|_| is_name(host) && is_name(key));
        let cloud = cloud.ok_or_else(|| format!("write azure-kv://VAULT.{}/KEY", CLOUDS.join(" or .")))?;
        let endpoint = options.first().map(|(_, url)| endpoint(url)).transpose()?;
        Ok(Self { host: host.to_owned(), key: key.to_owned(), cloud, endpoint })
    }
}

pub(super) struct KeyVault {
    address: Address,
    endpoint: String,
    login: Login,
}

enum Login {
    /// Where to sign in, as whom, and the proof: a secret, or the file of a federated token.
    Client {
        url: String,
        id: String,
        proof: Proof,
    },
    Machine {
        url: String,
        client: Option<String>,
    },
}

enum Proof {
    Secret(Zeroizing<String>),
    File(String),
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

#[derive(Deserialize)]
struct Described {
    key: Named,
}

#[derive(Deserialize)]
struct Named {
    kid: String,
}

#[derive(Deserialize)]
struct Wrapped {
    kid: String,
    value: String,
}

#[derive(Deserialize)]
struct Failure {
    error: Code,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

impl KeyVault {
    pub fn new(address: Address, env: Env) -> Result<Self> {
        let fault = |detail: String| Error::project(format!("sign in to {}", describe(&address)), detail);
        let plain = |name: &str| secret(env, name).map(|value| value.to_string());
        let authority = plain("AZURE_AUTHORITY_HOST").unwrap_or_else(|| "https://login.microsoftonline.com".into());
        let authority = endpoint(&authority).map_err(|why| fault(format!("AZURE_AUTHORITY_HOST: {why}")))?;
        let proof = secret(env, "AZURE_CLIENT_SECRET").map(Proof::Secret);
        let proof = proof.or_else(|| plain("AZURE_FEDERATED_TOKEN_FILE").map(Proof::File));
        let login = match (proof, plain("AZURE_TENANT_ID"), plain("AZURE_CLIENT_ID")) {
            (Some(proof), Some(tenant), Some(id)) if is_name(&tenant) => {
                Login::Client { url: format!("{authority}/{tenant}/oauth2/v2.0/token"), id, proof }
            }
            (Some(_), ..) => {
                return Err(fault("AZURE_TENANT_ID and AZURE_CLIENT_ID belong to it; one is not set".into()));
            }
            // The instance metadata service has this one address, and answers on the machine itself only.
            (None, _, client) => {
                let host =
                    plain("AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or_else(|| "http://169.254.169.254".into());
                Login::Machine { url: format!("{host}/metadata/identity/oauth2/token"), client }
            }
        };
        let endpoint = address.endpoint.clone().unwrap_or_else(|| format!("https://{}", address.host));
        Ok(Self { endpoint, login, address })
    }

    fn sign_in(&self, client: &Client) -> Result<RequestBuilder> {
        let cloud = self.address.cloud;
        match &self.login {
            Login::Machine { url, client: id } => {
                let id = id.as_ref().map(|id| format!("&client_id={id}")).unwrap_or_default();
                let query = format!("api-version=2018-02-01&resource=https%3A%2F%2F{cloud}{id}");
                Ok(client.get(format!("{url}?{query}")).header("metadata", "true"))
            }
            Login::Client { url, id, proof } => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                form.append_pair("grant_type", "client_credentials").append_pair("client_id", id);
                form.append_pair("scope", &format!("https://{cloud}/.default"));
                match proof {
                    Proof::Secret(secret) => form.append_pair("client_secret", secret),
                    Proof::File(path) => {
                        let read = std::fs::read_to_string(path).map(Zeroizing::new);
                        let token = read.map_err(|e| io(format!("read AZURE_FEDERATED_TOKEN_FILE, {path}"), e))?;
                        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                        form.append_pair("client_assertion_type", kind).append_pair("client_assertion", token.trim())
                    }
                };
                let request = client.post(url).header("content-type", "application/x-www-form-urlencoded");
                Ok(request.body(form.finish()))
            }
        }
    }

    /// Asks the vault; without a body it is a GET.
    async fn ask(&self, path: &str, body: Option<Value>) -> Result<Answer> {
        let (client, who) = (client(&[])?, self.describe());
        let answer = send(self.sign_in(&client)?, &who).await?;
        if !answer.is_ok() {
            let remedy =
                "signing in failed: look at AZURE_CLIENT_ID, its secret and its end, or the machine's identity";
            let mut error = answer.failure("", remedy);
            if answer.status == 400 || answer.status == 401 {
                error.kind = kernel::Kind::Refused;
            }
            return Err(error);
        }
        let token = Zeroizing::new(answer.json::<Token>()?.access_token);
        let url = format!("{}/keys/{}{path}?{API}", self.endpoint, self.address.key);
        let request = match body {
            None => client.get(url),
            Some(body) => client.post(url).header("content-type", "application/json").body(body.to_string()),
        };
        let bearer = Zeroizing::new(format!("Bearer {}", token.as_str()));
        let answer = send(request.header("authorization", hidden(&bearer)?), &who).await?;
        if answer.is_ok() { Ok(answer) } else { Err(failure(&answer)) }
    }
}

/// The version that ends a key's identifier, `https://VAULT/keys/KEY/VERSION`.
fn version_of<'a>(kid: &'a str, who: &str) -> Result<&'a str> {
    let version = kid.rsplit('/').next().filter(|version| is_name(version));
    version.ok_or_else(|| Error::data(format!("ask {who}"), "its key has no version"))
}

#[async_trait]
impl Wrapper for KeyVault {
    /// `version.value`: a vault unwraps by the version that wrapped, and says in no other place which that was.
    async fn wrap(&self, root: &Root) -> Result<String> {
        let who = self.describe();
        let newest = self.ask("", None).await?.json::<Described>()?.key.kid;
        let plain = Zeroizing::new(URL_SAFE_NO_PAD.encode(**root));
        let body = json!({ "alg": ALGORITHM, "value": plain.as_str() });
        let answer = self.ask(&format!("/{}/wrapkey", version_of(&newest, &who)?), Some(body)).await?;
        let wrapped: Wrapped = answer.json()?;
        Ok(format!("{}.{}", version_of(&wrapped.kid, &who)?, wrapped.value))
    }

    async fn unwrap(&self, wrapped: &str) -> Result<Root> {
        let who = self.describe();
        let parts = wrapped.split_once('.').filter(|(version, _)| is_name(version));
        let (version, value) =
            parts.ok_or_else(|| Error::data(format!("ask {who}"), "what is to be unwrapped is not `version.value`"))?;
        let body = json!({ "alg": ALGORITHM, "value": value });
        let answer = self.ask(&format!("/{version}/unwrapkey"), Some(body)).await?;
        root(answer.json::<Wrapped>()?.value, &URL_SAFE_NO_PAD, &who)
    }

    fn describe(&self) -> String {
        describe(&self.address)
    }
}

fn describe(address: &Address) -> String {
    format!("Azure Key Vault {}, key {}", address.host, address.key)
}

fn failure(answer: &Answer) -> Error {
    let code = answer.peek::<Failure>().map(|failure| failure.error.code).unwrap_or_default();
    let remedy = match answer.status {
        401 | 403 => {
            "the identity needs get, wrapKey and unwrapKey on this key (Key Vault Crypto User), and the key must be enabled"
        }
        404 => "there is no such key or version in this vault",
        _ => "no row passes until it answers",
    };
    answer.failure(&code, remedy)
}
