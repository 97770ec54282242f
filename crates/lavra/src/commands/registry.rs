use super::Outcome;
use crate::cli::Context;
use crate::show::{self, Format};
use crate::wiring::{Wiring, refuse};
use govern::registry::{Level, Password, Registered, Registry, SchemaType, Schemas, Verdict, router, router_for};
use kernel::error::{Error, Kind, Result, io};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;

/// The schemas of events: those of contracts are registered by `lavra run`, others by any client of the Confluent API.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lavra registry list                                    subjects and their last versions
  lavra registry show shop.bronze.orders-value           the last schema
  lavra registry check                                   whether the contracts go with what is registered
  lavra registry level shop.bronze.orders-value FULL     which changes a subject allows
  lavra registry serve                                   the Confluent REST API on http://127.0.0.1:8081")]
pub struct RegistryCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Subjects and their last versions
    List,
    /// A schema
    Show {
        subject: String,
        /// The version [default: the last one]
        #[arg(long, value_name = "N")]
        version: Option<i32>,
    },
    /// Hold the contracts against what is registered; nothing is changed
    Check,
    /// Which changes a subject allows: show it, or set it
    Level {
        subject: String,
        /// NONE, BACKWARD, FORWARD, FULL, or one of the last three with _TRANSITIVE
        level: Option<String>,
    },
    /// Serve the embedded registry over HTTP until interrupted
    Serve(Serve),
}

#[derive(clap::Args)]
struct Serve {
    /// Where to listen; beyond this machine only with --user
    #[arg(long, default_value = "127.0.0.1:8081", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Who has to sign in, with the password in LAVRA_REGISTRY_PASSWORD
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

pub async fn run(context: &Context, args: RegistryCommand) -> Outcome {
    let wiring = Wiring::open(context.ask()?).await?;
    match args.action {
        Action::List => list(context, wiring.registry_if_any().await?).await?,
        Action::Show { subject, version } => show_one(context, wiring.registry().await?, &subject, version).await?,
        Action::Check => return check(context, &wiring).await.map_err(Into::into),
        Action::Level { subject, level } => self::level(context, wiring.registry().await?, &subject, level).await?,
        Action::Serve(args) => serve(context, &wiring, args).await?,
    }
    Ok(0)
}

async fn list(context: &Context, registry: Option<Arc<dyn Schemas>>) -> Result<()> {
    let all = match registry {
        Some(registry) => registry.list().await?,
        None => Vec::new(),
    };
    show::print_records(
        context.format,
        &all,
        &[
            ("subject", &|s| s.subject.clone()),
            ("version", &|s| s.version.to_string()),
            ("id", &|s| s.id.to_string()),
            ("versions", &|s| s.versions.to_string()),
        ],
    )
}

async fn show_one(context: &Context, registry: Arc<dyn Schemas>, subject: &str, version: Option<i32>) -> Result<()> {
    let Some(found) = registry.version(subject, version).await? else {
        let all = registry.list().await?;
        let near = kernel::suggest::hint(subject, all.iter().map(|one| one.subject.as_str()));
        let near = near.unwrap_or_else(|| "`lavra registry list` shows what there is".to_owned());
        let which = version.map_or(String::new(), |version| format!("version {version} of "));
        return Err(Error::project("show a schema", format!("{which}`{subject}` is not registered; {near}")));
    };
    let level = registry.level(subject).await?;
    print_schema(context.format, &found, level)
}

fn print_schema(format: Format, found: &Registered, level: Level) -> Result<()> {
    let definition = &found.definition;
    if format == Format::Json {
        let document = json!({
            "subject": found.subject, "version": found.version, "id": found.id, "level": level,
            "type": definition.schema_type, "references": definition.references, "schema": definition.schema,
        });
        println!("{}", serde_json::to_string_pretty(&document).map_err(|e| Error::internal("print", e))?);
        return Ok(());
    }
    let (version, id, of) = (found.version, found.id, definition.schema_type.name());
    show::say(format, &format!("{} version {version}, id {id}, {of}, {}", found.subject, level.name()));
    for reference in &definition.references {
        show::say(
            format,
            &format!("refers to {} as {} version {}", reference.name, reference.subject, reference.version),
        );
    }
    let text = match definition.schema_type {
        SchemaType::Protobuf => definition.schema.clone(),
        SchemaType::Avro | SchemaType::Json => pretty(&definition.schema),
    };
    println!("{}", text.trim_end());
    Ok(())
}

fn pretty(text: &str) -> String {
    let value: Option<serde_json::Value> = serde_json::from_str(text).ok();
    value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| text.to_owned())
}

