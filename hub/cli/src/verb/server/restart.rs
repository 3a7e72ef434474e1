//! `berth server restart ID|USER[/NAME]`: a stop and a start, one after the other.

use super::{all, start, stop};
use crate::args::{Common, Patience};
use crate::problem::{Exit, Problem};

/// Those of a stop.
pub use super::stop::Args;

/// Stops it, and starts it again when nothing of it runs any more.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "restart the server";
    let hub = common.connection()?;
    let servers = all(&hub, what).await?;
    let server = servers.find(&args.server, what)?;
    let title = server.title();
    if let Some(exit) = args.sure.only_looks(&format!("{title} would be restarted."))? {
        return Ok(exit);
    }
    if server.is_active() {
        stop::need_reason(&hub, what, server, args.reason.as_deref()).await?;
        let question = format!("Restart {title}? What is not saved there is lost.");
        args.sure.ask(&question, "nothing was restarted")?;
        // The start needs the stop to be over, so this part is always waited for.
        let ended =
            stop::stop(&hub, server, args.reason.as_deref(), Patience::default(), common).await?;
        if ended != Exit::Done {
            return Ok(ended);
        }
    }
    start::again(&hub, server, args.patience, common).await
}
