//! A copy for the person (LGPD art. 18, GDPR art. 15 and 20): rows as they are stored, opened where the keys open them.

use super::case::Case;
use crate::show;
use arrow::array::{ArrayRef, AsArray, StringViewArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use kernel::TableName;
use kernel::contract::MaskSpec;
use kernel::error::{Error, Result, io};
use lake::{At, Table, kept_files, read_file};
use privacy::mask::{Opener, Secrets};
use serde::Serialize;
use std::fs::{DirBuilder, File, OpenOptions};
use std::path::Path;
use std::sync::Arc;

/// What the export holds, as its `manifest.json` says it.
#[derive(Debug, Serialize)]
pub struct Manifest {
    pub format: &'static str,
    pub project: String,
    pub kind: String,
    pub pseudonym: String,
    pub exported_at: String,
    pub tables: Vec<Exported>,
}

#[derive(Debug, Serialize)]
pub struct Exported {
    pub table: String,
    pub version: u64,
    pub rows: u64,
    pub file: String,
    /// Columns whose values were opened.
    pub opened: Vec<String>,
    /// Why the data is held, as the contract says.
    pub purpose: Option<String>,
    pub contract_version: Option<String>,
}

/// Writes one NDJSON file a table and a manifest into a new folder, readable by its owner only.
pub async fn export(case: &Case, folder: &Path) -> Result<Manifest> {
    let what = || format!("write {}", folder.display());
    private_folder(folder).map_err(|e| io(what(), e))?;
    let mut tables = Vec::new();
    for name in case.wiring.store.tables().await? {
        tables.extend(table(case, &name, folder).await?);
    }
    let manifest = Manifest {
        format: "lavra-subject-export/1",
        project: case.wiring.project.config.project.clone(),
        kind: case.subject.kind().to_owned(),
        pseudonym: case.pseudonym.clone(),
        exported_at: show::rfc3339(case.wiring.clock.now().0),
        tables,
    };
    let file = private_file(&folder.join("manifest.json")).map_err(|e| io(what(), e))?;
    serde_json::to_writer_pretty(file, &manifest).map_err(|e| Error::new(kernel::Kind::Storage, what(), &e))?;
    Ok(manifest)
}

async fn table(case: &Case, name: &TableName, folder: &Path) -> Result<Option<Exported>> {
    let (wiring, rows) = (&case.wiring, case.marks.rows(name));
    let Some(table) = Table::open(&wiring.store, name, At::Latest).await? else { return Ok(None) };
    if rows.is_nothing() {
        return Ok(None);
    }
    let mut found = Vec::new();
    for file in kept_files(&table).await?.named.into_iter().filter(|file| file.until.is_none()) {
        let Some(mut batches) = read_file(&wiring.store, name, &file.path, None).await? else { continue };
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let own = filter_record_batch(&batch, &rows.of(&batch)?);
            let own = own.map_err(|e| Error::internal("export rows", "arrow refused a filter").because(e))?;
            found.extend((own.num_rows() > 0).then_some(own));
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    let file = format!("{name}.ndjson");
    let out = private_file(&folder.join(&file)).map_err(|e| io(format!("write {file}"), e))?;
    let mut write = show::ndjson(out);
    let mut opened = Vec::new();
    let failed = |e| Error::new(kernel::Kind::Storage, format!("write {file}"), e);
    let mut count = 0;
    for batch in found {
        count += batch.num_rows() as u64;
        write(Some(&open(case, name, &batch, &mut opened)?)).map_err(failed)?;
    }
    write(None).map_err(failed)?;
    let bare = wiring.project.sources.iter().find(|source| source.table.table() == name.table());
    let source = bare.filter(|_| ["bronze", "quarantine"].contains(&name.layer()));
    Ok(Some(Exported {
        table: name.to_string(),
        version: table.version(),
        rows: count,
        file,
        opened,
        purpose: source.and_then(|source| source.terms.purpose.clone()),
        contract_version: source.map(|source| source.contract_version.clone()),
    }))
}

/// The rows with the columns opened that the keys open. A value that can't be opened stays as it is stored.
fn open(case: &Case, name: &TableName, batch: &RecordBatch, opened: &mut Vec<String>) -> Result<RecordBatch> {
    let exposes = case.wiring.project.exposures.get(&name.to_string());
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, values) in batch.schema().fields().iter().zip(batch.columns()) {
        let ways = exposes.and_then(|exposes| exposes.get(field.name())).map_or(&[][..], Vec::as_slice);
        let scope = match ways {
            [way] => way.split_once(": ").and_then(|(_, mask)| MaskSpec::parse(mask).ok()),
            _ => None,
        };
        let is_text = |mask: &MaskSpec| mask.name == "encrypt" && mask.arg("mode", 1) != Some("homomorphic");
        let Some(mask) = scope.filter(is_text) else {
            fields.push(field.as_ref().clone());
            columns.push(values.clone());
            continue;
        };
        let scope = mask.arg("scope", 0).unwrap_or_default();
        let texts = cast(values, &DataType::Utf8View).map_err(|e| Error::internal("export rows", &e))?;
        let secrets = Secrets { keys: case.keys.clone(), vault: Some(case.wiring.vault.clone()) };
        let mut opener = Opener::new(scope, &secrets)?;
        let mut open = |text: &str| opener.open(text).ok().flatten().unwrap_or_else(|| text.to_owned());
        let plain: StringViewArray = texts.as_string_view().iter().map(|text| text.map(&mut open)).collect();
        if !opened.contains(field.name()) {
            opened.push(field.name().clone());
        }
        fields.push(Field::new(field.name(), DataType::Utf8View, true));
        columns.push(Arc::new(plain));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|e| Error::internal("export rows", &e))
}

#[cfg(unix)]
fn private_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    DirBuilder::new().mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn private_folder(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().create(folder)
}

#[cfg(unix)]
fn private_file(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn private_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}
