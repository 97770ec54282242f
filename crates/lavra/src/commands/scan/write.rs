//! Writes what is proposed into a project. A file that is there is never touched, unless that is asked for.

use super::name;
use kernel::error::{Result, io};
use serde_json::{Map, Value};
use std::io::Write;
use std::path::Path;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    New,
    Replaced,
    /// It was there, and is as it was.
    Kept,
}

/// Puts a file where there is none; with `force` in the place of the one that is there.
pub fn put(folder: &Path, file: &str, text: &str, force: bool) -> Result<Written> {
    let path = folder.join(file);
    let failed = |e| io(format!("write {}", path.display()), e);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    match std::fs::File::create_new(&path) {
        Ok(mut new) => new.write_all(text.as_bytes()).map(|()| Written::New).map_err(failed),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && force => {
            std::fs::write(&path, text).map(|()| Written::Replaced).map_err(failed)
        }
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(Written::Kept),
        Err(e) => Err(failed(e)),
    }
}

/// `sources/<table>.yaml`: where the rows are, and what differs from the defaults.
pub fn source(paths: &[String], options: &Map<String, Value>) -> String {
    let mut text = "connector: files\n".to_owned();
    match paths {
        [one] => text += &format!("path: {}\n", scalar(one)),
        many => {
            text += "path:\n";
            many.iter().for_each(|path| text += &format!("  - {}\n", scalar(path)));
        }
    }
    text + &lines(options)
}

/// Options, a line each.
pub fn lines(options: &Map<String, Value>) -> String {
    let line = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), scalar);
        format!("{name}: {value}\n")
    };
    options.iter().map(line).collect()
}

/// Text that is YAML as it is, else in quotes; a variable is none.
fn scalar(text: &str) -> String {
    let text = text.replace("${", "$${");
    let is_word = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let is_plain =
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') && text.chars().all(|c| is_word(c) || c == '*');
    let is_taken =
        ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if is_plain && !is_taken { text } else { Value::from(text).to_string() }
}

/// Whether all places end as JSON files do.
pub fn is_json(files: &[String], options: &Map<String, Value>) -> bool {
    if let Some(format) = options.get("format").and_then(Value::as_str) {
        return ["json", "ndjson"].contains(&format);
    }
    let ends = |file: &String| {
        let lower = file.to_ascii_lowercase();
        let plain = [".gz", ".gzip", ".zst", ".zstd"]
            .iter()
            .find_map(|end| lower.strip_suffix(end))
            .unwrap_or(&lower)
            .to_owned();
        [".json", ".ndjson", ".jsonl"].iter().any(|end| plain.ends_with(end))
    };
    files.iter().all(ends)
}

/// Whether another file could bring the same rows: a single one of several, by its name, may be one of many snapshots.
pub fn may_have_key(files: &[String]) -> bool {
    files.len() > 1 || files.iter().all(|file| !name::read(file).pattern.contains('*'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_source_says_what_is_not_the_default() {
        let options = json!({ "header": false, "delimiter": ";", "null_values": ["NA"] });
        let text = source(&["data/payments-*.csv.gz".to_owned()], options.as_object().expect("options"));
        assert_eq!(
            text,
            "connector: files\npath: data/payments-*.csv.gz\nheader: false\ndelimiter: \";\"\nnull_values: [\"NA\"]\n"
        );
        let text = source(&["a b.csv".to_owned(), "*.csv".to_owned(), "x${Y}.csv".to_owned()], &Map::new());
        assert_eq!(text, "connector: files\npath:\n  - \"a b.csv\"\n  - \"*.csv\"\n  - \"x$${Y}.csv\"\n");
    }

    #[test]
    fn a_file_that_is_there_is_not_touched() {
        let folder = std::env::temp_dir().join(format!("lavra-put-{}", std::process::id()));
        let put = |text: &str, force: bool| put(&folder, "sources/x.yaml", text, force).expect("a file");
        assert_eq!(put("1", false), Written::New);
        assert_eq!(put("2", false), Written::Kept);
        assert_eq!(std::fs::read_to_string(folder.join("sources/x.yaml")).expect("text"), "1");
        assert_eq!(put("3", true), Written::Replaced);
        std::fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn one_of_many_snapshots_has_no_key() {
        let files = |files: &[&str]| files.iter().map(|file| (*file).to_owned()).collect::<Vec<_>>();
        assert!(may_have_key(&files(&["d/customers.csv"])) && may_have_key(&files(&["a-1.csv", "a-2.csv"])));
        assert!(!may_have_key(&files(&["d/customers-2026-07.csv"])));
        assert!(
            is_json(&files(&["a.ndjson.gz", "b.json"]), &Map::new())
                && !is_json(&files(&["a.json", "b.csv"]), &Map::new())
        );
    }
}
