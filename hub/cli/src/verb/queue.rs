//! `berth queue`: who waits.

use clap::Subcommand;

use crate::args::Common;
use crate::problem::{Exit, Problem};

mod list;
mod r#move;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List who waits, in the order in which they are served
    List(list::Args),
    /// Let somebody who waits come first, or last, of all
    Move(r#move::Args),
}

/// Does what the verb says.
pub async fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    match verb {
        Verb::List(args) => list::run(args, common).await,
        Verb::Move(args) => r#move::run(args, common).await,
    }
}
