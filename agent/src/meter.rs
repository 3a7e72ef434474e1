//! What the servers use over time: read once a second, kept as highest values, so that nothing
//! that happens between two heartbeats is lost; and who was killed for want of memory.
//!
//! It reads files of the kernel only, which never hang, but is work: it runs on a thread that may
//! block.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use berth_common::link::{Kill, Usage, Victim};
use berth_common::{ByteCount, ServerId, Timestamp};

use crate::activity::Activity;
use crate::cgroup::{Cgroup, Reading};
use crate::load;
use crate::mem::{self, HostMemory};
use crate::reconcile::Measured;
use crate::victims::{KernelLog, Processes};

/// [`Usage::memory_lately`] looks back a minute, in so many parts of five seconds.
const LATELY_PARTS: i64 = 12;
const PART_US: i64 = 5_000_000;

/// [`Usage::cpu_milli`] is the mean over this long.
const CPU_OVER_MS: u64 = 10_000;

/// A container's processes are looked at once in so many looks; near its limit, at each.
const PROCESSES_EVERY: usize = 10;

/// Near its limit: above this part of it, in percent.
const NEAR: u128 = 70;

/// So many kills of one container are told; the hub has heard of older ones.
const KILLS_TOLD: usize = 8;

/// What was measured last.
#[derive(Debug, Clone, Default)]
pub struct Meters {
    /// The host's memory.
    pub host: HostMemory,
    /// Its pressure ([`mem::pressure`]).
    pub pressure: Option<u32>,
    /// How much it has to do ([`load::average`]).
    pub load: Option<u32>,
    /// The servers.
    pub servers: BTreeMap<ServerId, Measured>,
}

/// All that is remembered from one look to the next.
#[derive(Debug, Default)]
pub struct Meter {
    containers: BTreeMap<String, Container>,
    log: KernelLog,
    looks: usize,
    buffer: String,
}

impl Meter {
    /// Takes a container up whose main process is this one. Nothing happens if that is gone.
    pub fn take_up(&mut self, server: &ServerId, container: &str, pid: u32) {
        if let Some(cgroup) = Cgroup::of_process(pid) {
            let entry = Container::new(server.clone(), cgroup, pid);
            self.containers.insert(container.to_owned(), entry);
        }
    }

    /// Whether a container was taken up.
    pub fn knows(&self, container: &str) -> bool {
        self.containers.contains_key(container)
    }

    /// Forgets all containers but these.
    pub fn keep(&mut self, there: &BTreeSet<String>) {
        self.containers.retain(|id, _| there.contains(id));
    }

    /// Looks at everything once.
    pub fn look(&mut self, now: Timestamp) -> Meters {
        self.looks = self.looks.wrapping_add(1);
        for (at, container) in self.containers.values_mut().enumerate() {
            let turn = self.looks.wrapping_add(at).is_multiple_of(PROCESSES_EVERY);
            container.look(now, turn, &mut self.buffer);
        }
        // After the counters: what they count stands in the log by now.
        self.log.read();
        for container in self.containers.values_mut() {
            container.note_kills(now, &mut self.log);
        }
        self.log.forget();
        let servers = self.containers.iter().filter(|(_, container)| container.seen);
        Meters {
            host: mem::host(),
            pressure: mem::pressure(),
            load: load::average(),
            servers: servers
                .map(|(id, container)| (container.server.clone(), container.measured(id)))
                .collect(),
        }
    }
}

#[derive(Debug)]
struct Container {
    server: ServerId,
    cgroup: Cgroup,
    /// Its main process.
    main: u32,
    activity: Activity,
    /// It was read at least once.
    seen: bool,
    last: Reading,
    /// Kills that were noted, of all that were counted.
    noted: u64,
    highest: ByteCount,
    /// The highest value of each part of the last minute, newest last.
    lately: VecDeque<(i64, ByteCount)>,
    /// Processor time at moments of the last ten seconds, oldest first.
    cpu: VecDeque<(Timestamp, u64)>,
    processes: Processes,
    kills: VecDeque<Kill>,
}

