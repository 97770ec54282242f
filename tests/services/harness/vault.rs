//! OpenBao's (HashiCorp Vault's) HTTP API: keys, policies, tokens, and the ways in which it says no.

use super::{Own, Server, server, unique};
use serde_json::{Value, json};

const ROOT: &str = "root";

/// A transit engine of the test's own in a server, and what its root token does there.
pub struct Vault {
    url: String,
    /// The path that its transit engine is mounted at.
    pub mount: String,
}

/// An AppRole that may use one key.
pub struct Role {
    pub name: String,
    pub id: String,
    pub secret: String,
}

impl Vault {
    /// In the server of the suite.
    pub fn new() -> Self {
        Self::of(&server("openbao"))
    }

    /// In a server of the test's own.
    pub fn of(server: &Server) -> Self {
        let vault = Self { url: server.url.clone(), mount: unique("transit") };
        vault.post(&format!("sys/mounts/{}", vault.mount), &json!({ "type": "transit" }));
        vault
    }

    /// `keys:` of an environment, by way of `address` (host and port).
    pub fn keys_url(&self, address: &str, key: &str) -> String {
        format!("vault+http://{address}/{}/{key}", self.mount)
    }

    pub fn create_key(&self, key: &str) {
        self.post(&format!("{}/keys/{key}", self.mount), &json!({}));
    }

    pub fn delete_key(&self, key: &str) {
        self.post(&format!("{}/keys/{key}/config", self.mount), &json!({ "deletion_allowed": true }));
        self.call("DELETE", &format!("{}/keys/{key}", self.mount), &Value::Null);
    }

    /// A policy that allows all that is done with one key, and nothing else. Gives its name.
    pub fn policy(&self, key: &str) -> String {
        let name = unique("may-use");
        self.allow(&name, key);
        name
    }

    /// Gives an existing policy the use of a key.
    pub fn allow(&self, policy: &str, key: &str) {
        let mut rules = format!("path \"{}/keys/{key}\" {{ capabilities = [\"read\"] }}\n", self.mount);
        for act in ["encrypt", "decrypt", "rewrap", "datakey/plaintext", "datakey/wrapped", "hmac"] {
            let path = format!("{}/{act}/{key}", self.mount);
            rules.push_str(&format!("path \"{path}\" {{ capabilities = [\"create\", \"update\"] }}\n"));
        }
        self.post(&format!("sys/policies/acl/{policy}"), &json!({ "policy": rules }));
    }

    /// Takes from all who have a policy what it allowed.
    pub fn deny(&self, policy: &str) {
        let rules = format!("path \"{}/*\" {{ capabilities = [\"deny\"] }}\n", self.mount);
        self.post(&format!("sys/policies/acl/{policy}"), &json!({ "policy": rules }));
    }

    /// A token with a policy that lives for so many seconds.
    pub fn token(&self, policy: &str, seconds: u32) -> String {
        let ask = json!({ "policies": [policy], "ttl": format!("{seconds}s"), "renewable": false });
        let answer = self.post("auth/token/create", &ask);
        answer["auth"]["client_token"].as_str().expect("a token").to_owned()
    }

    pub fn revoke(&self, token: &str) {
        self.post("auth/token/revoke", &json!({ "token": token }));
    }

    /// A role whose tokens have a policy and live for so many seconds.
    pub fn role(&self, policy: &str, seconds: u32) -> Role {
        // There is one AppRole in a server; another test may have been first.
        let mounts = self.call("GET", "sys/auth", &Value::Null);
        if mounts["data"].get("approle/").is_none() {
            let _ = self.try_call(ROOT, "POST", "sys/auth/approle", &json!({ "type": "approle" }));
        }
        let name = unique("role");
        let ttl = format!("{seconds}s");
        let ask = json!({ "token_policies": [policy], "token_ttl": ttl, "token_max_ttl": ttl });
        self.post(&format!("auth/approle/role/{name}"), &ask);
        let id = self.call("GET", &format!("auth/approle/role/{name}/role-id"), &Value::Null);
        let secret = self.post(&format!("auth/approle/role/{name}/secret-id"), &json!({}));
        Role {
            name,
            id: id["data"]["role_id"].as_str().expect("its id").to_owned(),
            secret: secret["data"]["secret_id"].as_str().expect("its secret").to_owned(),
        }
    }

    pub fn delete_role(&self, role: &Role) {
        self.call("DELETE", &format!("auth/approle/role/{}", role.name), &Value::Null);
    }

    /// From now on it answers 503 to everything. Only for a server of the test's own.
    pub fn seal(&self, _own: &Own) {
        self.post("sys/seal", &json!({}));
    }

    pub fn unseal(&self, own: &Own) {
        let log = own.log();
        let key = log.lines().find_map(|line| line.trim().strip_prefix("Unseal Key: ")).expect("the key in its log");
        let answer = self.post("sys/unseal", &json!({ "key": key }));
        assert_eq!(answer["sealed"], false, "{answer}");
    }

    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", path, body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.try_call(ROOT, method, path, body);
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    /// Status and answer of a call with any token.
    pub fn try_call(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/v1/{path}", self.url);
        super::aws::send(method, &url, &[("X-Vault-Token", token)], body)
    }
}
