//! `berth server extend ID|USER[/NAME] [--for 1d]`.

use http::Method;
use serde_json::{Map, Value, json};

use super::{Server, all};
use crate::api;
use crate::args::{Common, ServerRef, Span};
use crate::print::say;
use crate::problem::{Exit, Problem};
use crate::text;
use crate::verb::confirm::Sure;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id or its beginning, USER, or USER/NAME
    #[arg(value_name = "SERVER")]
    server: ServerRef,
    /// How much longer, in the site's steps; one if nothing is said
    #[arg(long, value_name = "SPAN")]
    r#for: Option<Span>,
    #[command(flatten)]
    sure: Sure,
}

/// Asks for more time, and says when the server stops then.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "extend the server";
    let hub = common.connection()?;
    let servers = all(&hub, what).await?;
    let server = servers.find(&args.server, what)?;
    let title = server.title();
    let longer = args.r#for.map_or("one step".to_owned(), |span| span.to_string());
    if let Some(exit) = args.sure.only_looks(&format!("{title} would stop {longer} later."))? {
        return Ok(exit);
    }
    let mut body = Map::new();
    if let Some(span) = &args.r#for {
        body.insert("for".into(), json!(span.0.0));
    }
    let path = api::path(&["berth", "servers", &server.id, "extend"]);
    let answer = api::send(&hub, what, Method::POST, &path, Some(&Value::Object(body))).await?;
    let server: Server = api::read(what, answer.body.get("server").unwrap_or(&Value::Null))?;
    if !common.quiet {
        let life = server.life.as_ref();
        let stops = life.and_then(|life| life.stops_at);
        let stops = stops.map_or("?".into(), |at| text::local(at, answer.now));
        let left = life.map_or(String::new(), |life| {
            format!(" ({} of {} extensions left)", life.extension.left, life.extension.of)
        });
        say(&format!("{title} stops {stops} if nothing goes on in it{left}."))?;
    }
    Ok(Exit::Done)
}
