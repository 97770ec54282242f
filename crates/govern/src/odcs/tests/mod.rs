mod faults;
mod reading;
mod rules;
mod same;

use super::{Read, read};
use kernel::contract::{Contract, Property};
use kernel::diagnostic::Diagnostic;

const HEAD: &str = "apiVersion: v3.1.0\nkind: DataContract\nid: shop\nversion: 1.0.0\nstatus: active\n";

fn env(name: &str) -> Option<String> {
    (name == "OWNER").then(|| "data-team".to_owned())
}

fn try_read(text: &str) -> Result<Read, Vec<Diagnostic>> {
    read("contracts/shop.yaml", text, &env)
}

fn good(text: &str) -> Read {
    try_read(text).unwrap_or_else(|faults| {
        panic!("{}\n{text}", faults.iter().map(|fault| fault.render(text)).collect::<String>());
    })
}

/// A contract with one table `t` of these columns, one a line, and what stands below it.
fn table(columns: &[&str], rest: &str) -> String {
    let columns: String = columns.iter().map(|column| format!("      - {column}\n")).collect();
    format!("{HEAD}schema:\n  - name: t\n    properties:\n{columns}{rest}")
}

fn column(text: &str) -> Property {
    good(&table(&[text], "")).0.entities[0].properties[0].clone()
}

/// `line «place» message [help]` of every fault; the first column of `table` is on line 9.
fn faults(text: &str) -> Vec<String> {
    shown(try_read(text).err().unwrap_or_default(), text)
}

fn warnings(text: &str) -> Vec<String> {
    shown(good(text).1.warnings, text)
}

fn shown(notes: Vec<Diagnostic>, text: &str) -> Vec<String> {
    let show = |note: Diagnostic| {
        let place: String = note.span.map_or("", |(start, end)| &text[start..end]).chars().take(20).collect();
        let help = note.help.map_or(String::new(), |help| format!(" [{help}]"));
        format!("{} «{place}» {}{help}", note.line.unwrap_or(0), note.message)
    };
    notes.into_iter().map(show).collect()
}

/// Contracts have floats in them and no equality; their debug form has all of their fields.
fn form(contract: &Contract) -> String {
    format!("{contract:#?}")
}
