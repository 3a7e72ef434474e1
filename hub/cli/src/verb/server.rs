//! `berth server`: notebook servers.

use berth_common::{ByteCount, Timestamp};
use clap::Subcommand;
use serde::Deserialize;
use serde_json::Value;

use crate::api::{self, ReasonText};
use crate::args::{Common, ServerRef};
use crate::connection::Connection;
use crate::print::{Cell, Column, Listing, Style};
use crate::problem::{Exit, Problem};
use crate::text;

mod events;
mod extend;
pub mod list;
mod logs;
mod open;
mod resize;
mod restart;
mod show;
mod start;
mod stop;
pub mod top;

/// Ids are never shown shorter than this.
const SHORT_ID: usize = 4;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List servers
    #[command(visible_alias = "ls")]
    List(list::Args),
    /// Show one server
    Show(show::Args),
    /// Start a server and follow it until it is ready
    Start(start::Args),
    /// Stop a server and start it again with what it had
    Restart(restart::Args),
    /// Give a running server more or less memory, without a restart
    Resize(resize::Args),
    /// Stop a server
    Stop(stop::Args),
    /// Let a server stop later than it would
    Extend(extend::Args),
    /// Show what a running server has written last
    #[command(visible_alias = "log")]
    Logs(logs::Args),
    /// What happened to a server: decisions, steps, stops
    Events(events::Args),
    /// Open a server in the browser, or print its address
    Open(open::Args),
}

/// Does what the verb says.
pub async fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    match verb {
        Verb::List(args) => list::run(args, common).await,
        Verb::Show(args) => show::run(args, common).await,
        Verb::Start(args) => start::run(args, common).await,
        Verb::Resize(args) => resize::run(args, common).await,
        Verb::Stop(args) => stop::run(args, common).await,
        Verb::Extend(args) => extend::run(args, common).await,
        Verb::Logs(args) => logs::run(args, common).await,
        Verb::Restart(args) => restart::run(args, common).await,
        Verb::Events(args) => events::run(args, common).await,
        Verb::Open(args) => open::run(args, common).await,
    }
}

/// A server as our own API gives it.
#[derive(Debug, Clone, Deserialize)]
pub struct Server {
    /// Its id.
    pub id: String,
    /// Whose.
    pub user: String,
    /// Its name; empty for the default one.
    pub name: String,
    /// What it does.
    pub state: String,
    /// Where it is.
    pub host: Option<String>,
    /// Where it last was.
    pub last_host: Option<String>,
    /// What was asked for.
    pub profile: String,
    /// The profile's pool.
    #[serde(default)]
    pub pool: Option<String>,
    /// What was asked for.
    pub image: String,
    /// What was asked for, and what is used.
    pub memory: Memory,
    /// GPUs that it has.
    #[serde(default)]
    pub gpus: u64,
    /// Since when nothing computed on them.
    #[serde(default, deserialize_with = "api::moment")]
    pub gpu_unused_since: Option<Timestamp>,
    /// How far a change of its memory is.
    #[serde(default)]
    pub resize: Option<Resize>,
    /// Memory that is lent to it now.
    #[serde(default)]
    pub loan: Option<Loan>,
    /// Optional spaces that it was started without.
    #[serde(default)]
    pub left_out: Option<Vec<String>>,
    /// Processes in it that were killed for want of memory, oldest first.
    #[serde(default)]
    pub kills: Vec<Kill>,
    /// Its path.
    pub url: String,
    /// The newest decision about it.
    pub decision: Option<String>,
    /// Why it waits.
    pub waits: Option<ReasonText>,
    /// Its place in the queue, from 1.
    pub place: Option<u64>,
    /// Since when it waits.
    #[serde(default, deserialize_with = "api::moment")]
    pub waiting_since: Option<Timestamp>,
    /// When its host was chosen.
    #[serde(default, deserialize_with = "api::moment")]
    pub placed_at: Option<Timestamp>,
    /// When it first answered.
    #[serde(default, deserialize_with = "api::moment")]
    pub ready_at: Option<Timestamp>,
    /// The milestones of its start.
    pub steps: Option<Vec<Step>>,
    /// The fetch of its image, while there is one.
    #[serde(default)]
    pub fetch: Option<Fetch>,
    /// How it last ended.
    pub last_end: Option<End>,
    /// The newest sign of its owner.
    #[serde(default, deserialize_with = "api::moment")]
    pub last_activity: Option<Timestamp>,
    /// What keeps it alive, while it runs.
    pub life: Option<Life>,
    /// Its work on the compute farm.
    #[serde(default)]
    pub farm: Option<Farm>,
}

/// An image that its host fetches for it.
#[derive(Debug, Clone, Deserialize)]
pub struct Fetch {
    /// How much of it is there, if the host knows.
    pub percent: Option<u32>,
}

