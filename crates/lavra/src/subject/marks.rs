//! By which columns a person's rows are told, in every table: those of contracts, and what models copy of them.

use super::forms::Forms;
use crate::project::{Compiled, Source};
use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::compute::{cast, or};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use kernel::TableName;
use kernel::error::{Error, Result};
use kernel::keys::KeyProvider;
use kernel::vault::Vault;
use lake::{ColumnRef, Model, Via};
use privacy::mask::Form;
use privacy::subject::{Look, Subject};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A text this long is found inside others: nobody's number is so long by chance.
const TOKEN_LENGTH_MIN: usize = 20;

/// A column, and what the person looks like there.
#[derive(Clone)]
pub struct Mark {
    pub column: String,
    look: Look,
    /// A model spells the value in another way: `lower(cpf)`.
    is_spelled: bool,
}

pub struct Marks {
    by_table: BTreeMap<TableName, Vec<Mark>>,
    /// What the person looks like anywhere, for tables that the project knows no more and for rows set aside.
    anywhere: Vec<Look>,
    /// Columns of the kind in which nobody can be told by the value, in all rows or in those of some time: rows are told by
    /// another column, or not at all.
    pub blind: Vec<ColumnRef>,
    /// Columns that were masked as they were written for some time, so that only usual spellings are told.
    pub as_written: Vec<ColumnRef>,
    /// Columns that name people as these do.
    pub linked: BTreeSet<ColumnRef>,
}

/// How rows of one table are told.
pub enum Rows<'a> {
    ByColumn(&'a [Mark]),
    /// Any text column.
    ByAnyText(&'a [Look]),
    /// The masked row as JSON.
    SetAside {
        marks: &'a [Mark],
        anywhere: &'a [Look],
    },
}

impl Marks {
    /// `forms` are those that columns had when their rows came in; `linked` holds the values of columns by which other
    /// tables name the person.
    pub fn of_project(
        project: &Compiled,
        forms: &Forms,
        subject: &Subject,
        keys: &Arc<dyn KeyProvider>,
        vault: Option<&dyn Vault>,
        linked: &BTreeMap<ColumnRef, BTreeSet<String>>,
    ) -> Result<Self> {
        let mut marks = Self {
            by_table: BTreeMap::new(),
            anywhere: Vec::new(),
            blind: Vec::new(),
            as_written: Vec::new(),
            linked: BTreeSet::new(),
        };
        for source in &project.sources {
            marks.by_table.entry(source.table.clone()).or_default();
            for (column, forms) in columns_of(source, forms) {
                if forms.iter().any(|form| is_of(form, subject.kind())) {
                    marks.take(column, &forms, subject, keys, vault)?;
                }
            }
            for (column, target) in &source.terms.links {
                marks.linked.insert(target.clone());
                if let Some(values) = linked.get(target) {
                    let column = ColumnRef { table: source.table.clone(), column: column.clone() };
                    marks.put(column, Look::Texts(values.clone()), false);
                }
            }
        }
        project.models.iter().for_each(|model| marks.take_copies(model));
        Ok(marks)
    }

    /// Takes what the subject looks like in a column under each form that it had.
    fn take(
        &mut self,
        column: ColumnRef,
        forms: &[Form],
        subject: &Subject,
        keys: &Arc<dyn KeyProvider>,
        vault: Option<&dyn Vault>,
    ) -> Result<()> {
        let looks = subject.looks(forms, keys, vault)?;
        if looks.is_blind {
            self.blind.push(column.clone());
        }
        if looks.is_as_written {
            self.as_written.push(column.clone());
        }
        self.anywhere.extend(looks.all.iter().cloned());
        looks.all.into_iter().chain(looks.guess).for_each(|look| self.put(column.clone(), look, false));
        Ok(())
    }

    /// What a model's columns hold of those that tell the person.
    fn take_copies(&mut self, model: &Model) {
        self.by_table.entry(model.name.clone()).or_default();
        for (column, held) in &model.lineage.holds {
            let ways = model.lineage.columns.iter().find(|(name, _)| name == column).map(|(_, ways)| ways);
            for from in held {
                let is_copy = ways.and_then(|ways| ways.get(from)) == Some(&Via::Copied);
                let of_input = self.by_table.get(&from.table).into_iter().flatten();
                let found: Vec<Mark> = of_input.filter(|mark| mark.column == from.column).cloned().collect();
                let to = ColumnRef { table: model.name.clone(), column: column.clone() };
                found.into_iter().for_each(|m| self.put(to.clone(), m.look, m.is_spelled || !is_copy));
            }
        }
    }

    /// Whether a table has a column that tells whose a row is.
    pub fn tells(&self, table: &TableName) -> bool {
        self.by_table.get(table).is_some_and(|marks| !marks.is_empty())
    }

    /// Whether a table has a column that tells whose a row is, beside this one.
    pub fn tells_beside(&self, column: &ColumnRef) -> bool {
        self.by_table.get(&column.table).is_some_and(|marks| marks.iter().any(|mark| mark.column != column.column))
    }

    /// Whether the column itself tells whose some of its rows are.
    pub fn tells_some(&self, column: &ColumnRef) -> bool {
        self.by_table.get(&column.table).is_some_and(|marks| marks.iter().any(|mark| mark.column == column.column))
    }

    fn put(&mut self, at: ColumnRef, look: Look, is_spelled: bool) {
        self.by_table.entry(at.table).or_default().push(Mark { column: at.column, look, is_spelled });
    }

    /// How a table's rows are told; a table of the project that nothing of the kind reaches has no such rows.
    pub fn rows(&self, table: &TableName) -> Rows<'_> {
        let bronze = (table.layer() == "quarantine").then(|| TableName::new("bronze", table.table()).ok()).flatten();
        if let Some(bronze) = bronze {
            let marks = self.by_table.get(&bronze).map_or(&[][..], Vec::as_slice);
            return Rows::SetAside { marks, anywhere: &self.anywhere };
        }
        match self.by_table.get(table) {
            Some(marks) => Rows::ByColumn(marks),
            None => Rows::ByAnyText(&self.anywhere),
        }
    }
}

