//! The one door between what came in and what is kept: parse to the contract's types, hold to its rules, mask.
//!
//! A batch goes through in one pass. All columns are masked before rows are split into kept and set aside, so that the
//! quarantine gets what bronze would have got; what could not be parsed, or is in a column that nobody named, is hidden
//! there.

mod cells;
mod changes;
mod column;
mod drift;
mod forgotten;
mod judge;
mod names;
mod own;
mod parse;
mod quarantine;
mod raw;
mod replay;
mod rules;
mod safe;
mod seal;
mod sealed;
mod stamp;
mod strangers;
#[cfg(test)]
mod tests;
mod unique;
mod violations;

pub use changes::{CHANGES, Changes, Op, change_log};
pub use forgotten::Forgotten;
pub use names::{Clash, Names, is_kept, is_stamp};
pub(crate) use own::own;
pub use quarantine::{HIDDEN, schema as quarantine_schema};
pub use raw::{Inspector, Malformed, Raw};
pub use replay::Replayed;
pub use safe::{Passed, Safe, Tally};
pub use seal::{Seal, Sealer, Tag, Unsealed};
pub use sealed::Sealed;
pub use stamp::{STAMPS, Stamp};

use crate::clock::Timestamp;
use crate::contract::{Entity, OnViolation, RowRule};
use crate::error::{Error, Kind, Result};
use crate::mask::MaskFactory;
use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::FilterBuilder;
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use column::Column;
use judge::Judged;
use quarantine::Aside;
use std::collections::BTreeSet;
use std::sync::Arc;
use unique::UniqueKey;
use violations::Violations;

/// Finds personal data where none is declared: in text that could not be parsed, in columns that nobody named. Trusted.
pub trait Screen: Send + Sync {
    /// Whether the text looks like somebody's identifier.
    fn is_personal(&self, text: &str) -> bool;

    /// Whether the column does, by its name or its values.
    fn is_personal_column(&self, name: &str, values: &ArrayRef) -> bool;

    /// The values that are somebody's with hardly a doubt, in a column that nobody called personal. Asked with a sample of
    /// a batch; once something was found, with the whole batch and `suspected`: then there was one already, and fewer are
    /// enough.
    fn alarm(&self, values: &ArrayRef, suspected: bool) -> Option<Alarm>;
}

/// Personal data where none was to be.
pub struct Alarm {
    /// The kind that most of the values are of.
    pub kind: String,
    /// True for each of them; of the same length as the values.
    pub rows: BooleanArray,
}

/// The gate of one entity, for one run.
pub struct Gate {
    entity: Entity,
    columns: Vec<Column>,
    row_rules: Vec<Box<dyn RowRule>>,
    unique: Vec<UniqueKey>,
    stamp: Stamp,
    screen: Arc<dyn Screen>,
    /// Columns of the table: those of the contract, and those that `evolve` took in.
    names: Names,
    /// Columns taken in by `evolve` that hold personal data, once found.
    redacted: BTreeSet<String>,
    /// Places of columns in which personal data was found though the contract doesn't call them personal.
    suspects: BTreeSet<usize>,
    /// What the quarantine keeps of how each column is masked.
    masks: Option<String>,
    forgotten: Option<Arc<dyn Forgotten>>,
}

impl Gate {
    /// Compiles an entity's rules and masks. `row_rules` are its SQL rules over single rows.
    pub fn new(
        entity: Entity,
        masks: &dyn MaskFactory,
        row_rules: Vec<Box<dyn RowRule>>,
        stamp: Stamp,
        screen: Arc<dyn Screen>,
    ) -> Result<Self> {
        if stamp.changes
            && let Some(kept) = entity.properties.iter().find(|property| is_kept(&property.name))
        {
            return Err(column::kept(&kept.name));
        }
        let columns = entity.properties.iter().map(|p| Column::compile(p, &entity, masks)).collect::<Result<_>>()?;
        let unique = UniqueKey::of(&entity);
        let masks = replay::records(&entity);
        let (names, redacted, suspects) = (Names::of(&entity), BTreeSet::new(), BTreeSet::new());
        Ok(Self {
            entity,
            columns,
            row_rules,
            unique,
            stamp,
            screen,
            names,
            redacted,
            suspects,
            masks,
            forgotten: None,
        })
    }

    /// The schema of what passes, but for columns that `evolve` adds.
    pub fn output_schema(&self) -> SchemaRef {
        let mut fields = self.output_fields();
        fields.extend(self.stamp_fields());
        Arc::new(Schema::new(fields))
    }

    fn stamp_fields(&self) -> Vec<FieldRef> {
        let changes = if self.stamp.changes { changes::fields() } else { Vec::new() };
        changes.into_iter().chain(stamp::fields()).collect()
    }

    fn output_fields(&self) -> Vec<FieldRef> {
        let columns = self.columns.iter().zip(&self.entity.properties);
        let output = columns.filter_map(|(column, property)| Some((&property.name, column.output.clone()?)));
        output.map(|(name, data_type)| Arc::new(Field::new(name, data_type, true))).collect()
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.entity.properties.iter().position(|p| p.name == name)
    }

    /// The columns whose values the table must be asked for before the first batch, so that keys stay unique over runs.
    /// A key with a mask that can't be joined on is not among them: the table can't tell.
    /// Neither is any of a change log, in which keys come again.
    pub fn unique_columns(&self) -> Vec<Vec<String>> {
        if self.stamp.changes {
            return Vec::new();
        }
        let is_told = |key: &&UniqueKey| key.places.iter().all(|at| self.columns[*at].is_joinable());
        self.unique.iter().filter(is_told).map(|key| key.columns.clone()).collect()
    }

