//! `berth top`: who uses most memory now.

use super::all;
use crate::args::Common;
use crate::problem::{Exit, Problem};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: usize,
}

/// Asks and prints, the largest first.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let hub = common.connection()?;
    let mut servers = all(&hub, "list servers").await?;
    servers.keep(|server| server.memory.used.is_some());
    servers.largest_first(args.limit);
    servers.print(&common.style())?;
    Ok(Exit::Done)
}
