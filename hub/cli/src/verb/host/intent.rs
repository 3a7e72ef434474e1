//! What an administrator wants with hosts: the call, and what it answers.

use std::collections::BTreeMap;

use berth_common::{ByteCount, HostId, Seconds, Timestamp};
use berth_core::fleet::DrainId;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api;
use crate::args::{Common, Hosts};
use crate::connection::Connection;
use crate::print::{Cell, Column, Listing, note, say, versioned};
use crate::problem::{Exit, Problem, plain};
use crate::text::{self, plural};
use crate::verb::confirm::Sure;
use crate::verb::server::title;

/// What cordon, uncordon, drain and undrain have in common.
#[derive(Debug, Clone, clap::Args)]
pub struct Which {
    /// Hosts, also as ranges: ccjn01 "ccjn0[3-5]"
    #[arg(value_name = "HOST", required = true)]
    hosts: Vec<Hosts>,
    /// Where a drain was named: the change is meant for that one only.
    #[arg(skip)]
    drains: BTreeMap<HostId, DrainId>,
    #[command(flatten)]
    sure: Sure,
}

impl Which {
    /// These hosts, named otherwise than on the command line.
    pub fn of(hosts: Vec<HostId>, sure: Sure) -> Self {
        Self { hosts: vec![Hosts(hosts)], drains: BTreeMap::new(), sure }
    }

    /// The hosts of drains; where one was named by its number, that one only.
    pub fn of_drains(named: BTreeMap<HostId, Option<DrainId>>, sure: Sure) -> Self {
        let hosts = named.keys().cloned().collect();
        let drains = named.into_iter().filter_map(|(host, id)| Some((host, id?))).collect();
        Self { drains, ..Self::of(hosts, sure) }
    }

    fn drain(&self, host: &HostId) -> Option<&DrainId> {
        self.drains.get(host)
    }

    /// Whether nothing is to be changed.
    pub fn only_looks(&self) -> bool {
        self.sure.dry_run
    }

    /// All their names.
    pub fn names(&self) -> Vec<String> {
        self.hosts.iter().flat_map(|hosts| &hosts.0).map(ToString::to_string).collect()
    }
}

/// The change.
pub struct Change<'a> {
    /// Completes "cannot ..." and a question.
    pub verb: &'a str,
    /// What the API is sent; `dry_run` comes to it.
    pub body: Value,
    /// What is said of each host.
    pub sentence: fn(&Outcome, Timestamp) -> String,
}

/// An answer about one host.
#[derive(Debug, Deserialize)]
pub struct Outcome {
    /// Which.
    pub host: String,
    /// Its state now.
    pub state: String,
    /// Nothing was changed.
    pub dry_run: bool,
    /// Servers on it.
    pub servers: u64,
    /// The order.
    pub intent: Intent,
    /// The drain that empties it now.
    #[serde(default)]
    pub drain: Option<String>,
    outlook: Option<Outlook>,
}

