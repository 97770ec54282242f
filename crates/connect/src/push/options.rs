//! What a `connector: push` source can be told.

use super::signature;
use crate::json_path::JsonPath;
use crate::secret::Secret;
use crate::spec::{Fault, read_options};
use axum::http::HeaderName;
use kernel::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Options of the push connector.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The path that others `POST` to, such as `/hooks/payments`.
    pub path: String,
    /// How senders prove who they are.
    pub auth: Auth,
    /// `auto`: NDJSON by its content type (`application/x-ndjson`, `application/jsonl`), else JSON.
    pub format: Format,
    /// Where in a JSON body the records are: `$.events`. A list there is records, an object is one record. In NDJSON each
    /// line is a record, whatever stands here.
    pub records: String,
    /// The header that names a delivery, so that one that is sent again is taken once. By default `Idempotency-Key`,
    /// `Webhook-Id` or `X-GitHub-Delivery`. Without any of them, and with a primary key in the contract, the same records are
    /// taken once, and what has a key that came before is set aside.
    pub key_header: Option<String>,
    /// How many names of deliveries are remembered with the progress.
    pub repeats_max: usize,
    /// A longer body is refused (413).
    pub body_bytes_max: usize,
    /// Bytes that were taken and are not durable yet, at most; beyond them senders are told to come again (503).
    pub queue_bytes_max: usize,
    /// Time in which a delivery must come in, and then become durable; after it, the sender is told to come again (503).
    pub timeout_ms: u64,
}

pub const REQUIRED: [&str; 2] = ["path", "auth"];

