//! The policies to compare with, exactly as their authors' protocol has them: floating point, ties
//! to the first host of the order.

use std::collections::BTreeMap;

use super::Random;
use super::policy::Policy;
use super::trace::{Task, Trace};

/// The norms of the published scores: the largest host.
const CPU_NORM: f64 = 128_000.0;
const GPU_NORM: f64 = 8_000.0;

/// The typical kinds cover this part of the tasks, in percent.
const TYPICAL_PERCENT: usize = 95;

/// A policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Fgd,
    Bestfit,
    Dotprod,
    Random,
}

/// The hosts, and who chooses among them.
#[derive(Debug)]
pub struct Fleet {
    peer: Peer,
    hosts: Vec<Host>,
    typical: Vec<Typical>,
    random: Random,
    /// By kind of task, what each host scores as of a version of the host.
    rows: BTreeMap<Key, Vec<Entry>>,
}

/// What tells tasks apart.
type Key = (u32, u32, u8, u16, u64);

/// The version of a host, and its score with the device to share if it has room.
type Entry = (u32, Option<(f64, usize)>);

/// One host, with what it has left.
#[derive(Debug, Clone)]
struct Host {
    cpu_milli: u32,
    memory_mib: u32,
    devices_milli: Vec<u16>,
    model: u8,
    version: u32,
}

/// A typical kind of task, with its part of all typical ones.
#[derive(Debug)]
struct Typical {
    task: Task,
    part: f64,
}

impl Fleet {
    /// Empty hosts in this order.
    pub fn new(peer: Peer, trace: &Trace, order: &[usize], random: Random) -> Self {
        let host = |node: &usize| {
            let node = &trace.nodes[*node];
            Host {
                cpu_milli: node.cpu_milli,
                memory_mib: node.memory_mib,
                devices_milli: vec![1000; usize::from(node.gpus)],
                model: node.model,
                version: 1,
            }
        };
        let hosts = order.iter().map(host).collect();
        Self { peer, hosts, typical: typical(&trace.tasks), random, rows: BTreeMap::new() }
    }

    /// The host of the highest score with the device to share, ties to the first.
    fn highest(&mut self, task: &Task) -> Option<(usize, usize)> {
        let key = (task.cpu_milli, task.memory_mib, task.gpus, task.gpu_milli, task.models);
        let row = self.rows.entry(key).or_default();
        row.resize(self.hosts.len(), (0, None));
        let mut best: Option<(f64, usize, usize)> = None;
        for (index, (host, entry)) in self.hosts.iter().zip(row).enumerate() {
            if entry.0 != host.version {
                let fits = host.fits(task);
                *entry = (host.version, fits.then(|| score(self.peer, host, task, &self.typical)));
            }
            if let Some((score, device)) = entry.1
                && best.is_none_or(|(highest, ..)| score > highest)
            {
                best = Some((score, index, device));
            }
        }
        best.map(|(_, host, device)| (host, device))
    }

    /// Any host with room, and any device with enough left.
    fn any(&mut self, task: &Task) -> Option<(usize, usize)> {
        let mut chosen = None;
        let mut count = 0;
        for (index, _) in self.hosts.iter().enumerate().filter(|(_, host)| host.fits(task)) {
            count += 1;
            if count == 1 || self.random.below(count) == 0 {
                chosen = Some(index);
            }
        }
        let host = chosen?;
        let enough: Vec<usize> = self.hosts[host].enough(task).collect();
        let shared = task.gpus == 1 && !task.is_whole();
        let device = if shared { enough[self.random.below(enough.len())] } else { 0 };
        Some((host, device))
    }
}

impl Policy for Fleet {
    fn place(&mut self, task: &Task) -> bool {
        let choice = match self.peer {
            Peer::Random => self.any(task),
            _ => self.highest(task),
        };
        if let Some((host, device)) = choice {
            self.hosts[host] = self.hosts[host].with(task, device);
        }
        choice.is_some()
    }
}

impl Host {
    fn fits(&self, task: &Task) -> bool {
        self.cpu_milli >= task.cpu_milli
            && self.memory_mib >= task.memory_mib
            && (task.gpus == 0 || task.models >> self.model & 1 == 1)
            && self.enough(task).count() >= usize::from(task.gpus)
    }

