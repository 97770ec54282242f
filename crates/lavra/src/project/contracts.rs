//! Contracts as this project uses them: every personal column has a mask, by its contract or by the project's default.

use super::config::Config;
use arrow::datatypes::{DataType, SchemaRef};
use govern::odcs::{self, model};
use kernel::contract::MaskSpec;
use kernel::diagnostic::Diagnostic;
use kernel::draft::{Draft, Env, Node};
use kernel::{Classification, Contract, Entity, Property};
use std::collections::BTreeMap;

/// A contract with the file it stands in.
pub struct ContractFile {
    pub contract: Contract,
    pub draft: Draft<odcs::Odcs>,
    /// What the gate makes of each entity's rows; those with faults are not here.
    pub schemas: BTreeMap<String, SchemaRef>,
}

/// Reads a contract and gives its personal columns their masks.
pub fn read(
    file: &str,
    text: &str,
    masks: &BTreeMap<String, MaskSpec>,
    env: Env,
) -> Result<ContractFile, Vec<Diagnostic>> {
    let (mut contract, draft) = odcs::read(file, text, env)?;
    for entity in &mut contract.entities {
        for property in entity.properties.iter_mut() {
            fill_in(property, masks);
        }
    }
    Ok(ContractFile { contract, draft, schemas: BTreeMap::new() })
}

fn fill_in(property: &mut Property, masks: &BTreeMap<String, MaskSpec>) {
    let Some(class) = &property.classification else { return };
    if property.mask.is_none() {
        property.mask = of_project(class, masks).or_else(|| privacy::mask::default_for(class));
    }
}

/// The project's mask of the class, or of the nearest class above it.
fn of_project(class: &Classification, masks: &BTreeMap<String, MaskSpec>) -> Option<MaskSpec> {
    let mut name = class.as_str();
    loop {
        if let Some(mask) = masks.get(name) {
            return Some(mask.clone());
        }
        name = name.rsplit_once('.')?.0;
    }
}

/// Reads `masks:` of `lavra.yaml`.
pub fn default_masks(draft: &Draft<Config>) -> (BTreeMap<String, MaskSpec>, Vec<Diagnostic>) {
    let (mut masks, mut faults) = (BTreeMap::new(), Vec::new());
    for (name, text) in &draft.value.masks {
        let path = format!("masks[\"{name}\"]");
        let class = Classification::new(name.as_str());
        if let Some(meant) = meant(&class) {
            let fault = draft.key_fault(&path, format!("`{name}` is no class of personal data"));
            faults.push(fault.help(Some(format!("did you mean `{meant}`?"))));
        }
        match MaskSpec::parse(text) {
            Ok(mask) => drop(masks.insert(class.to_string(), mask)),
            Err(_) if draft.at(&path).is_some_and(Node::has_variable) => {
                faults.push(draft.fault(&path, "this is not a mask once its variables are put in"));
            }
            Err(why) => faults.push(draft.fault(&path, why)),
        }
    }
    (masks, faults)
}

/// The class of personal data that a class was meant as: a slip, or a kind without what it is a kind of.
fn meant(class: &Classification) -> Option<String> {
    let is_kind = || privacy::detect::kinds().iter().any(|kind| kind.name == class.as_str());
    class.meant().or_else(|| is_kind().then(|| format!("personal.{class}")))
}

impl ContractFile {
    /// Where a column stands in the file, and how it is written there.
    pub fn find(&self, entity: &str, property: &str) -> Option<(String, &model::Property)> {
        let (at, object) = self.draft.value.schema.iter().flatten().enumerate().find(|(_, o)| o.name == entity)?;
        let columns = object.properties.iter().flatten().enumerate();
        let (inner, found) = columns.into_iter().find(|(_, p)| p.name.as_deref() == Some(property))?;
        Some((format!("schema[{at}].properties[{inner}]"), found))
    }

    /// What the contract's own reading can't know: kinds of personal data, types that the lake has no home for, and
    /// columns that say to be personal in words that mean nothing here.
    pub fn look(&mut self) -> Vec<Diagnostic> {
        let (mut faults, mut warnings) = (Vec::new(), Vec::new());
        for entity in &self.contract.entities {
            for property in &entity.properties {
                let Some((path, written)) = self.find(&entity.name, &property.name) else { continue };
                faults.extend(self.class_of_nothing(property, &path));
                if is_map(&property.data_type) {
                    let message = "maps can't be kept yet";
                    let help =
                        "write it as an `array` of objects with `key` and `value`, or as a `string` that holds JSON";
                    faults.push(self.draft.fault(&format!("{path}.logicalType"), message).help(Some(help)));
                }
                warnings.extend(self.open(property, written, &path));
            }
        }
        warnings.into_iter().for_each(|warning| self.draft.warn(warning));
        faults
    }

