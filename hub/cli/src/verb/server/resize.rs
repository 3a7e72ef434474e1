//! `berth server resize ID|USER[/NAME] --memory M`.

use std::time::Duration;

use berth_common::ByteCount;
use http::Method;
use serde_json::{Value, json};

use super::{Resize, Server, all};
use crate::api;
use crate::args::{Common, Patience, ServerRef};
use crate::connection::Connection;
use crate::print::{note, reason, say};
use crate::problem::{Exit, Problem};
use crate::verb::confirm::Sure;

/// A host that answers does it within a second; after these looks, one a second, it is away.
const LOOKS: usize = 30;
const BETWEEN: Duration = Duration::from_secs(1);

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id or its beginning, USER, or USER/NAME
    #[arg(value_name = "SERVER")]
    server: ServerRef,
    /// With a unit, e.g. 40G
    #[arg(long, value_name = "MEMORY")]
    memory: ByteCount,
    /// Why, if it is somebody else's
    #[arg(long, value_name = "WHY")]
    reason: Option<String>,
    #[command(flatten)]
    sure: Sure,
    #[command(flatten)]
    patience: Patience,
}

/// Asks for it and waits until the container has the new limit.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "change the memory";
    let hub = common.connection()?;
    let servers = all(&hub, what).await?;
    let server = servers.find(&args.server, what)?;
    let path = api::path(&["berth", "servers", &server.id, "memory"]);
    let mut body = json!({ "memory": args.memory, "dry_run": args.sure.dry_run });
    if let Some(reason) = &args.reason {
        body["reason"] = json!(reason);
    }
    let answer = api::send(&hub, what, Method::PUT, &path, Some(&body)).await?;
    let changed = read(&answer.body, what)?;
    let title = server.title();
    if args.sure.dry_run {
        if !common.style().is_for_programs() {
            say("DRY RUN - nothing is changed")?;
        }
        tell(common, &answer.body, &format!("{title} would be given {}.", args.memory))?;
        return Ok(if args.sure.exit_code { Exit::WouldChange } else { Exit::Done });
    }
    if args.patience.detach {
        let line = changed.resize.as_ref().map_or_else(|| title.clone(), sentence);
        tell(common, &answer.body, &format!("{title}: {line}."))?;
        return Ok(Exit::Done);
    }
    tokio::select! {
        exit = follow(&hub, &title, (changed, answer.body), common) => exit,
        () = args.patience.used_up() => {
            note(&format!("not watched any more; the change goes on: berth server show {title}"));
            Ok(Exit::Continues)
        }
    }
}

async fn follow(
    hub: &Connection,
    title: &str,
    (mut server, mut body): (Server, Value),
    common: &Common,
) -> Result<Exit, Problem> {
    let what = "see how the change goes";
    let path = api::path(&["berth", "servers", &server.id]);
    for look in 0..LOOKS {
        let Some(resize) = &server.resize else {
            tell(common, &body, &format!("{title} has {} already.", server.memory.limit))?;
            return Ok(Exit::Done);
        };
        match resize.state.as_str() {
            "under_way" => {}
            "refused" => {
                let why = resize.refused.as_ref();
                let code = why.map_or("", |why| why.reason.code.as_str());
                let detail = why.map_or("", |why| why.detail.as_str());
                return Err(Problem::new(
                    Exit::Refused,
                    format!("cannot change the memory of {title}"),
                    reason(code, detail),
                    why.map_or("", |why| why.reason.remedy.as_str()),
                ));
            }
            _ => {
                tell(common, &body, &format!("{title}: {}.", sentence(resize)))?;
                return Ok(Exit::Done);
            }
        }
        if look == 0 && !common.quiet {
            note(&format!("{title}: {}; Ctrl-C leaves, the change goes on", sentence(resize)));
        }
        tokio::select! {
            () = tokio::time::sleep(BETWEEN.min(Duration::from_millis(200 + 200 * look as u64))) => {}
            _ = tokio::signal::ctrl_c() => break,
        }
        body = api::get(hub, what, &path).await?.body;
        server = read(&body, what)?;
    }
    note(&format!("{title} has not got it yet; the change goes on: berth server show {title}"));
    Ok(Exit::Continues)
}

/// A change in words, e.g. `memory limit 28 GB -> 40 GB, live`.
pub fn sentence(resize: &Resize) -> String {
    let Resize { before, limit, .. } = resize;
    match resize.state.as_str() {
        "under_way" => format!("memory limit {before} -> {limit} is under way"),
        "refused" => {
            let why = resize.refused.as_ref().map_or("", |why| why.detail.as_str());
            format!("memory limit stays {limit}: {why}")
        }
        _ => format!("memory limit {before} -> {limit}, live"),
    }
}

fn read(body: &Value, what: &str) -> Result<Server, Problem> {
    api::read(what, body.get("server").unwrap_or(&Value::Null))
}

/// What came of it: a line for people, the hub's answer for programs.
fn tell(common: &Common, body: &Value, line: &str) -> Result<(), Problem> {
    match common.style().is_for_programs() {
        true if common.quiet => Ok(()),
        true => common.style().value(body),
        false => say(line),
    }
}
