//! One server: a person's notebook, kept over all its starts.

use std::fmt;

use berth_common::link::{Account, Kill, Limit, StepDone};
use berth_common::{
    ByteCount, DecisionId, Generation, GpuPart, HostId, Reason, Resources, Revision, Seconds,
    ServerId, ServerName, Timestamp, Username,
};
use serde::{Deserialize, Serialize};

use crate::life::Life;
use crate::memory::{Member, Peaks};

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
    /// Its use of memory since it was last placed.
    #[serde(default)]
    pub peaks: Option<Peaks>,
    /// Where it last ran.
    #[serde(default)]
    pub last_host: Option<HostId>,
    /// When its owner, asked about an unused GPU, gave it back: the next request for one comes as if
    /// it had been made then.
    #[serde(default)]
    pub gpu_turn: Option<Timestamp>,
    /// How it last ended or why its last start failed.
    pub last_end: Option<End>,
    /// Its newest start that is over, kept for who looks at what happened to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_start: Option<Box<PastStart>>,
    /// The newest of its processes that were killed for want of memory while it ran on, oldest
    /// first; of the present or last start.
    #[serde(default)]
    pub kills: Vec<Kill>,
    /// What `last_activity` the store has; the newest may be half a minute late there.
    #[serde(skip)]
    pub activity_saved: Timestamp,
}

/// What a person asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The profile.
    pub profile: String,
    /// Memory, as the hard limit.
    pub memory: ByteCount,
    /// The image's name in the files.
    pub image: String,
    /// GPUs.
    #[serde(default)]
    pub gpus: u32,
    /// Thousandths of each GPU; 1000 = whole ones.
    #[serde(default)]
    pub gpu_milli: u32,
    /// The model of its GPUs; `None`: any that the profile offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_model: Option<String>,
    /// Processor time that is counted, in thousandths of a core; 0: none.
    #[serde(default)]
    pub cpu_milli: u32,
    /// Whether it is a throw-away server of a rehearsal: nobody's, whoever's name it has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rehearsal: bool,
}

/// A place on a host that is kept for a server whose owner is not looking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPlace {
    /// The host.
    pub host: HostId,
    /// Its GPUs that are kept.
    pub gpus: Vec<GpuPart>,
    /// Its ports for the compute farm that are kept.
    #[serde(default)]
    pub farm_ports: Vec<u16>,
    /// What it will probably use at most.
    pub expected: ByteCount,
    /// Whether that comes from servers before it.
    #[serde(default)]
    pub expected_known: bool,
    /// Until when.
    pub until: Timestamp,
    /// Whether the mail about it has left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mailed: bool,
}

/// A start as far as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastStart {
    /// Its number.
    pub generation: Generation,
    /// Where.
    pub host: HostId,
    /// When the decision was made.
    pub placed_at: Timestamp,
    /// When it first answered.
    pub ready_at: Option<Timestamp>,
    /// Its milestones, by the agent's clock.
    pub steps: Vec<StepDone>,
}

impl PastStart {
    /// What is kept of a start.
    pub fn of(generation: Generation, placement: &Placement) -> Self {
        Self {
            generation,
            host: placement.host.clone(),
            placed_at: placement.placed_at,
            ready_at: placement.ready_at,
            steps: placement.steps.clone(),
        }
    }
}

/// An end of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Moved {
    /// Before all others.
    First,
    /// After all others.
    Last,
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
        /// When its owner last looked at it; `None`: a program asked, which need not look.
        #[serde(default)]
        watched: Option<Timestamp>,
        /// What was foreseen when it was asked for.
        #[serde(default)]
        foreseen: Option<Seconds>,
        /// The place that is held for it once its turn has come.
        #[serde(default)]
        place: Option<HeldPlace>,
        /// Where an administrator has put it in the queue.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        moved: Option<Moved>,
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
    /// Its GPUs.
    #[serde(default)]
    pub gpus: Vec<GpuPart>,
    /// Its ports of the host that the compute farm reaches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub farm_ports: Vec<u16>,
    /// What it was expected to use at most when it was placed.
    #[serde(default)]
    pub expected: ByteCount,
    /// Whether that came from servers before it.
    #[serde(default)]
    pub expected_known: bool,
    /// When the decision was made.
    pub placed_at: Timestamp,
    /// The desired set that first said its present order, run or keep; told anew in each reign.
    #[serde(skip)]
    pub said: Revision,
    /// What it runs. Boxed: it is looked at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Box<ImagePin>>,
    /// When it first answered.
    pub ready_at: Option<Timestamp>,
    /// The start's milestones, by the agent's clock.
    #[serde(default)]
    pub steps: Vec<StepDone>,
    /// What keeps it alive, and what its owner was told of its end.
    #[serde(default)]
    pub life: Box<Life>,
    /// When its owner was told that it will be stopped, being idle, to relieve its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_to_leave: Option<Timestamp>,
    /// Since when it holds what it holds now, if that is not since it was placed: what it held
    /// before is booked.
    #[serde(default)]
    pub held_since: Option<Timestamp>,
    /// What of it it really used since then.
    #[serde(default)]
    pub used: RealUse,
    /// The newest order to change its memory limit while it runs. Boxed: most have none.
    #[serde(default)]
    pub resize: Option<Box<Resize>>,
    /// The newest loan of memory. Boxed: most have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loan: Option<Box<Loan>>,
    /// Set once it must end; never taken back.
    pub stop: Option<StopOrder>,
}

/// An image as it was when a server got its place: what its name then stands for is no matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImagePin {
    /// The name, with tag or digest.
    pub name: String,
    /// The build, as hosts report it; empty: no host had it.
    pub build: String,
}

