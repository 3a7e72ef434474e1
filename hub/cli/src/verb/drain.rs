//! `berth drain`: hosts that are emptied or take nothing new, and the way back.

use berth_common::Timestamp;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api;
use crate::args::Common;
use crate::print::{Cell, Column, Listing, Style, Tone};
use crate::problem::{Exit, Problem};
use crate::text;
use crate::verb::confirm::Sure;
use crate::verb::host::intent::{self, Change, Outcome, Which};

mod named;
mod status;
pub mod watch;

use named::Named;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// The verbs.
#[derive(Debug, Subcommand)]
enum Verb {
    /// List hosts that are emptied or take nothing new, as `berth drain`
    List,
    /// How far drains are, and who is still there
    Status(status::Args),
    /// Tell each change until the hosts are empty
    Watch(watch::Args),
    /// Let hosts that are emptied take servers again
    Cancel(Cancel),
}

#[derive(Debug, clap::Args)]
struct Cancel {
    /// Drains by their numbers (d-0042), or hosts, also as ranges
    #[arg(value_name = "ID|HOST", required = true)]
    named: Vec<Named>,
    #[command(flatten)]
    sure: Sure,
    /// Let what runs there go on, and still take nothing new
    #[arg(long, requires = "reason")]
    keep_cordoned: bool,
    /// Why it stays cordoned
    #[arg(long, value_name = "WHY", requires = "keep_cordoned")]
    reason: Option<String>,
}

impl Args {
    /// Whether it is only told what there is.
    pub fn only_lists(&self) -> bool {
        matches!(self.verb, None | Some(Verb::List | Verb::Status(_)))
    }
}

/// Does what the verb says.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    match &args.verb {
        None | Some(Verb::List) => list(common).await,
        Some(Verb::Status(args)) => status::run(args, common).await,
        Some(Verb::Watch(args)) => watch::run(args, common).await,
        Some(Verb::Cancel(args)) => cancel(args, common).await,
    }
}

#[derive(Debug, Deserialize)]
struct Drain {
    #[serde(default)]
    id: Option<String>,
    host: String,
    state: String,
    left: usize,
    #[serde(default, deserialize_with = "api::moment")]
    ended: Option<Timestamp>,
    intent: Intent,
}

#[derive(Debug, Deserialize)]
struct Intent {
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    who: Option<String>,
    #[serde(default, deserialize_with = "api::moment")]
    since: Option<Timestamp>,
    #[serde(default, deserialize_with = "api::moment")]
    by: Option<Timestamp>,
    #[serde(default)]
    at_deadline: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

const COLUMNS: &[Column<Drain>] = &[
    Column::new("ID", "id", |it: &Drain, _| Cell::maybe(it.id.as_ref())),
    Column::new("HOST", "host", |it: &Drain, _| Cell::text(&it.host)),
    Column::new("STATE", "state", |it: &Drain, _| Cell::state(&it.state)),
    Column::new("LEFT", "left", |it: &Drain, _| Cell::text(it.left.to_string())).right(),
    Column::new("BY", "by", |it: &Drain, now| moment(it.intent.by, now)),
    Column::new("THEN", "at_deadline", |it: &Drain, _| {
        Cell::maybe(it.intent.at_deadline.as_ref().filter(|_| it.intent.by.is_some()))
    })
    .wide(),
    Column::new("WHO", "who", |it: &Drain, _| Cell::maybe(it.intent.who.as_ref())),
    Column::new("SINCE", "since", |it: &Drain, now| moment(it.intent.since, now)),
    Column::new("REASON", "reason", |it: &Drain, _| {
        Cell::maybe(it.intent.reason.as_ref()).toned(Tone::Plain)
    }),
];

fn moment(at: Option<Timestamp>, now: Timestamp) -> Cell {
    match at {
        Some(at) => Cell::both(text::local(at, now), at.to_string()),
        None => Cell::maybe(None::<&str>),
    }
}

async fn list(common: &Common) -> Result<Exit, Problem> {
    let what = "list drains";
    let hub = common.connection()?;
    let answer = api::get(&hub, what, &api::path(&["berth", "drains"])).await?;
    let drains: Vec<Drain> = api::read(what, answer.body.get("drains").unwrap_or(&Value::Null))?;
    print(&common.style(), &answer.body, &drains, answer.now)?;
    Ok(Exit::Done)
}

fn print(style: &Style, json: &Value, drains: &[Drain], now: Timestamp) -> Result<(), Problem> {
    style.list(&Listing {
        json,
        columns: COLUMNS,
        rows: drains,
        name: |it| it.id.clone().unwrap_or_else(|| it.host.clone()),
        now,
        empty: "Every host takes servers.",
    })
}

async fn cancel(args: &Cancel, common: &Common) -> Result<Exit, Problem> {
    let body = match &args.reason {
        Some(reason) => json!({ "intent": "cordoned", "reason": reason }),
        None => json!({ "intent": "open" }),
    };
    let verb = "cancel the drain of";
    let hub = common.connection()?;
    let drains = named::hosts(&hub, "cancel the drain", &args.named).await?;
    let which = Which::of_drains(drains, args.sure);
    intent::run(&which, &Change { verb, body, sentence }, common).await
}

fn sentence(outcome: &Outcome, _: Timestamp) -> String {
    let Outcome { host, state, dry_run, .. } = outcome;
    let is = if *dry_run { "would be" } else { "is" };
    match state.as_str() {
        "cordoned" if !dry_run => format!("{host} {is} emptied no more, and takes nothing new."),
        _ => format!("{host} {is} emptied no more; nobody there is stopped for it."),
    }
}
