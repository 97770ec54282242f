//! `lavra.yaml` and `sources/*.yaml`, as written.

use kernel::diagnostic::Diagnostic;
use kernel::draft::{Draft, Node};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// `lavra.yaml`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The project's name.
    pub project: String,
    /// One block of places per environment; what is left out is embedded. `local` is the default.
    #[serde(default)]
    pub environments: BTreeMap<String, Environment>,
    /// The mask of a class of personal data for columns whose contract names none: `personal.email: redact`.
    #[serde(default)]
    pub masks: BTreeMap<String, String>,
}

/// Where things are in one environment.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The lake: a folder, or an object store's URL (`s3://`, `gs://`, `az://`). Default: `./lake`
    #[serde(default)]
    pub lake: Option<String>,
    /// The key file. Default: `.lavra/keys.json`
    #[serde(default)]
    pub keys: Option<String>,
    /// Settings of object stores, by their own names: `aws_region`, `aws_endpoint`, `google_service_account`, …
    #[serde(default)]
    pub store: BTreeMap<String, String>,
    /// The file of tokens and of persons' keys, beside the keys and never in the lake. Default: `.lavra/vault.db`
    #[serde(default)]
    pub vault: Option<String>,
}

/// `sources/<name>.yaml`: what every source has; the other keys are its connector's options.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct SourceConfig {
    /// Which connector reads it; `lavra connectors` lists them.
    pub connector: String,
    /// The contract's file name in `contracts/`. Default: the source's own name
    #[serde(default)]
    pub contract: Option<String>,
    /// The table of the contract, when it has more than one. Default: the source's own name
    #[serde(default)]
    pub entity: Option<String>,
    /// The bronze table. Default: the source's own name
    #[serde(default)]
    pub table: Option<String>,
    /// When a long-running process takes it in: `every 15 minutes`, a cron line, or `continuous`.
    #[serde(default)]
    pub schedule: Option<String>,
    /// Words to select it by: `lavra run tag:finance`.
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(flatten)]
    pub options: Map<String, Value>,
}

/// What `lake` can be beside a folder.
const LAKES: [&str; 9] = ["file", "s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss"];

/// Places that nothing of this build can reach: read as paths they would be other places than were meant.
pub fn unreachable(draft: &Draft<Config>) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    for (name, environment) in &draft.value.environments {
        let mut refuse = |key: &str, place: &Option<String>, known: &[&str], help: &str| {
            let Some((scheme, _)) = place.as_deref().and_then(|place| place.split_once("://")) else { return };
            if known.contains(&scheme) {
                return;
            }
            let path = format!("environments[\"{name}\"].{key}");
            let scheme = match draft.at(&path).is_some_and(Node::has_variable) {
                true => "this".to_owned(),
                false => format!("`{scheme}://`"),
            };
            let message = format!("{scheme} is no place that `{key}` can be at");
            faults.push(draft.fault(&path, message).help(Some(help)));
        };
        refuse(
            "lake",
            &environment.lake,
            &LAKES,
            "it can be a folder, or a URL that starts with s3://, gs:// or az://",
        );
        refuse(
            "keys",
            &environment.keys,
            &[],
            "it can be the path of a key file; services that keep keys are not supported yet",
        );
        refuse("vault", &environment.vault, &[], "it can be the path of a file");
    }
    faults
}

impl SourceConfig {
    /// What can be read of a source that has faults, so that those of its other fields are told too.
    pub fn salvaged(fields: &Map<String, Value>) -> Self {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let own = |name: &String| OWN_KEYS.contains(&name.as_str());
        Self {
            connector: text("connector").unwrap_or_default(),
            contract: text("contract"),
            entity: text("entity"),
            table: text("table"),
            schedule: text("schedule"),
            tags: Vec::new(),
            options: fields.iter().filter(|(name, _)| !own(name)).map(|(k, v)| (k.clone(), v.clone())).collect(),
        }
    }
}

/// The keys that every source has.
pub const OWN_KEYS: [&str; 6] = ["connector", "contract", "entity", "table", "schedule", "tags"];

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::draft;

    #[test]
    fn a_place_that_can_not_be_reached_is_told_at_check_time() {
        let told = |line: &str| {
            let text = format!("project: x\nenvironments:\n  prod.eu:\n    {line}\n");
            let env = |name: &str| (name == "KEYS").then(|| "vault://t:hunter2@vault".to_owned());
            let draft = draft::read::<Config>("lavra.yaml", &text, &env).expect("a config");
            unreachable(&draft).iter().map(|fault| fault.render(&text)).collect::<String>()
        };
        assert!(told("keys: vault://vault:8200/transit").contains("`vault://` is no place that `keys` can be at"));
        assert!(told("keys: vault://vault:8200/transit").contains("lavra.yaml:4:11"));
        assert!(told("lake: s4://bucket").contains("s3://, gs:// or az://"));
        assert!(told("keys: ${KEYS}").contains("this is no place") && !told("keys: ${KEYS}").contains("vault"));
        for good in ["keys: /etc/lavra/keys.json", "lake: s3://bucket/x", "lake: ./lake", "lake: gs://b", "store: {}"] {
            assert_eq!(told(good), "", "{good}");
        }
    }
}
