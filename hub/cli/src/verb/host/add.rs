//! `berth host add NAME`: a join token, and what to run on the host.

use berth_common::{HostId, Timestamp};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::api;
use crate::args::Common;
use crate::connection::{Answer, Connection, HubUrl};
use crate::print::say;
use crate::problem::{Exit, Problem};
use crate::text;
use crate::verb::confirm::Sure;

/// Where hubs listen for agents if their files say nothing else.
const AGENTS_PORT: u16 = 8443;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which host; hosts.d must declare it
    #[arg(value_name = "HOST")]
    name: HostId,
    /// The hub as the host reaches it
    #[arg(long, value_name = "HOST[:PORT]")]
    hub: Option<String>,
    #[command(flatten)]
    sure: Sure,
}

#[derive(Debug, Deserialize)]
struct JoinToken {
    token: String,
    #[serde(default, deserialize_with = "api::moment")]
    expires_at: Option<Timestamp>,
}

/// Makes the token.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = format!("add the host {}", args.name);
    let would = format!("A token would be made by which {} joins.", args.name);
    if let Some(exit) = args.sure.only_looks(&would)? {
        return Ok(exit);
    }
    let hub = common.connection()?;
    let path = api::path(&["berth", "hosts", args.name.as_str(), "join-token"]);
    let answer = hub
        .call(Method::POST, &path, None)
        .await
        .map_err(|error| api::away(&hub, &what, &error))?;
    if !answer.status.is_success() {
        return Err(
            undeclared(&what, &answer).unwrap_or_else(|| api::refusal(&hub, &what, &answer))
        );
    }
    let JoinToken { token, expires_at } = api::read(&what, &answer.body)?;
    if common.quiet {
        say(&token)?;
        return Ok(Exit::Done);
    }
    let command = format!("berth-agent join {token} --hub {}", as_hosts_reach(args, &hub));
    let style = common.style();
    if style.is_for_programs() {
        let mut value = answer.body.clone();
        value["command"] = Value::String(command);
        style.value(&value)?;
    } else {
        let until = expires_at.map_or(String::new(), |at| {
            let in_all = text::ago(answer.now, at);
            format!(" The token works once, until {} ({in_all}).", text::local(at, answer.now))
        });
        say(&format!("Run this on {} as root.{until}\n", args.name))?;
        say(&format!("  {command}\n"))?;
        say("Then start the services berth-agent and berth-agent-tunnel there.")?;
    }
    Ok(Exit::Done)
}

/// The hub's message holds the lines to add; they are worth nothing in one line.
fn undeclared(what: &str, answer: &Answer) -> Option<Problem> {
    let message = answer.body.get("message").and_then(Value::as_str)?;
    let (why, lines) = message.split_once("\n\n")?;
    let advice = format!("\n{lines}\n\nThen run the same command again.");
    (answer.status == StatusCode::NOT_FOUND)
        .then(|| Problem::new(Exit::NotFound, format!("cannot {what}"), why, advice))
}

fn as_hosts_reach(args: &Args, hub: &Connection) -> String {
    let name = match (&args.hub, &hub.url) {
        (Some(named), _) => named.clone(),
        (None, HubUrl::Tcp { host, .. }) if !hub.url.is_this_machine() => host.clone(),
        _ => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    };
    let port = name.rsplit_once(':').map(|(_, port)| port);
    if port.is_some_and(|port| port.parse::<u16>().is_ok()) {
        name
    } else {
        format!("{name}:{AGENTS_PORT}")
    }
}
