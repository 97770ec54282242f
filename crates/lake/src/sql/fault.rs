//! A planner's or an engine's error as one sentence, a place in the text, and what may have been meant.

use datafusion::common::{DataFusionError, SchemaError};
use kernel::error::{Error, Kind};
use kernel::name::TableName;
use kernel::suggest;

/// What is wrong with a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlFault {
    pub message: String,
    pub help: Option<String>,
    /// Byte range in the query's text.
    pub span: Option<(usize, usize)>,
    pub kind: Kind,
}

impl SqlFault {
    pub fn into_error(self) -> Error {
        let detail = self.help.unwrap_or_default();
        Error::new(self.kind, self.message, detail)
    }
}

/// Reads a DataFusion error; `sql` is the text as its author wrote it.
pub fn explain(error: &DataFusionError, sql: &str, tables: &[TableName]) -> SqlFault {
    if let Some(own) = own_error(error) {
        return SqlFault { message: own.what.clone(), help: Some(own.detail.clone()), span: None, kind: own.kind };
    }
    let span = error.diagnostic().and_then(|d| d.span).and_then(|span| {
        let start = offset(sql, span.start.line, span.start.column)?;
        let end = offset(sql, span.end.line, span.end.column)?;
        Some((start, end.max(start)))
    });
    let root = error.find_root();
    let kind = match root {
        DataFusionError::ResourcesExhausted(_) => Kind::Memory,
        DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) | DataFusionError::ParquetError(_) => Kind::Data,
        DataFusionError::Internal(_) => Kind::Internal,
        _ => Kind::Project,
    };
    let (message, help, found) = match root {
        DataFusionError::SchemaError(fault, _) => schema_fault(fault, sql),
        DataFusionError::SQL(fault, _) => syntax(&fault.to_string(), sql),
        DataFusionError::ResourcesExhausted(text) => (
            format!("the memory budget is used up: {}", first_line(text)),
            Some("give it more with --memory, or read less at once".into()),
            None,
        ),
        other => plain(&other.strip_backtrace(), sql, tables),
    };
    SqlFault { message, help, span: span.or(found), kind }
}

fn own_error(error: &DataFusionError) -> Option<&Error> {
    match error.find_root() {
        DataFusionError::External(inner) => inner.downcast_ref::<Error>(),
        _ => None,
    }
}

type Parts = (String, Option<String>, Option<(usize, usize)>);

fn schema_fault(fault: &SchemaError, sql: &str) -> Parts {
    match fault {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let known: Vec<&str> = valid_fields.iter().map(|column| column.name.as_str()).collect();
            let of = field.relation.as_ref().map_or(String::new(), |table| format!(" in `{}`", table.table()));
            let mut known: Vec<&str> =
                known.into_iter().filter(|name| !name.starts_with('_') || field.name.starts_with('_')).collect();
            known.dedup();
            (
                format!("there is no column `{}`{of}", field.name),
                suggest::hint(&field.name, known),
                find_word(sql, &field.name),
            )
        }
        SchemaError::AmbiguousReference { field } => (
            format!("column `{}` is in more than one table", field.name),
            Some(format!("write its table before it, as in `t.{}`", field.name)),
            find_word(sql, &field.name),
        ),
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => (
            format!("two columns are called `{name}`"),
            Some("give one of them another name with `as`".into()),
            find_word(sql, name),
        ),
    }
}

/// `Expected: …, found: x at Line: 1, Column: 8`
fn syntax(text: &str, sql: &str) -> Parts {
    let text =
        text.trim_start_matches("sql parser error: ").trim_start_matches("ParserError(\"").trim_end_matches("\")");
    let place = text.rsplit_once(" at Line: ");
    let span = place.and_then(|(_, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        let start = offset(sql, line.trim().parse().ok()?, column.trim().parse().ok()?)?;
        let length =
            sql[start..].find(|c: char| c.is_whitespace() || c == ',' || c == ')').unwrap_or(sql.len() - start);
        Some((start, start + length.max(1).min(sql.len() - start)))
    });
    let message = place.map_or(text, |(message, _)| message);
    (format!("SQL: {message}"), None, span)
}

fn plain(text: &str, sql: &str, tables: &[TableName]) -> Parts {
    let text = text.strip_prefix("Error during planning: ").unwrap_or(text);
    let text = text.strip_prefix("Execution error: ").unwrap_or(text);
    let missing = text.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found"));
    if let Some(name) = missing {
        let name = name.trim_start_matches("lake.");
        let known: Vec<String> = tables.iter().map(ToString::to_string).collect();
        let span = find_word(sql, name).or_else(|| find_word(sql, name.rsplit('.').next().unwrap_or(name)));
        return (format!("there is no table `{name}`"), suggest::hint(name, known.iter().map(String::as_str)), span);
    }
    if let Some(rest) = text.strip_prefix("Invalid function '") {
        let (name, rest) = rest.split_once('\'').unwrap_or((rest, ""));
        let near = rest.split('\'').nth(1).map(|near| format!("did you mean `{near}`?"));
        return (format!("there is no function `{name}`"), near, find_word(sql, name));
    }
    (first_line(text).to_owned(), None, None)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or(text)
}

/// The byte offset of a line and column, both from 1.
fn offset(text: &str, line: u64, column: u64) -> Option<usize> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(start..)?;
    let inner = rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at);
    Some(start + inner)
}

/// Where a name stands as a word of its own.
fn find_word(text: &str, word: &str) -> Option<(usize, usize)> {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let mut from = 0;
    while let Some(found) = text.get(from..)?.find(word) {
        let (start, end) = (from + found, from + found + word.len());
        if !is_part(text[..start].chars().next_back()) && !is_part(text[end..].chars().next()) {
            return Some((start, end));
        }
        from = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_table_suggests_its_neighbour() {
        let tables = [TableName::parse("silver.orders").expect("a name")];
        let error = DataFusionError::Plan("table 'lake.silver.ordres' not found".into());
        let fault = explain(&error, "select * from silver.ordres", &tables);
        assert_eq!(fault.message, "there is no table `silver.ordres`");
        assert_eq!(fault.help.as_deref(), Some("did you mean `silver.orders`?"));
        assert_eq!(fault.span, Some((14, 27)));
    }

    #[test]
    fn places_count_characters() {
        assert_eq!(offset("é\nab", 2, 2), Some(4));
        assert_eq!(find_word("a ab b", "b"), Some((5, 6)));
    }
}
