//! `berth queue list`.

use berth_common::{ByteCount, Seconds, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::api::{self, ReasonText};
use crate::args::Common;
use crate::print::{Cell, Column, Listing};
use crate::problem::{Exit, Problem};
use crate::verb::server::title;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {}

#[derive(Debug, Deserialize)]
struct Waiter {
    server: String,
    user: String,
    name: String,
    pool: Option<String>,
    place: Option<u32>,
    ask: Ask,
    reason: Option<ReasonText>,
    #[serde(default, deserialize_with = "api::moment")]
    since: Option<Timestamp>,
    estimate_s: Option<[u64; 2]>,
    held: Option<Held>,
}

#[derive(Debug, Deserialize)]
struct Ask {
    profile: String,
    memory: ByteCount,
    #[serde(default)]
    gpus: u32,
}

#[derive(Debug, Deserialize)]
struct Held {
    host: String,
    #[serde(default, deserialize_with = "api::moment")]
    until: Option<Timestamp>,
}

const COLUMNS: &[Column<Waiter>] = &[
    Column::new("PLACE", "place", |it: &Waiter, _| match (&it.held, it.place) {
        (Some(_), _) => Cell::both("held", ""),
        (None, place) => Cell::maybe(place.map(|place| place.to_string())),
    }),
    Column::new("POOL", "pool", |it: &Waiter, _| Cell::maybe(it.pool.as_ref())),
    Column::programs("server", |it: &Waiter, _| Cell::text(&it.server)),
    Column::new("SERVER", "", |it: &Waiter, _| Cell::text(title(&it.user, &it.name))).people(),
    Column::programs("user", |it: &Waiter, _| Cell::text(&it.user)),
    Column::programs("name", |it: &Waiter, _| Cell::text(&it.name)),
    Column::new("PROFILE", "profile", |it: &Waiter, _| Cell::text(&it.ask.profile)),
    Column::new("MEM", "memory_bytes", |it: &Waiter, _| Cell::bytes(Some(it.ask.memory))).right(),
    Column::new("GPUS", "gpus", |it: &Waiter, _| Cell::text(it.ask.gpus.to_string())).right(),
    Column::new("WAITS", "since", |it: &Waiter, now| Cell::ago(it.since, now)).right(),
    Column::new("EXPECTED", "", |it: &Waiter, now| Cell::text(it.expected(now))).people(),
    Column::programs("estimate_from_s", |it: &Waiter, _| Cell::maybe(it.estimate(0))),
    Column::programs("estimate_to_s", |it: &Waiter, _| Cell::maybe(it.estimate(1))),
    Column::programs("held_host", |it: &Waiter, _| {
        Cell::maybe(it.held.as_ref().map(|held| &held.host))
    }),
    Column::new("REASON", "reason", |it: &Waiter, _| {
        Cell::maybe(it.reason.as_ref().map(|reason| &reason.code))
    }),
];

impl Waiter {
    fn estimate(&self, which: usize) -> Option<String> {
        Some(self.estimate_s?.get(which)?.to_string())
    }

    /// When it may start, in a few words.
    fn expected(&self, now: Timestamp) -> String {
        if let Some(Held { host, until }) = &self.held {
            let left = until.map_or(0, |until| until.millis_since(now) / 1000);
            return format!("{host} for {}", Seconds(left));
        }
        match self.estimate_s {
            Some([from, to]) => format!("{}-{}", Seconds(from), Seconds(to)),
            None => "?".to_owned(),
        }
    }
}

/// Asks and prints.
pub async fn run(_: &Args, common: &Common) -> Result<Exit, Problem> {
    let what = "list the queue";
    let hub = common.connection()?;
    let answer = api::get(&hub, what, &api::path(&["berth", "queue"])).await?;
    let rows: Vec<Waiter> = api::read(what, answer.body.get("queue").unwrap_or(&Value::Null))?;
    common.style().list(&Listing {
        json: &answer.body,
        columns: COLUMNS,
        rows: &rows,
        name: |it| it.server.clone(),
        now: answer.now,
        empty: "Nobody waits.",
    })?;
    Ok(Exit::Done)
}