    fn class_of_nothing(&self, property: &Property, path: &str) -> Option<Diagnostic> {
        let class = property.classification.as_ref().filter(|class| class.meant().is_none())?;
        let meant = meant(class)?;
        let fault = self.draft.fault(
            &format!("{path}.classification"),
            format!("`{class}` is no class of personal data, so the column would be stored as it is"),
        );
        Some(fault.help(Some(format!("did you mean `{meant}`?"))))
    }

    /// A column without a mask whose tags or class say that it should have one.
    fn open(&self, property: &Property, written: &model::Property, path: &str) -> Option<Diagnostic> {
        if property.mask.is_some() {
            return None;
        }
        let class = property.classification.as_ref().filter(|c| ["restricted", "confidential"].contains(&c.as_str()));
        let tags = written.tags.iter().flatten().enumerate();
        let tag = tags.into_iter().find(|(_, tag)| {
            let tag = Classification::new(tag.as_str());
            tag.is_personal() || meant(&tag).is_some()
        });
        let (place, what) = match (class, tag) {
            (_, Some((at, tag))) => (format!("{path}.tags[{at}]"), format!("has the tag `{tag}`")),
            (Some(class), None) => (format!("{path}.classification"), format!("is `{class}`")),
            (None, None) => return None,
        };
        let fault = self.draft.fault(&place, format!("this column {what} and has no mask: it is stored as it is"));
        Some(fault.help(Some("give it a class such as `personal.cpf`, or a `mask` among its customProperties")))
    }

    /// A fault of a mask, at the mask if the contract writes one. What a variable put there is not shown.
    pub fn mask_fault(&self, entity: &Entity, property: &Property, why: String) -> Diagnostic {
        let own = odcs::mask_path(&self.draft.value, &entity.name, &property.name);
        let column = || self.find(&entity.name, &property.name).map(|(path, _)| path).unwrap_or_default();
        let path = own.unwrap_or_else(column);
        match self.draft.at(&path).is_some_and(Node::has_variable) {
            true => self.draft.fault(&path, "this does not fit here once its variables are put in"),
            false => self.draft.fault(&path, why),
        }
    }
}

fn is_map(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(..) => true,
        DataType::Struct(fields) => fields.iter().any(|field| is_map(field.data_type())),
        DataType::List(item) | DataType::LargeList(item) => is_map(item.data_type()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(columns: &[&str]) -> ContractFile {
        let head = "apiVersion: v3.2.0\nkind: DataContract\nid: t\nversion: 1.0.0\nstatus: active\n";
        let columns: String = columns.iter().map(|column| format!("      - {column}\n")).collect();
        let text = format!("{head}schema:\n  - name: t\n    properties:\n{columns}");
        let masks = BTreeMap::from([("restricted".to_owned(), MaskSpec::parse("redact").expect("a mask"))]);
        read("contracts/t.yaml", &text, &masks, &|_| None).expect("a contract")
    }

    #[test]
    fn a_column_that_says_to_be_personal_and_is_open_is_warned_of() {
        let warned = |column: &str| {
            let mut file = contract(&[column]);
            assert!(file.look().is_empty(), "{column}");
            file.draft.warnings.len()
        };
        assert_eq!(warned("{ name: a, logicalType: string, tags: [crm, PII] }"), 1);
        assert_eq!(warned("{ name: a, logicalType: string, tags: [personal] }"), 1);
        assert_eq!(warned("{ name: a, logicalType: string, classification: confidential }"), 1);
        assert_eq!(warned("{ name: a, logicalType: string, classification: internal, tags: [crm] }"), 0);
        assert_eq!(warned("{ name: a, logicalType: string, classification: personal.cpf, tags: [pii] }"), 0);
        // The project has a mask for this class.
        assert_eq!(warned("{ name: a, logicalType: string, classification: Restricted }"), 0);
    }

    #[test]
    fn a_kind_alone_is_no_class_and_a_map_has_no_home() {
        let told = |column: &str| {
            let faults = contract(&[column]).look();
            faults
                .iter()
                .map(|f| format!("{} [{}]", f.message, f.help.as_deref().unwrap_or_default()))
                .collect::<String>()
        };
        assert!(told("{ name: a, logicalType: string, classification: CPF }").contains("did you mean `personal.cpf`?"));
        assert_eq!(told("{ name: a, logicalType: string, classification: internal }"), "");
        let map =
            "{ name: a, logicalType: map, map: { key: { logicalType: string }, value: { logicalType: string } } }";
        assert!(told(map).contains("maps can't be kept yet"));
        let inner = "{ name: o, logicalType: object, properties: [{ name: m, logicalType: map, map: { key: { logicalType: string }, value: { logicalType: string } } }] }";
        assert!(told(inner).contains("maps can't be kept yet"));
    }
}