impl Default for Options {
    fn default() -> Self {
        Self {
            path: String::new(),
            auth: Auth::default(),
            format: Format::Auto,
            records: "$".into(),
            key_header: None,
            repeats_max: 1000,
            body_bytes_max: 1 << 20,
            queue_bytes_max: 64 << 20,
            timeout_ms: 30_000,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Auto,
    Json,
    Ndjson,
}

/// Who may send. Texts are best written as `${VARIABLE}`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    #[serde(rename = "type")]
    pub kind: AuthType,
    /// For `bearer` the token, for `header` the header's value, for `hmac` the key of the signature.
    pub secret: Option<Secret>,
    /// One that is taken as well, while senders change over to another.
    pub secret_before: Option<Secret>,
    /// For `header`, and for `hmac` with `scheme: github`: the header's name.
    pub header: Option<String>,
    /// For `hmac`: how the signature is made.
    pub scheme: Scheme,
    /// For `hmac` with a time in it: how old it may be.
    pub tolerance_seconds: Option<u32>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthType {
    /// `Authorization: Bearer …`
    #[default]
    Bearer,
    /// A header of a secret value.
    Header,
    /// A signature of the body, by HMAC-SHA-256.
    Hmac,
    /// Anybody.
    None,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// `X-Hub-Signature-256: sha256=…`, in hexadecimal digits, of the body.
    #[default]
    Github,
    /// `Stripe-Signature: t=…,v1=…`, of the time and the body.
    Stripe,
    /// Standard Webhooks: `webhook-signature: v1,…`, in Base64, of id, time and body.
    Standard,
}

impl Options {
    pub fn read(source: &str, options: &Value) -> Result<Self> {
        Self::check(options).map_err(|faults| {
            let all: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
            Error::project(format!("source `{source}`"), all.join("; "))
        })
    }

    /// Reads the options, or tells all that is wrong with them.
    pub fn check(options: &Value) -> Result<Self, Vec<Fault>> {
        let read: Self = read_options(options, &REQUIRED)?;
        let mut faults = Vec::new();
        let mut told = |option: &str, is_wrong: bool, message: &str| {
            if is_wrong {
                faults.push(Fault::new(option, message));
            }
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
        let is_path = read.path.starts_with('/') && read.path.len() > 1 && read.path.chars().all(is_plain);
        told(
            "path",
            !is_path,
            "`path` starts with `/` and has letters, digits, `-`, `_`, `.` and `/`: `/hooks/payments`",
        );
        let auth = &read.auth;
        told(
            "auth",
            auth.kind != AuthType::None && auth.secret.is_none(),
            "`auth` needs `secret`; `type: none` lets anybody send",
        );
        for (name, secret) in [("secret", &auth.secret), ("secret_before", &auth.secret_before)] {
            let Some(why) = secret.as_ref().and_then(|secret| useless(auth, secret)) else { continue };
            told("auth", true, &format!("`auth`: `{name}` {why}"));
        }
        told(
            "auth",
            auth.kind == AuthType::Header && auth.header.is_none(),
            "`auth`: `type: header` needs `header`, its name",
        );
        let is_header = |name: &String| HeaderName::try_from(name).is_ok();
        told(
            "key_header",
            read.key_header.as_ref().is_some_and(|name| !is_header(name)),
            "`key_header` is the name of a header, such as `X-Delivery-Id`: letters, digits and `-`",
        );
        told(
            "auth",
            auth.header.as_ref().is_some_and(|name| !is_header(name)),
            "`auth`: `header` is the name of a header, such as `X-Token`: letters, digits and `-`",
        );
        told("records", JsonPath::parse(&read.records).is_err(), "`records` is no path such as `$.events`");
        told(
            "body_bytes_max",
            !(1..=BODY_BYTES_LIMIT).contains(&read.body_bytes_max),
            "`body_bytes_max` must be from 1 to 256 MiB (268435456)",
        );
        told(
            "queue_bytes_max",
            read.queue_bytes_max < read.body_bytes_max,
            "`queue_bytes_max` must hold at least one body (`body_bytes_max`)",
        );
        told(
            "queue_bytes_max",
            read.queue_bytes_max > QUEUE_BYTES_LIMIT,
            "`queue_bytes_max` must be at most 2 GiB (2147483648)",
        );
        told("timeout_ms", read.timeout_ms == 0, "`timeout_ms` must be at least 1");
        if faults.is_empty() { Ok(read) } else { Err(faults) }
    }
}

/// Why nobody could sign in by this secret.
fn useless(auth: &Auth, secret: &Secret) -> Option<&'static str> {
    let has_key = || signature::key(auth.scheme, secret).is_some();
    match auth.kind {
        AuthType::None => None,
        _ if secret.reveal().is_empty() => Some("is empty, so that nobody could send"),
        AuthType::Bearer | AuthType::Header => None,
        AuthType::Hmac => (!has_key())
            .then_some("is no Base64, which `scheme: standard` needs: copy it whole, as `whsec_…` from whoever sends"),
    }
}

const BODY_BYTES_LIMIT: usize = 256 << 20;
const QUEUE_BYTES_LIMIT: usize = 2 << 30;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_wrong_is_told_at_once_and_without_secrets() {
        let told = |options| Options::check(&options).err().unwrap_or_default();
        assert!(told(json!({ "path": "/hooks/a", "auth": { "secret": "s" } })).is_empty());
        assert!(told(json!({ "path": "/hooks/a", "auth": { "type": "none" } })).is_empty());
        let all =
            told(json!({ "path": "hooks/{x}", "auth": { "type": "header" }, "queue_bytes_max": 1, "timeout_ms": 0 }));
        assert_eq!(all.len(), 5, "{all:?}");
        let auth = |auth: Value| told(json!({ "path": "/a", "auth": auth }));
        assert!(auth(json!({ "secret": "" }))[0].message.contains("`secret` is empty"));
        assert!(auth(json!({ "secret": "s", "secret_before": "" }))[0].message.contains("`secret_before` is empty"));
        assert!(auth(json!({ "type": "hmac", "scheme": "stripe", "secret": "" }))[0].message.contains("is empty"));
        for no_base64 in ["plain secret!", "whsec_", "whsec_abc"] {
            let told = auth(json!({ "type": "hmac", "scheme": "standard", "secret": no_base64 }));
            assert!(told.len() == 1 && told[0].message.contains("no Base64"), "{no_base64}: {told:?}");
            assert!(!told[0].message.contains("plain"), "{told:?}");
        }
        let good = json!({ "type": "hmac", "scheme": "standard", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" });
        assert!(auth(good).is_empty());
        for name in ["a b", "", "x:y", "é"] {
            let options = json!({ "path": "/a", "auth": { "type": "none" }, "key_header": name });
            assert!(told(options).iter().any(|fault| fault.option == "key_header"), "{name:?} is no header");
            let by = auth(json!({ "type": "header", "secret": "s", "header": name }));
            assert!(by.len() == 1 && by[0].message.contains("`header` is the name"), "{name:?}: {by:?}");
        }
        let good = json!({ "path": "/a", "auth": { "type": "none" }, "key_header": "X-Delivery_Id" });
        assert!(told(good).is_empty());
        let missing = told(json!({ "path": "/a" }));
        assert_eq!(missing[0].message, "`auth` is missing", "nobody is let in by forgetting something");
        let typo = told(json!({ "path": "/a", "auth": { "secrt": "SECRET" } }));
        assert!(typo[0].message.contains("unknown field") && !typo[0].message.contains("SECRET"), "{typo:?}");
    }
}
