//! `cargo x <verb>`: what a developer and the CI do with this repository.
#![allow(
    clippy::disallowed_methods,
    reason = "a developer's tool is a roof of its own: it times its steps and reads the caller's environment"
)]

mod bench;
mod deny;
mod reference;
mod repo;
mod scan;
mod servers;
mod steps;
mod suite;
mod suites;
mod tidy;
mod torture;

use anyhow::Result;
use std::process::ExitCode;

/// Everything went well.
pub const DONE: u8 = 0;
/// Something was checked and found wanting.
pub const FAILED: u8 = 1;
/// The call itself is wrong.
pub const MISUSED: u8 = 2;

struct Verb {
    name: &'static str,
    about: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Result<u8>,
}

fn verbs() -> [Verb; 6] {
    [
        Verb { name: "test", about: "every check that needs no outside server", help: suite::HELP, run: suite::run },
        Verb { name: "tidy", about: "the laws of the house that no compiler checks", help: tidy::HELP, run: tidy::run },
        Verb {
            name: "docs",
            about: "write docs/reference from the binary",
            help: reference::HELP,
            run: reference::run,
        },
        Verb { name: "services", about: "real servers on loopback", help: servers::HELP, run: servers::run },
        Verb { name: "torture", about: "their suites at full size", help: torture::HELP, run: torture::run },
        Verb { name: "bench", about: "run a comparison with our peers", help: bench::HELP, run: bench::run },
    ]
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = args.split_first() else {
        print!("{}", overview());
        return ExitCode::from(MISUSED);
    };
    if ["help", "--help", "-h"].contains(&name.as_str()) {
        print!("{}", overview());
        return ExitCode::from(DONE);
    }
    let verbs = verbs();
    let Some(verb) = verbs.iter().find(|verb| verb.name == name) else {
        eprintln!("cargo x: there is no verb `{name}`\n\n{}", overview());
        return ExitCode::from(MISUSED);
    };
    if rest.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--help" || arg == "-h") {
        println!("{}", verb.help);
        return ExitCode::from(DONE);
    }
    match (verb.run)(rest) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("cargo x {name}: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn overview() -> String {
    let mut text = String::from("cargo x <verb>; `cargo x <verb> --help` tells more\n\n");
    for verb in verbs() {
        text.push_str(&format!("  {:<10}{}\n", verb.name, verb.about));
    }
    text
}

/// What is said about an argument that a verb does not know.
pub fn misuse(verb: &str, arg: &str) -> u8 {
    eprintln!("cargo x {verb}: `{arg}` is not understood; see `cargo x {verb} --help`");
    MISUSED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_shows_an_example_of_itself() {
        for verb in verbs() {
            assert!(verb.help.contains(&format!("cargo x {}", verb.name)), "{} has no example", verb.name);
            assert!(overview().contains(verb.about));
        }
    }
}
