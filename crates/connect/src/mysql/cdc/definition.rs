//! What a statement that alters the table makes of its columns, as far as that is certain by the statement alone.

use super::written::{Drawn, Written, charset_of};
use crate::mysql::statement::{Names, Token, Tokens};
use crate::mysql::table::Kind;

/// Where a statement is run, and whose columns are asked for.
pub struct Scene<'s> {
    /// The session's database.
    pub session: &'s str,
    pub table: Names<'s>,
    pub is_mariadb: bool,
}

/// The columns behind `sql`; none where the statement does not tell them.
pub fn after(sql: &str, before: Option<&Written>, scene: &Scene<'_>) -> Option<Written> {
    let tokens: Vec<Token> = Tokens(sql.trim_end().trim_end_matches(';')).collect();
    if tokens.contains(&Token::Broken) {
        return None;
    }
    let mut rest = Rest(&tokens);
    if rest.takes("DROP") {
        return Some(Written::default());
    }
    let before = before?;
    if rest.takes("TRUNCATE") {
        return Some(before.clone());
    }
    if rest.takes("CREATE") {
        return create(rest, before, scene);
    }
    if !rest.takes("ALTER") {
        return None;
    }
    rest.takes("ONLINE");
    rest.takes("IGNORE");
    if !rest.takes("TABLE") {
        return Some(before.clone());
    }
    rest.take_all(&["IF", "EXISTS"]);
    if !rest.is_table(scene)? {
        return Some(before.clone());
    }
    if rest.takes("WAIT") {
        rest.word()?;
    }
    rest.takes("NOWAIT");
    let mut written = before.clone();
    for part in parts(rest.0) {
        alter(Rest(part), &mut written, scene)?;
    }
    Some(written)
}

/// What follows in a statement.
#[derive(Clone, Copy)]
struct Rest<'t>(&'t [Token]);

impl<'t> Rest<'t> {
    fn is(&self, word: &str) -> bool {
        matches!(self.0.first(), Some(Token::Word(own)) if own.eq_ignore_ascii_case(word))
    }

    fn is_one_of(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    fn takes(&mut self, word: &str) -> bool {
        let is = self.is(word);
        self.0 = &self.0[usize::from(is)..];
        is
    }

    /// Takes all of these words or none.
    fn take_all(&mut self, words: &[&str]) -> bool {
        let mut rest = *self;
        let all = words.iter().all(|word| rest.takes(word));
        if all {
            *self = rest;
        }
        all
    }

    fn sign(&mut self, sign: char) -> bool {
        let is = self.0.first() == Some(&Token::Sign(sign));
        self.0 = &self.0[usize::from(is)..];
        is
    }

    fn word(&mut self) -> Option<&'t str> {
        let Some(Token::Word(word)) = self.0.first() else { return None };
        self.0 = &self.0[1..];
        Some(word)
    }

    fn name(&mut self) -> Option<&'t str> {
        let (Token::Word(name) | Token::Name(name)) = self.0.first()? else { return None };
        self.0 = &self.0[1..];
        Some(name)
    }

    /// Takes a table's name, and says whether it is that of the table.
    fn is_table(&mut self, scene: &Scene<'_>) -> Option<bool> {
        let mut name = self.name()?;
        let mut database = scene.session;
        if self.sign('.') {
            (database, name) = (name, self.name()?);
        }
        Some(scene.table.is_table(database, name))
    }

    /// What stands in the parentheses that are next.
    fn inner(&mut self) -> Option<&'t [Token]> {
        let end = closing(self.0)?;
        let inner = &self.0[1..end];
        self.0 = &self.0[end + 1..];
        Some(inner)
    }
}

/// Where the parentheses end that a text begins with.
fn closing(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return (at > 0).then_some(at);
        }
    }
    None
}

/// Parts between commas that are in no parentheses.
fn parts(tokens: &[Token]) -> Vec<&[Token]> {
    let mut depth = 0_i64;
    let is_comma = |token: &Token| {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth -= 1,
            _ => {}
        }
        depth == 0 && *token == Token::Sign(',')
    };
    tokens.split(is_comma).collect()
}

/// Words that are in no parentheses.
fn words(tokens: &[Token]) -> Vec<String> {
    let mut depth = 0_i64;
    let mut found = Vec::new();
    for token in tokens {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth -= 1,
            Token::Word(word) if depth == 0 => found.push(word.to_uppercase()),
            _ => {}
        }
    }
    found
}

