//! What the keeper and the engine's side say to each other: containers as a list shows them, steps,
//! outcomes.

use std::net::SocketAddr;

use berth_common::link::{Ending, Kill, Limit, Origin, RunSpec, Usage, Victim};
use berth_common::{BootId, ByteCount, Epoch, Generation, ServerId};

/// A container of ours as the engine's list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The engine's id.
    pub id: String,
    /// Which server.
    pub server: ServerId,
    /// Which start of it.
    pub generation: Generation,
    /// The reign whose desired set asked for it.
    pub epoch: Epoch,
    /// The kernel's boot it was made in.
    pub boot: BootId,
    /// Whose it is.
    pub origin: Origin,
    /// Where the server answers, e.g. `/user/alice/`.
    pub prefix: String,
    /// The optional spaces that it was started without.
    pub left_out: Vec<String>,
    /// What it does.
    pub state: ContainerState,
}

/// What a container does, and what follows from it. Acts stand above the arrows, facts below.
///
/// ```text
///             create            start                       stop            remove
///   (absent) ───────> Created ────────> Running ──────────────────> Exited ───────> (absent)
///      ^     slot free   │   Run still    │ │  Stop verdict, or a      ^ examine, then
///      │                 │   said for it  │ │  newer generation        │ once the hub heard it
///      │   remove        │                │ └──── ends by itself ──────┘ or says Stop
///      └─────────────────┤                │
///      │  not made and   │                │ no answer for 60 s: examine, then
///      │  inspected by this process,      │ remove
///      │  not wanted, or failed           │
///      └──────────────────────────────────┘
/// ```
///
/// *Created* is not absent: it may be about to start by a call that an earlier agent process
/// made. Only a container that this process has made and inspected is ever started; any other
/// created one is removed by force, and the server is pending until that removal returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Exists and may be about to start.
    Created,
    /// Its process runs; the address is private to the host.
    Running {
        /// Where the server listens, once the engine tells.
        address: Option<SocketAddr>,
    },
    /// Its process ended.
    Exited {
        /// The exit code.
        code: i64,
    },
    /// Half removed, or in a state this version does not know: being removed.
    Dead,
}

/// What the keeper wants done, and the number under which its outcome is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// For [`Keeper::settle`].
    pub operation: Operation,
    /// What to do.
    pub act: Act,
}

/// One call to the engine, from its issue to its settlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Which server.
    pub server: ServerId,
    /// Which start of it.
    pub generation: Generation,
    /// Never given twice by one keeper.
    pub number: u64,
}

/// A call to the engine.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Check the request against the host's own rules, make the container, inspect it.
    Create {
        /// The reign that asks for it.
        epoch: Epoch,
        /// All about it.
        spec: Box<RunSpec>,
    },
    /// Start the container of this id.
    Start {
        /// The engine's id.
        container: String,
    },
    /// Give a running container another memory limit, unless it uses too much for that.
    Resize {
        /// The engine's id.
        container: String,
        /// The limit, and the order's number.
        limit: Limit,
    },
    /// SIGTERM, the grace, SIGKILL.
    Stop {
        /// The engine's id.
        container: String,
        /// Seconds between the two.
        grace_s: u32,
    },
    /// Remove it by force. Returns only when nothing of it can run any more.
    Remove {
        /// The engine's id.
        container: String,
    },
    /// Say how it ended, and what it said last. Changes nothing.
    Examine {
        /// The engine's id.
        container: String,
    },
}

impl Act {
    /// The word in reports; `None` for what changes nothing.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Self::Create { .. } => Some("create"),
            Self::Start { .. } => Some("start"),
            Self::Resize { .. } => Some("resize"),
            Self::Stop { .. } => Some("stop"),
            Self::Remove { .. } => Some("remove"),
            Self::Examine { .. } => None,
        }
    }
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Create: the container exists and is what was asked for.
    Created {
        /// The engine's id.
        container: String,
    },
    /// Create: the container exists, but is not what was asked for and must never start.
    Spoiled {
        /// The engine's id.
        container: String,
        /// What is wrong with it.
        ending: Ending,
    },
    /// Create: a container of this name exists already.
    Conflict,
    /// Start: it runs.
    Started {
        /// Where the server listens.
        address: Option<SocketAddr>,
    },
    /// Resize: it has that limit.
    Resized,
    /// Stop: its process ended.
    Stopped,
    /// Remove: nothing of it is left.
    Removed,
    /// Examine: what was found.
    Examined(Remains),
    /// The engine knows no such container.
    Gone,
    /// The engine, or the host's own rules before it, refused; nothing was changed.
    Failed(Ending),
    /// Neither success nor failure: a later list must tell.
    TimedOut,
}

/// What a container left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remains {
    /// The exit code.
    pub code: i64,
    /// Whether the kernel killed something in it for want of memory.
    pub oom: bool,
    /// What the kernel killed last, if that was measured.
    pub kill: Option<Kill>,
    /// It runs again: somebody has started it anew, not this host's Berth.
    pub again: bool,
    /// Its last lines.
    pub log: String,
}

/// A moment in the order of questions to the engine, taken before a list is asked for. What the
/// list says about a server is believed only if nothing was done to that server since.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Look(pub(super) u64);

/// What was measured of a running container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measured {
    /// The engine's id of the container that was measured.
    pub container: String,
    /// Its working set.
    pub used: ByteCount,
    /// Highest values, processor time.
    pub usage: Usage,
    /// The most it may hold, as the kernel has it.
    pub limit: Option<ByteCount>,
    /// The process in it that held most when last looked at.
    pub largest: Option<Victim>,
    /// The newest of its processes that were killed for want of memory, oldest first.
    pub kills: Vec<Kill>,
}

/// A server that users can be led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelEntry {
    /// Which server.
    pub server: ServerId,
    /// Which start of it.
    pub generation: Generation,
    /// Where it listens, private to the host.
    pub address: SocketAddr,
}

/// A running container that the driver is to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// Which server.
    pub server: ServerId,
    /// The engine's id, for [`Keeper::ready`].
    pub container: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// The path it answers under.
    pub prefix: String,
}
