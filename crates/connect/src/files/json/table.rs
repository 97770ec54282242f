//! Gathers the fields of objects into columns.

use super::envelope::{AT, Envelope, OP};
use super::parse::{self, Bad, Fields, Kind, Value};
use crate::files::views::{Span, Views};
use kernel::Entity;
use std::collections::HashMap;

/// More different fields than this in one file are keys that are data; records with further ones are malformed.
const COLUMNS_MAX: usize = 4096;

/// The columns of a batch: the contract's first, then others in the order of their first appearance.
pub struct Table {
    pub columns: Vec<Column>,
    index: HashMap<Vec<u8>, usize>,
    /// Rows that are whole.
    pub rows: usize,
    /// Text that is not in the block as it is.
    pub side: Vec<u8>,
    /// Whether each object is Debezium's envelope around a row.
    is_enveloped: bool,
}

pub struct Column {
    pub name: String,
    pub cells: Cells,
    lead: Lead,
    /// The column whose field came next the last time.
    next: usize,
}

/// The values of each row so far; fewer than the rows when the last ones lack the field.
pub enum Cells {
    Text(Views),
    /// JSON as it is, strings with their quotes: the contract says that they are nested.
    Nested(Vec<Span>),
}

impl Cells {
    pub fn len(&self) -> usize {
        match self {
            Cells::Text(views) => views.len(),
            Cells::Nested(spans) => spans.len(),
        }
    }

    /// Cuts or fills up with nulls.
    pub fn resize(&mut self, rows: usize) {
        match self {
            Cells::Text(views) => views.resize(rows),
            Cells::Nested(spans) => spans.resize(rows, Span::NULL),
        }
    }
}

/// A field's name as it mostly stands in front of its value: in quotes, with the colon right behind. Empty for a name that
/// JSON writes in more than one way.
struct Lead(Vec<u8>);

impl Lead {
    fn of(name: &str) -> Self {
        let is_plain = !name.bytes().any(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
        Self(if is_plain { format!("\"{name}\":").into_bytes() } else { Vec::new() })
    }

    /// Whether it stands at `at`. The names are compared by two words that may overlap: they are short, and many.
    #[inline(always)]
    fn stands(&self, text: &[u8], at: usize) -> bool {
        let lead = self.0.as_slice();
        let word = |bytes: &[u8], at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        match lead.len() {
            long @ 8..=16 => word(text, at) == word(lead, 0) && word(text, at + long - 8) == word(lead, long - 8),
            0 => false,
            long => text.get(at..at + long) == Some(lead),
        }
    }
}

impl Table {
    pub fn new(entity: &Entity, is_nested: impl Fn(&arrow::datatypes::DataType) -> bool, is_enveloped: bool) -> Self {
        let mut table = Self { columns: Vec::new(), index: HashMap::new(), rows: 0, side: Vec::new(), is_enveloped };
        for property in &entity.properties {
            table.add(property.name.clone(), is_nested(&property.data_type));
        }
        table
    }

    fn add(&mut self, name: String, raw: bool) -> usize {
        let place = self.columns.len();
        self.index.insert(name.as_bytes().to_vec(), place);
        let lead = Lead::of(&name);
        let cells = if raw { Cells::Nested(Vec::new()) } else { Cells::Text(Views::default()) };
        self.columns.push(Column { name, cells, lead, next: place + 1 });
        place
    }

    /// Makes room for the next batch; columns are remembered.
    pub fn clear(&mut self) {
        self.columns.iter_mut().for_each(|column| column.cells.resize(0));
        self.side.clear();
        self.rows = 0;
    }

    /// Reads the object at `at` as a row and returns where it ends. After an error nothing of it is left.
    pub fn read(&mut self, text: &[u8], at: usize, end: usize) -> Result<usize, Bad> {
        let side = self.side.len();
        let read = match self.is_enveloped {
            true => self.read_enveloped(text, at, end),
            false => self.read_row(text, at, end),
        };
        match read {
            Ok(_) => self.rows += 1,
            Err(_) => {
                self.undo(self.rows);
                self.side.truncate(side);
            }
        }
        read
    }

