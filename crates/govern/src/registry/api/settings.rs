//! `/config` and `/mode`.

use super::Reply;
use super::ask::{self, Query};
use crate::registry::change::Level;
use crate::registry::store::{Answer, Config, Fault, Mode, Policy, Registry};
use axum::body::Bytes;
use axum::extract::{Path, Query as Asked, State};
use serde_json::{Map, Value, json};
use std::sync::Arc;

type Shared = State<Arc<Registry>>;

/// Reads what a client wants set. What this registry can't keep to is refused by name.
fn wanted(bytes: &[u8]) -> Answer<Config> {
    let fields: Map<String, Value> = ask::body(bytes)?;
    let mut config = Config::default();
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        let text = value.as_str().unwrap_or_default();
        match name.as_str() {
            "compatibility" | "compatibilityLevel" => {
                config.compatibility_level = Some(Level::parse(text).ok_or_else(|| {
                    let levels = Level::ALL.map(|level| level.name().to_lowercase()).join(", ");
                    Fault::new(42203, format!("Invalid compatibility level. Valid values are {levels}"))
                })?);
            }
            "normalize" if value.is_boolean() => config.normalize = value.as_bool(),
            "compatibilityPolicy" => {
                config.compatibility_policy = Some(match text.to_ascii_uppercase().as_str() {
                    "STRICT" => Policy::Strict,
                    "LENIENT" => Policy::Lenient,
                    _ => {
                        return Err(Fault::new(
                            422,
                            "Invalid compatibility policy. Valid values are strict and lenient",
                        ));
                    }
                });
            }
            other => {
                let can = "compatibility, compatibilityPolicy and normalize";
                return Err(Fault::new(422, format!("this registry can't be set `{other}`; it knows {can}")));
            }
        }
    }
    Ok(config)
}

/// What was set is answered in the words of the request: `compatibility`.
fn set(config: &Config) -> Value {
    let mut value = json!(config);
    if let Value::Object(fields) = &mut value
        && let Some(level) = fields.shift_remove("compatibilityLevel")
    {
        fields.insert("compatibility".into(), level);
    }
    value
}

pub async fn config(State(registry): Shared) -> Answer<Reply<Config>> {
    Ok(Reply(registry.global_config().await?))
}

pub async fn set_config(State(registry): Shared, body: Bytes) -> Answer<Reply<Value>> {
    Ok(Reply(set(&registry.set_config(None, wanted(&body)?).await?)))
}

pub async fn unset_config(State(registry): Shared) -> Answer<Reply<Config>> {
    Ok(Reply(registry.unset_config(None).await?))
}

pub async fn subject_config(
    State(registry): Shared,
    Path(subject): Path<String>,
    Asked(query): Asked<Query>,
) -> Answer<Reply<Config>> {
    Ok(Reply(registry.config(&subject, query.default_to_global).await?))
}

pub async fn set_subject_config(
    State(registry): Shared,
    Path(subject): Path<String>,
    body: Bytes,
) -> Answer<Reply<Value>> {
    Ok(Reply(set(&registry.set_config(Some(&subject), wanted(&body)?).await?)))
}

pub async fn unset_subject_config(State(registry): Shared, Path(subject): Path<String>) -> Answer<Reply<Config>> {
    Ok(Reply(registry.unset_config(Some(&subject)).await?))
}

fn wanted_mode(bytes: &[u8]) -> Answer<Mode> {
    let fields: Map<String, Value> = ask::body(bytes)?;
    let mode = fields.get("mode").and_then(Value::as_str).and_then(Mode::parse);
    mode.ok_or_else(|| Fault::new(42204, "Invalid mode. Valid values are READWRITE, READONLY and IMPORT"))
}

fn told(mode: Mode) -> Reply<Value> {
    Reply(json!({ "mode": mode }))
}

pub async fn mode(State(registry): Shared) -> Answer<Reply<Value>> {
    registry.mode(None, true).await.map(told)
}

pub async fn set_mode(State(registry): Shared, Asked(query): Asked<Query>, body: Bytes) -> Answer<Reply<Value>> {
    let mode = wanted_mode(&body)?;
    registry.set_mode(None, mode, query.force).await.map(|()| told(mode))
}

pub async fn unset_mode(State(registry): Shared) -> Answer<Reply<Value>> {
    registry.unset_mode(None).await.map(told)
}

pub async fn subject_mode(
    State(registry): Shared,
    Path(subject): Path<String>,
    Asked(query): Asked<Query>,
) -> Answer<Reply<Value>> {
    registry.mode(Some(&subject), query.default_to_global).await.map(told)
}

pub async fn set_subject_mode(
    State(registry): Shared,
    Path(subject): Path<String>,
    Asked(query): Asked<Query>,
    body: Bytes,
) -> Answer<Reply<Value>> {
    let mode = wanted_mode(&body)?;
    registry.set_mode(Some(&subject), mode, query.force).await.map(|()| told(mode))
}

pub async fn unset_subject_mode(State(registry): Shared, Path(subject): Path<String>) -> Answer<Reply<Value>> {
    registry.unset_mode(Some(&subject)).await.map(told)
}
