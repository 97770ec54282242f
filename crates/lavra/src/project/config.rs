//! `lavra.yaml` and `sources/*.yaml`, as written.

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