/// Begins of parts that say nothing of columns.
const OF_TABLES: &[&str] = &[
    "ALGORITHM",
    "ALTER",
    "ANALYZE",
    "AUTO_INCREMENT",
    "AVG_ROW_LENGTH",
    "CHARACTER",
    "CHARSET",
    "CHECK",
    "CHECKSUM",
    "COALESCE",
    "COLLATE",
    "COMMENT",
    "COMPRESSION",
    "CONNECTION",
    "DATA",
    "DEFAULT",
    "DELAY_KEY_WRITE",
    "DISABLE",
    "ENABLE",
    "ENCRYPTED",
    "ENCRYPTION",
    "ENGINE",
    "FORCE",
    "INDEX",
    "INSERT_METHOD",
    "KEY_BLOCK_SIZE",
    "LOCK",
    "MAX_ROWS",
    "MIN_ROWS",
    "OPTIMIZE",
    "ORDER",
    "PACK_KEYS",
    "PAGE_CHECKSUM",
    "PAGE_COMPRESSED",
    "PARTITION",
    "REBUILD",
    "REMOVE",
    "REORGANIZE",
    "REPAIR",
    "ROW_FORMAT",
    "STATS_AUTO_RECALC",
    "STATS_PERSISTENT",
    "STATS_SAMPLE_PAGES",
    "TABLESPACE",
];

const INDICES: [&str; 8] = ["INDEX", "KEY", "UNIQUE", "PRIMARY", "FOREIGN", "FULLTEXT", "SPATIAL", "CONSTRAINT"];

/// What one part of `ALTER TABLE` does.
fn alter(mut rest: Rest<'_>, written: &mut Written, scene: &Scene<'_>) -> Option<()> {
    if rest.takes("ADD") {
        return add(rest, written, scene);
    }
    if rest.takes("DROP") {
        return remove(rest, written);
    }
    let (modifies, changes) = (rest.is("MODIFY"), rest.is("CHANGE"));
    if modifies || changes {
        rest.word()?;
        rest.takes("COLUMN");
        let may_lack = rest.take_all(&["IF", "EXISTS"]);
        let old = rest.name()?;
        let name = if changes { rest.name()? } else { old };
        let Some(at) = written.place(old) else { return may_lack.then_some(()) };
        let (definition, place) = placed(rest.0)?;
        let column = column(name, definition, &written.charset, scene.is_mariadb)?;
        written.columns.remove(at);
        return put(written, column, place.unwrap_or(Place::At(at)));
    }
    if rest.takes("RENAME") {
        if rest.is_one_of(&["INDEX", "KEY"]) {
            return Some(());
        }
        if !rest.takes("COLUMN") {
            return None;
        }
        let may_lack = rest.take_all(&["IF", "EXISTS"]);
        let (old, _, new) = (rest.name()?, rest.takes("TO").then_some(())?, rest.name()?);
        let Some(at) = written.place(old) else { return may_lack.then_some(()) };
        let column = written.columns.remove(at);
        return put(written, Drawn { name: new.to_owned(), ..column }, Place::At(at));
    }
    if rest.takes("CONVERT") {
        let (_, charset) = (rest.takes("TO").then_some(())?, charset(rest.0)?);
        let of_text = written.columns.iter_mut().filter(|column| column.kind == Kind::Text);
        of_text.for_each(|column| column.charset.clone_from(&charset));
        written.charset = charset;
        return Some(());
    }
    if !rest.is_one_of(OF_TABLES) {
        return None;
    }
    if !rest.is("ALTER") && names_charset(rest.0) {
        written.charset = charset(rest.0)?;
    }
    Some(())
}

fn remove(mut rest: Rest<'_>, written: &mut Written) -> Option<()> {
    let is_column = rest.takes("COLUMN");
    if !is_column && (rest.is_one_of(&INDICES) || rest.is("CHECK")) {
        return Some(());
    }
    if !is_column && rest.is_one_of(&["PERIOD", "SYSTEM"]) {
        return None;
    }
    let may_lack = rest.take_all(&["IF", "EXISTS"]);
    let Some(at) = written.place(rest.name()?) else { return may_lack.then_some(()) };
    written.columns.remove(at);
    Some(())
}

