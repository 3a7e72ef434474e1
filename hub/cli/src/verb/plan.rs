//! `berth plan`: what if hosts were not there, or more were, or the files said something else; and
//! plans over many hosts.

use berth_common::{ByteCount, Timestamp};
use clap::Subcommand;
use serde::Deserialize;

use crate::api::{self, ReasonText};
use crate::args::Common;
use crate::print::{note, say};
use crate::problem::{Exit, Problem, plain};
use crate::text::plural;

mod add_host;
mod config;
mod consolidate;
mod hosts;
mod reboot;
mod remove_host;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Who would have a place if these hosts were not there
    RemoveHost(remove_host::Args),
    /// Who would start if there were more hosts
    AddHost(add_host::Args),
    /// Check a folder's files, and decide past requests again under them
    Config(config::Args),
    /// Empty and reboot hosts in turn; without hosts, show how far it is
    Reboot(reboot::Args),
    /// Which hosts could be freed by restarting idle servers elsewhere
    Consolidate(consolidate::Args),
}

/// Does what the verb says.
pub async fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    match verb {
        Verb::RemoveHost(args) => remove_host::run(args, common).await,
        Verb::AddHost(args) => add_host::run(args, common).await,
        Verb::Config(args) => config::run(args, common).await,
        Verb::Reboot(args) => reboot::run(args, common).await,
        Verb::Consolidate(args) => consolidate::run(args, common).await,
    }
}

/// Recorded requests decided again.
#[derive(Debug, Deserialize)]
struct Replay {
    requests: u64,
    same: u64,
    now_accepted: u64,
    now_refused: u64,
    now_starts: u64,
    now_waits: u64,
    refused_otherwise: u64,
    others: Vec<Other>,
    #[serde(default)]
    left_off: bool,
}

/// A request with another answer.
#[derive(Debug, Deserialize)]
struct Other {
    #[serde(default, deserialize_with = "api::moment")]
    at: Option<Timestamp>,
    user: String,
    ask: Ask,
    before: Verdict,
    after: Verdict,
}

#[derive(Debug, Deserialize)]
struct Ask {
    profile: String,
    memory: ByteCount,
}

#[derive(Debug, Deserialize)]
struct Verdict {
    reason: ReasonText,
    cite: Option<String>,
}

impl Replay {
    /// The counts, then each request with another answer.
    fn print(&self) -> Result<(), Problem> {
        let counts = [
            (self.same, "same answer"),
            (self.now_accepted, "refused before now accepted"),
            (self.now_refused, "accepted before now refused"),
            (self.now_starts, "would start at once that waited"),
            (self.now_waits, "would wait that started at once"),
            (self.refused_otherwise, "refused for another reason"),
        ];
        let parts = counts.iter().enumerate();
        let parts = parts.filter(|(at, (count, _))| *at == 0 || *count > 0);
        let parts = parts.map(|(_, (count, text))| format!("{count} {text}")).collect::<Vec<_>>();
        let end = if self.others.is_empty() { "." } else { ":" };
        let requests = usize::try_from(self.requests).unwrap_or(usize::MAX);
        say(&format!(
            "{requests} request{} replayed: {}{end}",
            plural(requests),
            parts.join(", ")
        ))?;
        for Other { at, user, ask, before, after } in &self.others {
            let at = at.map(|at| at.to_string()).unwrap_or_default();
            let at = at.get(..16).unwrap_or_default().replace('T', " ");
            let cite = after.cite.as_ref().map_or(String::new(), |cite| format!(" ({cite})"));
            let (before, after) = (&before.reason.code, &after.reason.code);
            let Ask { profile, memory } = ask;
            say(&plain(&format!("  {at}  {user}  {profile} {memory}  {before} -> {after}{cite}")))?;
        }
        let told = u64::try_from(self.others.len()).unwrap_or(u64::MAX);
        let more = self.requests.saturating_sub(self.same).saturating_sub(told);
        if more > 0 {
            say(&format!("  and {more} more"))?;
        }
        if self.left_off {
            note("There were more; ask for a shorter time to have the newest.");
        }
        Ok(())
    }
}
