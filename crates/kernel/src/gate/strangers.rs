//! Columns that the contract does not name.

use super::quarantine::HIDDEN;
use super::violations::{Cause, Violations};
use super::{Clash, Gate, Names, cells};
use crate::contract::SchemaChange;
use crate::error::{Error, Kind, Result};
use arrow::array::{Array, ArrayRef, BooleanArray, StringViewArray};
use arrow::compute::{and, is_not_null, is_null};
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

/// A name with so many digits may be somebody's number or date.
const DIGITS_MAX: usize = 5;

/// A name longer than this, in characters, may be a text.
const NAME_MAX: usize = 64;

/// A column that the contract does not name, as it may be told of.
struct Stranger {
    /// Its place, and its name unless that may be a value: a file without a header has a record there.
    shown: String,
    is_named: bool,
    /// How many columns the contract does not name.
    strangers: usize,
}

impl Stranger {
    /// What the quarantine calls it.
    fn column<'s>(&'s self, name: &'s str) -> &'s str {
        if self.is_named { name } else { &self.shown }
    }
}

impl Gate {
    /// Does with them what the contract says; gives the columns that `evolve` takes in.
    pub(super) fn meet_strangers(
        &mut self,
        batch: &RecordBatch,
        violations: &mut Violations,
    ) -> Result<Vec<(FieldRef, ArrayRef)>> {
        let schema = batch.schema();
        let is_stranger = |at: &usize| self.place(schema.field(*at).name()).is_none();
        let places: Vec<usize> = (0..batch.num_columns()).filter(is_stranger).collect();
        if places.is_empty() {
            return Ok(Vec::new());
        }
        // Where no column is known, the first record may stand in the header's place, word by word.
        let is_header = places.len() < batch.num_columns();
        let (mut evolved, mut names) = (Vec::new(), self.names.clone());
        for at in &places {
            let (name, values) = (schema.field(*at).name(), batch.column(*at));
            let is_named = (is_header && is_plain(name)) || self.is_told(name);
            let place = format!("{} of {}", at + 1, batch.num_columns());
            let shown = if is_named { format!("column `{name}` ({place})") } else { format!("column {place}") };
            let stranger = Stranger { shown, is_named, strangers: places.len() };
            // A file that lacks its header has a record there.
            if self.screen.is_personal(name) {
                return Err(self.refusal(&stranger, "its name looks like personal data: is the header missing?"));
            }
            match self.entity.schema_change {
                SchemaChange::Freeze => return Err(self.stranger(name, &stranger)),
                SchemaChange::Quarantine => violations.mark(&is_there(values)?, || {
                    Cause::new("schema", Some(stranger.column(name)), "the contract does not name this column")
                }),
                SchemaChange::Evolve => evolved.extend(self.evolve(name, values, &stranger, &mut names, violations)?),
            }
        }
        Ok(evolved)
    }

    /// The column as the table gets it; none where it has no place beside those of `names`.
    fn evolve(
        &mut self,
        name: &str,
        values: &ArrayRef,
        stranger: &Stranger,
        names: &mut Names,
        violations: &mut Violations,
    ) -> Result<Option<(FieldRef, ArrayRef)>> {
        let column = Some(stranger.column(name));
        if let Some(clash) = names.clash(name) {
            let why = clashes(name, &clash, stranger.is_named);
            violations.mark(&is_there(values)?, || Cause::new("schema", column, why));
            return Ok(None);
        }
        names.take(name);
        let (field, text) = self.take_in(name, values)?;
        let untold = and(&is_there(values)?, &is_null(&text).map_err(fault)?).map_err(fault)?;
        violations.mark(&untold, || Cause::new("type", column, "is nothing that text can tell exactly"));
        Ok(Some((field, text)))
    }

    /// Whether a name is one of ours or of the contract's, but for its case: then it is nobody's value.
    fn is_told(&self, name: &str) -> bool {
        match self.names.clash(name) {
            Some(Clash::Kept) => true,
            Some(Clash::Twin(other)) => self.place(other).is_some(),
            Some(Clash::Unfit) | None => false,
        }
    }

    fn stranger(&self, name: &str, stranger: &Stranger) -> Error {
        let near = crate::suggest::nearest(name, self.entity.properties.iter().map(|p| p.name.as_str()));
        let near = near.map_or(String::new(), |near| format!(" (is it `{near}`?)"));
        let header = match stranger.is_named {
            true => "",
            false => "; its name is not shown, for it may be a value: is the header missing?",
        };
        let remedy = match self.names.clash(name) {
            None => "add it there, or state `schema_change: evolve` or `quarantine`".to_owned(),
            Some(clash) => format!(
                "{}; let the source leave it out or call it otherwise, or state `schema_change: quarantine`",
                clashes(name, &clash, stranger.is_named)
            ),
        };
        let why = format!("the contract does not name it{near}: {remedy}{header}");
        self.refusal(stranger, &why)
    }

    fn refusal(&self, stranger: &Stranger, why: &str) -> Error {
        let Stranger { shown, strangers, .. } = stranger;
        let count = if *strangers > 1 { format!("; {strangers} columns are new") } else { String::new() };
        Error::new(Kind::Contract, format!("new {shown} in `{}`", self.entity.name), format!("{why}{count}"))
    }

    fn take_in(&mut self, name: &str, values: &ArrayRef) -> Result<(FieldRef, ArrayRef)> {
        let text: ArrayRef = Arc::new(cells::texts(values)?);
        if !self.redacted.contains(name) && self.screen.is_personal_column(name, &text) {
            self.redacted.insert(name.to_owned());
        }
        let text = if self.redacted.contains(name) { hidden(&text) } else { text };
        Ok((Arc::new(Field::new(name, DataType::Utf8View, true)), text))
    }
}

/// Why a table can't have the column; of names that may be values none is told.
fn clashes(name: &str, clash: &Clash, is_named: bool) -> String {
    match clash {
        Clash::Unfit => "its name is empty or holds a NUL character, and no column can be called like that".into(),
        Clash::Kept => format!("the name `{name}` is kept for Lavra's own columns"),
        Clash::Twin(other) if is_named => {
            format!("`{name}` and `{other}` differ only in upper and lower case, and no table can have both")
        }
        Clash::Twin(_) => {
            "its name differs from another column's only in upper and lower case, and no table can have both".into()
        }
    }
}

/// Whether a name can be nothing but a name: a word, or words with one kind of separator. People's names have blanks, and
/// dates, numbers and addresses have digits, signs or several separators; so have some honest headers, which are told of
/// by their place.
fn is_plain(name: &str) -> bool {
    let digits = name.chars().filter(char::is_ascii_digit).count();
    let mut separators: Vec<char> = name.chars().filter(|c| ['_', '-', '.'].contains(c)).collect();
    separators.dedup();
    let is_word = |c: char| c.is_alphanumeric() || separators.contains(&c);
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(is_word)
        && separators.len() < 2
        && digits < DIGITS_MAX
        && name.chars().count() <= NAME_MAX
}

fn hidden(values: &ArrayRef) -> ArrayRef {
    Arc::new((0..values.len()).map(|row| values.is_valid(row).then_some(HIDDEN)).collect::<StringViewArray>())
}

fn is_there(values: &ArrayRef) -> Result<BooleanArray> {
    is_not_null(values).map_err(fault)
}

fn fault(error: ArrowError) -> Error {
    Error::internal("look for nulls", &error)
}
