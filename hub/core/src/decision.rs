//! The record made for every request: what was asked, each rule in order, each host with its
//! exclusion or its score, and what came of it. One record stands behind page, API, CLI and log.

use berth_common::{
    ByteCount, DecisionId, HostId, Reason, ServerId, ServerName, Timestamp, Username,
};
use serde::{Deserialize, Serialize};

use crate::fleet::Ask;
use crate::settings::Cite;

/// A decision with its explanation.
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
    /// Its name.
    pub name: ServerName,
    /// What was asked for.
    pub ask: Ask,
    /// What came of it.
    pub outcome: Outcome,
    /// The rules in the order in which they were tried; the last one decided if it failed.
    pub rules: Vec<Rule>,
    /// Every host of the site, in the order of preference, excluded ones last.
    pub hosts: Vec<HostLine>,
    /// A request that would start now, when this one does not.
    pub nearest: Option<ByteCount>,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// It has a host.
    Placed {
        /// `placed.now` or `placed.from_queue`.
        reason: Reason,
        /// Which.
        host: HostId,
    },
    /// It waits for one.
    Waits {
        /// Why.
        reason: Reason,
        /// How many wait before it.
        ahead: u32,
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
    /// What was looked at, with its numbers.
    pub text: String,
    /// Whether the request passed.
    pub passed: bool,
    /// The line that gave the rule, if a file did.
    pub cite: Option<Cite>,
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
    /// The one.
    Chosen {
        /// The terms of its score.
        terms: Vec<Term>,
    },
    /// Possible, but came later; the first term that differs from the chosen one's decided.
    Possible {
        /// The terms of its score.
        terms: Vec<Term>,
    },
    /// Not possible.
    Excluded {
        /// Why.
        reason: Reason,
        /// With the numbers of the case.
        detail: String,
    },
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

    /// Its outcome in one sentence.
    pub fn sentence(&self) -> String {
        match &self.outcome {
            Outcome::Placed { host, .. } => format!("Placed on {host}: {}", self.why_there()),
            Outcome::Waits { reason, ahead } => {
                let place = ahead.saturating_add(1);
                let mut text = format!("Waits in place {place}: {}", reason.text());
                if let Some(nearest) = self.nearest {
                    text.push_str(&format!(" A server with {nearest} would start now."));
                }
                text
            }
            Outcome::Refused { detail, reason } => {
                let mut text =
                    if detail.is_empty() { reason.text().to_owned() } else { detail.clone() };
                if let Some(nearest) = self.nearest {
                    text.push_str(&format!(" A server with {nearest} would start now."));
                }
                text
            }
        }
    }

    /// Why the chosen host and not the next one: the first term in which they differ.
    fn why_there(&self) -> String {
        let possible = self.hosts.iter().filter_map(|line| match &line.verdict {
            HostVerdict::Chosen { terms } | HostVerdict::Possible { terms } => {
                Some((&line.host, terms))
            }
            HostVerdict::Excluded { .. } => None,
        });
        let possible: Vec<_> = possible.collect();
        match possible.as_slice() {
            [(_, terms), (other, others), ..] => {
                let differing = terms.iter().zip(others.iter()).find(|(a, b)| a.value != b.value);
                match differing {
                    Some((a, b)) => {
                        format!("{} {} there, {} on {other}.", a.name, a.value, b.value)
                    }
                    None => format!("equal to {other} in everything, first by name."),
                }
            }
            _ => "the only host with room.".to_owned(),
        }
    }
}
