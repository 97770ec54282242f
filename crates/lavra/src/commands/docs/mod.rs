//! The reference pages: written by the program itself, so that they can't differ from it.

mod commands;
mod json;
mod lists;
mod markdown;
mod schema;

use super::Outcome;
use crate::cli::Context;
use kernel::error::{Result, io};
use markdown::Page;
use std::path::{Path, PathBuf};

/// Writes the reference pages as Markdown. The same program writes the same bytes.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  lavra docs --out docs/reference")]
pub struct Docs {
    /// Where to; files of the same names are replaced
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

pub async fn run(_: &Context, args: Docs) -> Outcome {
    let pages = pages();
    for page in &pages {
        write(&args.out, page)?;
    }
    eprintln!("{} pages in {}", pages.len(), args.out.display());
    Ok(0)
}

fn pages() -> Vec<Page> {
    let mut pages = vec![index()];
    pages.extend(commands::pages());
    pages.extend(lists::connectors());
    pages.extend(lists::files());
    pages.extend([lists::masks(), lists::kinds(), lists::errors()]);
    pages
}

fn index() -> Page {
    let mut page = Page::new("README.md", "Reference");
    let row = |link: &str, what: &str| [link.to_owned(), what.to_owned()];
    page.table(
        ["page", "what is on it"],
        &[
            row("[Commands](commands/README.md)", "each command with its options and examples, and the exit codes"),
            row("[Connectors](connectors/README.md)", "where rows come from, with every option"),
            row("[Files](files/README.md)", "the files of a project, key by key"),
            row("[Masks](masks.md)", "how columns are hidden, and what stays possible"),
            row("[Kinds of personal data](kinds.md)", "what is found, and how it is hidden unless said otherwise"),
            row("[Errors](errors.md)", "the kinds of errors and what to do"),
        ],
    );
    page
}

fn write(folder: &Path, page: &Page) -> Result<()> {
    let path = folder.join(&page.path);
    let failed = |e| io(format!("write {}", path.display()), e);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    std::fs::write(&path, &page.text).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn pages_are_the_same_each_time_and_their_links_lead_to_pages() {
        let pages = pages();
        let again = super::pages();
        assert!(pages.iter().zip(&again).all(|(a, b)| (&a.path, &a.text) == (&b.path, &b.text)));
        let paths: BTreeSet<&str> = pages.iter().map(|page| page.path.as_str()).collect();
        assert_eq!(paths.len(), pages.len(), "two pages of one path");
        for page in &pages {
            for target in page.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let file = target.split('#').next().unwrap_or_default();
                let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
                let whole = match file.strip_prefix("../") {
                    Some(above) => above.to_owned(),
                    None if folder.is_empty() => file.to_owned(),
                    None => format!("{folder}/{file}"),
                };
                let is_page = file.is_empty() || paths.contains(whole.as_str()) || whole.starts_with("errors/");
                assert!(is_page, "{}: {target}", page.path);
            }
        }
    }
}
