//! Gathers the fields of objects into columns.

use super::parse::{self, Bad, Kind, Value};
use crate::files::views::Span;
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
}

pub struct Column {
    pub name: String,
    /// Of each row so far; shorter than `rows` when the last ones lack the field.
    pub spans: Vec<Span>,
    /// Values are kept as JSON, strings with their quotes: the contract says that they are nested.
    pub raw: bool,
    /// The column whose field came next the last time.
    next: usize,
}

impl Table {
    pub fn new(entity: &Entity, is_nested: impl Fn(&arrow::datatypes::DataType) -> bool) -> Self {
        let mut table = Self { columns: Vec::new(), index: HashMap::new(), rows: 0, side: Vec::new() };
        for property in &entity.properties {
            table.add(property.name.clone(), is_nested(&property.data_type));
        }
        table
    }

    fn add(&mut self, name: String, raw: bool) -> usize {
        let place = self.columns.len();
        self.index.insert(name.as_bytes().to_vec(), place);
        self.columns.push(Column { name, spans: Vec::new(), raw, next: place + 1 });
        place
    }

    /// Makes room for the next batch; columns are remembered.
    pub fn clear(&mut self) {
        self.columns.iter_mut().for_each(|column| column.spans.clear());
        self.side.clear();
        self.rows = 0;
    }

    /// Reads the object at `at` as a row and returns where it ends. After an error nothing of it is left.
    pub fn read(&mut self, text: &[u8], at: usize, end: usize) -> Result<usize, Bad> {
        let side = self.side.len();
        let mut previous = None;
        let read = parse::object(text, at, end, |key, value| {
            let place = self.place(text, &key, previous)?;
            previous = Some(place);
            self.put(text, place, &value)
        });
        match read {
            Ok(_) => self.rows += 1,
            Err(_) => {
                self.undo(self.rows);
                self.side.truncate(side);
            }
        }
        read
    }

    /// Takes back all rows from the given one on.
    pub fn undo(&mut self, rows: usize) {
        self.rows = rows;
        self.columns.iter_mut().for_each(|column| column.spans.truncate(rows));
    }

    /// The column of a key. Records mostly have their fields in one order, so the guess is mostly right.
    #[inline]
    fn place(&mut self, text: &[u8], key: &Value, previous: Option<usize>) -> Result<usize, Bad> {
        let name = &text[key.range.clone()];
        let guess = previous.map_or(0, |previous| self.columns[previous].next);
        if let Some(column) = self.columns.get(guess)
            && column.name.as_bytes() == name
        {
            return Ok(guess);
        }
        let place = self.look_up(name, key.kind)?;
        if let Some(previous) = previous {
            self.columns[previous].next = place;
        }
        Ok(place)
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
        let column = &mut self.columns[place];
        if column.spans.len() > self.rows {
            return Err(Bad::Because("a field occurs twice"));
        }
        let range = value.range.clone();
        let span = match value.kind {
            Kind::Null => Span::NULL,
            Kind::Text { .. } if column.raw => Span::present(range.start - 1, range.end + 1),
            Kind::Text { escaped: true } => {
                let start = self.side.len();
                parse::unescape(&text[range], &mut self.side)?;
                Span::aside(start, self.side.len())
            }
            _ => Span::present(range.start, range.end),
        };
        column.spans.resize(self.rows, Span::NULL);
        column.spans.push(span);
        Ok(())
    }
}