/// Work on the compute farm.
#[derive(Debug, Clone, Deserialize)]
pub struct Farm {
    /// Dask clusters.
    pub clusters: Vec<Cluster>,
    /// Jobs in Slurm.
    pub jobs: Vec<Job>,
    /// Why the jobs are not known.
    pub slurm_trouble: Option<String>,
    /// Why the gateway's clusters are not known.
    pub gateway_trouble: Option<String>,
}

/// A Dask cluster.
#[derive(Debug, Clone, Deserialize)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: String,
    /// Workers that are there.
    pub workers: Option<u64>,
    /// Their processors.
    pub cores: Option<u64>,
    /// Their memory.
    pub memory: Option<ByteCount>,
    /// Whether it computes.
    pub busy: Option<bool>,
    /// The path of its dashboard, for its owner.
    #[serde(default)]
    pub dashboard: Option<String>,
}

/// A job in Slurm.
#[derive(Debug, Clone, Deserialize)]
pub struct Job {
    /// Slurm's number.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: String,
    /// Its processors.
    pub cores: u64,
    /// Its memory.
    pub memory: Option<ByteCount>,
    /// Why it waits.
    pub reason: Option<String>,
}

/// What keeps a server alive, and how long.
#[derive(Debug, Clone, Deserialize)]
pub struct Life {
    /// Since when nothing is going on in it.
    #[serde(default, deserialize_with = "api::moment")]
    pub idle_since: Option<Timestamp>,
    /// When it will stop.
    #[serde(default, deserialize_with = "api::moment")]
    pub stops_at: Option<Timestamp>,
    /// Why.
    pub stops_for: Option<ReasonText>,
    /// Signs of activity, the newest first.
    pub signs: Vec<Sign>,
    /// How far the stop can be put off.
    pub extension: Extension,
}

/// A sign of activity.
#[derive(Debug, Clone, Deserialize)]
pub struct Sign {
    /// What it was.
    pub text: String,
    /// When.
    #[serde(default, deserialize_with = "api::moment")]
    pub at: Option<Timestamp>,
    /// Whether it keeps a server alive.
    pub counts: bool,
}

/// How far a stop can be put off.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Extension {
    /// By how much at a time.
    pub step_s: u64,
    /// How often still.
    pub left: u64,
    /// Of how often.
    pub of: u64,
}

/// Memory of a server.
#[derive(Debug, Clone, Deserialize)]
pub struct Memory {
    /// The hard limit.
    pub limit: ByteCount,
    /// What the kernel counts now.
    pub used: Option<ByteCount>,
    /// The most that it counted.
    #[serde(default)]
    pub highest: Option<ByteCount>,
}

/// A change of a server's memory.
#[derive(Debug, Clone, Deserialize)]
pub struct Resize {
    /// under_way, done or refused.
    pub state: String,
    /// The limit that holds, or will.
    pub limit: ByteCount,
    /// The limit before.
    pub before: ByteCount,
    /// Why the host refused.
    pub refused: Option<Refused>,
}

/// A host's refusal.
#[derive(Debug, Clone, Deserialize)]
pub struct Refused {
    /// The reason.
    pub reason: ReasonText,
    /// With its numbers.
    pub detail: String,
}

/// Memory that is lent.
#[derive(Debug, Clone, Deserialize)]
pub struct Loan {
    /// How much and until when, for people.
    pub text: String,
}

/// A killed process.
#[derive(Debug, Clone, Deserialize)]
pub struct Kill {
    #[serde(default, deserialize_with = "api::moment")]
    at: Option<Timestamp>,
    text: String,
}

/// A milestone.
#[derive(Debug, Clone, Deserialize)]
pub struct Step {
    step: String,
    #[serde(default, deserialize_with = "api::moment")]
    at: Option<Timestamp>,
}

/// How a server ended.
#[derive(Debug, Clone, Deserialize)]
pub struct End {
    reason: ReasonText,
    detail: String,
    #[serde(default, deserialize_with = "api::moment")]
    at: Option<Timestamp>,
}

impl Server {
    /// As people name it, and as `show` and `stop` take it: `alice` or `alice/n1`.
    pub fn title(&self) -> String {
        title(&self.user, &self.name)
    }

    fn is_active(&self) -> bool {
        self.state != "ended"
    }

    /// When it will stop.
    fn stops_at(&self) -> Option<Timestamp> {
        self.life.as_ref()?.stops_at
    }

    /// The code that explains its state, if one does.
    fn code(&self) -> Option<&str> {
        match (&self.waits, &self.last_end) {
            (Some(waits), _) => Some(&waits.code),
            (None, Some(end)) if matches!(self.state.as_str(), "ended" | "stopping") => {
                Some(&end.reason.code)
            }
            _ => None,
        }
    }
}

