//! Held against the standard's own tools from PyPI, installed once under `target/`: what we write is valid ODCS, what the
//! standard ships as examples is read, and we have every field of its JSON Schemas. Without Python 3 or PyPI it fails.
#![cfg(test)]

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use govern::odcs::{Odcs, Read, read, write};
use kernel::contract::{Constraints, Entity, MaskSpec, OnViolation, Property, SchemaChange};
use kernel::{Classification, Contract, draft};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const REQUIREMENTS: &str = include_str!("requirements.txt");
/// Its source distribution has the standard's full example among its tests (Apache-2.0, The Bitol Contributors).
const EXAMPLES: &str = "open-data-contract-standard==3.2.0";

struct Peer {
    bin: PathBuf,
    /// Where Python packages are.
    site: PathBuf,
    examples: PathBuf,
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{}{shown}", String::from_utf8_lossy(&output.stdout));
    output
}

/// The virtual environment, made when there is none for these requirements.
fn peer() -> &'static Peer {
    static PEER: OnceLock<Peer> = OnceLock::new();
    PEER.get_or_init(|| {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("datacontract");
        let (venv, examples, mark) = (home.join("venv"), home.join("examples"), home.join("installed.txt"));
        let wanted = format!("{REQUIREMENTS}{EXAMPLES}");
        if fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
            return found(&venv, examples);
        }
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(&examples).expect("a folder under target");
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
        let requirements = home.join("requirements.txt");
        fs::write(&requirements, REQUIREMENTS).expect("the requirements");
        let pip = || {
            let mut pip = Command::new(venv.join("bin/pip"));
            pip.args(["--quiet", "--disable-pip-version-check", "--no-input"]);
            pip
        };
        run(pip().args(["install", "--no-deps", "-r"]).arg(&requirements));
        run(pip().args(["download", "--no-deps", "--no-binary", ":all:", EXAMPLES, "-d"]).arg(&examples));
        for archive in files(&examples, ".tar.gz") {
            run(Command::new(venv.join("bin/python")).args(["-m", "tarfile", "-e"]).arg(archive).arg(&examples));
        }
        fs::write(&mark, wanted).expect("the mark");
        found(&venv, examples)
    })
}

fn found(venv: &Path, examples: PathBuf) -> Peer {
    let site = files(&venv.join("lib"), "odcs-3.1.0.schema.json");
    let site = site.first().and_then(|schema| schema.parent()).expect("the standard's schemas").to_owned();
    Peer { bin: venv.join("bin"), site, examples }
}

/// Files below `folder` whose path ends so.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => all.extend(files(&path, end)),
            false if path.to_string_lossy().ends_with(end) => all.push(path),
            false => {}
        }
    }
    all.sort();
    all
}

/// Whether `datacontract lint` passes a file without a warning, and what it says.
fn lint(file: &Path) -> (bool, String) {
    let mut command = Command::new(peer().bin.join("datacontract"));
    command.args(["lint", "--all-errors", "--no-inline-references"]).arg(file).env("COLUMNS", "200");
    let output = command.output().expect("datacontract");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success() && !said.contains("warning"), said)
}

fn contract(file: &Path) -> Read {
    let text = fs::read_to_string(file).expect("a contract");
    let name = file.display().to_string();
    read(&name, &text, &|name| name.starts_with("DB_").then(|| "x".to_owned())).unwrap_or_else(|faults| {
        panic!("{}", faults.iter().map(|fault| fault.render(&text)).collect::<String>());
    })
}

fn own() -> Vec<PathBuf> {
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contracts"), ".yaml")
}

#[test]
fn pypi_datacontract_finds_what_we_write_valid() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut sources = own();
    sources.extend(files(&peer().examples, ".odcs.yaml"));
    assert!(sources.len() >= 4, "{sources:?}");
    for (place, source) in sources.iter().enumerate() {
        let (meant, _) = contract(source);
        let file = folder.path().join(format!("{place}.yaml"));
        fs::write(&file, write(&meant)).expect("a contract");
        let (valid, said) = lint(&file);
        assert!(valid, "{}:\n{}\n{said}", source.display(), write(&meant));
        assert_eq!(format!("{:?}", contract(&file).0), format!("{meant:?}"));
    }
}