/// Each column of a source's table with the forms that it has by the contract and had by the table's commits. What is
/// dropped never comes to the table.
fn columns_of(source: &Source, forms: &Forms) -> BTreeMap<ColumnRef, Vec<Form>> {
    let had = forms.iter().filter(|(column, _)| column.table == source.table);
    let mut all: BTreeMap<ColumnRef, Vec<Form>> = had.map(|(column, forms)| (column.clone(), forms.clone())).collect();
    for property in &source.entity.properties {
        let form = Form::of(property);
        if form.mask.as_ref().is_some_and(|mask| mask.name == "drop") {
            continue;
        }
        let of_column = ColumnRef { table: source.table.clone(), column: property.name.clone() };
        let of_column = all.entry(of_column).or_default();
        if !of_column.contains(&form) {
            of_column.push(form);
        }
    }
    all
}

/// Whether a column of this form holds personal data of the kind.
fn is_of(form: &Form, kind: &str) -> bool {
    form.class.as_ref().filter(|class| class.is_personal()).and_then(|class| class.kind()) == Some(kind)
}

impl Rows<'_> {
    /// The columns to read; all where `None`.
    pub fn columns(&self) -> Option<BTreeSet<String>> {
        match self {
            Rows::ByColumn(marks) => Some(marks.iter().map(|mark| mark.column.clone()).collect()),
            Rows::ByAnyText(_) => None,
            Rows::SetAside { .. } => Some(BTreeSet::from(["row".to_owned()])),
        }
    }

    pub fn is_nothing(&self) -> bool {
        match self {
            Rows::ByColumn(marks) => marks.is_empty(),
            Rows::ByAnyText(looks) => looks.is_empty(),
            Rows::SetAside { marks, anywhere } => marks.is_empty() && anywhere.is_empty(),
        }
    }

    /// The person's rows, by each column that tells them.
    pub fn by_column(&self, batch: &RecordBatch) -> Result<BTreeMap<String, BooleanArray>> {
        let mut found: BTreeMap<String, BooleanArray> = BTreeMap::new();
        let mut take = |column: &str, values: &ArrayRef, is: &dyn Fn(&str) -> bool| -> Result<()> {
            let Some(told) = told(values, is) else { return Ok(()) };
            let all = match found.remove(column) {
                Some(other) => or(&other, &told).map_err(fault)?,
                None => told,
            };
            found.insert(column.to_owned(), all);
            Ok(())
        };
        match self {
            Rows::ByColumn(marks) => {
                for mark in *marks {
                    if let Some(values) = batch.column_by_name(&mark.column) {
                        take(&mark.column, values, &|text| is(&mark.look, text, mark.is_spelled))?;
                    }
                }
            }
            Rows::ByAnyText(looks) => {
                for (field, values) in batch.schema().fields().iter().zip(batch.columns()) {
                    let is_text = field.data_type().is_string() || field.data_type().is_integer();
                    if is_text {
                        take(field.name(), values, &|text| looks.iter().any(|look| is(look, text, false)))?;
                    }
                }
            }
            Rows::SetAside { marks, anywhere } => {
                if let Some(values) = batch.column_by_name("row") {
                    take("row", values, &|text| is_set_aside(text, marks, anywhere))?;
                }
            }
        }
        Ok(found)
    }

    /// The person's rows.
    pub fn of(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let none = BooleanArray::from(vec![false; batch.num_rows()]);
        self.by_column(batch)?.values().try_fold(none, |all, told| or(&all, told).map_err(fault))
    }
}

