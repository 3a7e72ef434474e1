//! Pools: how a set of hosts is filled.

use berth_common::{ByteCount, Seconds};
use serde::{Deserialize, Serialize};

use super::Cite;

/// A set of hosts with one placement policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Fill hosts one after the other, or all alike.
    pub strategy: Strategy,
    /// What counts when memory is admitted.
    pub memory_rule: MemoryRule,
    /// The sum of limits over usable memory, at most, in thousandths: 1500 = 1.5 times.
    pub oversubscribe_milli: u32,
    /// The part of usable memory that really used memory may reach by a placement, in thousandths.
    pub used_ceiling_milli: u32,
    /// What is done when servers have grown so far that one of them could no longer grow to its
    /// limit.
    #[serde(default)]
    pub relief: Relief,
    /// How far back the peak of a server, and of its owner, is looked up.
    pub peak_window: Seconds,
    /// Whether it is closed unless a training is on.
    pub trainings_only: bool,
    /// Whether servers may share a GPU.
    pub gpu_sharing: GpuSharing,
    /// Which servers without a GPU may run on hosts with GPUs.
    pub cpu_servers: CpuServers,
    /// Where it is defined.
    pub cite: Cite,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            memory_rule: MemoryRule::default(),
            oversubscribe_milli: 1000,
            used_ceiling_milli: 1000,
            relief: Relief::default(),
            peak_window: Seconds(7 * 86_400),
            trainings_only: false,
            gpu_sharing: GpuSharing::default(),
            cpu_servers: CpuServers::default(),
            cite: Cite::default(),
        }
    }
}

/// How a pool is filled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// The fullest host that has room: whole hosts stay free for large requests and drains.
    #[default]
    Pack,
    /// The emptiest host: everybody gets the most air.
    Spread,
}

/// What counts when memory is admitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemoryRule {
    /// The limits of all servers on a host stay within its usable memory.
    #[default]
    Limits,
    /// The recent peaks of all, plus the largest single headroom left, stay within it.
    Peaks,
}

/// What is done on a host whose servers have grown too far. It admits nobody then, in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Relief {
    /// Servers that are idle for long are told, and stopped if nobody comes back to them. Otherwise
    /// the kernel chooses whom to kill once memory has run out, and it may choose a busy one.
    #[default]
    Idle,
    /// Nothing.
    None,
}

/// Whether servers may share a GPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GpuSharing {
    /// A device belongs to one server.
    #[default]
    Exclusive,
    /// Profiles may ask for thousandths of a device.
    Shared,
}

/// Which servers without a GPU may run on this pool's hosts with GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuServers {
    /// Those that ask for at least this much memory; `None`: none at all.
    pub min: Option<ByteCount>,
    /// Memory that stays for servers with a GPU on each such host.
    pub keep: ByteCount,
}

impl Default for CpuServers {
    /// Any of them.
    fn default() -> Self {
        Self { min: Some(ByteCount::ZERO), keep: ByteCount::ZERO }
    }
}
