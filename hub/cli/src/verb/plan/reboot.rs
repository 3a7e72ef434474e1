//! `berth plan reboot [HOST... --reason WHY [--each SPAN] | --cancel]`.

use berth_common::Timestamp;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api;
use crate::args::{Common, Hosts, Span};
use crate::print::{Cell, Column, Listing, note, say};
use crate::problem::{Exit, Problem, plain};
use crate::text::plural;
use crate::verb::confirm::confirm;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Hosts, also as ranges: ccjn01 "ccjn0[3-5]"
    #[arg(value_name = "HOST", requires = "reason")]
    hosts: Vec<Hosts>,
    /// Why; people whose servers are there read it
    #[arg(long, value_name = "WHY", requires = "hosts")]
    reason: Option<String>,
    /// How long each may take; what is left then is stopped
    #[arg(long, value_name = "SPAN", requires = "hosts")]
    each: Option<Span>,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: exit code 5 if it would change
    #[arg(long, requires = "dry_run")]
    exit_code: bool,
    /// Do not ask whether it is meant
    #[arg(long, short)]
    yes: bool,
    /// Begin with no further host
    #[arg(long, conflicts_with = "hosts")]
    cancel: bool,
}

#[derive(Debug, Deserialize)]
struct Reboot {
    reason: String,
    who: String,
    done: bool,
    turns: Vec<Turn>,
    forecast: Option<Forecast>,
}

#[derive(Debug, Deserialize)]
struct Turn {
    host: String,
    state: String,
    #[serde(default, deserialize_with = "api::moment")]
    by: Option<Timestamp>,
    servers: u64,
}

#[derive(Debug, Deserialize)]
struct Forecast {
    restarts: usize,
    without_room: Vec<String>,
}

const COLUMNS: &[Column<Turn>] = &[
    Column::new("HOST", "host", |it: &Turn, _| Cell::text(&it.host)),
    Column::new("STATE", "state", |it: &Turn, _| Cell::text(&it.state)),
    Column::new("SERVERS", "servers", |it: &Turn, _| Cell::text(it.servers.to_string())).right(),
    Column::new("EMPTY BY", "by", |it: &Turn, now| Cell::moment(it.by, now)),
];

/// Orders, shows or takes back.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    match (args.cancel, args.hosts.is_empty()) {
        (true, _) => cancel(args, common).await,
        (false, true) => show(common).await,
        (false, false) => begin(args, common).await,
    }
}

async fn begin(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "reboot these hosts";
    let hosts: Vec<_> = args.hosts.iter().flat_map(|hosts| &hosts.0).collect();
    let count = hosts.len();
    let mut body = json!({ "hosts": hosts, "reason": args.reason, "dry_run": args.dry_run });
    if let Some(Span(each)) = args.each {
        body["each_s"] = json!(each.0);
    }
    if !args.dry_run && !args.yes {
        let question = format!("Empty and reboot {count} host{}?", plural(count));
        confirm(&question, "No host is rebooted")?;
    }
    let hub = common.connection()?;
    let path = api::path(&["berth", "reboots"]);
    let answer = api::send(&hub, what, Method::POST, &path, Some(&body)).await?;
    let reboot: Reboot = api::read(what, answer.body.get("reboot").unwrap_or(&Value::Null))?;
    if args.dry_run && !common.style().is_for_programs() {
        say("DRY RUN - nothing is changed")?;
    }
    print(&reboot, &answer.body, answer.now, common)?;
    if let Some(Forecast { restarts, without_room }) = &reboot.forecast {
        let (stuck, s) = (without_room.len(), plural(*restarts));
        note(&format!("{restarts} restart{s} if all start again at once; {stuck} find no room."));
    }
    if !args.dry_run {
        note("'berth plan reboot' shows how far it is; 'berth plan reboot --cancel' ends it.");
    }
    Ok(if args.exit_code { Exit::WouldChange } else { Exit::Done })
}

async fn show(common: &Common) -> Result<Exit, Problem> {
    let what = "show the rolling reboot";
    let hub = common.connection()?;
    let answer = api::get(&hub, what, &api::path(&["berth", "reboots"])).await?;
    let reboot: Option<Reboot> =
        api::read(what, answer.body.get("reboot").unwrap_or(&Value::Null))?;
    match reboot {
        None => print_turns(&[], &answer.body, answer.now, common)?,
        Some(reboot) => {
            let state = if reboot.done { "done" } else { "under way" };
            note(&plain(&format!("{state}: {} ({})", reboot.reason, reboot.who)));
            print(&reboot, &answer.body, answer.now, common)?;
        }
    }
    Ok(Exit::Done)
}

async fn cancel(args: &Args, common: &Common) -> Result<Exit, Problem> {
    if args.dry_run {
        say("DRY RUN - nothing is changed")?;
        say("No further host would be begun.")?;
        return Ok(if args.exit_code { Exit::WouldChange } else { Exit::Done });
    }
    if !args.yes {
        confirm("Begin with no further host?", "The reboot goes on")?;
    }
    let hub = common.connection()?;
    let path = api::path(&["berth", "reboots"]);
    api::send(&hub, "take the reboot back", Method::DELETE, &path, None).await?;
    say("No further host is begun; 'berth host undrain' opens the one whose turn it was.")?;
    Ok(Exit::Done)
}

fn print(reboot: &Reboot, json: &Value, now: Timestamp, common: &Common) -> Result<(), Problem> {
    print_turns(&reboot.turns, json, now, common)
}

fn print_turns(
    turns: &[Turn],
    json: &Value,
    now: Timestamp,
    common: &Common,
) -> Result<(), Problem> {
    common.style().list(&Listing {
        json,
        columns: COLUMNS,
        rows: turns,
        name: |turn| turn.host.clone(),
        now,
        empty: "No rolling reboot was ordered.",
    })
}
