//! `berth token revoke ID`.

use http::Method;

use super::Owner;
use crate::api;
use crate::args::Common;
use crate::print::say;
use crate::problem::{Exit, Problem};
use crate::verb::confirm::Sure;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As `berth token list` shows it, e.g. a12
    #[arg(value_name = "TOKEN", required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    owner: Owner,
    #[command(flatten)]
    sure: Sure,
}

/// Ends them, one after the other.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let hub = common.connection()?;
    let user = api::person(&hub, "end a token", args.owner.user.as_ref()).await?;
    let ids = args.ids.join(", ");
    if let Some(exit) = args.sure.only_looks(&format!("{ids} of {user} would end."))? {
        return Ok(exit);
    }
    for id in &args.ids {
        let what = format!("end token {id} of {user}");
        let path = api::path(&["users", &user, "tokens", id]);
        api::send(&hub, &what, Method::DELETE, &path, None).await?;
        if !common.quiet {
            say(&format!("Token {id} of {user} has ended."))?;
        }
    }
    Ok(Exit::Done)
}
