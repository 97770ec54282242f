//! AWS KMS as moto answers it, and the plain HTTP call that all of these helpers make.

use super::server;
use serde_json::{Value, json};

/// moto's KMS.
pub struct Kms {
    url: String,
}

impl Kms {
    pub fn new() -> Self {
        Self::at(&server("moto").url)
    }

    /// By another way, such as a proxy.
    pub fn at(url: &str) -> Self {
        Self { url: url.into() }
    }

    /// `keys:` of an environment.
    pub fn keys_url(&self, key: &str) -> String {
        format!("aws-kms://{key}?region=us-east-1&endpoint={}", self.url)
    }

    /// A key's id.
    pub fn create_key(&self) -> String {
        let answer = self.call("CreateKey", &json!({}));
        answer["KeyMetadata"]["KeyId"].as_str().expect("a key's id").to_owned()
    }

    fn call(&self, act: &str, body: &Value) -> Value {
        // moto learns from here which service is meant; it checks no signature.
        let signed =
            "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=0";
        let headers = [
            ("X-Amz-Target", &*format!("TrentService.{act}")),
            ("Content-Type", "application/x-amz-json-1.1"),
            ("Authorization", signed),
        ];
        let (status, answer) = send("POST", &self.url, &headers, body);
        assert!(status < 300, "{act}: {status} {answer}");
        answer
    }
}

/// One HTTP call: its status, and its answer as far as that is JSON.
pub fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &Value) -> (u16, Value) {
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = request.body(body).expect("a request");
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent.run(request).unwrap_or_else(|e| panic!("{method} {url}: {e}"));
    let text = answer.body_mut().read_to_string().expect("an answer");
    (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
}
