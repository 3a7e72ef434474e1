//! Memory: the host's, and each server's working set from its cgroup's files (50 µs a container,
//! a hundredth of what the engine's own statistics cost).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use berth_common::ByteCount;

const CGROUPS: &str = "/sys/fs/cgroup";

/// The host's memory as the kernel sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostMemory {
    /// All there is.
    pub total: ByteCount,
    /// What could be given out without swapping.
    pub available: ByteCount,
}

/// Asks the kernel. What it does not tell is zero: then nothing is placed here.
pub fn host() -> HostMemory {
    meminfo(&fs::read_to_string("/proc/meminfo").unwrap_or_default())
}

fn meminfo(text: &str) -> HostMemory {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib: Option<u64> = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        ByteCount(kib.unwrap_or_default().saturating_mul(1024))
    };
    HostMemory { total: field("MemTotal"), available: field("MemAvailable") }
}

/// Where a container's memory is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cgroup {
    /// The memory controller's own tree.
    V1(PathBuf),
    /// The one tree of all controllers.
    V2(PathBuf),
}

/// Finds the cgroup of a process, by what the kernel says of it: right for every driver and
/// every parent.
pub fn cgroup_of(pid: u32) -> Option<Cgroup> {
    cgroup(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?, Path::new(CGROUPS))
}

fn cgroup(text: &str, root: &Path) -> Option<Cgroup> {
    let mut unified = None;
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        if controllers.split(',').any(|controller| controller == "memory") {
            return Some(Cgroup::V1(root.join("memory").join(path)));
        }
        if controllers.is_empty() {
            unified = Some(Cgroup::V2(root.join(path)));
        }
    }
    unified
}

/// What a container really uses: all it holds, less file pages that the kernel could drop. `None`
/// when the cgroup is gone.
pub fn working_set(cgroup: &Cgroup) -> Option<ByteCount> {
    let (folder, usage, droppable) = match cgroup {
        Cgroup::V1(folder) => (folder, "memory.usage_in_bytes", "total_inactive_file"),
        Cgroup::V2(folder) => (folder, "memory.current", "inactive_file"),
    };
    let usage: u64 = fs::read_to_string(folder.join(usage)).ok()?.trim().parse().ok()?;
    let counters = fs::read_to_string(folder.join("memory.stat")).ok()?;
    let droppable = counters.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == droppable).then(|| value.trim().parse().ok())?
    });
    Some(ByteCount(usage.saturating_sub(droppable.unwrap_or(0))))
}

/// The memory that placement may count on: the claimed amount less what the servers use, but
/// never more than the kernel could really give.
pub fn free(
    claimed: ByteCount,
    used: &BTreeMap<impl Ord, ByteCount>,
    host: HostMemory,
) -> ByteCount {
    let own = used.values().fold(ByteCount::ZERO, |sum, part| sum.plus(*part));
    claimed.minus(own).min(host.available)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let text = "MemTotal:       32768 kB\nMemFree:         1 kB\nMemAvailable:    2048 kB\n";
        let found = meminfo(text);
        assert_eq!(found, HostMemory { total: ByteCount(32 << 20), available: ByteCount(2 << 20) });
        assert_eq!(meminfo("nonsense"), HostMemory::default());
        assert!(host().total > ByteCount(1 << 20));
    }

    #[test]
    fn a_cgroup_is_found_in_both_layouts() {
        let root = Path::new("/c");
        let v1 = "12:pids:/docker/ab\n5:cpu,memory:/docker/ab\n0::/\n";
        assert_eq!(cgroup(v1, root), Some(Cgroup::V1("/c/memory/docker/ab".into())));
        let v2 = "0::/system.slice/docker-ab.scope\n";
        assert_eq!(cgroup(v2, root), Some(Cgroup::V2("/c/system.slice/docker-ab.scope".into())));
        assert_eq!(cgroup("", root), None);
    }

    #[test]
    fn the_working_set_leaves_out_what_could_be_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let (v1, v2) = (Cgroup::V1(folder.path().into()), Cgroup::V2(folder.path().into()));
        assert_eq!(working_set(&v2), None);
        write("memory.usage_in_bytes", "1000\n");
        write("memory.current", "2000\n");
        write("memory.stat", "cache 5\ninactive_file 300\ntotal_inactive_file 600\n");
        assert_eq!(working_set(&v1), Some(ByteCount(400)));
        assert_eq!(working_set(&v2), Some(ByteCount(1700)));
        write("memory.stat", "total_inactive_file 6000\n");
        assert_eq!(working_set(&v1), Some(ByteCount(0)), "never below zero");
    }

    #[test]
    fn free_memory_is_the_smaller_of_promise_and_reality() {
        let used = BTreeMap::from([("a", ByteCount(300)), ("b", ByteCount(300))]);
        let host =
            |available| HostMemory { total: ByteCount(2000), available: ByteCount(available) };
        assert_eq!(free(ByteCount(1000), &used, host(2000)), ByteCount(400));
        assert_eq!(free(ByteCount(1000), &used, host(100)), ByteCount(100));
        assert_eq!(free(ByteCount(500), &used, host(2000)), ByteCount(0));
    }
}
