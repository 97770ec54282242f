//! The roof: reads the command line, wires the parts, runs, and says what happened.
#![allow(clippy::disallowed_methods, reason = "only the roof reads the machine's clock, environment and folder")]

mod cli;
mod clock;
mod commands;
mod demo;
mod project;
mod relay;
mod show;
mod subject;
mod up;
mod upkeep;
mod wiring;
mod work;

use std::process::ExitCode;

/// A panic's text may quote a row, so only its place is told. A reader that has seen enough (`lavra query … | head`) is no
/// failure.
fn hush_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if text.starts_with("failed printing to stdout") {
            std::process::exit(0);
        }
        let place = panic.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
        eprintln!("error: a defect of Lavra{place}; please report it. What was committed is safe.");
    }));
}

fn main() -> ExitCode {
    hush_panics();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(8 << 20).build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(cli::main());
            runtime.shutdown_timeout(std::time::Duration::from_millis(100));
            ExitCode::from(code)
        }
        Err(error) => {
            eprintln!("error: the runtime did not start: {error}");
            ExitCode::from(1)
        }
    }
}
