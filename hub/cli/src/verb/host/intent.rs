//! What an administrator wants with hosts: the call, and what it answers.

use berth_common::{ByteCount, HostId, Timestamp};
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
    #[command(flatten)]
    sure: Sure,
}

impl Which {
    /// These hosts, named otherwise than on the command line.
    pub fn of(hosts: Vec<HostId>, sure: Sure) -> Self {
        Self { hosts: vec![Hosts(hosts)], sure }
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
}

#[derive(Debug, Deserialize)]
struct Fate {
    id: String,
    user: Option<String>,
    name: Option<String>,
    memory: Memory,
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

const COLUMNS: &[Column<Fate>] = &[
    Column::new("SERVER", "", |it: &Fate, _| Cell::text(it.title())).people(),
    Column::programs("id", |it: &Fate, _| Cell::text(&it.id)),
    Column::new("MEM USED", "", |it: &Fate, _| match (it.memory.used, it.memory.limit) {
        (Some(used), Some(limit)) => Cell::text(text::of(used, limit)),
        _ => Cell::text("?"),
    })
    .right()
    .people(),
    Column::new("ACTIVE", "last_activity", |it: &Fate, now| Cell::ago(it.last_activity, now))
        .right(),
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

    fn fate(&self, now: Timestamp) -> String {
        let at = self.at.map(|at| text::local(at, now)).unwrap_or_default();
        match self.end.as_str() {
            "idle" => format!("stopped {at}, idle, if nobody returns"),
            "restarted" => format!("restarted elsewhere {at}"),
            "stopped" => format!("stopped {at}, idle then"),
            "interrupted" => format!("stopped {at} at work"),
            _ => "stays".to_owned(),
        }
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
        looked.push(send(&hub, change, host, true).await?);
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
        done.push(send(&hub, change, host, false).await?);
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
    host: &HostId,
    dry_run: bool,
) -> Result<Told, Problem> {
    let what = format!("{} {host}", change.verb);
    let path = api::path(&["berth", "hosts", host.as_str(), "intent"]);
    let mut body = change.body.clone();
    body["dry_run"] = json!(dry_run);
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
        say(&plain(&(change.sentence)(outcome, *now)))?;
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
    }
    Ok(Exit::Done)
}
