//! The file that says which hosts are fake, what they have, and how the people on them behave.

use std::net::SocketAddr;
use std::path::Path;

use berth_common::{ByteCount, GpuId, HostId};
use berth_process::{file, mistake};
use serde::Deserialize;

use crate::config::{self, ConfigError};
use crate::fake::nature::Nature;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// Version of the file's layout: 1.
    #[serde(deserialize_with = "config::version_1")]
    pub version: u32,
    /// How people's servers behave.
    #[serde(default)]
    pub nature: Nature,
    /// The hosts.
    #[serde(default)]
    pub host: Vec<Hosts>,
}

/// Hosts of one kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hosts {
    /// Their names, as the hub's `hosts.d` declares them.
    pub names: Vec<HostId>,
    /// The memory of each.
    #[serde(deserialize_with = "config::checked")]
    pub memory: ByteCount,
    /// The processors of each.
    pub cpus: u32,
    /// Names of the images on each.
    #[serde(default)]
    pub images: Vec<String>,
    /// The GPUs of each.
    #[serde(default)]
    pub gpus: Option<Gpus>,
    /// Where something answers for all their servers, so that users are led there through a real
    /// tunnel; without it nobody is.
    #[serde(default)]
    pub answers: Option<SocketAddr>,
    /// How often they were booted: whatever ran at a boot before has ended.
    #[serde(default)]
    pub boots: u32,
}

/// GPUs of one model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpus {
    /// As NVML calls it.
    pub model: String,
    /// The memory of each.
    #[serde(deserialize_with = "config::checked")]
    pub memory: ByteCount,
    /// How many.
    pub count: u32,
}

impl Inventory {
    /// Reads the file.
    ///
    /// # Errors
    /// Says file, line and what to do.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = file::read_if_there(path)?.ok_or(ConfigError::Missing(name.clone()))?;
        Ok(mistake::read(&name, &text)?)
    }

    /// What one host has; `None`: it is not in the file.
    pub fn of(&self, host: &HostId) -> Option<&Hosts> {
        self.host.iter().find(|hosts| hosts.names.contains(host))
    }

    /// All hosts, each with what it has.
    pub fn hosts(&self) -> impl Iterator<Item = (&HostId, &Hosts)> {
        self.host.iter().flat_map(|hosts| hosts.names.iter().map(move |name| (name, hosts)))
    }
}

/// The ids of a host's GPUs: its name and a number, so that nobody takes them for real ones.
pub fn gpu_ids(host: &HostId, gpus: &Gpus) -> Vec<GpuId> {
    let name: String =
        host.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    (0..gpus.count).filter_map(|at| format!("GPU-fake-{name}-{at}").parse().ok()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_found_with_what_it_has() {
        let text = r#"
            version = 1
            nature = { seed = 7, busy_percent = 40 }
            [[host]]
            names = ["w1", "w2"]
            memory = "32 GB"
            cpus = 8
            [[host]]
            names = ["g1"]
            memory = "130 GB"
            cpus = 16
            gpus = { model = "Tesla K80", memory = "12 GB", count = 4 }
        "#;
        let inventory: Inventory = mistake::read("inventory.toml", text).unwrap();
        assert_eq!(inventory.hosts().count(), 3);
        assert_eq!(inventory.nature.busy_percent, 40);
        let g1: HostId = "g1".parse().unwrap();
        let gpus = inventory.of(&g1).unwrap().gpus.clone().unwrap();
        let ids: Vec<_> = gpu_ids(&g1, &gpus).iter().map(ToString::to_string).collect();
        assert_eq!(ids, ["GPU-fake-g1-0", "GPU-fake-g1-1", "GPU-fake-g1-2", "GPU-fake-g1-3"]);
        assert!(inventory.of(&"w3".parse().unwrap()).is_none());
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_the_nearest_key() {
        let text = "version = 1\n[[host]]\nnames = [\"w1\"]\nmemory = \"1 GB\"\ncpu = 4\n";
        let error = mistake::read::<Inventory>("inventory.toml", text).unwrap_err();
        let told = error.to_string();
        assert!(told.contains("unknown key \"cpu\"; did you mean \"cpus\"?"), "{told}");
        assert!(told.contains("--> inventory.toml:5:1"), "{told}");
    }
}
