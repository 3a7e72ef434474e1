//! `berth user list`.

use serde_json::Value;

use super::{COLUMNS, User};
use crate::api;
use crate::args::Common;
use crate::print::Listing;
use crate::problem::{Exit, Problem};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Asks and prints.
pub async fn run(_: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "list users";
    let hub = common.connection()?;
    let answer = api::get(&hub, what, &api::path(&["berth", "users"])).await?;
    let users: Vec<User> = api::read(what, answer.body.get("users").unwrap_or(&Value::Null))?;
    common.style().list(&Listing {
        json: &answer.body,
        columns: COLUMNS,
        rows: &users,
        name: |user| user.name.clone(),
        now: answer.now,
        empty: "No users.",
    })?;
    Ok(Exit::Done)
}
