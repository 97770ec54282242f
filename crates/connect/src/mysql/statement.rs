//! What a statement in the log does to the table. Rows come as rows; of statements only those matter that change many
//! rows at once, or the table itself.

/// What a statement does to one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Does {
    Begin,
    Commit,
    Rollback,
    /// What comes now may be taken back, by this name.
    Save(String),
    RollbackTo(String),
    /// The table has another name now, or another one has its.
    Rename,
    /// All rows are gone.
    Empty,
    /// Some rows are gone or came, and the log does not say which.
    LoseSome,
    /// Its columns may be others, or the values of all its rows.
    Alter,
    /// It changes rows, as a statement: which, only the server knows.
    Write,
    /// A transaction of two phases, which is not yet sure to be kept.
    Xa,
    /// A table, but not ours.
    AlterOther,
    Nothing,
}

/// A table's names, and how its server compares names.
#[derive(Debug, Clone, Copy)]
pub struct Names<'t> {
    pub database: &'t str,
    pub name: &'t str,
    /// Names that differ in case only are of different tables (`lower_case_table_names = 0`).
    pub has_case: bool,
}

impl Names<'_> {
    fn same(&self, one: &str, other: &str) -> bool {
        one == other || !self.has_case && one.to_lowercase() == other.to_lowercase()
    }

    pub fn is_database(&self, database: &str) -> bool {
        self.same(self.database, database)
    }

    pub fn is_table(&self, database: &str, name: &str) -> bool {
        self.is_database(database) && self.same(self.name, name)
    }
}

/// What `sql`, run in `database`, does to the table.
pub fn does(sql: &str, database: &str, table: Names<'_>) -> Does {
    let words = words(sql);
    let word = |at: usize| words.get(at).map(|word| word.text.to_uppercase()).unwrap_or_default();
    let is_ours = || mentions(&words, database, table);
    let ours = |does: Does| if is_ours() { does } else { Does::AlterOther };
    match (word(0).as_str(), word(1).as_str()) {
        ("BEGIN", _) | ("START", "TRANSACTION") => Does::Begin,
        ("COMMIT", _) => Does::Commit,
        ("SAVEPOINT", _) => Does::Save(words.get(1).map(|word| word.text.clone()).unwrap_or_default()),
        ("ROLLBACK", "TO" | "WORK") if words.iter().any(|word| word.is("TO")) => {
            Does::RollbackTo(words.last().map(|word| word.text.clone()).unwrap_or_default())
        }
        ("ROLLBACK", _) => Does::Rollback,
        ("XA", _) => Does::Xa,
        ("TRUNCATE", _) => ours(Does::Empty),
        ("DROP", "TABLE") => ours(Does::Empty),
        ("DROP", "DATABASE" | "SCHEMA") if words.iter().any(|word| table.is_database(&word.text)) => Does::Empty,
        ("CREATE", "OR") if word(2) == "REPLACE" && (word(3) == "TABLE" || word(4) == "TABLE") => ours(Does::Empty),
        ("RENAME", "TABLE" | "TABLES") => ours(Does::Rename),
        ("ALTER", _) if renames(&words, database, table) => Does::Rename,
        ("ALTER", _) if is_ours() && loses_partition(&words) => Does::LoseSome,
        ("ALTER" | "RENAME" | "CREATE", _) => ours(Does::Alter),
        ("INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "LOAD" | "WITH", _) if is_ours() => Does::Write,
        _ => Does::Nothing,
    }
}

/// Whether an `ALTER TABLE … RENAME [TO | AS] …` moves the table's name: away from it, or to it from another one.
fn renames(words: &[Word], database: &str, table: Names<'_>) -> bool {
    let next = |from: usize, skipped: &[&str]| {
        let rest = words.get(from..).unwrap_or_default().iter();
        from + rest.take_while(|word| skipped.iter().any(|skipped| word.is(skipped))).count()
    };
    let is_ours = |at: usize| {
        let dot = words.get(at + 1).is_some_and(|word| word.is("."));
        is_named(words, if dot { at + 2 } else { at }, database, table)
    };
    let Some(first) = words.iter().position(|word| word.is("TABLE")) else { return false };
    let of_table =
        |at: &usize| !["COLUMN", "INDEX", "KEY"].iter().any(|kind| words.get(at + 1).is_some_and(|word| word.is(kind)));
    let renames = (first..words.len()).filter(|at| words[*at].is("RENAME")).find(of_table);
    renames.is_some_and(|at| is_ours(next(first + 1, &["IF", "EXISTS"])) || is_ours(next(at + 1, &["TO", "AS"])))
}

/// Whether rows come or go with a partition, or with a file that is put in the place of theirs.
fn loses_partition(words: &[Word]) -> bool {
    let loses = |pair: &[Word]| {
        let verb = ["DROP", "TRUNCATE", "EXCHANGE", "CONVERT"].iter().any(|verb| pair[0].is(verb));
        let files = ["DISCARD", "IMPORT"].iter().any(|verb| pair[0].is(verb));
        verb && pair[1].is("PARTITION")
            || pair[0].is("CONVERT") && pair[1].is("TABLE")
            || files && ["PARTITION", "TABLESPACE"].iter().any(|what| pair[1].is(what))
    };
    words.windows(2).any(loses)
}

/// Whether the table is named, with its database or in it.
fn mentions(words: &[Word], database: &str, table: Names<'_>) -> bool {
    // What stands before a point is a database, or named once more.
    let is_last = |at: &usize| !words.get(at + 1).is_some_and(|word| word.is("."));
    (0..words.len()).filter(is_last).any(|at| is_named(words, at, database, table))
}

/// Whether the word is the table's name.
fn is_named(words: &[Word], at: usize, database: &str, table: Names<'_>) -> bool {
    let Some(own) = words.get(at) else { return false };
    let database =
        match (at.checked_sub(2).map(|before| &words[before]), at.checked_sub(1).map(|before| &words[before])) {
            (Some(schema), Some(dot)) if dot.is(".") => &schema.text,
            _ => database,
        };
    table.is_table(database, &own.text)
}

#[derive(Debug, PartialEq)]
struct Word {
    text: String,
    quoted: bool,
}

impl Word {
    /// Whether it is this word of the language, and no name.
    fn is(&self, word: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(word)
    }
}

/// Names, words and points; comments and strings are left out. More than a statement's head and names is not needed.
fn words(sql: &str) -> Vec<Word> {
    const WORDS_MAX: usize = 2000;
    let word = |token| match token {
        Token::Word(text) => Some(Word { text, quoted: false }),
        Token::Name(text) => Some(Word { text, quoted: true }),
        Token::Sign('.') => Some(Word { text: ".".into(), quoted: false }),
        Token::Text(_) | Token::Sign(_) | Token::Broken => None,
    };
    Tokens(sql).filter_map(word).take(WORDS_MAX).collect()
}

/// A part of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// A word of the language, a name without quotes, or a number.
    Word(String),
    /// In backquotes or double quotes.
    Name(String),
    /// A string, with its `\` as they were written.
    Text(String),
    Sign(char),
    /// A string or name without an end.
    Broken,
}