/// A server as people name it.
pub fn title(user: &str, name: &str) -> String {
    if name.is_empty() { user.to_owned() } else { format!("{user}/{name}") }
}

/// Servers, with the hub's answer that told of them.
pub struct Servers {
    json: Value,
    servers: Vec<Row>,
    now: Timestamp,
}

struct Row {
    server: Server,
    /// The beginning of its id that is unique here.
    short: String,
}

const COLUMNS: &[Column<Row>] = &[
    Column::new("ID", "id", |row: &Row, _| Cell::both(&row.short, &row.server.id)),
    Column::new("SERVER", "", |row: &Row, _| Cell::text(row.server.title())).people(),
    Column::programs("user", |row: &Row, _| Cell::text(&row.server.user)),
    Column::programs("name", |row: &Row, _| Cell::text(&row.server.name)),
    Column::new("STATE", "state", |row: &Row, _| {
        let place = row.server.place.map_or(String::new(), |place| format!(" #{place}"));
        Cell::state(&row.server.state).followed_by(&place)
    }),
    Column::new("HOST", "host", |row: &Row, _| Cell::maybe(row.server.host.as_ref())),
    Column::new("PROFILE", "profile", |row: &Row, _| Cell::text(&row.server.profile)),
    Column::programs("pool", |row: &Row, _| Cell::maybe(row.server.pool.as_ref())),
    Column::new("IMAGE", "image", |row: &Row, _| Cell::text(&row.server.image)).wide(),
    Column::new("GPUS", "gpus", |row: &Row, _| Cell::text(row.server.gpus.to_string()))
        .right()
        .wide(),
    Column::new("GPU IDLE", "gpu_idle_s", |row: &Row, now| match row.server.gpu_unused_since {
        None => Cell::both("-", ""),
        Some(since) => {
            let seconds = now.millis_since(since) / 1000;
            Cell::both(text::ago(since, now), seconds.to_string())
        }
    })
    .right()
    .wide(),
    Column::new("MEM USED", "", |row: &Row, _| {
        let memory = &row.server.memory;
        match memory.used {
            Some(used) => Cell::text(text::of(used, memory.limit)),
            None => Cell::text(format!("-/{}", memory.limit)),
        }
    })
    .right()
    .people(),
    Column::programs("memory_used_bytes", |row: &Row, _| Cell::bytes(row.server.memory.used)),
    Column::programs("memory_limit_bytes", |row: &Row, _| {
        Cell::bytes(Some(row.server.memory.limit))
    }),
    Column::new("ACTIVE", "last_activity", |row: &Row, now| {
        Cell::ago(row.server.last_activity, now)
    })
    .right()
    .wide(),
    Column::new("STOPS AT", "stops_at", |row: &Row, now| {
        row.server.stops_at().map_or_else(
            || Cell::both("-", ""),
            |at| Cell::both(text::ahead(at, now), at.to_string()),
        )
    }),
    Column::new("SINCE", "ready_at", |row: &Row, now| Cell::moment(row.server.ready_at, now))
        .wide(),
    Column::new("REASON", "reason", |row: &Row, _| {
        Cell::text(row.server.code().unwrap_or_default())
    }),
];

/// All servers that the token may see.
///
/// # Errors
/// When the hub does not answer or refuses.
pub async fn all(hub: &Connection, what: &str) -> Result<Servers, Problem> {
    let answer = api::get(hub, what, &api::path(&["berth", "servers"])).await?;
    let list = answer.body.get("servers").unwrap_or(&Value::Null);
    let mut servers: Vec<Server> = api::read(what, list)?;
    servers.sort_by(|a, b| (&a.user, &a.name).cmp(&(&b.user, &b.name)));
    let ids: Vec<_> = servers.iter().map(|server| server.id.clone()).collect();
    let length = unique_length(&ids);
    let rows = servers.into_iter().map(|server| {
        let short = server.id.chars().take(length).collect();
        Row { server, short }
    });
    Ok(Servers { servers: rows.collect(), json: answer.body, now: answer.now })
}

impl Servers {
    /// Leaves out all others, also from JSON.
    pub fn keep(&mut self, wanted: impl Fn(&Server) -> bool) {
        self.servers.retain(|row| wanted(&row.server));
        let ids: Vec<_> = self.servers.iter().map(|row| row.server.id.as_str()).collect();
        let is_kept = |server: &Value| {
            server.get("id").and_then(Value::as_str).is_some_and(|id| ids.contains(&id))
        };
        if let Some(Value::Array(list)) = self.json.get_mut("servers") {
            list.retain(is_kept);
        }
    }

