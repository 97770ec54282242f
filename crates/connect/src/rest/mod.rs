//! APIs over HTTP that answer with JSON, page by page.

mod auth;
mod check;
mod form;
mod hidden;
mod http;
mod number;
mod options;
mod page;
mod pages;
mod parents;
mod place;
mod plan;
mod retry;
mod since;
mod source;
mod suits;
#[cfg(test)]
mod tests;
mod token_file;
mod trail;
mod urls;

use crate::spec::{Finding, Grade, Opening, Spec};
use futures::FutureExt;
use kernel::error::{Result, advice};
use kernel::source::Source;
pub use options::Options;
use options::{AuthType, Mode};
use page::Records;
use pages::Next;
use plan::{Plan, Values};
use serde_json::Value;
pub use token_file::{tokens_are_kept, tokens_under_way};

pub fn spec() -> Spec {
    Spec {
        name: "rest",
        summary: "JSON from an API over HTTP, page by page",
        schemes: &[],
        example: EXAMPLE,
        options_schema: || {
            let mut schema = schemars::schema_for!(Options).to_value();
            schema["required"] = serde_json::json!(options::REQUIRED);
            schema
        },
        check: |given| Options::check(given).err().unwrap_or_default(),
        fits: suits::check,
        way,
        repeats: suits::repeats,
        open: |opening| async move { Ok(Box::new(source::Rest::open(&opening)?) as Box<dyn Source>) }.boxed(),
        pending: |opening| async move { source::pending(opening) }.boxed(),
        changes,
        probe: |opening| probe(opening).boxed(),
        discover: None,
        listen: None,
    }
}

/// A pass that asks for what is new alone does not bring what one of another kind let go.
fn way(given: &Value) -> Option<String> {
    let mode = given["mode"].as_str().unwrap_or("append");
    given["incremental"]["field"].as_str().map(|field| format!("mode: {mode}, incremental: {{ field: {field} }}"))
}

fn changes(options: &Value) -> bool {
    Options::check(options).is_ok_and(|options| options.mode == Mode::Changes)
}

/// Whether the first page can be had.
async fn probe(opening: &Opening) -> Vec<Finding> {
    let subject = "first page";
    let mut findings = Vec::new();
    findings.push(match first_page(opening).await {
        Ok(page) => page.finding(subject),
        Err(error) => {
            let remedy = Some(advice(error.kind).sentence.to_owned());
            Finding { subject, grade: Grade::Bad, found: error.to_string(), remedy }
        }
    });
    let options = Options::check(&opening.options);
    findings.extend(options.as_ref().ok().and_then(|options| updates(opening, options)));
    if let Ok(options) = options
        && options.auth.kind != AuthType::None
        && Plan::compile(opening, &options).is_ok_and(|plan| !plan.home.is_secure())
    {
        let found = "credentials go over the network in clear".to_owned();
        let remedy = Some("let `connection` start with https://".to_owned());
        findings.push(Finding { subject: "encryption", grade: Grade::Warning, found, remedy });
    }
    findings
}

/// By a time that grows on updates they come again, and `append` lets go what has a known key.
fn updates(opening: &Opening, options: &Options) -> Option<Finding> {
    let since = options.incremental.as_ref().and_then(|by| since::Since::compile(by, &opening.entity).ok())?;
    let is_lost = options.mode == Mode::Append && since.is_time() && !opening.entity.key().is_empty();
    is_lost.then(|| {
        let found =
            format!("`append` keeps the first state of each record: what changes by `{}` is let go", since.field);
        let remedy = Some("set `mode: changes`, unless records never change".to_owned());
        Finding { subject: "updates", grade: Grade::Warning, found, remedy }
    })
}

/// How many records it has.
struct Page {
    all: u64,
    malformed: usize,
}

impl Page {
    fn finding(&self, subject: &'static str) -> Finding {
        let found = format!("{} records, {} of them malformed", self.all, self.malformed);
        if self.malformed == 0 {
            return Finding { subject, grade: Grade::Good, found, remedy: None };
        }
        let remedy = "look whether `records` leads to JSON objects, one for each record, and whether `format` is right: what \
                      is malformed is set aside, and ends a run where the contract says `on_violation: fail`";
        Finding { subject, grade: Grade::Warning, found, remedy: Some(remedy.into()) }
    }
}

async fn first_page(opening: &Opening) -> Result<Page> {
    let options = Options::read(&opening.source, &opening.options)?;
    let plan = Plan::compile(opening, &options)?;
    let mut http = plan.http(opening, &options)?;
    let resource = plan.parents.first().map_or(&plan.resource, |level| &level.resource);
    let since = plan.since.as_ref().and_then(|since| since.begin(None));
    let values: Values = since.into_iter().map(|since| (plan::SINCE.to_owned(), since)).collect();
    let answer = http.ask(&resource.ask(&plan.home, &Next::First, &values)?).await?;
    if !answer.is_good() {
        return Err(answer.failure(&resource.shown));
    }
    let records = Records::find(&answer, &resource.records, &resource.shown)?;
    let piece = records.read(answer.body, 1, &opening.entity, &resource.shown)?;
    Ok(Page { all: piece.upto, malformed: piece.malformed.len() })
}

const EXAMPLE: &str = "\
connector: rest
connection: https://api.example.com/v2
path: orders
records: $.data                   # where in an answer the records are
pagination: { type: cursor, next: $.next_cursor, param: after, size_param: limit, size: 200 }
incremental: { field: updated_at, param: updated_since, start: 2026-01-01, lookback: 10 minutes }
mode: changes                     # `updated_at` grows on updates: `append` would keep the first state only
auth: { type: bearer, token: \"${API_TOKEN}\" }
schedule: every 15 minutes
";