/// The parts of a statement one after another; comments are left out.
pub struct Tokens<'s>(pub &'s str);

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let rest = self.0;
            let sign = rest.chars().next()?;
            let after = &rest[sign.len_utf8()..];
            let to_line_end = |text: &'_ str| text.find('\n').unwrap_or(text.len());
            self.0 = after;
            match sign {
                // What only some servers run is run by the one that wrote it.
                '/' if after.starts_with("*!") || after.starts_with("*M!") => {
                    let inner = &after[after.find('!').map_or(0, |at| at + 1)..];
                    self.0 = inner.trim_start_matches(|c: char| c.is_ascii_digit());
                }
                '/' if after.starts_with('*') => self.0 = after.find("*/").map_or("", |at| &after[at + 2..]),
                '*' if after.starts_with('/') => self.0 = &after[1..],
                '#' => self.0 = &after[to_line_end(after)..],
                '-' if after.starts_with("- ") || after.starts_with("-\n") => self.0 = &after[to_line_end(after)..],
                '\'' | '"' | '`' => {
                    self.0 = past_string(after, sign);
                    let inner = &after[..after.len() - self.0.len()];
                    let Some(inner) = inner.strip_suffix(sign) else { return Some(Token::Broken) };
                    let inner = inner.replace(&format!("{sign}{sign}"), &sign.to_string());
                    return Some(if sign == '\'' { Token::Text(inner) } else { Token::Name(inner) });
                }
                sign if is_name(sign) => {
                    let end = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
                    self.0 = &rest[end..];
                    return Some(Token::Word(rest[..end].to_owned()));
                }
                sign if sign.is_whitespace() => {}
                sign => return Some(Token::Sign(sign)),
            }
        }
    }
}

fn is_name(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_' || sign == '$'
}