    /// The devices with enough left.
    fn enough(&self, task: &Task) -> impl Iterator<Item = usize> {
        let devices = self.devices_milli.iter().enumerate();
        devices.filter(|(_, left)| **left >= task.gpu_milli).map(|(device, _)| device)
    }

    fn gpu_left_milli(&self) -> f64 {
        self.devices_milli.iter().map(|left| f64::from(*left)).sum()
    }

    /// The host with a task on it: on this device, or on the first free ones.
    fn with(&self, task: &Task, device: usize) -> Self {
        let mut host = self.clone();
        host.version += 1;
        host.cpu_milli -= task.cpu_milli;
        host.memory_mib -= task.memory_mib;
        if task.is_whole() {
            let free = host.devices_milli.iter_mut().filter(|left| **left == 1000);
            free.take(usize::from(task.gpus)).for_each(|left| *left = 0);
        } else if task.gpus == 1 {
            host.devices_milli[device] -= task.gpu_milli;
        }
        host
    }
}

/// The score of a host that has room, and the device to share.
fn score(peer: Peer, host: &Host, task: &Task, typical: &[Typical]) -> (f64, usize) {
    let gpu_left = host.gpu_left_milli();
    let gpu = task.gpu_total_milli() as f64;
    let (cpu_left, cpu) = (f64::from(host.cpu_milli), f64::from(task.cpu_milli));
    let least = || {
        let enough = host.enough(task).min_by_key(|device| host.devices_milli[*device]);
        if task.gpus == 0 { 0 } else { enough.unwrap_or_default() }
    };
    match peer {
        Peer::Bestfit => {
            let rest = (gpu_left - gpu) / GPU_NORM + (cpu_left - cpu) / CPU_NORM;
            (((1.0 - 0.5 * rest) * 100.0).trunc(), least())
        }
        Peer::Dotprod => {
            let product =
                (cpu_left / CPU_NORM) * (cpu / CPU_NORM) + (gpu_left / GPU_NORM) * (gpu / GPU_NORM);
            ((100.0 * (1.0 - product / 2.0)).trunc(), least())
        }
        Peer::Fgd | Peer::Random => {
            let before = fragmentation(host, typical);
            let of = |device| {
                let after = fragmentation(&host.with(task, device), typical);
                ((1.0 / (1.0 + (-((before - after) / 1000.0)).exp()) * 100.0).trunc(), device)
            };
            if task.gpus == 0 || task.is_whole() {
                return of(0);
            }
            let first =
                |best: (f64, usize), next: (f64, usize)| if next.0 > best.0 { next } else { best };
            host.enough(task).map(of).reduce(first).unwrap_or_default()
        }
    }
}

/// F of a host: the idle GPU that the typical tasks cannot use.
fn fragmentation(host: &Host, typical: &[Typical]) -> f64 {
    let idle = host.gpu_left_milli();
    typical.iter().fold(0.0, |sum, Typical { task, part }| {
        let fits = task.gpus > 0
            && task.cpu_milli <= host.cpu_milli
            && task.models >> host.model & 1 == 1
            && host.enough(task).count() >= usize::from(task.gpus);
        let usable: f64 = if fits {
            host.enough(task).map(|device| f64::from(host.devices_milli[device])).sum()
        } else {
            0.0
        };
        sum + part * (idle - usable)
    })
}

/// The most frequent kinds of tasks, memory ignored, until they are 95 % of all.
fn typical(tasks: &[Task]) -> Vec<Typical> {
    let mut counts: BTreeMap<(u32, u16, u8, &str), (usize, &Task)> = BTreeMap::new();
    for task in tasks {
        let kind = (task.cpu_milli, task.gpu_milli, task.gpus, task.spec.as_str());
        counts.entry(kind).or_insert((0, task)).0 += 1;
    }
    let mut kinds: Vec<_> = counts.into_iter().collect();
    // Most frequent first; of equal ones the larger first.
    kinds.sort_by(|(kind, (count, _)), (other, (others, _))| (others, other).cmp(&(count, kind)));
    let mut covered = 0;
    let taken: Vec<(usize, &Task)> = kinds
        .into_iter()
        .map(|(_, counted)| counted)
        .take_while(|(count, _)| {
            let more = 100 * covered < TYPICAL_PERCENT * tasks.len();
            covered += if more { *count } else { 0 };
            more
        })
        .collect();
    taken
        .into_iter()
        .map(|(count, task)| Typical { task: task.clone(), part: count as f64 / covered as f64 })
        .collect()
}
