//! `/subjects` and `/compatibility`.

use super::ask::{self, Query};
use super::{Reply, bare};
use crate::registry::percent::decoded;
use crate::registry::store::{Answer, Registry, Wanted, Which};
use axum::body::Bytes;
use axum::extract::{Path, Query as Asked, RawQuery, State};
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

type Shared = State<Arc<Registry>>;

pub async fn list(State(registry): Shared, Asked(query): Asked<Query>) -> Answer<Reply<Vec<String>>> {
    Ok(Reply(query.page().of(registry.list(query.prefix()?, query.which()).await?)))
}

pub async fn find(
    State(registry): Shared,
    Path(subject): Path<String>,
    Asked(query): Asked<Query>,
    body: Bytes,
) -> Answer<Reply<Value>> {
    let request = ask::request(&body, query.normalize)?;
    let found = registry.find(&subject, &request.definition, request.normalize, query.deleted).await?;
    let definition = registry.formatted(&found, &query.format).await?;
    Ok(Reply(ask::whole(&found, &definition)))
}

pub async fn delete(
    State(registry): Shared,
    Path(subject): Path<String>,
    Asked(query): Asked<Query>,
) -> Answer<Reply<Vec<i32>>> {
    Ok(Reply(registry.delete_subject(&subject, query.permanent).await?))
}

/// `key` and `value` come any number of times, which the other options do not.
pub async fn with_metadata(
    State(registry): Shared,
    Path(subject): Path<String>,
    RawQuery(raw): RawQuery,
) -> Answer<Reply<Value>> {
    let (mut keys, mut values, mut deleted, mut format) = (Vec::new(), Vec::new(), false, String::new());
    for (name, value) in pairs(raw.as_deref().unwrap_or_default()) {
        match name.as_str() {
            "key" => keys.push(value),
            "value" => values.push(value),
            "deleted" => deleted = value.eq_ignore_ascii_case("true"),
            "format" => format = value,
            _ => {}
        }
    }
    let wanted: Vec<(String, String)> = keys.into_iter().zip(values).collect();
    let found = registry.with_metadata(&subject, &wanted, deleted).await?;
    let definition = registry.formatted(&found, &format).await?;
    Ok(Reply(ask::whole(&found, &definition)))
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    let parts = parts.map(|part| part.split_once('=').unwrap_or((part, "")));
    let plain = |text: &str| decoded(&text.replace('+', " "));
    parts.map(|(name, value)| (plain(name), plain(value))).collect()
}

pub async fn versions(
    State(registry): Shared,
    Path(subject): Path<String>,
    Asked(query): Asked<Query>,
) -> Answer<Reply<Vec<i32>>> {
    Ok(Reply(query.page().of(registry.versions(&subject, query.which()).await?)))
}

pub async fn register(
    State(registry): Shared,
    Path(subject): Path<String>,
    Asked(query): Asked<Query>,
    body: Bytes,
) -> Answer<Reply<Value>> {
    let done = registry.register(&subject, &ask::request(&body, query.normalize)?).await?;
    // Without the schema: a client takes that of the answer for the one that it sent, and what it sent may be a descriptor.
    Ok(Reply(json!({ "id": done.id, "version": done.version, "guid": done.guid })))
}

pub async fn version(
    State(registry): Shared,
    Path((subject, version)): Path<(String, String)>,
    Asked(query): Asked<Query>,
) -> Answer<Reply<Value>> {
    let found = registry.version(&subject, ask::version(&version)?, query.deleted).await?;
    let definition = registry.formatted(&found, &query.format).await?;
    Ok(Reply(ask::whole(&found, &definition)))
}

pub async fn text(
    State(registry): Shared,
    Path((subject, version)): Path<(String, String)>,
    Asked(query): Asked<Query>,
) -> Answer<Response> {
    let found = registry.version(&subject, ask::version(&version)?, query.deleted).await?;
    Ok(bare(registry.formatted(&found, &query.format).await?.schema))
}

pub async fn delete_version(
    State(registry): Shared,
    Path((subject, version)): Path<(String, String)>,
    Asked(query): Asked<Query>,
) -> Answer<Reply<i32>> {
    Ok(Reply(registry.delete_version(&subject, ask::version(&version)?, query.permanent).await?))
}

pub async fn referenced_by(
    State(registry): Shared,
    Path((subject, version)): Path<(String, String)>,
    Asked(query): Asked<Query>,
) -> Answer<Reply<Vec<i32>>> {
    let found = registry.version(&subject, ask::version(&version)?, true).await?;
    let which = if query.deleted { Which::All } else { Which::Live };
    Ok(Reply(query.page().of(registry.referring(&found.subject, found.version, which).await?)))
}

pub async fn check_all(
    State(registry): Shared,
    Path(subject): Path<String>,
    Asked(query): Asked<Query>,
    body: Bytes,
) -> Answer<Reply<Value>> {
    compatible(&registry, &subject, &query, &body, Wanted::All).await
}

pub async fn check(
    State(registry): Shared,
    Path((subject, version)): Path<(String, String)>,
    Asked(query): Asked<Query>,
    body: Bytes,
) -> Answer<Reply<Value>> {
    let wanted = ask::version(&version)?.map_or(Wanted::Latest, Wanted::Version);
    compatible(&registry, &subject, &query, &body, wanted).await
}

async fn compatible(
    registry: &Registry,
    subject: &str,
    query: &Query,
    body: &[u8],
    wanted: Wanted,
) -> Answer<Reply<Value>> {
    let request = ask::request(body, query.normalize)?;
    let messages = match registry.check(subject, &request.definition, wanted, request.normalize).await {
        // Whoever wants to know why is told that it is no schema at all.
        Err(fault) if fault.code == 42201 && query.verbose => vec![fault.message],
        other => other?,
    };
    Ok(Reply(match query.verbose {
        true => json!({ "is_compatible": messages.is_empty(), "messages": messages }),
        false => json!({ "is_compatible": messages.is_empty() }),
    }))
}
