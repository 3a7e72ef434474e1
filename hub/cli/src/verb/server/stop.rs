//! `berth server stop ID|USER[/NAME]`.

use http::{Method, StatusCode};
use serde_json::json;

use super::{Server, all};
use crate::api;
use crate::args::{Common, Patience, ServerRef};
use crate::connection::Connection;
use crate::print::{note, say};
use crate::problem::{Exit, Problem};
use crate::verb::confirm::Sure;

/// The hub waits ten seconds a call; a stop takes longer only if its host is in trouble.
const CALLS: usize = 6;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id or its beginning, USER, or USER/NAME
    #[arg(value_name = "SERVER")]
    pub(super) server: ServerRef,
    /// Why, if it is somebody else's; it is kept in the audit
    #[arg(long, value_name = "WHY")]
    pub(super) reason: Option<String>,
    #[command(flatten)]
    pub(super) sure: Sure,
    #[command(flatten)]
    pub(super) patience: Patience,
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
    if let Some(exit) = args.sure.only_looks(&format!("{found} would be stopped."))? {
        return Ok(exit);
    }
    need_reason(&hub, what, server, args.reason.as_deref()).await?;
    let question = format!("Stop {found}? What is not saved there is lost.");
    args.sure.ask(&question, "nothing was stopped")?;
    stop(&hub, server, args.reason.as_deref(), args.patience, common).await
}

/// Whoever ends another person's work says why.
///
/// # Errors
/// When it is another person's and nothing was said.
pub async fn need_reason(
    hub: &Connection,
    what: &str,
    server: &Server,
    reason: Option<&str>,
) -> Result<(), Problem> {
    if reason.is_some_and(|reason| !reason.trim().is_empty()) {
        return Ok(());
    }
    let (_, me) = api::whoami(hub, what).await?;
    if me.kind == "user" && me.name == server.user {
        return Ok(());
    }
    let why = format!("it is {}'s, and the audit has no reason yet", server.user);
    Err(Problem::new(Exit::Usage, format!("cannot {what}"), why, "Say why with --reason WHY."))
}

/// Stops it and waits for the end, as long as there is patience.
///
/// # Errors
/// When the hub does not answer or refuses.
pub async fn stop(
    hub: &Connection,
    server: &Server,
    reason: Option<&str>,
    patience: Patience,
    common: &Common,
) -> Result<Exit, Problem> {
    let title = server.title();
    let what = format!("stop server {title}");
    let path = if server.name.is_empty() {
        api::path(&["users", &server.user, "server"])
    } else {
        api::path(&["users", &server.user, "servers", &server.name])
    };
    let body = reason.map(|reason| json!({ "reason": reason }));
    let used_up = patience.used_up();
    tokio::pin!(used_up);
    for call in 0..CALLS {
        let answer = tokio::select! {
            answer = api::send(hub, &what, Method::DELETE, &path, body.as_ref()) => answer?,
            // The order may be under way already, and is never taken back.
            _ = tokio::signal::ctrl_c() => break,
            () = &mut used_up => break,
        };
        if answer.status != StatusCode::ACCEPTED {
            tell(common, &format!("{title} is stopped."))?;
            return Ok(Exit::Done);
        }
        if patience.detach {
            tell(common, &format!("{title} is being stopped."))?;
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