impl Container {
    fn new(server: ServerId, cgroup: Cgroup, main: u32) -> Self {
        Self {
            server,
            cgroup,
            main,
            activity: Activity::default(),
            seen: false,
            last: Reading::default(),
            noted: 0,
            highest: ByteCount::ZERO,
            lately: VecDeque::new(),
            cpu: VecDeque::new(),
            processes: Processes::default(),
            kills: VecDeque::new(),
        }
    }

    /// Reads its cgroup; when that is gone, what was read last stays.
    fn look(&mut self, now: Timestamp, turn: bool, buffer: &mut String) {
        let Ok(reading) = self.cgroup.read(buffer) else { return };
        self.take(now, reading);
        if turn {
            self.activity.look(now, self.main, &self.cgroup.processes());
        }
        // After a kill the list must stay as it was before: who is missing was killed.
        let near = reading.limit.is_some_and(|limit| {
            u128::from(reading.working_set.0) * 100 >= u128::from(limit.0) * NEAR
        });
        if reading.oom_kills == self.noted && (turn || near || !self.processes.were_seen()) {
            self.processes.look(&self.cgroup);
        }
    }

    fn take(&mut self, now: Timestamp, reading: Reading) {
        self.highest = self.highest.max(reading.working_set);
        let part = now.0.div_euclid(PART_US);
        match self.lately.back_mut() {
            Some((newest, highest)) if *newest >= part => {
                *highest = reading.working_set.max(*highest);
            }
            _ => self.lately.push_back((part, reading.working_set)),
        }
        self.lately.retain(|(at, _)| at.saturating_add(LATELY_PARTS) > part);
        self.cpu.push_back((now, reading.cpu_us));
        // One moment at the far end of the span, or just beyond, is what the rest is compared with.
        while self.cpu.get(1).is_some_and(|(at, _)| now.millis_since(*at) >= CPU_OVER_MS) {
            self.cpu.pop_front();
        }
        if !self.seen && reading.oom_kills > 0 {
            // Before this process looked: the number lets the hub see whether it has heard of it.
            self.note(reading.oom_kills, now, (None, false), &reading);
        }
        self.seen = true;
        self.last = reading;
    }

    /// Gives names to the kills that the kernel has counted since the last look.
    fn note_kills(&mut self, now: Timestamp, log: &mut KernelLog) {
        if !self.seen {
            return;
        }
        let mut logged = log.take_of(&self.cgroup);
        // A container that has ended as a whole has no counter any more: the log still says so.
        let counted = self.last.oom_kills.saturating_sub(self.noted);
        let new = counted.max(u64::try_from(logged.len()).unwrap_or(u64::MAX));
        if new == 0 {
            return;
        }
        let mut gone = self.processes.gone(&self.cgroup);
        // The newest few are told, so no more than those are named.
        let told = new.min(KILLS_TOLD as u64);
        self.noted = self.noted.saturating_add(new.saturating_sub(told));
        for _ in 0..told {
            let victim = match logged.pop_front() {
                Some(logged) => (Some(self.processes.named(&logged)), logged.by_host),
                None => (gone.pop_front(), false),
            };
            let (number, last) = (self.noted.saturating_add(1), self.last);
            self.note(number, now, victim, &last);
        }
        self.processes.look(&self.cgroup);
    }

    /// Notes a kill: of whom, and whether the host had no memory left.
    fn note(
        &mut self,
        number: u64,
        at: Timestamp,
        (victim, by_host): (Option<Victim>, bool),
        reading: &Reading,
    ) {
        self.noted = number;
        let limit = reading.limit.unwrap_or_default();
        self.kills.push_back(Kill { number, at, victim, highest: self.highest, limit, by_host });
        if self.kills.len() > KILLS_TOLD {
            self.kills.pop_front();
        }
    }

