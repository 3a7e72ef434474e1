//! What the hub answers about other hosts, and how it is told.

use berth_common::{ByteCount, Timestamp};
use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::Replay;
use crate::api;
use crate::args::Common;
use crate::print::{Cell, Column, Format, Listing, say};
use crate::problem::{Exit, Problem, plain};
use crate::text::plural;
use crate::verb::server::title;

/// An answer.
#[derive(Debug, Deserialize)]
pub struct Plan {
    removed: Vec<String>,
    added: Vec<String>,
    servers: Vec<Server>,
    fit: Fit,
    pools: Vec<Pool>,
    queue: Queue,
    replay: Option<Replay>,
}

#[derive(Debug, Deserialize)]
struct Fit {
    of: usize,
    by_limits: usize,
    by_used: usize,
}

#[derive(Debug, Deserialize)]
struct Queue {
    waiting: u64,
    start_now: u64,
    would_start: u64,
}

#[derive(Debug, Deserialize)]
struct Pool {
    pool: String,
    largest_now: Option<ByteCount>,
    largest_then: Option<ByteCount>,
    largest_with_gpu_now: Option<ByteCount>,
    largest_with_gpu_then: Option<ByteCount>,
}

/// A server that would have to go elsewhere.
#[derive(Debug, Deserialize)]
pub struct Server {
    id: String,
    user: String,
    name: Option<String>,
    host: String,
    memory: Memory,
    by_limits: Option<String>,
    by_used: Option<String>,
    by_rule: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Memory {
    limit: ByteCount,
    used: ByteCount,
}

const COLUMNS: &[Column<Server>] = &[
    Column::new("SERVER", "", |it: &Server, _| {
        Cell::text(title(&it.user, it.name.as_deref().unwrap_or_default()))
    })
    .people(),
    Column::programs("id", |it: &Server, _| Cell::text(&it.id)),
    Column::programs("user", |it: &Server, _| Cell::text(&it.user)),
    Column::new("HOST", "host", |it: &Server, _| Cell::text(&it.host)),
    Column::new("LIMIT", "memory_limit_bytes", |it: &Server, _| Cell::bytes(Some(it.memory.limit)))
        .right(),
    Column::new("USED", "memory_used_bytes", |it: &Server, _| Cell::bytes(Some(it.memory.used)))
        .right(),
    Column::new("BY LIMITS", "by_limits", |it: &Server, _| Cell::maybe(it.by_limits.as_ref())),
    Column::new("BY USED", "by_used", |it: &Server, _| Cell::maybe(it.by_used.as_ref())),
    Column::new("BY THE POOL'S RULE", "by_rule", |it: &Server, _| Cell::maybe(it.by_rule.as_ref())),
];

/// Asks and prints.
pub async fn run(what: &str, body: &Value, common: &Common) -> Result<Exit, Problem> {
    let hub = common.connection()?;
    let path = api::path(&["berth", "plan"]);
    let answer = api::send(&hub, what, Method::POST, &path, Some(body)).await?;
    let plan: Plan = api::read(what, &answer.body)?;
    let style = common.style();
    let servers = Listing {
        json: &answer.body,
        columns: COLUMNS,
        rows: &plan.servers,
        name: |it| it.id.clone(),
        now: answer.now,
        empty: "No server would have to move.",
    };
    if style.is_for_programs() {
        style.list(&servers)?;
        return Ok(Exit::Done);
    }
    for line in plan.sentences() {
        say(&plain(&line))?;
    }
    if let Some(replay) = &plan.replay {
        replay.print()?;
    }
    if style.format == Format::Wide {
        say("")?;
        style.list(&servers)?;
    }
    Ok(Exit::Done)
}

impl Plan {
    fn sentences(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.removed.is_empty() {
            let Fit { of, by_limits, by_used } = &self.fit;
            let more = match self.added.is_empty() {
                true => String::new(),
                false => format!(" and with {} new", self.added.len()),
            };
            let removed = self.removed.join(", ");
            if *of == 0 {
                lines.push(format!("Without {removed}{more}: nothing runs there."));
            } else {
                let fit = format!("{by_limits} of {of} server{} fit elsewhere", plural(*of));
                lines.push(format!("Without {removed}{more}: {fit} by reserved memory,"));
                lines.push(format!("{by_used} of {of} by used memory (the highest use lately)."));
            }
            let left: Vec<_> =
                self.servers.iter().filter(|server| server.by_limits.is_none()).collect();
            if !left.is_empty() {
                let count = left.len();
                lines.push(format!("Not placed by reserved memory: {count} (names: -o wide)."));
            }
        } else {
            let count = self.added.len();
            lines.push(format!("With {count} new host{}:", plural(count)));
        }
        let Queue { waiting, start_now, would_start } = &self.queue;
        if *waiting > 0 {
            lines.push(format!(
                "{would_start} of {waiting} that wait would start (with the hosts of now: {start_now})."
            ));
        }
        lines.push("Largest server that could still start:".to_owned());
        lines.extend(self.pools.iter().map(Pool::sentence));
        lines
    }
}

impl Pool {
    fn sentence(&self) -> String {
        let amount = |memory: Option<ByteCount>| {
            memory.map_or("none".to_owned(), |memory| memory.to_string())
        };
        let Self { pool, largest_now, largest_then, .. } = self;
        let mut line =
            format!("  {pool}: {} (now {})", amount(*largest_then), amount(*largest_now));
        if self.largest_with_gpu_now.or(self.largest_with_gpu_then).is_some() {
            let (then, now) = (self.largest_with_gpu_then, self.largest_with_gpu_now);
            line.push_str(&format!("; with a GPU: {} (now {})", amount(then), amount(now)));
        }
        line
    }
}

/// The beginning of a replay of so long, as the API takes it.
pub fn since(span: crate::args::Span) -> String {
    let now = jiff::Timestamp::now().as_microsecond();
    let back = i64::try_from(span.0.0).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    Timestamp(now.saturating_sub(back)).to_string()
}
