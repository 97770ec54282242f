//! The header of a model: leading `-- key: value` lines of a SQL file, which are YAML.

use super::{Draft, Env, read_part, schema};
use crate::diagnostic::Diagnostic;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// Reads the header of a SQL file, and says at which byte the SQL starts. Places are places in the SQL file.
///
/// The header is the first block of `--` lines, when one of its lines is a field of `T` or the first looks like one. Prose
/// in it stands behind `-- #`; other comments stand below it, after an empty line. Without a header all fields have their
/// defaults.
pub fn read_header<T>(file: &str, text: &str, env: Env) -> Result<(Draft<T>, usize), Vec<Diagnostic>>
where
    T: DeserializeOwned + JsonSchema,
{
    let (yaml, end) = blank(text);
    let schema = schema::of::<T>();
    let known = |name: &str| schema.get("properties").is_some_and(|fields| fields.get(name).is_some());
    let names: Vec<Option<&str>> = yaml.lines().filter(|line| !line.trim().is_empty()).map(field).collect();
    let is_header = names.first().is_some_and(Option::is_some) || names.iter().flatten().any(|name| known(name));
    let yaml = if is_header { yaml.as_str() } else { "" };
    let draft = read_part(file, text, yaml, env).map_err(|faults| explain(faults, names.first() == Some(&None)))?;
    Ok((draft, if is_header { end } else { 0 }))
}

/// The text with blanks where its header is: what follows stays where it was.
pub fn without_header(text: &str) -> String {
    let (_, end) = blank(text);
    let blanks = text[..end].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' });
    blanks.chain(text[end..].chars()).collect()
}

/// The first block of comment lines, with all but its YAML turned to blanks byte for byte, so that places stay what they
/// are; and where it ends.
fn blank(text: &str) -> (String, usize) {
    let mut yaml = String::new();
    for line in text.split_inclusive('\n') {
        let (bom, line) = line.strip_prefix('\u{feff}').map_or(("", line), |rest| ("\n\n\n", rest));
        let indent = line.len() - line.trim_start().len();
        match line.trim_start().strip_prefix("--") {
            // A rule of dashes is decoration.
            Some(rest) if rest.trim().chars().all(|c| c == '-' || c == '=') => {
                yaml.push_str(bom);
                yaml.extend(line.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
            }
            Some(rest) => {
                yaml.push_str(bom);
                yaml.extend(std::iter::repeat_n(' ', indent + 2));
                yaml.push_str(rest);
            }
            None if line.trim().is_empty() && yaml.trim().is_empty() => {
                yaml.push_str(bom);
                yaml.extend(line.bytes().map(|_| '\n'));
            }
            None => break,
        }
    }
    let end = yaml.len();
    (yaml, end)
}

/// The field that a line starts with.
fn field(line: &str) -> Option<&str> {
    let (name, rest) = line.trim_start().split_once(':')?;
    let word = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    (word && (rest.is_empty() || rest.starts_with([' ', '\r']))).then_some(name)
}

/// Prose above the fields makes no YAML of what was meant as a comment.
fn explain(mut faults: Vec<Diagnostic>, starts_with_prose: bool) -> Vec<Diagnostic> {
    for fault in faults.iter_mut().filter(|fault| starts_with_prose && fault.message.starts_with("this is not YAML")) {
        fault.help = Some("in a header, prose stands behind `-- #`, or below it after an empty line".into());
    }
    faults
}
