//! `berth queue`: who waits.

use clap::Subcommand;

use crate::args::Common;
use crate::problem::{Exit, Problem};

mod list;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List who waits, in the order in which they are served
    List(list::Args),
}

/// Does what the verb says.
pub async fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    match verb {
        Verb::List(args) => list::run(args, common).await,
    }
}
