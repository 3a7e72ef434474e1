//! `berth man FOLDER`: the manual, made from the same source as the help.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::problem::{Exit, Problem};
use crate::verb::CommandLine;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An existing folder; `berth.1` and one page a verb are written there
    folder: PathBuf,
}

/// Writes the pages.
pub fn run(args: &Args) -> Result<Exit, Problem> {
    clap_mangen::generate_to(CommandLine::command(), &args.folder).map_err(|error| {
        let what = format!("the manual cannot be written to {}", args.folder.display());
        Problem::new(Exit::Failed, what, error, "Name an existing folder that you may write to.")
    })?;
    Ok(Exit::Done)
}
