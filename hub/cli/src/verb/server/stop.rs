//! `berth server stop ID|USER[/NAME]`.

use http::{Method, StatusCode};

use super::{Server, all};
use crate::api;
use crate::args::{Common, ServerRef};
use crate::connection::Connection;
use crate::print::{note, say};
use crate::problem::{Exit, Problem};
use crate::verb::confirm::confirm;

/// The hub waits ten seconds a call; a stop takes longer only if its host is in trouble.
const CALLS: usize = 6;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id or its beginning, USER, or USER/NAME
    #[arg(value_name = "SERVER")]
    server: ServerRef,
    /// Do not ask whether it is meant
    #[arg(long, short)]
    yes: bool,
    /// Only say what would be stopped
    #[arg(long)]
    dry_run: bool,
}

/// Stops it and waits until nothing of it runs.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "stop the server";
    let hub = common.connection()?;
    let servers = all(&hub, what).await?;
    let server = servers.find(&args.server, what)?;
    let title = server.title();
    if !server.is_active() {
        tell(common, &format!("{title} does not run."))?;
        return Ok(Exit::Done);
    }
    let found = match &server.host {
        Some(host) => format!("{title} ({}, {} on {host})", server.id, server.state),
        None => format!("{title} ({}, {})", server.id, server.state),
    };
    if args.dry_run {
        say("DRY RUN - nothing is changed")?;
        say(&format!("{found} would be stopped."))?;
        return Ok(Exit::Done);
    }
    if !args.yes {
        let question = format!("Stop {found}? What is not saved there is lost.");
        confirm(&question, "nothing was stopped")?;
    }
    stop(&hub, server, common).await
}

async fn stop(hub: &Connection, server: &Server, common: &Common) -> Result<Exit, Problem> {
    let title = server.title();
    let what = format!("stop server {title}");
    let path = if server.name.is_empty() {
        api::path(&["users", &server.user, "server"])
    } else {
        api::path(&["users", &server.user, "servers", &server.name])
    };
    for call in 0..CALLS {
        let answer = tokio::select! {
            answer = api::send(hub, &what, Method::DELETE, &path, None) => answer?,
            // The order may be under way already, and is never taken back.
            _ = tokio::signal::ctrl_c() => break,
        };
        if answer.status != StatusCode::ACCEPTED {
            tell(common, &format!("{title} is stopped."))?;
            return Ok(Exit::Done);
        }
        if call == 0 && !common.quiet {
            note(&format!("{title} is being stopped; Ctrl-C leaves, the stop goes on"));
        }
    }
    note(&format!("{title} is not stopped yet; the stop goes on: berth server show {title}"));
    Ok(Exit::Continues)
}

fn tell(common: &Common, line: &str) -> Result<(), Problem> {
    if common.quiet { Ok(()) } else { say(line) }
}
