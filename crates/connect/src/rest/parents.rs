//! The records that others are asked by.

use super::http::Http;
use super::page::{Records, broken};
use super::pages::Next;
use super::plan::{Level, Plan, Values};
use super::trail::Trail;
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
    let (mut keys, mut at, mut trail) = (Vec::new(), Some(Next::First), Trail::default());
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
        for key in found {
            keys.push(usable(key, &level.name).map_err(|why| Error::data(shown, why))?);
        }
        let way = plan.way(shown);
        at = resource.pages.after(&next, &ask.url, told, count, &way)?;
        trail.step(&next, &ask.url, at.as_ref(), (count > 0).then_some(mark), &way)?;
    }
    Ok(keys)
}

/// A key that a path can have.
fn usable(key: Option<String>, name: &str) -> Result<String, String> {
    match key {
        // By the rules of URLs `.` and `..` are steps in a path, also when they are escaped.
        Some(key) if matches!(key.as_str(), "." | "..") => Err(format!(
            "the key of a record for `{name}` is `.` or `..`: no URL can have that in its path, so that what belongs to it \
             can't be asked for; leave the record out by `parent.params`, or take another field as `parent.key`"
        )),
        Some(key) if !key.is_empty() => Ok(key),
        _ => Err(format!("a record has no key for `{name}`; look at `parent.key`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_no_path_can_have_is_told_from_none() {
        let told = |key: Option<&str>| usable(key.map(str::to_owned), "customer_id");
        assert_eq!(told(Some("...")), Ok("...".into()));
        for none in [None, Some("")] {
            assert!(told(none).is_err_and(|why| why.contains("has no key for `customer_id`")));
        }
        for step in [".", ".."] {
            assert!(told(Some(step)).is_err_and(|why| why.contains("no URL can have that")), "{step}");
        }
    }
}
