//! `berth profile`: what can be started.

use clap::Subcommand;

use crate::args::Common;
use crate::problem::{Exit, Problem};

mod list;
mod show;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List profiles, with what would come of asking for each now
    List(list::Args),
    /// Show one profile
    Show(show::Args),
}

/// Does what the verb says.
pub async fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    match verb {
        Verb::List(args) => list::run(args, common).await,
        Verb::Show(args) => show::run(args, common).await,
    }
}
