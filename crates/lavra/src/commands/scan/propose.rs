//! From what was seen to a contract: types, keys, classes, masks.

use super::column_type::{as_text, contract_type, has_contract_type, is_key_type, shown, spoken, widest};
use super::group::nothing_known;
use super::look::Looked;
use super::watch::Column;
use arrow::datatypes::DataType;
use kernel::Classification;
use kernel::contract::{Constraints, Contract, Entity, MaskSpec, Property};
use kernel::error::Result;
use kernel::gate::{is_kept, is_stamp};
use kernel::mask::MaskFactory;
use privacy::detect::ColumnFinding;
use privacy::keys::FixedKeys;
use privacy::mask::Masks;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Fewer rows than this say nothing about a key.
const KEY_ROWS_MIN: u64 = 10;

/// A column with this share of one kind holds hardly anything else.
const PURE_SHARE: f64 = 0.9;

/// What was found in a column; the keys of `lavra scan --format json`.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    pub table: String,
    pub column: String,
    pub kind: Option<String>,
    pub confidence: f64,
    pub share: f64,
    pub examples: Vec<String>,
    pub classification: Option<String>,
    pub mask: Option<String>,
    /// The proposed type, as people read it.
    #[serde(skip)]
    pub data_type: String,
}

/// What is proposed for a table.
pub struct Proposal {
    pub entity: Entity,
    pub records: Vec<Record>,
    /// What should be known of some columns.
    pub notes: Vec<String>,
}

pub struct Proposer {
    masks: Masks,
    /// `masks` of lavra.yaml.
    of_project: BTreeMap<String, String>,
}

impl Proposer {
    pub fn new(of_project: BTreeMap<String, String>) -> Self {
        Self { masks: Masks::new(Arc::new(FixedKeys::new(&[1]))), of_project }
    }

    /// `is_json` says that the files are JSON, so that objects in them can be taken in as such. `may_have_key` is false
    /// where a next file may well bring the same rows again.
    pub fn propose(&self, looked: &Looked, is_json: bool, may_have_key: bool) -> Proposal {
        let mut proposal = Proposal { entity: nothing_known(&looked.table), records: Vec::new(), notes: Vec::new() };
        let mut has_key = !may_have_key || looked.rows < KEY_ROWS_MIN;
        for column in &looked.seen.columns {
            if is_reserved(&column.name, looked) {
                proposal.notes.push(format!(
                    "`{}` is not in the contract, for Lavra's own columns are called like that: a run stops at it. Let the \
                     source leave it out, or read a view that calls it otherwise",
                    column.name
                ));
                continue;
            }
            let findings = Findings::of(column, &looked.seen.findings);
            let mut property = self.property(column, &findings, is_json);
            property.required = findings.is_required(column, looked.rows);
            if !has_key
                && property.required
                && property.classification.is_none()
                && column.is_unique_key()
                && is_key_type(&property.data_type)
            {
                property.primary_key = Some(1);
                has_key = true;
            }
            proposal.notes.extend(findings.note(column, &property));
            proposal.records.extend(findings.records(&looked.table, &property));
            proposal.entity.properties.push(property);
        }
        proposal
    }

    fn property(&self, column: &Column, findings: &Findings, is_json: bool) -> Property {
        let data_type = findings.data_type(column, is_json);
        let classification = findings.classification();
        let mask = classification.as_ref().and_then(|class| self.mask(class, &data_type, findings, column));
        let own = findings.own.filter(|own| own.proposed.data_type == data_type);
        Property {
            name: column.name.clone(),
            description: None,
            required: false,
            unique: false,
            primary_key: None,
            constraints: Constraints::default(),
            classification,
            mask,
            format: own.and_then(|own| own.proposed.format).map(str::to_owned),
            decimal_comma: own.is_some_and(|own| own.proposed.decimal_comma),
            not_personal: false,
            data_type,
        }
    }

    /// The project's mask of the class, else its usual one; redacted where neither takes the type or hides all there is.
    ///
    /// Of free text `scrub` leaves the words that are nobody's.
    fn mask(
        &self,
        class: &Classification,
        data_type: &DataType,
        findings: &Findings,
        column: &Column,
    ) -> Option<MaskSpec> {
        let purity = findings.purity(column);
        let above = std::iter::successors(Some(class.as_str()), |name| Some(name.rsplit_once('.')?.0));
        let of_project = above.filter_map(|name| self.of_project.get(name)).find_map(|text| MaskSpec::parse(text).ok());
        let usual = findings.usual_mask(class);
        let fits =
            |mask: &MaskSpec| self.masks.build(mask, Some(class)).is_ok_and(|mask| mask.output(data_type).is_ok());
        let plain = |name: &str| MaskSpec { name: name.to_owned(), args: Vec::new() };
        let hides_all = |mask: &MaskSpec| purity.is_hidden_by(&mask.name);
        let scrub = findings.is_free_text(column).then(|| plain("scrub"));
        of_project
            .into_iter()
            .filter(hides_all)
            .chain(scrub)
            .chain(usual.into_iter().filter(hides_all))
            .chain([plain("redact")])
            .find(fits)
    }

