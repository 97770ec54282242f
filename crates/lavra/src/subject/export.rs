//! A copy for the person (LGPD art. 18, GDPR art. 15 and 20): rows as they are stored, opened where the keys open them.

use super::case::Case;
use super::zip::Zip;
use crate::project::Compiled;
use crate::show;
use arrow::array::{ArrayRef, AsArray, StringViewArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use kernel::contract::MaskSpec;
use kernel::error::{Error, Kind, Result, io};
use kernel::{Classification, TableName};
use lake::{At, Table, Via, kept_files, read_file};
use privacy::mask::{Opener, Secrets, detokenize, unfpe};
use serde::Serialize;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

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

/// Where a copy goes.
enum Place {
    /// A new folder, one NDJSON file a table.
    Folder(PathBuf),
    /// A new ZIP file, one JSON array a table.
    Zip(Zip<File>),
}

impl Place {
    /// A name that ends in `.zip` is a ZIP file's. Only its owner can read it.
    fn new(output: &Path) -> std::io::Result<Self> {
        match output.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("zip")) {
            true => private_file(output).map(|file| Self::Zip(Zip::new(file))),
            false => private_folder(output).map(|()| Self::Folder(output.to_path_buf())),
        }
    }

    fn file_of(&self, table: &TableName) -> String {
        match self {
            Self::Folder(_) => format!("{table}.ndjson"),
            Self::Zip(_) => format!("{table}.json"),
        }
    }

    fn rows(&mut self, name: &str, batches: &[RecordBatch]) -> Result<()> {
        let fault = |e: ArrowError| Error::new(Kind::Storage, format!("write {name}"), e);
        let held = Held::default();
        let mut write = match self {
            Self::Folder(_) => show::ndjson(held.clone()),
            Self::Zip(_) => show::json(held.clone()),
        };
        batches.iter().try_for_each(|batch| write(Some(batch))).map_err(fault)?;
        write(None).map_err(fault)?;
        drop(write);
        self.put(name, &held.bytes())
    }

    fn put(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let done = match self {
            Self::Folder(folder) => private_file(&folder.join(name)).and_then(|mut file| file.write_all(content)),
            Self::Zip(zip) => zip.add(name, content),
        };
        done.map_err(|e| io(format!("write {name}"), e))
    }

    fn finish(self) -> std::io::Result<()> {
        match self {
            Self::Folder(_) => Ok(()),
            Self::Zip(zip) => zip.finish()?.sync_all(),
        }
    }
}

/// Bytes that a writer has written: one person's rows of one table.
#[derive(Default, Clone)]
struct Held(Arc<Mutex<Vec<u8>>>);

