//! A value's shape: what an example may show of it.

const LENGTH_MAX: usize = 40;

/// `João: 529.982.247-25` → `xxxx: 999.999.999-99`. Letters and digits are gone, separators stay, length is cut.
pub(super) fn shape(value: &str) -> String {
    let mut shape: String = value.chars().take(LENGTH_MAX).map(covered).collect();
    if value.chars().nth(LENGTH_MAX).is_some() {
        shape.push('…');
    }
    shape
}

fn covered(c: char) -> char {
    match c {
        c if c.is_numeric() => '9',
        c if c.is_alphabetic() => 'x',
        c if c.is_ascii_punctuation() || c == ' ' => c,
        // Marks, symbols and controls could spell something out, or move the terminal's cursor.
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_value_is_left() {
        assert_eq!(shape("João: 529.982.247-25"), "xxxx: 999.999.999-99");
        assert_eq!(shape("a@b.com"), "x@x.xxx");
        assert_eq!(shape("日本 ٣½\n\u{1b}"), "xx 99??");
        assert_eq!(shape(&"a".repeat(41)), "x".repeat(40) + "…");
    }
}
