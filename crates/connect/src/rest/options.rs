//! What a `connector: rest` source can be told.

use crate::secret::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Options of the rest connector.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The API's base URL, such as `https://api.example.com/v2`. Credentials stand under `auth`.
    pub connection: String,
    /// Where the records are, below `connection`: `orders`, or with `parent` `customers/{customer_id}/orders`. `{since}` and
    /// the names of parents are put in here, in `params` and in the texts of `body`.
    pub path: String,
    /// How it is asked. Default: `get`
    pub method: Method,
    /// Query parameters of each request.
    pub params: BTreeMap<String, Scalar>,
    /// Headers of each request.
    pub headers: BTreeMap<String, Secret>,
    /// JSON that is sent with each request of `method: post`.
    pub body: Option<Value>,
    /// How the answers are written, `json` by default.
    pub format: Format,
    /// Where in the answer the records are, as JSONPath of names, `[n]` and `[*]`: `$.data`, `$.edges[*].node`. A list there is
    /// records, an object is one record, null is none; nothing there is an error.
    pub records: String,
    /// What an answer means in which nothing is where `records` leads to, `error` by default.
    pub on_missing: OnMissing,
    /// How one page leads to the next; one page by default.
    pub pagination: Pagination,
    /// Asks for what is new since the run before only. By a field that grows on updates (`updated_at`), `mode: changes` is what
    /// keeps them: `append` reads them, and lets them go.
    pub incremental: Option<Incremental>,
    /// Records whose keys stand in `path`: each of them has its own place and goes on by itself. One whose path is not there
    /// (HTTP 404, 410) has no records, and is passed over without an error.
    pub parent: Option<Parent>,
    /// What becomes of a record that comes again, `append` by default.
    pub mode: Mode,
    /// Who signs in, and how; nobody by default.
    pub auth: Auth,
    /// Other hosts that links to the next page may lead to; they are sent the credentials too.
    pub allow_hosts: Vec<String>,
    /// A file with certificate authorities (PEM) that are trusted beside the system's. Relative to the project.
    pub ca_file: Option<String>,
    /// Requests in a minute at most.
    pub requests_per_minute_max: Option<u32>,
    /// How often a request is made again that failed in a way that may pass: no connection, no answer in time, half an
    /// answer or an empty one, HTTP 408, 425, 429 and 5xx.
    pub retries_max: u32,
    /// The wait before the first retry at most, when the server does not name one (`Retry-After`, `X-RateLimit-Reset`); this
    /// limit doubles with each, up to a minute. The wait itself is drawn by lot below it, so that many do not come back at once.
    pub backoff_ms: u64,
    /// A server that asks to wait for longer than this is taken to be unreachable, and this process asks it nothing, for none of
    /// its sources, until that time has come; for a day at most.
    pub retry_after_seconds_max: u64,
    /// Time for one request with its whole answer.
    pub timeout_ms: u64,
    /// An answer longer than this is an error. A page is held in memory whole.
    pub body_bytes_max: usize,
    /// A pass over all pages starts at the earliest this long after the one before did.
    pub pause_seconds: u64,
}

/// The names of the options that have no default.
pub const REQUIRED: [&str; 2] = ["connection", "path"];

impl Default for Options {
    fn default() -> Self {
        Self {
            connection: String::new(),
            path: String::new(),
            method: Method::Get,
            params: BTreeMap::new(),
            headers: BTreeMap::new(),
            body: None,
            format: Format::Json,
            records: "$".into(),
            on_missing: OnMissing::Error,
            pagination: Pagination::default(),
            incremental: None,
            parent: None,
            mode: Mode::Append,
            auth: Auth::default(),
            allow_hosts: Vec::new(),
            ca_file: None,
            requests_per_minute_max: None,
            retries_max: 5,
            backoff_ms: 500,
            retry_after_seconds_max: 300,
            timeout_ms: 60_000,
            body_bytes_max: 64 << 20,
            pause_seconds: 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    Get,
    Post,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Json,
    Ndjson,
}

/// What an answer means that has nothing where `records` leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnMissing {
    /// That `records` is wrong, or the API has changed: the run ends.
    Error,
    /// That there are none: some APIs leave an empty list out.
    Empty,
}

/// What becomes of a record that comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A record is taken once: one whose primary key is known is let go, also where it has changed since. For records that do
    /// not change.
    Append,
    /// For records that change. The bronze table is a log: `r` for what the first pass found, `u` for what later ones found,
    /// also where that is the same as before.
    Changes,
    /// All pages are read once and never again.
    Once,
}

