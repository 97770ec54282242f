//! What the project says of its personal data, without a word of our own: what it does not say is listed as missing.

use crate::project::{Carried, Compiled, LegalHold, Nearness, Source, Upkeep, Verdict, nearest, verdicts};
use crate::wiring::{KEY_FILE, Wiring};
use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use futures::StreamExt;
use kernel::diagnostic::Diagnostic;
use kernel::engine::{Engine, Session};
use kernel::error::{Error, Result, redacted};
use lake::{At, Table};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Serialize)]
pub struct Facts {
    pub project: String,
    pub environment: String,
    /// RFC 3339, UTC.
    pub made_at: String,
    pub lavra: &'static str,
    pub controller: Option<String>,
    pub operator: Option<String>,
    pub dpo: Option<String>,
    pub lake: String,
    pub keys: String,
    pub upkeep: Upkeep,
    pub group_floor: u64,
    pub measures: Vec<String>,
    /// One for each contract with personal data.
    pub activities: Vec<Activity>,
    /// Tables made from others that carry personal data.
    pub flows: Vec<Flow>,
    pub retention: Vec<Kept>,
    /// What the law keeps today, by table, and by person.
    pub holds: BTreeMap<String, LegalHold>,
    pub missing: Vec<Missing>,
    /// What the project's own check refuses.
    pub refused: Vec<Diagnostic>,
    pub complies: bool,
}

#[derive(Serialize)]
pub struct Activity {
    pub contract: String,
    pub version: String,
    pub name: String,
    pub domain: Option<String>,
    pub owner: Option<String>,
    pub controller: Option<String>,
    pub purpose: Option<String>,
    pub legal_basis: Option<String>,
    pub data_subjects: Option<String>,
    pub recipients: Option<String>,
    pub international_transfers: Option<String>,
    pub retention_days: Option<u32>,
    pub sources: Vec<String>,
    pub columns: Vec<Column>,
}

#[derive(Serialize)]
pub struct Column {
    pub table: String,
    pub column: String,
    pub classification: String,
    pub mask: String,
    pub nearness: Nearness,
}

#[derive(Serialize)]
pub struct Flow {
    pub table: String,
    pub made_from: Vec<String>,
    pub columns: Vec<Exposed>,
    /// The measures of re-identification that the model is held to.
    pub checks: Vec<&'static str>,
}

#[derive(Serialize)]
pub struct Exposed {
    pub column: String,
    pub carries: Vec<String>,
    pub nearness: Nearness,
    pub reason: Option<String>,
}

/// A table against the deadline and against its contract.
#[derive(Serialize)]
pub struct Kept {
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Rows and the age of the oldest, of a source's table that has data.
    pub rows: Option<u64>,
    pub oldest_days: Option<u32>,
    /// The oldest row is older than the contract lets it be.
    pub overdue: bool,
}

/// A fact that nobody stated. The names of `what` are those of the keys above.
#[derive(Serialize)]
pub struct Missing {
    pub what: &'static str,
    /// The file, and the key in it.
    pub file: String,
    pub key: String,
}

pub async fn gather(wiring: &Wiring) -> Result<Facts> {
    let project = &wiring.project;
    let privacy = &project.config.privacy;
    let kept = project.config.upkeep();
    let activities = activities(project);
    let mut retention = Vec::new();
    for verdict in verdicts(kept, &project.sources, &project.models, &project.contracts, &project.carrying) {
        retention.push(against_data(wiring, verdict).await?);
    }
    let complies = project.refused.is_empty() && retention.iter().all(|kept| kept.verdict.complies && !kept.overdue);
    Ok(Facts {
        project: project.config.project.clone(),
        environment: wiring.ask.environment.clone(),
        made_at: crate::show::rfc3339(wiring.clock.now().0),
        lavra: env!("CARGO_PKG_VERSION"),
        controller: privacy.controller.clone(),
        operator: privacy.operator.clone(),
        dpo: privacy.dpo.clone(),
        lake: redacted(wiring.environment.lake.as_deref().unwrap_or("lake")),
        keys: redacted(wiring.environment.keys.as_deref().unwrap_or(KEY_FILE)),
        upkeep: kept,
        group_floor: privacy.floor(),
        measures: privacy.measures.clone(),
        missing: missing(project, &activities),
        activities,
        flows: flows(project),
        retention,
        holds: holds(wiring),
        refused: project.refused.clone(),
        complies,
    })
}

fn holds(wiring: &Wiring) -> BTreeMap<String, LegalHold> {
    let held = wiring.held();
    held.tables.into_iter().map(|(table, hold)| (table.to_string(), hold)).chain(held.people).collect()
}

fn activities(project: &Compiled) -> Vec<Activity> {
    let mut by_contract: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
    for source in &project.sources {
        by_contract.entry(source.contract_name()).or_default().push(source);
    }
    let all = by_contract.into_iter().filter_map(|(name, sources)| activity(project, name, &sources));
    all.filter(|activity| !activity.columns.is_empty()).collect()
}

