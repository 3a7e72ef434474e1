//! Profiles: what people can pick.

use std::collections::BTreeMap;

use berth_common::{ByteCount, Seconds};
use serde::{Deserialize, Serialize};

use super::Cite;

/// What a person can pick.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Processor time that is counted against the host, in thousandths of a core; 0: not counted,
    /// time is then shared by weight.
    #[serde(default)]
    pub cpu_milli: u32,
    /// The most processor time that a server gets, in thousandths of a core; `None`: all there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_limit_milli: Option<u32>,
    /// Its GPUs; `None`: it has none.
    #[serde(default)]
    pub gpus: Option<GpuChoice>,
    /// Image names offered, the default one first; at least one.
    pub images: Vec<String>,
    /// Chosen when nothing is said.
    pub default: bool,
    /// Where a person who may not use it can ask for it.
    #[serde(default)]
    pub ask_access: Option<String>,
    /// Without activity for this long it is stopped; placement prefers hosts that stay longer.
    #[serde(default)]
    pub idle_limit: Option<Seconds>,
    /// The page that a server opens with, e.g. `/lab/tree/intro.ipynb`; `None`: JupyterLab's own.
    #[serde(default)]
    pub start_url: Option<String>,
    /// The training that it belongs to.
    #[serde(default)]
    pub training: Option<String>,
    /// The pool that helps out when a host of the first one is down.
    #[serde(default)]
    pub overflow: Option<String>,
    /// What its servers' own tokens may do beside what every server's may, as far as the owner may
    /// do it: JupyterHub's scopes.
    #[serde(default)]
    pub server_scopes: Vec<String>,
    /// What its servers find in their environment besides.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Ports of the host that the compute farm reaches.
    #[serde(default)]
    pub farm_ports: u32,
    /// Where it is defined.
    pub cite: Cite,
}

impl Profile {
    /// The models of GPUs that one can be chosen of; none: whatever there is.
    pub fn gpu_models(&self) -> &[String] {
        self.gpus.as_ref().map_or(&[], |gpus| &gpus.models)
    }

    /// Whether its servers are given something of the compute farm.
    pub fn is_for_farm(&self) -> bool {
        self.farm_ports > 0 || !self.server_scopes.is_empty()
    }
}

/// The GPUs of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuChoice {
    /// Devices when nothing is chosen.
    pub default: u32,
    /// The most that may be asked for.
    pub max: u32,
    /// Thousandths of a device that one server gets; 1000 = whole devices.
    pub share_milli: u32,
    /// Models that will do; empty = any.
    pub models: Vec<String>,
    /// The least memory of a device.
    pub memory: ByteCount,
}
