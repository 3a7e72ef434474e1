//! What a container uses, from the files of its cgroup: versions 1 and 2. A hundredth of what the
//! engine's own statistics cost.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use berth_common::ByteCount;

const CGROUPS: &str = "/sys/fs/cgroup";

/// Where a container's memory and processor time are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    version: Version,
    memory: PathBuf,
    /// The same folder in version 2. `None`: the host counts no processor time.
    cpu: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    /// A tree for each controller.
    V1,
    /// One tree for all.
    V2,
}

/// One look at a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// All it holds, less file pages that the kernel could drop.
    pub working_set: ByteCount,
    /// The most it may hold; `None`: no limit.
    pub limit: Option<ByteCount>,
    /// Processor time since its start, in microseconds; 0 where the host counts none.
    pub cpu_us: u64,
    /// Processes in it that were killed for want of memory, since its start.
    pub oom_kills: u64,
}

/// The largest number of pages that version 1 can count: no limit. In bytes, for pages of any
/// size up to 64 KiB.
const V1_UNLIMITED: u64 = i64::MAX as u64 / 65_536 * 65_536;

/// Which version this host counts by, in words.
///
/// # Errors
/// When it counts no memory: no limit would hold and nothing could be measured.
pub fn host() -> Result<String, String> {
    host_at(Path::new(CGROUPS))
}

fn host_at(root: &Path) -> Result<String, String> {
    let trouble = |what: &str| {
        format!(
            "{what}; limits of memory would not hold: see the kernel's \
         command line (cgroup_disable, cgroup_enable=memory) and mount {}",
            root.display()
        )
    };
    if let Ok(controllers) = fs::read_to_string(root.join("cgroup.controllers")) {
        return match controllers.split_whitespace().any(|it| it == "memory") {
            true => Ok("version 2".into()),
            false => Err(trouble("version 2 without the memory controller")),
        };
    }
    match root.join("memory/memory.limit_in_bytes").exists() {
        true => Ok("version 1".into()),
        false => Err(trouble("the kernel counts no memory by cgroup")),
    }
}

impl Cgroup {
    /// Finds the cgroup of a process by what the kernel says of it: right for every driver and
    /// every parent. Asked once, while the process is known to be the container's.
    pub fn of_process(pid: u32) -> Option<Self> {
        Self::find(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?, Path::new(CGROUPS))
    }

    fn find(text: &str, root: &Path) -> Option<Self> {
        let (mut memory, mut cpu, mut unified) = (None, None, None);
        for line in text.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
            for controller in controllers.split(',') {
                match controller {
                    "memory" => memory = Some(root.join(controllers).join(path)),
                    "cpuacct" => cpu = Some(root.join(controllers).join(path)),
                    "" => unified = Some(root.join(path)),
                    _ => {}
                }
            }
        }
        // A host of version 1 has a line of version 2 as well, which counts nothing.
        match memory {
            Some(memory) => Some(Self { version: Version::V1, memory, cpu }),
            None => unified.map(|path| Self {
                version: Version::V2,
                cpu: Some(path.clone()),
                memory: path,
            }),
        }
    }

    /// A cgroup of version 2 in this folder.
    #[cfg(test)]
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { version: Version::V2, cpu: Some(folder.clone()), memory: folder }
    }

    /// Reads all of it. `buffer` is only there to be used again.
    ///
    /// # Errors
    /// When the cgroup is gone, or is none.
    pub fn read(&self, buffer: &mut String) -> io::Result<Reading> {
        match self.version {
            Version::V1 => self.read_v1(buffer),
            Version::V2 => self.read_v2(buffer),
        }
    }

    fn read_v1(&self, buffer: &mut String) -> io::Result<Reading> {
        let usage = number(text(&self.memory, "memory.usage_in_bytes", buffer)?)?;
        let stat = text(&self.memory, "memory.stat", buffer)?;
        let droppable = field(stat, "total_inactive_file").unwrap_or_default();
        // The least of its own and its parents'.
        let limit = field(stat, "hierarchical_memory_limit");
        let oom = text(&self.memory, "memory.oom_control", buffer)?;
        // Before kernel 4.13 nothing counted kills.
        let oom_kills = field(oom, "oom_kill").unwrap_or_default();
        let cpu_us = match &self.cpu {
            Some(cpu) => number(text(cpu, "cpuacct.usage", buffer)?)? / 1000,
            None => 0,
        };
        Ok(Reading {
            working_set: ByteCount(usage.saturating_sub(droppable)),
            limit: limit.filter(|limit| *limit < V1_UNLIMITED).map(ByteCount),
            cpu_us,
            oom_kills,
        })
    }

    fn read_v2(&self, buffer: &mut String) -> io::Result<Reading> {
        let usage = number(text(&self.memory, "memory.current", buffer)?)?;
        let stat = text(&self.memory, "memory.stat", buffer)?;
        let droppable = field(stat, "inactive_file").unwrap_or_default();
        // The word `max` is no number and no limit.
        let limit = number(text(&self.memory, "memory.max", buffer)?).ok();
        let events = text(&self.memory, "memory.events", buffer)?;
        let oom_kills = field(events, "oom_kill").unwrap_or_default();
        // Without the controller `cpu` there was none before kernel 4.15.
        let cpu = self.cpu.as_ref().and_then(|cpu| text(cpu, "cpu.stat", buffer).ok());
        let cpu_us = cpu.and_then(|cpu| field(cpu, "usage_usec")).unwrap_or_default();
        Ok(Reading {
            working_set: ByteCount(usage.saturating_sub(droppable)),
            limit: limit.map(ByteCount),
            cpu_us,
            oom_kills,
        })
    }

    /// Its processes, as the host numbers them. Empty when it is gone.
    pub fn processes(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.memory.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Its path below the root of the hierarchy, as the kernel's log names it.
    pub fn is_named(&self, path: &str) -> bool {
        let path = Path::new(path.trim_start_matches('/'));
        path.components().next().is_some() && self.memory.ends_with(path)
    }
}

