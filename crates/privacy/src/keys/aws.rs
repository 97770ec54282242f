//! AWS KMS: `Encrypt` and `Decrypt` of its JSON API (docs.aws.amazon.com/kms/latest/APIReference).
//!
//! Credentials and signature are those of the lake's object store: variables, web identity (EKS), container, instance.

use super::http::{Answer, client, root, secret, send};
use super::place::{endpoint, options};
use super::{Env, Root, Wrapper};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::error::{Error, Kind, Result};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer, AwsCredentialProvider};
use object_store::client::HttpRequest;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// A key by its id, ARN or alias.
pub struct Address {
    key: String,
    region: Option<String>,
    endpoint: Option<String>,
}

impl Address {
    pub(super) fn parse(rest: &str) -> Result<Self, String> {
        let (key, options) = options(rest, &["region", "endpoint"])?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | ':');
        if key.is_empty() || !key.chars().all(fits) {
            return Err("write aws-kms://ARN or aws-kms://alias/NAME?region=REGION".into());
        }
        let option = |name: &str| options.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        // arn:aws:kms:REGION:ACCOUNT:key/ID
        let of_arn = key.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(2));
        Ok(Self {
            region: option("region").or(of_arn).map(str::to_owned),
            endpoint: option("endpoint").map(endpoint).transpose()?,
            key: key.to_owned(),
        })
    }
}

pub(super) struct Kms {
    key: String,
    region: String,
    endpoint: String,
    credentials: AwsCredentialProvider,
}

/// What the chain of credentials reads, in the order in which AWS's own tools do.
const VARIABLES: [&str; 11] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_METADATA_ENDPOINT",
];

#[derive(Deserialize)]
struct Encrypted {
    #[serde(rename = "CiphertextBlob")]
    blob: String,
}

#[derive(Deserialize)]
struct Decrypted {
    #[serde(rename = "Plaintext")]
    plaintext: String,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(rename = "__type")]
    name: String,
}

impl Kms {
    pub fn new(address: Address, env: Env) -> Result<Self> {
        let what = || format!("open AWS KMS, key {}", address.key);
        let named = || ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| secret(env, name));
        let region = address.region.clone().or_else(|| named().map(|region| region.to_string()));
        let region = region.ok_or_else(|| Error::project(what(), "no region: add `?region=…`, or set AWS_REGION"))?;
        let mut builder = AmazonS3Builder::new().with_bucket_name("none").with_region(&region);
        for name in VARIABLES {
            if let (Some(value), Ok(key)) = (secret(env, name), name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>())
            {
                builder = builder.with_config(key, value.as_str());
            }
        }
        let store = builder.build().map_err(|_| Error::project(what(), "the AWS_… variables don't fit together"))?;
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let endpoint = address.endpoint.unwrap_or_else(|| format!("https://kms.{region}.{suffix}"));
        Ok(Self { key: address.key, region, endpoint, credentials: store.credentials().clone() })
    }

    async fn ask(&self, act: &str, body: Value) -> Result<Answer> {
        let credential = self.credentials.get_credential().await.map_err(|e| {
            let detail = "no credential was found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine, \
                          container or service account a role";
            Error::new(Kind::Unreachable, format!("sign in to {}", self.describe()), detail).because(e)
        })?;
        let body = Zeroizing::new(body.to_string());
        let mut request = HttpRequest::new(body.as_bytes().to_vec().into());
        *request.method_mut() = Method::POST;
        let uri = format!("{}/", self.endpoint).parse();
        *request.uri_mut() = uri.map_err(|_| Error::project(self.describe(), "its endpoint is no URL"))?;
        let target = HeaderValue::from_str(&format!("TrentService.{act}"));
        request.headers_mut().insert("x-amz-target", target.map_err(|e| Error::internal("ask AWS KMS", e))?);
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/x-amz-json-1.1"));
        AwsAuthorizer::new(&credential, "kms", &self.region).authorize(&mut request, None);
        let signed = client(&[])?.post(format!("{}/", self.endpoint)).headers(request.headers().clone());
        let answer = send(signed.body(body.to_string()), &self.describe()).await?;
        if answer.is_ok() { Ok(answer) } else { Err(failure(&answer)) }
    }
}

/// Bound to the wrapped secret: KMS opens it under the same words only, and its audit log shows them.
fn context() -> Value {
    json!({ "lavra": "keyring" })
}

#[async_trait]
impl Wrapper for Kms {
    async fn wrap(&self, root: &Root) -> Result<String> {
        let plain = Zeroizing::new(STANDARD.encode(**root));
        let body = json!({ "KeyId": self.key, "Plaintext": plain.as_str(), "EncryptionContext": context() });
        Ok(self.ask("Encrypt", body).await?.json::<Encrypted>()?.blob)
    }

    async fn unwrap(&self, wrapped: &str) -> Result<Root> {
        let body = json!({ "KeyId": self.key, "CiphertextBlob": wrapped, "EncryptionContext": context() });
        let answer = self.ask("Decrypt", body).await?;
        root(answer.json::<Decrypted>()?.plaintext, &STANDARD, &self.describe())
    }

    fn describe(&self) -> String {
        format!("AWS KMS in {}, key {}", self.region, self.key)
    }
}

/// KMS answers 400 to most failures and names them.
fn failure(answer: &Answer) -> Error {
    let name = answer.peek::<Failure>().map(|failure| failure.name).unwrap_or_default();
    let name = name.rsplit('#').next().unwrap_or_default();
    let mut remedy = match name {
        "AccessDeniedException" => "its policy must allow kms:Encrypt and kms:Decrypt on this key",
        "DisabledException" | "KMSInvalidStateException" => "the key is disabled or about to be deleted: enable it",
        "InvalidCiphertextException" | "IncorrectKeyException" => "this key did not wrap it: name the key that did",
        "NotFoundException" => "there is no such key in this region",
        _ => "look at the credentials; no row passes until it answers",
    };
    let passing =
        ["ThrottlingException", "DependencyTimeoutException", "KeyUnavailableException", "KMSInternalException"];
    let mut error = answer.failure(name, remedy);
    if passing.contains(&name) {
        error.kind = Kind::Unreachable;
    } else if name == "NotFoundException" {
        error.kind = Kind::Project;
    } else if name.starts_with("Expired") || name.starts_with("UnrecognizedClient") || name.contains("Signature") {
        remedy = "the credentials are wrong or have ended: give new ones";
        error = answer.failure(name, remedy);
    }
    error
}
