//! What the site's files say, as the planner needs it. Read and checked by the hub's loader; a
//! new value replaces the old one whole. Serialisable, so that an old decision can be made again
//! with the settings of its day.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use berth_common::{ByteCount, HostId, Seconds, Timestamp};
use serde::{Deserialize, Serialize};

mod access;
mod lifecycle;
mod mount;
mod pool;
mod profile;
mod quota;
mod rollout;
mod training;

pub use access::{Access, Allow, Deny, Named, People, Place};
pub use lifecycle::{
    Above, Activity, ByProfile, Channel, ClockFrom, DrainNotice, Extend, GpuAction, GpuRule,
    IdleRule, IfBusy, Lifecycle, LiveMemory, Quiet, Rescue, Terminal, Warn, Whose, Zone,
};
pub use mount::{Given, HOME, Health, Mount, Mounts};
pub use pool::{CpuServers, GpuSharing, MemoryRule, Pool, Relief, Strategy};
pub use profile::{GpuChoice, Profile};
pub use quota::{Budget, Merge, Metered, Quota, Quotas, WhenOver};
pub use rollout::{Rollout, Stage};
pub use training::{Training, Window};

/// Images of a training are fetched so long before it begins.
const AHEAD: Seconds = Seconds(86_400);

/// The place in the site's files that gave a rule, so that every answer can cite it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cite {
    /// File, relative to the configuration's folder.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
}

impl fmt::Display for Cite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Everything the planner takes from the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Names this content: equal numbers are equal settings. Zero: not numbered.
    pub version: u64,
    /// Declared hosts. A host that is not here gets nothing new and is never emptied by force.
    pub hosts: BTreeMap<HostId, HostSettings>,
    /// Pools by name.
    pub pools: BTreeMap<String, Pool>,
    /// Profiles by name; each training brings one under its own name.
    pub profiles: BTreeMap<String, Profile>,
    /// Images by name.
    pub images: BTreeMap<String, Image>,
    /// New versions of images that have not come to everybody, or still know the one before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rollouts: BTreeMap<String, Rollout>,
    /// By pool: what its hosts fetch before anybody needs it, as the engine knows it.
    #[serde(default)]
    pub prepull: BTreeMap<String, BTreeSet<String>>,
    /// Who may use what, and where.
    pub access: Access,
    /// How much each person may hold.
    pub quotas: Quotas,
    /// Courses by name.
    pub trainings: BTreeMap<String, Training>,
    /// Spaces beside HOME.
    #[serde(default)]
    pub mounts: Mounts,
    /// How the queue is served.
    pub queue: QueueSettings,
    /// How long servers live.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// What the files say in French, by their English: titles, uses, and why a door is closed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub french: BTreeMap<String, String>,
    /// A host silent for this long is lost: it gets nothing new and nothing else changes.
    pub lost_after: Seconds,
}

/// One declared host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSettings {
    /// The pool it serves.
    pub pool: String,
    /// Memory as declared; the smaller of this and the reported one counts.
    pub memory: Option<ByteCount>,
    /// Memory kept for the system, Docker and the page cache.
    pub keep_free: ByteCount,
    /// The GPUs it should report. Others it reports are used as well; with fewer it takes nothing.
    #[serde(default)]
    pub gpus: Option<DeclaredGpus>,
    /// Where the proxy reaches its tunnel, `name:port`.
    pub address: String,
    /// Where it is declared.
    pub cite: Cite,
}

/// The GPUs that a host is declared to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredGpus {
    /// NVML's name of the model, e.g. `Tesla K80`.
    pub model: String,
    /// Devices as NVML counts them: a K80 board is two.
    pub count: u32,
    /// Memory of one device.
    pub memory: ByteCount,
}

/// A notebook image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Name with tag or digest, as the engine knows it.
    pub reference: String,
    /// What people read.
    pub title: String,
    /// Size of `/dev/shm` in its servers, as far as their memory goes; `None`: the engine's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm: Option<ByteCount>,
    /// Where it is defined.
    pub cite: Cite,
}

/// How the queue is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueSettings {
    /// Whose turn comes first.
    pub order: Order,
    /// How long a place is held for a person who is not looking when their turn comes.
    pub hold: Seconds,
    /// A request that has waited this long is refused.
    pub max_wait: Seconds,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { order: Order::Fair, hold: Seconds(900), max_wait: Seconds(86_400) }
    }
}

/// The order of the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Who used little lately comes earlier, by at most an hour; so nobody starves.
    #[default]
    Fair,
    /// Who asked first.
    Fifo,
}

impl Settings {
    /// The images that a pool's hosts fetch before anybody needs them: those that the files name for
    /// it, and those of trainings that are on or begin soon.
    pub fn fetched_ahead(&self, pool: &str, now: Timestamp) -> BTreeSet<String> {
        let mut images = self.prepull.get(pool).cloned().unwrap_or_default();
        let soon = |training: &&Training| {
            let next = training.next_window(now).is_some_and(|it| it.from <= now.plus(AHEAD));
            next || training.open_window(now).is_some()
        };
        for (name, _) in self.trainings.iter().filter(|(_, it)| it.pool == pool && soon(it)) {
            let named = self.profiles.get(name).into_iter().flat_map(|profile| &profile.images);
            images.extend(named.filter_map(|name| Some(self.images.get(name)?.reference.clone())));
        }
        images
    }

    /// The profile that serves a request which names none: the one marked as default, else the first.
    pub fn default_profile(&self) -> Option<(&String, &Profile)> {
        self.profiles
            .iter()
            .find(|(_, profile)| profile.default)
            .or_else(|| self.profiles.iter().next())
    }
}
