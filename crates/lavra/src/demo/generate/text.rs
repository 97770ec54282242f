//! Bytes written by hand: `format!` costs a microsecond a field in an unoptimised build, and there are ten million fields.

/// `value` in decimal, zero-padded to `width` digits; wider values keep all their digits.
pub fn digits(out: &mut Vec<u8>, value: u64, width: usize) {
    let mut buffer = [b'0'; 20];
    let mut at = 20;
    let mut rest = value;
    while rest > 0 {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&buffer[at.min(20 - width)..]);
}

/// Cents as a decimal with a point: `1234` is `12.34`.
pub fn cents(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    let value = value.unsigned_abs();
    digits(out, value / 100, 1);
    out.push(b'.');
    digits(out, value % 100, 2);
}

/// `HH:MM:SS` or `HH:MM:SS.ffffff`.
pub fn time_of_day(out: &mut Vec<u8>, micros: u64, fraction: bool) {
    let seconds = micros / 1_000_000;
    digits(out, seconds / 3600, 2);
    out.push(b':');
    digits(out, seconds / 60 % 60, 2);
    out.push(b':');
    digits(out, seconds % 60, 2);
    if fraction {
        out.push(b'.');
        digits(out, micros % 1_000_000, 6);
    }
}

/// Windows-1252, the encoding of a spreadsheet saved as CSV in Brazil. What it can't say becomes `?`.
pub fn windows_1252(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| match c {
            '\u{0}'..='\u{7f}' | '\u{a0}'..='\u{ff}' => c as u32 as u8,
            '–' => 0x96,
            '’' => 0x92,
            _ => b'?',
        })
        .collect()
}

/// A CSV field, quoted only where it must be.
pub fn csv_field(out: &mut String, value: &str, delimiter: char) {
    let special = |c: char| c == delimiter || c == '"' || c == '\n' || c == '\r';
    if value.contains(special) {
        out.push('"');
        out.push_str(&value.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn numbers() {
        assert_eq!(written(|o| digits(o, 42, 5)), "00042");
        assert_eq!(written(|o| digits(o, 0, 1)), "0");
        assert_eq!(written(|o| digits(o, u64::MAX, 3)), u64::MAX.to_string());
        assert_eq!(written(|o| cents(o, 5)), "0.05");
        assert_eq!(written(|o| cents(o, -123_456)), "-1234.56");
    }

    #[test]
    fn times() {
        let micros = ((13 * 60 + 5) * 60 + 9) * 1_000_000 + 42;
        assert_eq!(written(|o| time_of_day(o, micros, true)), "13:05:09.000042");
        assert_eq!(written(|o| time_of_day(o, micros, false)), "13:05:09");
    }

    #[test]
    fn encodings_and_quotes() {
        assert_eq!(windows_1252("São–d’ã€"), b"S\xe3o\x96d\x92\xe3?");
        let mut out = String::new();
        csv_field(&mut out, "a \"b\"; c", ';');
        csv_field(&mut out, "plain", ';');
        assert_eq!(out, "\"a \"\"b\"\"; c\"plain");
    }
}
