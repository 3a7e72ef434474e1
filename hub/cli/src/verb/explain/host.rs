//! `berth explain host NAME`: why it takes nothing, or what it would take; who holds its memory.

use berth_common::{ByteCount, HostId, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::api::{self, ReasonText};
use crate::args::Common;
use crate::print::{Cell, Column, Listing, reason, say};
use crate::problem::{Exit, Problem};
use crate::text;
use crate::verb::server::title;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which host
    #[arg(value_name = "HOST")]
    pub name: HostId,
}

#[derive(Debug, Deserialize)]
struct Host {
    name: String,
    pool: Option<String>,
    state: String,
    reason: Option<ReasonText>,
    detail: String,
    intent: Intent,
    takes: Option<Takes>,
    would_take: Option<Takes>,
    memory: Option<Memory>,
    gpus: Vec<Gpu>,
    servers: Vec<Server>,
    declared_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Intent {
    intent: String,
    reason: Option<String>,
    who: Option<String>,
    #[serde(default, deserialize_with = "api::moment")]
    since: Option<Timestamp>,
    #[serde(default, deserialize_with = "api::moment")]
    by: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct Takes {
    memory: Option<ByteCount>,
    memory_with_gpu: Option<ByteCount>,
}

#[derive(Debug, Deserialize)]
struct Memory {
    usable: ByteCount,
    rule: String,
    limits: ByteCount,
    peaks: ByteCount,
    headroom: ByteCount,
    used: ByteCount,
    live: ByteCount,
}

#[derive(Debug, Deserialize)]
struct Gpu {
    model: String,
    trouble: Option<String>,
    users: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Server {
    id: String,
    user: String,
    name: String,
    profile: String,
    memory: Held,
    gpus: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct Held {
    limit: ByteCount,
    peak: ByteCount,
    used: ByteCount,
}

const COLUMNS: &[Column<Server>] = &[
    Column::new("SERVER", "", |it: &Server, _| Cell::text(title(&it.user, &it.name))).people(),
    Column::programs("id", |it: &Server, _| Cell::text(&it.id)),
    Column::programs("user", |it: &Server, _| Cell::text(&it.user)),
    Column::programs("name", |it: &Server, _| Cell::text(&it.name)),
    Column::new("PROFILE", "profile", |it: &Server, _| Cell::text(&it.profile)),
    Column::new("LIMIT", "memory_limit_bytes", |it: &Server, _| Cell::bytes(Some(it.memory.limit)))
        .right(),
    Column::new("PEAK", "memory_peak_bytes", |it: &Server, _| Cell::bytes(Some(it.memory.peak)))
        .right(),
    Column::new("USED", "memory_used_bytes", |it: &Server, _| Cell::bytes(Some(it.memory.used)))
        .right(),
    Column::new("GPUS", "gpus", |it: &Server, _| Cell::text(it.gpus.len().to_string())).right(),
];

/// Asks and prints.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = format!("explain the host {}", args.name);
    let hub = common.connection()?;
    let path = api::path(&["berth", "hosts", args.name.as_str(), "explain"]);
    let answer = api::get(&hub, &what, &path).await?;
    let host: Host = api::read(&what, answer.body.get("host").unwrap_or(&Value::Null))?;
    let style = common.style();
    let servers = Listing {
        json: &answer.body,
        columns: COLUMNS,
        rows: &host.servers,
        name: |server| server.id.clone(),
        now: answer.now,
        empty: "Nothing runs there.",
    };
    if style.is_for_programs() {
        style.list(&servers)?;
        return Ok(Exit::Done);
    }
    style.sheet(sheet(&host, answer.now), &servers)?;
    if !host.servers.is_empty() {
        say("")?;
        style.list(&servers)?;
    }
    Ok(Exit::Done)
}

fn sheet(host: &Host, now: Timestamp) -> Vec<(&'static str, Cell)> {
    let mut lines = vec![("host", Cell::text(&host.name)), ("state", Cell::state(&host.state))];
    if let Some(known) = &host.reason {
        lines.push(("reason", Cell::text(reason(&known.code, &host.detail))));
    }
    if let Some(who) = &host.intent.who {
        let since = host.intent.since.map(|at| text::local(at, now)).unwrap_or_default();
        let by = host.intent.by.map(|at| format!(", to be empty by {}", text::local(at, now)));
        let by = by.unwrap_or_default();
        let (word, why) = (&host.intent.intent, host.intent.reason.as_deref().unwrap_or_default());
        lines.push(("ordered", Cell::text(format!("{word} by {who}, {since}{by}: {why}"))));
    }
    lines.push(("pool", Cell::maybe(host.pool.as_ref())));
    let takes = host.takes.as_ref().map_or("nothing".to_owned(), largest);
    lines.push(("takes", Cell::text(takes)));
    if let Some(would) = host.would_take.as_ref().filter(|_| host.reason.is_some()) {
        lines.push(("if ready", Cell::text(largest(would))));
    }
    if let Some(memory) = &host.memory {
        let limits = text::of(memory.limits, memory.usable);
        lines.push((
            "limits",
            Cell::text(format!("{limits} promised{}", decides(memory, "limits"))),
        ));
        let peaks = text::of(memory.peaks.plus(memory.headroom), memory.usable);
        let peaks =
            format!("{peaks} with one growth of {}{}", memory.headroom, decides(memory, "peaks"));
        lines.push(("peaks", Cell::text(peaks)));
        let used = text::of(memory.used, memory.usable);
        let outside = memory.usable.minus(memory.live);
        let outside = match outside.0 {
            0 => String::new(),
            _ => format!("; {outside} are held by other programs"),
        };
        lines.push(("used", Cell::text(format!("{used} by servers{outside}"))));
    }
    for gpu in &host.gpus {
        let state = match (&gpu.trouble, gpu.users.is_empty()) {
            (Some(trouble), _) => format!("set aside: {trouble}"),
            (None, true) => "free".to_owned(),
            (None, false) => gpu.users.join(", "),
        };
        lines.push(("gpu", Cell::text(format!("{}: {state}", gpu.model))));
    }
    lines.push(("declared", Cell::maybe(host.declared_at.as_ref())));
    lines
}

/// The rule in force decides; the other number is only told.
fn decides(memory: &Memory, rule: &str) -> &'static str {
    if memory.rule == rule { "   <- decides" } else { "" }
}

fn largest(takes: &Takes) -> String {
    match (takes.memory, takes.memory_with_gpu) {
        (None, None) => "nothing".to_owned(),
        (Some(memory), None) => format!("up to {memory}"),
        (None, Some(with)) => format!("up to {with} with a GPU"),
        (Some(memory), Some(with)) => format!("up to {memory}; up to {with} with a GPU"),
    }
}