impl Held {
    fn bytes(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Held {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes the person's rows of each table and a manifest into a new folder or ZIP file, readable by its owner only.
pub async fn export(case: &Case, output: &Path) -> Result<Manifest> {
    let what = || format!("write {}", output.display());
    let mut place = Place::new(output).map_err(|e| io(what(), e))?;
    let mut tables = Vec::new();
    for name in case.wiring.store.tables().await? {
        tables.extend(table(case, &name, &mut place).await?);
    }
    let manifest = Manifest {
        format: "lavra-subject-export/1",
        project: case.wiring.project.config.project.clone(),
        kind: case.subject.kind().to_owned(),
        pseudonym: case.pseudonym.clone(),
        exported_at: show::rfc3339(case.wiring.clock.now().0),
        tables,
    };
    let text = serde_json::to_vec_pretty(&manifest).map_err(|e| Error::internal(what(), &e))?;
    place.put("manifest.json", &text)?;
    place.finish().map_err(|e| io(what(), e))?;
    Ok(manifest)
}

async fn table(case: &Case, name: &TableName, place: &mut Place) -> Result<Option<Exported>> {
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
    let (file, mut opened) = (place.file_of(name), Vec::new());
    for batch in &mut found {
        *batch = open(case, name, batch, &mut opened)?;
    }
    place.rows(&file, &found)?;
    let bare = wiring.project.sources.iter().find(|source| source.table.table() == name.table());
    let source = bare.filter(|_| ["bronze", "quarantine"].contains(&name.layer()));
    Ok(Some(Exported {
        table: name.to_string(),
        version: table.version(),
        rows: found.iter().map(|batch| batch.num_rows() as u64).sum(),
        file,
        opened,
        purpose: source.and_then(|source| source.terms.purpose.clone()),
        contract_version: source.map(|source| source.contract_version.clone()),
    }))
}

/// How a column's values are opened; `None` where nobody can.
enum Way {
    Decrypt(Box<Opener>),
    Detokenize(String),
    /// With the kind of its class. Nothing tells a token of it from another text, so that only what the mask made is opened.
    Unfpe(String, Option<String>),
}

impl Way {
    fn of(case: &Case, name: &TableName, column: &str, secrets: &Secrets) -> Result<Option<Self>> {
        let exposes = case.wiring.project.exposures.get(&name.to_string());
        let ways = exposes.and_then(|exposes| exposes.get(column)).map_or(&[][..], Vec::as_slice);
        let [way] = ways else { return Ok(None) };
        let Some((class, mask)) = way.split_once(": ") else { return Ok(None) };
        let Ok(mask) = MaskSpec::parse(mask) else { return Ok(None) };
        let scope = mask.arg("scope", 0).unwrap_or_default().to_owned();
        Ok(match mask.name.as_str() {
            "encrypt" if mask.arg("mode", 1) != Some("homomorphic") => {
                Some(Self::Decrypt(Box::new(Opener::new(&scope, secrets)?)))
            }
            "token" => Some(Self::Detokenize(scope)),
            "fpe" if is_copy(&case.wiring.project, name, column) => {
                Some(Self::Unfpe(scope, Classification::new(class).kind().map(str::to_owned)))
            }
            _ => None,
        })
    }

    /// A value that can't be opened stays as it is stored.
    fn open(&mut self, text: &str, secrets: &Secrets) -> String {
        let opened = match self {
            Self::Decrypt(opener) => opener.open(text).ok().flatten(),
            Self::Detokenize(scope) => detokenize(text, scope, secrets).ok().flatten(),
            Self::Unfpe(scope, kind) => unfpe(text, scope, kind.as_deref(), secrets).ok(),
        };
        opened.unwrap_or_else(|| text.to_owned())
    }
}

/// Whether a column holds what a mask made as it made it: a source's, or a copy of one.
fn is_copy(project: &Compiled, table: &TableName, column: &str) -> bool {
    let Some(model) = project.models.iter().find(|model| model.name == *table) else {
        return project.sources.iter().any(|source| source.table == *table);
    };
    let from = model.lineage.columns.iter().find(|(name, _)| name == column).map(|(_, from)| from);
    let mut from = from.into_iter().flatten();
    match (from.next(), from.next()) {
        (Some((at, Via::Copied)), None) => is_copy(project, &at.table, &at.column),
        _ => false,
    }
}

/// The rows with the columns opened that the keys and the vault open.
fn open(case: &Case, name: &TableName, batch: &RecordBatch, opened: &mut Vec<String>) -> Result<RecordBatch> {
    let secrets = Secrets::new(case.keys.clone(), Some(case.wiring.vault.clone()));
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, values) in batch.schema().fields().iter().zip(batch.columns()) {
        let Some(mut way) = Way::of(case, name, field.name(), &secrets)? else {
            fields.push(field.as_ref().clone());
            columns.push(values.clone());
            continue;
        };
        let texts = cast(values, &DataType::Utf8View).map_err(|e| Error::internal("export rows", &e))?;
        let texts = texts.as_string_view().iter();
        let plain: StringViewArray = texts.map(|text| text.map(|text| way.open(text, &secrets))).collect();
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
