//! What people and programs see.

pub mod notes;
mod progress;
mod rows;
mod summary;

pub use progress::Progress;
pub use rows::{Printer, Write, csv, json, ndjson, print_batches, print_records};
pub use summary::{summary, upkeep};

use crate::project::{Compiled, Files};
use kernel::diagnostic::{Diagnostic, Severity};
use kernel::error::{Error, Kind, advice};
use serde_json::json as document;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Table,
    Json,
    Csv,
}

/// A line for people: on stdout beside tables, else out of the way of what programs read.
pub fn say(format: Format, text: &str) {
    match format {
        Format::Table => println!("{text}"),
        Format::Json | Format::Csv => eprintln!("{text}"),
    }
}

/// Prints an error; gives the exit code.
pub fn error(format: Format, error: &Error) -> u8 {
    let advice = advice(error.kind);
    error_document(format, error);
    eprintln!("error: {error}");
    eprintln!("  {}", advice.sentence);
    advice.exit
}

/// An error as the one document on stdout, where that is asked for.
pub fn error_document(format: Format, error: &Error) {
    if format != Format::Json {
        return;
    }
    let advice = advice(error.kind);
    println!(
        "{}",
        document!({
            "error": error.to_string(), "kind": advice.page, "what": error.what, "detail": error.detail,
            "advice": advice.sentence,
        })
    );
}

/// What a project's author should know though nothing is wrong, on stderr: for people, or an event like those of a run.
pub fn warnings(format: Format, project: &Compiled) {
    for warning in &project.warnings {
        match format {
            Format::Json => eprintln!("{}", document!({ "event": "warning", "warning": warning })),
            Format::Table | Format::Csv => eprintln!("{}", project.files.render(warning)),
        }
    }
}

/// Prints the faults of a project; gives the exit code: that of what is refused when nothing else is wrong.
pub fn faults(format: Format, files: &Files, faults: &[Diagnostic]) -> u8 {
    let is_refused = faults.iter().all(|fault| fault.severity == Severity::Refused);
    let advice = advice(if is_refused { Kind::Refused } else { Kind::Project });
    if format == Format::Json {
        println!("{}", document!({ "kind": advice.page, "faults": faults }));
        return advice.exit;
    }
    for fault in faults {
        eprintln!("{}", files.render(fault));
    }
    let count = faults.len();
    eprintln!("{count} fault{}. Nothing was run.", if count == 1 { "" } else { "s" });
    advice.exit
}

/// `512MiB`, `4GiB`, `1000000`
pub fn parse_bytes(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor: f64 = match unit.trim().to_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "ki" | "kib" => 1024.0,
        "mi" | "mib" => 1024.0 * 1024.0,
        "gi" | "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(format!("`{unit}` is no unit; write 512MiB or 4GiB")),
    };
    let number: f64 = number.parse().map_err(|_| format!("`{text}` is no size; write 512MiB or 4GiB"))?;
    let bytes = number * factor;
    if bytes < 16.0 * 1024.0 * 1024.0 {
        return Err("at least 16MiB are needed".into());
    }
    Ok(bytes as usize)
}

/// Half of the machine's memory, or 2 GiB where that can't be read.
pub fn half_of_memory() -> usize {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.trim().parse::<usize>().ok());
    total.map_or(2 << 30, |kib| kib * 512)
}

/// `1,234,567`
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `12.3 MB`
pub fn bytes(number: u64) -> String {
    let mut value = number as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{number} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// `0.4 s`
pub fn seconds(millis: u64) -> String {
    format!("{:.1} s", millis as f64 / 1000.0)
}

/// `1 file`, `3 files`
pub fn plural(number: u64, one: &str) -> String {
    format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A moment as RFC 3339 in UTC, to the microsecond.
pub fn rfc3339(micros: i64) -> String {
    let at = chrono::DateTime::from_timestamp_micros(micros).unwrap_or_default();
    at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

/// A moment for people, to the second.
pub fn time(micros: i64) -> String {
    chrono::DateTime::from_timestamp_micros(micros).unwrap_or_default().format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_print() {
        assert_eq!(parse_bytes("512MiB"), Ok(512 << 20));
        assert_eq!(parse_bytes("2GB"), Ok(2_000_000_000));
        assert!(parse_bytes("1MiB").is_err() && parse_bytes("lots").is_err() && parse_bytes("5 parsecs").is_err());
        assert_eq!((count(1_234_567), count(12), bytes(1_500)), ("1,234,567".into(), "12".into(), "1.5 kB".into()));
    }
}