fn add(mut rest: Rest<'_>, written: &mut Written, scene: &Scene<'_>) -> Option<()> {
    let is_column = rest.takes("COLUMN");
    let is_vector = rest.is("VECTOR") && Rest(&rest.0[1..]).is_one_of(&["INDEX", "KEY"]);
    if !is_column && (rest.is_one_of(&INDICES) || rest.is("CHECK") || rest.is("PARTITION") || is_vector) {
        return Some(());
    }
    if !is_column && rest.is_one_of(&["PERIOD", "SYSTEM"]) {
        return None;
    }
    let may_be = rest.take_all(&["IF", "NOT", "EXISTS"]);
    let all = if rest.0.first() == Some(&Token::Sign('(')) { parts(rest.inner()?) } else { vec![rest.0] };
    for part in all {
        let mut part = Rest(part);
        if !is_column && part.is_one_of(&INDICES) {
            continue;
        }
        let name = part.name()?;
        if may_be && written.place(name).is_some() {
            continue;
        }
        let (definition, place) = placed(part.0)?;
        let column = column(name, definition, &written.charset, scene.is_mariadb)?;
        put(written, column, place.unwrap_or(Place::At(written.columns.len())))?;
    }
    Some(())
}

enum Place<'t> {
    At(usize),
    After(&'t str),
}

/// A definition, and the place that stands behind it.
fn placed(tokens: &[Token]) -> Option<(&[Token], Option<Place<'_>>)> {
    let Some(last) = tokens.len().checked_sub(1) else { return Some((tokens, None)) };
    if Rest(&tokens[last..]).is("FIRST") {
        return Some((&tokens[..last], Some(Place::At(0))));
    }
    let Some(before) = last.checked_sub(1).filter(|before| Rest(&tokens[*before..]).is("AFTER")) else {
        return Some((tokens, None));
    };
    Some((&tokens[..before], Some(Place::After(Rest(&tokens[last..]).name()?))))
}

fn put(written: &mut Written, column: Drawn, place: Place<'_>) -> Option<()> {
    let at = match place {
        Place::At(at) => at,
        Place::After(name) => written.place(name)? + 1,
    };
    // Names that are swapped within one statement, for example.
    if written.place(&column.name).is_some() {
        return None;
    }
    written.columns.insert(at, column);
    Some(())
}

/// `CREATE …` behind its first word.
fn create(mut rest: Rest<'_>, before: &Written, scene: &Scene<'_>) -> Option<Written> {
    let replaces = rest.take_all(&["OR", "REPLACE"]);
    // An index, a view, a trigger: they name the table, and leave it as it is.
    if !rest.takes("TABLE") {
        return Some(before.clone());
    }
    let may_be = rest.take_all(&["IF", "NOT", "EXISTS"]);
    if !rest.is_table(scene)? || (may_be && !replaces && !before.columns.is_empty()) {
        return Some(before.clone());
    }
    let all = parts(rest.inner()?);
    let others = ["SELECT", "AS", "LIKE", "VALUES", "WITH", "TABLE"];
    if words(rest.0).iter().any(|word| others.contains(&word.as_str())) || words(all.first()?).first()? == "LIKE" {
        return None;
    }
    // Without one the table has that of its database, which the statement does not tell.
    let charset = if names_charset(rest.0) { charset(rest.0)? } else { String::new() };
    let mut written = Written { columns: Vec::new(), charset };
    for part in all {
        let mut part = Rest(part);
        if part.is_one_of(&INDICES) || part.is("CHECK") {
            continue;
        }
        if part.is("PERIOD") {
            return None;
        }
        let column = column(part.name()?, part.0, &written.charset, scene.is_mariadb)?;
        written.columns.push(column);
    }
    (!written.columns.is_empty()).then_some(written)
}

fn names_charset(tokens: &[Token]) -> bool {
    words(tokens).iter().any(|word| ["CHARSET", "CHARACTER", "COLLATE"].contains(&word.as_str()))
}

/// The character set that is named; empty where only a collation is, of several.
fn charset(tokens: &[Token]) -> Option<String> {
    let text = |at: usize| {
        let at = if tokens.get(at) == Some(&Token::Sign('=')) { at + 1 } else { at };
        let (Token::Word(name) | Token::Name(name) | Token::Text(name)) = tokens.get(at)? else { return None };
        Some(name.to_lowercase())
    };
    let at = |word: &str| (0..tokens.len()).find(|at| Rest(&tokens[*at..]).is(word));
    let named = match (at("CHARSET"), at("CHARACTER"), at("COLLATE")) {
        (Some(at), ..) => text(at + 1)?,
        (None, Some(at), _) => Rest(&tokens[at + 1..]).is("SET").then(|| text(at + 2))??,
        (None, None, Some(at)) => charset_of(&text(at + 1)?),
        (None, None, None) => return None,
    };
    (!["binary", "default"].contains(&named.as_str())).then_some(named)
}

