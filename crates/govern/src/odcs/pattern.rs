//! Patterns of dates: ODCS writes them as the JDK's DateTimeFormatter does (`dd/MM/yyyy`), the gate as strftime (`%d/%m/%Y`).

/// One step of a pattern.
enum Part<'a> {
    /// A letter, and how often it stands there.
    Letter(char, usize),
    Text(&'a str),
}

/// A JDK pattern as strftime. The error says which letter can't be had.
pub(super) fn from_jdk(pattern: &str) -> Result<String, String> {
    if pattern.match_indices('%').any(|(at, _)| pattern[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic())) {
        return Err(format!("`{pattern}` is written as strftime"));
    }
    let mut out = String::new();
    for part in parts(pattern)? {
        match part {
            Part::Text(text) => out.push_str(&text.replace('%', "%%")),
            Part::Letter('S', digits) => fraction(&mut out, digits)?,
            Part::Letter(letter, count) => match LETTERS.iter().find(|(l, n, _)| *l == letter && *n == count) {
                Some((_, _, specifier)) => out.push_str(specifier),
                None => return Err(format!("`{}` can't be read in a date", letter.to_string().repeat(count))),
            },
        }
    }
    Ok(out)
}

/// chrono reads 3, 6 or 9 digits, and behind a point any number of them.
fn fraction(out: &mut String, digits: usize) -> Result<(), String> {
    let point = out.ends_with('.');
    if point {
        out.pop();
    }
    match (point, digits) {
        (true, 3 | 6 | 9) => out.push_str(&format!("%.{digits}f")),
        (true, _) => out.push_str("%.f"),
        (false, 3 | 6 | 9) => out.push_str(&format!("%{digits}f")),
        (false, _) => return Err(format!("`{}` needs a point before it", "S".repeat(digits))),
    }
    Ok(())
}

/// Letter, count, strftime. The first line for a specifier is how it is written back.
const LETTERS: &[(char, usize, &str)] = &[
    ('y', 4, "%Y"),
    ('u', 4, "%Y"),
    ('y', 2, "%y"),
    ('u', 2, "%y"),
    ('M', 2, "%m"),
    ('M', 1, "%-m"),
    ('L', 2, "%m"),
    ('L', 1, "%-m"),
    ('M', 3, "%b"),
    ('M', 4, "%B"),
    ('d', 2, "%d"),
    ('d', 1, "%-d"),
    ('D', 3, "%j"),
    ('H', 2, "%H"),
    ('H', 1, "%-H"),
    ('h', 2, "%I"),
    ('h', 1, "%-I"),
    ('m', 2, "%M"),
    ('m', 1, "%-M"),
    ('s', 2, "%S"),
    ('s', 1, "%-S"),
    ('a', 1, "%p"),
    ('E', 3, "%a"),
    ('E', 1, "%a"),
    ('E', 2, "%a"),
    ('E', 4, "%A"),
    // `X` takes `Z` for UTC, `x` and `Z` do not; strftime's `%#z` takes it and minutes or none.
    ('X', 3, "%#z"),
    ('X', 2, "%#z"),
    ('X', 1, "%#z"),
    ('x', 3, "%:z"),
    ('Z', 5, "%:z"),
    ('Z', 1, "%z"),
    ('x', 2, "%z"),
    ('Z', 2, "%z"),
    ('Z', 3, "%z"),
];

fn parts(pattern: &str) -> Result<Vec<Part<'_>>, String> {
    let (mut parts, mut rest) = (Vec::new(), pattern);
    while let Some(first) = rest.chars().next() {
        let (part, length) = match first {
            '\'' => quoted(rest)?,
            'a'..='z' | 'A'..='Z' => {
                let count = rest.chars().take_while(|c| *c == first).count();
                (Part::Letter(first, count), count)
            }
            '[' | ']' | '{' | '}' | '#' => return Err(format!("`{first}` can't be read in a date")),
            _ => (Part::Text(&rest[..first.len_utf8()]), first.len_utf8()),
        };
        parts.push(part);
        rest = &rest[length..];
    }
    Ok(parts)
}

/// `'text'`; `''` is a quote.
fn quoted(rest: &str) -> Result<(Part<'_>, usize), String> {
    if rest.starts_with("''") {
        return Ok((Part::Text("'"), 2));
    }
    let end = rest[1..].find('\'').ok_or("a quote is not closed")?;
    Ok((Part::Text(&rest[1..=end]), end + 2))
}

/// strftime as a JDK pattern. What the JDK has no letter for is left out, which no pattern made by [`from_jdk`] meets.
pub(super) fn to_jdk(format: &str) -> String {
    let (mut out, mut rest) = (String::new(), format);
    while let Some(first) = rest.chars().next() {
        let (jdk, length) = match first {
            '%' => specifier(rest),
            'a'..='z' | 'A'..='Z' | '[' | ']' | '{' | '}' | '#' => {
                let end = rest.find(['%', '\'']).unwrap_or(rest.len());
                let end =
                    rest[..end].trim_end_matches(|c: char| !c.is_ascii_alphabetic() && !"[]{}#".contains(c)).len();
                (format!("'{}'", &rest[..end]), end)
            }
            '\'' => ("''".to_owned(), 1),
            _ => (first.to_string(), first.len_utf8()),
        };
        out.push_str(&jdk);
        rest = &rest[length..];
    }
    out
}

