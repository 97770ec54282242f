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
    /// Some rows are gone, and the log does not say which.
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

/// What `sql`, run in `database`, does to the table `of.name`.
pub fn does(sql: &str, database: &str, (of, name): (&str, &str)) -> Does {
    let words = words(sql);
    let word = |at: usize| words.get(at).map(|word| word.text.to_uppercase()).unwrap_or_default();
    let is_ours = || mentions(&words, database, (of, name));
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
        ("DROP", "DATABASE" | "SCHEMA") if words.iter().any(|word| word.text.eq_ignore_ascii_case(of)) => Does::Empty,
        ("CREATE", "OR") if word(2) == "REPLACE" && (word(3) == "TABLE" || word(4) == "TABLE") => ours(Does::Empty),
        ("RENAME", "TABLE" | "TABLES") => ours(Does::Rename),
        ("ALTER", _) if renames(&words, database, (of, name)) => Does::Rename,
        ("ALTER", _) if is_ours() && loses_partition(&words) => Does::LoseSome,
        ("ALTER" | "RENAME" | "CREATE", _) => ours(Does::Alter),
        ("INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "LOAD" | "WITH", _) if is_ours() => Does::Write,
        _ => Does::Nothing,
    }
}

/// Whether an `ALTER TABLE … RENAME [TO | AS] …` moves the table's name: away from it, or to it from another one.
fn renames(words: &[Word], database: &str, table: (&str, &str)) -> bool {
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

fn loses_partition(words: &[Word]) -> bool {
    let loses = |pair: &[Word]| {
        let verb = ["DROP", "TRUNCATE", "EXCHANGE"].iter().any(|verb| pair[0].is(verb));
        verb && pair[1].is("PARTITION")
    };
    words.windows(2).any(loses)
}

/// Whether the table is named, with its database or in it.
fn mentions(words: &[Word], database: &str, table: (&str, &str)) -> bool {
    // What stands before a point is a database, or named once more.
    let is_last = |at: &usize| !words.get(at + 1).is_some_and(|word| word.is("."));
    (0..words.len()).filter(is_last).any(|at| is_named(words, at, database, table))
}

/// Whether the word is the table's name.
fn is_named(words: &[Word], at: usize, database: &str, (of, name): (&str, &str)) -> bool {
    let Some(own) = words.get(at) else { return false };
    if own.text != name && (own.quoted || !own.text.eq_ignore_ascii_case(name)) {
        return false;
    }
    match (at.checked_sub(2).map(|before| &words[before]), at.checked_sub(1).map(|before| &words[before])) {
        (Some(schema), Some(dot)) if dot.is(".") => schema.text.eq_ignore_ascii_case(of),
        _ => database.eq_ignore_ascii_case(of),
    }
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
    let mut found: Vec<Word> = Vec::new();
    let mut rest = sql;
    while let Some(sign) = rest.chars().next() {
        if found.len() == WORDS_MAX {
            break;
        }
        let after = &rest[sign.len_utf8()..];
        rest = match sign {
            // What only some servers run is run by the one that wrote it.
            '/' if after.starts_with("*!") || after.starts_with("*M!") => {
                after[after.find('!').map_or(0, |at| at + 1)..].trim_start_matches(|c: char| c.is_ascii_digit())
            }
            '/' if after.starts_with('*') => after.find("*/").map_or("", |at| &after[at + 2..]),
            '*' if after.starts_with('/') => &after[1..],
            '#' => after.find('\n').map_or("", |at| &after[at..]),
            '-' if after.starts_with("- ") || after.starts_with("-\n") => {
                after.find('\n').map_or("", |at| &after[at..])
            }
            '\'' => past_string(after, '\''),
            '"' | '`' => {
                let past = past_string(after, sign);
                let inner = &after[..after.len() - past.len()];
                let inner = inner.strip_suffix(sign).unwrap_or(inner);
                found.push(Word { text: inner.replace(&format!("{sign}{sign}"), &sign.to_string()), quoted: true });
                past
            }
            '.' => {
                found.push(Word { text: ".".into(), quoted: false });
                after
            }
            sign if is_name(sign) => {
                let end = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
                found.push(Word { text: rest[..end].to_owned(), quoted: false });
                &rest[end..]
            }
            _ => after,
        };
    }
    found
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

    fn ours(sql: &str) -> Does {
        does(sql, "shop", ("shop", "orders"))
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
        assert_eq!(does("TRUNCATE orders", "other", ("shop", "orders")), Does::AlterOther);
        assert_eq!(ours("TRUNCATE \"orders\""), Does::Empty);
        assert_eq!(
            words("'it''s' \\ `a``b` x"),
            [Word { text: "a`b".into(), quoted: true }, Word { text: "x".into(), quoted: false }]
        );
    }
}
