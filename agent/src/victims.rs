//! Whose memory it was: the processes of a container with the notebooks they compute for, and the
//! kernel's own word about those that it killed. Everything here is optional: a host that does not
//! let the agent read it still counts kills.
//!
//! Names come from the user's own processes. They are cut, cleaned, and only ever shown.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;

use berth_common::ByteCount;
use berth_common::link::Victim;
use rustix::fs::{Mode, OFlags, SeekFrom};

use crate::cgroup::Cgroup;

/// More processes of one container are not looked at: a fork bomb is no notebook.
const PROCESSES_MAX: usize = 256;

/// Most bytes of a command line or environment that are read.
const WORDS_MAX: u64 = 64 << 10;

/// Longest name that is kept, in characters.
const NAME_MAX: usize = 120;

/// Kills that no container has claimed are kept up to this many.
const LOGGED_MAX: usize = 64;

/// The processes of one container, as last looked at.
#[derive(Debug, Default)]
pub struct Processes {
    known: BTreeMap<u32, Victim>,
    seen: bool,
}

impl Processes {
    /// Whether they were ever looked at.
    pub fn were_seen(&self) -> bool {
        self.seen
    }

    /// Looks who is there. Names are read once a process, memory each time.
    pub fn look(&mut self, cgroup: &Cgroup) {
        self.seen = true;
        let present = cgroup.processes();
        let mut before = std::mem::take(&mut self.known);
        for pid in present.into_iter().take(PROCESSES_MAX) {
            let Some(memory) = resident(pid) else { continue };
            // A process that has replaced its program is known by its new name. A kernel that has
            // another number since the last look is another kernel.
            let known = before.remove(&pid).filter(|known| comm(pid).as_ref() == Some(&known.name));
            if let Some(known) = known.or_else(|| describe(pid)) {
                self.known.insert(pid, Victim { memory, ..known });
            }
        }
    }

    /// Who was there at the last look and is not any more, the largest first.
    pub fn gone(&self, cgroup: &Cgroup) -> VecDeque<Victim> {
        let present = cgroup.processes();
        let gone = self.known.iter().filter(|(pid, _)| !present.contains(pid));
        let mut gone: Vec<Victim> = gone.map(|(_, victim)| victim.clone()).collect();
        gone.sort_by_key(|victim| std::cmp::Reverse(victim.memory));
        gone.into()
    }

    /// The one that held most.
    pub fn largest(&self) -> Option<Victim> {
        self.known.values().max_by_key(|victim| victim.memory).cloned()
    }

    /// What the kernel's log says, with what is known of that process.
    pub fn named(&self, logged: &Logged) -> Victim {
        match self.known.get(&logged.pid) {
            Some(known) => Victim { memory: logged.memory.max(known.memory), ..known.clone() },
            None => {
                let (name, memory) = (logged.name.clone(), logged.memory);
                Victim { name, memory, ..Victim::default() }
            }
        }
    }
}

/// Memory that a process holds itself, from `/proc/PID/statm`.
fn resident(pid: u32) -> Option<ByteCount> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(ByteCount(pages.saturating_mul(rustix::param::page_size() as u64)))
}

fn comm(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| clean(name.trim_end()))
}

/// What a process is. Its environment can be read by root only, and not in every sandbox.
fn describe(pid: u32) -> Option<Victim> {
    let name = comm(pid)?;
    let words = |file: &str| {
        let mut bytes = Vec::new();
        let opened = fs::File::open(format!("/proc/{pid}/{file}"));
        let read = opened.and_then(|file| file.take(WORDS_MAX).read_to_end(&mut bytes));
        read.map(|_| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    };
    let kernel = kernel_of(&words("cmdline"));
    let notebook = notebook_of(&words("environ"));
    Some(Victim { name, notebook, kernel, memory: ByteCount::ZERO })
}

/// The id in a kernel's connection file, `…/kernel-ID.json`.
fn kernel_of(command_line: &str) -> String {
    let id = command_line.split('\0').find_map(|word| {
        let file = word.rsplit('/').next()?;
        file.strip_prefix("kernel-")?.strip_suffix(".json")
    });
    clean(id.unwrap_or_default())
}

/// Jupyter Server tells a kernel which notebook it was started for.
fn notebook_of(environment: &str) -> String {
    let name = environment.split('\0').find_map(|word| word.strip_prefix("JPY_SESSION_NAME="));
    clean(name.unwrap_or_default())
}

/// As people can read it: the end of a long path says more than its beginning.
fn clean(name: &str) -> String {
    let plain: Vec<char> = name.chars().filter(|c| !c.is_control()).collect();
    let from = plain.len().saturating_sub(NAME_MAX);
    plain.iter().skip(from).collect()
}

/// A kill in the kernel's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The killed task's cgroup.
    path: String,
    /// Its number on the host.
    pid: u32,
    /// Its program.
    name: String,
    /// What it held.
    memory: ByteCount,
    /// No limit of a container was reached: the host itself had none left.
    pub by_host: bool,
}

/// The kernel's log, from the moment of its first reading on.
#[derive(Debug, Default)]
pub struct KernelLog {
    device: Option<OwnedFd>,
    /// It was tried to open it.
    tried: bool,
    kills: VecDeque<Logged>,
}

