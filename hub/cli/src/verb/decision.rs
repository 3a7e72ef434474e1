//! `berth decision`: what was decided lately.

use clap::Subcommand;

use crate::args::Common;
use crate::problem::{Exit, Problem};
use crate::verb::explain;

mod list;
mod replay;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List decisions, newest first
    List(list::Args),
    /// The same as `explain decision`
    Show(explain::decision::Args),
    /// Decide again from what was recorded, and compare (administrators)
    Replay(replay::Args),
}

/// Does what the verb says.
pub async fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    match verb {
        Verb::List(args) => list::run(args, common).await,
        Verb::Show(args) => explain::decision::run(args, common).await,
        Verb::Replay(args) => replay::run(args, common).await,
    }
}
