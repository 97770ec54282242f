//! All the columns that a query names and no table has. The planner stops at the first one: it is put to `null`, and the
//! planner is asked again.

use crate::sql::{SqlFault, explain, pin_versions, plan};
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::prelude::SessionContext;
use kernel::name::TableName;

/// More than this are told once the first are mended.
const FAULTS_MAX: usize = 20;
const NOTHING: &str = "null";

/// The faults of a query whose first one is `error`. Faults behind the first are told only if they are of columns: others may
/// come from what was put to null.
pub(super) async fn faults(
    context: &SessionContext,
    sql: &str,
    error: &DataFusionError,
    known: &[TableName],
) -> Vec<SqlFault> {
    let mut current = explain(error, sql, known);
    let mut faults = vec![current.clone()];
    let (mut text, mut edits) = (sql.to_owned(), Vec::new());
    let mut is_column = is_of_a_column(error);
    while is_column && faults.len() < FAULTS_MAX {
        let Some((start, end)) = current.span.map(|span| with_table(&text, span)) else { break };
        text.replace_range(start..end, NOTHING);
        edits.push((start, end - start));
        let Ok(pinned) = pin_versions(&text) else { break };
        let Err(error) = plan(context, &pinned).await else { break };
        is_column = is_of_a_column(&error);
        current = explain(&error, &text, known);
        if is_column {
            let span = current.span.map(|(start, end)| (as_written(start, &edits), as_written(end, &edits)));
            faults.push(SqlFault { span, ..current.clone() });
        }
    }
    faults
}

fn is_of_a_column(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::SchemaError(fault, _) => match fault.as_ref() {
            SchemaError::FieldNotFound { field, .. } => field.name != NOTHING,
            _ => false,
        },
        _ => false,
    }
}

/// The place of a column with the table before it: `p.name`, not `name` alone.
fn with_table(text: &str, (start, end): (usize, usize)) -> (usize, usize) {
    let before = text[..start].trim_end_matches(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '"'));
    match text[..start].ends_with('.') {
        true => (before.len(), end),
        false => (start, end),
    }
}

/// A place in the edited text as it was in the author's.
fn as_written(at: usize, edits: &[(usize, usize)]) -> usize {
    edits.iter().rev().fold(at, |at, (start, length)| if at > *start { at - NOTHING.len() + length } else { at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_authors_text() {
        let sql = "select p.idd, amuont, xx from t";
        let mut text = sql.to_owned();
        let mut edits = Vec::new();
        for word in ["idd", "amuont"] {
            let at = text.find(word).unwrap();
            let (start, end) = with_table(&text, (at, at + word.len()));
            text.replace_range(start..end, NOTHING);
            edits.push((start, end - start));
        }
        assert_eq!(text, "select null, null, xx from t");
        let at = as_written(text.find("xx").unwrap(), &edits);
        assert_eq!(&sql[at..at + 2], "xx");
        assert_eq!(as_written(3, &edits), 3);
    }
}
