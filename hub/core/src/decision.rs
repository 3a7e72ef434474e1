//! The record made for every request: what was asked, each rule in order, each host with its
//! exclusion or its score, and what came of it. One record stands behind page, API, CLI and log.

use std::sync::Arc;

use berth_common::link::Account;
use berth_common::{
    ByteCount, DecisionId, GpuId, HostId, Reason, Seconds, ServerId, ServerName, Timestamp,
    Username,
};
use serde::{Deserialize, Serialize};

use crate::fleet::Ask;
use crate::floor::Floor;
use crate::packing::Prices;
use crate::placement::{Need, Rows, Scored, Sight, line, lines};
use crate::rules::{Person, special_hosts};
use crate::settings::{Cite, Settings};

mod looked;

pub use looked::{By, Looked};

/// A decision with its explanation. How each single host fared is not in it: that is made again
/// from the recorded versions of floor and settings, by [`Decision::lines`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Its id.
    pub id: DecisionId,
    /// When it was made.
    pub at: Timestamp,
    /// About which server.
    pub server: ServerId,
    /// Whose.
    pub user: Username,
    /// The person's groups at that moment.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Its name.
    pub name: ServerName,
    /// What was asked for.
    pub ask: Ask,
    /// What came of it.
    pub outcome: Outcome,
    /// The rules in the order in which they were tried. The first that failed decided; those after
    /// it are said all the same, so that nobody has to try one after the other.
    pub rules: Vec<Rule>,
    /// What it was made from.
    #[serde(default)]
    pub inputs: Inputs,
    /// The hosts that are possible.
    #[serde(default)]
    pub possible: u32,
    /// The others, by the first rule that excludes them.
    #[serde(default)]
    pub excluded: Vec<Excluded>,
    /// The chosen host with its score.
    #[serde(default)]
    pub chosen: Option<Scored>,
    /// The best of the others.
    #[serde(default)]
    pub runner_up: Option<Scored>,
    /// Requests, or changes, with which it would start; best first. Each was tried.
    #[serde(default)]
    pub nearest: Vec<Nearest>,
}

/// What a decision about hosts was made from: enough to make it again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// Version of the site's files.
    pub settings: u64,
    /// Version of the floor.
    pub floor: u64,
    /// Version of the prices.
    #[serde(default)]
    pub prices: u64,
    /// What was needed of a host; `None`: the rules refused it before.
    pub need: Option<Need>,
    /// The host used last.
    pub last_host: Option<HostId>,
    /// A host that was kept for somebody who waits.
    pub kept: Option<HostId>,
}

/// Hosts that one rule excludes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excluded {
    /// The rule.
    pub reason: Reason,
    /// How many hosts.
    pub hosts: u32,
}

/// Something with which the request would start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nearest {
    /// Less memory: at most this much.
    Memory(ByteCount),
    /// Fewer GPUs.
    Gpus(u32),
    /// Another profile, with its default choices.
    Profile(String),
    /// Without this server of the person's own.
    Stop(ServerId),
    /// As asked, from this moment on.
    From(Timestamp),
    /// As asked, once this host takes servers again: an administrator can see to it.
    HostBack {
        /// The host.
        host: HostId,
        /// What is the matter with it.
        reason: Reason,
    },
}

impl Nearest {
    /// What it says, in one sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::Memory(memory) => format!("A server with {memory} would start now."),
            Self::Gpus(0) => "A server without GPU would start now.".into(),
            Self::Gpus(gpus) => {
                format!("A server with {gpus} GPU{} would start now.", plural(*gpus))
            }
            Self::Profile(profile) => format!("Profile {profile} would start now."),
            Self::Stop(_) => "It would start if you stopped one of your servers.".into(),
            Self::From(moment) => {
                format!("As asked it is possible from {} on.", moment.to_minute())
            }
            Self::HostBack { host, reason } => {
                format!("It would start if {host} were back ({reason}).")
            }
        }
    }
}

fn plural(count: u32) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// When a waiting request may start: half of such waits end within this span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// A quarter ends sooner.
    pub from: Seconds,
    /// A quarter ends later.
    pub to: Seconds,
    /// What was foreseen before the span was made from how earlier waits turned out.
    #[serde(default)]
    pub foreseen: Seconds,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// It has a host.
    Placed {
        /// `placed.now`, `placed.from_queue` or `placed.overflow`.
        reason: Reason,
        /// Which.
        host: HostId,
        /// Its GPUs that the server gets.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gpus: Vec<GpuId>,
    },
    /// It waits for one.
    Waits {
        /// Why.
        reason: Reason,
        /// How many wait before it.
        ahead: u32,
        /// When it may start, if enough is known to say so.
        #[serde(default)]
        estimate: Option<Estimate>,
    },
    /// It cannot be.
    Refused {
        /// Why.
        reason: Reason,
        /// With the numbers or names of the case.
        detail: String,
    },
}

/// One rule and how it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What was looked at, with its numbers, in English.
    pub text: String,
    /// The same as data; absent in records of hubs that had only the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked: Option<Looked>,
    /// Whether the request passed.
    pub passed: bool,
    /// The reason code, if it did not.
    #[serde(default)]
    pub reason: Option<Reason>,
    /// The line that gave the rule, if a file did.
    pub cite: Option<Cite>,
}

impl Rule {
    /// A rule that was looked at; `fails` is the reason code if the request did not pass.
    pub fn new(looked: Looked, fails: Option<Reason>, cite: Option<Cite>) -> Self {
        let text = looked.to_string();
        Self { text, looked: Some(looked), passed: fails.is_none(), reason: fails, cite }
    }
}

