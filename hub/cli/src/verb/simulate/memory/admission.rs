//! Admission: servers that ask once, equal hosts, and what they then really use.
//!
//! The rule berth may also ask idle servers to leave a host that rings. A move is the server's
//! stop on one host and its start on another, with all it holds: in the sample in which it moves
//! it burdens both. It was admitted once and is not counted again.

use berth_common::{ByteCount, Seconds};
use berth_core::memory::{
    HostMemory, Kind, Member, Report as MemoryReport, Resident, Sums, Thousandths, plan, rest,
};

use super::production::{Watched, moment};
use super::usage::{Server, Usage};
use super::{Rule, View};
use crate::verb::simulate::report::Report;

/// A server may be moved or stopped once its use has not changed for so many samples.
const IDLE: usize = 60;

/// Equal hosts.
#[derive(Debug, Clone, Copy)]
pub struct Hosts {
    /// So many.
    pub count: usize,
    /// Memory of each.
    pub capacity: u64,
    /// Memory of each that no server may have.
    pub reserve: u64,
}

/// The fleet at one sample.
struct Fleet<'a> {
    usage: &'a Usage,
    hosts: &'a Hosts,
    rule: Rule,
    view: View,
    /// The servers of each host.
    placed: Vec<Vec<usize>>,
    /// What the hub knows of each server that runs.
    watched: Vec<Option<Watched>>,
    /// Servers that moved in this sample: the host they left still holds them.
    leaving: Vec<(usize, usize)>,
    counts: Counts,
}

/// What is reported.
#[derive(Debug, Default)]
struct Counts {
    asked: u64,
    admitted: u64,
    most_running: u64,
    overflows: u64,
    worst_overflow: u64,
    server_steps: u64,
    unsafe_steps: u64,
    moved: u64,
    stopped: u64,
}

/// Admits, measures, reports.
pub fn replay(usage: &Usage, hosts: &Hosts, rule: Rule, view: View) -> Report {
    let mut fleet = Fleet {
        usage,
        hosts,
        rule,
        view,
        placed: vec![Vec::new(); hosts.count],
        watched: usage.servers.iter().map(|_| None).collect(),
        leaving: Vec::new(),
        counts: Counts::default(),
    };
    let mut asking: Vec<Vec<usize>> = vec![Vec::new(); usage.samples];
    for (number, server) in usage.servers.iter().enumerate() {
        if let Some(list) = asking.get_mut(server.first) {
            list.push(number);
        }
    }
    for (sample, asking) in asking.iter().enumerate() {
        fleet.leave(sample);
        if rule == Rule::Berth {
            fleet.relieve(sample);
        }
        for number in asking {
            fleet.ask(*number, sample);
        }
        fleet.measure(sample);
    }
    fleet.counts.report(rule, hosts)
}

