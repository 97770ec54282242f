use super::Outcome;
use crate::cli::Context;
use crate::project::{Config, Holds, PrivacyConfig, STATE, SourceConfig, Users};
use crate::show::{self, Format};
use kernel::draft::json_schema;
use kernel::error::{Error, Result, io};
use lake::{Header, UnitTest};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Writes the JSON Schemas of the project's files: an editor then completes keys and marks mistakes.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lavra schema                      into .lavra/schemas
  lavra schema --out schemas        into a folder that you commit
  lavra schema --format json        as one document")]
pub struct Schema {
    /// Where to [default: .lavra/schemas of the project]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// A kind of file with its schema.
#[derive(serde::Serialize)]
pub struct FileSchema {
    pub name: &'static str,
    /// The files that it is for.
    pub files: &'static str,
    pub about: &'static str,
    pub schema: Value,
}

/// The schemas of all files that people write.
pub fn all() -> Vec<FileSchema> {
    let file = |name, files, about, schema| FileSchema { name, files, about, schema };
    vec![
        file("lavra", "lavra.yaml", "the project and where things are", json_schema::<Config>()),
        file(
            "privacy",
            "privacy.yaml",
            "kinds of personal data of the project's own, by patterns and dictionaries",
            json_schema::<PrivacyConfig>(),
        ),
        file("source", "sources/*.yaml", "where the rows of a table come from", sources()),
        file(
            "contract",
            "contracts/*.yaml",
            "what the rows must be, and what is hidden (ODCS)",
            json_schema::<govern::odcs::Odcs>(),
        ),
        file("holds", "policies/holds.yaml", "what the law keeps, and until when", json_schema::<Holds>()),
        file("users", "policies/users.yaml", "who may open what is hidden", json_schema::<Users>()),
        file("model", "models/*/*.sql", "the `-- key: value` lines at the head of a model", json_schema::<Header>()),
        file("test", "tests/*.yaml", "rows in, rows out", json_schema::<UnitTest>()),
    ]
}

pub async fn run(context: &Context, args: Schema) -> Outcome {
    let all = all();
    if context.format == Format::Json {
        let document: Map<String, Value> = all.iter().map(|file| (file.name.to_owned(), file.schema.clone())).collect();
        if let Some(folder) = &args.out {
            write(folder, &all)?;
        }
        println!("{}", pretty(&Value::Object(document))?);
        return Ok(0);
    }
    let (folder, shown) = match &args.out {
        Some(folder) => (folder.clone(), std::path::absolute(folder).map_err(|e| io("find the folder", e))?),
        None => (context.ask()?.folder.join(STATE).join("schemas"), Path::new(STATE).join("schemas")),
    };
    write(&folder, &all)?;
    show::say(
        context.format,
        &format!(
            "wrote {} schemas into {}. The first line of a file tells an editor of them:\n",
            all.len(),
            folder.display()
        ),
    );
    if context.format == Format::Csv {
        let path = |file: &FileSchema| folder.join(file_name(file)).display().to_string();
        show::print_records(context.format, &all, &[("files", &|f| f.files.to_owned()), ("schema", &path)])?;
        return Ok(0);
    }
    for file in &all {
        // A path in the comment starts at the file that it stands in.
        let up = if shown.is_absolute() { "" } else { ["", "../", "../../"][file.files.matches('/').count().min(2)] };
        println!(
            "{:<18} {}yaml-language-server: $schema={up}{}",
            file.files,
            comment(file),
            shown.join(file_name(file)).display()
        );
    }
    Ok(0)
}

/// No editor reads YAML in the comments of SQL; the line is there for who looks for the keys.
fn comment(file: &FileSchema) -> &'static str {
    if file.files.ends_with(".sql") { "-- # " } else { "# " }
}

fn file_name(file: &FileSchema) -> String {
    format!("{}.json", file.name)
}

fn write(folder: &Path, all: &[FileSchema]) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| io(format!("make {}", folder.display()), e))?;
    for file in all {
        let path = folder.join(file_name(file));
        std::fs::write(&path, pretty(&file.schema)? + "\n").map_err(|e| io(format!("write {}", path.display()), e))?;
    }
    Ok(())
}

fn pretty(value: &Value) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(|e| Error::internal("print a schema", e))
}

/// A source has the keys of every source and the options of its connector, and no other key.
fn sources() -> Value {
    let shared = json_schema::<SourceConfig>();
    let (mut branches, mut defs) = (Vec::new(), Map::new());
    for spec in connect::all() {
        let mut options = (spec.options_schema)();
        prefix_refs(&mut options, spec.name);
        for (name, def) in options["$defs"].as_object().into_iter().flatten() {
            defs.insert(format!("{}.{name}", spec.name), def.clone());
        }
        let mut properties = shared["properties"].as_object().cloned().unwrap_or_default();
        properties.insert("connector".into(), json!({ "const": spec.name, "description": spec.summary }));
        properties.extend(options["properties"].as_object().cloned().unwrap_or_default());
        let mut required = vec![json!("connector")];
        required.extend(options["required"].as_array().cloned().unwrap_or_default());
        branches.push(json!({
            "title": format!("a source of {}", spec.name),
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        }));
    }
    defs.extend(shared["$defs"].as_object().cloned().unwrap_or_default());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Source",
        "description": "`sources/<name>.yaml`: which connector reads a table's rows, and how.",
        "oneOf": branches,
        "$defs": defs,
    })
}

/// Two connectors may call different things by one name.
fn prefix_refs(schema: &mut Value, connector: &str) {
    match schema {
        Value::Object(fields) => {
            for (key, below) in fields.iter_mut() {
                match (key.as_str(), below.as_str().and_then(|text| text.strip_prefix("#/$defs/"))) {
                    ("$ref", Some(name)) => *below = format!("#/$defs/{connector}.{name}").into(),
                    _ => prefix_refs(below, connector),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| prefix_refs(item, connector)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refs<'a>(schema: &'a Value, found: &mut Vec<&'a str>) {
        match schema {
            Value::Object(fields) => fields.iter().for_each(|(key, below)| match below.as_str() {
                Some(target) if key == "$ref" => found.push(target),
                _ => refs(below, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| refs(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        for file in all() {
            let mut found = Vec::new();
            refs(&file.schema, &mut found);
            for target in found {
                let pointer = target.strip_prefix('#').expect("a reference into the document");
                assert!(file.schema.pointer(pointer).is_some(), "{}: {target}", file.name);
            }
            assert_eq!(file.schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{}", file.name);
        }
    }

    #[test]
    fn a_source_has_the_options_of_its_connector_and_no_other_key() {
        let schema = sources();
        let branch = &schema["oneOf"][0];
        assert_eq!(branch["additionalProperties"], false);
        for key in ["connector", "contract", "schedule", "tags", "path", "delimiter"] {
            assert!(branch["properties"][key].is_object(), "{key}");
        }
        assert_eq!(branch["required"], json!(["connector", "path"]));
        assert!(branch["properties"]["options"].is_null(), "the map of the other keys is no key");
    }
}
