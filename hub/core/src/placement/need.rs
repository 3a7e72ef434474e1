//! What a request needs of a host, with nothing of the person in it but what the rules say: equal
//! needs have equal answers, which makes looking at thousands of hosts cheap.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_common::{ByteCount, HostId, Timestamp};
use serde::{Deserialize, Serialize};

/// What a request needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Need {
    /// The pool that serves it.
    pub pool: String,
    /// The pool that helps out when a host of the first one is down.
    pub overflow: Option<String>,
    /// Its memory limit.
    pub limit: ByteCount,
    /// What it will probably use at most; never zero.
    pub peak: ByteCount,
    /// Whether that comes from servers before it, and is not the floor of a stranger.
    pub peak_known: bool,
    /// Processor time that is counted, in thousandths of a core.
    pub cpu_milli: u32,
    /// Devices.
    pub gpus: u32,
    /// Thousandths of each device.
    pub gpu_milli: u32,
    /// Models that will do; empty = any.
    pub models: Vec<String>,
    /// The least memory of a device.
    pub gpu_memory: ByteCount,
    /// The image's name in the files.
    pub image: String,
    /// Its name on the hosts, where this is not what the files' name stands for today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The spaces that it cannot do without.
    #[serde(default)]
    pub spaces: Vec<String>,
    /// Ports that the compute farm reaches.
    #[serde(default)]
    pub farm_ports: u32,
    /// Hosts that come first. Not written down: the settings say it, for the person.
    #[serde(skip)]
    pub prefer: Arc<BTreeSet<HostId>>,
    /// Hosts beyond which nothing is possible; empty: no such limit. Not written down either.
    #[serde(skip)]
    pub require: Arc<BTreeSet<HostId>>,
    /// Hosts that are emptied before this moment come last: the server may live that long.
    pub stays_until: Option<Timestamp>,
}

impl Need {
    /// The same with another limit, and a peak that is not above it.
    #[must_use]
    pub fn with_limit(&self, limit: ByteCount) -> Self {
        Self { limit, peak: self.peak.min(limit), ..self.clone() }
    }
}