    /// Puts what was found in the values of a table to what its system says of its columns: types, keys and what is
    /// required are the system's, classes and masks are the detector's.
    pub fn over(&self, known: &Entity, looked: &Looked, mut proposal: Proposal) -> Proposal {
        if known.properties.is_empty() {
            return proposal;
        }
        let mut entity = Entity { name: proposal.entity.name.clone(), ..known.clone() };
        entity.properties.retain(|property| !is_reserved(&property.name, looked));
        for property in &mut entity.properties {
            let found = proposal.entity.properties.iter().find(|found| found.name == property.name);
            property.classification = property.classification.take().or(found.and_then(|f| f.classification.clone()));
            property.mask = property.mask.take().or(found.and_then(|found| found.mask.clone()));
            let class = property.classification.as_ref();
            let fits = |mask: &MaskSpec| {
                self.masks.build(mask, class).is_ok_and(|mask| mask.output(&property.data_type).is_ok())
            };
            if property.mask.as_ref().is_some_and(|mask| !fits(mask)) {
                property.mask = Some(MaskSpec { name: "redact".to_owned(), args: Vec::new() });
            }
            for record in proposal.records.iter_mut().filter(|record| record.column == property.name) {
                record.data_type = shown(property);
                record.classification = property.classification.as_ref().map(|class| class.as_str().to_owned());
                record.mask = property.mask.as_ref().map(ToString::to_string);
            }
        }
        Proposal { entity, ..proposal }
    }

    /// The contract of an entity, and proof that it reads as what it was written from.
    pub fn contract(&self, entity: &Entity) -> Result<String, String> {
        let contract = Contract {
            id: entity.name.clone(),
            version: "1.0.0".to_owned(),
            entities: vec![entity.clone()],
            owner: None,
            retention_days: None,
        };
        let text = govern::odcs::write(&contract);
        let (read, _) = govern::odcs::read("contract", &text, &|_| None)
            .map_err(|faults| faults.iter().map(|fault| fault.message.clone()).collect::<Vec<_>>().join("; "))?;
        let types = |entity: &Entity| {
            entity.properties.iter().map(|p| (p.name.clone(), p.data_type.clone())).collect::<Vec<_>>()
        };
        match read.entities.first().is_some_and(|read| types(read) == types(entity)) {
            true => Ok(text),
            false => Err("its types can't be written".to_owned()),
        }
    }
}

/// What else a column holds beside values of its kind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purity {
    /// Hardly anything.
    Values,
    /// Text around them.
    Text,
    /// Other fields.
    Nested,
}

impl Purity {
    /// The first digits of a postcode are a region; those of a note with a postcode in it are a piece of the note.
    fn is_hidden_by(self, mask: &str) -> bool {
        match self {
            Purity::Values => true,
            Purity::Text => !["generalize", "partial"].contains(&mask),
            Purity::Nested => ["redact", "null", "drop"].contains(&mask),
        }
    }
}

/// What was found in a column and inside of it.
struct Findings<'a> {
    own: Option<&'a ColumnFinding>,
    inner: Vec<&'a ColumnFinding>,
}

impl<'a> Findings<'a> {
    fn of(column: &Column, all: &'a [ColumnFinding]) -> Self {
        let is_nested = column.nested > 0 || column.nested_type().is_some();
        let prefix = format!("{}.", column.name);
        let inner = all.iter().filter(|finding| is_nested && finding.column.starts_with(&prefix)).collect();
        Self { own: all.iter().find(|finding| finding.column == column.name), inner }
    }

    fn all(&self) -> impl Iterator<Item = &'a ColumnFinding> + '_ {
        self.own.into_iter().chain(self.inner.iter().copied())
    }

    /// The class of the one kind there is; with several, a column is personal and no more can be said.
    fn classification(&self) -> Option<Classification> {
        let classes: BTreeSet<&str> = self.all().filter_map(|finding| finding.classification.as_deref()).collect();
        match classes.len() {
            // The gate would set rows aside for one value that is somebody's; what is called personal it hides instead.
            0 if self.all().any(|finding| finding.alarm.is_some()) => Some(Classification::new("personal")),
            0 => None,
            1 => classes.first().map(|class| Classification::new(*class)),
            _ => Some(Classification::new("personal")),
        }
    }