/// What a server really used of what it holds, added up over time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealUse {
    /// MiB times seconds.
    pub mib_s: u64,
    /// Thousandths of a GPU at work times seconds.
    #[serde(default)]
    pub gpu_milli_s: u64,
    /// Until when it is added up in this reign.
    #[serde(skip)]
    pub until: Option<Timestamp>,
}

impl RealUse {
    /// It is added up this often: a server is not copied for each report.
    const EVERY: Seconds = Seconds(60);
    /// Of a longer silence nobody knows what was used in it.
    const LONGEST: Seconds = Seconds(600);

    /// Whether a report is to be added.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now >= until.plus(Self::EVERY))
    }

    /// Adds the time until now, with what is used now: memory, and thousandths of GPUs at work.
    pub fn add(&mut self, memory: ByteCount, gpu_milli: u64, now: Timestamp) {
        if let Some(until) = self.until.filter(|until| now <= until.plus(Self::LONGEST)) {
            let seconds = now.millis_since(until) / 1000;
            let more = memory.mebibytes().saturating_mul(seconds);
            self.mib_s = self.mib_s.saturating_add(more);
            let more = gpu_milli.saturating_mul(seconds);
            self.gpu_milli_s = self.gpu_milli_s.saturating_add(more);
        }
        self.until = Some(now);
    }
}

impl Placement {
    /// The loan of memory that it has now.
    pub fn loan(&self) -> Option<&Loan> {
        self.loan.as_deref().filter(|loan| loan.over.is_none())
    }

    /// Whether part of its limit is lent.
    pub fn is_lent(&self) -> bool {
        self.resize.as_deref().is_some_and(|resize| resize.limit.lent)
    }

    /// Its memory limit without what is lent.
    pub fn own_limit(&self) -> ByteCount {
        let loan = self.loan().filter(|_| self.is_lent());
        loan.map_or(self.limit(), |loan| loan.own)
    }

    /// Its memory limit: what its host is told.
    pub fn limit(&self) -> ByteCount {
        self.resize.as_deref().map_or(self.reservation.memory, |resize| resize.limit.memory)
    }
}

/// An order to change the memory limit of a running server.
///
/// The reservation follows what is proven: it grows with the order, before the host hears of it,
/// and shrinks once a report shows the smaller limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resize {
    /// What the host is told, from the order on for as long as the server runs.
    pub limit: Limit,
    /// The limit before it: what holds again if the host refuses.
    pub before: ByteCount,
    /// When it was given.
    pub at: Timestamp,
    /// How far it is.
    pub state: ResizeState,
    /// The desired set that first says it in this reign: an older report proves nothing.
    #[serde(skip)]
    pub said: Revision,
}

/// Memory that a server was lent before it would have run out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loan {
    /// The limit that it had, and will have again.
    pub own: ByteCount,
    /// How much was lent beside.
    pub lent: ByteCount,
    /// When.
    pub at: Timestamp,
    /// It goes back then, or as soon after as the use allows.
    pub until: Timestamp,
    /// When it was back, or was refused by the host; `None`: it is lent now.
    #[serde(default)]
    pub over: Option<Timestamp>,
}

impl Loan {
    /// In words, for the owner.
    pub fn sentence(&self) -> String {
        let Self { own, lent, until, .. } = self;
        let until = until.to_minute();
        format!(
            "It had nearly used up its {own} of memory, so its host lends it {lent} until \
             {until}. Free some, or ask for more."
        )
    }
}

/// How far an order to change a limit is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum ResizeState {
    /// Saved and told; the host has not shown the new limit yet.
    UnderWay,
    /// The host has shown it.
    Done,
    /// The host has refused; the limit before holds.
    Refused {
        /// Why.
        end: End,
    },
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

    /// The host on which it holds room: placed, or promised a place.
    pub fn holds_on(&self) -> Option<&HostId> {
        match &self.phase {
            Phase::Placed(placement) => Some(&placement.host),
            Phase::Waiting { place: Some(place), .. } => Some(&place.host),
            Phase::Waiting { .. } | Phase::Idle => None,
        }
    }

    /// Its memory as the rule of placement sees it.
    pub fn member(&self, now: Timestamp, limit: ByteCount) -> Member {
        let (expected, known) = match &self.phase {
            Phase::Placed(placement) => (placement.expected, placement.expected_known),
            Phase::Waiting { place: Some(place), .. } => (place.expected, place.expected_known),
            Phase::Waiting { .. } | Phase::Idle => (ByteCount::ZERO, false),
        };
        let member = match &self.peaks {
            Some(peaks) if self.placement().is_some() => peaks.member(now, expected, limit),
            _ => Member::newcomer(expected, limit),
        };
        Member { young: member.young && !known, ..member }
    }

    /// The name of its owner's main group at the last start; empty if it has none.
    pub fn main_group(&self) -> &str {
        self.account.as_ref().map_or("", |account| account.main_group())
    }

    /// The names of its owner's groups at the last start.
    pub fn groups(&self) -> Vec<&str> {
        let groups = self.account.iter().flat_map(|account| &account.groups);
        groups.map(|group| group.name.as_str()).collect()
    }

    /// Where an administrator has put it in the queue, if it waits there.
    pub fn moved(&self) -> Option<Moved> {
        match &self.phase {
            Phase::Waiting { moved, .. } => *moved,
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

    /// Whether it belongs to a rehearsal: no quota, budget, estimate or limit of time counts it.
    pub fn is_rehearsal(&self) -> bool {
        self.ask.rehearsal
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