/// Contracts that are for people or programs: those in a folder of contracts, and those that are called so.
fn is_contract(file: &Path) -> bool {
    let is_named = file.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".contract.yaml"));
    is_named || file.parent().is_some_and(|parent| parent.ends_with("contracts"))
}

#[test]
fn pypi_datacontract_finds_what_we_ship_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut shipped = own();
    for folder in ["examples", "tests", "benches", "crates/lavra/src"] {
        shipped.extend(files(&root.join(folder), ".yaml").into_iter().filter(|file| is_contract(file)));
    }
    for known in ["demo/project/contracts/customers.yaml", "file2delta/lineitem.contract.yaml"] {
        assert!(shipped.iter().any(|file| file.ends_with(known)), "{known} is looked at: {shipped:?}");
    }
    for file in shipped.iter().filter(|file| !file.to_string_lossy().contains("broken")) {
        contract(file);
        let (_, said) = lint(file);
        assert!(said.contains("Data contract is valid against ODCS"), "{}:\n{said}", file.display());
    }
}

/// A contract as `lavra scan --write` makes it: one entity under its own name, each kind of column that a scan proposes.
fn proposed() -> Contract {
    let column = |name: &str, data_type: DataType, class: Option<&str>, mask: Option<&str>| Property {
        name: name.into(),
        description: None,
        data_type,
        required: name == "id",
        unique: false,
        primary_key: None,
        constraints: Constraints::default(),
        classification: class.map(Classification::new),
        mask: mask.map(|mask| MaskSpec::parse(mask).expect("a mask")),
        format: (name == "born").then(|| "%d/%m/%Y".to_owned()),
        decimal_comma: name == "amount",
        not_personal: false,
    };
    let parts = Fields::from(vec![Field::new("sku", DataType::Utf8, true), Field::new("n", DataType::Int64, true)]);
    let items = DataType::new_list(DataType::Struct(parts), true);
    let at = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    let properties = vec![
        column("id", DataType::Int64, None, None),
        column("cpf", DataType::Utf8, Some("personal.cpf"), Some("pseudonym(person)")),
        column("cep", DataType::Utf8, Some("personal.cep"), Some("generalize(digits: 5)")),
        column("born", DataType::Date32, Some("personal.birth_date"), Some("generalize(year)")),
        column("nome completo", DataType::Utf8, Some("personal"), Some("redact")),
        column("amount", DataType::Decimal128(12, 2), None, None),
        column("score", DataType::Float64, None, None),
        column("active", DataType::Boolean, None, None),
        column("paid_at", at(Some("UTC")), None, None),
        column("opened_at", at(None), None, None),
        column("items", items, None, None),
    ];
    let entity = Entity {
        name: "payments".into(),
        description: None,
        properties,
        rules: Vec::new(),
        on_violation: OnViolation::default(),
        schema_change: SchemaChange::default(),
        on_personal_data: Default::default(),
    };
    let (id, version) = (entity.name.clone(), "1.0.0".to_owned());
    Contract { id, version, entities: vec![entity], owner: None, retention_days: None }
}

#[test]
fn pypi_datacontract_finds_what_scan_writes_valid() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("payments.yaml");
    let meant = proposed();
    fs::write(&file, write(&meant)).expect("a contract");
    let (valid, said) = lint(&file);
    assert!(valid, "{}\n{said}", write(&meant));
    assert_eq!(format!("{:?}", contract(&file).0), format!("{meant:?}"));
}

#[test]
fn pypi_datacontract_refuses_what_is_no_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bad.yaml");
    let good = fs::read_to_string(&own()[0]).expect("a contract");
    fs::write(&file, good.replace("status: active", "staus: active")).expect("a contract");
    assert!(!lint(&file).0);
}

