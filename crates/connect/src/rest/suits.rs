//! What must hold between the options and the contract: told by `lavra check`, and again when a source is opened.

use super::hidden::is_hidden;
use super::options::{Mode, Options};
use super::since::Since;
use crate::spec::Fault;
use kernel::Entity;
use kernel::error::{Error, Kind, Result};
use serde_json::Value;

/// All that does not suit, of options as they are written; nothing while they have faults of their own, or while nothing is
/// known of the rows.
pub fn check(given: &Value, entity: &Entity) -> Vec<Fault> {
    match Options::check(given) {
        Ok(options) if !entity.properties.is_empty() => faults(&options, entity),
        _ => Vec::new(),
    }
}

/// The same as one error.
pub fn demand(options: &Options, entity: &Entity, source: &str) -> Result<()> {
    let faults = faults(options, entity);
    if faults.is_empty() {
        return Ok(());
    }
    let kind = if faults.iter().all(|fault| fault.is_refused) { Kind::Refused } else { Kind::Project };
    let told = faults.into_iter().flat_map(|fault| [Some(fault.message), fault.help]).flatten();
    Err(Error::new(kind, format!("source `{source}`"), told.collect::<Vec<_>>().join("; ")))
}

fn faults(options: &Options, entity: &Entity) -> Vec<Fault> {
    let since = match options.incremental.as_ref().map(|by| Since::compile(by, entity)).transpose() {
        Ok(since) => since,
        Err(why) => return vec![Fault::new("incremental", format!("`incremental`: {why}"))],
    };
    let mut faults = Vec::new();
    if let Some(since) = &since {
        if entity.property(&since.field).is_some_and(is_hidden) {
            let why = format!(
                "`incremental` can't go by `{}`: the contract hides it, and its highest value is kept in clear with the \
                 progress",
                since.field
            );
            faults.push(refused(why, "go by another field, or read all of it with each run"));
        }
        if !is_parted(options, entity) {
            let why = "`incremental` needs a place for each parent, and such a place has the parent's key in clear, which the \
                       contract hides or does not name";
            faults.push(refused(why.into(), "name it there as what it is, or read all with each run"));
        }
    }
    if may_repeat(options, since.as_ref()) && !entity.properties.is_empty() && entity.key().is_empty() {
        let why = "records come again with each run, and without a primary key in the contract they can't be told from \
                   new ones";
        let help = "name the key there, or set `mode: changes` for a log, or `mode: once`";
        faults.push(Fault { help: Some(help.into()), ..Fault::new(repeating(options), why) });
    }
    faults
}

pub fn repeats(given: &Value, entity: &Entity) -> Option<&'static str> {
    let options = Options::check(given).ok()?;
    let since = options.incremental.as_ref().map(|by| Since::compile(by, entity)).transpose().ok()?;
    may_repeat(&options, since.as_ref()).then(|| repeating(&options))
}

fn may_repeat(options: &Options, since: Option<&Since>) -> bool {
    options.mode == Mode::Append && since.is_none_or(Since::may_repeat)
}

fn repeating(options: &Options) -> &'static str {
    if options.incremental.is_some() { "incremental" } else { "mode" }
}

fn refused(why: String, help: &str) -> Fault {
    Fault { help: Some(help.into()), is_refused: true, ..Fault::new("incremental", why) }
}

/// Whether each parent has a place of its own. Where its key is hidden, no position may have it.
pub fn is_parted(options: &Options, entity: &Entity) -> bool {
    let mut parents = std::iter::successors(options.parent.as_ref(), |parent| parent.parent.as_deref());
    parents.all(|parent| entity.property(&parent.name).is_some_and(|column| !is_hidden(column)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::testing::entity;
    use kernel::Classification;
    use serde_json::json;

    fn orders() -> Entity {
        let mut entity = entity(&["id", "cpf", "at"]);
        entity.properties[0].primary_key = Some(1);
        entity.properties[1].classification = Some(Classification::new("personal.cpf"));
        entity
    }

    fn told(more: Value, entity: &Entity) -> Vec<(String, bool, String)> {
        let mut options = json!({ "connection": "https://api.example.com", "path": "orders" });
        for (name, value) in more.as_object().expect("options") {
            options[name] = value.clone();
        }
        let faults = check(&options, entity).into_iter();
        faults.map(|fault| (fault.option, fault.is_refused, fault.message)).collect()
    }

    #[test]
    fn what_the_contract_hides_or_lacks_is_told_at_its_option() {
        let by = |field: &str| json!({ "incremental": { "field": field, "param": "since" } });
        let keyless = entity(&["id", "cpf", "at"]);
        assert!(told(by("at"), &orders()).is_empty() && told(json!({ "mode": "once" }), &keyless).is_empty());
        let hidden = told(by("cpf"), &orders());
        assert!(hidden.len() == 1 && hidden[0].1 && hidden[0].2.contains("`cpf`: the contract hides it"), "{hidden:?}");
        assert_eq!(hidden[0].0, "incremental");
        for (more, option) in [(by("at"), "incremental"), (json!({}), "mode")] {
            let all = told(more, &keyless);
            assert!(all.len() == 1 && !all[0].1 && all[0].2.contains("primary key"), "{all:?}");
            assert_eq!(all[0].0, option);
        }
        let given = |more: Value| {
            let mut options = json!({ "connection": "https://api.example.com", "path": "orders" });
            options.as_object_mut().expect("options").extend(more.as_object().expect("options").clone());
            options
        };
        let beyond = json!({ "incremental": { "field": "at", "param": "since", "boundary": "exclusive" } });
        for (more, option) in [
            (by("at"), Some("incremental")),
            (json!({}), Some("mode")),
            (beyond, None),
            (json!({ "mode": "changes" }), None),
            (json!({ "mode": "once" }), None),
            (json!({ "timeout_ms": 0 }), None),
        ] {
            assert_eq!(repeats(&given(more.clone()), &orders()), option, "{more}");
        }
        let mut spanned = by("at");
        spanned["incremental"]["lookback"] = "2 hours".into();
        assert!(told(spanned, &orders())[0].2.contains("give `at` such a type"), "a text has no hours");
        let mut child = by("at");
        child["path"] = "customers/{cpf}/orders".into();
        child["parent"] = json!({ "path": "customers", "as": "cpf" });
        let all = told(child, &orders());
        assert!(all.len() == 1 && all[0].1 && all[0].2.contains("a place for each parent"), "{all:?}");
    }

    #[test]
    fn nothing_is_told_while_nothing_is_known_or_the_options_are_wrong() {
        let by = json!({ "incremental": { "field": "cpf", "param": "since", "lookback": "2 hours" } });
        assert!(told(by, &entity(&[])).is_empty());
        assert!(told(json!({ "timeout_ms": 0 }), &entity(&["id"])).is_empty(), "`check` tells it");
    }

    #[test]
    fn all_at_once_is_no_mere_refusal() {
        let mut entity = orders();
        entity.properties[0].primary_key = None;
        let options = json!({
            "connection": "https://api.example.com", "path": "orders", "incremental": { "field": "cpf", "param": "since" },
        });
        let options = Options::check(&options).expect("options");
        let error = demand(&options, &entity, "orders").expect_err("an error");
        assert!(error.kind == Kind::Project && error.detail.contains("kept in clear"), "{error}");
        assert!(error.detail.contains("primary key") && error.detail.contains("; name the key there"), "{error}");
    }
}
