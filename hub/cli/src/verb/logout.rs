//! `berth logout`: ends the token of `berth login` and forgets the hub.

use http::Method;

use crate::api;
use crate::args::Common;
use crate::connection::Connection;
use crate::print::{note, say};
use crate::problem::{Exit, Problem};
use crate::settings::SettingsError;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Ends and forgets. What is saved here goes even when the hub is away.
pub async fn run(_: &Args, common: &Common) -> Result<Exit, Problem> {
    let sources = common.sources();
    let Some(saved) = sources.saved().map_err(SettingsError::problem)? else {
        note("You are not logged in.");
        return Ok(Exit::Done);
    };
    if saved.token.is_some()
        && let Err(problem) = end(&saved).await
    {
        note(&problem.to_string());
        note("warning: the token is forgotten here, but opens the hub until it ends");
    }
    sources.forget().map_err(SettingsError::problem)?;
    if !common.quiet {
        say(&format!("Logged out of {}.", saved.url))?;
    }
    Ok(Exit::Done)
}

async fn end(saved: &Connection) -> Result<(), Problem> {
    let what = "end the token";
    let (_, who) = api::whoami(saved, what).await?;
    if let Some(id) = who.token_id {
        let path = api::path(&["users", &who.name, "tokens", &id]);
        api::send(saved, what, Method::DELETE, &path, None).await?;
    }
    Ok(())
}
