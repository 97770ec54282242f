//! A page of text, lists and tables, as Markdown and as HTML that needs nothing from elsewhere.

use std::fmt::Write;

/// The languages that pages are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Lang {
    #[value(name = "pt-BR", alias = "pt")]
    Pt,
    #[value(name = "en")]
    En,
}

impl Lang {
    pub fn code(self) -> &'static str {
        match self {
            Lang::Pt => "pt-BR",
            Lang::En => "en",
        }
    }

    /// The words of this language.
    pub fn of<'a>(self, en: &'a str, pt: &'a str) -> &'a str {
        match self {
            Lang::Pt => pt,
            Lang::En => en,
        }
    }
}

/// A piece of text: a fact of the project, or that it lacks one, with where to state it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    Code(String),
    Missing(String),
    Good(String),
    Bad(String),
}

/// What stands in one cell or line.
pub type Cell = Vec<Piece>;

pub fn text(text: impl Into<String>) -> Cell {
    vec![Piece::Text(text.into())]
}

pub fn code(text: impl Into<String>) -> Cell {
    vec![Piece::Code(text.into())]
}

/// Several names, parted by commas.
pub fn codes<'a>(names: impl IntoIterator<Item = &'a String>) -> Cell {
    let mut cell = Cell::new();
    for name in names {
        if !cell.is_empty() {
            cell.push(Piece::Text(", ".into()));
        }
        cell.push(Piece::Code(name.clone()));
    }
    if cell.is_empty() { text("–") } else { cell }
}

enum Block {
    Heading(String),
    Text(Cell),
    List(Vec<Cell>),
    Table(Vec<String>, Vec<Vec<Cell>>),
}

/// A page that grows from top to bottom.
pub struct Page {
    lang: Lang,
    /// Its file's name, without an ending.
    pub name: String,
    title: String,
    subtitle: String,
    blocks: Vec<Block>,
}

impl Page {
    pub fn new(lang: Lang, name: &str, title: &str, subtitle: String) -> Self {
        let name = format!("{name}.{}", lang.code());
        Self { lang, name, title: title.to_owned(), subtitle, blocks: Vec::new() }
    }

    pub fn heading(&mut self, title: &str) {
        self.blocks.push(Block::Heading(title.to_owned()));
    }

    pub fn say(&mut self, cell: Cell) {
        self.blocks.push(Block::Text(cell));
    }

    pub fn list(&mut self, items: Vec<Cell>) {
        self.blocks.push(Block::List(items));
    }

    /// A table; nothing when it has no row.
    pub fn table(&mut self, head: &[&str], rows: Vec<Vec<Cell>>) {
        if !rows.is_empty() {
            self.blocks.push(Block::Table(head.iter().map(|name| (*name).to_owned()).collect(), rows));
        }
    }

    pub fn markdown(&self) -> String {
        let mut out = format!("# {}\n\n{}\n", self.title, self.subtitle);
        for block in &self.blocks {
            let _ = match block {
                Block::Heading(title) => writeln!(out, "\n## {title}"),
                Block::Text(cell) => writeln!(out, "\n{}", self.marked(cell, false)),
                Block::List(items) => {
                    out.push('\n');
                    items.iter().try_for_each(|item| writeln!(out, "- {}", self.marked(item, false)))
                }
                Block::Table(head, rows) => {
                    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
                    out.push('\n');
                    out += &line(head.clone());
                    out += &line(head.iter().map(|_| "---".to_owned()).collect());
                    rows.iter().for_each(|row| out += &line(row.iter().map(|cell| self.marked(cell, true)).collect()));
                    Ok(())
                }
            };
        }
        out
    }

    fn marked(&self, cell: &Cell, in_table: bool) -> String {
        let flat = |text: &str| match in_table {
            true => text.replace('|', "\\|").replace('\n', " "),
            false => text.to_owned(),
        };
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => flat(text),
            Piece::Code(text) => format!("`{}`", flat(text)),
            Piece::Missing(place) => format!("**{}**: {}", self.missing(), flat(place)),
            Piece::Good(text) | Piece::Bad(text) => format!("**{}**", flat(text)),
        };
        cell.iter().map(piece).collect()
    }

    fn missing(&self) -> &'static str {
        self.lang.of("Not stated", "Não informado")
    }

    pub fn html(&self) -> String {
        let mut body = format!("<h1>{}</h1>\n<p class=\"sub\">{}</p>\n", escaped(&self.title), escaped(&self.subtitle));
        for block in &self.blocks {
            let _ = match block {
                Block::Heading(title) => writeln!(body, "<h2>{}</h2>", escaped(title)),
                Block::Text(cell) => writeln!(body, "<p>{}</p>", self.tagged(cell)),
                Block::List(items) => {
                    body += "<ul>\n";
                    items.iter().for_each(|item| body += &format!("<li>{}</li>\n", self.tagged(item)));
                    writeln!(body, "</ul>")
                }
                Block::Table(head, rows) => {
                    let head: String = head.iter().map(|name| format!("<th>{}</th>", escaped(name))).collect();
                    body += &format!("<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n");
                    for row in rows {
                        let row: String = row.iter().map(|cell| format!("<td>{}</td>", self.tagged(cell))).collect();
                        body += &format!("<tr>{row}</tr>\n");
                    }
                    writeln!(body, "</tbody></table>")
                }
            };
        }
        format!(
            "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
            self.lang.code(),
            escaped(&self.title)
        )
    }

    fn tagged(&self, cell: &Cell) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => escaped(text),
            // A long name breaks behind its signs, not within a word.
            Piece::Code(text) => {
                format!("<code>{}</code>", escaped(text).replace('.', ".<wbr>").replace('_', "_<wbr>"))
            }
            Piece::Missing(place) => {
                format!("<span class=\"missing\"><b>{}</b>: {}</span>", self.missing(), escaped(place))
            }
            Piece::Good(text) => format!("<span class=\"good\">{}</span>", escaped(text)),
            Piece::Bad(text) => format!("<span class=\"bad\">{}</span>", escaped(text)),
        };
        cell.iter().map(piece).collect()
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = include_str!("page.css");

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let mut page = Page::new(Lang::Pt, "x", "A & B", "<b>".into());
        page.table(&["a"], vec![vec![vec![Piece::Text("x|y".into()), Piece::Missing("contracts/a.yaml".into())]]]);
        page.table(&["never"], Vec::new());
        page
    }

    #[test]
    fn text_of_the_project_is_text() {
        let html = page().html();
        assert!(html.contains("<h1>A &amp; B</h1>") && html.contains("&lt;b&gt;") && html.contains("lang=\"pt-BR\""));
        assert!(html.contains("<b>Não informado</b>: contracts/a.yaml"));
        assert!(!html.contains("never") && !html.contains("http"), "nothing is fetched from elsewhere");
    }

    #[test]
    fn a_bar_in_a_cell_ends_no_column() {
        let markdown = page().markdown();
        assert!(markdown.contains("| x\\|y**Não informado**: contracts/a.yaml |"), "{markdown}");
    }
}