/// The order as the hub understood it.
#[derive(Debug, Deserialize)]
pub struct Intent {
    /// When the host is to be empty.
    #[serde(default, deserialize_with = "api::moment")]
    pub by: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct Outlook {
    without_place: usize,
    servers: Vec<Fate>,
    #[serde(default)]
    telling: Option<Telling>,
}

/// Whom the order is told, and in what words.
#[derive(Debug, Deserialize)]
struct Telling {
    people: Vec<String>,
    /// How long before the end they are told again.
    leads_s: Vec<u64>,
    channels: Vec<String>,
    text: String,
}

#[derive(Debug, Deserialize)]
struct Fate {
    id: String,
    user: Option<String>,
    name: Option<String>,
    #[serde(default)]
    profile: Option<String>,
    memory: Memory,
    #[serde(default)]
    gpus: Vec<Gpu>,
    #[serde(default)]
    kernels: Option<Kernels>,
    #[serde(default)]
    terminals: Option<Terminals>,
    #[serde(default, deserialize_with = "api::moment")]
    last_activity: Option<Timestamp>,
    end: String,
    #[serde(default, deserialize_with = "api::moment")]
    at: Option<Timestamp>,
    place: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Memory {
    limit: Option<ByteCount>,
    used: Option<ByteCount>,
}

#[derive(Debug, Deserialize)]
struct Gpu {
    gpu: String,
    busy: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Kernels {
    busy: u32,
    quiet_s: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Terminals {
    working: u32,
}

const COLUMNS: &[Column<Fate>] = &[
    Column::new("SERVER", "", |it: &Fate, _| Cell::text(it.title())).people(),
    Column::programs("id", |it: &Fate, _| Cell::text(&it.id)),
    Column::new("PROFILE", "profile", |it: &Fate, _| Cell::maybe(it.profile.as_ref())),
    Column::new("MEM USED", "", |it: &Fate, _| match (it.memory.used, it.memory.limit) {
        (Some(used), Some(limit)) => Cell::text(text::of(used, limit)),
        _ => Cell::text("?"),
    })
    .right()
    .people(),
    Column::new("GPU", "gpus", |it: &Fate, _| {
        let names: Vec<&str> = it.gpus.iter().map(|held| held.gpu.as_str()).collect();
        Cell::both(it.gpu_use(), names.join(" "))
    })
    .right(),
    Column::new("WORK", "", |it: &Fate, now| Cell::text(it.work(now))).people(),
    Column::programs("kernels_busy", |it: &Fate, _| {
        Cell::maybe(it.kernels.as_ref().map(|kernels| kernels.busy.to_string()))
    }),
    Column::new("ACTIVE", "last_activity", |it: &Fate, now| Cell::ago(it.last_activity, now))
        .right()
        .wide(),
    Column::new("NEXT START", "place", |it: &Fate, _| match &it.place {
        Some(place) => Cell::text(place),
        None => Cell::both("no place", ""),
    }),
    Column::new("WHAT HAPPENS", "end", |it: &Fate, now| Cell::both(it.fate(now), &it.end)),
];

impl Fate {
    fn title(&self) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        self.user.as_ref().map_or_else(|| self.id.clone(), |user| title(user, name))
    }

    /// How busy each of its GPUs is.
    fn gpu_use(&self) -> String {
        let busy = |held: &Gpu| held.busy.map_or("?".to_owned(), |busy| format!("{busy} %"));
        match self.gpus.iter().map(busy).collect::<Vec<_>>() {
            none if none.is_empty() => "-".to_owned(),
            some => some.join(", "),
        }
    }

    /// What goes on in it; where its host does not tell, when there was last a sign.
    fn work(&self, now: Timestamp) -> String {
        let terminal = self.terminals.as_ref().is_some_and(|terminals| terminals.working > 0);
        match (&self.kernels, self.last_activity) {
            (Some(kernels), _) if kernels.busy > 0 => format!("{} busy", kernels.busy),
            _ if terminal => "terminal".to_owned(),
            (Some(Kernels { quiet_s: Some(quiet), .. }), _) => format!("idle {}", short(*quiet)),
            (_, Some(at)) => format!("{} ago", short(now.millis_since(at) / 1000)),
            (_, None) => "?".to_owned(),
        }
    }

    fn fate(&self, now: Timestamp) -> String {
        let at = self.at.map(|at| text::local(at, now)).unwrap_or_default();
        match self.end.as_str() {
            "idle" => format!("stopped {at} if idle"),
            "restarted" => format!("restarted elsewhere {at}"),
            "stopped" => "stopped at the end".to_owned(),
            "interrupted" => "stopped at work".to_owned(),
            _ => "stays".to_owned(),
        }
    }
}

/// A span by its largest unit alone.
fn short(seconds: u64) -> String {
    let whole = Seconds(seconds).to_string();
    whole.split(' ').next().unwrap_or_default().to_owned()
}

impl Telling {
    /// How many, when and by which ways: one line, and the words that they read.
    fn lines(&self, is_dry: bool) -> [String; 2] {
        let count = self.people.len();
        let are = match (is_dry, count) {
            (true, _) => "would be",
            (false, 1) => "is",
            (false, _) => "are",
        };
        let users = format!("{count} user{}", plural(count));
        let leads: Vec<_> = self.leads_s.iter().map(|lead| Seconds(*lead).to_string()).collect();
        let again = match listed(&leads) {
            none if none.is_empty() => String::new(),
            some => format!(" and {some} before"),
        };
        let ways = self.channels.iter().map(|way| match way.as_str() {
            "lab" => "in JupyterLab",
            "card" => "on the card",
            "mail" => "by mail",
            other => other,
        });
        let ways = listed(&ways.collect::<Vec<_>>());
        let read = if is_dry { "They would read" } else { "They read" };
        [format!("{users} {are} told now{again}: {ways}."), format!("{read}: {}", self.text)]
    }
}

/// `a, b and c`.
fn listed(words: &[impl AsRef<str>]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        words => words.join(""),
    }
}

/// Looks first, asks whether it is meant, and changes it.
pub async fn run(which: &Which, change: &Change<'_>, common: &Common) -> Result<Exit, Problem> {
    let hub = common.connection()?;
    let hosts: Vec<HostId> = which.hosts.iter().flat_map(|hosts| hosts.0.clone()).collect();
    let names = hosts.iter().map(HostId::as_str).collect::<Vec<_>>().join(", ");
    let mut looked = Vec::new();
    // All of them are looked at before the first is changed: a wrong name changes nothing.
    for host in &hosts {
        looked.push(send(&hub, change, which.drain(host), host, true).await?);
    }
    if which.sure.dry_run {
        tell(change, common, looked)?;
        return Ok(if which.sure.exit_code { Exit::WouldChange } else { Exit::Done });
    }
    if !which.sure.yes {
        let servers: u64 = looked.iter().map(|(_, outcome, _)| outcome.servers).sum();
        let with = format!("with {servers} server{}", plural(servers as usize));
        let question = format!("{} {names} {with}?", capital(change.verb));
        which.sure.ask(&question, &format!("{names}: nothing was changed"))?;
    }
    let mut done = Vec::new();
    for host in &hosts {
        done.push(send(&hub, change, which.drain(host), host, false).await?);
    }
    tell(change, common, done)
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

type Told = (Value, Outcome, Timestamp);

async fn send(
    hub: &Connection,
    change: &Change<'_>,
    drain: Option<&DrainId>,
    host: &HostId,
    dry_run: bool,
) -> Result<Told, Problem> {
    let what = format!("{} {host}", change.verb);
    let path = api::path(&["berth", "hosts", host.as_str(), "intent"]);
    let mut body = change.body.clone();
    body["dry_run"] = json!(dry_run);
    if let Some(drain) = drain {
        body["drain"] = json!(drain);
    }
    let answer = api::send(hub, &what, Method::PUT, &path, Some(&body)).await?;
    let outcome = api::read(&what, &answer.body)?;
    Ok((answer.body, outcome, answer.now))
}

fn tell(change: &Change<'_>, common: &Common, told: Vec<Told>) -> Result<Exit, Problem> {
    let style = common.style();
    if style.is_for_programs() {
        let mut bodies: Vec<Value> = told.iter().map(|(body, _, _)| body.clone()).collect();
        for body in bodies.iter_mut().filter_map(Value::as_object_mut) {
            body.remove("schema_version");
        }
        style.list(&Listing {
            json: &versioned("hosts", json!(bodies)),
            columns: &[
                Column::new("", "host", |it: &Told, _| Cell::text(&it.1.host)),
                Column::new("", "state", |it: &Told, _| Cell::text(&it.1.state)),
                Column::new("", "servers", |it: &Told, _| Cell::text(it.1.servers.to_string())),
            ],
            rows: &told,
            name: |it| it.1.host.clone(),
            now: Timestamp::default(),
            empty: "",
        })?;
        return Ok(Exit::Done);
    }
    if told.iter().any(|(_, outcome, _)| outcome.dry_run) {
        say("DRY RUN - nothing is changed")?;
    }
    for (body, outcome, now) in &told {
        for line in (change.sentence)(outcome, *now).lines() {
            say(&plain(line))?;
        }
        let Some(outlook) = outcome.outlook.as_ref() else { continue };
        style.list(&Listing {
            json: body,
            columns: COLUMNS,
            rows: &outlook.servers,
            name: |it| it.id.clone(),
            now: *now,
            empty: "Nothing runs there.",
        })?;
        if outlook.without_place > 0 {
            let count = outlook.without_place;
            let verb = if count == 1 { "has" } else { "have" };
            note(&format!("{count} of them {verb} no place elsewhere for the next start."));
        }
        for line in outlook.telling.iter().flat_map(|it| it.lines(outcome.dry_run)) {
            say(&plain(&line))?;
        }
    }
    Ok(Exit::Done)
}
