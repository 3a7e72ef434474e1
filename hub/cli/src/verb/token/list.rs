//! `berth token list`.

use serde_json::Value;

use super::{COLUMNS, Owner, Token};
use crate::api;
use crate::args::Common;
use crate::print::{Listing, versioned};
use crate::problem::{Exit, Problem};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    owner: Owner,
}

/// Asks and prints.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "list tokens";
    let hub = common.connection()?;
    let user = api::person(&hub, what, args.owner.user.as_ref()).await?;
    let answer = api::get(&hub, what, &api::path(&["users", &user, "tokens"])).await?;
    let list = answer.body.get("api_tokens").cloned().unwrap_or(Value::Null);
    let tokens: Vec<Token> = api::read(what, &list)?;
    common.style().list(&Listing {
        json: &versioned("api_tokens", list),
        columns: COLUMNS,
        rows: &tokens,
        name: |token| token.id.clone(),
        now: answer.now,
        empty: "No tokens.",
    })?;
    Ok(Exit::Done)
}
