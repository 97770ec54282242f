//! A table of long texts, of which most changes send none, is kept in less memory than the changes are long.

use super::tables::{UNSENT, change, order, project};
use crate::harness::peak;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Rows, and bytes of the text of each.
const ROWS: u64 = 2_500;
const TEXT_BYTES: usize = 64 << 10;
const BUDGET: u64 = 96 << 20;

fn text(dice: &mut fastrand::Rng) -> String {
    let mut text = String::with_capacity(TEXT_BYTES);
    while text.len() < TEXT_BYTES {
        let _ = write!(text, "{:016x}", dice.u64(..));
    }
    text
}

#[test]
fn long_texts_that_are_not_sent_stay_in_less_memory_than_they_take() {
    let project = project("current");
    let mut dice = fastrand::Rng::with_seed(20_261_126);
    let mut rows: BTreeMap<u64, (String, String)> = BTreeMap::new();
    let mut first = String::new();
    for id in 0..ROWS {
        let note = text(&mut dice);
        first.push_str(&change("r", 1, order(id, "new", &note)));
        rows.insert(id, ("new".into(), note));
    }
    project.write("data/1.ndjson", first);
    project.run_with(&["source:orders"]).exits(0);
    let run = ["run", "--quiet", "--memory", "96MiB", "silver.orders"];
    let made = peak(&project, &run);
    let mut second = String::new();
    for place in 0..4 * ROWS {
        let (id, status) = (dice.u64(0..ROWS), format!("s{place}"));
        let sent = dice.u8(..) < 40;
        let Some(row) = rows.get_mut(&id) else { continue };
        if sent {
            row.1 = text(&mut dice);
        }
        row.0.clone_from(&status);
        second.push_str(&change("u", place, order(id, &status, if sent { &row.1 } else { UNSENT })));
    }
    project.write("data/2.ndjson", second + &change("d", 99, order(7, "gone", "")));
    rows.remove(&7);
    project.run_with(&["source:orders"]).exits(0);
    let merged = peak(&project, &run);
    let idle = peak(&project, &run);
    println!("idle {} MiB, made in {} MiB, merged in {} MiB", idle >> 20, made >> 20, merged >> 20);
    let lengths = project.value("select sum(length(note)) from silver.orders");
    assert_eq!(lengths, Value::from(rows.values().map(|(_, note)| note.len() as u64).sum::<u64>()));
    let mut heads: Vec<String> =
        rows.iter().map(|(id, (status, note))| format!("{id},{status},{}", &note[..16])).collect();
    heads.sort();
    assert_eq!(project.lines("select id, status, left(note, 16) from silver.orders"), heads);
    for (what, peak) in [("made", made), ("merged", merged)] {
        // What is read and what is written is in memory beside the budget; all texts are 160 MiB, their changes more.
        assert!(peak < idle + BUDGET * 3 / 2, "{what} in {} MiB over {} MiB", (peak - idle) >> 20, idle >> 20);
    }
}
