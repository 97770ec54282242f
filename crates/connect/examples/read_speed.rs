//! How fast files are read, with nothing behind: `cargo run --release -p connect --example read_speed -- FILE OPTIONS`,
//! where the options are JSON.

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock, and this is a program of its own")]

use connect::{Opening, by_name};
use kernel::clock::ManualClock;
use kernel::contract::{OnViolation, SchemaChange};
use kernel::{Entity, Error, Positions, Result};
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let usage = || Error::project("read_speed", "usage: read_speed FILE [OPTIONS]");
    let path = args.next().ok_or_else(usage)?;
    let mut options: serde_json::Value =
        serde_json::from_str(&args.next().unwrap_or_else(|| "{}".into())).map_err(|e| Error::project("options", e))?;
    options["path"] = json!(path);
    let batch_bytes = args.next().and_then(|bytes| bytes.parse().ok()).unwrap_or(8 << 20);
    let entity = Entity {
        name: "rows".into(),
        description: None,
        properties: Vec::new(),
        rules: Vec::new(),
        on_violation: OnViolation::default(),
        schema_change: SchemaChange::default(),
        on_personal_data: Default::default(),
    };
    let opening = Opening {
        source: "read_speed".into(),
        project: "test".into(),
        options,
        base: ".".into(),
        entity,
        from: Positions::new(),
        // Settings of object stores come from the environment here: AWS_ENDPOINT_URL and the like.
        store: std::env::vars().map(|(name, value)| (name.to_lowercase(), value)).collect(),
        clock: Arc::new(ManualClock::default()),
    };
    let spec = by_name("files").ok_or_else(usage)?;
    let bytes: u64 = spec.pending(&opening).await?.iter().filter_map(|file| file.bytes).sum();
    let mut source = spec.open(opening).await?;
    let (start, mut rows, mut malformed, mut batches) = (Instant::now(), 0, 0, 0);
    while let Some(pulled) = source.next(batch_bytes).await? {
        let Some(raw) = pulled.rows.into_raw() else { continue };
        rows += raw.num_rows();
        malformed += raw.num_malformed();
        batches += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    let mb = bytes as f64 / 1e6;
    println!(
        "{rows} rows, {malformed} malformed, {batches} batches, {mb:.0} MB in {seconds:.2} s: {:.0} MB/s",
        mb / seconds
    );
    Ok(())
}
