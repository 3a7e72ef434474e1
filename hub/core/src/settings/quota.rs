//! How much each person may hold at a time, and use over time.

use std::collections::BTreeMap;

use berth_common::{ByteCount, Seconds, Timestamp, Username};
use serde::{Deserialize, Serialize};

use super::{Cite, People};

/// All quotas. An entry of the person's own beats those of groups; several groups are merged; what
/// nobody says comes from the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quotas {
    /// How the entries of several groups join.
    pub merge: Merge,
    /// For everybody.
    pub default: Quota,
    /// By group.
    pub groups: BTreeMap<String, Quota>,
    /// By person.
    pub users: BTreeMap<Username, Quota>,
    /// Use over time.
    pub budgets: Vec<Budget>,
}

/// How the entries of several groups join, number by number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Merge {
    /// The largest.
    #[default]
    Max,
    /// The smallest.
    Min,
    /// All together.
    Sum,
}

/// Limits of one person over all their servers. `None`: not said here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Servers that wait, run or stop, the default one included.
    pub servers: Option<u32>,
    /// Sum of their memory limits.
    pub memory: Option<ByteCount>,
    /// Sum of their GPUs; a share counts as a whole one.
    pub gpus: Option<u32>,
    /// Processors of all their Dask clusters on the compute farm.
    #[serde(default)]
    pub farm_cores: Option<u32>,
    /// Memory of all their Dask clusters there.
    #[serde(default)]
    pub farm_memory: Option<ByteCount>,
    /// The first moment at which this entry no longer holds: a temporary raise ends by itself.
    pub until: Option<Timestamp>,
    /// Where it stands.
    pub cite: Cite,
}

/// Use of one person, integrated over a sliding window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Whose.
    pub people: People,
    /// What is counted.
    pub resource: Metered,
    /// The most, in hours of the resource.
    pub limit_hours: u64,
    /// The window.
    pub window: Seconds,
    /// What happens beyond it. A running server is never touched.
    pub when_over: WhenOver,
    /// Where it stands.
    pub cite: Cite,
}

/// What a budget counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Metered {
    /// Hours of GPUs held; a share counts its part.
    #[serde(rename = "gpu-hours")]
    GpuHours,
    /// Hours of GiB of memory limit held.
    #[serde(rename = "gib-hours")]
    GibHours,
}

/// What happens beyond a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenOver {
    /// Served when nobody else waits.
    QueueLast,
    /// Refused until the window has moved on.
    Refuse,
}
