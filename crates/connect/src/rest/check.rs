//! What can be wrong with the options, told before anything is opened.

use super::options::*;
use super::plan::SINCE;
use super::since;
use super::urls::{Home, names};
use crate::json_path::JsonPath;
use crate::spec::{Fault, read_options};
use kernel::{Error, Result, span};
use reqwest::header::HeaderName;
use serde_json::Value;
use url::Url;

impl Options {
    /// Reads the options, or tells what is wrong with them in one error; `check` tells it one by one.
    pub fn read(source: &str, options: &Value) -> Result<Self> {
        Self::check(options).map_err(|faults| {
            let all: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
            Error::project(format!("source `{source}`"), all.join("; "))
        })
    }

    /// Reads the options, or tells all that is wrong with them.
    pub fn check(options: &Value) -> Result<Self, Vec<Fault>> {
        let read: Self = read_options(options, &REQUIRED)?;
        let mut faults = Faults(Vec::new());
        if let Err(why) = Home::new(&read.connection, &read.allow_hosts) {
            faults.add("connection", format!("`connection`: {why}"));
        }
        faults.numbers(&read);
        faults.request(&read);
        faults.path("records", &read.records);
        faults.pagination("pagination", &read.pagination, read.method);
        faults.auth(&read.auth);
        faults.incremental(&read);
        faults.parents(&read);
        if faults.0.is_empty() { Ok(read) } else { Err(faults.0) }
    }
}

struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, option: &str, message: impl Into<String>) {
        self.0.push(Fault::new(option, message));
    }

    fn numbers(&mut self, read: &Options) {
        if read.timeout_ms == 0 {
            self.add("timeout_ms", "`timeout_ms` must be at least 1");
        }
        if !(1..=BODY_BYTES_LIMIT).contains(&read.body_bytes_max) {
            self.add("body_bytes_max", "`body_bytes_max` must be from 1 to 1 GiB (1073741824)");
        }
        if read.requests_per_minute_max == Some(0) {
            self.add("requests_per_minute_max", "`requests_per_minute_max` must be at least 1");
        }
    }

    fn request(&mut self, read: &Options) {
        match (read.method, &read.body) {
            (Method::Get, Some(_)) => self.add("body", "`body` is sent with `method: post` only"),
            (Method::Post, None) => self.add("method", "`method: post` needs a `body`; `{}` is an empty one"),
            _ => {}
        }
        for name in read.headers.keys().filter(|name| HeaderName::try_from(*name).is_err()) {
            self.add("headers", format!("`headers`: `{name}` is no name of a header"));
        }
    }

    fn path(&mut self, option: &str, path: &str) {
        if let Err(why) = JsonPath::parse(path) {
            self.add(option, format!("`{option}`: {why}"));
        }
    }

    fn pagination(&mut self, option: &str, pagination: &Pagination, method: Method) {
        use PaginationType as T;
        let given = [&pagination.next, &pagination.last_record, &pagination.more, &pagination.total, &pagination.pages];
        given.into_iter().flatten().for_each(|path| self.path(option, path));
        let of = |kinds: &[T]| kinds.contains(&pagination.kind);
        let told = [
            (of(&[T::NextUrl]) && pagination.next.is_none(), "`type: next_url` needs `next`, such as `$.next`"),
            (
                of(&[T::Cursor]) && pagination.next.is_some() == pagination.last_record.is_some(),
                "`type: cursor` needs `next`, such as `$.next_cursor`, or `last_record`, such as `id`",
            ),
            (!of(&[T::Cursor, T::NextUrl]) && pagination.next.is_some(), "`next` is for `type: cursor` and `next_url`"),
            (!of(&[T::Cursor]) && pagination.last_record.is_some(), "`last_record` is for `type: cursor`"),
            (!of(&[T::Page]) && pagination.pages.is_some(), "`pages` is for `type: page`"),
            (!of(&[T::Offset]) && pagination.total.is_some(), "`total` is for `type: offset`"),
            (pagination.size.is_some() != pagination.size_param.is_some(), "`size` and `size_param` belong together"),
            (pagination.place == ParamPlace::Body && method != Method::Post, "`in: body` needs `method: post`"),
            (
                of(&[T::Cursor]) && pagination.place != ParamPlace::Query && pagination.param.is_none(),
                "a cursor that is `in: body` or `in: header` needs `param`, its place there, such as `variables.after`",
            ),
        ];
        for (_, message) in told.into_iter().filter(|(is_wrong, _)| *is_wrong) {
            self.add(option, format!("`{option}`: {message}"));
        }
    }

    fn auth(&mut self, auth: &Auth) {
        let mut needs = |name: &str, is_there: bool| {
            if !is_there {
                self.add("auth", format!("`auth`: `type: {}` needs `{name}`", word(auth.kind)));
            }
        };
        match auth.kind {
            AuthType::None => {}
            AuthType::Basic => {
                needs("user", auth.user.is_some());
                needs("password", auth.password.is_some());
            }
            AuthType::Bearer => needs("token` or `token_file", auth.token.is_some() != auth.token_file.is_some()),
            AuthType::ApiKey => needs("key", auth.key.is_some()),
            AuthType::Oauth2 => {
                needs("client_id", auth.client_id.is_some());
                needs("token_url", auth.token_url.is_some());
                let refreshes = auth.refresh_token.is_some() || auth.token_file.is_some();
                needs("client_secret`, `token_file` or `refresh_token", auth.client_secret.is_some() || refreshes);
            }
        }
        if auth.kind == AuthType::Oauth2 && auth.refresh_token.is_some() && auth.token_file.is_some() {
            self.add("auth", "`auth`: `refresh_token` and `token_file` are two places for one token; leave one out");
        }
        let is_url = |url: &String| Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if auth.token_url.as_ref().is_some_and(|url| !is_url(url)) {
            self.add("auth", "`auth`: `token_url` must start with https:// or http:// and a host");
        }
    }

    fn incremental(&mut self, read: &Options) {
        let texts = read.params.values().map(ToString::to_string).chain([read.path.clone()]);
        let body = read.body.as_ref().map(Value::to_string);
        let is_put = texts.chain(body).any(|text| text.contains(&format!("{{{SINCE}}}")));
        match &read.incremental {
            None if is_put => self.add("incremental", "`{since}` is put in by `incremental`, which is missing"),
            None => {}
            Some(incremental) => {
                if incremental.field.is_empty() {
                    self.add("incremental", "`incremental` needs `field`, the field that grows");
                }
                if incremental.param.is_none() && !is_put {
                    let message = "`incremental` needs `param`, or `{since}` in `path`, `params` or `body`";
                    self.add("incremental", message);
                }
                if incremental.lookback.as_ref().is_some_and(|lookback| !is_lookback(&lookback.to_string())) {
                    let message = "`incremental`: `lookback` is a span for times (`2 hours`), a whole number for whole numbers \
                                   (`100`); other fields can have none";
                    let help = format!("for times {}", span::HOW);
                    self.0.push(Fault { help: Some(help), ..Fault::new("incremental", message) });
                }
                if let Err(why) = since::start(incremental) {
                    self.add("incremental", format!("`incremental`: {why}"));
                }
                if read.mode == Mode::Once {
                    self.add("incremental", "`incremental` is of no use with `mode: once`");
                }
            }
        }
    }

    /// Each path may have the names of the parents above it.
    fn parents(&mut self, read: &Options) {
        let mut chain = Vec::new();
        let mut next = read.parent.as_ref();
        while let Some(parent) = next {
            chain.push(parent);
            next = parent.parent.as_deref();
        }
        // Which names paths may have is not known while one of them is missing.
        let is_named = chain.iter().all(|parent| !parent.name.is_empty());
        let mut known = vec![SINCE];
        for parent in chain.iter().rev() {
            if is_named {
                self.names("parent", &parent.path, &known);
            }
            self.path("parent", &parent.records);
            self.path("parent", &parent.key);
            self.pagination("parent", &parent.pagination, Method::Get);
            if parent.name.is_empty() || parent.path.is_empty() {
                self.add("parent", "`parent` needs `path` and `as`, the name by which paths have its key");
            }
            known.push(&parent.name);
        }
        if !is_named {
            return;
        }
        self.names("path", &read.path, &known);
        if let Some(parent) = chain.first()
            && !read.path.contains(&format!("{{{}}}", parent.name))
        {
            self.add("path", format!("`path` must have `{{{}}}`, the key of its parent", parent.name));
        }
    }

    fn names(&mut self, option: &str, path: &str, known: &[&str]) {
        for name in names(path).into_iter().filter(|name| !known.contains(name)) {
            let help = kernel::suggest::hint(name, known.iter().copied());
            self.0.push(Fault { help, ..Fault::new(option, format!("`{{{name}}}` is the key of no `parent`")) });
        }
    }
}

/// Which of both it must be depends on the contract.
fn is_lookback(text: &str) -> bool {
    span::micros(text).or_else(|| text.parse().ok()).is_some_and(|lookback| lookback >= 0)
}

