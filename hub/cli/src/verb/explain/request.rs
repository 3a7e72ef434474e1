//! `berth explain request`.

use berth_common::ServerName;

use super::{dry_run, print};
use crate::args::{Common, Wish};
use crate::problem::{Exit, Problem};

/// Options.
#[derive(Debug, clap::Args)]
#[command(after_help = "What is not said is the site's or the profile's default.")]
pub struct Args {
    #[command(flatten)]
    wish: Wish,
    /// A further server beside the default one
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    name: ServerName,
    /// Exit with 9 if it would wait, with 3 if refused
    #[arg(long)]
    exit_code: bool,
}

/// Asks and prints.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let hub = common.connection()?;
    let user = args.wish.user.as_ref().map(berth_common::Username::as_str);
    let (answer, decision) =
        dry_run(&hub, "explain the request", user, &args.name, &args.wish).await?;
    print(&common.style(), &decision, &answer, true)?;
    Ok(if args.exit_code { decision.exit() } else { Exit::Done })
}