/// How one page leads to the next.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pagination {
    #[serde(rename = "type")]
    pub kind: PaginationType,
    /// The parameter that takes the number of the page, the offset or the cursor; by default it is called `page`, `offset` or
    /// `cursor` like the type. In the body, points part names: `variables.after`.
    pub param: Option<String>,
    /// Where that parameter stands.
    #[serde(rename = "in")]
    pub place: ParamPlace,
    /// The first page (1), or the first offset (0).
    pub start: Option<u64>,
    /// The parameter that names how many records a page has: `per_page`, `limit`.
    pub size_param: Option<String>,
    /// How many records are asked for at once.
    pub size: Option<u64>,
    /// Where the next cursor (`cursor`) or URL (`next_url`) is in the answer, as JSONPath. Null, nothing or an empty text end it.
    pub next: Option<String>,
    /// For `cursor`: the field of the last record that is the cursor, instead of `next`.
    pub last_record: Option<String>,
    /// Where the answer says whether there is more: false ends it, whatever else it says.
    pub more: Option<String>,
    /// For `offset`: where the answer has the number of all records. Without it, a page without records is the end.
    pub total: Option<String>,
    /// For `page`: where the answer has the number of the last page. Without it, a page without records is the end.
    pub pages: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaginationType {
    /// One answer has all.
    #[default]
    None,
    /// Pages by number. What is read of a pass is committed at its end only: pages move when records come and go.
    Page,
    /// Pages by the number of records before them. Committed at the end of a pass only.
    Offset,
    /// The answer names a cursor. A run that broke off goes on at the last one.
    Cursor,
    /// The `Link` header names the next page (RFC 8288). A run that broke off goes on there, unless the link counts pages.
    Link,
    /// The answer holds the next page's URL. A run that broke off goes on there, unless the URL counts pages.
    NextUrl,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParamPlace {
    #[default]
    Query,
    Body,
    Header,
}

/// How the API is asked for what is new.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Incremental {
    /// The field that grows, from record to record (`id`, `created_at`) or with each update too (`updated_at`: set `mode:
    /// changes`). Its highest value is kept in clear with the progress, so it
    /// can't be a column that the contract hides.
    pub field: String,
    /// The query parameter that takes the value to go on at. Without it, `{since}` stands in `path`, `params` or `body`.
    pub param: Option<String>,
    /// The value of the first pass. Where `format` is given, a date or a time (`2026-01-01T00:00:00Z`; without a zone it is
    /// UTC) is brought into it, and what is in it already stays. Without `start` the first pass asks for everything.
    pub start: Option<Scalar>,
    /// How far behind the highest value a pass begins, for records that arrive late: `2 hours` for times, a whole
    /// number for whole numbers.
    pub lookback: Option<Scalar>,
    /// How a time is sent, as `%Y-%m-%d` or `epoch`, `epoch_ms`. By default as the API wrote it.
    pub format: Option<String>,
    /// Whether the API gives records at the very value again (`inclusive`) or only those beyond it (`exclusive`).
    pub boundary: Boundary,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Boundary {
    #[default]
    Inclusive,
    Exclusive,
}

/// A resource whose records lead to others.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Parent {
    /// Where its records are, below `connection`.
    pub path: String,
    /// Query parameters of its requests.
    pub params: BTreeMap<String, Scalar>,
    /// Where in its answers the records are.
    pub records: String,
    /// How one page leads to the next; one page by default.
    pub pagination: Pagination,
    /// The field of its records that goes into the paths below.
    pub key: String,
    /// The name by which paths have it (`{customer_id}`), and the column that it becomes in each record below.
    #[serde(rename = "as")]
    pub name: String,
    /// Its own parent.
    pub parent: Option<Box<Parent>>,
}

impl Default for Parent {
    fn default() -> Self {
        let (path, name, records, key) = (String::new(), String::new(), "$".into(), "id".into());
        Self { path, params: BTreeMap::new(), records, pagination: Pagination::default(), key, name, parent: None }
    }
}

/// Who asks. Texts are best written as `${VARIABLE}`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    #[serde(rename = "type")]
    pub kind: AuthType,
    /// For `basic`.
    pub user: Option<Secret>,
    /// For `basic`.
    pub password: Option<Secret>,
    /// For `bearer`.
    pub token: Option<Secret>,
    /// For `bearer`: a file with the token, read again when the server no longer takes it. For `oauth2`: a file with the refresh
    /// token; another one that the server gives with its answer is put there before anything is asked with it, so that processes
    /// may follow each other where a server takes each refresh token once. Relative to the project, and not for its repository.
    pub token_file: Option<String>,
    /// For `api_key`: the header, or the query parameter.
    pub name: Option<String>,
    /// For `api_key`.
    pub key: Option<Secret>,
    /// For `api_key`: `header` or `query`.
    #[serde(rename = "in")]
    pub place: KeyPlace,
    /// For `oauth2`: where tokens are given.
    pub token_url: Option<String>,
    /// For `oauth2`.
    pub client_id: Option<Secret>,
    /// For `oauth2`.
    pub client_secret: Option<Secret>,
    /// For `oauth2`: whether the client says who it is in the body or by basic authentication.
    pub client_auth: ClientAuth,
    /// For `oauth2`: asks by this token instead of by client credentials. Where the server gives another one with its answer,
    /// the newest is kept for as long as the process lives, and the next process begins with this one again: `token_file` is
    /// for servers that take each one once.
    pub refresh_token: Option<Secret>,
    /// For `oauth2`.
    pub scope: Option<String>,
    /// For `oauth2`.
    pub audience: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthType {
    #[default]
    None,
    Basic,
    Bearer,
    ApiKey,
    Oauth2,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyPlace {
    #[default]
    Header,
    Query,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    #[default]
    Body,
    Basic,
}

/// A text, a number or a flag, all sent as text.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a text, a number or a flag")]
pub enum Scalar {
    Text(String),
    Whole(i64),
    Number(f64),
    Flag(bool),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Text(text) => f.write_str(text),
            Scalar::Whole(number) => write!(f, "{number}"),
            Scalar::Number(number) => write!(f, "{number}"),
            Scalar::Flag(flag) => write!(f, "{flag}"),
        }
    }
}
