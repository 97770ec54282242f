use super::bring::Bring;
use super::carriers::Carriers;
use crate::cli::Context;
use crate::commands::Outcome;
use crate::project::STATE;
use crate::show::{self, Format};
use crate::wiring::Wiring;
use crate::wiring::keys::{Keys, LakeKeys};
use crate::work::ProjectWork;
use futures::StreamExt;
use kernel::TableName;
use kernel::engine::{Engine, Session};
use kernel::error::{Error, Kind, Result};
use kernel::keys::KeyProvider;
use lake::Rewriting;
use orchestrate::RunLock;
use privacy::keys::{self, Carried};
use serde::Serialize;
use std::sync::Arc;

/// What a rotation did.
#[derive(Serialize)]
struct Rotated {
    version: u32,
    /// Whether the version was made now; one that was there is what an earlier rotation left.
    made: bool,
    /// The version that masks use from now on.
    carried: u32,
    /// Tables that carried an older version and were rewritten.
    rewritten: Vec<String>,
    /// Columns made of tokens, which only a full refresh of their model brings along.
    computed: Vec<String>,
}

/// Each step can be done again: the version is made once, a table that carries it is left, and what the tables carry is
/// said only when all do.
pub async fn run(context: &Context, wiring: &Arc<Wiring>) -> Outcome {
    let _lock = RunLock::acquire(&wiring.ask.folder.join(STATE), "lavra keys rotate", wiring.clock.as_ref())?;
    let store = LakeKeys(wiring.store.clone());
    let mut keys = Keys::open(wiring).await?;
    let before = Carried::read(&store).await?;
    let (version, made) = next_version(wiring, &mut keys, before).await?;
    let carriers = Carriers::of(&wiring.project, &wiring.store).await?;
    let provider = keys.provider();
    let mut done = Rotated {
        version,
        made,
        carried: before.version(),
        rewritten: Vec::new(),
        computed: carriers.computed.clone(),
    };
    if version > before.version() {
        if wiring.environment.broker.is_some() && before.whole().is_ok() {
            // What waits in logs is masked with the older keys: it comes into the tables first.
            ProjectWork::new(wiring, uuid::Uuid::now_v7().to_string(), 1).await?.settle().await?;
        }
        done.rewritten = bring_all(wiring, &store, &carriers, version, &provider).await?;
        done.carried = version;
    }
    tell(context, &done)
}

/// Brings every table to the version, and says so when all carry it. Nothing is rewritten before each token was seen to open:
/// from the first table on nobody masks until the last one is done.
async fn bring_all(
    wiring: &Wiring,
    store: &LakeKeys,
    carriers: &Carriers,
    version: u32,
    keys: &Arc<dyn KeyProvider>,
) -> Result<Vec<String>> {
    let mut older = Vec::new();
    for (table, carriers) in carriers.by_table() {
        if carries_older(wiring, &table, &Bring { carriers: &carriers, to: version, keys }).await? {
            older.push((table, carriers));
        }
    }
    keys::begin(store, version, wiring.clock.now()).await?;
    let run_id = uuid::Uuid::now_v7().to_string();
    let how = Rewriting { run_id, note: format!("keys {version}"), is_forced: false, told_by: None };
    for (table, carriers) in &older {
        let bring = Bring { carriers, to: version, keys };
        lake::rewrite(&wiring.store, table, &|batch| bring.batch(batch), &how, wiring.clock.as_ref()).await?;
    }
    keys::finish(store, version, wiring.clock.now()).await?;
    Ok(older.into_iter().map(|(table, _)| table.to_string()).collect())
}

/// The version to bring the tables to, and whether it was made now. One that is there and is carried by no table is what an
/// earlier rotation left: it is taken, so that a rotation that was cut off and tried again makes one version, not two.
async fn next_version(wiring: &Wiring, keys: &mut Keys, carried: Carried) -> Result<(u32, bool)> {
    let newest = keys.newest();
    if newest > carried.version() {
        return Ok((newest, false));
    }
    let next = if newest == 0 { 1 } else { newest + 1 };
    match keys.add(wiring, next).await? {
        true => Ok((next, true)),
        false => {
            let detail = "another process has just made it; `lavra keys status` shows how far it is";
            Err(Error::new(Kind::Conflict, format!("make version {next} of the keys"), detail))
        }
    }
}

/// Whether a table holds tokens that are not of the new version. A token that can't be brought to it is an error.
async fn carries_older(wiring: &Wiring, table: &TableName, bring: &Bring<'_>) -> Result<bool> {
    let mut rows = wiring.engine.query(&Session::owner("keys"), &format!("select * from {table}")).await?;
    let mut carries = false;
    while let Some(batch) = rows.batches.next().await {
        carries |= bring.batch(&batch?)?.is_some();
    }
    Ok(carries)
}

fn tell(context: &Context, done: &Rotated) -> Outcome {
    let Rotated { version, carried, rewritten, computed, .. } = done;
    match context.format {
        Format::Json => {
            println!("{}", serde_json::to_string(done).map_err(|e| Error::internal("say what was done", &e))?)
        }
        Format::Csv => show::print_records(context.format, rewritten, &[("rewritten", &|table| table.clone())])?,
        Format::Table => {
            println!("version {version} of the keys {}", if done.made { "is made" } else { "was there already" });
            if !rewritten.is_empty() {
                println!("brought to it: {}", rewritten.join(", "));
            }
            println!("masks use version {carried} from now on");
        }
    }
    if !computed.is_empty() {
        show::say(
            context.format,
            &format!("computed from tokens, and made anew only by `lavra run --full-refresh`: {}", computed.join(", ")),
        );
    }
    Ok(0)
}
