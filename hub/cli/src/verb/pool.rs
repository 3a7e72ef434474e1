//! `berth pool`: sets of hosts with one placement policy.

use berth_common::{ByteCount, HostId, Timestamp};
use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api;
use crate::args::Common;
use crate::connection::Answer;
use crate::print::{Cell, Column, Listing, say, versioned};
use crate::problem::{Exit, Problem};
use crate::text::{self, plural};
use crate::verb::confirm::Sure;
use crate::verb::host::intent::{self, Change, Outcome, Which};

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List pools with their room
    List(List),
    /// Show one pool: its rules and its hosts
    Show(Show),
    /// Let all hosts of a pool take servers again
    Open(Open),
    /// Let no host of a pool take anything new; what runs goes on
    Close(Close),
}

/// No options.
#[derive(Debug, clap::Args)]
pub struct List {}

/// Which one.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The pool's name
    #[arg(value_name = "POOL")]
    name: String,
}

/// Which one, and whether it is meant.
#[derive(Debug, clap::Args)]
pub struct Open {
    /// The pool's name
    #[arg(value_name = "POOL")]
    name: String,
    #[command(flatten)]
    sure: Sure,
}

/// The same, and why.
#[derive(Debug, clap::Args)]
pub struct Close {
    /// The pool's name
    #[arg(value_name = "POOL")]
    name: String,
    /// Why; people whose servers are there read it
    #[arg(long, value_name = "WHY")]
    reason: String,
    #[command(flatten)]
    sure: Sure,
}

/// Does what the verb says.
pub async fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    match verb {
        Verb::List(_) => list(common).await,
        Verb::Show(args) => show(&args.name, common).await,
        Verb::Open(args) => {
            let body = json!({ "intent": "open" });
            change(&args.name, "open", body, opened, args.sure, common).await
        }
        Verb::Close(args) => {
            let body = json!({ "intent": "cordoned", "reason": args.reason });
            change(&args.name, "close", body, closed, args.sure, common).await
        }
    }
}

#[derive(Debug, Deserialize)]
struct Pool {
    name: String,
    state: String,
    hosts: Vec<HostId>,
    ready: usize,
    servers: u64,
    waiting: u64,
    memory: Memory,
    gpus: Gpus,
    largest_start: ByteCount,
    strategy: String,
    memory_rule: String,
    oversubscribe: f64,
    declared_at: String,
}

#[derive(Debug, Deserialize)]
struct Memory {
    usable: ByteCount,
    reserved: ByteCount,
    used: ByteCount,
}

#[derive(Debug, Deserialize)]
struct Gpus {
    all: u32,
    held: u32,
}

const COLUMNS: &[Column<Pool>] = &[
    Column::new("POOL", "name", |it: &Pool, _| Cell::text(&it.name)),
    Column::new("STATE", "state", |it: &Pool, _| Cell::text(&it.state)),
    Column::new("READY", "", |it: &Pool, _| Cell::text(format!("{}/{}", it.ready, it.hosts.len())))
        .right()
        .people(),
    Column::programs("hosts", |it: &Pool, _| Cell::text(it.hosts.len().to_string())),
    Column::programs("ready", |it: &Pool, _| Cell::text(it.ready.to_string())),
    Column::new("SERVERS", "servers", |it: &Pool, _| Cell::text(it.servers.to_string())).right(),
    Column::new("WAIT", "waiting", |it: &Pool, _| Cell::text(it.waiting.to_string())).right(),
    Column::new("MEM RESERVED", "", |it: &Pool, _| {
        Cell::text(text::of(it.memory.reserved, it.memory.usable))
    })
    .right()
    .people(),
    Column::programs("memory_usable_bytes", |it: &Pool, _| Cell::bytes(Some(it.memory.usable))),
    Column::programs("memory_reserved_bytes", |it: &Pool, _| Cell::bytes(Some(it.memory.reserved))),
    Column::programs("memory_used_bytes", |it: &Pool, _| Cell::bytes(Some(it.memory.used))),
    Column::new("GPU", "", |it: &Pool, _| match it.gpus.all {
        0 => Cell::text("-"),
        all => Cell::text(format!("{}/{all}", it.gpus.held)),
    })
    .right()
    .people(),
    Column::programs("gpus", |it: &Pool, _| Cell::text(it.gpus.all.to_string())),
    Column::programs("gpus_held", |it: &Pool, _| Cell::text(it.gpus.held.to_string())),
    Column::new("LARGEST START", "largest_start_bytes", |it: &Pool, _| {
        Cell::bytes(Some(it.largest_start))
    })
    .right(),
    Column::new("DECLARED", "declared_at", |it: &Pool, _| Cell::text(&it.declared_at)).wide(),
];

