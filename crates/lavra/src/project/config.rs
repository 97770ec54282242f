//! `lavra.yaml` and `sources/*.yaml`, as written.

use super::running::Running;
use connect::broker::Home;
use kernel::diagnostic::Diagnostic;
use kernel::draft::{Draft, Node};
use kernel::span;
use privacy::keys::Place;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

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
    /// Who answers for personal data, and what is promised about it.
    #[serde(default)]
    pub privacy: Privacy,
    /// How long old versions, removed files and quarantined rows stay.
    #[serde(default)]
    pub maintenance: Maintenance,
    /// How `lavra up` and `lavra worker` behave.
    #[serde(default)]
    pub up: Running,
}

/// Who answers for personal data, and what is promised about it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Privacy {
    /// Who decides why and how personal data is processed (controlador), with an address.
    #[serde(default)]
    pub controller: Option<String>,
    /// Who processes it for the controller (operador).
    #[serde(default)]
    pub operator: Option<String>,
    /// The data protection officer (encarregado), with how to reach them.
    #[serde(default)]
    pub dpo: Option<String>,
    /// Within which time everything of a person who asks for it is gone. Default: `15 days` (LGPD art. 19, II)
    #[serde(default)]
    pub erasure_deadline: Option<String>,
    /// A total over fewer people or rows than this says something of one of them. Default: 5
    #[serde(default)]
    pub group_floor: Option<u64>,
    /// Security measures beside those that Lavra takes itself, each a sentence for the record of processing.
    #[serde(default)]
    pub measures: Vec<String>,
}

/// How long things stay that nobody sees any more.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// How long a table's old versions can be asked for. Default: `7 days`
    #[serde(default)]
    pub versions_kept: Option<String>,
    /// How long a file stays after the last version that names it was replaced. Default: `7 days`
    #[serde(default)]
    pub vacuum_after: Option<String>,
    /// How often files that may go are removed. Default: `1 day`
    #[serde(default)]
    pub vacuum_every: Option<String>,
    /// How long rows stay in quarantine. Default: `7 days`
    #[serde(default)]
    pub quarantine_kept: Option<String>,
}

/// The least group of a project that names none.
pub const GROUP_FLOOR: u64 = 5;

impl Privacy {
    pub fn floor(&self) -> u64 {
        self.group_floor.unwrap_or(GROUP_FLOOR)
    }
}

/// How long things stay, in whole days, with the defaults put in. These comply: 7 + 7 + 1 days are the 15 of the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Upkeep {
    pub versions_kept_days: u32,
    pub vacuum_after_days: u32,
    pub vacuum_every_days: u32,
    pub quarantine_kept_days: u32,
    pub erasure_deadline_days: u32,
}

impl Config {
    pub fn upkeep(&self) -> Upkeep {
        let kept = &self.maintenance;
        let or = |text: &Option<String>, default| text.as_deref().and_then(days).unwrap_or(default);
        Upkeep {
            versions_kept_days: or(&kept.versions_kept, 7),
            vacuum_after_days: or(&kept.vacuum_after, 7),
            vacuum_every_days: or(&kept.vacuum_every, 1),
            quarantine_kept_days: or(&kept.quarantine_kept, 7),
            erasure_deadline_days: or(&self.privacy.erasure_deadline, 15),
        }
    }

