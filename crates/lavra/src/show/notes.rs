//! What the rooms tell by the way (a file left for a later run, a table made whole): a line each on stderr.

use super::Format;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Our own crates. What libraries say is for whoever mends them.
const ROOMS: [&str; 4] = ["connect", "lake", "orchestrate", "lavra"];

/// Shows notes from now on; with json, each is one document.
pub fn show(format: Format) {
    let ours = Targets::new().with_targets(ROOMS.map(|room| (room, Level::INFO)));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false).without_time();
    let lines = match format {
        Format::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
        Format::Table | Format::Csv => lines.with_ansi(false).boxed(),
    };
    // A second one would be a test's.
    let _ = tracing_subscriber::registry().with(lines.with_filter(ours)).try_init();
}
