//! What the site's files say, as the planner needs it. Read and checked by the hub's loader; a
//! new value replaces the old one whole.

use std::collections::BTreeMap;
use std::fmt;

use berth_common::{ByteCount, HostId, Seconds};
use serde::{Deserialize, Serialize};

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
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Declared hosts. A host that is not here gets nothing new and is never emptied by force.
    pub hosts: BTreeMap<HostId, HostSettings>,
    /// Pools by name.
    pub pools: BTreeMap<String, Pool>,
    /// Profiles by name.
    pub profiles: BTreeMap<String, Profile>,
    /// Images by name.
    pub images: BTreeMap<String, Image>,
    /// How many servers one person may have at a time, the default one included.
    pub servers_per_person: u32,
    /// A host silent for this long is lost: it gets nothing new and nothing else changes.
    pub lost_after: Seconds,
}

/// One declared host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSettings {
    /// The pool it serves.
    pub pool: String,
    /// Memory as declared; the smaller of this and the reported one counts.
    pub memory: Option<ByteCount>,
    /// Memory kept for the system, Docker and the page cache.
    pub keep_free: ByteCount,
    /// Where the proxy reaches its tunnel, `name:port`.
    pub address: String,
    /// Where it is declared.
    pub cite: Cite,
}

/// A set of hosts with one placement policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pool {
    /// Fill hosts one after the other, or all alike.
    pub strategy: Strategy,
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

/// What a person can pick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What the tile says.
    pub title: String,
    /// One line of what it is good for.
    pub use_case: String,
    /// The pool that serves it.
    pub pool: String,
    /// Memory when nothing is chosen.
    pub memory_default: ByteCount,
    /// Memory amounts offered as buttons.
    pub memory_choices: Vec<ByteCount>,
    /// The most that may be asked for.
    pub memory_max: ByteCount,
    /// Image names offered, the default one first; at least one.
    pub images: Vec<String>,
    /// Chosen when nothing is said.
    pub default: bool,
    /// Where it is defined.
    pub cite: Cite,
}

/// A notebook image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Name with tag or digest, as the engine knows it.
    pub reference: String,
    /// What people read.
    pub title: String,
    /// Where it is defined.
    pub cite: Cite,
}

impl Settings {
    /// The profile that serves a request which names none: the one marked as default, else the first.
    pub fn default_profile(&self) -> Option<(&String, &Profile)> {
        self.profiles
            .iter()
            .find(|(_, profile)| profile.default)
            .or_else(|| self.profiles.iter().next())
    }
}
