//! One host: what it last said, and what the hub holds about it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use berth_common::link::{Capacity, GpuDevice, HostFacts, Observed, Pending, SpaceHealth};
use berth_common::{
    BootId, ByteCount, HostId, Incarnation, Reason, Revision, Seconds, ServerId, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::DrainId;
use crate::drain::intent::Intent as Plan;
use crate::settings::HostSettings;

/// How long two agents of one name keep the host from taking new servers after the last sign.
const DOUBLED_FOR: Seconds = Seconds(60);

/// A host. Only `id` and `boot_id` outlive the hub; the rest is told anew by the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub id: HostId,
    /// The boot that last reported. Another one proves that nothing of the former runs.
    pub boot_id: Option<BootId>,
    /// What the administrators want with it.
    #[serde(default)]
    pub intent: Intent,
    /// The drain that empties it, while one does.
    #[serde(default)]
    pub drain: Option<DrainId>,
    /// Where the proxy reaches its tunnel, as last declared: a host that no file names any more
    /// keeps its routes.
    #[serde(default)]
    pub address: String,
    /// What it said in this reign; `None` = unknown, never "empty". Shared, so that a snapshot of
    /// the fleet and the next report cost no copy of it.
    #[serde(skip)]
    pub heard: Option<Arc<Heard>>,
    /// Number of its newest desired set in this reign.
    #[serde(skip)]
    pub seq: u64,
    /// The newest session that spoke for it.
    #[serde(skip)]
    pub session: u64,
    /// When a second agent last spoke under its name.
    #[serde(skip)]
    pub doubled_at: Option<Timestamp>,
}

/// What the administrators want with a host. It outlives the hub.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "intent", rename_all = "lowercase")]
pub enum Intent {
    /// It takes servers.
    #[default]
    Open,
    /// It takes nothing new; what runs there goes on.
    Cordoned(Order),
    /// It is emptied.
    Draining {
        /// Who, why and since when.
        order: Order,
        /// When it is to be empty; `None`: whenever its servers have ended by themselves.
        by: Option<Timestamp>,
        /// How far that is, and what happens at the deadline.
        plan: Plan,
    },
}

/// An order of an administrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Why.
    pub reason: String,
    /// Who gave it.
    pub who: String,
    /// When.
    pub at: Timestamp,
}

impl Intent {
    /// When the host will be empty; for a drain without deadline, no moment is known.
    pub fn drains_by(&self) -> Option<Timestamp> {
        match self {
            Self::Draining { by, .. } => *by,
            Self::Open | Self::Cordoned(_) => None,
        }
    }

    /// The order behind it.
    pub fn order(&self) -> Option<&Order> {
        match self {
            Self::Open => None,
            Self::Cordoned(order) | Self::Draining { order, .. } => Some(order),
        }
    }
}

/// The newest heartbeat of a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// When it arrived, by the hub's clock.
    pub at: Timestamp,
    /// The agent's send time, echoed back to it.
    pub sent: Timestamp,
    /// The agent process.
    pub incarnation: Incarnation,
    /// The newest desired set it has taken over.
    pub applied: Revision,
    /// Its containers; kept from the last good report while the engine is in trouble.
    pub observed: BTreeMap<ServerId, Observed>,
    /// Operations not settled yet.
    pub pending: Vec<Pending>,
    /// Why the container engine does not answer, if it does not.
    pub engine_trouble: Option<String>,
    /// What it has to give.
    pub capacity: Capacity,
    /// Its GPUs.
    pub gpus: Arc<Vec<GpuDevice>>,
    /// Its watched spaces.
    pub spaces: Vec<SpaceHealth>,
    /// Names of the images on it that are the site's builds of them, shared with the former
    /// heartbeat while they are the same. All names are among the facts.
    pub images: Arc<BTreeSet<String>>,
    /// Versions.
    pub facts: HostFacts,
}

impl Heard {
    /// The host's load average of the last minute; `None`: it does not say.
    pub fn load(&self) -> Option<f64> {
        self.facts.load.map(|hundredths| f64::from(hundredths) / 100.0)
    }
}

/// The kernel and the firmware keep some of a machine's memory before anybody can count it: only
/// what is missing beyond this part of the declared amount is a difference.
const KERNELS_SHARE: u64 = 8;

/// What a host reports less of than its file declares, with both numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// Memory.
    Memory {
        /// In the file.
        declared: ByteCount,
        /// By the kernel of the host.
        reported: ByteCount,
    },
    /// GPUs of the declared model.
    Gpus {
        /// As NVML calls it.
        model: String,
        /// In the file.
        declared: u32,
        /// By the host.
        reported: u32,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { declared, reported } => {
                write!(f, "memory: {declared} declared, {reported} reported")
            }
            Self::Gpus { model, declared, reported } => {
                write!(f, "GPUs {model}: {declared} declared, {reported} reported")
            }
        }
    }
}

/// A host's state with the first reason that keeps it from taking new servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    /// Takes servers.
    Ready,
    /// Has not reported in this reign.
    Joining,
    /// Reports less than its file declares: people call that joining, too.
    Mismatch,
    /// Silent for longer than the site allows.
    Lost,
    /// Reports, but its container engine does not answer.
    EngineDown,
    /// Reports, but no file declares it.
    Undeclared,
    /// Two agents report under its name.
    Doubled,
    /// Takes nothing new, by an administrator's order.
    Cordoned,
    /// Is being emptied.
    Draining,
    /// Was emptied.
    Drained,
}

