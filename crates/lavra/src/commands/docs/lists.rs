//! Pages of what the program's lists hold: connectors, masks, kinds of personal data, errors.

use super::markdown::{Page, code, sentence};
use super::schema;
use kernel::error::{Kind, advice};

pub fn connectors() -> Vec<Page> {
    let all = connect::all();
    let mut index = Page::new("connectors/README.md", "Connectors");
    index.say("A source says with `connector:` which of them reads it. The other keys of its file are the connector's options.");
    let rows: Vec<_> =
        all.iter().map(|spec| [format!("[`{0}`]({0}.md)", spec.name), spec.summary.to_owned()]).collect();
    index.table(["connector", "what it reads"], &rows);
    let page = |spec: &connect::Spec| {
        let mut page = Page::new(format!("connectors/{}.md", spec.name), &format!("Connector: {}", spec.name));
        page.say(&sentence(spec.summary));
        page.code("yaml", spec.example);
        page.say("Its options; those that [every source has](../files/source.md) stand beside them.");
        schema::describe(&mut page, &(spec.options_schema)());
        page
    };
    std::iter::once(index).chain(all.iter().map(page)).collect()
}

pub fn files() -> Vec<Page> {
    let all = crate::commands::schema::all();
    let mut index = Page::new("files/README.md", "Files of a project");
    index.say("A key that is not on these pages is refused. `${VAR}` and `${VAR:-default}` in a value are taken from the environment. `lavra schema` writes the JSON Schemas that these pages are made of, for editors.");
    let rows: Vec<_> =
        all.iter().map(|file| [code(file.files), format!("[{}]({}.md)", file.about, file.name)]).collect();
    index.table(["files", "what is in them"], &rows);
    let page = |file: &crate::commands::schema::FileSchema| {
        let mut page = Page::new(format!("files/{}.md", file.name), file.files);
        page.say(&sentence(file.about));
        match file.name {
            "source" => sources(&mut page, &file.schema),
            _ => schema::describe(&mut page, &file.schema),
        }
        page
    };
    std::iter::once(index).chain(all.iter().map(page)).collect()
}

/// The keys that every source has; the options of connectors have their own pages.
fn sources(page: &mut Page, schema: &serde_json::Value) {
    let all = connect::all();
    let mut shared = schema["oneOf"][0].clone();
    for option in all
        .first()
        .map(|spec| (spec.options_schema)())
        .and_then(|options| options["properties"].as_object().cloned())
        .unwrap_or_default()
        .keys()
    {
        if let Some(properties) = shared["properties"].as_object_mut() {
            properties.shift_remove(option);
        }
    }
    shared["properties"]["connector"] =
        serde_json::json!({ "type": "string", "description": "Which connector reads it." });
    shared["$defs"] = schema["$defs"].clone();
    schema::describe(page, &shared);
    page.say("Each connector adds its own: see [connectors](../connectors/README.md).");
}

pub fn masks() -> Page {
    let mut page = Page::new("masks.md", "Masks");
    page.say(
        "A mask hides a column before its first byte is stored. A contract names it as the custom property `mask` of a \
         column; without one, a column with a personal classification has its class's mask from `masks` in `lavra.yaml`, \
         or the [usual one](kinds.md).",
    );
    page.code("yaml", "- { name: payer_cpf, logicalType: string, classification: personal.cpf,\n    customProperties: [{ property: mask, value: pseudonym(person) }] }");
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let all = privacy::mask::all();
    let rows = all.iter().map(|mask| {
        let promise = mask.promise;
        let (joins, undone) = (yes(promise.joinable), yes(promise.reversible));
        [format!("[`{0}`](#{0})", mask.name), joins, undone, yes(promise.keeps_type), yes(promise.random)]
    });
    let rows: Vec<[String; 5]> = rows.collect();
    page.table(["mask", "can be joined", "a key holder can undo it", "keeps the type", "is other each time"], &rows);
    for mask in &all {
        page.heading(mask.name);
        page.say(&sentence(mask.summary));
        let args: Vec<[String; 2]> = mask.args.iter().map(|arg| [code(arg.name), arg.about.to_owned()]).collect();
        page.table(["argument", "what it is"], &args);
        page.say(&format!("Example: `mask: {}`", mask.example));
    }
    page
}

pub fn kinds() -> Page {
    let mut page = Page::new("kinds.md", "Kinds of personal data");
    page.say(
        "What `lavra scan` finds, by values and by column names. The classification is what a contract writes; the mask is \
         the one that a column of this class gets when neither its contract nor the project names one. A class that is not \
         here (`personal.anything`, `sensitive.anything`) is redacted.",
    );
    let row = |kind: &privacy::detect::Kind| {
        let mask = kind.mask().map(|mask| mask.to_string()).unwrap_or_default();
        [code(kind.name), code(&kind.classification()), code(&mask)]
    };
    page.table(["kind", "classification", "usual mask"], &privacy::detect::kinds().iter().map(row).collect::<Vec<_>>());
    page
}

const KINDS: [Kind; 10] = [
    Kind::Project,
    Kind::Contract,
    Kind::Refused,
    Kind::Data,
    Kind::Conflict,
    Kind::Unreachable,
    Kind::Storage,
    Kind::Memory,
    Kind::Stopped,
    Kind::Internal,
];

/// When an error is of a kind. No `_` arm: a new kind must say so here, and join [`KINDS`].
fn meaning(kind: Kind) -> &'static str {
    match kind {
        Kind::Project => "the project or the call is wrong",
        Kind::Contract => "the data breaks its contract, and the contract says stop",
        Kind::Refused => "a policy or a privacy rule refuses",
        Kind::Data => "the input can't be read: half a file, bad bytes, a broken table",
        Kind::Conflict => "somebody else moved what was about to be moved",
        Kind::Unreachable => "an outside system does not answer",
        Kind::Storage => "the store can't take or give bytes: full disk, no permission",
        Kind::Memory => "the memory budget does not hold what has to be held",
        Kind::Stopped => "it took longer than allowed, or was told to stop",
        Kind::Internal => "a law of Lavra's own is broken: a defect",
    }
}

pub fn errors() -> Page {
    let mut page = Page::new("errors.md", "Errors");
    page.say("Every error is of one of these kinds; the kind decides the exit code and whether a table is tried again. With `--format json` it is the `kind` of the error's document.");
    let row = |kind: Kind| {
        let advice = advice(kind);
        let again = if advice.retry { "yes" } else { "no" };
        [
            format!("[`{0}`](../errors/{0}.md)", advice.page),
            meaning(kind).to_owned(),
            advice.exit.to_string(),
            again.to_owned(),
            advice.sentence.to_owned(),
        ]
    };
    page.table(["kind", "when", "exit code", "tried again", "what to do"], &KINDS.map(row));
    page
}
