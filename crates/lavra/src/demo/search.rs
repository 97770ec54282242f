//! Looks for raw values in a lake as a thief would: every byte of every file, and every value of every Parquet column.

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use kernel::error::{Error, Result, io};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::HashSet;
use std::fs::File;
use std::path::Path;

#[derive(Debug, Default)]
pub struct Searched {
    pub files: usize,
    /// As stored and as unpacked.
    pub bytes: u64,
    /// Text values looked at.
    pub values: u64,
    pub hits: usize,
}

/// Searches for CPFs given as eleven digits, with and without their dots.
pub fn search(folder: &Path, cpfs: &[String]) -> Result<Searched> {
    let wanted: HashSet<&str> = cpfs.iter().map(String::as_str).collect();
    let mut searched = Searched::default();
    walk(folder, &wanted, &mut searched)?;
    Ok(searched)
}

fn walk(folder: &Path, wanted: &HashSet<&str>, searched: &mut Searched) -> Result<()> {
    let what = || format!("search {}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(|e| io(what(), e))? {
        let path = entry.map_err(|e| io(what(), e))?.path();
        if path.is_dir() {
            walk(&path, wanted, searched)?;
            continue;
        }
        let bytes = std::fs::read(&path).map_err(|e| io(format!("search {}", path.display()), e))?;
        searched.files += 1;
        searched.bytes += bytes.len() as u64;
        searched.hits += hits(&bytes, wanted);
        if path.extension().is_some_and(|e| e == "parquet") {
            parquet(&path, wanted, searched)?;
        }
    }
    Ok(())
}

/// Runs of eleven digits, dots and dashes left out, that are a wanted CPF.
fn hits(bytes: &[u8], wanted: &HashSet<&str>) -> usize {
    let mut found = 0;
    let mut run = String::with_capacity(16);
    for &byte in bytes.iter().chain(b"\0") {
        match byte {
            b'0'..=b'9' => {
                run.push(char::from(byte));
                let from = run.len().saturating_sub(11);
                found += usize::from(run.len() >= 11 && wanted.contains(&run[from..]));
            }
            b'.' | b'-' if !run.is_empty() => {}
            _ => run.clear(),
        }
    }
    found
}

fn parquet(path: &Path, wanted: &HashSet<&str>, searched: &mut Searched) -> Result<()> {
    let fault = |e: &dyn std::fmt::Display| Error::data(format!("search {}", path.display()), e);
    let file = File::open(path).map_err(|e| fault(&e))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|b| b.build()).map_err(|e| fault(&e))?;
    for batch in reader {
        for column in batch.map_err(|e| fault(&e))?.columns() {
            if matches!(column.data_type(), DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8) {
                let text = arrow::compute::cast(column, &DataType::Utf8View).map_err(|e| fault(&e))?;
                for value in text.as_string_view().iter().flatten() {
                    searched.values += 1;
                    searched.bytes += value.len() as u64;
                    searched.hits += hits(value.as_bytes(), wanted);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpf_is_found_with_and_without_dots_and_inside_longer_text() {
        let wanted = HashSet::from(["12345678909"]);
        for text in ["12345678909", "cpf 123.456.789-09.", "{\"a\":\"12345678909\"}", "0012345678909"] {
            assert!(hits(text.as_bytes(), &wanted) > 0, "{text}");
        }
        assert_eq!(hits(b"12345678 909 1234567890", &wanted), 0);
    }
}
