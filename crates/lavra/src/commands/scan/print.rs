//! What was found, for people and for programs.

use super::look::Looked;
use super::propose::{Proposal, Record};
use crate::show::{self, Format};
use kernel::error::Result;

/// What was read of a table.
pub fn heading(looked: &Looked) -> String {
    let mut parts = Vec::new();
    match (looked.files, looked.files_read) {
        (0, _) => {}
        (files, read) if files == read => parts.push(show::plural(files as u64, "file")),
        (files, read) => parts.push(format!("{read} of {} looked at", show::plural(files as u64, "file"))),
    }
    let rows = show::plural(looked.rows, "row");
    parts.push(match (looked.is_whole, looked.rows) {
        (true, 0) => "no row".to_owned(),
        (true, _) => format!("all {rows}"),
        (false, _) if looked.files > 1 => format!("{rows}, the first of each"),
        (false, _) => format!("the first {rows}"),
    });
    if looked.malformed > 0 {
        parts.push(format!("{} that can't be read as rows", show::plural(looked.malformed, "line")));
    }
    format!("{}: {}", looked.table, parts.join(", "))
}

/// What a table is told of which nothing could be read.
pub fn unreadable(looked: &Looked) -> String {
    let lines = show::plural(looked.malformed, "line");
    let what = format!("it is not empty, but no row can be read out of its {lines}");
    format!("{what}: is its format another one? Say it with `--set format=…`")
}

/// What should be known beside the findings.
pub fn notes(looked: &Looked, proposal: &Proposal) -> Vec<String> {
    let mut notes = Vec::new();
    if looked.is_unreadable() {
        notes.push(unreadable(looked));
    } else if proposal.entity.properties.is_empty() {
        notes.push("it is empty: there is no column to look at".to_owned());
    } else if looked.rows == 0 {
        notes.push("it has a header and no row: kinds are guessed from names, and every type is text".to_owned());
    }
    if looked.is_headerless {
        notes.push("its first line holds no names: columns are called column_1, column_2, …".to_owned());
    }
    notes.extend(proposal.notes.iter().cloned());
    notes
}

/// Prints records, each format its own way.
pub fn records(format: Format, records: &[Record]) -> Result<()> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let percent = |record: &Record, number: f64| {
        record.kind.as_ref().map_or(String::new(), |_| format!("{:.0} %", number * 100.0))
    };
    let number = |number: f64| number.to_string();
    if format == Format::Csv {
        return show::print_records(
            format,
            records,
            &[
                ("table", &|r| r.table.clone()),
                ("column", &|r| r.column.clone()),
                ("kind", &|r| text(&r.kind)),
                ("confidence", &|r| number(r.confidence)),
                ("share", &|r| number(r.share)),
                ("examples", &|r| r.examples.join(" | ")),
                ("classification", &|r| text(&r.classification)),
                ("mask", &|r| text(&r.mask)),
            ],
        );
    }
    show::print_records(
        format,
        records,
        &[
            ("column", &|r| r.column.clone()),
            ("type", &|r| r.data_type.clone()),
            ("kind", &|r| text(&r.kind)),
            ("confidence", &|r| percent(r, r.confidence)),
            ("share", &|r| percent(r, r.share)),
            ("examples", &|r| different(&r.examples).join("  ")),
            ("classification", &|r| text(&r.classification)),
            ("mask", &|r| text(&r.mask)),
        ],
    )
}

/// People need each shape once, and two of them.
fn different(examples: &[String]) -> Vec<&str> {
    let mut shown: Vec<&str> = examples.iter().map(String::as_str).collect();
    shown.dedup();
    shown.truncate(2);
    shown
}

#[cfg(test)]
mod tests {
    use super::super::group::nothing_known;
    use super::super::watch::Seen;
    use super::*;

    #[test]
    fn what_can_not_be_read_is_not_called_empty() {
        let told = |malformed: u64| {
            let looked = Looked {
                table: "avs".into(),
                files: 0,
                files_read: 0,
                rows: 0,
                malformed,
                is_whole: true,
                seen: Seen { columns: Vec::new(), findings: Vec::new() },
                is_headerless: false,
                is_log: false,
            };
            let proposal = Proposal { entity: nothing_known("avs"), records: Vec::new(), notes: Vec::new() };
            notes(&looked, &proposal).join("; ")
        };
        assert!(
            told(5050).contains("out of its 5,050 lines") && told(5050).contains("--set format=…"),
            "{}",
            told(5050)
        );
        assert!(!told(5050).contains("it is empty") && told(0).starts_with("it is empty"));
    }
}
