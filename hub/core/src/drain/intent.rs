//! What was decided about emptying hosts, as it is stored: a hub that is killed goes on from it.

use std::collections::BTreeMap;

use berth_common::{BootId, HostId, Seconds, ServerId, Timestamp};
use serde::{Deserialize, Serialize};

use super::next::Step;
use super::single::AtDeadline;

/// Hosts to be emptied, and how far that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// What for.
    pub goal: Goal,
    /// How long before a deadline people are told, besides at once.
    pub leads: Vec<Seconds>,
    /// What happens at a deadline to those who are left.
    pub at_deadline: AtDeadline,
    /// How many servers change hosts at one time. Each holds memory twice meanwhile.
    pub at_once: usize,
    /// What those who are told read in place of the reason; `None`: the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The hosts in their order.
    pub turns: Vec<Turn>,
    /// Who was told last, and with which lead; `None`: at once.
    pub told: BTreeMap<ServerId, Told>,
}

/// What hosts are emptied for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// All of them at once, by a moment if one is given; they stay empty until somebody takes the
    /// intent back.
    Drain {
        /// When they must be empty.
        by: Option<Timestamp>,
    },
    /// One after the other; the next begins when the last was rebooted.
    Reboot {
        /// How long each of them may take to be emptied; `None`: as long as its servers want.
        each: Option<Seconds>,
    },
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Which.
    pub host: HostId,
    /// How far it is.
    pub state: State,
}

/// How far one host is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum State {
    /// Its turn has not come: it runs as ever.
    Waiting,
    /// It takes nothing new, and its servers leave.
    Emptying(Emptying),
    /// Nothing runs there; it may be worked on.
    Empty {
        /// The boot that is to end.
        boot: Option<BootId>,
    },
    /// It was rebooted, and takes servers again.
    Done,
}

/// A host whose servers leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emptying {
    /// Since when.
    pub since: Timestamp,
    /// When it must be empty.
    pub deadline: Option<Timestamp>,
    /// Its boot at that time: another one means that it was rebooted already.
    pub boot: Option<BootId>,
    /// Where servers go, in this order; stored so that a plan is followed to its end.
    pub moves: Vec<Handover>,
}

/// A server restarted on another host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Handover {
    /// The server.
    pub server: ServerId,
    /// The host it leaves.
    pub from: HostId,
    /// The host it goes to.
    pub to: HostId,
}

/// What an owner knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The host this is about.
    pub host: HostId,
    /// When the owner was first told.
    pub at: Timestamp,
    /// The shortest lead told so far.
    pub lead: Option<Seconds>,
    /// When that was told.
    #[serde(default)]
    pub newest: Timestamp,
    /// Whether the mail about it has left; it is sent again until then.
    #[serde(default)]
    pub mailed: bool,
}

impl Goal {
    /// The deadline of a host whose turn begins now.
    pub fn deadline(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Drain { by } => by,
            Self::Reboot { each } => each.map(|each| now.plus(each)),
        }
    }
}

impl Intent {
    /// The intent to empty hosts; nothing is done yet.
    pub fn new(
        goal: Goal,
        hosts: impl IntoIterator<Item = HostId>,
        leads: Vec<Seconds>,
        at_deadline: AtDeadline,
        at_once: usize,
    ) -> Self {
        let turns = hosts.into_iter().map(|host| Turn { host, state: State::Waiting }).collect();
        Self { goal, leads, at_deadline, at_once, message: None, turns, told: BTreeMap::new() }
    }

    /// Whether there is nothing left to do: all hosts were rebooted, or are empty and stay so.
    pub fn is_done(&self) -> bool {
        let stays_empty = matches!(self.goal, Goal::Drain { .. });
        self.turns.iter().all(|turn| match &turn.state {
            State::Done => true,
            State::Empty { .. } => stays_empty,
            State::Waiting | State::Emptying(_) => false,
        })
    }

    /// Whether a host must take no new servers.
    pub fn is_closed(&self, host: &HostId) -> bool {
        matches!(self.state(host), Some(State::Emptying(_) | State::Empty { .. }))
    }

    /// Where a host stands in the order, if it is still to be emptied: placement prefers hosts
    /// that are not, then the later ones.
    pub fn position(&self, host: &HostId) -> Option<usize> {
        let open = self.turns.iter().filter(|turn| turn.state != State::Done);
        open.map(|turn| &turn.host).position(|other| other == host)
    }

    /// Writes down that a step was taken. In one transaction with what the step does: whoever
    /// finds it written need not do it again, whoever does not find it does it.
    pub fn record(&mut self, step: &Step, now: Timestamp) {
        match step {
            Step::Begin { host, emptying } => self.set(host, State::Emptying(emptying.clone())),
            Step::Empty { host, boot } => self.set(host, State::Empty { boot: boot.clone() }),
            Step::Finish { host } => {
                self.set(host, State::Done);
                self.told.retain(|_, told| told.host != *host);
            }
            Step::Tell { server, host, lead } => {
                let before = self.told.get(server).filter(|told| told.host == *host);
                let at = before.map_or(now, |told| told.at);
                let told = Told { host: host.clone(), at, lead: *lead, newest: now, mailed: false };
                self.told.insert(server.clone(), told);
            }
            Step::Restart(_) | Step::Stop { .. } => {}
        }
    }

    /// How far a host is, if this is about it.
    pub fn state(&self, host: &HostId) -> Option<&State> {
        self.turns.iter().find(|turn| turn.host == *host).map(|turn| &turn.state)
    }

    fn set(&mut self, host: &HostId, state: State) {
        if let Some(turn) = self.turns.iter_mut().find(|turn| turn.host == *host) {
            turn.state = state;
        }
    }
}
