//! One page a command, from the command line's own tree.

use super::json::{self, Document};
use super::markdown::{Page, code, sentence};
use clap::{Arg, Command};

/// The pages of all commands that are shown, and their index.
pub fn pages() -> Vec<Page> {
    let mut root = crate::cli::command();
    root.build();
    let mut index = Page::new("commands/README.md", "Commands");
    index.say(&about(&root));
    index.code("text", &usage(&root));
    let shown: Vec<&Command> = shown(&root).collect();
    index.table(
        ["command", "what it does"],
        &shown.iter().map(|command| [link(command), short(command)]).collect::<Vec<_>>(),
    );
    index.heading("Options of every command");
    index.table(["option", "what it does", "default"], &rows(root.get_arguments()));
    index.heading("Exit codes");
    let codes = [
        ("0", "done"),
        ("1", "something failed, and says what"),
        ("2", "the project or the call is wrong"),
        ("3", "refused by policy or privacy law"),
        ("4", "an outside system can't be reached"),
    ];
    index.table(["code", "meaning"], &codes.map(|(code, meaning)| [code.to_owned(), meaning.to_owned()]));
    index.heading("An error as JSON");
    explain(&mut index, &json::ERROR);
    let mut pages: Vec<Page> = shown.into_iter().map(page).collect();
    pages.insert(0, index);
    pages
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

fn link(command: &Command) -> String {
    format!("[`lavra {0}`]({0}.md)", command.get_name())
}

fn page(command: &Command) -> Page {
    let name = command.get_name();
    let mut page = Page::new(format!("commands/{name}.md"), &format!("lavra {name}"));
    describe(&mut page, command);
    for sub in shown(command) {
        page.heading(&format!("lavra {name} {}", sub.get_name()));
        describe(&mut page, sub);
    }
    if let Some(document) = json::document(name) {
        page.heading("With `--format json`");
        explain(&mut page, &document);
    }
    page.say("It also takes the [options of every command](README.md#options-of-every-command).");
    page
}

fn explain(page: &mut Page, document: &Document) {
    page.say(document.shape);
    let keys = document
        .keys
        .iter()
        .map(|(keys, meaning)| [keys.split(", ").map(code).collect::<Vec<_>>().join(", "), (*meaning).to_owned()]);
    page.table(["key", "what it is"], &keys.collect::<Vec<_>>());
}

fn describe(page: &mut Page, command: &Command) {
    page.say(&about(command));
    page.code("text", &usage(command));
    let own = || command.get_arguments().filter(|arg| !arg.is_global_set() && arg.get_id() != "help");
    page.table(["argument", "what it is", "default"], &rows(own().filter(|arg| arg.is_positional())));
    page.table(["option", "what it does", "default"], &rows(own().filter(|arg| !arg.is_positional())));
    if let Some(examples) = command.get_after_help() {
        examples_of(page, &examples.to_string());
    }
}

/// `Example:` and the indented lines below it.
fn examples_of(page: &mut Page, text: &str) {
    match text.split_once(":\n") {
        Some((title, lines)) if title.starts_with("Example") => {
            let lines: Vec<&str> = lines.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
            page.say(&format!("{title}:"));
            page.code("sh", &lines.join("\n"));
        }
        _ => page.say(text),
    }
}

fn about(command: &Command) -> String {
    command.get_long_about().or(command.get_about()).map(|text| sentence(&text.to_string())).unwrap_or_default()
}

fn short(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned()
}

fn rows<'a>(args: impl Iterator<Item = &'a Arg>) -> Vec<[String; 3]> {
    args.filter(|arg| !arg.is_hide_set()).map(row).collect()
}

fn row(arg: &Arg) -> [String; 3] {
    let value =
        arg.get_value_names().unwrap_or_default().iter().map(|name| format!("<{name}>")).collect::<Vec<_>>().join(" ");
    let takes_value = arg.get_action().takes_values();
    let long = arg.get_long().map(|long| if takes_value { format!("--{long} {value}") } else { format!("--{long}") });
    let names = [arg.get_short().map(|short| format!("-{short}")), long].into_iter().flatten().collect::<Vec<_>>();
    let name = if arg.is_positional() { value } else { names.join(", ") };
    let mut help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let words: Vec<String> = arg.get_possible_values().iter().map(|word| code(word.get_name())).collect();
    if takes_value && !words.is_empty() {
        help += &format!(" ({})", words.join(", "));
    }
    if let Some(variable) = arg.get_env() {
        help += &format!(" (or `{}` in the environment)", variable.to_string_lossy());
    }
    let defaults: Vec<String> = arg.get_default_values().iter().map(|value| code(&value.to_string_lossy())).collect();
    let default = if takes_value { defaults.join(", ") } else { String::new() };
    [code(&name), help, default]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_an_example() {
        let pages = pages();
        assert!(pages.iter().any(|page| page.path == "commands/scan.md"));
        assert!(!pages.iter().any(|page| page.path == "commands/docs.md"), "hidden");
        for page in &pages[1..] {
            assert!(page.text.contains("```sh\nlavra "), "{} has no example", page.path);
            assert!(page.text.contains("With `--format json`"), "{} says nothing of its JSON", page.path);
        }
    }
}