/// Ends with exit code 3 when a contract does not go with what is registered.
async fn check(context: &Context, wiring: &Wiring) -> Result<u8> {
    let registry = wiring.registry_if_any().await?;
    let sources: Vec<_> = wiring.project.sources.iter().collect();
    let all = wiring.check_schemas(registry.as_deref(), &sources).await?;
    show::print_records(
        context.format,
        &all,
        &[
            ("table", &|c| c.table.clone()),
            ("subject", &|c| c.subject.clone()),
            ("change", &|c| word(&c.verdict).to_owned()),
            ("version", &|c| version(&c.verdict)),
        ],
    )?;
    match refuse(&all) {
        Ok(()) => Ok(0),
        // The document on stdout says it already.
        Err(error) if context.format == Format::Json => {
            eprintln!("error: {error}");
            Ok(kernel::advice(Kind::Refused).exit)
        }
        Err(error) => Err(error),
    }
}

/// What becomes of a schema, in a word.
pub fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::New => "new",
        Verdict::Same { .. } => "same",
        Verdict::Changed { .. } => "changed",
        Verdict::Incompatible { .. } => "incompatible",
    }
}

fn version(verdict: &Verdict) -> String {
    match verdict {
        Verdict::New => String::new(),
        Verdict::Same { version, .. } | Verdict::Incompatible { version, .. } => version.to_string(),
        Verdict::Changed { after } => after.to_string(),
    }
}

async fn level(context: &Context, registry: Arc<dyn Schemas>, subject: &str, level: Option<String>) -> Result<()> {
    if let Some(text) = level {
        let level = Level::parse(&text).ok_or_else(|| {
            let all = Level::ALL.map(Level::name);
            let near = kernel::suggest::hint(&text.to_uppercase(), all).unwrap_or_default();
            Error::project("set what a subject allows", format!("`{text}` is none of {}; {near}", all.join(", ")))
        })?;
        registry.set_level(subject, level).await?;
    }
    let level = registry.level(subject).await?;
    match context.format {
        Format::Json => println!("{}", json!({ "subject": subject, "level": level })),
        Format::Table | Format::Csv => println!("{subject}: {}", level.name()),
    }
    Ok(())
}

async fn serve(context: &Context, wiring: &Wiring, args: Serve) -> Result<()> {
    if wiring.environment.registry.is_some() {
        let detail =
            format!("the environment `{}` has another registry; --env names one that has not", context.environment());
        return Err(Error::project("serve the embedded registry", detail));
    }
    let registry: Arc<Registry> = Arc::new(wiring.embedded_registry().await?);
    let app = match password(&args)? {
        Some(password) => router_for(registry, password),
        None => router(registry),
    };
    let listener = tokio::net::TcpListener::bind(args.listen).await;
    let listener = listener.map_err(|e| Error::new(Kind::Storage, format!("listen on {}", args.listen), e))?;
    let address = listener.local_addr().map_err(|e| io("listen", e))?;
    show::say(context.format, &format!("the schema registry listens on http://{address}"));
    axum::serve(listener, app).with_graceful_shutdown(told_to_stop()).await.map_err(|e| io("serve the registry", e))
}

/// Who is not on this machine has to sign in.
fn password(args: &Serve) -> Result<Option<Password>> {
    let secret = std::env::var("LAVRA_REGISTRY_PASSWORD").ok().filter(|secret| !secret.is_empty());
    match (&args.user, secret) {
        (Some(user), Some(secret)) => Ok(Some(Password::new(user, &secret))),
        (Some(_), None) => {
            Err(Error::project("serve the registry", "--user needs a password in LAVRA_REGISTRY_PASSWORD"))
        }
        (None, _) if args.listen.ip().is_loopback() => Ok(None),
        (None, _) => Err(Error::refused(
            "serve the registry",
            format!(
                "{} can be reached by others, who could change every schema; name who has to sign in by --user",
                args.listen
            ),
        )),
    }
}

async fn told_to_stop() {
    #[cfg(unix)]
    {
        let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
        if let Ok(mut terminate) = terminate {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