fn word(kind: AuthType) -> &'static str {
    match kind {
        AuthType::None => "none",
        AuthType::Basic => "basic",
        AuthType::Bearer => "bearer",
        AuthType::ApiKey => "api_key",
        AuthType::Oauth2 => "oauth2",
    }
}

/// Places in a text are kept in 32 bits.
const BODY_BYTES_LIMIT: usize = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(mut options: Value) -> Vec<String> {
        for (name, value) in [("connection", "https://api.example.com"), ("path", "orders")] {
            if options.get(name).is_none() {
                options[name] = value.into();
            }
        }
        Options::check(&options).err().unwrap_or_default().into_iter().map(|fault| fault.message).collect()
    }

    #[test]
    fn good_options_have_no_fault() {
        assert!(told(json!({})).is_empty());
        let good = json!({
            "path": "customers/{customer_id}/orders",
            "parent": { "path": "customers", "as": "customer_id", "records": "$.data", "pagination": { "type": "link" } },
            "incremental": { "field": "updated_at", "param": "since", "start": "2026-01-01", "lookback": "1 hour" },
            "auth": { "type": "oauth2", "token_url": "https://x/t", "client_id": 17, "client_secret": "s" },
            "pagination": { "type": "cursor", "next": "$.next", "size": 10, "size_param": "limit" },
            "params": { "status": "paid", "n": 5, "all": true },
        });
        assert!(told(good.clone()).is_empty(), "{:?}", told(good));
    }

    #[test]
    fn everything_that_is_wrong_is_told_without_its_secrets() {
        let all = told(json!({
            "connection": "https://u:SECRET@host",
            "path": "a/{customer}",
            "method": "post",
            "records": "$..x",
            "timeout_ms": 0,
            "pagination": { "type": "cursor" },
            "auth": { "type": "basic", "user": "SECRET" },
            "incremental": { "field": "x" },
            "parent": { "path": "customers", "as": "customer_id" },
        }));
        let wanted = [
            "`connection`: credentials",
            "`timeout_ms`",
            "needs a `body`",
            "`records`",
            "needs `next`",
            "needs `password`",
            "needs `param`",
            "`{customer}` is the key of no",
            "`path` must have `{customer_id}`",
        ];
        for wanted in wanted {
            assert!(all.iter().any(|message| message.contains(wanted)), "{wanted}: {all:?}");
        }
        assert_eq!(all.len(), wanted.len(), "{all:?}");
        assert!(!all.concat().contains("SECRET"), "{all:?}");
        let nameless = told(json!({ "path": "customers/{customer_id}/orders", "parent": { "path": "customers" } }));
        assert!(nameless.len() == 1 && nameless[0].contains("`parent` needs `path` and `as`"), "{nameless:?}");
        let nested = told(json!({ "auth": { "type": "bearer", "tokn": "SECRET" } }));
        assert!(nested[0].contains("unknown field `tokn`") && !nested[0].contains("SECRET"), "{nested:?}");
        for lookback in [json!("10 parsecs"), json!("-1 hours"), json!(-5), json!(0.5), json!(true), json!("")] {
            let all = told(json!({ "incremental": { "field": "x", "param": "since", "lookback": lookback } }));
            assert!(all.len() == 1 && all[0].contains("`lookback` is a span"), "{lookback}: {all:?}");
        }
        assert!(told(json!({ "incremental": { "field": "x", "param": "since", "lookback": 10 } })).is_empty());
        for (format, start, says) in [
            ("epoch", json!("yesterday"), "`start` can't be brought"),
            ("epoch_ms", json!(true), "`start` can't be brought"),
            ("%Y-%m-%d", json!(2026), "`start` can't be brought"),
            ("%Q", Value::Null, "no time can be sent"),
            ("%#z", Value::Null, "no time can be sent"),
            ("epoch_s", json!("2026-01-01"), "no time can be sent"),
        ] {
            let by = json!({ "field": "x", "param": "since", "format": format, "start": start });
            let all = told(json!({ "incremental": by }));
            assert!(all.len() == 1 && all[0].contains(says), "{format}: {all:?}");
        }
        let cursor = |place: &str, method: &str| {
            let mut options =
                json!({ "method": method, "pagination": { "type": "cursor", "next": "$.next", "in": place } });
            if method == "post" {
                options["body"] = json!({});
            }
            told(options)
        };
        assert!(cursor("query", "get").is_empty(), "the parameter is `cursor`");
        assert!(
            cursor("body", "post")[0].contains("needs `param`") && cursor("header", "get")[0].contains("needs `param`")
        );
        assert!(told(json!({ "params": { "x": "{since}" } }))[0].contains("`incremental`, which is missing"));
    }
}