    fn read_row(&mut self, text: &[u8], at: usize, end: usize) -> Result<usize, Bad> {
        parse::object(text, at, end, &mut Row { table: self, previous: None, guess: 0 })
    }

    /// The row inside, and beside it what happened to it.
    fn read_enveloped(&mut self, text: &[u8], at: usize, end: usize) -> Result<usize, Bad> {
        let envelope = Envelope::read(text, at, end)?;
        if let Some(row) = &envelope.row {
            self.read_row(text, row.start, row.end)?;
        }
        for (name, value) in [(OP, Some(envelope.op)), (AT, envelope.at)] {
            let Some(value) = value else { continue };
            let place = self.look_up(name.as_bytes(), Kind::Text { escaped: false })?;
            self.put(text, place, &value)?;
        }
        Ok(envelope.end)
    }

    /// Takes back all rows from the given one on.
    pub fn undo(&mut self, rows: usize) {
        self.rows = rows;
        for column in &mut self.columns {
            column.cells.resize(rows.min(column.cells.len()));
        }
    }

    #[cold]
    fn look_up(&mut self, name: &[u8], kind: Kind) -> Result<usize, Bad> {
        let mut unescaped = Vec::new();
        let name = match kind {
            Kind::Text { escaped: true } => {
                parse::unescape(name, &mut unescaped)?;
                &unescaped
            }
            _ => name,
        };
        if let Some(place) = self.index.get(name) {
            return Ok(*place);
        }
        if self.columns.len() == COLUMNS_MAX {
            return Err(Bad::Because("it has a field beyond the 4,096 different ones that a file may have"));
        }
        let name = String::from_utf8(name.to_vec()).map_err(|_| Bad::Because("a field's name is not valid UTF-8"))?;
        if name.is_empty() {
            return Err(Bad::Because("a field has an empty name"));
        }
        Ok(self.add(name, false))
    }

    #[inline]
    fn put(&mut self, text: &[u8], place: usize, value: &Value) -> Result<(), Bad> {
        let cells = &mut self.columns[place].cells;
        if cells.len() != self.rows {
            if cells.len() > self.rows {
                return Err(Bad::Because("a field occurs twice"));
            }
            cells.resize(self.rows);
        }
        let range = value.range.clone();
        match (cells, value.kind) {
            (cells, Kind::Null) => cells.resize(self.rows + 1),
            (Cells::Nested(spans), Kind::Text { .. }) => spans.push(Span::present(range.start - 1, range.end + 1)),
            (Cells::Nested(spans), _) => spans.push(Span::present(range.start, range.end)),
            (Cells::Text(views), Kind::Text { escaped: true }) => {
                let start = self.side.len();
                parse::unescape(&text[range], &mut self.side)?;
                views.push_aside(&self.side, start);
            }
            (Cells::Text(views), _) => views.push(text, range),
        }
        Ok(())
    }
}

/// The row that is read.
struct Row<'t> {
    table: &'t mut Table,
    previous: Option<usize>,
    /// The column whose field was told by its bytes.
    guess: usize,
}

impl Fields for Row<'_> {
    /// Records mostly have their fields in one order, so that the guess is mostly right.
    #[inline(always)]
    fn guess(&mut self, text: &[u8], at: usize) -> Option<usize> {
        self.guess = self.previous.map_or(0, |previous| self.table.columns[previous].next);
        let lead = &self.table.columns.get(self.guess)?.lead;
        lead.stands(text, at).then(|| at + lead.0.len())
    }

    #[inline(always)]
    fn field(&mut self, text: &[u8], key: Option<Value>, value: Value) -> Result<(), Bad> {
        let place = match key {
            None => self.guess,
            Some(key) => {
                let place = self.table.look_up(&text[key.range], key.kind)?;
                if let Some(previous) = self.previous {
                    self.table.columns[previous].next = place;
                }
                place
            }
        };
        self.previous = Some(place);
        self.table.put(text, place, &value)
    }
}
