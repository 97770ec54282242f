//! Whether a delivery is from who may send.

use super::options::{Auth, AuthType, Scheme};
use crate::secret::Secret;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use kernel::clock::Timestamp;
use sha2::Sha256;

/// Whether it can be told without the body that this sender is none of ours.
pub fn is_stranger(auth: &Auth, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.as_bytes());
    match auth.kind {
        AuthType::None => false,
        AuthType::Bearer => {
            let token = text("authorization").and_then(|value| {
                let (scheme, token) = value.split_at_checked("Bearer ".len())?;
                scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
            });
            !token.is_some_and(|token| secrets(auth).any(|secret| secret.is(token)))
        }
        AuthType::Header => {
            let value = auth.header.as_deref().and_then(text);
            !value.is_some_and(|value| secrets(auth).any(|secret| secret.is(value)))
        }
        AuthType::Hmac => signatures(auth, headers).is_none(),
    }
}

/// Whether the body is signed by one of the secrets, and not too long ago.
pub fn is_signed(auth: &Auth, headers: &HeaderMap, body: &[u8], now: Timestamp) -> bool {
    if auth.kind != AuthType::Hmac {
        return true;
    }
    let Some(signed) = signatures(auth, headers) else { return false };
    let tolerance = i64::from(auth.tolerance_seconds.unwrap_or(TOLERANCE_SECONDS)) * 1_000_000;
    let is_young = |seconds: i64| (seconds.saturating_mul(1_000_000)).abs_diff(now.0) <= tolerance.unsigned_abs();
    if signed.at.is_some_and(|at| !is_young(at)) {
        return false;
    }
    let is_by = |secret: &Secret| {
        let Some(key) = key(auth.scheme, secret) else { return false };
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return false };
        mac.update(signed.prefix.as_bytes());
        mac.update(body);
        signed.all.iter().any(|given| mac.clone().verify_slice(given).is_ok())
    };
    secrets(auth).any(is_by)
}

/// As Stripe and Standard Webhooks have it.
const TOLERANCE_SECONDS: u32 = 300;

fn secrets(auth: &Auth) -> impl Iterator<Item = &Secret> {
    auth.secret.iter().chain(&auth.secret_before)
}

/// The key of the signature. That of Standard Webhooks is written in Base64.
pub fn key(scheme: Scheme, secret: &Secret) -> Option<Vec<u8>> {
    let text = secret.reveal();
    match scheme {
        Scheme::Github | Scheme::Stripe => (!text.is_empty()).then(|| text.as_bytes().to_vec()),
        Scheme::Standard => {
            STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok().filter(|key| !key.is_empty())
        }
    }
}

struct Signed {
    /// What is signed in front of the body.
    prefix: String,
    at: Option<i64>,
    all: Vec<Vec<u8>>,
}

fn signatures(auth: &Auth, headers: &HeaderMap) -> Option<Signed> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match auth.scheme {
        Scheme::Github => {
            let given = text(auth.header.as_deref().unwrap_or("X-Hub-Signature-256"))?;
            let given = hex(given.strip_prefix("sha256=").unwrap_or(given))?;
            Some(Signed { prefix: String::new(), at: None, all: vec![given] })
        }
        Scheme::Stripe => {
            let parts: Vec<(&str, &str)> =
                text("Stripe-Signature")?.split(',').filter_map(|part| part.trim().split_once('=')).collect();
            let at = parts.iter().find_map(|(name, value)| (*name == "t").then_some(*value))?;
            let all = parts.iter().filter(|(name, _)| *name == "v1").filter_map(|(_, value)| hex(value)).collect();
            Some(Signed { prefix: format!("{at}."), at: Some(at.parse().ok()?), all })
        }
        Scheme::Standard => {
            let (id, at) = (text("webhook-id")?, text("webhook-timestamp")?);
            let given = text("webhook-signature")?.split(' ').filter_map(|one| one.strip_prefix("v1,"));
            let all = given.filter_map(|one| STANDARD.decode(one).ok()).collect();
            Some(Signed { prefix: format!("{id}.{at}."), at: Some(at.parse().ok()?), all })
        }
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let byte = |at: usize| text.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    (text.len().is_multiple_of(2)).then(|| (0..text.len()).step_by(2).map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn auth(options: serde_json::Value) -> Auth {
        serde_json::from_value(options).expect("options")
    }

    fn headers(all: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().expect("a name"), HeaderValue::from_str(value).expect("a value"))
        };
        all.iter().map(pair).collect()
    }

    /// The example of docs.github.com, "Validating webhook deliveries".
    #[test]
    fn githubs_own_example_is_signed() {
        let auth = auth(serde_json::json!({ "type": "hmac", "secret": "It's a Secret to Everybody" }));
        let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let is_signed = |signature: &str, body: &[u8]| {
            is_signed(&auth, &headers(&[("X-Hub-Signature-256", signature)]), body, Timestamp(0))
        };
        assert!(is_signed(good, b"Hello, World!"));
        assert!(
            !is_signed(good, b"Hello, World?")
                && !is_signed("sha256=", b"Hello, World!")
                && !is_signed("sha256=zz", b"")
        );
        assert!(is_stranger(&auth, &headers(&[])));
    }

    /// The example of the Standard Webhooks specification's libraries.
    #[test]
    fn a_standard_webhook_is_signed_for_a_while() {
        let auth = auth(
            serde_json::json!({ "type": "hmac", "scheme": "standard", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }),
        );
        let given = headers(&[
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,bm9uZQ== v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ]);
        let at = |seconds: i64| is_signed(&auth, &given, br#"{"test": 2432232314}"#, Timestamp(seconds * 1_000_000));
        assert!(at(1_614_265_330) && at(1_614_265_630) && !at(1_614_265_631) && !at(1_614_265_000));
        assert!(!is_signed(&auth, &given, br#"{"test": 2432232315}"#, Timestamp(1_614_265_330_000_000)));
    }

    #[test]
    fn stripes_signature_has_a_time_and_secrets_may_change_over() {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"old").expect("a key");
        mac.update(b"1700000000.{}");
        let signature: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let given = headers(&[("Stripe-Signature", &format!("t=1700000000, v0=00,v1={signature}"))]);
        let now = Timestamp(1_700_000_010_000_000);
        let of = |secrets| is_signed(&auth(secrets), &given, b"{}", now);
        assert!(of(serde_json::json!({ "type": "hmac", "scheme": "stripe", "secret": "new", "secret_before": "old" })));
        assert!(!of(serde_json::json!({ "type": "hmac", "scheme": "stripe", "secret": "new" })));
    }

    #[test]
    fn a_bearer_is_known_by_the_whole_token() {
        let auth = auth(serde_json::json!({ "secret": "right" }));
        let of = |value: &str| is_stranger(&auth, &headers(&[("authorization", value)]));
        assert!(!of("Bearer right") && !of("bearer right"));
        assert!(
            of("Bearer wrong")
                && of("Bearer righ")
                && of("Bearer ")
                && of("right")
                && is_stranger(&auth, &headers(&[]))
        );
    }
}