fn fault(error: arrow::error::ArrowError) -> Error {
    Error::internal("look for a person's rows", "arrow refused a column").because(error)
}

/// Where a column's text is the person's; `None` where it has no text.
fn told(values: &ArrayRef, is: &dyn Fn(&str) -> bool) -> Option<BooleanArray> {
    let texts = cast(values, &DataType::Utf8View).ok()?;
    Some(texts.as_string_view().iter().map(|text| Some(text.is_some_and(is))).collect())
}

fn is(look: &Look, text: &str, is_spelled: bool) -> bool {
    match look {
        Look::Texts(texts) if !is_spelled => texts.contains(text),
        Look::Texts(texts) => texts.iter().any(|token| is_inside(&text.to_lowercase(), &token.to_lowercase())),
        Look::Spelled(way, own) => {
            let is_it = |text: &str| *way.apply(text) == ***own;
            let parts = |c: char| c.is_whitespace() || ",;|\"'".contains(c);
            is_it(text) || (is_spelled && text.split(parts).any(is_it))
        }
    }
}

/// Whether a token stands in a text; a short one only between signs that are no letters and digits.
fn is_inside(text: &str, token: &str) -> bool {
    if token.len() >= TOKEN_LENGTH_MIN {
        return text.contains(token);
    }
    let ends = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    text.match_indices(token)
        .any(|(at, found)| ends(text[..at].chars().next_back()) && ends(text[at + found.len()..].chars().next()))
}

/// Whether a row that was set aside is the person's: by its own columns, or by a masked value in whichever column.
fn is_set_aside(row: &str, marks: &[Mark], anywhere: &[Look]) -> bool {
    let Ok(Value::Object(cells)) = serde_json::from_str(row) else { return false };
    cells.iter().any(|(column, cell)| {
        let Some(text) = cell.as_str() else { return false };
        marks.iter().any(|mark| mark.column == *column && is(&mark.look, text, mark.is_spelled))
            || anywhere.iter().any(|look| is(look, text, false))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_token_is_no_part_of_a_longer_number() {
        assert!(is_inside("id 12345678901, x", "12345678901") && is_inside("12345678901", "12345678901"));
        assert!(!is_inside("9123456789012", "12345678901") && !is_inside("a12345678901", "12345678901"));
        assert!(is_inside("xp1_abcdefghijklmnopqrstuvx", "p1_abcdefghijklmnopqrstuv"));
    }

    #[test]
    fn a_row_set_aside_is_told_by_any_cell() {
        let look = Look::Texts(BTreeSet::from(["p1_x".to_owned()]));
        let mark = Mark { column: "cpf".into(), look: look.clone(), is_spelled: false };
        for (row, is_theirs) in [
            (r#"{"cpf":"p1_x","n":"1"}"#, true),
            (r#"{"other":"p1_x"}"#, true),
            (r#"{"cpf":"p1_y","n":null}"#, false),
            ("not json p1_x", false),
        ] {
            assert_eq!(is_set_aside(row, std::slice::from_ref(&mark), std::slice::from_ref(&look)), is_theirs, "{row}");
        }
    }
}