    /// Remembers keys that the table holds.
    pub fn remember(&mut self, rows: &RecordBatch) -> Result<()> {
        self.unique.iter_mut().try_for_each(|key| key.remember(rows))
    }

    /// Tells the columns of the table as it is, before the first batch: `evolve` may have taken some in earlier, and no new
    /// one may differ from them only in upper and lower case.
    pub fn remember_columns(&mut self, table: &Schema) {
        self.names.take_all(table);
    }

    /// The only door out of `Raw`. Gives the masked rows that hold to the contract and, masked too, those that do not; an
    /// error (`on_violation: fail`, a frozen schema) lets nothing of the batch through and holds no value of it.
    pub fn pass(&mut self, raw: Raw, now: Timestamp) -> Result<Passed> {
        let (raw, rows_forgotten) = self.let_go(raw)?;
        if raw.changes.is_some() != self.stamp.changes {
            return Err(Error::internal(
                "take rows in",
                "the source gives changes where rows were announced, or the reverse",
            ));
        }
        let raw = self.blank(raw)?;
        let judged = self.judge(&raw.batch, &vec![false; self.columns.len()], raw.changes.as_ref(), raw.repeats)?;
        if self.entity.on_violation == OnViolation::Fail {
            self.refuse_all(&raw, &judged.violations)?;
        }
        let mut tally = judged.tally.clone();
        let mut asides = self.set_aside(&raw, &judged)?;
        let Raw { batch, partition, offsets, malformed, changes, .. } = raw;
        drop(batch);
        for record in &malformed {
            let aside = Aside::malformed(record);
            *tally.causes.entry(aside.label()).or_default() += 1;
            asides.push(aside);
        }
        let stamps = |offsets: &_| self.stamp.columns(&partition, offsets, now);
        let changed = changes.map(|changes| changes.columns()).unwrap_or_default();
        let evolved: Vec<FieldRef> = judged.evolved.iter().map(|(field, _)| field.clone()).collect();
        let safe = self.assemble(judged, changed.into_iter().chain(stamps(&offsets)).collect())?;
        // A batch none of whose rows passed brings the table no columns.
        if safe.num_rows() > 0 {
            evolved.iter().for_each(|field| self.names.take(field.name()));
        }
        let quarantined = match asides.is_empty() {
            true => None,
            false => Some(Safe { batch: quarantine::batch(&asides, self.masks.as_deref(), stamps)? }),
        };
        tally.rows_read += malformed.len() as u64 + rows_forgotten;
        tally.rows_forgotten = rows_forgotten;
        tally.rows_quarantined = asides.len() as u64;
        tally.rows_passed = safe.num_rows() as u64;
        Ok(Passed { safe, quarantined, tally })
    }

    /// Takes out of changes what they do not tell.
    fn blank(&self, raw: Raw) -> Result<Raw> {
        let Some(changes) = &raw.changes else { return Ok(raw) };
        // Without a key nothing else says which row goes.
        let has_key = self.entity.properties.iter().any(|p| p.primary_key.is_some());
        let is_key = |name: &str| !has_key || self.entity.property(name).is_some_and(|p| p.primary_key.is_some());
        Ok(Raw { batch: changes.blanked(&raw.batch, is_key)?, ..raw })
    }

    /// Puts the good rows' masked columns and their stamps together.
    fn assemble(&self, judged: Judged, stamps: Vec<ArrayRef>) -> Result<Safe> {
        let fault = |e| Error::internal("put a batch together", "its columns do not fit its schema").because(e);
        let mut fields = self.output_fields();
        let mut columns: Vec<ArrayRef> = judged.masked.into_iter().flatten().collect();
        for (field, values) in judged.evolved {
            fields.push(field);
            columns.push(values);
        }
        let own = columns.len();
        fields.extend(self.stamp_fields());
        columns.extend(stamps);
        if let Some(good) = kept(judged.violations.good(), judged.repeated.as_ref())? {
            let good = FilterBuilder::new(&good).optimize().build();
            columns = columns.iter().map(|column| good.filter(column)).collect::<Result<_, _>>().map_err(fault)?;
        }
        for column in &mut columns[..own] {
            *column = own::own(column)?;
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(fault)?;
        Ok(Safe { batch })
    }

    /// Under `on_violation: fail`, the error that names the first bad row.
    fn refuse_all(&self, raw: &Raw, violations: &Violations) -> Result<()> {
        let bad =
            violations.bad_rows().next().and_then(|row| Some((raw.offsets.value(row), violations.causes(row).next()?)));
        let malformed = raw.malformed.first().map(|m| (m.offset, "malformed".to_owned(), m.reason.clone()));
        let first = bad.map(|(offset, cause)| (offset, cause.label(), cause.reason.clone())).or(malformed);
        let Some((offset, label, reason)) = first else { return Ok(()) };
        let count = violations.bad_rows().count() + raw.malformed.len();
        let entity = &self.entity.name;
        Err(Error::new(
            Kind::Contract,
            format!("{}:{offset}: {label}", raw.partition),
            format!("{reason}; {count} rows of this batch break the contract of `{entity}` (on_violation: fail)"),
        ))
    }
}

/// The rows that broke nothing and did not come before; `None` when that is all of them.
fn kept(good: Option<BooleanArray>, repeated: Option<&BooleanArray>) -> Result<Option<BooleanArray>> {
    let Some(repeated) = repeated else { return Ok(good) };
    let fault = |e| Error::internal("let repeated rows go", "arrow refused a filter").because(e);
    let fresh = arrow::compute::not(repeated).map_err(fault)?;
    match good {
        Some(good) => arrow::compute::and(&good, &fresh).map(Some).map_err(fault),
        None => Ok(Some(fresh)),
    }
}
