//! Models from text to checked plans: every fault of every model at once, no data file opened.

use super::checks::{self, anonymity_columns, group_faults};
use super::header::{Header, Write};
use super::lineage::{Lineage, of_plan};
use super::misnamed;
use super::shape::{self, Shape};
use crate::schema::{delta_schema, kept_schema};
use crate::sql::{Catalog, SqlEngine, explain, pin_versions, plan};
use crate::table::At;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::TableReference;
use datafusion::datasource::empty::EmptyTable;
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::resolve::resolve_table_references;
use kernel::diagnostic::Diagnostic;
use kernel::draft::{Draft, Env, read_header, without_header};
use kernel::gate::quarantine_schema;
use kernel::name::TableName;
use kernel::suggest;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A model as its author wrote it.
pub struct ModelFile {
    pub name: TableName,
    /// Relative to the project.
    pub file: String,
    pub text: String,
    /// Its only table is a change log, of which it keeps the rows as they are now (`merge`), or as they were (`scd2`): the
    /// query names the columns that are kept.
    pub follows: bool,
}

impl ModelFile {
    /// What `write: scd2` says of each row itself, so that no query may give it.
    pub const VALIDITY: [&str; 3] = super::scd2::VALIDITY;
}

/// A model whose query was planned.
#[derive(Clone)]
pub struct Model {
    pub name: TableName,
    pub file: String,
    pub header: Header,
    /// The whole file.
    pub text: String,
    pub sql: String,
    /// The tables that must be made before it: those it reads, then those that only its checks ask.
    pub inputs: Vec<TableName>,
    /// The tables its query reads, in the order it names them.
    pub reads: Vec<TableName>,
    /// Of these, the ones that it reads at one version that its text names; they never have anything new.
    pub(super) pinned: BTreeMap<TableName, At>,
    /// The table's schema.
    pub schema: SchemaRef,
    pub lineage: Lineage,
    /// Whether it keeps the rows of a change log.
    pub follows: bool,
    pub(super) shape: Shape,
    /// Hash of header and query.
    pub fingerprint: String,
}

impl Model {
    /// The version of an input at which its text pins it, whatever comes later.
    pub fn pins(&self, input: &TableName) -> Option<At> {
        self.pinned.get(input).copied()
    }
}

struct Parsed<'a> {
    source: &'a ModelFile,
    draft: Draft<Header>,
    start: usize,
    reads: Vec<TableName>,
    pinned: BTreeMap<TableName, At>,
    /// What its checks ask beside the table itself.
    asked: Vec<TableName>,
}

/// Compiles all models over base tables (bronze, by their contracts). Models over `broken` tables, whose own faults are
/// reported elsewhere, are left out without a word. Gives the models in the order they run.
pub async fn compile(
    engine: &SqlEngine,
    base: &BTreeMap<TableName, SchemaRef>,
    broken: &BTreeSet<TableName>,
    files: &[ModelFile],
    env: Env<'_>,
) -> (Vec<Model>, Vec<Diagnostic>) {
    let mut faults = Vec::new();
    let mut parsed = BTreeMap::new();
    let bare = bare(files, env);
    let mut headless = Vec::new();
    for source in files.iter().chain(&bare) {
        match parse(source, env) {
            Ok(model) if bare.iter().any(|bare| std::ptr::eq(bare, source)) => headless.push(model),
            Ok(model) => drop(parsed.insert(source.name.clone(), model)),
            Err(found) => faults.extend(found),
        }
    }
    let known: Vec<TableName> = base.keys().chain(broken).chain(files.iter().map(|file| &file.name)).cloned().collect();
    for model in parsed.values().chain(&headless) {
        faults.extend(missing_inputs(model, &known));
    }
    let (order, cycles) = in_order(&parsed);
    faults.extend(cycles);
    let mut catalog = Catalog::default();
    for (name, schema) in base {
        catalog.give(name.clone(), Arc::new(EmptyTable::new(kept_schema(schema))));
        catalog.give(name.quarantine(), Arc::new(EmptyTable::new(quarantine_schema()))); // for checks
    }
    let mut models: Vec<Model> = Vec::new();
    for name in order {
        let Some(model) = parsed.get(&name) else { continue };
        let is_ready = |input: &TableName| base.contains_key(input) || models.iter().any(|m| m.name == *input);
        let asked = model.asked.iter().filter(|asked| known.contains(asked)); // others are faults of the check
        if !model.reads.iter().chain(asked).all(is_ready) {
            continue; // its input's own fault is reported
        }
        match plan_model(engine, &catalog, model, &known).await {
            Ok(model) => {
                catalog.give(name, Arc::new(EmptyTable::new(model.schema.clone())));
                models.push(model);
            }
            Err(found) => faults.extend(found),
        }
    }
    for model in &headless {
        let is_ready = |input: &TableName| base.contains_key(input) || models.iter().any(|m| m.name == *input);
        if model.reads.iter().all(is_ready) {
            faults.extend(plan_model(engine, &catalog, model, &known).await.err().unwrap_or_default());
        }
    }
    (models, faults)
}

