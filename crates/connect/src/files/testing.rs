//! Tools for the tests of readers and of the source.

use super::bytes::Opened;
use super::list::list;
use super::options::Options;
use super::place::Place;
use super::rows::{Job, Piece};
use crate::spec::Opening;
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use kernel::clock::ManualClock;
use kernel::contract::{Constraints, OnViolation, SchemaChange};
use kernel::gate::{Inspector, Malformed};
use kernel::source::{Pulled, Rows, Source};
use kernel::{Entity, Positions, Property, Result};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// An entity of these columns, all text.
pub fn entity(columns: &[&str]) -> Entity {
    typed(&columns.iter().map(|name| (*name, DataType::Utf8)).collect::<Vec<_>>())
}

pub fn typed(columns: &[(&str, DataType)]) -> Entity {
    let property = |(name, data_type): &(&str, DataType)| Property {
        name: (*name).into(),
        description: None,
        data_type: data_type.clone(),
        required: false,
        unique: false,
        primary_key: None,
        constraints: Constraints::default(),
        classification: None,
        mask: None,
        format: None,
        decimal_comma: false,
        not_personal: false,
    };
    Entity {
        name: "test".into(),
        description: None,
        properties: columns.iter().map(property).collect(),
        rules: Vec::new(),
        on_violation: OnViolation::default(),
        schema_change: SchemaChange::default(),
        on_personal_data: Default::default(),
    }
}

pub type Row = (i64, Vec<Option<String>>);

/// A file as a reader gives it.
#[derive(Debug, Default, PartialEq)]
pub struct Read {
    pub names: Vec<String>,
    pub rows: Vec<Row>,
    pub malformed: Vec<Malformed>,
    /// The position after each piece.
    pub upto: Vec<u64>,
}

impl Read {
    /// The values without their offsets.
    pub fn values(&self) -> Vec<Vec<Option<&str>>> {
        self.rows.iter().map(|(_, row)| row.iter().map(Option::as_deref).collect()).collect()
    }

    pub fn offsets(&self) -> Vec<i64> {
        self.rows.iter().map(|(offset, _)| *offset).collect()
    }

    pub fn reasons(&self) -> Vec<(i64, &str)> {
        self.malformed.iter().map(|bad| (bad.offset, bad.reason.as_str())).collect()
    }

    fn add(&mut self, piece: &Piece) {
        self.names = piece.batch.schema().fields().iter().map(|field| field.name().clone()).collect();
        for row in 0..piece.batch.num_rows() {
            let values = piece.batch.columns().iter().map(|column| shown(column, row)).collect();
            self.rows.push((piece.offsets.value(row), values));
        }
        self.malformed.extend(piece.malformed.iter().cloned());
        self.upto.push(piece.upto);
    }
}

fn shown(column: &ArrayRef, row: usize) -> Option<String> {
    // Names of time zones need a feature of Arrow's that only a formatter for people would use.
    let column = &match column.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            let offset = DataType::Timestamp(*unit, Some("+00:00".into()));
            arrow::compute::cast(column, &offset).expect("another name of the zone")
        }
        _ => column.clone(),
    };
    let formatter = ArrayFormatter::try_new(column, &FormatOptions::default()).expect("a formatter");
    column.is_valid(row).then(|| formatter.value(row).to_string())
}

/// Reads one file through its reader, as the source does.
pub struct Reading<'a> {
    pub path: &'a Path,
    pub options: Value,
    pub entity: Entity,
    pub behind: u64,
    pub bytes_max: usize,
}

impl Reading<'_> {
    pub fn read(self) -> Result<Read> {
        let mut options = self.options;
        options["path"] = Value::String(self.path.display().to_string());
        let options = Options::read("test", &options)?;
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let opened = runtime.block_on(async {
            let place = Arc::new(Place::new(&options.path.all()[0], Path::new("/"), &Default::default())?);
            let found = list(&[place]).await?.pop_front().expect("the file");
            Ok::<_, kernel::Error>(Opened::open(&found).await?.expect("the file"))
        })?;
        let job = Job {
            opened: Arc::new(opened),
            options: Arc::new(options),
            entity: Arc::new(self.entity),
            behind: self.behind,
            mark: None,
            young: false,
            bytes_max: self.bytes_max,
        };
        let mut rows = job.rows()?;
        let mut read = Read::default();
        loop {
            let piece = rows.next()?;
            // The stop behind what was passed over.
            if piece.last || piece.upto > self.behind {
                read.add(&piece);
            }
            if piece.last {
                return Ok(read);
            }
        }
    }
}

/// Reads these bytes as a file of this name.
pub fn read(name: &str, bytes: &[u8], options: Value, entity: Entity) -> Result<Read> {
    read_behind(name, bytes, options, entity, 0)
}

pub fn read_behind(name: &str, bytes: &[u8], options: Value, entity: Entity, behind: u64) -> Result<Read> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("a file");
    Reading { path: &path, options, entity, behind, bytes_max: 1 << 20 }.read()
}

/// Demands that reading on behind each piece gives the same rows as reading straight.
pub fn resumes(name: &str, bytes: &[u8], options: &Value, entity: &Entity) {
    let straight = read(name, bytes, options.clone(), entity.clone()).expect("a read");
    for upto in &straight.upto {
        let rest = read_behind(name, bytes, options.clone(), entity.clone(), *upto).expect("a read");
        let at = i64::try_from(*upto).expect("small");
        let rows: Vec<_> = straight.rows.iter().filter(|(offset, _)| *offset > at).cloned().collect();
        let malformed: Vec<_> = straight.malformed.iter().filter(|bad| bad.offset > at).cloned().collect();
        assert_eq!((rest.rows, rest.malformed), (rows, malformed), "behind {upto}");
    }
}

/// An opening of `path` in a project folder.
pub fn opening(base: &Path, options: Value, entity: Entity, from: Positions) -> Opening {
    Opening {
        source: "test".into(),
        project: "test".into(),
        options,
        base: base.into(),
        entity,
        from,
        store: Default::default(),
        clock: Arc::new(ManualClock::default()),
    }
}

/// Pulls until there is nothing more, as a run does; the positions are those of the last commit.
pub async fn pull(source: &mut dyn Source, taken: &mut Positions) -> Result<Vec<String>> {
    let mut rows = Vec::new();
    pull_into(source, taken, &mut rows).await.map(|()| rows)
}

pub async fn pull_into(source: &mut dyn Source, taken: &mut Positions, rows: &mut Vec<String>) -> Result<()> {
    while let Some(Pulled { rows: Rows::Raw(raw), upto, .. }) = source.next(1 << 20).await? {
        let mut lines = Lines(vec![String::new(); raw.num_rows()]);
        raw.inspect(&mut lines);
        rows.extend(lines.0);
        taken.advance(&upto);
        source.settled(&upto).await?;
    }
    Ok(())
}

/// Joins the values of each row.
struct Lines(Vec<String>);

impl Inspector for Lines {
    fn column(&mut self, _name: &str, values: &ArrayRef) {
        for (row, line) in self.0.iter_mut().enumerate() {
            line.push_str(&shown(values, row).unwrap_or_else(|| "∅".into()));
            line.push('|');
        }
    }
}
