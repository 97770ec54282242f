//! The Open Data Contract Standard (ODCS) as files: v3.0 to v3.2 are read, v3.1.0 is written.
//!
//! The format is Bitol's (<https://bitol-io.github.io/open-data-contract-standard>). [`model`] has every field of it;
//! [`read`] turns it into the [`Contract`] that the gate enforces, and [`write`] turns one back. What the standard leaves
//! open stands in its `customProperties`:
//!
//! | where | property | value |
//! |---|---|---|
//! | a column | `mask` | `pseudonym(person)`, `redact`, … |
//! | a column | `decimal_separator` | `,` when numbers are written as `1.234,56` |
//! | a table, or the contract for all of its tables | `on_violation` | `quarantine`, `fail` or `drop_value` |
//! | a table, or the contract for all of its tables | `schema_change` | `freeze`, `evolve` or `quarantine` |
//! | a table, or the contract for all of its tables | `on_personal_data` | `quarantine`, `fail` or `warn` |
//! | a column | `holds_personal_data` | `false` when its values only look like somebody's |
//! | the contract | `owner` | who answers for it, when it is none of `team` |
//!
//! `purpose`, `legal_basis`, `data_subjects`, `recipients`, `international_transfers` and `controller` of a contract are text,
//! or a list of texts, for the record of processing. Any other custom property is kept and means nothing here.

pub mod model;
mod pattern;
mod physical;
mod read;
mod write;

pub use model::Odcs;
pub use physical::name as physical_name;
pub use read::read;
pub use write::write;

#[cfg(test)]
mod tests;

use kernel::Contract;
use kernel::draft::Draft;

/// A contract with the file it was read from.
pub type Read = (Contract, Draft<Odcs>);

/// The custom property of a column's mask.
pub const MASK: &str = "mask";
/// The same for a column that is encrypted, in words of its own: `encrypt: homomorphic`.
pub(crate) const ENCRYPT: &str = "encrypt";
pub(crate) const DECIMAL_SEPARATOR: &str = "decimal_separator";
pub(crate) const ON_VIOLATION: &str = "on_violation";
pub(crate) const SCHEMA_CHANGE: &str = "schema_change";
pub(crate) const ON_PERSONAL_DATA: &str = "on_personal_data";
pub(crate) const HOLDS_PERSONAL_DATA: &str = "holds_personal_data";
pub(crate) const OWNER: &str = "owner";

/// What the text of a `time` must match: Delta has no type for a time of day.
pub(crate) const TIME: &str = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?";

/// Where the mask of a column stands in its file, for those who know which masks there are.
pub fn mask_path(odcs: &Odcs, entity: &str, property: &str) -> Option<String> {
    let (table, object) = odcs.schema.iter().flatten().enumerate().find(|(_, object)| object.name == entity)?;
    let mut columns = object.properties.iter().flatten().enumerate();
    let (column, found) = columns.find(|(_, column)| column.name.as_deref() == Some(property))?;
    let custom = found.custom_properties.iter().flatten().position(|custom| custom.property == MASK)?;
    Some(format!("schema[{table}].properties[{column}].customProperties[{custom}].value"))
}
