//! The API that tests read: a program of its own (`services/harness/rest_api.py`), with habits that a test chooses.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub struct RestApi {
    child: Child,
    pub url: String,
}

impl RestApi {
    pub fn start(state: &Value) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("services/harness/rest_api.py");
        let mut command = Command::new("python3");
        command.arg(program).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python 3, which the API is written in");
        let mut port = String::new();
        BufReader::new(child.stdout.as_mut().expect("its output")).read_line(&mut port).expect("its port");
        let api = Self { child, url: format!("http://127.0.0.1:{}", port.trim()) };
        api.control(state);
        api
    }

    /// Sets its rows and its habits.
    pub fn control(&self, state: &Value) {
        ureq::post(format!("{}/_control", self.url)).send(state.to_string()).expect("an API that listens");
    }

    /// What it counted: `requests`, `good`, `token_requests`.
    pub fn stats(&self, name: &str) -> u64 {
        let mut answer = ureq::get(format!("{}/_stats", self.url)).call().expect("an API that listens");
        let text = answer.body_mut().read_to_string().expect("its counts");
        let stats: Value = serde_json::from_str(&text).expect("JSON");
        stats[name].as_u64().expect("a count")
    }
}

impl Drop for RestApi {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