fn activity(project: &Compiled, name: &str, sources: &[&Source]) -> Option<Activity> {
    let file = project.contracts.get(name)?;
    let odcs = &file.draft.value;
    let said = |key: &str| {
        let custom = odcs.custom_properties.iter().flatten().find(|custom| custom.property == key)?;
        words(&custom.value).filter(|text| !text.trim().is_empty())
    };
    let described = odcs.description.as_ref().and_then(|description| description.purpose.clone());
    let mut columns = Vec::new();
    for source in sources {
        let table = source.table.to_string();
        let carried = project.carrying.get(&table).into_iter().flatten();
        columns.extend(carried.flat_map(|(name, all)| all.iter().map(|carried| column(&table, name, carried))));
    }
    Some(Activity {
        contract: name.to_owned(),
        version: odcs.version.clone(),
        name: odcs.name.clone().unwrap_or_else(|| name.to_owned()),
        domain: odcs.domain.clone(),
        owner: file.contract.owner.clone(),
        controller: said("controller").or_else(|| project.config.privacy.controller.clone()),
        purpose: said("purpose").or(described),
        legal_basis: said("legal_basis"),
        data_subjects: said("data_subjects"),
        recipients: said("recipients"),
        international_transfers: said("international_transfers"),
        retention_days: file.contract.retention_days,
        sources: sources.iter().map(|source| source.name.clone()).collect(),
        columns,
    })
}

fn column(table: &str, name: &str, carried: &Carried) -> Column {
    Column {
        table: table.to_owned(),
        column: name.to_owned(),
        classification: carried.class.clone(),
        mask: carried.mask.clone(),
        nearness: carried.nearness,
    }
}

/// A text, or a list of texts.
fn words(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => Some(list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")),
        _ => None,
    }
}

fn flows(project: &Compiled) -> Vec<Flow> {
    let mut all = Vec::new();
    for model in &project.models {
        let carried = project.carrying.get(&model.name.to_string()).into_iter().flatten();
        let exposed = carried.filter_map(|(column, all)| {
            Some(Exposed {
                column: column.clone(),
                nearness: nearest(all)?.nearness,
                carries: all.iter().map(ToString::to_string).collect(),
                reason: model.header.exposes.reason(column).map(str::to_owned),
            })
        });
        let columns: Vec<Exposed> = exposed.collect();
        if columns.is_empty() {
            continue;
        }
        let checks = &model.header.checks;
        let asked = [
            ("k_anonymity", checks.k_anonymity.is_some()),
            ("l_diversity", checks.l_diversity.is_some()),
            ("t_closeness", checks.t_closeness.is_some()),
            ("uniqueness", checks.uniqueness.is_some()),
            ("group_size", checks.group_size.is_some()),
        ];
        all.push(Flow {
            table: model.name.to_string(),
            made_from: model.reads.iter().map(ToString::to_string).collect(),
            columns,
            checks: asked.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect(),
        });
    }
    all
}

fn missing(project: &Compiled, activities: &[Activity]) -> Vec<Missing> {
    let privacy = &project.config.privacy;
    let mut all = Vec::new();
    let mut ask = |is_stated: bool, what, file: &str, key: String| {
        if !is_stated {
            all.push(Missing { what, file: file.to_owned(), key });
        }
    };
    let stated_below = !activities.is_empty() && activities.iter().all(|activity| activity.controller.is_some());
    let controller = privacy.controller.is_some() || stated_below;
    ask(controller, "controller", "lavra.yaml", "privacy: controller".into());
    ask(privacy.dpo.is_some(), "dpo", "lavra.yaml", "privacy: dpo".into());
    for activity in activities {
        let file = format!("contracts/{}.yaml", activity.contract);
        let custom = |name: &str| format!("customProperties: {name}");
        ask(activity.owner.is_some(), "owner", &file, "team: members, role: owner".into());
        ask(activity.purpose.is_some(), "purpose", &file, "description: purpose".into());
        ask(activity.legal_basis.is_some(), "legal_basis", &file, custom("legal_basis"));
        ask(activity.data_subjects.is_some(), "data_subjects", &file, custom("data_subjects"));
        ask(activity.recipients.is_some(), "recipients", &file, custom("recipients"));
        let transfers = activity.international_transfers.is_some();
        ask(transfers, "international_transfers", &file, custom("international_transfers"));
        ask(activity.retention_days.is_some(), "retention", &file, "slaProperties: retention".into());
    }
    all
}

const DAY_MICROS: i64 = 86_400_000_000;

async fn against_data(wiring: &Wiring, verdict: Verdict) -> Result<Kept> {
    let source = wiring.project.sources.iter().find(|source| source.table.to_string() == verdict.table);
    let table = match source {
        Some(source) => Table::open(&wiring.store, &source.table, At::Latest).await?,
        None => None,
    };
    let Some(table) = table else { return Ok(Kept { verdict, rows: None, oldest_days: None, overdue: false }) };
    let sql = format!("select arrow_cast(min(_ingested_at), 'Timestamp(Microsecond, None)') from {}", verdict.table);
    let mut rows = wiring.engine.query(&Session::owner("privacy report"), &sql).await?.batches;
    let mut oldest = None;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let times = batch.column(0).as_primitive_opt::<TimestampMicrosecondType>();
        let times = times.ok_or_else(|| Error::internal("read the oldest row", "its time has another type"))?;
        oldest = oldest.or_else(|| times.iter().flatten().next());
    }
    let age = oldest.map(|at| wiring.clock.now().0.saturating_sub(at).max(0) / DAY_MICROS);
    let oldest_days = age.map(|days| u32::try_from(days).unwrap_or(u32::MAX));
    let is_held = source.is_some_and(|source| holds(wiring).contains_key(&source.table.to_string()));
    let overdue = !is_held && oldest_days.zip(verdict.retention_days).is_some_and(|(age, most)| age > most);
    Ok(Kept { rows: table.num_rows(), oldest_days, overdue, verdict })
}
