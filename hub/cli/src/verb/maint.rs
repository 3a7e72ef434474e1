//! `berth maint`: hosts that are to be empty for a while. Their drains begin and end by themselves.

use berth_common::{HostId, Timestamp};
use clap::Subcommand;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api;
use crate::args::{Common, Hosts, Moment, Span};
use crate::connection::Answer;
use crate::print::{Cell, Column, Listing, Tone, note, say};
use crate::problem::{Exit, Problem, plain};
use crate::text::{self, plural};
use crate::verb::confirm::Sure;
use crate::verb::take_back;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List maintenance: planned, under way, or over for a month at most
    List(List),
    /// Plan it: hosts are drained, empty for a while, and then open again
    Add(Add),
    /// Take it back; hosts that are emptied for it take servers again
    Cancel(take_back::Args),
}

/// No options.
#[derive(Debug, clap::Args)]
pub struct List {}

/// New maintenance.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "berth maint add [OPTIONS] --hosts <HOST>... --from <TIME> --to <TIME>\n                       --reason <WHY>"
)]
pub struct Add {
    /// Hosts, also as ranges: ccjn01 "ccjn0[3-5]"
    #[arg(long, value_name = "HOST", required = true, num_args = 1..)]
    hosts: Vec<Hosts>,
    /// When they are empty: "friday 18:00", or a moment
    #[arg(long, value_name = "TIME")]
    from: Moment,
    /// When they take servers again
    #[arg(long, value_name = "TIME")]
    to: Moment,
    /// Why; people whose servers are there read it
    #[arg(long, value_name = "WHY")]
    reason: String,
    /// Begin to drain so long before; else as warnings need
    #[arg(long, value_name = "SPAN")]
    ahead: Option<Span>,
    #[command(flatten)]
    sure: Sure,
}

#[derive(Debug, Deserialize)]
struct Maintenance {
    id: i64,
    hosts: Vec<String>,
    #[serde(default, deserialize_with = "api::moment")]
    from: Option<Timestamp>,
    #[serde(default, deserialize_with = "api::moment")]
    to: Option<Timestamp>,
    #[serde(default, deserialize_with = "api::moment")]
    drain_at: Option<Timestamp>,
    state: String,
    servers: usize,
    who: String,
    reason: String,
}

const COLUMNS: &[Column<Maintenance>] = &[
    Column::new("ID", "id", |it: &Maintenance, _| Cell::text(it.id.to_string())).right(),
    Column::new("STATE", "state", |it: &Maintenance, _| {
        let tone = if it.state == "begun" { Tone::Watch } else { Tone::Plain };
        Cell::text(&it.state).toned(tone)
    }),
    Column::new("DRAINS", "drain_at", |it: &Maintenance, now| Cell::moment(it.drain_at, now))
        .wide(),
    Column::new("FROM", "from", |it: &Maintenance, now| Cell::moment(it.from, now)),
    Column::new("TO", "to", |it: &Maintenance, now| Cell::moment(it.to, now)),
    Column::new("LEFT", "servers", |it: &Maintenance, _| Cell::text(it.servers.to_string()))
        .right(),
    Column::new("WHO", "who", |it: &Maintenance, _| Cell::text(&it.who)).wide(),
    Column::new("HOSTS", "hosts", |it: &Maintenance, _| {
        Cell::both(it.hosts.join(","), it.hosts.join(" "))
    }),
    Column::new("REASON", "reason", |it: &Maintenance, _| Cell::text(&it.reason)),
];

const CANCEL: take_back::Kind = take_back::Kind {
    verb: "cancel the maintenance",
    noun: "Maintenance",
    path: "maintenance",
    list: "maintenance",
    done: "taken back; its hosts take servers",
};

/// Does what the verb says.
pub async fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    match verb {
        Verb::List(_) => list(common).await,
        Verb::Add(args) => add(args, common).await,
        Verb::Cancel(args) => take_back::run(args, &CANCEL, common).await,
    }
}

async fn list(common: &Common) -> Result<Exit, Problem> {
    let path = api::path(&["berth", "maintenance"]);
    let answer = api::get(&common.connection()?, "list maintenance", &path).await?;
    let rows = answer.rows("list maintenance", "maintenance")?;
    table(&answer, &rows, common)
}

fn table(answer: &Answer, rows: &[Maintenance], common: &Common) -> Result<Exit, Problem> {
    common.style().list(&Listing {
        json: &answer.body,
        columns: COLUMNS,
        rows,
        name: |it| it.id.to_string(),
        now: answer.now,
        empty: "No maintenance is planned.",
    })?;
    Ok(Exit::Done)
}

async fn add(args: &Add, common: &Common) -> Result<Exit, Problem> {
    let what = "plan the maintenance";
    let now = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
    let hosts: Vec<HostId> = args.hosts.iter().flat_map(|hosts| hosts.0.clone()).collect();
    let count = hosts.len();
    let mut body = json!({
        "hosts": hosts,
        "from": args.from.after(now).to_string(),
        "to": args.to.after(now).to_string(),
        "reason": args.reason,
        "dry_run": args.sure.dry_run,
    });
    if let Some(Span(ahead)) = args.ahead {
        body["ahead_s"] = json!(ahead.0);
    }
    if !args.sure.dry_run {
        let question = format!("Plan to empty {count} host{}?", plural(count));
        args.sure.ask(&question, "Nothing is planned")?;
    }
    let hub = common.connection()?;
    let path = api::path(&["berth", "maintenance"]);
    let answer = api::send(&hub, what, Method::POST, &path, Some(&body)).await?;
    let row = answer.body.get("maintenance").unwrap_or(&Value::Null);
    let planned: Maintenance = api::read(what, row)?;
    let hit: Vec<String> = api::read(what, answer.body.get("trainings").unwrap_or(&json!([])))?;
    let dry_run = args.sure.dry_run;
    let exit = if dry_run { args.sure.looked() } else { Exit::Done };
    if common.style().is_for_programs() {
        table(&answer, &[planned], common)?;
        return Ok(exit);
    }
    let local =
        |at: Option<Timestamp>| at.map(|at| text::local(at, answer.now)).unwrap_or_default();
    let Maintenance { id, hosts, servers, .. } = &planned;
    let hosts = hosts.join(", ");
    let (verb, number) = match dry_run {
        true => ("would be", String::new()),
        false => ("are", format!(" (maintenance {id})")),
    };
    if dry_run {
        say("DRY RUN - nothing is changed")?;
    }
    say(&plain(&format!(
        "{hosts} {verb} emptied from {} on, and empty from {} to {}{number}.",
        local(planned.drain_at),
        local(planned.from),
        local(planned.to)
    )))?;
    say(&format!("{servers} server{} there now; their owners are told.", plural(*servers)))?;
    if !hit.is_empty() {
        note(&plain(&format!("Trainings have these hosts meanwhile: {}.", hit.join(", "))));
    }
    Ok(exit)
}