impl KernelLog {
    /// Reads what is new. Where it cannot be read there is never anything.
    pub fn read(&mut self) {
        if !std::mem::replace(&mut self.tried, true) {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            self.device = rustix::fs::open("/dev/kmsg", flags, Mode::empty()).ok();
            let sought = self.device.as_ref().map(|log| rustix::fs::seek(log, SeekFrom::End(0)));
            if sought.is_some_and(|sought| sought.is_err()) {
                self.device = None;
            }
        }
        let Some(device) = &self.device else { return };
        let mut record = [0; 8192];
        loop {
            match rustix::io::read(device, &mut record) {
                Ok(0) => return,
                Ok(length) => {
                    let text = record.get(..length).unwrap_or_default();
                    note(&mut self.kills, &String::from_utf8_lossy(text));
                }
                // Records were overwritten before they were read: it goes on with the oldest left.
                Err(rustix::io::Errno::PIPE) => {}
                Err(_) => return,
            }
        }
    }

    /// Takes the kills in a container out, oldest first.
    pub fn take_of(&mut self, cgroup: &Cgroup) -> VecDeque<Logged> {
        let (its, others) = std::mem::take(&mut self.kills)
            .into_iter()
            .partition(|kill| cgroup.is_named(&kill.path));
        self.kills = others;
        its
    }

    /// Forgets the oldest of what nobody has claimed: most of it is not about our containers.
    pub fn forget(&mut self) {
        while self.kills.len() > LOGGED_MAX {
            self.kills.pop_front();
        }
    }
}

/// Takes a record of the log in. A kill is two of them:
///
/// ```text
/// 3,9,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,…,task_memcg=/docker/ab,task=python3,pid=12,uid=1
/// 3,9,1,-;Memory cgroup out of memory: Killed process 12 (python3) total-vm:9kB, anon-rss:7kB, …
/// ```
fn note(kills: &mut VecDeque<Logged>, record: &str) {
    // What follows the first line are the record's own keys.
    let text = record.lines().next().and_then(|line| line.split_once(';')).map(|(_, text)| text);
    let Some(text) = text else { return };
    if let Some(fields) = text.strip_prefix("oom-kill:") {
        let field = |name: &str| {
            fields.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
        };
        if let (Some(path), Some(name), Some(pid)) =
            (field("task_memcg"), field("task"), field("pid").and_then(|pid| pid.parse().ok()))
        {
            let (path, name) = (path.to_owned(), clean(name));
            // Else it is the limit of a cgroup, a set of processors, or a program's own wish.
            let by_host = field("constraint") == Some("CONSTRAINT_NONE");
            kills.push_back(Logged { path, pid, name, memory: ByteCount::ZERO, by_host });
        }
    } else if let Some((_, rest)) = text.split_once("Killed process ") {
        let pid = rest.split(' ').next().and_then(|pid| pid.parse::<u32>().ok());
        let kilobytes = rest.split(", ").find_map(|field| {
            field.strip_prefix("anon-rss:")?.strip_suffix("kB")?.parse::<u64>().ok()
        });
        let last = kills.iter_mut().rev().find(|kill| Some(kill.pid) == pid);
        if let (Some(kill), Some(kilobytes)) = (last, kilobytes) {
            kill.memory = ByteCount(kilobytes.saturating_mul(1024));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_word_is_read() {
        let mut kills = VecDeque::new();
        for record in [
            "6,1,1,-;eth0: link up\n SUBSYSTEM=net\n",
            "4,2,9,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=ab,mems_allowed=0,\
             oom_memcg=/docker/ab,task_memcg=/docker/ab,task=python3,pid=4711,uid=20001\n",
            "3,3,9,-;Memory cgroup out of memory: Killed process 4711 (python3) total-vm:900kB, \
             anon-rss:700kB, file-rss:1kB, shmem-rss:0kB, UID:20001 pgtables:84kB oom_score_adj:0\n",
            "3,4,9,-;oom-kill:constraint=CONSTRAINT_NONE,task=x,pid=nonsense\n",
            "4,5,9,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,\
             global_oom,task_memcg=/docker/cd,task=R,pid=12,uid=20002\n",
        ] {
            note(&mut kills, record);
        }
        let right = Logged {
            path: "/docker/ab".into(),
            pid: 4711,
            name: "python3".into(),
            memory: ByteCount(700 << 10),
            by_host: false,
        };
        let other = Logged {
            path: "/docker/cd".into(),
            pid: 12,
            name: "R".into(),
            memory: ByteCount::ZERO,
            by_host: true,
        };
        assert_eq!(kills, [right, other]);
    }

    #[test]
    fn a_kernel_is_known_by_its_connection_file_and_its_notebook() {
        let line = "python3\0-m\0ipykernel_launcher\0-f\0/home/a/.local/share/jupyter/runtime/kernel-1f-2a.json\0";
        assert_eq!(kernel_of(line), "1f-2a");
        assert_eq!(kernel_of("bash\0"), "");
        assert_eq!(
            notebook_of("HOME=/\0JPY_SESSION_NAME=/home/a/fit.ipynb\0"),
            "/home/a/fit.ipynb"
        );
        assert_eq!(notebook_of(""), "");
        assert_eq!(clean("a\u{1b}[31m\nb"), "a[31mb");
        assert_eq!(clean(&format!("{}/fit.ipynb", "x".repeat(500))).chars().count(), NAME_MAX);
        assert!(clean(&format!("{}/fit.ipynb", "x".repeat(500))).ends_with("/fit.ipynb"));
    }

    #[test]
    fn this_process_is_there_and_another_is_not() {
        let own = std::process::id();
        assert!(resident(own).unwrap() > ByteCount(1 << 20));
        assert!(!describe(own).unwrap().name.is_empty());
        assert!(describe(u32::MAX).is_none());
    }
}
