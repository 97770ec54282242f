//! Where a column stands in a model's outermost `select`, for messages that point at it.

use lake::Model;

/// The column's name in the select list; the word `select` where the list does not name it (`select *`).
pub fn place(model: &Model, column: &str) -> Option<(usize, usize)> {
    let start = model.text.rfind(&model.sql)?;
    let select = outermost(&model.sql)?;
    let (from, to) = word(&model.sql, select + "select".len(), column).unwrap_or((select, select + "select".len()));
    Some((start + from, start + to))
}

/// The first `select` outside of parentheses: of a query with other queries in front or behind, it names the columns.
fn outermost(sql: &str) -> Option<usize> {
    let mut depth = 0i32;
    let mut first = None;
    each_sign(sql, |at, sign| match sign {
        '(' => depth += 1,
        ')' => depth -= 1,
        _ if depth == 0 && first.is_none() && is_word(sql, at, "select") => first = Some(at),
        _ => {}
    });
    first
}

fn word(sql: &str, from: usize, name: &str) -> Option<(usize, usize)> {
    let mut found = None;
    each_sign(sql, |at, _| {
        if at >= from && found.is_none() && is_word(sql, at, name) {
            found = Some((at, at + name.len()));
        }
    });
    found
}

/// Calls for each sign that stands in no comment and no text.
fn each_sign(sql: &str, mut call: impl FnMut(usize, char)) {
    let mut end = "";
    let mut skip_to = 0;
    for (at, sign) in sql.char_indices() {
        if at < skip_to {
            continue;
        }
        let rest = &sql[at..];
        if !end.is_empty() {
            if rest.starts_with(end) {
                skip_to = at + end.len();
                end = "";
            }
            continue;
        }
        for (open, close) in [("--", "\n"), ("/*", "*/"), ("'", "'")] {
            if rest.starts_with(open) {
                end = close;
                skip_to = at + open.len();
            }
        }
        if end.is_empty() {
            call(at, sign);
        }
    }
}

/// Whether this word begins here and ends behind it, in any capitals.
fn is_word(sql: &str, at: usize, word: &str) -> bool {
    let is_part = |sign: Option<char>| sign.is_some_and(|sign| sign.is_alphanumeric() || sign == '_');
    let here = sql.get(at..at + word.len()).is_some_and(|text| text.eq_ignore_ascii_case(word));
    here && !is_part(sql[..at].chars().next_back()) && !is_part(sql[at + word.len()..].chars().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(sql: &'a str, name: &str) -> Option<(usize, &'a str)> {
        let select = outermost(sql)?;
        word(sql, select + 6, name).map(|(from, to)| (from, &sql[from..to]))
    }

    #[test]
    fn the_column_of_the_outermost_select_is_found() {
        let sql = "with cpf as (select cpf from a) -- select cpf\nselect 'cpf' as x, xcpf, lower(CPF) as y from cpf";
        let at = sql.rfind("CPF").expect("a place");
        assert_eq!(found(sql, "cpf"), Some((at, "CPF")));
        assert_eq!(found("select a from t union all select b from u", "a"), Some((7, "a")));
        assert_eq!(found("select * from (select n from t)", "m"), None);
        assert_eq!(outermost("select/* select */ 1"), Some(0));
    }
}
