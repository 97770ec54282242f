//! Where one statement of the shell ends and the next begins.

/// What is asked for at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement<'a> {
    Query(&'a str),
    Tables,
    /// Of this table.
    Schema(&'a str),
    Quit,
    /// A `;` behind nothing.
    Nothing,
}

/// The first statement of a text, and what stands behind it. `None` while there is no whole one: nothing but comments, or
/// a query without its `;`.
pub fn take(text: &str) -> Option<(Statement<'_>, &str)> {
    let text = without_comments(text)?;
    let (line, behind) = text.split_once('\n').unwrap_or((text, ""));
    if let Some(command) = command(line.trim().trim_end_matches(';').trim_end()) {
        return Some((command, behind));
    }
    let end = end_of_query(text)?;
    let query = text[..end].trim();
    Some((if query.is_empty() { Statement::Nothing } else { Statement::Query(query) }, &text[end + 1..]))
}

/// Commands are a line of their own.
fn command(line: &str) -> Option<Statement<'_>> {
    match line.split_once(char::is_whitespace).unwrap_or((line, "")) {
        (".quit" | ".exit" | "quit" | "exit" | "\\q", "") => Some(Statement::Quit),
        (".tables", "") => Some(Statement::Tables),
        (".schema", table) => Some(Statement::Schema(table.trim())),
        _ => None,
    }
}

/// The text from its first word; `None` when there is none.
fn without_comments(text: &str) -> Option<&str> {
    let mut text = text.trim_start();
    loop {
        text = match (text.strip_prefix("--"), text.strip_prefix("/*")) {
            (Some(comment), _) => comment.split_once('\n')?.1.trim_start(),
            (None, Some(comment)) => comment.split_once("*/")?.1.trim_start(),
            (None, None) if text.is_empty() => return None,
            (None, None) => return Some(text),
        };
    }
}

/// The place of the first `;` outside of quotes and comments.
fn end_of_query(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = text.get(at..)?;
        let next = at + rest.find([';', '\'', '"', '-', '/'])?;
        let rest = &text[next..];
        // What opens here, with what closes it. A doubled quote inside a text closes and opens it again.
        let close = match rest {
            _ if rest.starts_with(';') => return Some(next),
            _ if rest.starts_with('\'') => "'",
            _ if rest.starts_with('"') => "\"",
            _ if rest.starts_with("--") => "\n",
            _ if rest.starts_with("/*") => "*/",
            _ => {
                at = next + 1;
                continue;
            }
        };
        let inner = next + if close.len() == 2 || close == "\n" { 2 } else { 1 };
        at = inner + text.get(inner..)?.find(close)? + close.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut text: &str) -> Vec<Statement<'_>> {
        let mut found = Vec::new();
        while let Some((statement, rest)) = take(text) {
            found.push(statement);
            text = rest;
        }
        found
    }

    #[test]
    fn statements_end_where_they_should() {
        use Statement::{Nothing, Query, Quit, Schema, Tables};
        let cases: [(&str, &[Statement<'_>]); 10] = [
            ("select 1; select 2;\n", &[Query("select 1"), Query("select 2")]),
            ("select ';' as a, 'it''s;' as b;", &[Query("select ';' as a, 'it''s;' as b")]),
            ("select 1 as \"a;b\";", &[Query("select 1 as \"a;b\"")]),
            ("-- a comment; no query\nselect 1;", &[Query("select 1")]),
            ("select 1 -- one; not two\n+ 1;", &[Query("select 1 -- one; not two\n+ 1")]),
            ("/* a; b */ select 4 / 2 - 1;", &[Query("select 4 / 2 - 1")]),
            (".tables\n.schema silver.a\nselect 1;\n.quit\n", &[Tables, Schema("silver.a"), Query("select 1"), Quit]),
            ("exit;\n", &[Quit]),
            ("select 1", &[]),
            (";\n-- the end\n", &[Nothing]),
        ];
        for (text, expected) in cases {
            assert_eq!(all(text), expected, "{text}");
        }
    }
}