#[test]
fn pypi_examples_of_the_standard_are_read_whole() {
    let mut examples = files(&peer().examples, ".odcs.yaml");
    examples
        .extend(files(&peer().site, ".init.yaml").into_iter().filter(|file| file.to_string_lossy().contains("odcs")));
    assert!(examples.len() >= 3, "{examples:?}");
    for file in examples {
        let (meant, draft) = contract(&file);
        assert_eq!(meant.entities.len(), draft.value.schema.as_ref().map_or(0, Vec::len), "{}", file.display());
        // Nothing of the file is lost in our types: PyYAML reads the same.
        let python = "import sys, json, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1])), default=str))";
        let output = run(Command::new(peer().bin.join("python")).args(["-c", python]).arg(&file));
        let theirs: Value = serde_json::from_slice(&output.stdout).expect("json");
        let ours = serde_json::to_value(&draft.value).expect("json");
        assert_eq!(variables(without_nulls(ours)), variables(without_nulls(theirs)), "{}", file.display());
    }
}

/// A field that is null is the same as none.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            fields.map(|(key, value)| (key, without_nulls(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        Value::Number(number) => serde_json::json!(number.as_f64()),
        other => other,
    }
}

/// We put variables in where Python leaves them.
fn variables(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let free = |key: &str| matches!(key, "host" | "port" | "database");
            fields.into_iter().filter(|(key, _)| !free(key)).map(|(key, value)| (key, variables(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(variables).collect(),
        other => other,
    }
}

#[test]
fn pypi_schemas_of_the_standard_have_the_fields_that_we_have() {
    let ours = draft::json_schema::<Odcs>();
    let theirs = ["3.0.2", "3.1.0", "3.2.0"].map(|version| {
        let text = fs::read_to_string(peer().site.join(format!("odcs-{version}.schema.json"))).expect("a schema");
        serde_json::from_str::<Value>(&text).expect("json")
    });
    let pairs = [
        ("", ""),
        ("/properties/description", "/$defs/Description"),
        ("/$defs/SchemaObject", "/$defs/SchemaObject"),
        ("/$defs/SchemaBaseProperty", "/$defs/Property"),
        ("/$defs/DataQuality", "/$defs/Quality"),
        ("/$defs/Server", "/$defs/Server"),
        ("/$defs/TeamMember", "/$defs/Member"),
        ("/$defs/Role", "/$defs/Role"),
        ("/$defs/SupportItem", "/$defs/Support"),
        ("/$defs/Pricing", "/$defs/Price"),
        ("/$defs/ServiceLevelAgreementProperty", "/$defs/Sla"),
        ("/$defs/AuthoritativeDefinitions/items", "/$defs/AuthoritativeDefinition"),
        ("/$defs/CustomProperty", "/$defs/CustomProperty"),
        ("/$defs/RelationshipBase", "/$defs/Relationship"),
        ("/$defs/EnumValue", "/$defs/EnumValue"),
        ("/$defs/Synonym", "/$defs/Synonym"),
    ];
    for (pointer, our_pointer) in pairs {
        let mut names = BTreeSet::new();
        theirs.iter().for_each(|schema| fields(schema, schema.pointer(pointer), &mut names));
        let mut own = BTreeSet::new();
        fields(&ours, ours.pointer(our_pointer), &mut own);
        // The documentation of v3.0 has it, its schema does not.
        own.remove("validValues");
        assert_eq!(own, names, "{pointer}");
    }
    let (mut options, mut own) = (BTreeSet::new(), BTreeSet::new());
    for schema in &theirs {
        for branch in schema.pointer("/$defs/SchemaBaseProperty/allOf").and_then(Value::as_array).into_iter().flatten()
        {
            fields(schema, branch.pointer("/then/properties/logicalTypeOptions"), &mut options);
        }
    }
    fields(&ours, ours.pointer("/$defs/LogicalTypeOptions"), &mut own);
    assert_eq!(own, options);
}

/// The names of the fields of a schema, in all of its branches.
fn fields(root: &Value, schema: Option<&Value>, names: &mut BTreeSet<String>) {
    let Some(schema) = schema else { return };
    if let Some(path) = schema.get("$ref").and_then(Value::as_str) {
        fields(root, root.pointer(path.trim_start_matches('#')), names);
    }
    names.extend(schema.get("properties").and_then(Value::as_object).into_iter().flat_map(|p| p.keys().cloned()));
    for branch in ["allOf", "oneOf", "anyOf"].iter().filter_map(|key| schema.get(key)?.as_array()).flatten() {
        fields(root, Some(branch), names);
    }
    fields(root, schema.get("then"), names);
}
