//! `from silver.orders version as of 3` and `timestamp as of '…'`: the version becomes part of the name that the catalog
//! resolves, and the table keeps its own name as alias.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use kernel::clock::Timestamp;
use kernel::error::{Error, Result};

use crate::table::At;

/// Rewrites every pinned table of a query; text without pins comes back as it is.
pub fn pin_versions(sql: &str) -> Result<String> {
    if !sql.to_ascii_lowercase().contains("as of") && !sql.to_ascii_lowercase().contains(" of") {
        return Ok(sql.to_owned());
    }
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).with_unescape(false).tokenize() else {
        return Ok(sql.to_owned()); // the planner's own error says where
    };
    let mut out: Vec<String> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        match pin_at(&tokens, at)? {
            Some((pin, next)) => {
                let aliased = is_aliased(&tokens, next);
                rename(&mut out, &pin, aliased)?;
                at = next;
            }
            None => {
                out.push(tokens[at].to_string());
                at += 1;
            }
        }
    }
    Ok(out.concat())
}

/// A pin that starts at a token: its text in the name, and where it ends.
fn pin_at(tokens: &[Token], at: usize) -> Result<Option<(String, usize)>> {
    let words: Vec<(usize, &Token)> =
        tokens[at..].iter().enumerate().filter(|(_, t)| !matches!(t, Token::Whitespace(_))).take(4).collect();
    let [(0, first), (_, second), (_, third), (end, value)] = words[..] else { return Ok(None) };
    let keyword = |token: &Token, word: Keyword| matches!(token, Token::Word(w) if w.keyword == word);
    if !keyword(second, Keyword::AS) || !keyword(third, Keyword::OF) {
        return Ok(None);
    }
    let pin = match (first, value) {
        (first, Token::Number(number, _)) if keyword(first, Keyword::VERSION) => format!("@v{number}"),
        (first, Token::SingleQuotedString(text)) if keyword(first, Keyword::TIMESTAMP) => {
            format!("@t{}", micros(text)?)
        }
        (first, _) if keyword(first, Keyword::VERSION) => {
            return Err(Error::project("version as of", "write a whole number: `version as of 3`"));
        }
        (first, _) if keyword(first, Keyword::TIMESTAMP) => {
            return Err(Error::project("timestamp as of", "write a text: `timestamp as of '2026-07-01 12:00:00'`"));
        }
        _ => return Ok(None),
    };
    Ok(Some((pin, at + end + 1)))
}

fn micros(text: &str) -> Result<i64> {
    let naive = |format| NaiveDateTime::parse_from_str(text, format).ok().map(|t| t.and_utc());
    let parsed = DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|t| t.to_utc())
        .or_else(|| naive("%Y-%m-%d %H:%M:%S%.f"))
        .or_else(|| naive("%Y-%m-%dT%H:%M:%S%.f"))
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0).map(|t| t.and_utc()));
    parsed.map(|t| t.timestamp_micros()).ok_or_else(|| {
        Error::project(format!("timestamp as of '{text}'"), "write it as 2026-07-01 12:00:00 (UTC) or with a zone")
    })
}

/// Puts the pin into the last name written.
fn rename(out: &mut Vec<String>, pin: &str, aliased: bool) -> Result<()> {
    while out.last().is_some_and(|text| text.trim().is_empty()) {
        out.pop();
    }
    let table = out.pop().unwrap_or_default();
    let bare = table.trim_matches('"').to_owned();
    if bare.is_empty() || !bare.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return Err(Error::project(
            "version as of",
            "write it behind a table's name: `from silver.orders version as of 3`",
        ));
    }
    out.push(format!("\"{bare}{pin}\""));
    if !aliased {
        out.push(format!(" as {bare}"));
    }
    Ok(())
}

/// Whether the query gives the table an alias of its own.
fn is_aliased(tokens: &[Token], next: usize) -> bool {
    use Keyword::{
        AS, CROSS, EXCEPT, FETCH, FULL, GROUP, HAVING, INNER, INTERSECT, JOIN, LEFT, LIMIT, NATURAL, OFFSET, ON, ORDER,
        QUALIFY, RIGHT, UNION, USING, WHERE, WINDOW,
    };
    let clause = [
        CROSS, EXCEPT, FULL, GROUP, HAVING, INNER, INTERSECT, JOIN, LEFT, LIMIT, NATURAL, OFFSET, ON, ORDER, RIGHT,
        UNION, USING, WHERE, WINDOW, QUALIFY, FETCH,
    ];
    match tokens[next..].iter().find(|t| !matches!(t, Token::Whitespace(_))) {
        Some(Token::Word(word)) => word.keyword == AS || !clause.contains(&word.keyword),
        _ => false,
    }
}

/// The table and the version that a catalog name means.
pub(crate) fn unpin(name: &str) -> (&str, At) {
    let pinned = name.rsplit_once('@').and_then(|(table, pin)| {
        let at = match pin.split_at_checked(1)? {
            ("v", number) => At::Version(number.parse().ok()?),
            ("t", micros) => At::Time(Timestamp(micros.parse().ok()?)),
            _ => return None,
        };
        Some((table, at))
    });
    pinned.unwrap_or((name, At::Latest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_become_names() {
        let pinned = pin_versions("select * from silver.orders version as of 3 where x = 'as of'").expect("a query");
        assert_eq!(pinned, "select * from silver.\"orders@v3\" as orders where x = 'as of'");
        let joined = pin_versions("from a.b VERSION AS OF 0 o join c.d timestamp as of '1970-01-01T00:00:01Z'")
            .expect("a query");
        assert_eq!(joined, "from a.\"b@v0\" o join c.\"d@t1000000\" as d");
        assert!(pin_versions("select * from a.b version as of yesterday").is_err());
        assert_eq!(pin_versions("select 1 as of").expect("no pin"), "select 1 as of");
    }

    #[test]
    fn names_become_pins() {
        assert_eq!(unpin("orders@v3"), ("orders", At::Version(3)));
        assert_eq!(unpin("orders"), ("orders", At::Latest));
    }
}