    /// The mask that a finding of the class proposes: a kind of the project's own has its own.
    fn usual_mask(&self, class: &Classification) -> Option<MaskSpec> {
        let of_class = |finding: &&ColumnFinding| finding.classification.as_deref() == Some(class.as_str());
        let own = self.all().find(of_class).and_then(|finding| MaskSpec::parse(finding.mask.as_deref()?).ok());
        own.or_else(|| privacy::mask::default_for(class))
    }

    /// Whether what was found stands in sentences.
    fn is_free_text(&self, column: &Column) -> bool {
        self.purity(column) != Purity::Nested && self.own.is_some_and(|own| own.in_text)
    }

    fn purity(&self, column: &Column) -> Purity {
        let is_plain = column.nested == 0 && column.nested_type().is_none();
        match self.own {
            Some(own) if is_plain && (own.share >= PURE_SHARE || own.rows == own.nulls) => Purity::Values,
            _ if is_plain => Purity::Text,
            _ => Purity::Nested,
        }
    }

    fn note(&self, column: &Column, property: &Property) -> Option<String> {
        let name = &column.name;
        if let Some(unfit) = column.types.iter().find(|data_type| !has_contract_type(data_type)) {
            return Some(format!(
                "`{name}` holds {}, which no contract can name yet: rows with a value there will be quarantined",
                spoken(unfit)
            ));
        }
        if let Some(told) = column.nested_type().and_then(as_text) {
            return Some(format!("`{name}` {told}"));
        }
        let own = self.own.filter(|own| own.strays > 0 && own.proposed.data_type == property.data_type)?;
        let (strays, values) = (crate::show::count(own.strays), crate::show::count(own.rows - own.nulls));
        let what = format!("`{name}`: {strays} of {values} values are words, not of type {}", shown(property));
        Some(what + ": their rows will be quarantined, unless `null_values` of the source names the words")
    }

    fn is_required(&self, column: &Column, rows: u64) -> bool {
        // Blank text counts as missing; what a list or an object holds says nothing about the column.
        let is_plain = column.nested == 0 && column.nested_type().is_none();
        rows > 0 && column.present == rows && !self.own.is_some_and(|own| is_plain && own.nulls > 0)
    }

    fn data_type(&self, column: &Column, is_json: bool) -> DataType {
        if let Some(nested) = column.nested_type() {
            let is_one = column.types.len() == 1;
            return contract_type(nested).filter(|_| is_one).unwrap_or(DataType::Utf8);
        }
        if column.nested > 0 {
            let nested = column.shape.data_type(&column.name, &|path| self.leaf(path));
            return nested.filter(|_| is_json && column.is_json()).unwrap_or(DataType::Utf8);
        }
        let proposed = self.own.map_or(DataType::Utf8, |own| own.proposed.data_type.clone());
        widest(&column.types).unwrap_or(proposed)
    }

    /// Inside of JSON a value must come back as it was written: `1.5` is no `1.50`.
    fn leaf(&self, path: &str) -> DataType {
        let finding = self.all().find(|finding| finding.column == path);
        match finding.map(|finding| &finding.proposed) {
            Some(proposed) if matches!(proposed.data_type, DataType::Int64 | DataType::Boolean) => {
                proposed.data_type.clone()
            }
            _ => DataType::Utf8,
        }
    }

    /// One record for the column, or for each of the places inside it. A mask hides the whole column.
    fn records(&self, table: &str, property: &Property) -> Vec<Record> {
        let mask = property.mask.as_ref().map(ToString::to_string);
        let record = |finding: &ColumnFinding| Record {
            table: table.to_owned(),
            column: finding.column.clone(),
            kind: finding.kind.clone().or_else(|| finding.alarm.clone()),
            confidence: finding.confidence,
            share: finding.share,
            examples: finding.examples.clone(),
            classification: finding
                .classification
                .clone()
                .or_else(|| finding.alarm.as_ref().and(property.classification.as_ref()).map(ToString::to_string)),
            mask: mask.clone(),
            data_type: match finding.column == property.name {
                true => shown(property),
                false => finding.proposed.physical.clone().unwrap_or_else(|| finding.proposed.logical.to_owned()),
            },
        };
        self.all().map(record).collect()
    }
}
/// Whether its table has a column of Lavra's own that is called like that.
fn is_reserved(column: &str, looked: &Looked) -> bool {
    if looked.is_log { is_kept(column) } else { is_stamp(column) }
}
