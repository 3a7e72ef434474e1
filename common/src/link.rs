//! What hub and agent tell each other, as types: the whole observed state up, the whole desired
//! state down. `berth-proto` carries them over the wire; the core and `agent::reconcile` think
//! in them, and so does the simulation of both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    BootId, ByteCount, DecisionId, Epoch, Generation, GpuId, GpuPart, Incarnation, Reason,
    Revision, ServerId, ServerName, Timestamp, Username,
};

/// One heartbeat of an agent: everything it knows, every time.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The agent process that speaks.
    pub incarnation: Incarnation,
    /// The kernel's boot it runs in.
    pub boot_id: BootId,
    /// When it was sent, by the agent's own clock.
    pub sent: Timestamp,
    /// The newest desired set that the agent has taken over.
    pub applied: Revision,
    /// What the container engine said; `Err` is its trouble in words: then nothing is known, and
    /// unknown is never absent.
    pub engine: Result<Vec<Observed>, String>,
    /// Operations that are not settled yet.
    pub pending: Vec<Pending>,
    /// What the host has.
    pub capacity: Capacity,
    /// Its GPUs.
    pub gpus: Vec<GpuDevice>,
    /// Versions and images, for people and for placement.
    pub facts: HostFacts,
}

/// What a host has to give, and how much of it is really free.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capacity {
    /// The smaller of claimed and real memory.
    pub memory_total: ByteCount,
    /// Memory really free now, never more than the claimed memory less the servers' own use.
    pub memory_free: ByteCount,
    /// Processors.
    pub cpus: u32,
}

/// One GPU of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuDevice {
    /// Which.
    pub gpu: GpuId,
    /// NVML's name of the model.
    pub model: String,
    /// Its memory.
    pub memory: ByteCount,
    /// Why it is set aside: sick, or used by somebody else. `None`: it can be given.
    pub trouble: Option<String>,
}

/// Slowly changing facts about a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// Version of the agent.
    pub agent_version: String,
    /// Version of the container engine; empty while it does not answer.
    pub engine_version: String,
    /// Names of the images on the host.
    pub images: Vec<String>,
}

/// One server's container as the engine shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Which server.
    pub server: ServerId,
    /// Which start of it.
    pub generation: Generation,
    /// The reign whose desired set asked for it.
    pub epoch: Epoch,
    /// What it does.
    pub state: ObservedState,
    /// The start's milestones so far, oldest first.
    pub steps: Vec<StepDone>,
    /// Its working set.
    pub memory_used: ByteCount,
    /// Whose it is, from its labels: enough to adopt it without a store.
    pub origin: Origin,
}

/// Labels of a container that let a hub with an empty store adopt it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The owner.
    pub user: Username,
    /// The server's name within the owner's.
    pub server_name: ServerName,
    /// The profile it was asked with.
    pub profile: String,
    /// The container's memory limit.
    pub memory: ByteCount,
    /// The GPUs it holds.
    pub gpus: Vec<GpuPart>,
    /// The decision that placed it.
    pub decision: Option<DecisionId>,
}

/// What a container does. A server without a container is simply not in the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObservedState {
    /// Exists and may be about to start: not absent.
    Created,
    /// Started, does not answer yet.
    Running,
    /// Answers on its port.
    Ready,
    /// Asked to end.
    Stopping,
    /// Ended; the container is still there or was just removed.
    Exited(Ending),
    /// Could not be made or started; nothing of it is left.
    Failed(Ending),
}

/// How a server ended or why it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The reason code.
    pub reason: Reason,
    /// For people: what exactly, e.g. the engine's message or the exit code.
    pub detail: String,
}

/// A milestone of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartStep {
    /// The image is on the host.
    Image,
    /// HOME and the other spaces are there.
    Spaces,
    /// The container exists.
    Container,
    /// Its process runs.
    Started,
    /// JupyterLab answers.
    Answers,
}

impl StartStep {
    /// All milestones in their order.
    pub const ALL: [Self; 5] =
        [Self::Image, Self::Spaces, Self::Container, Self::Started, Self::Answers];

    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Spaces => "spaces",
            Self::Container => "container",
            Self::Started => "started",
            Self::Answers => "answers",
        }
    }
}

/// A milestone and when it was reached, by the agent's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepDone {
    /// Which one.
    pub step: StartStep,
    /// When.
    pub at: Timestamp,
}

/// An engine call that has not been settled: neither success nor failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Which server.
    pub server: ServerId,
    /// Which start of it.
    pub generation: Generation,
    /// create, start, stop or remove.
    pub operation: &'static str,
}

/// Everything one host should do: complete, so a lost one costs nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredSet {
    /// Its number. Lower than one already applied: ignored.
    pub revision: Revision,
    /// The agent process it is for; any other ignores it.
    pub incarnation: Incarnation,
    /// The send time of the heartbeat it answers.
    pub echo: Timestamp,
    /// What to do with each server.
    pub servers: BTreeMap<ServerId, Desired>,
}

/// What should become of one server on this host.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// Which start of it.
    pub generation: Generation,
    /// Run it or stop it.
    pub what: Verdict,
}

/// The verdict on a server. A container without one is left alone and reported.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Make it run; create it if it is not there. Boxed: it is much larger than a stop.
    Run(Box<RunSpec>),
    /// It has answered once: leave it running, but never create it anew. If it is gone, its
    /// owner's kernels are gone, and the hub must hear of that instead of finding a fresh one.
    Keep,
    /// End it: SIGTERM, this many seconds, SIGKILL, remove.
    Stop {
        /// Seconds between SIGTERM and SIGKILL.
        grace_s: u32,
    },
}

/// All that an agent must know to run a server. It holds the server's token, so it goes only to
/// the host that runs it.
#[derive(Clone, PartialEq)]
pub struct RunSpec {
    /// Whose it is, which profile and decision.
    pub origin: Origin,
    /// The user's identity on the hosts.
    pub account: Account,
    /// The pool that the decision took it to.
    pub pool: String,
    /// Image name with tag or digest.
    pub image: String,
    /// Command line; empty means the image's own.
    pub command: Vec<String>,
    /// Environment, complete but for the two addresses of the hub's API.
    pub env: BTreeMap<String, String>,
    /// The hub's API as containers reach it, unless the agent's configuration knows better.
    pub api_url: String,
    /// Where the server answers, e.g. `/user/alice/`.
    pub prefix: String,
    /// Its port inside the container.
    pub port: u16,
}

impl std::fmt::Debug for RunSpec {
    /// Without the environment, which holds the server's token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunSpec")
            .field("origin", &self.origin)
            .field("account", &self.account)
            .field("image", &self.image)
            .finish_non_exhaustive()
    }
}

/// A person's identity on the hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The account name.
    pub name: Username,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<Group>,
    /// HOME, the same path on the host and in the container.
    pub home: String,
}

impl Account {
    /// The name of the primary group, where it is among the groups; else empty.
    pub fn main_group(&self) -> &str {
        let main = self.groups.iter().find(|group| group.gid == self.gid);
        main.map_or("", |group| group.name.as_str())
    }
}

/// A Unix group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name, for `id -Gn`.
    pub name: String,
    /// Its number; 0: it gives rights here and is no group on the hosts, which never hear of it.
    pub gid: u32,
}
