//! The options, compiled: what is asked of which path, with which values.

use super::auth::Auth;
use super::http::{Ask, Http};
use super::options::{Format, Method, Mode, Options, Pagination, ParamPlace, Scalar};
use super::page::Where;
use super::pages::{self, Next, Pages, Way};
use super::since::Since;
use super::suits;
use super::urls::{Home, fill, names};
use crate::json_path::JsonPath;
use crate::spec::Opening;
use kernel::Entity;
use kernel::error::{Error, Result};
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use url::Url;

/// Names with what is put in their place: keys of parents, and `since`.
pub type Values = Vec<(String, String)>;

/// The name by which paths and parameters have the value that a pass begins at.
pub const SINCE: &str = "since";

pub struct Plan {
    pub home: Home,
    pub resource: Resource,
    /// From the outermost on.
    pub parents: Vec<Level>,
    pub since: Option<Since>,
    pub mode: Mode,
    /// The query parameter that holds a key.
    pub key: Option<String>,
    pub pause_micros: i64,
    /// Whether each parent has a place of its own. Where its key is hidden, no position may have it.
    pub is_parted: bool,
}

/// One path.
pub struct Resource {
    pub path: String,
    params: Vec<(String, String)>,
    body: Option<Value>,
    pub records: Where,
    pub pages: Pages,
    /// For messages.
    pub shown: Arc<str>,
}

/// A path whose records lead to others.
pub struct Level {
    pub resource: Resource,
    pub key: JsonPath,
    pub name: String,
}

impl Plan {
    /// Compiles options that were checked, and holds them to what the contract says.
    pub fn compile(opening: &Opening, options: &Options) -> Result<Self> {
        let wrong = |why: String| Error::project(format!("source `{}`", opening.source), why);
        let home = Home::new(&options.connection, &options.allow_hosts).map_err(wrong)?;
        let incremental = options.incremental.as_ref();
        let since = incremental.map(|options| Since::compile(options, &opening.entity)).transpose().map_err(wrong)?;
        let verb = if options.method == Method::Post { "POST" } else { "GET" };
        let shown = |verb: &str, path: &str| -> Arc<str> {
            format!("{verb} {}/{}", home.shown(), path.trim_start_matches('/')).into()
        };
        let resource = |path: &str,
                        params: &BTreeMap<String, Scalar>,
                        records: &str,
                        pagination: &Pagination|
         -> Result<Resource, String> {
            Ok(Resource {
                path: path.to_owned(),
                params: params.iter().map(|(name, value)| (name.clone(), value.to_string())).collect(),
                body: None,
                records: Where {
                    path: JsonPath::parse(records)?,
                    text: records.to_owned(),
                    format: Format::Json,
                    on_missing: options.on_missing,
                    may_fail: false,
                },
                pages: Pages::compile(pagination)?,
                shown: shown("GET", path),
            })
        };
        let mut parents = Vec::new();
        let mut next = options.parent.as_ref();
        while let Some(parent) = next {
            let resource =
                resource(&parent.path, &parent.params, &parent.records, &parent.pagination).map_err(wrong)?;
            let key = JsonPath::parse(&parent.key).map_err(wrong)?;
            parents.insert(0, Level { resource, key, name: parent.name.clone() });
            next = parent.parent.as_deref();
        }
        let mut own = resource(&options.path, &options.params, &options.records, &options.pagination).map_err(wrong)?;
        (own.body, own.shown) = (options.body.clone(), shown(verb, &options.path));
        (own.records.format, own.records.may_fail) = (options.format, options.method == Method::Post);
        let param = since.as_ref().and_then(|since| since.param.clone());
        own.params.extend(param.map(|param| (param, format!("{{{SINCE}}}"))));
        suits::demand(options, &opening.entity, &opening.source)?;
        Ok(Self {
            home,
            resource: own,
            is_parted: suits::is_parted(options, &opening.entity),
            parents,
            since,
            mode: options.mode,
            key: Auth::new(&options.auth, opening.base.clone()).parameter().map(str::to_owned),
            pause_micros: i64::try_from(options.pause_seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000),
        })
    }

    /// Whether the API gives records that were taken before.
    pub fn may_repeat(&self) -> bool {
        self.mode != Mode::Once && self.since.as_ref().is_none_or(Since::may_repeat)
    }

    /// Whether a pass may begin again without doubling rows.
    pub fn may_restart(&self, entity: &Entity) -> bool {
        match self.mode {
            Mode::Changes => true,
            Mode::Append => self.may_repeat() && !entity.key().is_empty(),
            Mode::Once => false,
        }
    }

    pub fn way<'w>(&'w self, shown: &'w str) -> Way<'w> {
        Way { home: &self.home, key: self.key.as_deref(), shown }
    }

    pub fn http(&self, opening: &Opening, options: &Options) -> Result<Http> {
        let auth = Auth::new(&options.auth, opening.base.clone());
        Http::new(options, auth, self.home.clone(), &opening.base, opening.clock.clone())
    }
}

impl Resource {
    /// The question for a page.
    pub fn ask(&self, home: &Home, next: &Next, values: &Values) -> Result<Ask> {
        let wrong = |why: String| Error::project(&*self.shown, why);
        if let Next::Url(kept) = next {
            let url = home.kept(kept, &self.shown)?;
            return Ok(self.asked(url, HeaderMap::new(), self.body(values)));
        }
        let path = fill(&self.path, values, true);
        if let Some(name) = names(&path).first() {
            return Err(wrong(format!("`{{{name}}}` in its path has no value yet; give `incremental.start`")));
        }
        let mut url = home.join(&path).map_err(|e| wrong(format!("its path makes no URL: {e}")))?;
        let (mut headers, mut body) = (HeaderMap::new(), self.body(values));
        for (name, text) in &self.params {
            let value = fill(text, values, false);
            // Nothing to begin at yet: everything is asked for.
            if !value.contains(&format!("{{{SINCE}}}")) {
                url.query_pairs_mut().append_pair(name, &value);
            }
        }
        for (place, name, value) in self.pages.params(next) {
            match place {
                ParamPlace::Query => {
                    url.query_pairs_mut().append_pair(name, &value);
                }
                ParamPlace::Header => {
                    let name = HeaderName::try_from(name).map_err(|_| wrong("`param` is no header".into()))?;
                    headers.insert(
                        name,
                        super::http::hidden(&value).ok_or_else(|| wrong("a cursor fits no header".into()))?,
                    );
                }
                ParamPlace::Body => {
                    let mut json: Value =
                        body.take().and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default();
                    pages::put_into(&mut json, name, &value);
                    body = Some(json.to_string().into());
                }
            }
        }
        Ok(self.asked(url, headers, body))
    }

    fn asked(&self, url: Url, headers: HeaderMap, body: Option<bytes::Bytes>) -> Ask {
        Ask { url, headers, body, format: self.records.format, shown: self.shown.clone() }
    }

    fn body(&self, values: &Values) -> Option<bytes::Bytes> {
        let mut body = self.body.clone()?;
        put_in(&mut body, values);
        Some(body.to_string().into())
    }
}

/// Puts values into all texts of a body; a field that has nothing to begin at is left out.
fn put_in(body: &mut Value, values: &Values) {
    let since = format!("{{{SINCE}}}");
    match body {
        Value::String(text) => *text = fill(text, values, false),
        Value::Array(items) => items.iter_mut().for_each(|item| put_in(item, values)),
        Value::Object(fields) => {
            fields.values_mut().for_each(|field| put_in(field, values));
            fields.retain(|_, field| !field.as_str().is_some_and(|text| text.contains(&since)));
        }
        _ => {}
    }
}