/// Files whose header can't be read, without it: its faults do not hide those of the query.
fn bare(files: &[ModelFile], env: Env) -> Vec<ModelFile> {
    let is_broken = |file: &&ModelFile| read_header::<Header>(&file.file, &file.text, env).is_err();
    let without = |file: &ModelFile| ModelFile {
        name: file.name.clone(),
        file: file.file.clone(),
        text: without_header(&file.text),
        follows: file.follows,
    };
    files.iter().filter(is_broken).map(without).collect()
}

fn parse<'a>(source: &'a ModelFile, env: Env) -> Result<Parsed<'a>, Vec<Diagnostic>> {
    let (draft, start) = read_header::<Header>(&source.file, &source.text, env)?;
    let sql = source.text[start..].trim_end().trim_end_matches(';');
    let fault =
        |message: String, span, help: Option<String>| vec![Diagnostic::new(&source.file, span, message).help(help)];
    let pinned = pin_versions(sql).map_err(|e| fault(e.to_string(), None, None))?;
    let statements = DFParser::parse_sql(&pinned).map_err(|e| {
        let found = explain(&e, sql, &[]);
        fault(found.message, found.span.map(|(a, b)| (a + start, b + start)), found.help)
    })?;
    let statement = match statements.into_iter().collect::<Vec<_>>().as_slice() {
        [one] => one.clone(),
        [] => return Err(fault("the model has no query".into(), None, Some("write a `select`".into()))),
        _ => {
            return Err(fault(
                "a model is one query".into(),
                None,
                Some("move the others to files of their own".into()),
            ));
        }
    };
    if !matches!(&statement, Statement::Statement(inner) if matches!(**inner, datafusion::sql::sqlparser::ast::Statement::Query(_)))
    {
        return Err(fault("a model is a `select`; how it is written is said in its header".into(), None, None));
    }
    let tables = named_tables(&statement).map_err(|e| fault(explain(&e, sql, &[]).message, None, None))?;
    let mut read_at: BTreeMap<TableName, Vec<At>> = BTreeMap::new();
    let mut reads = Vec::new();
    for (table, name, at) in tables {
        let Some(name) = name else {
            let (bare, _) = crate::sql::unpin_name(table.table());
            let help = format!("write it with its layer, for example `silver.{bare}`");
            let span = find(sql, bare).map(|(a, b)| (a + start, b + start));
            return Err(fault(format!("`{table}` is not a table's name"), span, Some(help)));
        };
        if !reads.contains(&name) {
            reads.push(name.clone());
        }
        read_at.entry(name).or_default().push(at);
    }
    reads.sort_by_key(|name| find(sql, &name.to_string()).map_or(usize::MAX, |(at, _)| at));
    let one_version = |(name, at): (TableName, Vec<At>)| match at[..] {
        [first, ..] if first != At::Latest && at.iter().all(|other| *other == first) => Some((name, first)),
        _ => None,
    };
    let pinned = read_at.into_iter().filter_map(one_version).collect();
    let asked = checks::tables(&draft.value.checks, &source.name);
    Ok(Parsed { source, draft, start, reads, pinned, asked })
}

/// The tables that a statement names, each with the version it is read at; without a name where it is no table of ours.
pub(super) fn named_tables(
    statement: &Statement,
) -> datafusion::common::Result<Vec<(TableReference, Option<TableName>, At)>> {
    let (tables, _) = resolve_table_references(statement, true)?;
    let named = tables.into_iter().map(|table| {
        let (bare, at) = crate::sql::unpin_name(table.table());
        let name = TableName::new(table.schema().unwrap_or_default(), bare).ok();
        (table, name, at)
    });
    Ok(named.collect())
}

fn find(sql: &str, word: &str) -> Option<(usize, usize)> {
    sql.to_lowercase().find(&word.to_lowercase()).map(|at| (at, at + word.len()))
}

