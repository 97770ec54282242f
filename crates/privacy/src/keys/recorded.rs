//! The key systems against a small HTTP server that answers as their published APIs say, and fails as they do.

use super::*;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use kernel::Kind;
use kernel::clock::{Clock, ManualClock};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// A request as it came.
#[derive(Debug, Clone)]
struct Seen {
    /// `POST /v1/transit/encrypt/lavra`
    line: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

type Answers = Box<dyn Fn(&Seen) -> Option<(u16, Value)> + Send>;

/// One server for one test; it ends with the process.
struct Server {
    at: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    answers: Arc<Mutex<Answers>>,
}

impl Server {
    /// `None` cuts the connection in the middle.
    fn start(answers: impl Fn(&Seen) -> Option<(u16, Value)> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let answers: Arc<Mutex<Answers>> = Arc::new(Mutex::new(Box::new(answers)));
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (kept, told) = (seen.clone(), answers.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream);
                let Some(request) = read(&mut reader) else { continue };
                kept.lock().unwrap().push(request.clone());
                let answer = (told.lock().unwrap())(&request);
                let Some((status, body)) = answer else { continue };
                let body = body.to_string();
                let head =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = reader.get_mut().write_all((head + &body).as_bytes());
            }
        });
        Self { at, seen, answers }
    }

    fn now_answers(&self, answers: impl Fn(&Seen) -> Option<(u16, Value)> + Send + 'static) {
        *self.answers.lock().unwrap() = Box::new(answers);
    }

    fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().unwrap().clone()
    }
}

fn read(reader: &mut impl BufRead) -> Option<Seen> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let line = lines.first()?.trim_end_matches(" HTTP/1.1").to_owned();
    let split = |line: &String| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: Vec<(String, String)> = lines[1..].iter().filter_map(split).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, n)| n.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Seen { line, headers, body: String::from_utf8(body).unwrap() })
}

const SECRET: &str = "hunter2-hunter2";

fn open(url: &str, env: &[(&str, &str)]) -> Result<Box<dyn Wrapper>> {
    let Ok(Place::System(system)) = Place::parse(url) else { panic!("{url} is no system") };
    let env: Vec<(String, String)> = env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(1_700_000_000_000_000));
    wrapper(system, &|name| env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()), &clock)
}

fn root() -> Root {
    Zeroizing::new(std::array::from_fn(|at| at as u8 + 1))
}

async fn there_and_back(system: &dyn Wrapper) -> String {
    let wrapped = system.wrap(&root()).await.unwrap();
    assert!(!wrapped.is_empty() && *system.unwrap(&wrapped).await.unwrap() == *root());
    wrapped
}

/// Both acts fail in the same way, and say nothing of the credential or the secret.
async fn fails(system: &dyn Wrapper, wrapped: &str, kind: Kind, told: &str) {
    let errors = [system.wrap(&root()).await.map(drop), system.unwrap(wrapped).await.map(drop)];
    for error in errors.map(|outcome| outcome.unwrap_err()) {
        let text = format!("{error:?} {:?}", error.source);
        assert_eq!(error.kind, kind, "{text}");
        assert!(text.contains(told), "{text}");
        assert!(!text.contains(SECRET) && !text.contains(&STANDARD.encode(*root())), "{text}");
    }
}

/// What the network does to every system.
async fn network_failures(server: &Server, system: &dyn Wrapper, wrapped: &str) {
    server.now_answers(|_| None);
    fails(system, wrapped, Kind::Unreachable, "no row passes").await;
    server.now_answers(|_| Some((500, json!({}))));
    fails(system, wrapped, Kind::Unreachable, "HTTP 500").await;
    server.now_answers(|_| Some((429, json!({}))));
    fails(system, wrapped, Kind::Unreachable, "HTTP 429").await;
    server.now_answers(|_| Some((307, json!({}))));
    fails(system, wrapped, Kind::Project, "redirect").await;
}