fn text<'a>(folder: &Path, name: &str, buffer: &'a mut String) -> io::Result<&'a str> {
    buffer.clear();
    fs::File::open(folder.join(name))?.read_to_string(buffer)?;
    Ok(buffer)
}

fn number(text: &str) -> io::Result<u64> {
    text.trim().parse().map_err(io::Error::other)
}

/// The value of a name in a file with a line for each.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(' ')?;
        (found == name).then(|| value.trim().parse().ok())?
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const V1: &str = "12:pids:/docker/ab\n5:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n0::/\n";

    #[test]
    fn a_cgroup_is_found_in_both_layouts() {
        let root = Path::new("/c");
        let found = Cgroup::find(V1, root).unwrap();
        assert_eq!(found.memory, Path::new("/c/memory/docker/ab"));
        assert_eq!(found.cpu.as_deref(), Some(Path::new("/c/cpu,cpuacct/docker/ab")));
        assert!(found.is_named("/docker/ab") && !found.is_named("/docker/abc"));
        assert!(!found.is_named("/") && !found.is_named(""));

        let found = Cgroup::find("0::/system.slice/docker-ab.scope\n", root).unwrap();
        assert_eq!(found.version, Version::V2);
        assert_eq!(found.memory, Path::new("/c/system.slice/docker-ab.scope"));
        assert_eq!(found.cpu, Some(found.memory.clone()));
        assert_eq!(Cgroup::find("", root), None);
    }

    /// A folder with files as the kernel writes them.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn read(version: Version, folder: &tempfile::TempDir) -> io::Result<Reading> {
        let path = folder.path().to_owned();
        Cgroup { version, cpu: Some(path.clone()), memory: path }.read(&mut String::new())
    }

    #[test]
    fn version_1_is_read() {
        let stat = "cache 5\ninactive_file 300\nhierarchical_memory_limit 4096\n\
                    total_inactive_file 600\n";
        let files = [
            ("memory.usage_in_bytes", "1000\n"),
            ("memory.stat", stat),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
            ("cpuacct.usage", "5000000\n"),
        ];
        let made = folder(&files);
        let right = Reading {
            working_set: ByteCount(400),
            limit: Some(ByteCount(4096)),
            cpu_us: 5000,
            oom_kills: 2,
        };
        assert_eq!(read(Version::V1, &made).unwrap(), right);
        let none = "hierarchical_memory_limit 9223372036854771712\ntotal_inactive_file 6000\n";
        fs::write(made.path().join("memory.stat"), none).unwrap();
        let reading = read(Version::V1, &made).unwrap();
        assert_eq!(reading.limit, None);
        assert_eq!(reading.working_set, ByteCount::ZERO, "never below zero");
        fs::write(made.path().join("memory.oom_control"), "under_oom 0\n").unwrap();
        assert_eq!(read(Version::V1, &made).unwrap().oom_kills, 0, "an old kernel");
    }

    #[test]
    fn version_2_is_read() {
        let files = [
            ("memory.current", "2000\n"),
            ("memory.stat", "anon 7\ninactive_file 300\n"),
            ("memory.max", "8192\n"),
            ("memory.events", "low 0\nhigh 0\nmax 9\noom 3\noom_kill 1\noom_group_kill 0\n"),
            ("cpu.stat", "usage_usec 77\nuser_usec 70\n"),
        ];
        let made = folder(&files);
        let right = Reading {
            working_set: ByteCount(1700),
            limit: Some(ByteCount(8192)),
            cpu_us: 77,
            oom_kills: 1,
        };
        assert_eq!(read(Version::V2, &made).unwrap(), right);
        fs::write(made.path().join("memory.max"), "max\n").unwrap();
        fs::remove_file(made.path().join("cpu.stat")).unwrap();
        let reading = read(Version::V2, &made).unwrap();
        assert_eq!((reading.limit, reading.cpu_us), (None, 0));
        fs::remove_file(made.path().join("memory.current")).unwrap();
        assert!(read(Version::V2, &made).is_err(), "gone");
    }
}
