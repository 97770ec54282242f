//! The records that others are asked by.

use super::http::Http;
use super::page::{Records, broken};
use super::pages::Next;
use super::plan::{Level, Plan, Values};
use kernel::error::{Error, Result};

/// The keys of all parents, level by level. Only they are kept of the records.
pub async fn list(plan: &Plan, http: &mut Http) -> Result<Vec<Values>> {
    let mut all = vec![Values::new()];
    for level in &plan.parents {
        let mut below = Vec::new();
        for values in &all {
            for key in keys(plan, level, http, values).await? {
                let mut values = values.clone();
                values.push((level.name.clone(), key));
                below.push(values);
            }
        }
        all = below;
    }
    Ok(all)
}

async fn keys(plan: &Plan, level: &Level, http: &mut Http, values: &Values) -> Result<Vec<String>> {
    let resource = &level.resource;
    let shown = &*resource.shown;
    let (mut keys, mut at, mut before) = (Vec::new(), Some(Next::First), None);
    while let Some(next) = at {
        let ask = resource.ask(&plan.home, &next, values)?;
        let answer = http.ask(&ask).await?;
        if answer.status == 404 && (resource.pages.may_be_beyond(&next) || !values.is_empty()) {
            break;
        }
        if !answer.is_good() {
            return Err(answer.failure(shown));
        }
        let records = Records::find(&answer, &resource.records, shown)?;
        let last = || records.last(&answer.body)?.map_or(Ok(None), |record| resource.pages.cursor_of(record));
        let told = resource.pages.told(&answer, last).map_err(|bad| broken(shown, bad))?;
        let found = records.texts(&answer.body, &level.key).map_err(|bad| broken(shown, bad))?;
        let count = found.len() as u64;
        let mark = records.mark(&answer.body);
        if count > 0 && before.replace(mark) == Some(mark) {
            return Err(same_again(shown));
        }
        for key in found {
            keys.push(key.filter(|key| !matches!(key.as_str(), "" | "." | "..")).ok_or_else(|| {
                Error::data(shown, format!("a record has no key for `{}`; look at `parent.key`", level.name))
            })?);
        }
        at = resource.pages.after(&next, &ask.url, told, count, &plan.way(shown))?;
    }
    Ok(keys)
}

/// A server that gives its last page for every page behind it has no end.
pub fn same_again(shown: &str) -> Error {
    let detail = "two pages have the same records, so that there would be no end; look whether `pagination.param` is what the \
                  API takes, and let `pagination.total`, `pages` or `more` say where the end is";
    Error::data(shown, detail)
}