/// Answers as developer.hashicorp.com/vault/api-docs shows them.
fn vault(seen: &Seen) -> Option<(u16, Value)> {
    let answer =
        |data: Value| json!({ "request_id": "1", "lease_id": "", "renewable": false, "data": data, "auth": null });
    let body = seen.json();
    Some(match seen.line.as_str() {
        "POST /v1/auth/approle/login" if body["secret_id"] == SECRET => (
            200,
            json!({ "data": null, "auth": { "client_token": "s.short", "lease_duration": 3, "renewable": true } }),
        ),
        "POST /v1/auth/approle/login" => (400, json!({ "errors": ["invalid secret id"] })),
        _ if !["s.short", SECRET].contains(&seen.header("x-vault-token")) => {
            (403, json!({ "errors": ["permission denied"] }))
        }
        "POST /v1/auth/token/renew-self" => (400, json!({ "errors": ["lease is not renewable"] })),
        "POST /v1/transit/encrypt/lavra" => {
            let plain = body["plaintext"].as_str()?;
            (200, answer(json!({ "ciphertext": format!("vault:v1:{plain}"), "key_version": 1 })))
        }
        "POST /v1/transit/decrypt/lavra" => {
            let plain = body["ciphertext"].as_str()?.strip_prefix("vault:v1:")?;
            (200, answer(json!({ "plaintext": plain })))
        }
        _ => (404, json!({ "errors": [] })),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vault_wraps_and_fails_closed() {
    let server = Server::start(vault);
    let url = format!("vault+http://{}/transit/lavra", server.at);
    let token = open(&url, &[("VAULT_TOKEN", SECRET), ("VAULT_NAMESPACE", "team")]).unwrap();
    let wrapped = there_and_back(&*token).await;
    assert!(wrapped.starts_with("vault:v1:") && server.last().header("x-vault-namespace") == "team");
    let role = [("VAULT_ROLE_ID", "role"), ("VAULT_SECRET_ID", SECRET)];
    there_and_back(&*open(&url, &role).unwrap()).await;
    assert_eq!(server.last().header("x-vault-token"), "s.short");

    let wrong = open(&url, &[("VAULT_TOKEN", "s.wrong")]).unwrap();
    fails(&*wrong, &wrapped, Kind::Refused, "permission denied").await;
    let wrong = open(&url, &[("VAULT_ROLE_ID", "role"), ("VAULT_SECRET_ID", "gone")]).unwrap();
    fails(&*wrong, &wrapped, Kind::Refused, "new secret id").await;
    let other = open(&url.replace("/lavra", "/other"), &[("VAULT_TOKEN", SECRET)]).unwrap();
    fails(&*other, &wrapped, Kind::Project, "vault write -f").await;
    server.now_answers(|_| Some((503, json!({ "errors": ["Vault is sealed"] }))));
    fails(&*token, &wrapped, Kind::Unreachable, "unseal it").await;
    let too_old = json!({ "errors": ["ciphertext or signature version is disallowed by policy (too old)"] });
    server.now_answers(move |_| Some((400, too_old.clone())));
    fails(&*token, &wrapped, Kind::Refused, "too old").await;
    let quoting = json!({ "errors": [format!("what is {SECRET}? {}", "x".repeat(200))] });
    server.now_answers(move |_| Some((403, quoting.clone())));
    fails(&*token, &wrapped, Kind::Refused, "HTTP 403").await;
    network_failures(&server, &*token, &wrapped).await;
    server.now_answers(|_| Some((200, json!({ "data": { "ciphertext": 1, "plaintext": "AAAA" } }))));
    fails(&*token, &wrapped, Kind::Unreachable, "another program").await;
    server.now_answers(vault);
    there_and_back(&*token).await;
    assert_eq!(open(&url, &[]).map(|_| ()).map_err(|e| e.kind), Err(Kind::Project), "no credential");
}

#[tokio::test]
async fn no_answer_is_not_waited_for_and_no_tls_is_no_connection() {
    let server = Server::start(|_| {
        std::thread::sleep(std::time::Duration::from_secs(20));
        None
    });
    let silent = open(&format!("vault+http://{}/transit/lavra", server.at), &[("VAULT_TOKEN", SECRET)]).unwrap();
    let error = silent.unwrap("vault:v1:x").await.map(drop).unwrap_err();
    assert!(error.kind == Kind::Unreachable && error.detail.contains("no answer in time"), "{error}");
    let plain = Server::start(vault);
    let tls = open(&format!("vault://{}/transit/lavra", plain.at), &[("VAULT_TOKEN", SECRET)]).unwrap();
    let error = tls.unwrap("vault:v1:x").await.map(drop).unwrap_err();
    assert_eq!(error.kind, Kind::Unreachable, "{error}");
    let nobody = open("vault+http://127.0.0.1:1/transit/lavra", &[("VAULT_TOKEN", SECRET)]).unwrap();
    fails(&*nobody, "vault:v1:x", Kind::Unreachable, "refused").await;
}

/// Answers as docs.aws.amazon.com/kms/latest/APIReference shows them.
fn aws(seen: &Seen) -> Option<(u16, Value)> {
    let body = seen.json();
    let is_signed = seen.header("authorization").contains("Credential=AKIDEXAMPLE/")
        && seen.header("authorization").contains("/sa-east-1/kms/aws4_request")
        && seen.header("content-type") == "application/x-amz-json-1.1";
    if !is_signed || body["EncryptionContext"]["lavra"] != "keyring" || body["KeyId"] != "alias/lavra" {
        return Some((400, json!({ "__type": "InvalidSignatureException", "message": SECRET })));
    }
    Some(match seen.header("x-amz-target") {
        "TrentService.Encrypt" => {
            let blob = format!("AQICAH{}", body["Plaintext"].as_str()?);
            (
                200,
                json!({ "CiphertextBlob": blob, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "KeyId": "arn:aws:kms:…" }),
            )
        }
        "TrentService.Decrypt" => {
            let plain = body["CiphertextBlob"].as_str()?.strip_prefix("AQICAH")?;
            (200, json!({ "Plaintext": plain, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "KeyId": "arn:aws:kms:…" }))
        }
        _ => (400, json!({ "__type": "UnknownOperationException" })),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aws_kms_wraps_and_fails_closed() {
    let server = Server::start(aws);
    let url = format!("aws-kms://alias/lavra?region=sa-east-1&endpoint=http://{}", server.at);
    let env =
        [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", SECRET), ("AWS_SESSION_TOKEN", "session")];
    let kms = open(&url, &env).unwrap();
    let wrapped = there_and_back(&*kms).await;
    assert_eq!(server.last().header("x-amz-security-token"), "session");
    for (name, kind, told) in [
        ("AccessDeniedException", Kind::Refused, "kms:Decrypt"),
        ("com.amazonaws.kms#DisabledException", Kind::Refused, "enable it"),
        ("ExpiredTokenException", Kind::Refused, "have ended"),
        ("UnrecognizedClientException", Kind::Refused, "have ended"),
        ("InvalidCiphertextException", Kind::Refused, "did not wrap it"),
        ("NotFoundException", Kind::Project, "no such key"),
        ("ThrottlingException", Kind::Unreachable, "ThrottlingException"),
        ("DependencyTimeoutException", Kind::Unreachable, "DependencyTimeoutException"),
    ] {
        server.now_answers(move |_| Some((400, json!({ "__type": name, "message": SECRET }))));
        fails(&*kms, &wrapped, kind, told).await;
    }
    network_failures(&server, &*kms, &wrapped).await;
    let no_region = url.replace("region=sa-east-1&", "");
    assert!(open(&no_region, &env).is_err_and(|e| e.kind == Kind::Project && e.detail.contains("AWS_REGION")));
    assert!(open(&no_region, &[("AWS_REGION", "sa-east-1")]).is_ok());
    assert!(open("aws-kms://arn:aws:kms:sa-east-1:111122223333:key/1234", &env).is_ok(), "an ARN has its region");
}

/// Answers as learn.microsoft.com/rest/api/keyvault and /entra/identity-platform show them.
fn azure(seen: &Seen) -> Option<(u16, Value)> {
    let kid = "https://acme.vault.azure.net/keys/lavra/0123abcd";
    let signed_in = json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": "eyJ0.e30.x" });
    let body = seen.json();
    let path = seen.line.split('?').next()?;
    Some(match path {
        "POST /tenant/oauth2/v2.0/token" => {
            match seen.body.contains("scope=https%3A%2F%2Fvault.azure.net%2F.default") {
                true if seen.body.contains(SECRET) => (200, signed_in),
                _ => (401, json!({ "error": "invalid_client", "error_description": SECRET })),
            }
        }
        "GET /metadata/identity/oauth2/token" if seen.header("metadata") == "true" => (200, signed_in),
        _ if seen.header("authorization") != "Bearer eyJ0.e30.x" || !seen.line.ends_with("?api-version=7.4") => {
            (401, json!({ "error": { "code": "Unauthorized", "message": SECRET } }))
        }
        "GET /keys/lavra" => (200, json!({ "key": { "kid": kid, "kty": "RSA", "key_ops": ["wrapKey", "unwrapKey"] } })),
        "POST /keys/lavra/0123abcd/wrapkey" | "POST /keys/lavra/0123abcd/unwrapkey"
            if body["alg"] == "RSA-OAEP-256" =>
        {
            let bytes = URL_SAFE_NO_PAD.decode(body["value"].as_str()?).unwrap();
            let turned: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
            (200, json!({ "kid": kid, "value": URL_SAFE_NO_PAD.encode(turned) }))
        }
        _ => (404, json!({ "error": { "code": "KeyNotFound", "message": "…" } })),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azure_key_vault_wraps_and_fails_closed() {
    let server = Server::start(azure);
    let (url, here) = (
        format!("azure-kv://acme.vault.azure.net/lavra?endpoint=http://{}", server.at),
        format!("http://{}", server.at),
    );
    let client = |secret| {
        [
            ("AZURE_TENANT_ID", "tenant"),
            ("AZURE_CLIENT_ID", "me"),
            ("AZURE_CLIENT_SECRET", secret),
            ("AZURE_AUTHORITY_HOST", here.as_str()),
        ]
    };
    let kv = open(&url, &client(SECRET)).unwrap();
    let wrapped = there_and_back(&*kv).await;
    assert!(wrapped.starts_with("0123abcd."), "{wrapped}");
    there_and_back(&*open(&url, &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", here.as_str())]).unwrap()).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), SECRET).unwrap();
    let workload = [&client("")[..], &[("AZURE_FEDERATED_TOKEN_FILE", file.path().to_str().unwrap())]].concat();
    there_and_back(&*open(&url, &workload).unwrap()).await;

    fails(&*open(&url, &client("wrong")).unwrap(), &wrapped, Kind::Refused, "signing in failed").await;
    let forbidden = |seen: &Seen| match seen.line.contains("/keys/") {
        true => Some((403, json!({ "error": { "code": "Forbidden", "message": SECRET } }))),
        false => azure(seen),
    };
    server.now_answers(forbidden);
    fails(&*kv, &wrapped, Kind::Refused, "Key Vault Crypto User").await;
    network_failures(&server, &*kv, &wrapped).await;
    server.now_answers(azure);
    let gone = open(&url.replace("/lavra", "/other"), &client(SECRET)).unwrap();
    fails(&*gone, &wrapped, Kind::Project, "KeyNotFound").await;
    assert!(open(&url, &[("AZURE_CLIENT_SECRET", SECRET)]).is_err_and(|e| e.detail.contains("AZURE_TENANT_ID")));
}

/// Answers as cloud.google.com/kms/docs/reference/rest/v1 shows them.
fn google(seen: &Seen) -> Option<(u16, Value)> {
    let name = "/v1/projects/p/locations/global/keyRings/r/cryptoKeys/lavra";
    let (bearer, body) = (seen.header("authorization"), seen.json());
    if seen.line == "GET /computeMetadata/v1/instance/service-accounts/default/token" {
        let token = json!({ "access_token": "ya29.x", "expires_in": 3599, "token_type": "Bearer" });
        return Some((if seen.header("metadata-flavor") == "Google" { 200 } else { 403 }, token));
    }
    let denied = json!({ "error": { "code": 403, "message": SECRET, "status": "PERMISSION_DENIED" } });
    if !(bearer == "Bearer ya29.x" || bearer.split('.').count() == 3)
        || body["additionalAuthenticatedData"] != STANDARD.encode("lavra keyring")
    {
        return Some((403, denied));
    }
    Some(match seen.line.strip_prefix("POST ")?.strip_prefix(name) {
        Some(":encrypt") => {
            let version = format!("{name}/cryptoKeyVersions/1");
            (
                200,
                json!({ "name": version, "ciphertext": format!("CiQA{}", body["plaintext"].as_str()?), "ciphertextCrc32c": "1" }),
            )
        }
        Some(":decrypt") => {
            (200, json!({ "plaintext": body["ciphertext"].as_str()?.strip_prefix("CiQA")?, "plaintextCrc32c": "1" }))
        }
        _ => (404, json!({ "error": { "code": 404, "message": "…", "status": "NOT_FOUND" } })),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn google_cloud_kms_wraps_and_fails_closed() {
    let server = Server::start(google);
    let url =
        format!("gcp-kms://projects/p/locations/global/keyRings/r/cryptoKeys/lavra?endpoint=http://{}", server.at);
    let machine = [("GCE_METADATA_HOST", server.at.as_str())];
    let kms = open(&url, &machine).unwrap();
    let wrapped = there_and_back(&*kms).await;

    let file = tempfile::NamedTempFile::new().unwrap();
    let account = [("GOOGLE_APPLICATION_CREDENTIALS", file.path().to_str().unwrap())];
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der = pair.as_der().unwrap();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
    let write = |kind: &str, pem: &str| {
        let text = json!({ "type": kind, "client_email": "a@p.iam", "private_key_id": "k1", "private_key": pem });
        std::fs::write(file.path(), text.to_string()).unwrap();
    };
    write("service_account", &pem);
    there_and_back(&*open(&url, &account).unwrap()).await;
    let seen = server.last();
    let token: Vec<&str> = seen.header("authorization").trim_start_matches("Bearer ").split('.').collect();
    let part = |at: usize| URL_SAFE_NO_PAD.decode(token[at]).unwrap();
    let claims: Value = serde_json::from_slice(&part(1)).unwrap();
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("a@p.iam"), &json!("https://cloudkms.googleapis.com/")));
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!(1_700_000_000), &json!(1_700_000_600)));
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key());
    public.verify(format!("{}.{}", token[0], token[1]).as_bytes(), &part(2)).unwrap();

    write("authorized_user", &pem);
    assert!(open(&url, &account).is_err_and(|e| e.kind == Kind::Project && e.detail.contains("service account")));
    write("service_account", SECRET);
    assert!(open(&url, &account).is_err_and(|e| e.detail.contains("PKCS #8") && !format!("{e:?}").contains(SECRET)));

    for (status, name, kind, told) in [
        (403, "PERMISSION_DENIED", Kind::Refused, "useToDecrypt"),
        (401, "UNAUTHENTICATED", Kind::Refused, "UNAUTHENTICATED"),
        (404, "NOT_FOUND", Kind::Project, "no such key"),
        (400, "FAILED_PRECONDITION", Kind::Refused, "disabled or destroyed"),
        (503, "UNAVAILABLE", Kind::Unreachable, "UNAVAILABLE"),
    ] {
        let answer = json!({ "error": { "code": status, "message": SECRET, "status": name } });
        server.now_answers(move |seen| match seen.line.starts_with("GET") {
            true => google(seen),
            false => Some((status, answer.clone())),
        });
        fails(&*kms, &wrapped, kind, told).await;
    }
    network_failures(&server, &*kms, &wrapped).await;
}