impl<'a> Fleet<'a> {
    fn server(&self, number: usize) -> Option<&'a Server> {
        self.usage.servers.get(number)
    }

    /// Servers whose last sample is past are gone.
    fn leave(&mut self, sample: usize) {
        let usage = self.usage;
        for servers in &mut self.placed {
            servers.retain(|number| usage.servers.get(*number).is_some_and(|it| it.last >= sample));
        }
    }

    /// A server asks, once.
    fn ask(&mut self, number: usize, sample: usize) {
        self.counts.asked += 1;
        let Some(server) = self.server(number) else { return };
        self.watched[number] = Some(Watched::begin(server));
        if let Some(host) = self.choice(number, sample, None) {
            self.placed[host].push(number);
            self.counts.admitted += 1;
        }
    }

    /// The host for a server: by the reference rules the fullest that takes it, the first of
    /// equal ones. By the hub's own rule the emptiest: servers that grow together are better
    /// apart.
    fn choice(&self, number: usize, sample: usize, but: Option<usize>) -> Option<usize> {
        let rests = (0..self.hosts.count).filter(|host| Some(*host) != but).filter_map(|host| {
            let rest = match self.rule {
                Rule::Berth => self.rest(host, number, sample)?,
                _ => {
                    let room = self.hosts.capacity.checked_sub(self.hosts.reserve)?;
                    room.checked_sub(self.reference_need(host, number, sample))?
                }
            };
            Some((rest, host))
        });
        match self.rule {
            Rule::Berth if but.is_none() => {
                rests.min_by_key(|(rest, host)| (std::cmp::Reverse(*rest), *host))
            }
            _ => rests.min(),
        }
        .map(|(_, host)| host)
    }

    /// What the reference rules say that a host needs with this server too.
    fn reference_need(&self, host: usize, newcomer: usize, sample: usize) -> u64 {
        let (mut limits, mut peaks, mut first, mut second) = (0, 0, 0, 0);
        for number in self.placed[host].iter().chain([&newcomer]) {
            let Some(server) = self.server(*number) else { continue };
            let mut peak = server.peak(sample.saturating_sub(self.view.window), sample);
            if sample - server.first < self.view.cold_age {
                peak = peak.max(self.view.cold_bytes.min(server.limit));
            }
            let growth = server.limit.saturating_sub(peak);
            limits += server.limit;
            peaks += peak;
            (first, second) =
                if growth > first { (growth, first) } else { (first, growth.max(second)) };
        }
        match self.rule {
            Rule::Limits => limits,
            Rule::Peaks => peaks,
            Rule::Onegrower | Rule::Berth => peaks + first,
            Rule::Twogrowers => peaks + first + second,
        }
    }

    /// What the hub's own rule leaves on a host with this server too, if it takes it.
    fn rest(&self, host: usize, number: usize, sample: usize) -> Option<u64> {
        let member = self.member(number, sample);
        let sums = self.sums(host, sample);
        let rule = berth_core::memory::Rule {
            kind: Kind::Peaks,
            oversubscribe: Thousandths::UNBOUNDED,
            used_ceiling: Thousandths::UNBOUNDED,
        };
        rest(&self.memory(&sums), &sums, &member, &rule).map(|rest| rest.0)
    }

    /// A host as its agent would report it.
    fn memory(&self, sums: &Sums) -> HostMemory {
        let total = ByteCount(self.hosts.capacity);
        let used = ByteCount(u64::try_from(sums.used).unwrap_or(u64::MAX));
        HostMemory {
            declared: Some(total),
            keep_free: ByteCount(self.hosts.reserve),
            report: Some(MemoryReport {
                age: Seconds(0),
                total,
                free: Some(total.minus(used)),
                above_limit: false,
            }),
        }
    }

    fn member(&self, number: usize, sample: usize) -> Member {
        let watched = self.watched.get(number).and_then(Option::as_ref);
        watched.map(|watched| watched.member(sample)).unwrap_or_default()
    }

    fn sums(&self, host: usize, sample: usize) -> Sums {
        let members: Vec<_> =
            self.placed[host].iter().map(|number| self.member(*number, sample)).collect();
        Sums::of(&members)
    }

    /// Hosts that ring: idle servers move to where they fit, and where that is not enough they are
    /// stopped.
    fn relieve(&mut self, sample: usize) {
        self.leaving.clear();
        for host in 0..self.hosts.count {
            let mut stay = Vec::new();
            while let Some(number) = self.first_to_leave(host, sample, &stay) {
                match self.choice(number, sample, Some(host)) {
                    Some(target) => {
                        self.take_away(number, host);
                        self.placed[target].push(number);
                        self.leaving.push((host, number));
                        self.counts.moved += 1;
                    }
                    None => stay.push(number),
                }
            }
            while let Some(number) = self.first_to_leave(host, sample, &[]) {
                self.take_away(number, host);
                self.counts.stopped += 1;
            }
        }
    }

    /// Whom the hub would ask first to leave a host, these left out; nobody if it does not ring.
    fn first_to_leave(&self, host: usize, sample: usize, stay: &[usize]) -> Option<usize> {
        let sums = self.sums(host, sample);
        let usable = self.memory(&sums).usable(&sums).bytes;
        let resident = |number: &usize| {
            let watched = self.watched.get(*number)?.as_ref()?;
            let idle = sample.saturating_sub(1).saturating_sub(watched.changed()) >= IDLE;
            let moved = self.leaving.iter().any(|(_, moved)| moved == number);
            Some(Resident {
                id: *number,
                memory: watched.member(sample),
                idle_since: idle.then(|| moment(watched.changed())),
                protected: moved || stay.contains(number),
            })
        };
        let residents: Vec<_> = self.placed[host].iter().filter_map(resident).collect();
        plan(&residents, usable).steps.into_iter().next().map(|step| step.id)
    }

    fn take_away(&mut self, number: usize, host: usize) {
        self.placed[host].retain(|other| *other != number);
    }

    /// What is really used at this sample.
    fn measure(&mut self, sample: usize) {
        let capacity = self.hosts.capacity;
        let used = |number: &usize| {
            self.usage.servers.get(*number).and_then(|server| server.at(sample)).unwrap_or(0)
        };
        let mut running = 0;
        for (host, servers) in self.placed.iter().enumerate() {
            let left: u64 = self
                .leaving
                .iter()
                .filter(|(from, _)| *from == host)
                .map(|(_, number)| used(number))
                .sum();
            let total = left + servers.iter().map(used).sum::<u64>();
            if total > capacity {
                self.counts.overflows += 1;
                self.counts.worst_overflow = self.counts.worst_overflow.max(total - capacity);
            }
            for number in servers {
                let limit = self.usage.servers.get(*number).map_or(0, |server| server.limit);
                running += 1;
                self.counts.unsafe_steps += u64::from(total - used(number) + limit > capacity);
            }
        }
        self.counts.server_steps += running;
        self.counts.most_running = self.counts.most_running.max(running);
        for number in self.placed.iter().flatten() {
            if let (Some(Some(watched)), Some(used)) = (
                self.watched.get_mut(*number),
                self.usage.servers.get(*number).and_then(|server| server.at(sample)),
            ) {
                watched.see(sample, used);
            }
        }
    }
}

impl Counts {
    fn report(&self, rule: Rule, hosts: &Hosts) -> Report {
        let mut report = Report::default();
        let name = clap::ValueEnum::to_possible_value(&rule);
        report.word("rule", name.map_or(String::new(), |value| value.get_name().to_owned()));
        report.count("hosts", hosts.count as u64);
        report.count("asked", self.asked);
        report.count("admitted", self.admitted);
        report.count("refused", self.asked - self.admitted);
        report.count("most_running", self.most_running);
        report.count("overflow_host_steps", self.overflows);
        report.count("worst_overflow_bytes", self.worst_overflow);
        let steps = self.server_steps.max(1) as f64;
        report.percent("unsafe_growth_pct", 100.0 * self.unsafe_steps as f64 / steps);
        if rule == Rule::Berth {
            report.count("moved", self.moved);
            report.count("stopped", self.stopped);
        }
        report
    }
}