    fn measured(&self, id: &str) -> Measured {
        let lately = self.lately.iter().map(|(_, highest)| *highest).max();
        let (oldest, newest) = (self.cpu.front(), self.cpu.back());
        let cpu_milli = oldest.zip(newest).map_or(0, |((from, before), (to, after))| {
            // Microseconds in a millisecond are thousandths of a processor.
            let milli = after.saturating_sub(*before).checked_div(to.millis_since(*from));
            u32::try_from(milli.unwrap_or_default()).unwrap_or(u32::MAX)
        });
        Measured {
            container: id.to_owned(),
            used: self.last.working_set,
            usage: Usage {
                memory_lately: lately.unwrap_or_default(),
                memory_highest: self.highest,
                cpu_us: self.last.cpu_us,
                cpu_milli,
                network_bytes_s: self.activity.bytes_s(),
                terminals: self.activity.terminals(),
                // Who asks the notebook servers adds it.
                kernels: None,
            },
            limit: self.last.limit,
            largest: self.processes.largest(),
            kills: self.kills.iter().cloned().collect(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp(second * 1_000_000)
    }

    fn container() -> Container {
        // This process has a cgroup wherever there are some; what it says is not read here.
        let cgroup = Cgroup::at("/nonexistent".into());
        Container::new(ServerId::from_random(1), cgroup, 0)
    }

    fn reading(used: u64, cpu_us: u64, oom_kills: u64) -> Reading {
        let limit = Some(ByteCount(100));
        Reading { working_set: ByteCount(used), limit, cpu_us, oom_kills }
    }

    #[test]
    fn a_peak_between_two_heartbeats_is_told_for_a_minute() {
        let mut one = container();
        for second in 0..200 {
            let used = if second == 7 { 90 } else { 10 };
            one.take(at(second), reading(used, 0, 0));
            let measured = one.measured("c");
            assert_eq!(measured.used, ByteCount(used));
            let lately = measured.usage.memory_lately.0;
            match second {
                0..7 => assert_eq!(lately, 10, "{second}"),
                7..60 => assert_eq!(lately, 90, "{second}"),
                66.. => assert_eq!(lately, 10, "{second}"),
                _ => {}
            }
        }
        assert_eq!(one.measured("c").usage.memory_highest, ByteCount(90));
        assert!(one.lately.len() <= LATELY_PARTS as usize);
    }

    #[test]
    fn processor_time_is_a_mean_over_ten_seconds() {
        let mut one = container();
        one.take(at(0), reading(1, 0, 0));
        assert_eq!(one.measured("c").usage.cpu_milli, 0, "one look says nothing");
        for second in 1..=30 {
            // Half a processor for 20 s, then nothing.
            one.take(at(second), reading(1, 500_000 * second.min(20) as u64, 0));
        }
        assert_eq!(one.measured("c").usage.cpu_us, 10_000_000);
        assert_eq!(one.measured("c").usage.cpu_milli, 0);
        assert!(one.cpu.len() <= 12, "{}", one.cpu.len());
        one.take(at(31), reading(1, 11_000_000, 0));
        assert_eq!(one.measured("c").usage.cpu_milli, 100, "one second of ten");
    }

    #[test]
    fn each_kill_is_told_once_with_the_kernels_number() {
        let mut one = container();
        let mut log = KernelLog::default();
        one.take(at(0), reading(50, 0, 2));
        one.note_kills(at(0), &mut log);
        let numbers =
            |one: &Container| one.kills.iter().map(|kill| kill.number).collect::<Vec<_>>();
        assert_eq!(numbers(&one), [2], "before this process looked: one of unknown name");
        one.take(at(1), reading(99, 0, 4));
        one.note_kills(at(1), &mut log);
        one.note_kills(at(2), &mut log);
        assert_eq!(numbers(&one), [2, 3, 4]);
        let last = one.kills.back().unwrap();
        assert_eq!((last.highest, last.limit), (ByteCount(99), ByteCount(100)));
        one.take(at(3), reading(99, 0, 40));
        one.note_kills(at(3), &mut log);
        one.note_kills(at(4), &mut log);
        assert_eq!(numbers(&one), [33, 34, 35, 36, 37, 38, 39, 40], "the newest");
    }
}
