//! The words for the policies, both ways.

use kernel::contract::{OnPersonalData, OnViolation, SchemaChange};

pub(super) const ON_VIOLATION: [(&str, OnViolation); 3] =
    [("quarantine", OnViolation::Quarantine), ("fail", OnViolation::Fail), ("drop_value", OnViolation::DropValue)];

pub(super) const SCHEMA_CHANGE: [(&str, SchemaChange); 3] =
    [("freeze", SchemaChange::Freeze), ("evolve", SchemaChange::Evolve), ("quarantine", SchemaChange::Quarantine)];

pub(super) const ON_PERSONAL_DATA: [(&str, OnPersonalData); 3] =
    [("quarantine", OnPersonalData::Quarantine), ("fail", OnPersonalData::Fail), ("warn", OnPersonalData::Warn)];

pub(crate) fn on_personal_data(value: OnPersonalData) -> &'static str {
    ON_PERSONAL_DATA.iter().find(|(_, other)| *other == value).map_or("quarantine", |(word, _)| word)
}

pub(crate) fn on_violation(value: OnViolation) -> &'static str {
    ON_VIOLATION.iter().find(|(_, other)| *other == value).map_or("quarantine", |(word, _)| word)
}

pub(crate) fn schema_change(value: SchemaChange) -> &'static str {
    SCHEMA_CHANGE.iter().find(|(_, other)| *other == value).map_or("freeze", |(word, _)| word)
}