/// One host in a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostLine {
    /// Which host.
    pub host: HostId,
    /// How it fared.
    pub verdict: HostVerdict,
}

/// How a host fared in a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum HostVerdict {
    /// The best one.
    Best {
        /// The terms of its score.
        terms: Vec<Term>,
    },
    /// Possible, but came later; the first term that differs from the best one's decided.
    Possible {
        /// The terms of its score.
        terms: Vec<Term>,
    },
    /// Not possible.
    Excluded {
        /// All rules that exclude it, the first of them first; at least one.
        obstacles: Vec<Obstacle>,
    },
}

/// A rule that excludes a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// Which.
    pub reason: Reason,
    /// With the numbers of the case.
    pub detail: String,
}

/// One term of a score, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// What is compared.
    pub name: String,
    /// Its value on this host.
    pub value: String,
}

impl Decision {
    /// One that is still open: who asks for what, about which server of which name, and what it
    /// will be made from.
    pub(crate) fn open(
        id: DecisionId,
        at: Timestamp,
        (server, name): (ServerId, ServerName),
        account: &Account,
        ask: Ask,
        inputs: Inputs,
    ) -> Self {
        Self {
            id,
            at,
            server,
            user: account.name.clone(),
            groups: account.groups.iter().map(|group| group.name.clone()).collect(),
            name,
            ask,
            outcome: Outcome::Waits { reason: Reason::WaitNoHost, ahead: 0, estimate: None },
            rules: Vec::new(),
            inputs,
            possible: 0,
            excluded: Vec::new(),
            chosen: None,
            runner_up: None,
            nearest: Vec::new(),
        }
    }

    /// The reason code of its outcome.
    pub fn reason(&self) -> Reason {
        match &self.outcome {
            Outcome::Placed { reason, .. }
            | Outcome::Waits { reason, .. }
            | Outcome::Refused { reason, .. } => *reason,
        }
    }

    /// The host it led to, if any.
    pub fn host(&self) -> Option<&HostId> {
        match &self.outcome {
            Outcome::Placed { host, .. } => Some(host),
            _ => None,
        }
    }

    /// How every host fared, made from the recorded versions of floor, settings and prices: the same
    /// lines whenever it is asked.
    pub fn lines(
        &self,
        floor: &Floor,
        settings: &Arc<Settings>,
        prices: &Arc<Prices>,
    ) -> Vec<HostLine> {
        self.lines_seen(&Rows::of(floor, settings, prices), floor, settings)
    }

    /// The same, where the rows of these versions are at hand.
    pub fn lines_seen(&self, rows: &Rows, floor: &Floor, settings: &Settings) -> Vec<HostLine> {
        let sight = Sight { floor, rows, settings, now: self.at };
        lines(sight, &self.inputs_under(settings))
    }

    /// How one host fared, as among the lines of all; `None`: there was no such host, or none was
    /// looked at.
    pub fn line_seen(
        &self,
        rows: &Rows,
        floor: &Floor,
        settings: &Settings,
        host: &HostId,
    ) -> Option<HostLine> {
        let sight = Sight { floor, rows, settings, now: self.at };
        let best = self.chosen.as_ref().map(|chosen| &chosen.host);
        line(sight, &self.inputs_under(settings), best, host)
    }

    fn inputs_under(&self, settings: &Settings) -> Inputs {
        Inputs { need: self.need(settings), ..self.inputs.clone() }
    }

    /// What was needed of a host, under the settings of the decision; `None`: the rules refused the
    /// request before.
    pub fn need(&self, settings: &Settings) -> Option<Need> {
        let groups: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        let person = Person { name: &self.user, groups: &groups };
        let (prefer, require) = special_hosts(settings, person, &self.ask.profile);
        Some(Need { prefer, require, ..self.inputs.need.clone()? })
    }

    /// The memory with which it would start now.
    pub fn nearest_memory(&self) -> Option<ByteCount> {
        self.nearest.iter().find_map(|nearest| match nearest {
            Nearest::Memory(memory) => Some(*memory),
            _ => None,
        })
    }

    /// Its outcome in one sentence, and what to try instead.
    pub fn sentence(&self) -> String {
        let mut text = match &self.outcome {
            Outcome::Placed { host, .. } => format!("Placed on {host}: {}", self.why_there()),
            Outcome::Waits { reason, ahead, .. } => {
                let place = ahead.saturating_add(1);
                format!("Waits in place {place}: {}", reason.text())
            }
            Outcome::Refused { detail, reason } if detail.is_empty() => reason.text().to_owned(),
            Outcome::Refused { detail, .. } => detail.clone(),
        };
        if let Some(nearest) = self.nearest.first() {
            text.push(' ');
            text.push_str(&nearest.sentence());
        }
        text
    }

    /// Why the chosen host and not the next one: the first term in which they differ.
    fn why_there(&self) -> String {
        let (Some(chosen), Some(other)) = (&self.chosen, &self.runner_up) else {
            return "the only host with room.".to_owned();
        };
        let (terms, others) = (chosen.terms(), other.terms());
        let differing = terms.iter().zip(&others).find(|(a, b)| a.value != b.value);
        differing.map_or_else(String::new, |(a, b)| {
            format!("{} {} there, {} on {}.", a.name, a.value, b.value, other.host)
        })
    }
}

#[cfg(test)]
mod tests;
