//! What goes on in a container, seen from outside: data that moves, and terminals at work. The
//! kernel tells it of any process, so no image needs an add-on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use berth_common::Timestamp;
use berth_common::link::Terminals;

/// More processes of one container are not looked at: a fork bomb is no notebook.
const PROCESSES_MAX: usize = 256;

/// A terminal is at work when its foreground program used this part of a processor, in thousandths;
/// one that waits or watches uses less.
const WORK_CPU_MILLI: u64 = 10;

/// Or moved so many bytes a second. A clock or a prompt writes less to its terminal.
const WORK_BYTES_S: u64 = 6 << 10;

/// What is remembered of one container from one look to the next.
#[derive(Debug, Default)]
pub struct Activity {
    last: Option<Moment>,
    bytes_s: Option<u64>,
    terminals: Option<Terminals>,
}

/// One look.
#[derive(Debug)]
struct Moment {
    at: Timestamp,
    /// Bytes through the container's network since its start; `None`: it could not be read.
    network: Option<u64>,
    processes: BTreeMap<u32, Process>,
}

/// What the kernel says of a process. Its sums hold those of its children that have ended, so
/// that nothing is lost with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Process {
    group: i64,
    /// The terminal that controls it; 0: none.
    terminal: i64,
    /// The process group in the foreground of that terminal.
    foreground: i64,
    /// Processor time, in clock ticks.
    ticks: u64,
    /// Bytes from and to storage.
    stored: u64,
    /// Bytes written anywhere.
    written: u64,
}

impl Activity {
    /// Looks at a container with this main process and these processes.
    pub fn look(&mut self, now: Timestamp, main: u32, processes: &[u32]) {
        let read = processes.iter().take(PROCESSES_MAX);
        let moment = Moment {
            at: now,
            network: fs::read_to_string(format!("/proc/{main}/net/dev")).ok().map(|t| traffic(&t)),
            processes: read.filter_map(|pid| Some((*pid, Process::read(*pid)?))).collect(),
        };
        self.take(moment);
    }

    /// Bytes a second between the last two looks, both ways, network and storage; `None`: not
    /// known.
    pub fn bytes_s(&self) -> Option<u64> {
        self.bytes_s
    }

    /// The terminals at the last look; `None`: there were no two looks yet.
    pub fn terminals(&self) -> Option<Terminals> {
        self.terminals
    }

    fn take(&mut self, moment: Moment) {
        if let Some(last) = &self.last {
            let passed_ms = moment.at.millis_since(last.at).max(1);
            self.bytes_s = moment.network.zip(last.network).map(|(now, before)| {
                let used = moment.processes.iter().map(|(pid, one)| one.since(last, *pid).stored);
                let bytes = now.saturating_sub(before).saturating_add(used.sum::<u64>());
                bytes.saturating_mul(1000) / passed_ms
            });
            self.terminals = Some(terminals(&moment, last, passed_ms));
        }
        self.last = Some(moment);
    }
}

fn terminals(moment: &Moment, last: &Moment, passed_ms: u64) -> Terminals {
    let mut open = BTreeSet::new();
    // By terminal: what its foreground programs used together.
    let mut used: BTreeMap<i64, Process> = BTreeMap::new();
    for (pid, process) in moment.processes.iter().filter(|(_, process)| process.terminal != 0) {
        open.insert(process.terminal);
        if process.group == process.foreground {
            let since = process.since(last, *pid);
            let sum = used.entry(process.terminal).or_default();
            sum.ticks = sum.ticks.saturating_add(since.ticks);
            sum.stored = sum.stored.saturating_add(since.stored);
            sum.written = sum.written.saturating_add(since.written);
        }
    }
    let works = |sum: &&Process| {
        let cpu_ms = sum.ticks.saturating_mul(1000) / rustix::param::clock_ticks_per_second();
        let bytes = sum.stored.max(sum.written);
        cpu_ms.saturating_mul(1000) >= WORK_CPU_MILLI.saturating_mul(passed_ms)
            || bytes.saturating_mul(1000) >= WORK_BYTES_S.saturating_mul(passed_ms)
    };
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Terminals { open: count(open.len()), working: count(used.values().filter(works).count()) }
}

impl Process {
    /// What it used since the last look: all, if it is younger than that.
    fn since(&self, last: &Moment, pid: u32) -> Self {
        let before = last.processes.get(&pid).copied().unwrap_or_default();
        Self {
            ticks: self.ticks.saturating_sub(before.ticks),
            stored: self.stored.saturating_sub(before.stored),
            written: self.written.saturating_sub(before.written),
            ..*self
        }
    }

    fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Not every sandbox lets it be read.
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        Self::parse(&stat, &io)
    }

    /// Reads `/proc/PID/stat` and `/proc/PID/io`.
    fn parse(stat: &str, io: &str) -> Option<Self> {
        // The second field is the program's name in brackets, which may hold anything.
        let fields: Vec<i64> = stat
            .rsplit_once(')')?
            .1
            .split_whitespace()
            .skip(1)
            .take(15)
            .map(|field| field.parse().unwrap_or_default())
            .collect();
        let field = |number: usize| fields.get(number).copied();
        let ticks = fields.get(10..14)?.iter().map(|ticks| ticks.unsigned_abs()).sum();
        let bytes = |name: &str| -> u64 {
            let line = io.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
        };
        Some(Self {
            group: field(1)?,
            terminal: field(3)?,
            foreground: field(4)?,
            ticks,
            stored: bytes("read_bytes").saturating_add(bytes("write_bytes")),
            written: bytes("wchar"),
        })
    }
}

/// The bytes of all interfaces but the local one, both ways, from a `net/dev` file.
fn traffic(text: &str) -> u64 {
    let interfaces = text.lines().filter_map(|line| line.split_once(':'));
    let numbers = interfaces.filter(|(name, _)| name.trim() != "lo").flat_map(|(_, numbers)| {
        let column = |at| numbers.split_whitespace().nth(at)?.parse::<u64>().ok();
        // Received is the first column, sent the ninth.
        [column(0), column(8)].into_iter().flatten()
    });
    numbers.fold(0, u64::saturating_add)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const STAT: &str = "4242 (a ) (b) S 17 4240 17 34816 4240 4194304 5 6 7 8 100 20 3 4 20 0 1 0";
    const IO: &str = "rchar: 9\nwchar: 5\nsyscr: 1\nread_bytes: 4096\nwrite_bytes: 8192\n\
                      cancelled_write_bytes: 0\n";

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let read = Process::parse(STAT, IO).unwrap();
        let right = Process {
            group: 4240,
            terminal: 34_816,
            foreground: 4240,
            ticks: 127,
            stored: 12_288,
            written: 5,
        };
        assert_eq!(read, right);
        assert_eq!(Process::parse(STAT, "").unwrap().stored, 0, "a sandbox that hides it");
        assert_eq!(Process::parse("1 (x", IO), None);
    }

    #[test]
    fn traffic_is_that_of_all_interfaces_but_the_local_one() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo frame \
                    compressed multicast|bytes packets\n    lo: 999 1 0 0 0 0 0 0 999 1 0 0 0 0 0 0\n\
                    eth0:1000 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n  eth1: 3 1 0 0 0 0 0 0 4 1 0 0 0 0 0 0\n";
        assert_eq!(traffic(text), 1027);
        assert_eq!(traffic(""), 0);
    }

    /// A shell (1) with a program (2) in the foreground of its terminal, ten seconds apart.
    fn after_ten_seconds(before: Process, after: Process) -> Activity {
        let shell = Process { group: 1, terminal: 7, foreground: 2, ..Process::default() };
        let at = |second, process| Moment {
            at: Timestamp(i64::from(second) * 1_000_000),
            network: Some(0),
            processes: BTreeMap::from([
                (1, Process { ticks: 1000, ..shell }),
                (2, Process { group: 2, terminal: 7, foreground: 2, ..process }),
            ]),
        };
        let mut activity = Activity::default();
        activity.take(at(0, before));
        assert_eq!((activity.terminals(), activity.bytes_s()), (None, None), "one look is none");
        activity.take(at(10, after));
        activity
    }

    #[test]
    fn a_terminal_works_when_its_foreground_program_does() {
        let working = |after: Process| {
            let terminals = after_ten_seconds(Process::default(), after).terminals().unwrap();
            assert_eq!(terminals.open, 1);
            terminals.working
        };
        let ticks = rustix::param::clock_ticks_per_second();
        assert_eq!(working(Process::default()), 0);
        assert_eq!(working(Process { ticks: ticks / 10, ..Process::default() }), 1);
        assert_eq!(working(Process { ticks: ticks / 10 - 1, ..Process::default() }), 0);
        assert_eq!(working(Process { stored: 62_000, ..Process::default() }), 1);
        assert_eq!(working(Process { written: 1_000, ..Process::default() }), 0);
    }

    #[test]
    fn storage_counts_as_data_that_moves() {
        let after = Process { stored: 20_000_000, ..Process::default() };
        assert_eq!(after_ten_seconds(Process::default(), after).bytes_s(), Some(2_000_000));
    }
}
