//! From one page to the next: what is asked, and what the answer says of what follows.
//!
//! A cursor or a link that the server gave leads on from where it was given, also later. The number of a page, or of the
//! records before it, means another place as soon as records come or go: it is only good for the pass that it was counted in.

use super::http::Answer;
use super::options::{Pagination, PaginationType, ParamPlace};
use super::urls::Home;
use crate::files::json::parse::Bad;
use crate::json_path::{self, JsonPath};
use kernel::error::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

/// What is asked next. It is kept in positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    First,
    Page(u64),
    Offset(u64),
    Cursor(String),
    Url(String),
}

/// How pages follow each other.
pub struct Pages {
    kind: PaginationType,
    param: String,
    place: ParamPlace,
    start: u64,
    size: Option<(String, u64)>,
    next: Option<JsonPath>,
    last_record: Option<JsonPath>,
    more: Option<JsonPath>,
    total: Option<JsonPath>,
}

/// What an answer says of the next page.
#[derive(Debug, Default)]
pub struct Told {
    next: Option<String>,
    /// False when it says that there is no more.
    more: Option<bool>,
    /// All records, or the last page.
    total: Option<u64>,
    /// Whether there is nothing at all, not even null, where the next page is to be named.
    pub is_silent: bool,
}

impl Pages {
    pub fn compile(options: &Pagination) -> Result<Self, String> {
        let path = |path: &Option<String>| path.as_deref().map(JsonPath::parse).transpose();
        let (param, start) = match options.kind {
            PaginationType::Offset => ("offset", 0),
            PaginationType::Cursor => ("cursor", 0),
            _ => ("page", 1),
        };
        let of_total = if options.kind == PaginationType::Page { &options.pages } else { &options.total };
        Ok(Self {
            kind: options.kind,
            param: options.param.clone().unwrap_or_else(|| param.to_owned()),
            place: options.place,
            start: options.start.unwrap_or(start),
            size: options.size_param.clone().zip(options.size),
            next: path(&options.next)?,
            last_record: path(&options.last_record)?,
            more: path(&options.more)?,
            total: path(of_total)?,
        })
    }

    /// Whether a later run may go on there.
    pub fn leads_on(&self, next: &Next) -> bool {
        match next {
            Next::Cursor(cursor) => !counts(&format!("?{}={cursor}", self.param)),
            Next::Url(url) => !counts(url),
            Next::First | Next::Page(_) | Next::Offset(_) => false,
        }
    }

    /// Whether it is of this kind of pagination.
    pub fn knows(&self, next: &Next) -> bool {
        use PaginationType as T;
        match next {
            Next::First => true,
            Next::Page(_) => self.kind == T::Page,
            Next::Offset(_) => self.kind == T::Offset,
            Next::Cursor(_) => self.kind == T::Cursor,
            Next::Url(_) => matches!(self.kind, T::Link | T::NextUrl),
        }
    }

    /// Whether an answer of 404 to it means that there is no such page any more.
    pub fn may_be_beyond(&self, next: &Next) -> bool {
        matches!(next, Next::Page(page) if *page > self.start)
            || matches!(next, Next::Offset(offset) if *offset > self.start)
    }

    /// The parameters of a request: of the URL, of the body and of the headers.
    pub fn params(&self, next: &Next) -> Vec<(ParamPlace, &str, String)> {
        let mut params: Vec<_> =
            self.size.iter().map(|(name, size)| (ParamPlace::Query, name.as_str(), size.to_string())).collect();
        let value = match (next, self.kind) {
            (Next::First, PaginationType::Page | PaginationType::Offset) => Some(self.start.to_string()),
            (Next::Page(at) | Next::Offset(at), _) => Some(at.to_string()),
            (Next::Cursor(cursor), _) => Some(cursor.clone()),
            (Next::First | Next::Url(_), _) => None,
        };
        params.extend(value.map(|value| (self.place, self.param.as_str(), value)));
        params
    }

    /// Reads what an answer says; `last` is its last record.
    pub fn told(&self, answer: &Answer, last: impl FnOnce() -> Result<Option<String>, Bad>) -> Result<Told, Bad> {
        let text = |path: &Option<JsonPath>| path.as_ref().map_or(Ok(None), |path| path.text(&answer.body, 0));
        let next = match (self.kind, &self.last_record) {
            (PaginationType::Link, _) => answer.links.iter().find_map(|link| next_link(link)),
            (PaginationType::Cursor, Some(_)) => last()?,
            _ => text(&self.next)?,
        };
        let more = text(&self.more)?.map(|more| !matches!(more.as_str(), "false" | "0" | ""));
        let total = text(&self.total)?.and_then(|total| total.parse().ok());
        let is_silent =
            self.next.as_ref().map_or(Ok(false), |path| path.find(&answer.body, 0).map(|found| found.is_empty()))?;
        Ok(Told { next: next.filter(|next| !next.is_empty()), more, total, is_silent })
    }