/// What follows a string that has begun; a quote in it is doubled or has a `\` before it.
fn past_string(text: &str, quote: char) -> &str {
    let mut signs = text.char_indices().peekable();
    while let Some((at, sign)) = signs.next() {
        if sign == '\\' && quote != '`' {
            signs.next();
        } else if sign == quote {
            if signs.peek().is_some_and(|(_, next)| *next == quote) {
                signs.next();
            } else {
                return &text[at + quote.len_utf8()..];
            }
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: Names<'_> = Names { database: "shop", name: "orders", has_case: false };

    fn ours(sql: &str) -> Does {
        does(sql, "shop", ORDERS)
    }

    #[test]
    fn where_names_have_a_case_another_one_is_another_table() {
        let here = Names { has_case: true, ..ORDERS };
        for (sql, with_case, without) in [
            ("TRUNCATE orders", Does::Empty, Does::Empty),
            ("TRUNCATE Orders", Does::AlterOther, Does::Empty),
            ("TRUNCATE `Orders`", Does::AlterOther, Does::Empty),
            ("DROP TABLE Shop.orders", Does::AlterOther, Does::Empty),
            ("DROP DATABASE SHOP", Does::Nothing, Does::Empty),
            ("RENAME TABLE Orders TO a", Does::AlterOther, Does::Rename),
        ] {
            assert_eq!((does(sql, "shop", here), ours(sql)), (with_case, without), "{sql}");
        }
    }

    #[test]
    fn statements_are_told_by_what_they_do_to_the_table() {
        for (sql, expected) in [
            ("BEGIN", Does::Begin),
            ("COMMIT", Does::Commit),
            ("ROLLBACK", Does::Rollback),
            ("ROLLBACK TO `x y`", Does::RollbackTo("x y".into())),
            ("rollback work to savepoint `to`", Does::RollbackTo("to".into())),
            ("SAVEPOINT `x y`", Does::Save("x y".into())),
            ("truncate table orders", Does::Empty),
            ("TRUNCATE `shop`.`orders`", Does::Empty),
            ("TRUNCATE `other`.`orders`", Does::AlterOther),
            ("/* app */ TRUNCATE /*!50000 TABLE */ orders -- all", Does::Empty),
            ("DROP TABLE IF EXISTS `a`,`orders` /* generated by server */", Does::Empty),
            ("DROP TABLE `orders_old`", Does::AlterOther),
            ("DROP DATABASE shop", Does::Empty),
            ("CREATE OR REPLACE TABLE orders (a int)", Does::Empty),
            ("CREATE TABLE orders (a int)", Does::Alter),
            ("ALTER TABLE orders ADD COLUMN note text default 'a `b`'", Does::Alter),
            ("ALTER TABLE orders DROP PARTITION p1", Does::LoseSome),
            ("alter table shop . orders truncate partition p1", Does::LoseSome),
            ("ALTER TABLE orders CONVERT PARTITION p1 TO TABLE b", Does::LoseSome),
            ("ALTER TABLE orders CONVERT TABLE b TO PARTITION p1 VALUES LESS THAN (9)", Does::LoseSome),
            ("ALTER TABLE a CONVERT PARTITION p1 TO TABLE orders", Does::LoseSome),
            ("ALTER TABLE orders DISCARD TABLESPACE", Does::LoseSome),
            ("ALTER TABLE orders IMPORT TABLESPACE", Does::LoseSome),
            ("ALTER TABLE orders IMPORT PARTITION p1 TABLESPACE", Does::LoseSome),
            ("ALTER TABLE orders CONVERT TO CHARACTER SET utf8mb4", Does::Alter),
            ("RENAME TABLE orders TO _orders_old, _orders_new TO orders", Does::Rename),
            ("rename tables if exists `shop`.`orders` wait 3 to `orders_old`", Does::Rename),
            ("RENAME TABLE other.orders NOWAIT TO shop . orders", Does::Rename),
            ("RENAME TABLE other.orders TO other.orders_old, a TO b", Does::AlterOther),
            ("RENAME TABLE orders.a TO orders.b", Does::AlterOther),
            ("RENAME USER a TO b", Does::AlterOther),
            ("ALTER TABLE orders RENAME TO b", Does::Rename),
            ("alter online table if exists `shop`.`orders` add a int, rename as other.b", Does::Rename),
            ("ALTER TABLE a RENAME orders, ADD b INT", Does::Rename),
            ("ALTER TABLE a RENAME = shop.orders", Does::Rename),
            ("ALTER TABLE a RENAME TO b, ADD FOREIGN KEY (c) REFERENCES orders (id)", Does::Alter),
            ("ALTER TABLE orders RENAME COLUMN a TO b, RENAME INDEX c TO d, RENAME KEY e TO f", Does::Alter),
            ("ALTER TABLE orders RENAME COLUMN a TO b, RENAME TO c", Does::Rename),
            ("ALTER TABLE orders CHANGE `rename` b INT", Does::Alter),
            ("INSERT INTO orders SELECT 1", Does::Write),
            ("INSERT INTO log VALUES ('orders')", Does::Nothing),
            ("UPDATE shop.Orders SET a = 1", Does::Write),
            ("XA START X'1'", Does::Xa),
            ("GRANT SELECT ON orders TO a", Does::Nothing),
            ("", Does::Nothing),
        ] {
            assert_eq!(ours(sql), expected, "{sql}");
        }
        assert_eq!(does("TRUNCATE orders", "other", ORDERS), Does::AlterOther);
        assert_eq!(ours("TRUNCATE \"orders\""), Does::Empty);
        assert_eq!(
            words("'it''s' \\ `a``b` x"),
            [Word { text: "a`b".into(), quoted: true }, Word { text: "x".into(), quoted: false }]
        );
    }
}
