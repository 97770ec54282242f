//! Just enough Markdown to write reference pages.

/// A page that grows from top to bottom.
pub struct Page {
    /// Its path below the folder of all pages.
    pub path: String,
    pub text: String,
}

impl Page {
    pub fn new(path: impl Into<String>, title: &str) -> Self {
        let text = format!("# {title}\n\n<!-- Written by `lavra docs`; a change by hand is lost. -->\n");
        Self { path: path.into(), text }
    }

    pub fn heading(&mut self, title: &str) {
        self.text += &format!("\n## {title}\n");
    }

    /// A paragraph; nothing when it is empty.
    pub fn say(&mut self, text: &str) {
        if !text.trim().is_empty() {
            self.text += &format!("\n{}\n", text.trim());
        }
    }

    pub fn code(&mut self, language: &str, text: &str) {
        self.text += &format!("\n```{language}\n{}\n```\n", text.trim_matches('\n'));
    }

    /// A table; nothing when there is no row.
    pub fn table<const N: usize>(&mut self, header: [&str; N], rows: &[[String; N]]) {
        if rows.is_empty() {
            return;
        }
        let line =
            |cells: &[String]| format!("| {} |\n", cells.iter().map(|cell| flat(cell)).collect::<Vec<_>>().join(" | "));
        self.text.push('\n');
        self.text += &line(&header.map(str::to_owned));
        self.text += &line(&header.map(|_| "---".to_owned()));
        rows.iter().for_each(|row| self.text += &line(row));
    }
}

/// On one line, and no column's end.
fn flat(cell: &str) -> String {
    cell.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

pub fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

/// With a capital letter and a full stop.
pub fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    let first: String = rest.next().into_iter().flat_map(char::to_uppercase).collect();
    let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    first + rest.as_str() + stop
}

/// As a code host makes it of a heading.
pub fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_keeps_its_columns() {
        let mut page = Page::new("x.md", "X");
        page.table(["a", "b"], &[["1|2".to_owned(), "two\n  lines".to_owned()]]);
        assert!(page.text.ends_with("\n| a | b |\n| --- | --- |\n| 1\\|2 | two lines |\n"), "{}", page.text);
        assert_eq!(sentence("a file"), "A file.");
        assert_eq!(anchor("Logical type, `options`"), "logical-type-options");
    }
}
