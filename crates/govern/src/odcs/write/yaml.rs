//! YAML as a person would lay it out: a record on one line while it fits, else one line for each of its fields.

/// A value to be written.
pub(super) enum Yaml {
    /// Text that needs no quotes and no check: a number, a flag, a word of ours.
    Word(String),
    Text(String),
    List(Vec<Yaml>),
    /// A list with a line, or more, for each item, however short.
    Lines(Vec<Yaml>),
    Map(Fields),
}

pub(super) type Fields = Vec<(&'static str, Yaml)>;

const WIDTH: usize = 110;

/// The fields of a document.
pub(super) fn document(fields: &Fields) -> String {
    let mut out = String::new();
    map(&mut out, fields, 0);
    out
}

fn map(out: &mut String, fields: &Fields, indent: usize) {
    for (place, (key, value)) in fields.iter().enumerate() {
        if place > 0 {
            out.push_str(&" ".repeat(indent));
        }
        out.push_str(key);
        out.push(':');
        below(out, value, indent, indent + key.len() + 2);
    }
}

/// What stands behind a key that is indented by `indent`; `column` is where its line would go on.
fn below(out: &mut String, value: &Yaml, indent: usize, column: usize) {
    if let Some(line) = flow(value).filter(|line| is_leaf(value) || column + line.len() <= WIDTH) {
        out.push_str(&format!(" {line}\n"));
        return;
    }
    let deeper = indent + 2;
    match value {
        Yaml::Text(text) => literal(out, text, deeper),
        Yaml::Map(fields) => {
            out.push_str(&format!("\n{}", " ".repeat(deeper)));
            map(out, fields, deeper);
        }
        Yaml::List(items) | Yaml::Lines(items) => {
            out.push('\n');
            for item in items {
                out.push_str(&format!("{}-", " ".repeat(deeper)));
                entry(out, item, deeper);
            }
        }
        Yaml::Word(word) => out.push_str(&format!(" {word}\n")),
    }
}

/// An item of a list, behind its dash at `indent`.
fn entry(out: &mut String, item: &Yaml, indent: usize) {
    match (flow(item).filter(|line| indent + 2 + line.len() <= WIDTH), item) {
        (Some(line), _) => out.push_str(&format!(" {line}\n")),
        (None, Yaml::Map(fields)) => {
            out.push(' ');
            map(out, fields, indent + 2);
        }
        (None, item) => below(out, item, indent, indent + 2),
    }
}

fn is_leaf(value: &Yaml) -> bool {
    matches!(value, Yaml::Word(_) | Yaml::Text(_))
}

/// The value on one line, unless it has lines of its own.
fn flow(value: &Yaml) -> Option<String> {
    Some(match value {
        Yaml::Word(word) => word.clone(),
        Yaml::Text(text) if is_literal(text) => return None,
        Yaml::Text(text) => scalar(text),
        Yaml::Lines(_) => return None,
        Yaml::List(items) => format!("[{}]", items.iter().map(flow).collect::<Option<Vec<_>>>()?.join(", ")),
        Yaml::Map(fields) => {
            let fields = fields.iter().map(|(key, value)| Some(format!("{key}: {}", flow(value)?)));
            format!("{{ {} }}", fields.collect::<Option<Vec<_>>>()?.join(", "))
        }
    })
}

/// Text of several plain lines is written as it is; what a literal block could not keep is written in quotes.
fn is_literal(text: &str) -> bool {
    let plain =
        |line: &str| !line.starts_with([' ', '\t']) && !line.ends_with([' ', '\t']) && !line.contains(is_special);
    text.contains('\n') && !text.starts_with('\n') && !text.ends_with('\n') && text.split('\n').all(plain)
}

fn literal(out: &mut String, text: &str, indent: usize) {
    out.push_str(" |-\n");
    for line in escape_variables(text).split('\n') {
        let pad = if line.is_empty() { 0 } else { indent };
        out.push_str(&format!("{}{line}\n", " ".repeat(pad)));
    }
}

/// A reader would take `${` for a variable.
fn escape_variables(text: &str) -> String {
    text.replace("${", "$${")
}

/// Text that any YAML reader, of 1.1 too, takes for this text.
fn scalar(text: &str) -> String {
    let text = escape_variables(text);
    if is_plain(&text) { text } else { quoted(&text) }
}

fn is_plain(text: &str) -> bool {
    let is_version =
        text.split('.').count() == 3 && text.split('.').all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let word = text.starts_with(|c: char| c.is_alphabetic())
        && !text.ends_with(' ')
        && text.chars().all(|c| c.is_alphanumeric() || " _-./()%<>=*+".contains(c));
    const TAKEN: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    is_version || (word && !TAKEN.contains(&text.to_lowercase().as_str()))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_special(c) => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Characters that YAML does not take as they are, or that no editor shows. All of them are below U+10000.
fn is_special(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_where_a_reader_could_take_it_for_something_else() {
        for plain in ["payments", "1.2.0", "pseudonym(person)", "Loja São João", "v3.1.0", "a-b/c.d"] {
            assert_eq!(scalar(plain), plain);
        }
        for text in [
            "",
            "1.2",
            "2026-01-01",
            "no",
            "Yes",
            "a: b",
            "a #b",
            "decimal(12,2)",
            "[x]",
            " a",
            "a ",
            "*x",
            "09:30",
            "~",
            "é\t",
        ] {
            assert!(scalar(text).starts_with('"'), "{text}");
        }
        assert_eq!(scalar("a \"b\" \\ ${X}\u{1}"), "\"a \\\"b\\\" \\\\ $${X}\\u0001\"");
    }

    #[test]
    fn short_records_take_a_line_and_long_ones_a_line_for_each_field() {
        let text = |text: &str| Yaml::Text(text.into());
        let short = Yaml::Map(vec![("name", text("a")), ("required", Yaml::Word("true".into()))]);
        let long = Yaml::Map(vec![("name", text("b")), ("description", text("word ".repeat(25).trim_end()))]);
        let fields = vec![("id", text("x")), ("note", text("one\n\ntwo")), ("items", Yaml::Lines(vec![short, long]))];
        let words = "word ".repeat(25);
        let expected = format!(
            "id: x\nnote: |-\n  one\n\n  two\nitems:\n  - {{ name: a, required: true }}\n  - name: b\n    description: {}\n",
            words.trim_end()
        );
        assert_eq!(document(&fields), expected);
    }
}
