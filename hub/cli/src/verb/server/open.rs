//! `berth server open ID|USER[/NAME]`.

use super::all;
use crate::args::{Common, ServerRef};
use crate::problem::{Exit, Problem};
use crate::verb::web;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id or its beginning, USER, or USER/NAME
    #[arg(value_name = "SERVER")]
    server: ServerRef,
}

/// Opens it.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "open the server";
    let hub = common.connection()?;
    let servers = all(&hub, what).await?;
    let server = servers.find(&args.server, what)?;
    web::open(&hub, &server.url)
}
