//! `berth drain status [ID|HOST]...`: how far each is, and who is still there.

use berth_common::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::named::Named;
use super::{Drain, moment};
use crate::api;
use crate::args::{Common, Hosts};
use crate::print::{Cell, Column, Listing, Style, say, versioned};
use crate::problem::{Exit, Problem};
use crate::text;
use crate::verb::server::title;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Drains by their numbers, also past ones, or hosts; else all
    #[arg(value_name = "ID|HOST")]
    named: Vec<Named>,
}

/// A server that is still there.
#[derive(Debug, Deserialize)]
pub struct Server {
    id: String,
    user: Option<String>,
    name: Option<String>,
    #[serde(default, deserialize_with = "api::moment")]
    told_at: Option<Timestamp>,
    #[serde(default)]
    mailed: bool,
    #[serde(default)]
    stopping: bool,
    #[serde(default, deserialize_with = "api::moment")]
    last_activity: Option<Timestamp>,
}

const SERVERS: &[Column<Server>] = &[
    Column::new("SERVER", "id", |it: &Server, _| {
        let name = it.name.as_deref().unwrap_or_default();
        Cell::both(it.user.as_ref().map_or_else(|| it.id.clone(), |it| title(it, name)), &it.id)
    }),
    Column::new("ACTIVE", "last_activity", |it: &Server, now| Cell::ago(it.last_activity, now))
        .right(),
    Column::new("TOLD", "told_at", |it: &Server, now| moment(it.told_at, now)),
    Column::new("MAILED", "mailed", |it: &Server, _| Cell::yes(it.mailed)),
    Column::new("STATE", "stopping", |it: &Server, _| {
        Cell::both(if it.stopping { "stopping" } else { "there" }, it.stopping.to_string())
    }),
];

/// Asks and prints.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "show the drain";
    let hub = common.connection()?;
    let all = api::get(&hub, what, &api::path(&["berth", "drains"])).await?;
    let listed: Vec<Value> = all.rows(what, "drains")?;
    let mut found = Vec::new();
    for named in &args.named {
        match named {
            Named::Drain(id) => {
                let path = api::path(&["berth", "drains", &id.to_string()]);
                let answer = api::get(&hub, &format!("{what} {id}"), &path).await?;
                found.push(answer.body.get("drain").cloned().unwrap_or_default());
            }
            Named::Hosts(Hosts(hosts)) => {
                for host in hosts {
                    let row = listed.iter().find(|row| row["host"] == host.as_str());
                    found.push(row.cloned().ok_or_else(|| none(host.as_str()))?);
                }
            }
        }
    }
    if args.named.is_empty() {
        found = listed.into_iter().filter(|row| !row["id"].is_null()).collect();
    }
    show(&found, all.now, &common.style())
}

fn none(host: &str) -> Problem {
    let why = format!("{host} is neither emptied nor cordoned.");
    let advice = "'berth drain' lists the hosts that are.";
    Problem::new(Exit::NotFound, format!("cannot show the drain of {host}"), why, advice)
}

fn show(found: &[Value], now: Timestamp, style: &Style) -> Result<Exit, Problem> {
    let drains: Vec<Drain> = api::read("show the drain", &json!(found))?;
    if style.is_for_programs() || drains.is_empty() {
        super::print(style, &versioned("drains", json!(found)), &drains, now)?;
        return Ok(Exit::Done);
    }
    for (index, (drain, row)) in drains.iter().zip(found).enumerate() {
        if index > 0 {
            say("")?;
        }
        let servers: Vec<Server> = api::read("show the drain", &row["servers"])?;
        style.sheet(sheet(drain, now), &listing(row, &servers, now))?;
        if !servers.is_empty() {
            say("")?;
            style.list(&listing(row, &servers, now))?;
        }
    }
    Ok(Exit::Done)
}

fn listing<'a>(json: &'a Value, rows: &'a [Server], now: Timestamp) -> Listing<'a, Server> {
    Listing { json, columns: SERVERS, rows, name: |it| it.id.clone(), now, empty: "" }
}

fn sheet(drain: &Drain, now: Timestamp) -> Vec<(&'static str, Cell)> {
    let Drain { id, host, state, left, ended, intent } = drain;
    let mut lines = vec![
        ("drain", Cell::maybe(id.as_ref())),
        ("host", Cell::text(host)),
        ("state", Cell::state(state)),
    ];
    let who = intent.who.as_deref().unwrap_or("?");
    let since = intent.since.map_or_else(|| "?".to_owned(), |at| text::local(at, now));
    lines.push(("ordered", Cell::text(format!("{since} by {who}"))));
    lines.push(("reason", Cell::maybe(intent.reason.as_ref())));
    if let Some(message) = &intent.message {
        lines.push(("people read", Cell::text(message)));
    }
    if id.is_some() {
        let then = intent.at_deadline.as_deref().map(|word| match word {
            "hold" => "whoever is left stays",
            _ => "whoever is left is stopped",
        });
        lines.push((
            "by",
            Cell::text(match intent.by {
                Some(by) => format!("{}; then {}", text::local(by, now), then.unwrap_or("?")),
                None => "whenever its servers have ended".to_owned(),
            }),
        ));
    }
    if let Some(ended) = ended {
        lines.push(("ended", Cell::text(text::local(*ended, now))));
    }
    lines.push(("left", Cell::text(left.to_string())));
    lines
}
