//! `berth token`: tokens for programs.

use berth_common::{Timestamp, Username};
use clap::Subcommand;
use serde::Deserialize;

use crate::api;
use crate::args::Common;
use crate::print::{Cell, Column};
use crate::problem::{Exit, Problem};

mod create;
mod list;
mod revoke;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List tokens, without their secrets
    List(list::Args),
    /// Make a token; it is printed once
    Create(create::Args),
    /// End a token
    Revoke(revoke::Args),
}

/// Does what the verb says.
pub async fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    match verb {
        Verb::List(args) => list::run(args, common).await,
        Verb::Create(args) => create::run(args, common).await,
        Verb::Revoke(args) => revoke::run(args, common).await,
    }
}

/// Whose tokens.
#[derive(Debug, clap::Args)]
struct Owner {
    /// Whose; yours if not given
    #[arg(long, value_name = "USER")]
    user: Option<Username>,
}

/// A token, without its secret but when it is made.
#[derive(Debug, Deserialize)]
struct Token {
    id: String,
    user: String,
    #[serde(default)]
    note: String,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    oauth_client: String,
    #[serde(default, deserialize_with = "api::moment")]
    created: Option<Timestamp>,
    #[serde(default, deserialize_with = "api::moment")]
    last_activity: Option<Timestamp>,
    #[serde(default, deserialize_with = "api::moment")]
    expires_at: Option<Timestamp>,
    token: Option<String>,
}

const COLUMNS: &[Column<Token>] = &[
    Column::new("TOKEN", "id", |token: &Token, _| Cell::text(&token.id)),
    Column::new("NOTE", "note", |token: &Token, _| Cell::text(&token.note)),
    Column::new("CREATED", "created", |token: &Token, now| Cell::moment(token.created, now)),
    Column::new("LAST USED", "last_activity", |token: &Token, now| match token.last_activity {
        None => Cell::both("never", ""),
        used => Cell::moment(used, now),
    }),
    Column::new("ENDS", "expires_at", |token: &Token, now| match token.expires_at {
        None => Cell::both("never", ""),
        ends => Cell::moment(ends, now),
    }),
    Column::new("FOR", "oauth_client", |token: &Token, _| Cell::text(&token.oauth_client)).wide(),
    Column::new("SCOPES", "scopes", |token: &Token, _| Cell::text(token.scopes.join(" "))).wide(),
];