    /// The spans of time, with their places.
    fn spans(&self) -> [(&'static str, Option<&str>); 5] {
        let kept = &self.maintenance;
        [
            ("maintenance.versions_kept", kept.versions_kept.as_deref()),
            ("maintenance.vacuum_after", kept.vacuum_after.as_deref()),
            ("maintenance.vacuum_every", kept.vacuum_every.as_deref()),
            ("maintenance.quarantine_kept", kept.quarantine_kept.as_deref()),
            ("privacy.erasure_deadline", self.privacy.erasure_deadline.as_deref()),
        ]
    }
}

/// Whole days of `36 hours`: two, for what is kept into a day is there on it.
fn days(text: &str) -> Option<u32> {
    const DAY: i64 = 86_400_000_000;
    let micros = span::micros(text).filter(|micros| *micros >= 0)?;
    u32::try_from(micros / DAY + i64::from(micros % DAY > 0)).ok()
}

/// What of `privacy` and `maintenance` can't be meant.
pub fn privacy_faults(draft: &Draft<Config>) -> Vec<Diagnostic> {
    let unread = draft.value.spans().into_iter().filter(|(_, text)| text.is_some_and(|text| days(text).is_none()));
    let mut faults: Vec<Diagnostic> =
        unread.map(|(path, _)| draft.fault(path, "this is not a span of time").help(Some(span::HOW))).collect();
    let kept = draft.value.upkeep();
    if faults.is_empty() && kept.vacuum_after_days < kept.versions_kept_days {
        let (files, versions) = (kept.vacuum_after_days, kept.versions_kept_days);
        let path = match draft.value.maintenance.vacuum_after {
            Some(_) => "maintenance.vacuum_after",
            None => "maintenance.versions_kept",
        };
        let message = format!(
            "versions are kept for {versions} days, but their files for {files}: the older ones could not be read"
        );
        faults.push(draft.fault(path, message).help(Some("let `vacuum_after` be no shorter than `versions_kept`")));
    }
    if draft.value.privacy.group_floor.is_some_and(|floor| floor < 2) {
        let fault = draft.fault("privacy.group_floor", "a group of one is a person");
        faults.push(fault.help(Some("write 2 or more; 5 and 10 are usual")));
    }
    faults
}

/// Where things are in one environment.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The lake: a folder, or an object store's URL (`s3://`, `gs://`, `az://`). Default: `./lake`
    #[serde(default)]
    pub lake: Option<String>,
    /// The key file, or a key of a system that keeps keys: `vault://host:8200/transit/KEY`, `aws-kms://ARN`,
    /// `azure-kv://VAULT.vault.azure.net/KEY`, `gcp-kms://projects/…/cryptoKeys/KEY`. Default: `.lavra/keys.json`
    #[serde(default)]
    pub keys: Option<String>,
    /// How long a key of such a system may be held in memory before it is asked for again, up to an hour. Default:
    /// `5 minutes`
    #[serde(default)]
    pub keys_cache: Option<String>,
    /// Public keys by scope, as `lavra public-key` prints them: enough to take in columns masked by
    /// `encrypt(scope, homomorphic)` where the key file is not.
    #[serde(default)]
    pub public_keys: BTreeMap<String, String>,
    /// Settings of object stores, by their own names: `aws_region`, `aws_endpoint`, `google_service_account`, …
    #[serde(default)]
    pub store: BTreeMap<String, String>,
    /// What sources go through on their way to their tables: `kafka://host:9092`, `pulsar://host:6650` or `embedded`, with
    /// `?partitions=4&retention=7 days` for its topics. Default: nothing, rows go to their tables at once
    #[serde(default)]
    pub broker: Option<String>,
    /// The schema registry, by the URL of its Confluent API: `https://USER:PASSWORD@HOST:8081`. Default: embedded
    #[serde(default)]
    pub registry: Option<String>,
    /// What the schemas of contracts are written in: `avro`, `json` or `protobuf`. Default: `avro`
    #[serde(default)]
    pub registry_format: Option<String>,
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
    pub into: Option<String>,
    /// When a long-running process takes it in: `every 15 minutes`, a cron line, or `continuous`.
    #[serde(default)]
    pub schedule: Option<String>,
    /// How often a continuous source is committed while rows come; one that has no more for now is committed at once.
    /// Default: `5 seconds`
    #[serde(default)]
    pub commit_every: Option<String>,
    /// False takes it straight to its table though its environment has a broker.
    #[serde(default)]
    pub broker: Option<bool>,
    /// Words to select it by: `lavra run tag:finance`.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Of a source that gives the changes of a table: keeps that table in silver, by the contract's primary key. `current`
    /// is the table as the source has it, `history` all versions of each row with `valid_from`, `valid_to` and `is_current`.
    /// `{ as: current, into: name }` gives it another name than the bronze table's.
    #[serde(default)]
    pub materialize: Option<Materialize>,
    #[serde(flatten)]
    pub options: Map<String, Value>,
}

/// The table that is kept from a change log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected `current`, `history` or `{ as: current, into: name }`")]
pub enum Materialize {
    Way(Way),
    Into(Placed),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    Current,
    History,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    #[serde(rename = "as")]
    pub way: Way,
    /// The table's name in silver.
    pub into: String,
}

