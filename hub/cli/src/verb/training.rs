//! `berth training`: courses with dates, people and hosts of their own.

use clap::Subcommand;
use serde::Deserialize;

use berth_common::Timestamp;

use crate::api;
use crate::args::Common;
use crate::problem::{Exit, Problem};

mod check;
mod list;
mod order;
mod rehearse;
mod show;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the trainings that you take part in, teach or administer
    List(list::Args),
    /// When it is on, and how far each participant is
    Show(show::Args),
    /// Look for what would go wrong with it; exit code 1 if anything would
    Check(check::Args),
    /// Start throw-away servers of it, measure the starts, and end them
    Rehearse(rehearse::Args),
    /// Open it now, whatever its file says (administrators)
    Open(order::Lasting),
    /// Put off the end of one that is on
    Extend(order::Lasting),
    /// Close it for the rest of the hours that are on (administrators)
    Close(order::Close),
}

/// Does what the verb says.
pub async fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    match verb {
        Verb::List(args) => list::run(args, common).await,
        Verb::Show(args) => show::run(args, common).await,
        Verb::Check(args) => check::run(args, common).await,
        Verb::Rehearse(args) => rehearse::run(args, common).await,
        Verb::Open(args) => order::last(args, "open", common).await,
        Verb::Extend(args) => order::last(args, "extend", common).await,
        Verb::Close(args) => order::close(args, common).await,
    }
}

/// A training as the hub tells it.
#[derive(Debug, Deserialize)]
pub struct Training {
    name: String,
    title: String,
    role: String,
    state: String,
    pool: String,
    #[serde(default, deserialize_with = "api::moment")]
    opens: Option<Timestamp>,
    #[serde(default, deserialize_with = "api::moment")]
    closes: Option<Timestamp>,
    #[serde(default, deserialize_with = "api::moment")]
    from: Option<Timestamp>,
    #[serde(default, deserialize_with = "api::moment")]
    to: Option<Timestamp>,
    #[serde(default)]
    expected: Option<u64>,
    #[serde(default)]
    connected: Option<u64>,
}
