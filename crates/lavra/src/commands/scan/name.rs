//! Which files are one table: their names without numbers, dates and endings.

/// What a file's place says of the table it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName {
    pub table: String,
    /// The folder, with its `/` at the end; empty for the one that places are relative to.
    pub folder: String,
    /// The name with `*` for what changes from file to file.
    pub pattern: String,
}

/// Endings of formats and compressions.
const ENDINGS: [&str; 26] = [
    "csv", "tsv", "psv", "txt", "tbl", "ndjson", "jsonl", "json", "parquet", "pq", "parq", "avro", "arrow", "arrows",
    "feather", "ipc", "gz", "gzip", "zst", "zstd", "snappy", "lz4", "zlib", "deflate", "dat", "data",
];
/// Words that stand before a number and say nothing without it.
const COUNTERS: [&str; 7] = ["part", "parte", "chunk", "batch", "shard", "page", "file"];

/// Reads a path or a URL.
pub fn read(place: &str) -> FileName {
    let (folder, name) = place.rsplit_once('/').map_or(("", place), |(folder, name)| (folder, name));
    let stem = stem(name);
    let tokens = tokens(stem);
    let words: Vec<String> = tokens.iter().filter(|token| token.is_kept).map(|token| snake(token.text(stem))).collect();
    let table = if words.is_empty() { of_folders(folder) } else { words.join("_") };
    let folder = if place.contains('/') { format!("{folder}/") } else { String::new() };
    FileName { table: identifier(table), folder, pattern: pattern(stem, &tokens) + &escape(&name[stem.len()..]) }
}

/// A path as a pattern that matches it alone.
pub fn escape(path: &str) -> String {
    path.chars().fold(String::new(), |out, c| {
        if "*?[]".contains(c) { out + "[" + &c.to_string() + "]" } else { out + &c.to_string() }
    })
}

/// The name of the nearest folder that has words in it: `payments/2026/07/01.csv` are payments.
fn of_folders(folder: &str) -> String {
    let mut above = folder.rsplit('/').filter(|name| !name.contains(['=', ':']));
    let words = above.find_map(|name| {
        let kept: Vec<String> =
            tokens(name).iter().filter(|token| token.is_kept).map(|token| snake(token.text(name))).collect();
        (!kept.is_empty()).then(|| kept.join("_"))
    });
    words.unwrap_or_else(|| "table".to_owned())
}

fn stem(name: &str) -> &str {
    let mut stem = name;
    while let Some((rest, ending)) = stem.rsplit_once('.') {
        if rest.is_empty() || !ENDINGS.contains(&ending.to_ascii_lowercase().as_str()) {
            break;
        }
        stem = rest;
    }
    stem
}

/// A run of letters and digits.
struct Token {
    start: usize,
    end: usize,
    /// Whether it is a part of the table's name.
    is_kept: bool,
}

impl Token {
    fn text<'a>(&self, stem: &'a str) -> &'a str {
        &stem[self.start..self.end]
    }
}

fn tokens(stem: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut start = None;
    for (at, c) in stem.char_indices().chain([(stem.len(), ' ')]) {
        match (c.is_alphanumeric(), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                tokens.push(Token { start: from, end: at, is_kept: !is_number(&stem[from..at]) });
                start = None;
            }
            _ => {}
        }
    }
    drop_uuids(stem, &mut tokens);
    for place in 1..tokens.len() {
        let word = tokens[place - 1].text(stem).to_ascii_lowercase();
        if !tokens[place].is_kept && COUNTERS.contains(&word.as_str()) {
            tokens[place - 1].is_kept = false;
        }
    }
    split_digits(stem, &mut tokens);
    tokens
}

/// Numbers, dates, versions, quarters, weeks and hashes.
fn is_number(token: &str) -> bool {
    let lower = token.to_ascii_lowercase();
    let digits = lower.bytes().filter(u8::is_ascii_digit).count();
    let starts_with_digit = lower.starts_with(|c: char| c.is_ascii_digit());
    let is_hash = digits > 0 && lower.len() >= 8 && lower.bytes().all(|c| c.is_ascii_hexdigit());
    // 20260701t120000z
    let is_moment = digits >= 6
        && starts_with_digit
        && lower.trim_matches(|c: char| c.is_ascii_digit() || matches!(c, 't' | 'z')).is_empty();
    // v2, q3, w12, c000; 2026q3, 2026w12
    let is_counted = match lower.split_once(['v', 'q', 'w', 'c', 's']) {
        Some((year, rest)) => {
            let is_period = year.len() == 4 || year.is_empty() && !lower.starts_with('s');
            is_period && [year, rest].iter().all(|part| part.bytes().all(|c| c.is_ascii_digit())) && !rest.is_empty()
        }
        None => false,
    };
    digits > 0 && digits == lower.len() || is_hash || is_moment || is_counted
}

/// `8-4-4-4-12` hexadecimal digits, some parts of which may be without a digit.
fn drop_uuids(stem: &str, tokens: &mut [Token]) {
    for at in 0..tokens.len().saturating_sub(4) {
        let is_part = |(token, length): (&Token, usize)| {
            let text = token.text(stem);
            text.len() == length && text.bytes().all(|c| c.is_ascii_hexdigit())
        };
        if tokens[at..at + 5].iter().zip([8, 4, 4, 4, 12]).all(is_part) {
            tokens[at..at + 5].iter_mut().for_each(|token| token.is_kept = false);
        }
    }
}