impl Parsed<'_> {
    /// What must be made before: what the query reads and what the checks ask.
    fn inputs(&self) -> impl Iterator<Item = &TableName> {
        self.reads.iter().chain(self.asked.iter().filter(|asked| !self.reads.contains(asked)))
    }

    fn sql(&self) -> &str {
        self.source.text[self.start..].trim_end().trim_end_matches(';')
    }

    /// A fault in the text, if it stands in the file: what keeps a change log's rows was written by nobody.
    fn fault(&self, span: Option<(usize, usize)>, message: impl Into<String>) -> Diagnostic {
        let span = span.filter(|_| !self.source.follows);
        Diagnostic::new(&self.source.file, span.map(|(a, b)| (a + self.start, b + self.start)), message)
    }
}

fn missing_inputs(model: &Parsed, known: &[TableName]) -> Vec<Diagnostic> {
    let names: Vec<String> = known.iter().map(ToString::to_string).collect();
    let missing = model.reads.iter().filter(|input| !known.contains(input));
    missing
        .map(|input| {
            let help = suggest::hint(&input.to_string(), names.iter().map(String::as_str));
            let span = find(model.sql(), &input.to_string());
            model.fault(span, format!("there is no table `{input}`")).help(help)
        })
        .collect()
}

/// Models after their inputs; a cycle is named with its whole path.
fn in_order(parsed: &BTreeMap<TableName, Parsed>) -> (Vec<TableName>, Vec<Diagnostic>) {
    fn visit(
        name: &TableName,
        parsed: &BTreeMap<TableName, Parsed>,
        path: &mut Vec<TableName>,
        order: &mut Vec<TableName>,
        faults: &mut Vec<Diagnostic>,
    ) {
        if order.contains(name) {
            return;
        }
        let Some(model) = parsed.get(name) else { return };
        if let Some(start) = path.iter().position(|seen| seen == name) {
            let mut circle: Vec<String> = path[start..].iter().map(ToString::to_string).collect();
            circle.push(name.to_string());
            let message = format!("models go in a circle: {}", circle.join(" → "));
            if !faults.iter().any(|f| f.message.contains(&name.to_string())) {
                let span = circle.get(1).and_then(|next| find(model.sql(), next));
                faults.push(model.fault(span, message).help(Some("one of them must read something else")));
            }
            return;
        }
        path.push(name.clone());
        for input in model.inputs() {
            visit(input, parsed, path, order, faults);
        }
        path.pop();
        if !order.contains(name) {
            order.push(name.clone());
        }
    }
    let (mut order, mut faults) = (Vec::new(), Vec::new());
    for name in parsed.keys() {
        visit(name, parsed, &mut Vec::new(), &mut order, &mut faults);
    }
    (order, faults)
}

