//! `berth import`: people of another hub.

use clap::Subcommand;

use crate::args::Common;
use crate::problem::{Exit, Problem};

mod jupyterhub;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// People of a JupyterHub 5 or 6, with their tokens
    Jupyterhub(jupyterhub::Args),
}

/// Does what the verb says.
pub async fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    match verb {
        Verb::Jupyterhub(args) => jupyterhub::run(args, common).await,
    }
}
