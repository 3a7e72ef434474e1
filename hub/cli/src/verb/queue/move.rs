//! `berth queue move ID|USER[/NAME] --to first|last --reason WHY`.

use clap::ValueEnum;
use http::Method;
use serde_json::{Value, json};

use crate::api;
use crate::args::{Common, ServerRef};
use crate::print::say;
use crate::problem::{Exit, Problem};
use crate::verb::confirm::Sure;
use crate::verb::server;

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    First,
    Last,
}

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id or its beginning, USER, or USER/NAME
    #[arg(value_name = "SERVER")]
    server: ServerRef,
    /// Before all others of its pool, or after them
    #[arg(long, value_enum, value_name = "first|last", hide_possible_values = true)]
    to: To,
    /// Why; it is kept in the audit
    #[arg(long, value_name = "WHY")]
    reason: String,
    #[command(flatten)]
    sure: Sure,
}

/// Moves it.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "move it in the queue";
    let hub = common.connection()?;
    let servers = server::all(&hub, what).await?;
    let server = servers.find(&args.server, what)?;
    let title = server.title();
    let to = if args.to == To::First { "first" } else { "last" };
    if let Some(exit) = args.sure.only_looks(&format!("{title} would come {to}."))? {
        return Ok(exit);
    }
    args.sure.ask(&format!("Let {title} come {to}?"), "the queue is as it was")?;
    let path = api::path(&["berth", "queue", &server.id]);
    let body = json!({ "to": to, "reason": args.reason });
    let answer = api::send(&hub, what, Method::PUT, &path, Some(&body)).await?;
    let style = common.style();
    if style.is_for_programs() {
        style.value(&answer.body)?;
        return Ok(Exit::Done);
    }
    let place = answer.body.pointer("/queue/place").and_then(Value::as_u64);
    let place = place.map_or(String::new(), |place| format!(", in place {place} now"));
    say(&format!("{title} comes {to}{place}."))?;
    Ok(Exit::Done)
}
