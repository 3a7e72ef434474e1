//! `berth drain`: hosts that are emptied or take nothing new, and the way back.

use berth_common::Timestamp;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api;
use crate::args::Common;
use crate::print::{Cell, Column, Listing, Tone};
use crate::problem::{Exit, Problem};
use crate::text;
use crate::verb::host::intent::{self, Change, Outcome, Which};

pub mod watch;

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
    /// Tell each change until the hosts are empty
    #[command(visible_alias = "status")]
    Watch(watch::Args),
    /// Let hosts that are emptied take servers again
    Cancel(Cancel),
}

#[derive(Debug, clap::Args)]
struct Cancel {
    #[command(flatten)]
    which: Which,
    /// Let what runs there go on, and still take nothing new
    #[arg(long, requires = "reason")]
    keep_cordoned: bool,
    /// Why it stays cordoned
    #[arg(long, value_name = "WHY", requires = "keep_cordoned")]
    reason: Option<String>,
}

impl Args {
    /// Whether it is the list that is asked for.
    pub fn only_lists(&self) -> bool {
        matches!(self.verb, None | Some(Verb::List))
    }
}

/// Does what the verb says.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    match &args.verb {
        None | Some(Verb::List) => list(common).await,
        Some(Verb::Watch(args)) => watch::run(args, common).await,
        Some(Verb::Cancel(args)) => cancel(args, common).await,
    }
}

#[derive(Debug, Deserialize)]
struct Drain {
    host: String,
    state: String,
    left: usize,
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
}

const COLUMNS: &[Column<Drain>] = &[
    Column::new("HOST", "host", |it: &Drain, _| Cell::text(&it.host)),
    Column::new("STATE", "state", |it: &Drain, _| Cell::state(&it.state)),
    Column::new("LEFT", "left", |it: &Drain, _| Cell::text(it.left.to_string())).right(),
    Column::new("BY", "by", |it: &Drain, now| moment(it.intent.by, now)),
    Column::new("THEN", "at_deadline", |it: &Drain, _| {
        Cell::maybe(it.intent.at_deadline.as_ref().filter(|_| it.intent.by.is_some()))
    }),
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
    common.style().list(&Listing {
        json: &answer.body,
        columns: COLUMNS,
        rows: &drains,
        name: |it| it.host.clone(),
        now: answer.now,
        empty: "Every host takes servers.",
    })?;
    Ok(Exit::Done)
}

async fn cancel(args: &Cancel, common: &Common) -> Result<Exit, Problem> {
    let body = match &args.reason {
        Some(reason) => json!({ "intent": "cordoned", "reason": reason }),
        None => json!({ "intent": "open" }),
    };
    let change = Change { verb: "cancel the drain of", body, sentence };
    intent::run(&args.which, &change, common).await
}

fn sentence(outcome: &Outcome, _: Timestamp) -> String {
    let Outcome { host, state, dry_run, .. } = outcome;
    let is = if *dry_run { "would be" } else { "is" };
    match state.as_str() {
        "cordoned" if !dry_run => format!("{host} {is} emptied no more, and takes nothing new."),
        _ => format!("{host} {is} emptied no more; nobody there is stopped for it."),
    }
}
