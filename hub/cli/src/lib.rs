//! `berth`, the command line of users and administrators. Assembly: the command line in, a verb
//! run, the exit code out.

mod api;
mod args;
mod connection;
mod print;
mod problem;
mod settings;
mod text;
mod verb;

use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use problem::{Exit, Problem};

/// Runs the command of this process.
pub fn run() -> ExitCode {
    let command = match verb::CommandLine::try_parse() {
        Ok(command) => command,
        Err(error) => return misused(&error).into(),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let advice = "Look at the limits of this shell.";
            return tell(&Problem::new(Exit::Failed, "cannot start", error, advice)).into();
        }
    };
    match runtime.block_on(verb::run(&command)) {
        Ok(exit) => exit.into(),
        Err(problem) => tell(&problem).into(),
    }
}

fn tell(problem: &Problem) -> Exit {
    print::note(&problem.to_string());
    problem.exit()
}

/// Help, the version, or a command line that cannot be understood.
fn misused(error: &clap::Error) -> Exit {
    match bad_value(error) {
        Some(problem) => tell(&problem),
        None => {
            let _ = error.print();
            if error.use_stderr() { Exit::Usage } else { Exit::Done }
        }
    }
}

/// A value that was understood to be one and is wrong, in our own three lines.
fn bad_value(error: &clap::Error) -> Option<Problem> {
    if error.kind() != ErrorKind::ValueValidation {
        return None;
    }
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let option = text(ContextKind::InvalidArg)?;
    let value = text(ContextKind::InvalidValue)?;
    let why = std::error::Error::source(error)?;
    let what = format!("cannot use \"{value}\" as {option}");
    Some(Problem::new(Exit::Usage, what, why, "Try again with --help to see what is possible."))
}
