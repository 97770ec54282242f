use super::bring::Bring;
use super::carriers::Carriers;
use crate::cli::Context;
use crate::commands::Outcome;
use crate::project::STATE;
use crate::show::{self, Format};
use crate::wiring::Wiring;
use crate::wiring::keys::{Keys, LakeKeys};
use futures::StreamExt;
use kernel::TableName;
use kernel::engine::{Engine, Session};
use kernel::error::{Error, Kind, Result};
use orchestrate::RunLock;
use privacy::keys::{self, Carried};
use serde::Serialize;

/// What a rotation did.
#[derive(Serialize)]
struct Rotated {
    version: u32,
    /// Whether the version was made now; one that was there is what an earlier rotation left.
    made: bool,
    /// The version that masks use from now on.
    carried: u32,
    /// Tables that carry an older version still; until they don't, masks go on with that one.
    waiting: Vec<String>,
    /// Columns made of tokens, which only a full refresh of their model brings along.
    computed: Vec<String>,
}

/// Each step can be done again: the version is made once, a table that carries it is left, and what the tables carry is
/// said only when all do.
pub async fn run(context: &Context, wiring: &Wiring) -> Outcome {
    let _lock = RunLock::acquire(&wiring.ask.folder.join(STATE), "lavra keys rotate", wiring.clock.as_ref())?;
    let store = LakeKeys(wiring.store.clone());
    let mut keys = Keys::open(wiring).await?;
    let before = Carried::read(&store).await?;
    let (version, made) = next_version(wiring, &mut keys, before).await?;
    let carriers = Carriers::of(&wiring.project, &wiring.store).await?;
    let provider = keys.provider();
    let mut done =
        Rotated { version, made, carried: before.version(), waiting: Vec::new(), computed: carriers.computed.clone() };
    if version > before.version() {
        for (table, carriers) in carriers.by_table() {
            // HERE the lake's rewriting belongs: `keys::begin` before the first table, then each table file by file with
            // `bring.batch`, in a commit that keeps positions and tells models that nothing is new. As long as there is
            // none, a table with older tokens waits, and so does the new version.
            let bring = Bring { carriers: &carriers, to: version, keys: &*provider };
            if waits(wiring, &table, &bring).await? {
                done.waiting.push(table.to_string());
            }
        }
        if done.waiting.is_empty() {
            keys::finish(&store, version, wiring.clock.now()).await?;
            done.carried = version;
        }
    }
    tell(context, &done)
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

/// Whether a table holds tokens that are not of the new version. A token that can't be brought to it is an error: then
/// nothing is rotated.
async fn waits(wiring: &Wiring, table: &TableName, bring: &Bring<'_>) -> Result<bool> {
    let mut rows = wiring.engine.query(&Session::owner("keys"), &format!("select * from {table}")).await?;
    while let Some(batch) = rows.batches.next().await {
        if bring.batch(&batch?)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn tell(context: &Context, done: &Rotated) -> Outcome {
    let Rotated { version, carried, waiting, computed, .. } = done;
    match context.format {
        Format::Json => {
            println!("{}", serde_json::to_string(done).map_err(|e| Error::internal("say what was done", &e))?)
        }
        Format::Csv => show::print_records(context.format, waiting, &[("waiting", &|table| table.clone())])?,
        Format::Table => {
            println!("version {version} of the keys {}", if done.made { "is made" } else { "was there already" });
            match waiting.is_empty() {
                true => println!("masks use version {carried} from now on"),
                false => println!(
                    "{} carry an older version: masks go on with version {carried}, so that every join holds, until a rotation has \
                     rewritten these tables",
                    waiting.join(", ")
                ),
            }
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
