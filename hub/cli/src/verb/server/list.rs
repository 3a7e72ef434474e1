//! `berth server list`, or `berth ls`.

use berth_common::{HostId, Username};

use super::all;
use crate::args::Common;
use crate::problem::{Exit, Problem};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Ended ones too
    #[arg(long)]
    all: bool,
    /// Only of this person
    #[arg(long, value_name = "USER")]
    user: Option<Username>,
    /// Only on this host
    #[arg(long, value_name = "HOST")]
    host: Option<HostId>,
}

/// Asks and prints.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let hub = common.connection()?;
    let mut servers = all(&hub, "list servers").await?;
    servers.keep(|server| {
        (args.all || server.is_active())
            && args.user.as_ref().is_none_or(|user| server.user == user.as_str())
            && args.host.as_ref().is_none_or(|host| server.host.as_deref() == Some(host.as_str()))
    });
    servers.print(&common.style())?;
    Ok(Exit::Done)
}