/// Digits at the end of the last word, and a date at the start of the first: `customers2`, `202607payments`.
fn split_digits(stem: &str, tokens: &mut Vec<Token>) {
    if let Some(place) = tokens.iter().rposition(|token| token.is_kept) {
        let (start, end) = (tokens[place].start, tokens[place].end);
        let word = stem[start..end].trim_end_matches(|c: char| c.is_ascii_digit());
        if word.len() < end - start && word.chars().filter(|c| c.is_alphabetic()).count() > 1 {
            tokens[place].end = start + word.len();
            tokens.insert(place + 1, Token { start: start + word.len(), end, is_kept: false });
        }
    }
    if let Some(place) = tokens.iter().position(|token| token.is_kept) {
        let (start, end) = (tokens[place].start, tokens[place].end);
        let digits = stem[start..end].bytes().take_while(u8::is_ascii_digit).count();
        if digits >= 4 {
            tokens[place].start += digits;
            tokens.insert(place, Token { start, end: start + digits, is_kept: false });
        }
    }
}

fn pattern(stem: &str, tokens: &[Token]) -> String {
    let (mut out, mut at, mut place) = (String::new(), 0, 0);
    while let Some(token) = tokens.get(place) {
        let run = tokens[place..].iter().take_while(|token| !token.is_kept).count();
        if run == 0 {
            out += &escape(&stem[at..token.end]);
            at = token.end;
            place += 1;
            continue;
        }
        out += &escape(&stem[at..token.start]);
        out.push('*');
        at = tokens[place + run - 1].end;
        place += run;
    }
    out + &escape(&stem[at..])
}

/// `OrderItems` as `order_items`, without accents.
pub fn snake(word: &str) -> String {
    let mut out = String::new();
    let mut before_is_lower = false;
    for c in word.chars() {
        if c.is_uppercase() && before_is_lower {
            out.push('_');
        }
        before_is_lower = c.is_lowercase() || c.is_ascii_digit();
        for lower in c.to_lowercase() {
            match plain(lower) {
                Some(letter) => out.push(letter),
                None => out += &format!("u{:x}", u32::from(lower)),
            }
        }
    }
    out
}

/// The letter without its accent; `None` where there is no such letter.
fn plain(c: char) -> Option<char> {
    Some(match c {
        'a'..='z' | '0'..='9' | '_' => c,
        'à'..='å' => 'a',
        'ç' => 'c',
        'è'..='ë' => 'e',
        'ì'..='ï' => 'i',
        'ñ' => 'n',
        'ò'..='ö' | 'ø' => 'o',
        'ù'..='ü' => 'u',
        'ý' | 'ÿ' => 'y',
        _ => return None,
    })
}

/// The name of a table starts with a letter.
fn identifier(name: String) -> String {
    if name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name
    } else {
        format!("t_{}", name.trim_start_matches('_'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(place: &str) -> (String, String) {
        let name = read(place);
        (name.table, name.folder + &name.pattern)
    }

    #[test]
    fn numbers_and_dates_do_not_name_a_table() {
        for (place, table, path) in [
            ("data/payments-2026-07.csv.gz", "payments", "data/payments-*.csv.gz"),
            ("data/payments-2026-08.csv.gz", "payments", "data/payments-*.csv.gz"),
            ("customers.csv", "customers", "customers.csv"),
            ("/var/in/card_payments_20260701T120000Z.parquet", "card_payments", "/var/in/card_payments_*.parquet"),
            ("2026-07-orders-v2.json", "orders", "*-orders-*.json"),
            ("customers1.csv", "customers", "customers*.csv"),
            ("202607payments.csv", "payments", "*payments.csv"),
            ("orders_2026q3.ndjson.zst", "orders", "orders_*.ndjson.zst"),
            ("orders-part-0001.csv", "orders", "orders-*.csv"),
            (
                "s3://lake/orders/part-00000-3f2504e0-4f89-41d3-9a0c-0305e82c3301.c000.snappy.parquet",
                "orders",
                "s3://lake/orders/*.snappy.parquet",
            ),
            ("orders-beefcafe-dead-beef-cafe-facefeedbeef.csv", "orders", "orders-*.csv"),
            ("s3_logs.csv", "s3_logs", "s3_logs.csv"),
            ("b2b.csv", "b2b", "b2b.csv"),
            ("2026_report [final].csv", "report_final", "*_report [[]final[]].csv"),
        ] {
            assert_eq!(named(place), (table.to_owned(), path.to_owned()), "{place}");
        }
    }

    #[test]
    fn a_file_that_is_only_a_number_has_its_folders_name() {
        assert_eq!(named("data/payments/2026/07/01.csv").0, "payments");
        assert_eq!(named("sales/dt=2026-07-01/part-0.parquet").0, "sales");
        assert_eq!(named("2026-07.csv"), ("table".to_owned(), "*.csv".to_owned()));
    }

    #[test]
    fn a_tables_name_is_an_identifier() {
        assert_eq!(named("Transações Débito.csv").0, "transacoes_debito");
        assert_eq!(named("OrderItems.CSV").0, "order_items");
        assert_eq!(named("3d models.csv").0, "t_3d_models");
        assert_ne!(named("支付.csv").0, named("客户.csv").0);
        for place in ["支付.csv", "_x.csv", "É.csv", "--.csv", ".csv", "a__b.csv"] {
            assert!(kernel::TableName::new("bronze", &read(place).table).is_ok(), "{place}: {:?}", read(place));
        }
    }
}