/// A column by its definition.
fn column(name: &str, definition: &[Token], default: &str, is_mariadb: bool) -> Option<Drawn> {
    let mut rest = Rest(definition);
    let kind = rest.word()?.to_uppercase();
    let arguments = if rest.0.first() == Some(&Token::Sign('(')) { rest.inner()? } else { &[] };
    // What follows belongs to another table.
    let end = (0..rest.0.len()).find(|at| Rest(&rest.0[*at..]).is("REFERENCES")).unwrap_or(rest.0.len());
    let own = &rest.0[..end];
    let words = words(own);
    let has = |word: &str| words.iter().any(|own| own == word);
    let number = || match arguments {
        [Token::Word(number)] => number.parse::<usize>().ok(),
        [] => Some(1),
        _ => None,
    };
    let is_bytes = has("BYTE");
    let drawn = kind_of(&kind, is_mariadb, is_bytes, number)?;
    // `CHARACTER VARYING`, and rows that carry their own history.
    if has("VARYING") || has("ROW") {
        return None;
    }
    let charset = match drawn {
        Kind::Text if kind == "JSON" => "utf8mb4".to_owned(),
        Kind::Text if has("ASCII") => "latin1".to_owned(),
        Kind::Text if has("UNICODE") => "ucs2".to_owned(),
        Kind::Text if names_charset(own) => charset(own)?,
        Kind::Text => default.to_owned(),
        _ => String::new(),
    };
    let computed = has("AS") && !has("STORED") && !has("PERSISTENT");
    Some(Drawn {
        name: name.to_owned(),
        kind: drawn,
        unsigned: drawn == Kind::Int && (has("UNSIGNED") || has("ZEROFILL") || kind == "SERIAL"),
        octets: match kind.as_str() {
            "BINARY" => number()?,
            "CHAR" if is_bytes => number()?,
            "INET4" => 4,
            "INET6" | "UUID" => 16,
            _ => 0,
        },
        charset,
        labels: if matches!(drawn, Kind::Enum | Kind::Set) { labels(arguments)? } else { Vec::new() },
        is_virtual: computed,
    })
}

fn kind_of(word: &str, is_mariadb: bool, is_bytes: bool, number: impl Fn() -> Option<usize>) -> Option<Kind> {
    Some(match word {
        "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "INTEGER" | "BIGINT" | "BOOL" | "BOOLEAN" | "SERIAL" => {
            Kind::Int
        }
        // With two numbers they are digits, and it is a short one.
        "FLOAT" if number().is_some_and(|bits| bits > 24) => Kind::Double,
        "FLOAT" => Kind::Float,
        "DOUBLE" => Kind::Double,
        "DECIMAL" | "DEC" | "NUMERIC" | "FIXED" => Kind::Decimal,
        "JSON" if !is_mariadb => Kind::Json,
        "BIT" => Kind::Bit(number()?.try_into().ok()?),
        "DATE" => Kind::Date,
        "DATETIME" => Kind::DateTime,
        "TIMESTAMP" => Kind::Timestamp,
        "TIME" => Kind::Time,
        "YEAR" => Kind::Year,
        "ENUM" => Kind::Enum,
        "SET" => Kind::Set,
        "UUID" if is_mariadb => Kind::Uuid,
        "INET4" | "INET6" if is_mariadb => Kind::Inet,
        "BINARY" | "VARBINARY" | "TINYBLOB" | "BLOB" | "MEDIUMBLOB" | "LONGBLOB" => Kind::Bytes,
        "GEOMETRY" | "POINT" | "LINESTRING" | "POLYGON" => Kind::Bytes,
        "CHAR" | "VARCHAR" | "TINYTEXT" | "TEXT" | "MEDIUMTEXT" | "LONGTEXT" if is_bytes => Kind::Bytes,
        "CHAR" | "VARCHAR" | "TINYTEXT" | "TEXT" | "MEDIUMTEXT" | "LONGTEXT" | "JSON" => Kind::Text,
        _ => return None,
    })
}

/// The words of `enum('a','b')`, which the server keeps without blanks at their end.
fn labels(arguments: &[Token]) -> Option<Vec<Option<String>>> {
    let word = |part: &[Token]| match part {
        [Token::Text(word)] if !word.contains('\\') => Some(Some(word.trim_end_matches(' ').to_owned())),
        _ => None,
    };
    parts(arguments).into_iter().map(word).collect()
}

#[cfg(test)]
mod tests;
