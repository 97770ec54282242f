//! `lavra keys`: what keys there are, and a new version of them.

mod bring;
mod carriers;
mod rotate;
mod status;

use super::Outcome;
use crate::cli::Context;
use crate::wiring::Wiring;
use std::sync::Arc;

/// The keys that masks are made with: their versions, and what carries them. See docs/keys.md.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lavra keys status                    the versions, which columns carry them, whether the keys can be had
  lavra keys status --format json
  lavra keys rotate                    make a new version, and bring the tables to it
  lavra keys rotate --env production")]
pub struct Keys {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// The versions, the columns that carry them, and whether the keys can be had now
    Status,
    /// Make a new version of the keys, or end a rotation that was cut off
    Rotate,
}

pub async fn run(context: &Context, args: Keys) -> Outcome {
    let wiring = Arc::new(Wiring::open(context.ask()?).await?);
    match args.action {
        Action::Status => status::run(context, &wiring).await,
        Action::Rotate => rotate::run(context, &wiring).await,
    }
}
