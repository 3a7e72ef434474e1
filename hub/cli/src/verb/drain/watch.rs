//! `berth drain watch [ID|HOST]...`: a line for each change, until the hosts are empty. A hub that
//! is away for a while is waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use berth_common::{Seconds, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::api;
use crate::args::{Common, Span};
use crate::print::{note, say};
use crate::problem::{Exit, Problem, plain};
use crate::text;
use crate::verb::drain::named::{self, Named};
use crate::verb::server::title;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Drains by their numbers, or hosts; all if none is named
    #[arg(value_name = "ID|HOST")]
    named: Vec<Named>,
    #[command(flatten)]
    how: How,
}

/// How long, and how often.
#[derive(Debug, Clone, clap::Args)]
pub struct How {
    /// Ask the hub so often
    #[arg(long, value_name = "SPAN", default_value = "2s")]
    every: Span,
    /// Look away after so long, with exit code 6
    #[arg(long, value_name = "SPAN")]
    wait: Option<Span>,
}

impl How {
    /// Every two seconds, for so long at most.
    pub fn within(wait: Option<Span>) -> Self {
        Self { every: Span(Seconds(2)), wait }
    }
}

#[derive(Debug, Deserialize)]
struct Drain {
    host: String,
    state: String,
    left: usize,
    servers: Vec<Server>,
    intent: Intent,
}

#[derive(Debug, Deserialize)]
struct Server {
    user: Option<String>,
    name: Option<String>,
    id: String,
}

#[derive(Debug, Deserialize)]
struct Intent {
    #[serde(default, deserialize_with = "api::moment")]
    by: Option<Timestamp>,
}

impl Server {
    fn title(&self) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        self.user.as_ref().map_or_else(|| self.id.clone(), |user| title(user, name))
    }
}

/// Watches what the command line names.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let hosts = named::hosts(&common.connection()?, "watch the drain", &args.named).await?;
    follow(hosts.keys().map(ToString::to_string).collect(), &args.how, common).await
}

/// Watches these hosts, or all that are emptied.
pub async fn follow(hosts: Vec<String>, how: &How, common: &Common) -> Result<Exit, Problem> {
    let what = "watch the drain";
    let hub = common.connection()?;
    let begun = tokio::time::Instant::now();
    let mut named: BTreeSet<String> = hosts.into_iter().collect();
    let mut before: Option<BTreeMap<String, Drain>> = None;
    let mut away = false;
    loop {
        let answer = match api::get(&hub, what, &api::path(&["berth", "drains"])).await {
            Ok(answer) => answer,
            Err(problem) if before.is_some() && problem.exit() == Exit::NotReachable => {
                if !away {
                    note("The hub is away; the drain goes on when it is back.");
                }
                away = true;
                match pause(how, begun).await {
                    Some(exit) => return Ok(exit),
                    None => continue,
                }
            }
            Err(problem) => return Err(problem),
        };
        if std::mem::take(&mut away) {
            note("The hub is back.");
        }
        let rows: Vec<Drain> = api::read(what, answer.body.get("drains").unwrap_or(&Value::Null))?;
        let emptied = |drain: &Drain| matches!(drain.state.as_str(), "draining" | "drained");
        if named.is_empty() && before.is_none() {
            named = rows.iter().filter(|row| emptied(row)).map(|row| row.host.clone()).collect();
        }
        let mut now: BTreeMap<String, Drain> =
            rows.into_iter().map(|row| (row.host.clone(), row)).collect();
        now.retain(|host, row| named.contains(host) && emptied(row));
        for host in &named {
            let was = before.as_ref().map(|all| all.get(host));
            for line in changes(host, was, now.get(host), answer.now) {
                say(&plain(&format!("{}  {line}", clock(answer.now))))?;
            }
        }
        let left = now.values().map(|drain| drain.left).sum::<usize>();
        if left == 0 {
            let all_there = now.len() == named.len();
            return Ok(if all_there { Exit::Done } else { Exit::Failed });
        }
        if before.is_none() {
            note("Ctrl-C leaves, and the drain goes on; 'berth drain watch' comes back to it.");
        }
        before = Some(now);
        if let Some(exit) = pause(how, begun).await {
            return Ok(exit);
        }
    }
}

/// Waits for the next look; how the command ends if nobody looks any more.
async fn pause(how: &How, begun: tokio::time::Instant) -> Option<Exit> {
    if how.wait.is_some_and(|wait| begun.elapsed() >= Duration::from_secs(wait.0.0)) {
        note("Not watched any more; the drain goes on.");
        return Some(Exit::Continues);
    }
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(how.every.0.0)) => None,
        _ = tokio::signal::ctrl_c() => {
            note("\nleft; the drain goes on: berth drain watch");
            Some(Exit::Continues)
        }
    }
}

/// What is to be said of a host. `was`: `None` at the first look, and within it `None` where the
/// host was not emptied.
fn changes(
    host: &str,
    was: Option<Option<&Drain>>,
    now: Option<&Drain>,
    at: Timestamp,
) -> Vec<String> {
    let Some(drain) = now else {
        return match was {
            Some(None) => Vec::new(),
            _ => vec![format!("{host} is not being emptied")],
        };
    };
    let mut lines = Vec::new();
    let left = drain.left;
    match was.flatten() {
        None => {
            let by = drain.intent.by.map(|by| format!(", by {}", text::local(by, at)));
            lines.push(format!("{host} is emptied{}; {left} left", by.unwrap_or_default()));
        }
        Some(before) => {
            let stays = |server: &&Server| drain.servers.iter().any(|it| it.id == server.id);
            let gone = before.servers.iter().filter(|server| !stays(server)).map(Server::title);
            lines.extend(gone.map(|title| format!("{host}: {title} is gone; {left} left")));
            if lines.is_empty() && before.left != left {
                lines.push(format!("{host}: {left} left"));
            }
        }
    }
    let was_empty = was.flatten().is_some_and(|before| before.left == 0);
    if left == 0 && !was_empty {
        lines.push(format!("{host} is empty; 'berth host undrain {host}' when done"));
    }
    lines
}

/// The local time of day.
fn clock(at: Timestamp) -> String {
    let zoned = jiff::Timestamp::from_microsecond(at.0)
        .map(|at| at.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string());
    zoned.unwrap_or_default()
}
