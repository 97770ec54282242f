//! The tests of models, as `lavra check` looks at them: what they give and expect must be there.

use super::compile::Check;
use arrow::datatypes::SchemaRef;
use kernel::diagnostic::Diagnostic;
use kernel::draft::{self, Draft};
use kernel::{TableName, suggest};
use lake::{Model, ModelFile, UnitTest};
use std::collections::BTreeMap;

type Schemas = BTreeMap<String, SchemaRef>;

impl Check<'_> {
    pub fn tests(
        &mut self,
        files: &[ModelFile],
        models: &[Model],
        base: &BTreeMap<TableName, SchemaRef>,
    ) -> Vec<(String, UnitTest)> {
        let names: Vec<String> = files.iter().map(|model| model.name.to_string()).collect();
        let mut schemas: Schemas = base.iter().map(|(name, schema)| (name.to_string(), schema.clone())).collect();
        schemas.extend(models.iter().map(|model| (model.name.to_string(), model.schema.clone())));
        let mut all = Vec::new();
        let env = self.env;
        for (_, file, text) in self.files.below("tests") {
            let read = draft::read::<UnitTest>(file, text, &|name| env(name));
            let Some(draft) = self.keep(read) else { continue };
            if !names.contains(&draft.value.model) {
                let shown = draft.at("model").and_then(|node| node.scalar()).map_or("", |scalar| scalar.written());
                let help = suggest::hint(shown, names.iter().map(String::as_str));
                self.found.push(draft.fault("model", format!("there is no model `{shown}`")).help(help));
            }
            // A model with faults of its own is not held against its tests.
            if let Some(model) = models.iter().find(|model| model.name.to_string() == draft.value.model) {
                self.found.extend(faults(&draft, model, &schemas));
            }
            all.push((file.to_owned(), draft.value));
        }
        all
    }
}

/// Tables that the model does not read, and columns that a table or the result does not have.
fn faults(draft: &Draft<UnitTest>, model: &Model, schemas: &Schemas) -> Vec<Diagnostic> {
    let inputs: Vec<String> = model.inputs.iter().map(ToString::to_string).collect();
    let mut faults = Vec::new();
    for (table, rows) in &draft.value.given {
        let path = format!("given[\"{table}\"]");
        if !inputs.contains(table) {
            let help = suggest::hint(table, inputs.iter().map(String::as_str));
            faults.push(draft.key_fault(&path, format!("the model does not read `{table}`")).help(help));
        } else if let Some(schema) = schemas.get(table) {
            faults.extend(columns(draft, &path, rows, schema, &format!("`{table}` has")));
        }
    }
    if let Some(schema) = schemas.get(&model.name.to_string()) {
        faults.extend(columns(draft, "expect", &draft.value.expect, schema, "the model gives"));
    }
    faults
}

fn columns(
    draft: &Draft<UnitTest>,
    path: &str,
    rows: &[serde_json::Map<String, serde_json::Value>],
    schema: &SchemaRef,
    who: &str,
) -> Vec<Diagnostic> {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut told: Vec<&str> = Vec::new();
    let mut faults = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        for column in row.keys().filter(|column| !names.contains(&column.as_str())) {
            // The same slip in each row is one fault.
            if told.contains(&column.as_str()) {
                continue;
            }
            told.push(column);
            let help = suggest::hint(column, names.iter().copied());
            let fault = draft.key_fault(&format!("{path}[{at}][\"{column}\"]"), format!("{who} no column `{column}`"));
            faults.push(fault.help(help));
        }
    }
    faults
}