    /// The field of a last record that is the cursor.
    pub fn cursor_of(&self, record: &[u8]) -> Result<Option<String>, Bad> {
        let Some(path) = &self.last_record else { return Ok(None) };
        path.find(record, 0)?.first().map_or(Ok(None), |value| json_path::scalar(record, value))
    }

    /// What follows a page with so many records; `None` when it was the last.
    pub fn after(&self, asked: &Next, url: &Url, told: Told, records: u64, way: &Way) -> Result<Option<Next>> {
        let is_empty = records == 0;
        if told.more == Some(false) {
            return Ok(None);
        }
        let at = match asked {
            Next::Page(at) | Next::Offset(at) => *at,
            _ => self.start,
        };
        let next = match self.kind {
            PaginationType::None => None,
            PaginationType::Page => (!is_empty && told.total.is_none_or(|last| at < last)).then(|| Next::Page(at + 1)),
            PaginationType::Offset => {
                let behind = at + records;
                let is_last = told.total.is_some_and(|total| behind - self.start >= total);
                (!is_empty && !is_last).then_some(Next::Offset(behind))
            }
            PaginationType::Cursor => told.next.map(Next::Cursor),
            PaginationType::Link | PaginationType::NextUrl => match told.next {
                Some(link) => Some(Next::Url(way.home.keep(way.home.follow(url, &link, way.shown)?, way.key))),
                None => None,
            },
        };
        if next.as_ref() == Some(asked) {
            return Err(Error::data(
                way.shown,
                "its answer names itself as the next page, so that there would be no end",
            ));
        }
        Ok(next)
    }
}

/// Where links may lead, and what of them is not kept.
pub struct Way<'w> {
    pub home: &'w Home,
    pub key: Option<&'w str>,
    pub shown: &'w str,
}

/// Whether a URL counts pages or records, so that it leads somewhere else tomorrow.
fn counts(url: &str) -> bool {
    const NAMES: [&str; 12] = [
        "page",
        "p",
        "_page",
        "page_number",
        "pagenumber",
        "page[number]",
        "offset",
        "_offset",
        "start",
        "_start",
        "skip",
        "startat",
    ];
    let query = url.split_once('?').map_or("", |(_, query)| query);
    url::form_urlencoded::parse(query.as_bytes()).any(|(name, value)| {
        NAMES.contains(&name.to_lowercase().as_str()) && !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit())
    })
}

