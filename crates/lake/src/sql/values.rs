//! A query's text without what was asked for: `where cpf = '529…'` says whom somebody looked up.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// Each literal becomes `?`, each comment a blank. What can't be read has no text.
pub(super) fn without_values(sql: &str) -> String {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize().unwrap_or_default();
    let shown = |token: &Token| match token {
        Token::Word(word) => word.to_string(),
        Token::Whitespace(_) => " ".to_owned(),
        // Signs; all else that has a letter, a digit or a quote in it is a value.
        other => Some(other.to_string()).filter(|text| !text.contains(is_of_a_value)).unwrap_or_else(|| "?".into()),
    };
    tokens.iter().map(shown).collect()
}

fn is_of_a_value(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '\'' | '"' | '`' | '$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_left() {
        let sql =
            "select \"a b\", x'52', 5.2e3, E'529\\'', N'529', $1, $$529$$ -- 529\nfrom t where cpf = '529' and n<>-529";
        assert_eq!(without_values(sql), "select \"a b\", ?, ?, ?, ?, ?, ?  from t where cpf = ? and n<>-?");
        assert_eq!(without_values("select 'half"), "");
    }
}