impl Materialize {
    pub fn way(&self) -> Way {
        match self {
            Materialize::Way(way) => *way,
            Materialize::Into(placed) => placed.way,
        }
    }

    pub fn into(&self) -> Option<&str> {
        match self {
            Materialize::Way(_) => None,
            Materialize::Into(placed) => Some(&placed.into),
        }
    }
}

const HOLD_MIN: Duration = Duration::from_secs(1);
/// Beyond this a revoked key would go on for too long.
const HOLD_MAX: Duration = Duration::from_secs(3600);

/// What `lake` can be beside a folder.
const LAKES: [&str; 9] = ["file", "s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss"];

/// Places that nothing of this build can reach: read as paths they would be other places than were meant.
pub fn unreachable(draft: &Draft<Config>) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    for (name, environment) in &draft.value.environments {
        let mut refuse = |key: &str, place: &Option<String>, help: &str| {
            let path = format!("environments[\"{name}\"].{key}");
            let scheme = place.as_deref().and_then(|place| place.split_once("://")).map(|(scheme, _)| scheme);
            let shown = match (scheme, draft.at(&path).is_some_and(Node::has_variable)) {
                (Some(scheme), false) => format!("`{scheme}://`"),
                _ => "this".to_owned(),
            };
            let message = format!("{shown} is no place that `{key}` can be at");
            faults.push(draft.fault(&path, message).help(Some(help)));
        };
        let scheme = environment.lake.as_deref().and_then(|place| place.split_once("://")).map(|(scheme, _)| scheme);
        if scheme.is_some_and(|scheme| !LAKES.contains(&scheme)) {
            let help = "it can be a folder, or a URL that starts with s3://, gs:// or az://";
            refuse("lake", &environment.lake, help);
        }
        if let Some(Err(why)) = environment.keys.as_deref().map(Place::parse) {
            refuse("keys", &environment.keys, &why);
        }
        if environment.vault.as_deref().is_some_and(|place| place.contains("://")) {
            refuse("vault", &environment.vault, "it can be the path of a file");
        }
        if let Some(Err(why)) = environment.broker() {
            refuse("broker", &environment.broker, &why);
        }
        if environment.registry.as_deref().is_some_and(|url| govern::registry::Remote::new(url).is_err()) {
            refuse("registry", &environment.registry, "it can be the URL of a schema registry: http://HOST:8081");
        }
        let format = environment.registry_format.as_deref();
        if format.is_some_and(|format| govern::registry::SchemaType::parse(format).is_none()) {
            let path = format!("environments[\"{name}\"].registry_format");
            let fault = draft.fault(&path, "this is no language of schemas");
            faults.push(fault.help(Some("write avro, json or protobuf")));
        }
        if environment.hold().is_none() {
            let path = format!("environments[\"{name}\"].keys_cache");
            let help = format!("{}; at least a second, at most an hour", span::HOW);
            faults.push(draft.fault(&path, "keys can't be held for this long").help(Some(help)));
        }
    }
    faults
}

impl Config {
    pub fn has_broker(&self) -> bool {
        self.environments.values().any(|environment| environment.broker.is_some())
    }
}

impl Environment {
    /// Where the logs are, or what is wrong with what is written.
    pub fn broker(&self) -> Option<Result<Home, String>> {
        self.broker.as_deref().map(|text| Home::parse(text, super::span))
    }

    /// How long a key may be held; `None` when what is written is no such time.
    pub fn hold(&self) -> Option<Duration> {
        let Some(text) = &self.keys_cache else { return Some(privacy::keys::HOLD) };
        let hold = span::micros(text).and_then(|micros| u64::try_from(micros).ok()).map(Duration::from_micros)?;
        (HOLD_MIN..=HOLD_MAX).contains(&hold).then_some(hold)
    }
}

/// Public keys that are none.
pub fn unreadable_keys(draft: &Draft<Config>) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    for (name, environment) in &draft.value.environments {
        for (scope, text) in &environment.public_keys {
            if let Err(why) = privacy::he::PublicKey::parse(scope, text) {
                faults.push(draft.fault(&format!("environments[\"{name}\"].public_keys[\"{scope}\"]"), why.detail));
            }
        }
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
            into: text("into"),
            schedule: text("schedule"),
            commit_every: text("commit_every"),
            broker: None,
            tags: Vec::new(),
            materialize: None,
            options: fields.iter().filter(|(name, _)| !own(name)).map(|(k, v)| (k.clone(), v.clone())).collect(),
        }
    }
}