/// The target of `rel=next` in a `Link` header (RFC 8288 §3).
fn next_link(header: &str) -> Option<String> {
    let mut rest = header;
    loop {
        let (target, behind) = rest.split_once('<')?.1.split_once('>')?;
        let mut is_quoted = false;
        let end = behind.find(|c: char| {
            is_quoted ^= c == '"';
            c == ',' && !is_quoted
        });
        let (params, following) = behind.split_at(end.unwrap_or(behind.len()));
        let is_next = params.split(';').filter_map(|param| param.split_once('=')).any(|(name, value)| {
            let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
            name.trim().eq_ignore_ascii_case("rel") && relations.any(|word| word.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target.to_owned());
        }
        rest = following;
    }
}

/// Puts a value into a body, where points part names.
pub fn put_into(body: &mut Value, name: &str, value: &str) {
    let mut at = body;
    for part in name.split('.') {
        if !at.is_object() {
            *at = Value::Object(serde_json::Map::new());
        }
        at = &mut at[part];
    }
    *at = Value::String(value.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(options: Value) -> Pages {
        Pages::compile(&serde_json::from_value(options).expect("options")).expect("paths")
    }

    /// What follows `asked` when this is answered with so many records.
    fn after(options: Value, asked: &Next, body: &str, links: &[&str], records: u64) -> Result<Option<Next>, String> {
        let pages = pages(options);
        let answer = Answer { status: 200, body: body.into(), links: links.iter().map(|l| (*l).to_owned()).collect() };
        let last = || pages.cursor_of(br#"{"id": 70, "n": "x"}"#);
        let told = pages.told(&answer, last).expect("JSON");
        let home = Home::new("https://api.example.com/v2", &[]).expect("a home");
        let way = Way { home: &home, key: Some("api_key"), shown: "GET orders" };
        let url = home.join("orders").expect("a URL");
        pages.after(asked, &url, told, records, &way).map_err(|e| e.detail)
    }

    #[test]
    fn counted_pages_end_with_what_the_answer_says_or_with_an_empty_one() {
        let page = serde_json::json!({ "type": "page" });
        assert_eq!(after(page.clone(), &Next::First, "[]", &[], 3), Ok(Some(Next::Page(2))));
        assert_eq!(after(page.clone(), &Next::Page(7), "[]", &[], 1), Ok(Some(Next::Page(8))));
        assert_eq!(after(page, &Next::Page(7), "[]", &[], 0), Ok(None));
        let counted = serde_json::json!({ "type": "page", "pages": "$.last" });
        assert_eq!(after(counted.clone(), &Next::Page(6), r#"{"last": 7}"#, &[], 3), Ok(Some(Next::Page(7))));
        assert_eq!(after(counted, &Next::Page(7), r#"{"last": 7}"#, &[], 3), Ok(None));
        let offset = serde_json::json!({ "type": "offset", "total": "$.n", "more": "$.more" });
        assert_eq!(after(offset.clone(), &Next::First, r#"{"n": 5}"#, &[], 3), Ok(Some(Next::Offset(3))));
        assert_eq!(after(offset.clone(), &Next::Offset(3), r#"{"n": 5}"#, &[], 2), Ok(None));
        assert_eq!(after(offset, &Next::First, r#"{"n": 5, "more": false}"#, &[], 3), Ok(None));
    }

    #[test]
    fn cursors_and_links_are_the_servers_own() {
        let cursor = serde_json::json!({ "type": "cursor", "next": "$.meta.next" });
        let to = |next: &str| Ok(Some(Next::Cursor(next.to_owned())));
        assert_eq!(after(cursor.clone(), &Next::First, r#"{"meta":{"next":"a\u0062"}}"#, &[], 0), to("ab"));
        assert_eq!(after(cursor.clone(), &Next::First, r#"{"meta":{"next":17}}"#, &[], 1), to("17"));
        for end in [r#"{"meta":{"next":null}}"#, r#"{"meta":{}}"#, r#"{"meta":{"next":""}}"#] {
            assert_eq!(after(cursor.clone(), &Next::First, end, &[], 1), Ok(None));
        }
        let same = after(cursor, &Next::Cursor("x".into()), r#"{"meta":{"next":"x"}}"#, &[], 1);
        assert!(same.is_err_and(|why| why.contains("no end")));
        let last = serde_json::json!({ "type": "cursor", "last_record": "id", "more": "$.has_more" });
        assert_eq!(after(last.clone(), &Next::First, r#"{"has_more": true}"#, &[], 1), to("70"));
        assert_eq!(after(last, &Next::First, r#"{"has_more": false}"#, &[], 1), Ok(None));

        let link = serde_json::json!({ "type": "link" });
        let links = ["</v2/x?a=1,2>; rel=\"prev first\", <?c=Zm9v&api_key=SECRET>; title=\"a, b\"; rel=\"next\""];
        assert_eq!(after(link.clone(), &Next::First, "", &links, 1), Ok(Some(Next::Url("/v2/orders?c=Zm9v".into()))));
        assert_eq!(after(link, &Next::First, "", &["<x>; rel=last"], 1), Ok(None));
        let url = serde_json::json!({ "type": "next_url", "next": "$.next" });
        let away = after(url, &Next::First, r#"{"next":"https://evil.example/?t=SECRET"}"#, &[], 1);
        assert!(away.is_err_and(|why| why.contains("evil.example") && !why.contains("SECRET")));
    }

    #[test]
    fn a_later_run_goes_on_at_what_the_server_gave_unless_it_counts() {
        let pages = pages(serde_json::json!({ "type": "link" }));
        assert!(pages.leads_on(&Next::Cursor("x".into())) && pages.leads_on(&Next::Url("/x?after=17".into())));
        for counted in ["/x?_page=2", "/x?a=1&offset=20", "/x?page%5Bnumber%5D=3"] {
            assert!(!pages.leads_on(&Next::Url(counted.into())), "{counted}");
        }
        assert!(!pages.leads_on(&Next::Page(2)) && !pages.leads_on(&Next::First));
        let named = self::pages(serde_json::json!({ "type": "cursor", "next": "next", "param": "_page" }));
        assert!(!named.leads_on(&Next::Cursor("2".into())) && named.leads_on(&Next::Cursor("Zm9v".into())));
    }

    #[test]
    fn a_cursor_is_put_into_a_body_below_its_names() {
        let mut body = serde_json::json!({ "query": "q", "variables": { "first": 5 } });
        put_into(&mut body, "variables.after", "x");
        assert_eq!(body, serde_json::json!({ "query": "q", "variables": { "first": 5, "after": "x" } }));
    }
}
