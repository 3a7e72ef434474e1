//! `berth server events ID|USER[/NAME]`: what is known of a server's life, oldest first.

use berth_common::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Server, all};
use crate::api::{self, ReasonText};
use crate::args::{Common, ServerRef};
use crate::print::{Cell, Column, Listing, versioned};
use crate::problem::{Exit, Problem};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id or its beginning, USER, or USER/NAME
    #[arg(value_name = "SERVER")]
    server: ServerRef,
}

#[derive(Debug, Deserialize)]
struct Decision {
    id: String,
    #[serde(default, deserialize_with = "api::moment")]
    at: Option<Timestamp>,
    reason: ReasonText,
    sentence: String,
}

struct Event {
    at: Timestamp,
    kind: &'static str,
    code: String,
    text: String,
}

const COLUMNS: &[Column<Event>] = &[
    Column::new("AT", "at", |it: &Event, now| Cell::moment(Some(it.at), now)),
    Column::new("WHAT", "kind", |it: &Event, _| Cell::text(it.kind)),
    Column::new("CODE", "reason", |it: &Event, _| match it.code.as_str() {
        "" => Cell::both("-", ""),
        code => Cell::text(code),
    }),
    Column::new("TEXT", "text", |it: &Event, _| Cell::text(&it.text)),
];

/// Asks and prints.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "tell a server's life";
    let hub = common.connection()?;
    let servers = all(&hub, what).await?;
    let server = servers.find(&args.server, what)?;
    let path = api::path(&["berth", "servers", &server.id, "decisions"]);
    let answer = api::get(&hub, what, &path).await?;
    let decisions: Vec<Decision> = answer.rows(what, "decisions")?;
    let events = life(server, decisions);
    let json = versioned("events", events.iter().map(row).collect());
    common.style().list(&Listing {
        json: &json,
        columns: COLUMNS,
        rows: &events,
        name: |it| format!("{} {}", it.at, it.kind),
        now: answer.now,
        empty: "Nothing is known of it.",
    })?;
    Ok(Exit::Done)
}

fn life(server: &Server, decisions: Vec<Decision>) -> Vec<Event> {
    let decided = decisions.into_iter().filter_map(|it| {
        let text = format!("{} ({})", it.sentence, it.id);
        Some(Event { at: it.at?, kind: "decision", code: it.reason.code, text })
    });
    let steps = server.steps.iter().flatten().filter_map(|it| {
        Some(Event { at: it.at?, kind: "step", code: String::new(), text: it.step.clone() })
    });
    let kills = server.kills.iter().filter_map(|it| {
        Some(Event { at: it.at?, kind: "killed", code: String::new(), text: it.text.clone() })
    });
    let ended = server.last_end.iter().filter_map(|it| {
        let text = [it.reason.text.as_str(), it.detail.as_str()].join(" ").trim().to_owned();
        Some(Event { at: it.at?, kind: "end", code: it.reason.code.clone(), text })
    });
    let mut all: Vec<_> = decided.chain(steps).chain(kills).chain(ended).collect();
    all.sort_by_key(|it| it.at);
    all
}

fn row(it: &Event) -> Value {
    json!({ "at": it.at.to_string(), "kind": it.kind, "reason": it.code, "text": it.text })
}