    /// Writes them as a list.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn print(&self, style: &Style) -> Result<(), Problem> {
        style.list(&self.listing())
    }

    /// The first one as the hub describes it.
    fn one(&self) -> &Value {
        self.json.pointer("/servers/0").unwrap_or(&Value::Null)
    }

    fn listing(&self) -> Listing<'_, Row> {
        Listing {
            json: &self.json,
            columns: COLUMNS,
            rows: &self.servers,
            name: |row| row.server.id.clone(),
            now: self.now,
            empty: "No servers; --all shows ended ones too.",
        }
    }

    /// Brings those that use most memory to the top, and leaves the others out.
    pub fn largest_first(&mut self, most: usize) {
        self.servers.sort_by_key(|row| std::cmp::Reverse(row.server.memory.used));
        self.servers.truncate(most);
    }

    /// The one server that is meant.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn find(&self, wanted: &ServerRef, what: &str) -> Result<&Server, Problem> {
        let servers: Vec<_> = self.servers.iter().map(|row| &row.server).collect();
        find(&servers, wanted).map_err(|(exit, why)| {
            let advice = match exit {
                Exit::Usage => "Write more of the id, or USER/NAME.",
                _ => "Look for it with berth server list --all.",
            };
            Problem::new(exit, format!("cannot {what}"), why, advice)
        })
    }
}

/// An id, its beginning, a person with one server, or a person and a name. Names come first: an
/// account called `abe` must not become the beginning of an id.
fn find<'a>(servers: &[&'a Server], wanted: &ServerRef) -> Result<&'a Server, (Exit, String)> {
    let owned = |owner: &str, name: Option<&str>| -> Vec<&'a Server> {
        let of =
            |server: &&&Server| server.user == owner && name.is_none_or(|name| server.name == name);
        servers.iter().filter(of).copied().collect()
    };
    let found = match wanted {
        ServerRef::Named(user, name) => owned(user.as_str(), Some(name.as_str())),
        ServerRef::Word(word) => {
            let default = owned(word, Some(""));
            let any = owned(word, None);
            let named = if default.is_empty() { any } else { default };
            let starting = || servers.iter().filter(|server| server.id.starts_with(word.as_str()));
            if named.is_empty() { starting().copied().collect() } else { named }
        }
    };
    match found.as_slice() {
        [server] => Ok(server),
        [] => Err((Exit::NotFound, "there is no such server, or it is not yours to see".into())),
        several => {
            let titles: Vec<_> = several
                .iter()
                .map(|server| format!("{} ({})", server.title(), &server.id))
                .collect();
            Err((Exit::Usage, format!("several servers are meant: {}", titles.join(", "))))
        }
    }
}

/// How many characters of ids tell them apart.
fn unique_length(ids: &[String]) -> usize {
    let mut sorted: Vec<_> = ids.iter().map(String::as_bytes).collect();
    sorted.sort_unstable();
    let common = |a: &[u8], b: &[u8]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let longest = sorted.windows(2).map(|pair| match pair {
        [a, b] => common(a, b).saturating_add(1),
        _ => 0,
    });
    longest.max().unwrap_or(0).max(SHORT_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(id: &str, user: &str, name: &str) -> Server {
        let json = serde_json::json!({
            "id": id, "user": user, "name": name, "state": "running", "profile": "cpu",
            "image": "base", "memory": { "limit": 1 }, "url": "/",
        });
        serde_json::from_value(json).unwrap()
    }

    fn check(wanted: &str) -> String {
        let servers = [
            server("8f2c000000000000", "alice", ""),
            server("8f2d000000000000", "alice", "n1"),
            server("abe0000000000000", "bob", "only"),
            server("1111000000000000", "abe", ""),
            server("2222000000000000", "carol", "x"),
            server("3333000000000000", "carol", "y"),
        ];
        let servers: Vec<_> = servers.iter().collect();
        match find(&servers, &wanted.parse().unwrap()) {
            Ok(server) => server.title(),
            Err((exit, why)) => format!("{exit:?}: {why}"),
        }
    }

    #[test]
    fn servers_are_found_by_name_or_by_the_beginning_of_an_id() {
        assert_eq!(check("alice"), "alice");
        assert_eq!(check("alice/n1"), "alice/n1");
        assert_eq!(check("bob"), "bob/only");
        assert_eq!(check("8f2d"), "alice/n1");
        assert_eq!(check("abe"), "abe", "a person, not the beginning of an id");
        assert_eq!(check("abe0"), "bob/only");
        assert!(check("carol").starts_with("Usage: several servers are meant: carol/x (2222"));
        assert!(check("8f2").starts_with("Usage: several"));
        assert!(check("dave").starts_with("NotFound"));
        assert!(check("alice/n2").starts_with("NotFound"));
    }

    #[test]
    fn ids_are_as_short_as_they_can_be() {
        let check = |ids: &[&str]| {
            unique_length(&ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(check(&[]), 4);
        assert_eq!(check(&["8f2c0000", "9f2c0000"]), 4);
        assert_eq!(check(&["8f2c0000", "1", "8f2c0010"]), 7);
    }
}
