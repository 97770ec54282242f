use super::Outcome;
use crate::cli::Context;
use crate::show::{self, Format};
use crate::wiring::Wiring;
use govern::audit::{Event, Record, records};
use kernel::error::Result;
use serde_json::json;

/// What was opened of what is hidden: by whom, when, and why.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lavra audit list                 the records, the oldest first
  lavra audit verify               whether each is as it was written (needs the keys)")]
pub struct Audit {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// The records, the oldest first
    List,
    /// Hold each record against its seal and the one before it
    Verify,
}

pub async fn run(context: &Context, args: Audit) -> Outcome {
    let wiring = Wiring::open(context.ask_to_read()?).await?;
    match args.action {
        Action::List => list(context, &wiring).await.map(|()| 0).map_err(Into::into),
        Action::Verify => verify(context, &wiring).await.map_err(Into::into),
    }
}

async fn list(context: &Context, wiring: &Wiring) -> Result<()> {
    let all = records(&wiring.audit.ledger().await?).await?;
    let opened = |record: &Record, of: fn(&str, &str, &str, &[String]) -> String| match &record.event {
        Event::Opened { user, reason, sql, grants } => of(user, reason, sql, grants),
        Event::Ended { .. } => String::new(),
    };
    show::print_records(
        context.format,
        &all,
        &[
            ("number", &|r| r.number.to_string()),
            ("at", &|r| r.at.clone()),
            ("what", &|r| what(&r.event)),
            ("user", &|r| opened(r, |user, _, _, _| user.to_owned())),
            ("reason", &|r| opened(r, |_, reason, _, _| reason.to_owned())),
            ("grants", &|r| opened(r, |_, _, _, grants| grants.join(", "))),
            ("query", &|r| opened(r, |_, _, sql, _| sql.to_owned())),
        ],
    )
}

fn what(event: &Event) -> String {
    match event {
        Event::Opened { .. } => "opened".into(),
        Event::Ended { of, rows, whole: true } => format!("{of} ended: {}", show::plural(*rows, "row")),
        Event::Ended { of, rows, whole: false } => format!("{of} failed after {}", show::plural(*rows, "row")),
    }
}

/// Exit code 1 when a record is not as it was written.
async fn verify(context: &Context, wiring: &Wiring) -> Result<u8> {
    wiring.open_keys().await?;
    let (count, last, broken) = wiring.audit.chain().await?.verify().await?;
    let code = u8::from(!broken.is_empty());
    if context.format == Format::Json {
        println!("{}", json!({ "records": count, "last_seal": last, "broken": broken }));
        return Ok(code);
    }
    for one in &broken {
        show::say(context.format, &format!("record {}: {}", one.number, one.why));
    }
    let verdict = if broken.is_empty() { "each as it was written" } else { "NOT as they were written" };
    show::say(context.format, &format!("{}, {verdict}", show::plural(count, "record")));
    if let Some(last) = last {
        show::say(
            context.format,
            &format!("last seal {last}: keep it elsewhere to see later whether records were cut off"),
        );
    }
    Ok(code)
}
