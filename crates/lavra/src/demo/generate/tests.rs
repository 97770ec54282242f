//! The files are read back as a stranger would read them.

use super::{Facts, card, customers, merchants, pix, write};
use anyhow::{Context, Result};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Decimal128Type;
use flate2::read::GzDecoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

const PAYMENTS: usize = 60_000;

/// A folder of its own for each test, gone after it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("lavra-demo-{name}-{}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn gunzip(path: &Path) -> Result<String> {
    let mut text = String::new();
    GzDecoder::new(File::open(path)?).read_to_string(&mut text)?;
    Ok(text)
}

fn card_rows(dir: &Path, facts: &Facts) -> Result<Vec<String>> {
    let mut rows = Vec::new();
    for file in facts.files.iter().filter(|file| file.source == card::SOURCE) {
        let text = gunzip(&dir.join(&file.path))?;
        let before = rows.len();
        rows.extend(text.lines().skip(1).map(str::to_owned));
        assert_eq!(rows.len() - before, file.rows, "{}", file.path);
    }
    Ok(rows)
}

fn pix_batches(dir: &Path, facts: &Facts) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    for file in facts.files.iter().filter(|file| file.source == pix::SOURCE) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(dir.join(&file.path))?)?.build()?;
        batches.extend(reader.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(batches)
}

#[test]
fn same_seed_same_bytes() -> Result<()> {
    let (one, two, other) = (Folder::new("one"), Folder::new("two"), Folder::new("other"));
    let facts = write(&one.0, 42, 5_000)?;
    assert_eq!(facts, write(&two.0, 42, 5_000)?);
    write(&other.0, 43, 5_000)?;
    assert_eq!(facts.files.len(), 9);
    for file in &facts.files {
        let bytes = std::fs::read(one.0.join(&file.path))?;
        assert_eq!(bytes.len() as u64, file.bytes, "{}", file.path);
        assert!(bytes == std::fs::read(two.0.join(&file.path))?, "{} differs", file.path);
        assert!(bytes != std::fs::read(other.0.join(&file.path))?, "{} knows no seed", file.path);
    }
    Ok(())
}

#[test]
fn card_payments_are_what_the_facts_say() -> Result<()> {
    let folder = Folder::new("cards");
    let facts = write(&folder.0, 1, PAYMENTS)?;
    let rows = card_rows(&folder.0, &facts)?;
    let ids: BTreeSet<&str> = rows.iter().filter_map(|row| row.split(',').next()).collect();
    assert_eq!(ids.len(), PAYMENTS * 60 / 100);
    assert_eq!(rows.len() - ids.len(), facts.duplicates[card::SOURCE]);
    let bad = |row: &&String| {
        let fields: Vec<_> = row.split(',').collect();
        fields.len() != 9
            || !fields[5].parse::<f64>().is_ok_and(|amount| amount > 0.0)
            || fields[7] == "em_analise"
            || fields[3] != cpf_again(fields[3])
    };
    assert_eq!(rows.iter().filter(bad).count(), facts.bad_rows(card::SOURCE));
    let july = gunzip(&folder.0.join("data/card_payments-2026-07.csv.gz"))?;
    assert!(july.lines().skip(1).all(|row| !row.contains("2026-08")));
    let august = gunzip(&folder.0.join("data/card_payments-2026-08.csv.gz"))?;
    assert!(august.lines().any(|row| row.contains(",2026-07-3")), "some of July arrives late");
    Ok(())
}

fn cpf_again(cpf: &str) -> String {
    let first_nine = cpf.get(..9).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    super::documents::cpf(first_nine).map(char::from).iter().collect()
}

#[test]
fn bursts_can_be_found_and_nothing_else_looks_like_one() -> Result<()> {
    let folder = Folder::new("bursts");
    let facts = write(&folder.0, 1, PAYMENTS)?;
    assert_eq!(facts.bursts, 40);
    let mut by_person: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for row in card_rows(&folder.0, &facts)? {
        let fields: Vec<_> = row.split(',').map(str::to_owned).collect();
        if let [id, person, .., at] = &fields[..] {
            by_person.entry(person.clone()).or_default().insert((at.clone(), id.clone()));
        }
    }
    let within_ten_minutes = |from: &str, to: &str| -> Result<bool> {
        let moment = chrono::DateTime::parse_from_rfc3339;
        Ok((moment(to)? - moment(from)?).num_seconds() <= 600)
    };
    let mut found = 0;
    for times in by_person.values() {
        let times: Vec<&String> = times.iter().map(|(at, _)| at).filter(|at| at.ends_with('Z')).collect();
        let mut burst = false;
        for eight in times.windows(8) {
            burst |= within_ten_minutes(eight[0], eight[7])?;
        }
        found += usize::from(burst);
    }
    assert_eq!(found, facts.bursts);
    Ok(())
}

