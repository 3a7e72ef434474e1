//! One server: a person's notebook, kept over all its starts.

use std::fmt;

use berth_common::link::{Account, StepDone};
use berth_common::{
    ByteCount, DecisionId, Generation, HostId, Reason, Resources, Revision, ServerId, ServerName,
    Timestamp, Username,
};
use serde::{Deserialize, Serialize};

/// A server.
///
/// ```text
///            start                    a host has room
///  Idle ---------------> Waiting ------------------------> Placed (starting, then ready)
///   ^ \_________________________________________________________/^ |
///   |          start, and a host has room at once                  | stop, crash, failed start
///   |                                                              v
///   +------- evidence that the host holds nothing of it ---- Placed with a stop order
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// Its opaque id.
    pub id: ServerId,
    /// Whose it is.
    pub owner: Username,
    /// Its name among the owner's; empty for the default one.
    pub name: ServerName,
    /// Number of its newest start.
    pub generation: Generation,
    /// What it does now.
    pub phase: Phase,
    /// What was last asked for: a later start without choices repeats it.
    pub ask: Ask,
    /// The options of the last start as the client sent them, a JSON object.
    pub user_options: String,
    /// The owner's identity on the hosts at the last start; `None` for one adopted from labels.
    pub account: Option<Account>,
    /// The newest decision about it.
    pub decision: Option<DecisionId>,
    /// When it was first asked for.
    pub created: Timestamp,
    /// The newest sign of its owner.
    pub last_activity: Timestamp,
    /// Where it last ran.
    #[serde(default)]
    pub last_host: Option<HostId>,
    /// How it last ended or why its last start failed.
    pub last_end: Option<End>,
    /// What `last_activity` the store has; the newest may be half a minute late there.
    #[serde(skip)]
    pub activity_saved: Timestamp,
}

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The profile.
    pub profile: String,
    /// Memory, as the hard limit.
    pub memory: ByteCount,
    /// The image's name in the files.
    pub image: String,
}

/// What a server does now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "lowercase")]
pub enum Phase {
    /// Nothing of it exists and nothing is reserved.
    Idle,
    /// Accepted; starts as soon as a host has room.
    Waiting {
        /// When it was asked for: its place in the queue.
        since: Timestamp,
        /// Why it waits.
        reason: Reason,
    },
    /// A host holds, or may hold, its container; its resources are reserved there.
    Placed(Placement),
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// The host.
    pub host: HostId,
    /// What is reserved there.
    pub reservation: Resources,
    /// When the decision was made.
    pub placed_at: Timestamp,
    /// The desired set that first said its present order, run or keep; told anew in each reign.
    #[serde(skip)]
    pub said: Revision,
    /// When it first answered.
    pub ready_at: Option<Timestamp>,
    /// The start's milestones, by the agent's clock.
    #[serde(default)]
    pub steps: Vec<StepDone>,
    /// Set once it must end; never taken back.
    pub stop: Option<StopOrder>,
}

/// The order to end a server: final.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StopOrder {
    /// How it ends, for the owner.
    pub end: End,
    /// The desired set of this reign that first says stop: only a report that has applied it
    /// proves absence (rule H3, and H4 after a hub restart).
    #[serde(skip)]
    pub said: Revision,
}

/// How and when a server ended, or why a start failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The reason code.
    pub reason: Reason,
    /// What exactly, for people.
    pub detail: String,
    /// When.
    pub at: Timestamp,
}

impl End {
    /// Whether a start failed, as opposed to a running server that ended.
    pub fn is_failure(&self) -> bool {
        self.reason.code().starts_with("failed.") || self.reason.code().starts_with("refused.")
    }
}

/// A server's state, as people read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerState {
    /// In the queue.
    Waiting,
    /// Placed, does not answer yet.
    Starting,
    /// Answers.
    Running,
    /// Its host does not report: it runs on, as far as anybody knows.
    Unreachable,
    /// Being ended.
    Stopping,
    /// Not running.
    Ended,
}

impl fmt::Display for ServerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Unreachable => "unreachable",
            Self::Stopping => "stopping",
            Self::Ended => "ended",
        })
    }
}

impl Server {
    /// Where it is, if it is anywhere.
    pub fn placement(&self) -> Option<&Placement> {
        match &self.phase {
            Phase::Placed(placement) => Some(placement),
            _ => None,
        }
    }

    /// Where it is, to be changed.
    pub(crate) fn placement_mut(&mut self) -> Option<&mut Placement> {
        match &mut self.phase {
            Phase::Placed(placement) => Some(placement),
            _ => None,
        }
    }

    /// Since when it waits, if it does.
    pub fn waiting_since(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Waiting { since, .. } => Some(*since),
            _ => None,
        }
    }

    /// Whether it answers and nobody has asked it to stop.
    pub fn is_ready(&self) -> bool {
        self.placement()
            .is_some_and(|placement| placement.ready_at.is_some() && placement.stop.is_none())
    }

    /// Whether its container, should it vanish, is not made anew: it has answered, or was adopted
    /// without all that is needed to make it.
    pub fn is_kept(&self) -> bool {
        self.placement().is_some_and(|placement| {
            placement.stop.is_none() && (placement.ready_at.is_some() || self.account.is_none())
        })
    }

    /// Whether it waits, runs, starts or stops: anything but idle.
    pub fn is_active(&self) -> bool {
        self.phase != Phase::Idle
    }

    /// Its state, given whether its host's word is fresh.
    pub fn state(&self, reachable: bool) -> ServerState {
        match &self.phase {
            Phase::Idle => ServerState::Ended,
            Phase::Waiting { .. } => ServerState::Waiting,
            Phase::Placed(placement) if placement.stop.is_some() => ServerState::Stopping,
            Phase::Placed(_) if !reachable => ServerState::Unreachable,
            Phase::Placed(placement) if placement.ready_at.is_some() => ServerState::Running,
            Phase::Placed(_) => ServerState::Starting,
        }
    }

    /// The path under which it is served, e.g. `/user/alice/` or `/user/alice/n1/`.
    pub fn prefix(&self) -> String {
        prefix(&self.owner, &self.name)
    }
}

/// The path of a person's server. Names hold no character that a URL would have to escape.
pub fn prefix(owner: &Username, name: &ServerName) -> String {
    if name.is_default() { format!("/user/{owner}/") } else { format!("/user/{owner}/{name}/") }
}
