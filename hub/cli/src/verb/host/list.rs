//! `berth host list`.

use serde_json::Value;

use super::{COLUMNS, Host};
use crate::api;
use crate::args::Common;
use crate::print::Listing;
use crate::problem::{Exit, Problem};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Asks and prints.
pub async fn run(_: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "list hosts";
    let hub = common.connection()?;
    let answer = api::get(&hub, what, &api::path(&["berth", "hosts"])).await?;
    let hosts: Vec<Host> = api::read(what, answer.body.get("hosts").unwrap_or(&Value::Null))?;
    common.style().list(&Listing {
        json: &answer.body,
        columns: COLUMNS,
        rows: &hosts,
        name: |host| host.name.clone(),
        now: answer.now,
        empty: "No host has joined or is declared.",
    })?;
    Ok(Exit::Done)
}
