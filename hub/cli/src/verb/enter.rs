//! `berth enter ID|USER[/NAME] --reason R`: into another person's server, for a while.

use berth_common::Timestamp;
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::server::all;
use crate::api;
use crate::args::{Common, ServerRef, Span};
use crate::print::{note, say};
use crate::problem::{Exit, Problem};
use crate::text;
use crate::verb::confirm::Sure;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id or its beginning, USER, or USER/NAME
    #[arg(value_name = "SERVER")]
    server: ServerRef,
    /// Why; the owner reads it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// For how long; an hour if nothing is said
    #[arg(long, value_name = "SPAN")]
    r#for: Option<Span>,
    #[command(flatten)]
    sure: Sure,
}

#[derive(Debug, Deserialize)]
struct Visit {
    url: String,
    #[serde(default, deserialize_with = "api::moment")]
    until: Option<Timestamp>,
}

/// Asks to be let in, and prints where.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "enter the server";
    let hub = common.connection()?;
    let servers = all(&hub, what).await?;
    let server = servers.find(&args.server, what)?;
    let would = format!("You would be let into {}, and its owner told.", server.title());
    if let Some(exit) = args.sure.only_looks(&would)? {
        return Ok(exit);
    }
    let mut body = Map::from_iter([("reason".to_owned(), json!(args.reason))]);
    if let Some(span) = &args.r#for {
        body.insert("for".into(), json!(span.0.0));
    }
    let path = api::path(&["berth", "servers", &server.id, "visits"]);
    let answer = api::send(&hub, what, Method::POST, &path, Some(&Value::Object(body))).await?;
    let visit: Visit = api::read(what, answer.body.get("visit").unwrap_or(&Value::Null))?;
    let style = common.style();
    if style.is_for_programs() && !common.quiet {
        style.value(&answer.body)?;
        return Ok(Exit::Done);
    }
    say(&visit.url)?;
    if !common.quiet {
        let until = visit.until.map_or("?".into(), |at| text::local(at, answer.now));
        note(&format!("Until {until}. The owner of {} is told who came and why.", server.title()));
    }
    Ok(Exit::Done)
}