impl HostState {
    /// Why a host in this state takes nothing new; `None` if it does.
    pub fn obstacle(self) -> Option<Reason> {
        match self {
            Self::Ready => None,
            Self::Joining => Some(Reason::HostJoining),
            Self::Mismatch => Some(Reason::HostMismatch),
            Self::Lost => Some(Reason::HostLost),
            Self::EngineDown => Some(Reason::HostEngineDown),
            Self::Undeclared => Some(Reason::HostUndeclared),
            Self::Doubled => Some(Reason::HostDoubled),
            Self::Cordoned => Some(Reason::HostCordoned),
            Self::Draining => Some(Reason::HostDraining),
            Self::Drained => Some(Reason::HostDrained),
        }
    }

    /// Whether its word about its servers is fresh.
    pub fn is_reporting(self) -> bool {
        !matches!(self, Self::Joining | Self::Lost | Self::EngineDown)
    }
}

impl fmt::Display for HostState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ready => "ready",
            Self::Joining | Self::Mismatch => "joining",
            Self::Lost => "lost",
            Self::EngineDown => "engine down",
            Self::Undeclared => "undeclared",
            Self::Doubled => "doubled",
            Self::Cordoned => "cordoned",
            Self::Draining => "draining",
            Self::Drained => "drained",
        })
    }
}

impl Host {
    /// A host of which nothing is known yet.
    pub fn new(id: HostId) -> Self {
        Self {
            id,
            boot_id: None,
            intent: Intent::Open,
            drain: None,
            address: String::new(),
            heard: None,
            seq: 0,
            session: 0,
            doubled_at: None,
        }
    }

    /// Until when two agents of its name keep it from taking new servers.
    pub fn doubled_until(&self) -> Option<Timestamp> {
        self.doubled_at.map(|at| at.plus(DOUBLED_FOR))
    }

    /// What is said about its state: the engine's trouble, or why it takes nothing new.
    pub fn note(&self, settings: Option<&HostSettings>, state: HostState) -> String {
        let text = match state {
            HostState::EngineDown => {
                self.heard.as_ref().and_then(|heard| heard.engine_trouble.clone())
            }
            HostState::Cordoned | HostState::Draining | HostState::Drained => {
                self.intent.order().map(|order| order.reason.clone())
            }
            HostState::Mismatch => self.mismatch(settings).map(|it| it.to_string()),
            _ => None,
        };
        text.unwrap_or_default()
    }

    /// Its state at this moment; `empty`: nothing holds room on it.
    pub fn state(
        &self,
        settings: Option<&HostSettings>,
        lost_after: Seconds,
        empty: bool,
        now: Timestamp,
    ) -> HostState {
        let Some(heard) = &self.heard else { return HostState::Joining };
        if now > heard.at.plus(lost_after) {
            HostState::Lost
        } else if settings.is_none() {
            HostState::Undeclared
        } else if heard.engine_trouble.is_some() {
            HostState::EngineDown
        } else if self.doubled_until().is_some_and(|until| now < until) {
            HostState::Doubled
        } else {
            match &self.intent {
                Intent::Open if self.mismatch(settings).is_some() => HostState::Mismatch,
                Intent::Open => HostState::Ready,
                Intent::Cordoned(_) => HostState::Cordoned,
                Intent::Draining { .. } if empty => HostState::Drained,
                Intent::Draining { .. } => HostState::Draining,
            }
        }
    }

    /// What it reports less of than its file declares. GPUs are not compared while the driver
    /// does not answer: that has words of its own, and says nothing about how many there are.
    pub fn mismatch(&self, settings: Option<&HostSettings>) -> Option<Mismatch> {
        let (heard, settings) = (self.heard.as_ref()?, settings?);
        let reported = heard.capacity.memory_total;
        let declared =
            settings.memory.filter(|it| reported < it.minus(ByteCount(it.0 / KERNELS_SHARE)));
        if let Some(declared) = declared {
            return Some(Mismatch::Memory { declared, reported });
        }
        let gpus = settings.gpus.as_ref().filter(|_| heard.facts.gpus.trouble.is_empty())?;
        let reported = heard.gpus.iter().filter(|it| it.model == gpus.model).count();
        let reported = u32::try_from(reported).unwrap_or(u32::MAX);
        (reported < gpus.count).then(|| Mismatch::Gpus {
            model: gpus.model.clone(),
            declared: gpus.count,
            reported,
        })
    }

    /// Whether the host fetches the image of this server, to make it then.
    pub fn is_fetching(&self, server: &ServerId) -> bool {
        let fetches = |p: &Pending| p.server == *server && p.operation == "fetch";
        self.heard.as_ref().is_some_and(|heard| heard.pending.iter().any(fetches))
    }

    /// How much of that image is there, in percent, where the host knows.
    pub fn fetched(&self, server: &ServerId) -> Option<u32> {
        let mut pending = self.heard.as_ref()?.pending.iter();
        pending.find(|p| p.server == *server && p.operation == "fetch")?.percent
    }

    /// Whether an operation on this server is not settled on the host.
    pub fn is_pending(&self, server: &ServerId) -> bool {
        self.heard.as_ref().is_some_and(|heard| heard.pending.iter().any(|p| p.server == *server))
    }
}