#[test]
fn pix_payments_are_typed_and_complete() -> Result<()> {
    let folder = Folder::new("pix");
    let facts = write(&folder.0, 1, PAYMENTS)?;
    let batches = pix_batches(&folder.0, &facts)?;
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, facts.rows(pix::SOURCE));
    assert_eq!(rows, PAYMENTS * 40 / 100 + facts.duplicates[pix::SOURCE]);
    let mut bad = 0;
    let mut without_merchant = 0;
    for batch in &batches {
        assert_eq!(batch.schema().field(5).data_type().to_string(), "Decimal128(12, 2)");
        assert_eq!(batch.schema().field(7).data_type().to_string(), "Timestamp(µs, \"UTC\")");
        without_merchant += batch.column(2).null_count();
        let (cpfs, statuses) = (batch.column(3).as_string::<i32>(), batch.column(6).as_string::<i32>());
        let amounts = batch.column(5).as_primitive::<Decimal128Type>();
        for row in 0..batch.num_rows() {
            let broken = cpfs.value(row) != cpf_again(cpfs.value(row));
            bad += usize::from(broken || amounts.value(row) <= 0 || statuses.value(row) == "em_analise");
        }
    }
    assert_eq!(bad, facts.bad_rows(pix::SOURCE));
    assert!((30..40).contains(&(without_merchant * 100 / rows)));
    Ok(())
}

#[test]
fn customers_are_windows_1252_and_merchants_json() -> Result<()> {
    let folder = Folder::new("customers");
    let facts = write(&folder.0, 1, 1_000_000 / 20)?;
    let bytes = std::fs::read(folder.0.join("data/customers.csv"))?;
    assert!(std::str::from_utf8(&bytes).is_err(), "not UTF-8");
    assert_eq!(facts.rows(customers::SOURCE), 1_000);
    // A line break inside quotes is a bare LF, so CRLF counts the records.
    assert_eq!(bytes.windows(2).filter(|two| two == b"\r\n").count(), 1_001);
    let text = std::fs::read_to_string(folder.0.join("data/merchants.ndjson"))?;
    let whole = text.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count();
    assert_eq!((text.lines().count(), whole), (merchants::COUNT, merchants::COUNT - 2));
    assert_eq!(facts.bad_rows(merchants::SOURCE), 6);
    Ok(())
}

#[test]
fn some_shops_move_and_nothing_else_of_them_changes() -> Result<()> {
    let folder = Folder::new("moves");
    let facts = write(&folder.0, 1, 1_000)?;
    let read = |path: &str| -> Result<Vec<serde_json::Value>> {
        let text = std::fs::read_to_string(folder.0.join(path))?;
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    };
    let (before, moved) = (read("data/merchants.ndjson")?, read("data/merchants-2026-09.ndjson")?);
    assert_eq!((moved.len(), facts.rows(merchants::SOURCE)), (20, merchants::COUNT + 20));
    for mut shop in moved {
        let old = before.iter().find(|old| old["merchant_id"] == shop["merchant_id"]).context("a known shop")?;
        assert_ne!(shop["location"], old["location"]);
        assert!(shop["known_since"].as_str() > old["known_since"].as_str());
        (shop["location"], shop["known_since"]) = (old["location"].clone(), old["known_since"].clone());
        assert_eq!(shop, *old);
    }
    Ok(())
}

#[test]
fn all_customers_are_told() -> Result<()> {
    let folder = Folder::new("cpfs");
    let facts = write(&folder.0, 9, 1_000)?;
    let cards = card_rows(&folder.0, &facts)?.join("\n");
    assert_eq!(facts.cpfs.len(), facts.rows(customers::SOURCE));
    let customers = std::fs::read(folder.0.join("data/customers.csv"))?;
    let customers = String::from_utf8_lossy(&customers);
    assert!(facts.emails.len() == facts.cpfs.len() && facts.emails.iter().all(|email| customers.contains(email)));
    assert!(facts.phones.len() == facts.cpfs.len() && facts.phones.iter().all(|phone| phone.len() == 14));
    assert_eq!(facts.cpfs.iter().collect::<BTreeSet<_>>().len(), facts.cpfs.len());
    assert!(facts.cpfs.iter().filter(|cpf| cards.contains(*cpf)).count() > 50);
    let first = facts.cpfs.first().context("there are some")?;
    assert_eq!(*first, cpf_again(first));
    Ok(())
}
