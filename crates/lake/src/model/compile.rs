//! Models from text to checked plans: every fault of every model at once, no data file opened.

use super::header::{Header, Write};
use super::lineage::{Lineage, of_plan};
use crate::schema::{delta_schema, kept_schema};
use crate::sql::{Catalog, SqlEngine, explain, pin_versions, plan};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::datasource::empty::EmptyTable;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::resolve::resolve_table_references;
use kernel::diagnostic::Diagnostic;
use kernel::draft::{Draft, Env, read_header};
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
    /// The tables it reads, in the order it names them.
    pub inputs: Vec<TableName>,
    /// The table's schema.
    pub schema: SchemaRef,
    pub lineage: Lineage,
    /// Whether each output row is made of one row of its first table: then `append` can take new rows alone.
    pub is_row_wise: bool,
    /// Hash of header and query.
    pub fingerprint: String,
}

struct Parsed<'a> {
    source: &'a ModelFile,
    draft: Draft<Header>,
    start: usize,
    inputs: Vec<TableName>,
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
    for source in files {
        match parse(source, env) {
            Ok(model) => drop(parsed.insert(source.name.clone(), model)),
            Err(found) => faults.extend(found),
        }
    }
    let known: Vec<TableName> = base.keys().chain(broken).chain(files.iter().map(|file| &file.name)).cloned().collect();
    for model in parsed.values() {
        faults.extend(missing_inputs(model, &known));
    }
    let (order, cycles) = in_order(&parsed);
    faults.extend(cycles);
    let mut catalog = Catalog::default();
    for (name, schema) in base {
        catalog.give(name.clone(), Arc::new(EmptyTable::new(kept_schema(schema))));
    }
    let mut models: Vec<Model> = Vec::new();
    for name in order {
        let Some(model) = parsed.get(&name) else { continue };
        let ready =
            model.inputs.iter().all(|input| base.contains_key(input) || models.iter().any(|m| m.name == *input));
        if !ready {
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
    (models, faults)
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
    let (tables, _) =
        resolve_table_references(&statement, true).map_err(|e| fault(explain(&e, sql, &[]).message, None, None))?;
    let mut inputs = Vec::new();
    for table in &tables {
        let (bare, _) = crate::sql::unpin_name(table.table());
        let layer = table.schema().unwrap_or_default();
        let Ok(name) = TableName::new(layer, bare) else {
            let help = format!("write it with its layer, for example `silver.{bare}`");
            let span = find(sql, bare).map(|(a, b)| (a + start, b + start));
            return Err(fault(format!("`{table}` is not a table's name"), span, Some(help)));
        };
        inputs.push(name);
    }
    inputs.sort_by_key(|name| find(sql, &name.to_string()).map_or(usize::MAX, |(at, _)| at));
    inputs.dedup();
    Ok(Parsed { source, draft, start, inputs })
}

fn find(sql: &str, word: &str) -> Option<(usize, usize)> {
    sql.to_lowercase().find(&word.to_lowercase()).map(|at| (at, at + word.len()))
}

impl Parsed<'_> {
    fn sql(&self) -> &str {
        self.source.text[self.start..].trim_end().trim_end_matches(';')
    }

    fn fault(&self, span: Option<(usize, usize)>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(&self.source.file, span.map(|(a, b)| (a + self.start, b + self.start)), message)
    }
}

fn missing_inputs(model: &Parsed, known: &[TableName]) -> Vec<Diagnostic> {
    let names: Vec<String> = known.iter().map(ToString::to_string).collect();
    let missing = model.inputs.iter().filter(|input| !known.contains(input));
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
                faults.push(
                    Diagnostic::new(&model.source.file, None, message)
                        .help(Some("one of them must read something else")),
                );
            }
            return;
        }
        path.push(name.clone());
        for input in &model.inputs {
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
    let planned = plan(&context, &pinned).await.map_err(explained)?;
    // Type errors show when the plan is analysed, and only then do the sides of a union have one type.
    let analysed = context.state().optimize(&planned).map_err(explained)?;
    let lineage = of_plan(&planned).map_err(explained)?;
    let schema = output_schema(model, &kept_schema(analysed.schema().as_arrow()))?;
    let faults = header_faults(&model.draft, &schema);
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Model {
        name: model.source.name.clone(),
        file: model.source.file.clone(),
        header: model.draft.value.clone(),
        text: model.source.text.clone(),
        sql: sql.to_owned(),
        inputs: model.inputs.clone(),
        is_row_wise: is_row_wise(&planned),
        schema,
        lineage,
        fingerprint: format!("{:016x}", twox_hash::XxHash64::oneshot(0, model.source.text.as_bytes())),
    })
}

/// The columns that the table will have; names and types must have a home in Delta.
fn output_schema(model: &Parsed, schema: &SchemaRef) -> Result<SchemaRef, Vec<Diagnostic>> {
    let mut faults = Vec::new();
    for (at, field) in schema.fields().iter().enumerate() {
        let name = field.name();
        if name.contains([' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '=']) {
            let fault = model.fault(None, format!("column {} has no name of its own: `{name}`", at + 1));
            faults.push(fault.help(Some("give it one with `as`")));
        }
        if schema.fields()[..at].iter().any(|other| other.name().eq_ignore_ascii_case(name)) {
            faults.push(
                model
                    .fault(None, format!("two columns are called `{name}`"))
                    .help(Some("give one another name with `as`")),
            );
        }
    }
    if let Err(e) = delta_schema(schema) {
        faults.push(model.fault(None, e.to_string()));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    match model.draft.value.write {
        Write::Scd2 => Ok(super::scd2::with_validity(schema)),
        _ => Ok(schema.clone()),
    }
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
    if let (Write::Incremental, Some(time)) = (header.write, &header.time)
        && let Ok(field) = schema.field_with_name(time)
        && !matches!(field.data_type(), DataType::Date32 | DataType::Timestamp(..))
    {
        faults.push(draft.fault("time", format!("`{time}` is {}, not a date or a timestamp", field.data_type())));
    }
    faults
}

/// Rows of the result come one by one from rows of the inputs: no aggregate, no window, no order that cuts.
fn is_row_wise(plan: &LogicalPlan) -> bool {
    let own = !matches!(
        plan,
        LogicalPlan::Aggregate(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Distinct(_)
            | LogicalPlan::RecursiveQuery(_)
    );
    own && plan.inputs().into_iter().all(is_row_wise)
}