async fn all(what: &str, common: &Common) -> Result<(Answer, Vec<Pool>), Problem> {
    let hub = common.connection()?;
    let answer = api::get(&hub, what, &api::path(&["berth", "pools"])).await?;
    let pools = answer.rows(what, "pools")?;
    Ok((answer, pools))
}

fn listing<'a>(json: &'a Value, rows: &'a [Pool], now: Timestamp) -> Listing<'a, Pool> {
    let name = |it: &Pool| it.name.clone();
    Listing { json, columns: COLUMNS, rows, name, now, empty: "There are no pools." }
}

async fn list(common: &Common) -> Result<Exit, Problem> {
    let (answer, pools) = all("list pools", common).await?;
    common.style().list(&listing(&answer.body, &pools, answer.now))?;
    Ok(Exit::Done)
}

/// The pool of this name, with its place in the answer.
fn find(pools: &[Pool], name: &str, what: &str) -> Result<usize, Problem> {
    pools.iter().position(|pool| pool.name == name).ok_or_else(|| {
        let known: Vec<_> = pools.iter().map(|pool| pool.name.as_str()).collect();
        let advice = format!("There are: {}.", known.join(", "));
        let why = format!("there is no pool {name}");
        Problem::new(Exit::NotFound, format!("cannot {what}"), why, advice)
    })
}

async fn show(name: &str, common: &Common) -> Result<Exit, Problem> {
    let what = format!("show the pool {name}");
    let (answer, pools) = all(&what, common).await?;
    let index = find(&pools, name, &what)?;
    let pool = &pools[index];
    let memory = &pool.memory;
    let names: Vec<_> = pool.hosts.iter().map(HostId::as_str).collect();
    let lines = vec![
        ("pool", Cell::text(&pool.name)),
        ("state", Cell::text(&pool.state)),
        ("hosts", Cell::text(format!("{} ready of {}", pool.ready, pool.hosts.len()))),
        ("", Cell::text(names.join(" "))),
        ("servers", Cell::text(format!("{}, {} wait", pool.servers, pool.waiting))),
        ("reserved", Cell::text(text::of(memory.reserved, memory.usable))),
        ("used", Cell::text(text::of(memory.used, memory.usable))),
        ("gpus", Cell::text(format!("{} held of {}", pool.gpus.held, pool.gpus.all))),
        ("largest", Cell::text(format!("a server of {} would start now", pool.largest_start))),
        ("filled by", Cell::text(&pool.strategy)),
        (
            "memory",
            Cell::text(format!("by {}, {} x usable at most", pool.memory_rule, pool.oversubscribe)),
        ),
        ("declared", Cell::text(&pool.declared_at)),
    ];
    let one = answer.body.pointer(&format!("/pools/{index}")).unwrap_or(&Value::Null);
    let json = versioned("pool", one.clone());
    common.style().sheet(lines, &listing(&json, std::slice::from_ref(pool), answer.now))?;
    Ok(Exit::Done)
}

/// Wants something else with all hosts of a pool.
async fn change(
    name: &str,
    verb: &str,
    body: Value,
    sentence: fn(&Outcome, Timestamp) -> String,
    sure: Sure,
    common: &Common,
) -> Result<Exit, Problem> {
    let what = format!("{verb} the pool {name}");
    let (_, pools) = all(&what, common).await?;
    let pool = &pools[find(&pools, name, &what)?];
    if pool.hosts.is_empty() {
        say(&format!("The pool {name} has no host."))?;
        return Ok(Exit::Done);
    }
    let which = Which::of(pool.hosts.clone(), sure);
    intent::run(&which, &Change { verb, body, sentence }, common).await
}

fn opened(outcome: &Outcome, _: Timestamp) -> String {
    let takes = if outcome.dry_run { "would take" } else { "takes" };
    format!("{} {takes} servers again.", outcome.host)
}

fn closed(outcome: &Outcome, _: Timestamp) -> String {
    let Outcome { host, servers, dry_run, .. } = outcome;
    let takes = if *dry_run { "would take" } else { "takes" };
    let count = *servers as usize;
    let go = if count == 1 { "goes" } else { "go" };
    format!("{host} {takes} nothing new; {count} server{} there {go} on.", plural(count))
}
