use super::carriers::{Carrier, Carriers, Place};
use crate::cli::Context;
use crate::commands::Outcome;
use crate::show::{self, Format};
use crate::wiring::Wiring;
use crate::wiring::keys::{Keys, LakeKeys};
use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use futures::StreamExt;
use kernel::engine::{Engine, Session};
use kernel::error::{Error, Result, advice};
use privacy::keys::Carried;
use serde::Serialize;

#[derive(Serialize)]
struct Status {
    /// The key file, or the key system and its key.
    keys: String,
    /// Whether the newest key can be had now.
    available: bool,
    /// Why not.
    problem: Option<String>,
    /// The version that masks use.
    carried: u32,
    /// A rotation to this version has begun and not ended.
    begun: Option<u32>,
    versions: Vec<VersionStatus>,
}

#[derive(Serialize)]
struct VersionStatus {
    version: u32,
    /// RFC 3339, UTC; unknown for key files of older programs.
    made_at: Option<String>,
    state: State,
    columns: Vec<ColumnStatus>,
}

#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Masks use it.
    Used,
    /// Made, and no table carries it yet.
    Waiting,
    /// Opens what was made with it.
    Older,
    /// Tables carry it, and the keys don't have it: what it made can't be opened.
    Lost,
}

/// How many values of a column carry a version.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct ColumnStatus {
    pub table: String,
    pub column: String,
    #[serde(skip)]
    pub version: u32,
    pub values: u64,
}

pub async fn run(context: &Context, wiring: &Wiring) -> Outcome {
    let keys = Keys::open(wiring).await?;
    let carried = Carried::read(&LakeKeys(wiring.store.clone())).await?;
    let problem = keys.probe().await.err();
    let carriers = Carriers::of(&wiring.project, &wiring.store).await?;
    let columns = carried_by(wiring, &carriers.found).await?;
    let status = Status {
        keys: keys.describe(),
        available: problem.is_none(),
        problem: problem.as_ref().map(ToString::to_string),
        carried: carried.version(),
        begun: carried.begun,
        versions: versions(&keys, carried, &columns),
    };
    print(context, &status)?;
    Ok(problem.map_or(0, |error| advice(error.kind).exit))
}

fn versions(keys: &Keys, carried: Carried, columns: &[ColumnStatus]) -> Vec<VersionStatus> {
    let had = keys.versions();
    let mut numbers: Vec<u32> = had.iter().map(|v| v.number).chain(columns.iter().map(|c| c.version)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let told = |number: u32| {
        let version = had.iter().find(|version| version.number == number);
        VersionStatus {
            version: number,
            made_at: version.and_then(|version| version.made_at.clone()),
            state: match version {
                None => State::Lost,
                Some(_) if number == carried.version() => State::Used,
                Some(_) if number > carried.version() => State::Waiting,
                Some(_) => State::Older,
            },
            columns: columns.iter().filter(|column| column.version == number).cloned().collect(),
        }
    };
    numbers.into_iter().map(told).collect()
}

fn print(context: &Context, status: &Status) -> Result<()> {
    if context.format == Format::Json {
        let text = serde_json::to_string(status).map_err(|e| Error::internal("print the keys", &e))?;
        println!("{text}");
        return Ok(());
    }
    show::say(context.format, &format!("{}: {}", status.keys, status.problem.as_deref().unwrap_or("available")));
    // A line for each column that carries a version, or one for a version that none carries.
    let lines = status.versions.iter().flat_map(|version| {
        let none = version.columns.is_empty().then_some((version, None));
        version.columns.iter().map(move |column| (version, Some(column))).chain(none)
    });
    type Line<'a> = (&'a VersionStatus, Option<&'a ColumnStatus>);
    show::print_records(
        context.format,
        &lines.collect::<Vec<Line>>(),
        &[
            ("version", &|(v, _)| v.version.to_string()),
            ("made", &|(v, _)| v.made_at.clone().unwrap_or_default()),
            ("state", &|(v, _)| format!("{:?}", v.state).to_lowercase()),
            ("carried by", &|(_, c)| c.map(|c| format!("{}.{}", c.table, c.column)).unwrap_or_default()),
            ("values", &|(_, c)| c.map(|c| show::count(c.values)).unwrap_or_default()),
        ],
    )?;
    if let Some(begun) = status.begun {
        show::say(context.format, &format!("a rotation to version {begun} was cut off; `lavra keys rotate` ends it"));
    }
    Ok(())
}

/// Counts the values of each version in these columns: the tables themselves are asked, not a sample of them.
pub async fn carried_by(wiring: &Wiring, carriers: &[Carrier]) -> Result<Vec<ColumnStatus>> {
    let mut found = Vec::new();
    for carrier in carriers {
        let (table, quoted) = (carrier.table.to_string(), |name: &str| name.replace('"', "\"\""));
        let (column, value) = match &carrier.place {
            Place::Column(name) => (name.clone(), format!("\"{}\"", quoted(name))),
            Place::Field(name) => {
                let field = regex_of(name).replace('\'', "''");
                (
                    format!("row: {name}"),
                    format!("substr(regexp_match(\"row\", '\"{field}\":\"[^\"]*')[1], {})", name.chars().count() + 5),
                )
            }
        };
        // The version of `p2_…` and of `2.…`: what `privacy::mask::version_of` reads, in SQL.
        let version = format!(
            "regexp_match({value}, '^(?:p([0-9]+)_[a-z2-7]{{26}}|([0-9]+)[.](?:siv|[A-Za-z0-9_-]{{16}})[.][A-Za-z0-9_-]{{22,}})$')"
        );
        let sql = format!(
            "select v, count(*) as n from (select try_cast(coalesce({version}[1], {version}[2]) as bigint) as v from {table}) \
             where v is not null group by 1 order by 1"
        );
        let mut rows = wiring.engine.query(&Session::owner("keys"), &sql).await?;
        while let Some(batch) = rows.batches.next().await {
            let batch = batch?;
            let number = |at: usize| -> Result<Vec<i64>> {
                let numbers =
                    cast(batch.column(at), &DataType::Int64).map_err(|e| Error::internal("count versions", &e))?;
                Ok(numbers.as_primitive::<Int64Type>().values().to_vec())
            };
            for (version, values) in number(0)?.into_iter().zip(number(1)?) {
                let (version, values) = (u32::try_from(version).unwrap_or_default(), values.unsigned_abs());
                found.push(ColumnStatus { table: table.clone(), column: column.clone(), version, values });
            }
        }
    }
    Ok(found)
}

/// A name as it stands in a pattern.
fn regex_of(name: &str) -> String {
    name.chars().flat_map(|c| if c.is_alphanumeric() || c == '_' { vec![c] } else { vec!['\\', c] }).collect()
}