async fn plan_model(
    engine: &SqlEngine,
    catalog: &Catalog,
    model: &Parsed<'_>,
    known: &[TableName],
) -> Result<Model, Vec<Diagnostic>> {
    let sql = model.sql();
    let context = engine.context(catalog.clone());
    let explained = |e| {
        let found = explain(&e, sql, known);
        vec![model.fault(found.span, found.message).help(found.help)]
    };
    let pinned = pin_versions(sql).map_err(|e| vec![model.fault(None, e.to_string())])?;
    let planned = match plan(&context, &pinned).await {
        Ok(planned) => planned,
        Err(e) => {
            let faults = misnamed::faults(&context, sql, &e, known).await.into_iter();
            return Err(faults.map(|fault| model.fault(fault.span, fault.message).help(fault.help)).collect());
        }
    };
    // Type errors show when the plan is analysed, and only then do the sides of a union have one type.
    let analysed = context.state().optimize(&planned).map_err(explained)?;
    let header = &model.draft.value;
    let lineage = of_plan(&planned, header.checks.group_size.as_ref()).map_err(explained)?;
    let schema = output_schema(model, &kept_schema(analysed.schema().as_arrow()))?;
    let name = &model.source.name;
    let mut with_own = catalog.clone();
    with_own.give(name.clone(), Arc::new(EmptyTable::new(schema.clone())));
    let mut faults = header_faults(&model.draft, &schema);
    for (place, message, help) in header.checks.group_size.iter().flat_map(|check| group_faults(check, &planned)) {
        faults.push(model.draft.fault(&place, message).help(help));
    }
    faults.extend(checks::misread(&model.draft, &with_own, known));
    if faults.is_empty() {
        faults = checks::unplanned(engine, with_own, &model.draft, name, known).await;
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let time = header.time.as_deref().filter(|_| header.write == Write::Incremental);
    Ok(Model {
        name: name.clone(),
        file: model.source.file.clone(),
        header: header.clone(),
        text: model.source.text.clone(),
        sql: sql.to_owned(),
        inputs: model.inputs().cloned().collect(),
        reads: model.reads.clone(),
        pinned: model.pinned.clone(),
        shape: shape::of_plan(&planned, time).map_err(explained)?,
        schema,
        lineage,
        follows: model.source.follows,
        fingerprint: fingerprint(model),
    })
}

/// Of a model, its text; of one that follows a change log, what its rows depend on: a column more changes none of them.
fn fingerprint(model: &Parsed) -> String {
    let header = &model.draft.value;
    let text = match model.source.follows {
        true => format!("{:?} {:?} {:?}", header.write, header.key, model.reads),
        false => model.source.text.clone(),
    };
    format!("{:016x}", twox_hash::XxHash64::oneshot(0, text.as_bytes()))
}

/// The columns that the table will have; names and types must have a home in Delta.
fn output_schema(model: &Parsed, schema: &SchemaRef) -> Result<SchemaRef, Vec<Diagnostic>> {
    let mut faults = Vec::new();
    for (at, field) in schema.fields().iter().enumerate() {
        let name = field.name();
        // Those of a change log are its source's own.
        let is_foreign = !model.source.follows && name.contains([' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '=']);
        if is_foreign {
            let fault =
                model.fault(find(model.sql(), name), format!("column {} has no name of its own: `{name}`", at + 1));
            faults.push(fault.help(Some("give it one with `as`")));
        }
        if schema.fields()[..at].iter().any(|other| other.name().eq_ignore_ascii_case(name)) {
            faults.push(
                model
                    .fault(find(model.sql(), name), format!("two columns are called `{name}`"))
                    .help(Some("give one another name with `as`")),
            );
        }
    }
    let is_scd2 = model.draft.value.write == Write::Scd2;
    for own in super::scd2::VALIDITY.into_iter().filter(|_| is_scd2) {
        if schema.fields().iter().any(|field| field.name().eq_ignore_ascii_case(own)) {
            faults.push(
                model
                    .fault(find(model.sql(), own), format!("the query gives `{own}`, which `write: scd2` makes itself"))
                    .help(Some("give it another name with `as`; `time: column` says since when a row holds")),
            );
        }
    }
    if let Err(e) = delta_schema(schema) {
        faults.push(model.fault(None, e.to_string()));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(if is_scd2 { super::scd2::with_validity(schema) } else { schema.clone() })
}

/// Columns that the header names must be there, and what a way of writing needs must be said.
fn header_faults(draft: &Draft<Header>, schema: &SchemaRef) -> Vec<Diagnostic> {
    let header = &draft.value;
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let mut faults = Vec::new();
    let mut known = |path: String, column: &str| {
        if !names.contains(&column) {
            let help = suggest::hint(column, names.iter().copied());
            faults.push(draft.fault(&path, format!("the query gives no column `{column}`")).help(help));
        }
    };
    header.key.iter().enumerate().for_each(|(i, c)| known(format!("key[{i}]"), c));
    header.time.iter().for_each(|c| known("time".into(), c));
    header.checks.not_null.iter().enumerate().for_each(|(i, c)| known(format!("checks.not_null[{i}]"), c));
    for key in header.checks.unique.all() {
        key.iter().for_each(|c| known("checks.unique".into(), c));
    }
    header.checks.accepted.keys().for_each(|c| known(format!("checks.accepted.{c}"), c));
    header
        .checks
        .relationship
        .iter()
        .enumerate()
        .for_each(|(i, r)| known(format!("checks.relationship[{i}].column"), &r.column));
    header.checks.freshness.iter().for_each(|f| known("checks.freshness.column".into(), &f.column));
    anonymity_columns(&header.checks).into_iter().for_each(|(place, column)| known(place, column));
    header.exposes.all().into_iter().for_each(|(column, _, place)| known(place, column));
    let needs = match header.write {
        Write::Merge | Write::Scd2 if header.key.is_empty() => {
            Some("needs `key: [column, …]`, the columns that name a row")
        }
        Write::Incremental if header.time.is_none() || header.grain.is_none() => {
            Some("needs `time: column` and `grain: hour | day | week | month | year`")
        }
        _ => None,
    };
    if let Some(needs) = needs {
        faults.push(draft.fault("write", format!("this way of writing {needs}")));
    }
    if let (Write::Incremental | Write::Scd2, Some(time)) = (header.write, &header.time)
        && let Ok(field) = schema.field_with_name(time)
        && !matches!(field.data_type(), DataType::Date32 | DataType::Timestamp(..))
    {
        faults.push(draft.fault("time", format!("`{time}` is {}, not a date or a timestamp", field.data_type())));
    }
    faults
}
