//! What a contract says for the day when a person asks: whose a row is, what it is used for, and until when the law keeps it.

use super::contracts::ContractFile;
use chrono::NaiveDate;
use govern::odcs::model::CustomProperty;
use kernel::TableName;
use kernel::diagnostic::Diagnostic;
use lake::ColumnRef;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const SUBJECT: &str = "subject";
const LEGAL_HOLD: &str = "legal_hold";

/// The terms of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// Columns that name people as another bronze table's column does.
    pub links: BTreeMap<String, ColumnRef>,
    pub hold: Option<LegalHold>,
    pub purpose: Option<String>,
}

/// Rows that may not be erased yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegalHold {
    /// The last day, as 2031-12-31.
    pub until: String,
    pub reason: String,
    /// Who ordered it, where that is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl LegalHold {
    /// `until 2031-12-31: tax audit (by legal@acme.example)`
    pub fn sentence(&self) -> String {
        let by = self.by.as_ref().map(|by| format!(" (by {by})")).unwrap_or_default();
        format!("until {}: {}{by}", self.until, self.reason)
    }
}

/// Reads the terms of a table, and what is wrong with them.
pub fn read(contract: &ContractFile, entity: &str) -> (Terms, Vec<Diagnostic>) {
    let odcs = &contract.draft.value;
    let mut terms = Terms {
        purpose: odcs.description.as_ref().and_then(|description| description.purpose.clone()),
        ..Terms::default()
    };
    let mut faults = Vec::new();
    let table = odcs.schema.iter().flatten().enumerate().find(|(_, object)| object.name == entity);
    let own = table.and_then(|(at, object)| found(&object.custom_properties, LEGAL_HOLD, &format!("schema[{at}].")));
    if let Some((path, property)) = own.or_else(|| found(&odcs.custom_properties, LEGAL_HOLD, "")) {
        let is_day = |hold: &LegalHold| NaiveDate::parse_from_str(&hold.until, "%Y-%m-%d").is_ok();
        match serde_json::from_value::<LegalHold>(property.value.clone()).ok().filter(is_day) {
            Some(hold) => terms.hold = Some(hold),
            None => {
                let fault = contract.draft.fault(&path, "a legal hold says until when, and why");
                faults.push(fault.help(Some("write it as `{ until: 2031-12-31, reason: tax law }`")));
            }
        }
    }
    let columns = table.into_iter().flat_map(|(at, object)| {
        let columns = object.properties.iter().flatten().enumerate();
        columns.map(move |(inner, column)| (format!("schema[{at}].properties[{inner}]."), column))
    });
    for (place, column) in columns {
        let Some((path, property)) = found(&column.custom_properties, SUBJECT, &place) else { continue };
        match property.value.as_str().and_then(column_of) {
            Some(target) => drop(terms.links.insert(column.name.clone().unwrap_or_default(), target)),
            None => {
                let fault = contract.draft.fault(&path, "this is no column of a bronze table");
                faults.push(fault.help(Some("write it as `customers.customer_id`")));
            }
        }
    }
    (terms, faults)
}

fn found<'a>(
    customs: &'a Option<Vec<CustomProperty>>,
    name: &str,
    place: &str,
) -> Option<(String, &'a CustomProperty)> {
    let (at, property) = customs.iter().flatten().enumerate().find(|(_, custom)| custom.property == name)?;
    Some((format!("{place}customProperties[{at}].value"), property))
}

fn column_of(text: &str) -> Option<ColumnRef> {
    let text = text.strip_prefix("bronze.").unwrap_or(text);
    let (table, column) = text.split_once('.')?;
    let column = column.to_owned();
    (!column.is_empty()).then_some(ColumnRef { table: TableName::new("bronze", table).ok()?, column })
}
