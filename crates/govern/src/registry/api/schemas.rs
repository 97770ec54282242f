//! `/schemas`.

use super::ask::{self, Query};
use super::{Reply, bare};
use crate::registry::SchemaType;
use crate::registry::store::{Answer, Fault, Registered, Registry, Which};
use axum::extract::{Path, Query as Asked, State};
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

type Shared = State<Arc<Registry>>;

pub async fn list(State(registry): Shared, Asked(query): Asked<Query>) -> Answer<Reply<Vec<Value>>> {
    let all = registry.all(query.prefix()?, query.which(), query.latest_only).await?;
    Ok(Reply(query.page().of(all.iter().map(|found| ask::whole(found, &found.definition)))))
}

pub async fn types() -> Reply<Vec<&'static str>> {
    Reply(SchemaType::ALL.map(SchemaType::name).to_vec())
}

pub async fn by_id(
    State(registry): Shared,
    Path(id): Path<String>,
    Asked(query): Asked<Query>,
) -> Answer<Reply<Value>> {
    let found = registry.schema(ask::id(&id)?).await?;
    told(&registry, &found, &query.format).await
}

pub async fn by_guid(
    State(registry): Shared,
    Path(guid): Path<String>,
    Asked(query): Asked<Query>,
) -> Answer<Reply<Value>> {
    let found = registry.by_guid(&guid).await?;
    told(&registry, &found, &query.format).await
}

/// A schema with one of the places where it is.
async fn told(registry: &Registry, found: &Registered, format: &str) -> Answer<Reply<Value>> {
    let definition = registry.formatted(found, format).await?;
    let mut fields = ask::schema(&definition, &found.guid);
    fields.insert("subject".into(), json!(found.subject));
    fields.insert("version".into(), json!(found.version));
    Ok(Reply(Value::Object(fields)))
}

pub async fn ids_of_guid(State(registry): Shared, Path(guid): Path<String>) -> Answer<Reply<Value>> {
    let found = registry.by_guid(&guid).await?;
    Ok(Reply(json!([{ "context": ".", "id": found.id }])))
}

pub async fn text_by_id(
    State(registry): Shared,
    Path(id): Path<String>,
    Asked(query): Asked<Query>,
) -> Answer<Response> {
    let found = registry.schema(ask::id(&id)?).await?;
    Ok(bare(registry.formatted(&found, &query.format).await?.schema))
}

pub async fn subjects(
    State(registry): Shared,
    Path(id): Path<String>,
    Asked(query): Asked<Query>,
) -> Answer<Reply<Vec<String>>> {
    let mut names: Vec<String> = uses(&registry, &id, &query).await?.into_iter().map(|(subject, _)| subject).collect();
    names.dedup();
    Ok(Reply(query.page().of(names)))
}

pub async fn versions(
    State(registry): Shared,
    Path(id): Path<String>,
    Asked(query): Asked<Query>,
) -> Answer<Reply<Vec<Value>>> {
    let all = uses(&registry, &id, &query).await?;
    let all = all.into_iter().map(|(subject, version)| json!({ "subject": subject, "version": version }));
    Ok(Reply(query.page().of(all)))
}

async fn uses(registry: &Registry, id: &str, query: &Query) -> Answer<Vec<(String, i32)>> {
    let id = ask::id(id)?;
    let all = registry.uses(id, Which::All).await?;
    if all.is_empty() {
        return Err(Fault::schema_not_found());
    }
    let wanted = if query.deleted { all } else { registry.uses(id, Which::Live).await? };
    Ok(wanted.into_iter().filter(|(name, _)| query.subject.is_empty() || *name == query.subject).collect())
}