/// The keys that every source has.
pub const OWN_KEYS: [&str; 9] =
    ["connector", "contract", "entity", "into", "schedule", "commit_every", "broker", "tags", "materialize"];

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::draft;

    fn config(text: &str) -> Draft<Config> {
        draft::read::<Config>("lavra.yaml", &format!("project: x\n{text}\n"), &|_| None).expect("a config")
    }

    #[test]
    fn what_is_not_said_complies() {
        let kept = config("").value.upkeep();
        let last =
            kept.quarantine_kept_days + kept.vacuum_after_days.max(kept.versions_kept_days) + kept.vacuum_every_days;
        assert_eq!((last, kept.erasure_deadline_days, config("").value.privacy.floor()), (15, 15, 5));
        let kept = config("maintenance: { vacuum_after: 2 weeks, vacuum_every: 36 hours }").value.upkeep();
        assert_eq!((kept.vacuum_after_days, kept.vacuum_every_days), (14, 2), "a day that is begun counts");
    }

    #[test]
    fn spans_that_can_not_be_meant_are_told() {
        let told = |text: &str| privacy_faults(&config(text)).iter().map(|f| f.message.clone()).collect::<String>();
        assert!(told("maintenance: { vacuum_after: soon }").contains("not a span of time"));
        assert!(told("privacy: { erasure_deadline: -3 days }").contains("not a span of time"));
        assert!(told("maintenance: { versions_kept: 10 days }").contains("could not be read"));
        assert!(told("privacy: { group_floor: 1 }").contains("a person"));
        assert_eq!(told("maintenance: { versions_kept: 10 days, vacuum_after: 10 days }"), "");
    }

    #[test]
    fn a_public_key_that_is_none_is_told() {
        let told = |text: &str| {
            let text = format!("project: x\nenvironments:\n  local:\n    public_keys: {{ amounts: {text} }}\n");
            let draft = draft::read::<Config>("lavra.yaml", &text, &|_| None).expect("a config");
            unreadable_keys(&draft).iter().map(|fault| fault.render(&text)).collect::<String>()
        };
        assert_eq!(told("1.4vKuCmq8TnGohKlhxQBRX1jjC2qlgt2NtqZZReCNLXY"), "", "the generator is a point");
        assert!(told("1.AAAA").contains("no point") && told("1.AAAA").contains("lavra.yaml:4"));
    }

    #[test]
    fn a_place_that_can_not_be_reached_is_told_at_check_time() {
        let told = |line: &str| {
            let text = format!("project: x\nenvironments:\n  prod.eu:\n    {line}\n");
            let env = |name: &str| (name == "KEYS").then(|| "vault://t:hunter2@vault".to_owned());
            let draft = draft::read::<Config>("lavra.yaml", &text, &env).expect("a config");
            unreachable(&draft).iter().map(|fault| fault.render(&text)).collect::<String>()
        };
        let told_of = told("keys: valt://vault:8200/transit/lavra");
        assert!(told_of.contains("`valt://` is no place that `keys` can be at") && told_of.contains("lavra.yaml:4:11"));
        assert!(told_of.contains("did you mean `vault`?"), "{told_of}");
        assert!(told("keys: vault://vault:8200/transit").contains("vault://HOST:8200/transit/KEY"));
        for bad in ["2 days", "'5'", "0 seconds", "-5 minutes", "soon"] {
            assert!(told(&format!("keys_cache: {bad}")).contains("at most an hour"), "{bad}");
        }
        assert!(told("lake: s4://bucket").contains("s3://, gs:// or az://"));
        assert!(told("keys: ${KEYS}").contains("this is no place") && !told("keys: ${KEYS}").contains("hunter2"));
        for good in [
            "keys: /etc/lavra/keys.json",
            "lake: s3://bucket/x",
            "lake: ./lake",
            "lake: gs://b",
            "store: {}",
            "keys: vault://vault:8200/transit/lavra",
            "keys_cache: 30 seconds",
        ] {
            assert_eq!(told(good), "", "{good}");
        }
    }
}