fn specifier(rest: &str) -> (String, usize) {
    for digits in [3usize, 6, 9] {
        for (written, point) in [(format!("%.{digits}f"), "."), (format!("%{digits}f"), "")] {
            if rest.starts_with(&written) {
                return (format!("{point}{}", "S".repeat(digits)), written.len());
            }
        }
    }
    let short = [("%.f", ".S"), ("%F", "yyyy-MM-dd"), ("%T", "HH:mm:ss"), ("%e", "d"), ("%%", "%")];
    if let Some((written, jdk)) = short.iter().find(|(written, _)| rest.starts_with(written)) {
        return ((*jdk).to_owned(), written.len());
    }
    match LETTERS.iter().find(|(_, _, written)| rest.starts_with(written)) {
        Some((letter, count, written)) => (letter.to_string().repeat(*count), written.len()),
        None => (String::new(), rest.chars().take(2).map(char::len_utf8).sum()),
    }
}

/// Whether values of this strftime format say their zone.
pub(super) fn has_zone(format: &str) -> bool {
    ["%z", "%:z", "%#z"].iter().any(|zone| format.contains(zone))
}

/// The regular expression of a time of day that is written as a JDK pattern.
pub(super) fn time_regex(pattern: &str) -> Result<String, String> {
    let mut out = String::new();
    for part in parts(pattern)? {
        match part {
            Part::Text(text) => out.push_str(&regex::escape(text)),
            Part::Letter('H', 2) => out.push_str("([01][0-9]|2[0-3])"),
            Part::Letter('H', 1) => out.push_str("(1?[0-9]|2[0-3])"),
            Part::Letter('h', 2) => out.push_str("(0[1-9]|1[0-2])"),
            Part::Letter('m' | 's', 2) => out.push_str("[0-5][0-9]"),
            Part::Letter('S', digits) => out.push_str(&format!("[0-9]{{{digits}}}")),
            Part::Letter('a', 1) => out.push_str("[AP]M"),
            Part::Letter('X' | 'x' | 'Z', _) => out.push_str("(Z|[+-][0-9]{2}(:?[0-9]{2})?)"),
            Part::Letter(letter, count) => {
                return Err(format!("`{}` is no part of a time", letter.to_string().repeat(count)));
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, NaiveDateTime};

    #[test]
    fn jdk_patterns_become_strftime_and_back() {
        for (jdk, strftime) in [
            ("yyyy-MM-dd", "%Y-%m-%d"),
            ("dd/MM/yyyy HH:mm:ss", "%d/%m/%Y %H:%M:%S"),
            ("d.M.yy", "%-d.%-m.%y"),
            ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "%Y-%m-%dT%H:%M:%S%.3f%#z"),
            ("yyyyMMddHHmmssSSS", "%Y%m%d%H%M%S%3f"),
            ("dd MMM yyyy, hh:mm a", "%d %b %Y, %I:%M %p"),
            ("dd 'de' MMMM 'de' yyyy", "%d de %B de %Y"),
            ("HH'h'mm''ss", "%Hh%M'%S"),
            ("yyyy-MM-dd HH:mm:ss.SZ", "%Y-%m-%d %H:%M:%S%.f%z"),
            ("dd/MM/yyyy %", "%d/%m/%Y %%"),
        ] {
            assert_eq!(from_jdk(jdk).as_deref(), Ok(strftime), "{jdk}");
            assert_eq!(to_jdk(strftime), jdk);
        }
        for bad in ["yyyy-mm-dd QQ", "dd/MM/yyy", "HH:mm VV", "[yyyy]", "'open", "ssSS"] {
            assert!(from_jdk(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_made_of_a_pattern_reads_what_the_pattern_means() {
        let read = |jdk: &str, text: &str| {
            let format = from_jdk(jdk).expect("a pattern");
            match has_zone(&format) {
                true => DateTime::parse_from_str(text, &format).map(|at| at.naive_utc()),
                false => NaiveDateTime::parse_from_str(text, &format),
            }
            .map(|at| at.to_string())
        };
        let noon = Ok("2026-07-01 12:00:00.250".to_owned());
        assert_eq!(read("dd/MM/yyyy HH:mm:ss.SSS", "01/07/2026 12:00:00.250"), noon);
        assert_eq!(read("yyyy-MM-dd'T'HH:mm:ss.SSXXX", "2026-07-01T12:00:00.25Z"), noon);
        assert_eq!(read("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2026-07-01T09:00:00.250-03:00"), noon);
        assert_eq!(read("yyyy-MM-dd HH:mm:ss.SSSZ", "2026-07-01 09:00:00.250-0300"), noon);
        assert_eq!(read("yyyyMMddHHmmssSSS", "20260701120000250"), noon);
        assert_eq!(read("d/M/yyyy h:mm:ss.SSS a", "1/7/2026 12:00:00.250 PM"), noon);
    }

    #[test]
    fn a_time_pattern_becomes_a_regular_expression() {
        assert_eq!(time_regex("HH:mm").as_deref(), Ok("([01][0-9]|2[0-3]):[0-5][0-9]"));
        assert!(time_regex("HH:mm dd").is_err());
    }
}
