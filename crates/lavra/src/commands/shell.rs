mod statement;

use super::{Outcome, query};
use crate::cli::Context;
use crate::project::STATE;
use crate::show;
use crate::wiring::Wiring;
use kernel::engine::{Engine, Session};
use kernel::error::{Error, Result};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Editor, Helper};
use statement::Statement;
use std::io::IsTerminal;

/// Asks queries one after the other, with history and completion (Tab). A query ends with `;`.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  lavra shell\n  echo 'select 1;' | lavra shell\n\nIn the shell: .tables  .schema TABLE  .quit"
)]
pub struct Shell {}

const KEYWORDS: [&str; 18] = [
    "select",
    "from",
    "where",
    "group by",
    "order by",
    "limit",
    "join",
    "left join",
    "on",
    "having",
    "union all",
    "with",
    "case",
    "when",
    "count(*)",
    "sum(",
    "version as of",
    "timestamp as of",
];

pub async fn run(context: &Context, _: Shell) -> Outcome {
    let wiring = Wiring::open(context.ask_to_read()?).await?;
    if !std::io::stdin().is_terminal() {
        return script(context, &wiring).await;
    }
    let words = words(&wiring).await?;
    let fault = |e: ReadlineError| Error::new(kernel::Kind::Storage, "read the terminal", e);
    let mut editor: Editor<Words, _> = Editor::new().map_err(fault)?;
    editor.set_helper(Some(Words { words }));
    let history = wiring.ask.folder.join(STATE).join("history");
    let _ = editor.load_history(&history); // none yet
    eprintln!("{}: end a query with `;`, `.tables` lists, `.quit` ends", wiring.project.config.project);
    let mut text = String::new();
    loop {
        match editor.readline(if text.is_empty() { "lavra> " } else { "   ... " }) {
            Ok(line) => {
                let _ = editor.add_history_entry(line.trim_end());
                // After each line, for a process may end in many ways. A history that can't be kept is no reason to fail.
                let _ = editor.save_history(&history);
                text.push_str(&line);
                text.push('\n');
                while let Some((statement, rest)) = statement::take(&text) {
                    if statement == Statement::Quit {
                        return Ok(0);
                    }
                    answer(context, &wiring, statement).await;
                    text = rest.to_owned();
                }
            }
            Err(ReadlineError::Interrupted) => text.clear(),
            Err(ReadlineError::Eof) => return Ok(0),
            Err(e) => return Err(fault(e).into()),
        }
    }
}

/// Queries from a pipe: stops at the first that fails.
async fn script(context: &Context, wiring: &Wiring) -> Outcome {
    let text = std::io::read_to_string(std::io::stdin()).map_err(|e| kernel::error::io("read stdin", e))?;
    // The last one may leave its `;` out, and may end in a comment.
    let text = text + "\n;";
    let mut left = text.as_str();
    while let Some((statement, rest)) = statement::take(left) {
        if statement == Statement::Quit {
            break;
        }
        one(context, wiring, statement).await?;
        left = rest;
    }
    match left.trim().is_empty() || statement::take(left).is_some() {
        true => Ok(0),
        false => {
            Err(Error::project("read the script", "its last query has a quote or a comment that does not end").into())
        }
    }
}

async fn answer(context: &Context, wiring: &Wiring, statement: Statement<'_>) {
    if let Err(error) = one(context, wiring, statement).await {
        show::error(context.format, &error);
    }
}

async fn one(context: &Context, wiring: &Wiring, statement: Statement<'_>) -> Result<()> {
    let sql = match statement {
        Statement::Quit | Statement::Nothing => return Ok(()),
        Statement::Tables => "select table_schema || '.' || table_name as \"table\" from information_schema.tables where table_catalog = 'lake' and table_schema <> 'information_schema' order by 1".to_owned(),
        Statement::Schema(table) => {
            let (layer, name) = table.split_once('.').unwrap_or(("silver", table));
            let (layer, name) = (layer.replace('\'', "''"), name.replace('\'', "''"));
            format!("select column_name as \"column\", data_type as \"type\" from information_schema.columns where table_schema = '{layer}' and table_name = '{name}'")
        }
        Statement::Query(sql) => sql.to_owned(),
    };
    query::until_interrupted(async {
        let rows = wiring.engine.query(&Session::owner("shell"), &sql).await?;
        query::print(context, rows).await
    })
    .await
}

/// Table and column names, and what queries are made of.
async fn words(wiring: &Wiring) -> Result<Vec<String>> {
    let mut words: Vec<String> = KEYWORDS.iter().map(|w| (*w).to_owned()).collect();
    words.extend(wiring.store.tables().await?.iter().map(ToString::to_string));
    let columns =
        wiring.project.models.iter().map(|m| &m.schema).chain(wiring.project.sources.iter().map(|s| &s.schema));
    words.extend(columns.flat_map(|schema| schema.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>()));
    words.sort();
    words.dedup();
    Ok(words)
}

struct Words {
    words: Vec<String>,
}

impl Helper for Words {}
impl Highlighter for Words {}
impl Validator for Words {}
impl Hinter for Words {
    type Hint = String;
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &rustyline::Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let start = line[..at].rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).map_or(0, |i| i + 1);
        let typed = line[start..at].to_lowercase();
        let found = self.words.iter().filter(|word| !typed.is_empty() && word.starts_with(&typed));
        Ok((start, found.map(|word| Pair { display: word.clone(), replacement: word.clone() }).collect()))
    }
}
