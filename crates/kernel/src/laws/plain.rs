//! Gates without masks, for the laws' own rows.
#![allow(clippy::panic, reason = "a law speaks by failing the test that calls it")]

use crate::classification::Classification;
use crate::contract::{Constraints, Entity, MaskSpec, OnViolation, Property, SchemaChange};
use crate::error::{Error, Result};
use crate::gate::{Alarm, Gate, Screen, Stamp};
use crate::mask::{Mask, MaskFactory};
use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use std::sync::Arc;

pub(super) fn gate(entity: Entity) -> Gate {
    gate_of(entity, false)
}

pub(super) fn gate_of(entity: Entity, changes: bool) -> Gate {
    let stamp = Stamp { source: "law".into(), contract_version: "1.0.0".into(), run_id: "law".into(), changes };
    Gate::new(entity, &Nothing, Vec::new(), stamp, Arc::new(Nothing)).unwrap_or_else(|e| panic!("a plain gate: {e}"))
}

pub(super) fn entity(properties: Vec<Property>) -> Entity {
    Entity {
        name: "law".into(),
        description: None,
        properties,
        rules: Vec::new(),
        on_violation: OnViolation::Quarantine,
        schema_change: SchemaChange::Freeze,
        on_personal_data: Default::default(),
    }
}

pub(super) fn property(name: &str, data_type: DataType) -> Property {
    Property {
        name: name.into(),
        description: None,
        data_type,
        required: false,
        unique: false,
        primary_key: None,
        constraints: Constraints::default(),
        classification: None,
        mask: None,
        format: None,
        decimal_comma: false,
        not_personal: false,
    }
}

/// Masks nothing and suspects nothing.
struct Nothing;

impl MaskFactory for Nothing {
    fn build(&self, spec: &MaskSpec, _: Option<&Classification>) -> Result<Box<dyn Mask>> {
        Err(Error::refused(format!("mask `{spec}`"), "this gate has none"))
    }
}

impl Screen for Nothing {
    fn is_personal(&self, _: &str) -> bool {
        false
    }

    fn is_personal_column(&self, _: &str, _: &ArrayRef) -> bool {
        false
    }

    fn alarm(&self, _: &ArrayRef, _: bool) -> Option<Alarm> {
        None
    }
}
