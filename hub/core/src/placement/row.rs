//! One host as the rules read it: the sums and facts of a decision, in a few words of memory.
//! Made anew whenever the host changes.

use std::sync::Arc;

use berth_common::link::PortRange;
use berth_common::{ByteCount, Reason, Seconds, Timestamp};

use crate::farm;
use crate::floor::FloorHost;
use crate::memory::{
    Alarm, Bound, HostMemory, Kind, Report, Rule, Standing, Sums, Thousandths, alarm,
};
use crate::packing::{Devices, Group, Shape};
use crate::settings::{CpuServers, GpuSharing, HostSettings, MemoryRule, Pool, Settings, Strategy};

/// A host, ready to be decided about.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its pool's number among the pools of the site; `None`: it serves none.
    pub pool: Option<u16>,
    /// Why it takes nothing new.
    pub obstacle: Option<Reason>,
    /// When it will be empty, if it is being emptied.
    pub drains_by: Option<Timestamp>,
    /// How its pool is filled.
    pub strategy: Strategy,
    /// What the gates of its memory compare a newcomer with.
    pub standing: Standing,
    /// Its memory, as the rule counts it.
    pub memory: Arc<Memory>,
    /// Processor time not promised.
    pub cpu_left: u32,
    /// Processor time in all.
    pub cpu_all: u32,
    /// Its GPUs that can be given, in the order in which they were reported.
    pub gpus: Vec<Gpu>,
    /// GPUs that are set aside.
    pub gpus_aside: u16,
    /// Whether servers may share a GPU.
    pub sharing: GpuSharing,
    /// Whether it has GPUs, well or not.
    pub has_gpus: bool,
    /// Which servers without a GPU it takes, if it has some.
    pub cpu_servers: CpuServers,
    /// Limits of the servers without a GPU.
    pub cpu_server_limits: ByteCount,
    /// Its ports that the compute farm reaches and nobody holds.
    pub farm_left: u32,
    /// All of them.
    pub farm_all: u32,
    /// Which of the site's first 64 images are there, by number.
    pub images: u64,
    /// Which of the site's first 64 spaces do not answer there, by number.
    pub sick: u64,
}

/// A GPU that can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gpu {
    /// Its index in the host's list.
    pub index: u16,
    /// Thousandths that nobody holds.
    pub left_milli: u32,
    /// Its model's number among all models seen.
    pub model: u16,
    /// Its memory.
    pub memory: ByteCount,
}

/// The memory of a host, what its servers hold of it, and the rule of its pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Memory {
    /// As declared and as reported.
    pub host: HostMemory,
    /// What its servers come to.
    pub sums: Sums,
    /// The pool's rule.
    pub rule: Rule,
}

impl Row {
    /// A host's row under the site's rules. `model` numbers the models of GPUs.
    pub fn of(host: &FloorHost, settings: &Settings, model: &mut dyn FnMut(&str) -> u16) -> Self {
        let declared = settings.hosts.get(&host.host);
        let named = declared.and_then(|declared| settings.pools.get(&declared.pool));
        let pool = named.cloned().unwrap_or_default();
        let number = declared
            .and_then(|declared| settings.pools.keys().position(|name| *name == declared.pool))
            .and_then(|position| u16::try_from(position).ok());
        let gpus = gpus(host, model);
        let cpu = host.servers.iter().map(|server| server.cpu_milli);
        let without_gpu = host.servers.iter().filter(|server| server.gpus.is_empty());
        let image = |(number, name): (usize, &str)| u64::from(host.images.contains(name)) << number;
        let images = settings.references().take(64).enumerate().map(image);
        let memory = Memory::of(host, declared, &pool);
        Self {
            pool: number,
            obstacle: host.state.obstacle(),
            drains_by: host.drains_by,
            strategy: pool.strategy,
            standing: memory.standing(),
            memory: Arc::new(memory),
            cpu_left: host.cpu_milli.saturating_sub(cpu.fold(0, u32::saturating_add)),
            cpu_all: host.cpu_milli,
            gpus_aside: u16::try_from(host.gpus.len() - gpus.len()).unwrap_or(u16::MAX),
            has_gpus: !host.gpus.is_empty()
                || declared.is_some_and(|declared| declared.gpus.is_some()),
            gpus,
            sharing: pool.gpu_sharing,
            cpu_servers: pool.cpu_servers,
            cpu_server_limits: without_gpu
                .map(|server| server.memory.limit)
                .fold(ByteCount::ZERO, ByteCount::plus),
            farm_left: u32::try_from(farm::free(host).count()).unwrap_or(u32::MAX),
            farm_all: host.farm.map_or(0, PortRange::count),
            images: images.fold(0, |all, one| all | one),
            sick: settings.mounts.numbers(|name| host.sick.contains_key(name)),
        }
    }

    /// The same host with other memory.
    #[must_use]
    pub fn with_memory(&self, memory: Memory) -> Self {
        Self { standing: memory.standing(), memory: Arc::new(memory), ..self.clone() }
    }

    /// Whether the two hosts would be the same if both were empty and up.
    pub fn is_same_empty(&self, other: &Self) -> bool {
        let size = |row: &Self| {
            let host = &row.memory.host;
            (host.declared, host.keep_free, host.report.map(|report| report.total))
        };
        let facts = |row: &Self| {
            (row.pool, row.cpu_all, row.gpus_aside, row.has_gpus, row.sharing, row.farm_all)
        };
        let same_gpu = |(a, b): (&Gpu, &Gpu)| (a.model, a.memory) == (b.model, b.memory);
        facts(self) == facts(other)
            && size(self) == size(other)
            && self.cpu_servers == other.cpu_servers
            && self.memory.rule == other.memory.rule
            && self.gpus.len() == other.gpus.len()
            && self.gpus.iter().zip(&other.gpus).all(same_gpu)
    }

    /// What the host has left, as packing sees it: peaks, or limits, for memory; devices that can
    /// be given. `None`: it has more devices than any host we know, or its group has no number.
    pub fn shape(&self, group: Option<Group>, devices: usize) -> Option<Shape> {
        let usable = self.standing.usable();
        let promised = match self.memory.rule.kind {
            Kind::Limits => self.memory.sums.limits,
            Kind::Peaks => self.memory.sums.lately,
        };
        let left = usable.minus(ByteCount(u64::try_from(promised).unwrap_or(u64::MAX)));
        let mut milli = vec![0u16; devices];
        for gpu in &self.gpus {
            if let Some(left) = milli.get_mut(usize::from(gpu.index)) {
                *left = u16::try_from(gpu.left_milli).unwrap_or(1000).min(1000);
            }
        }
        Some(Shape {
            group: group?,
            cpu_total_milli: self.cpu_all,
            memory_total_mib: mib(usable),
            cpu_milli: self.cpu_left,
            memory_mib: mib(left),
            devices: Devices::of(&milli)?,
        })
    }
}

/// The devices that can be given, with what nobody holds of them.
fn gpus(host: &FloorHost, model: &mut dyn FnMut(&str) -> u16) -> Vec<Gpu> {
    let well = host.gpus.iter().enumerate().filter(|(_, device)| device.trouble.is_none());
    well.map(|(index, device)| {
        let parts = host.servers.iter().flat_map(|server| &server.gpus);
        let held = parts.filter(|part| part.gpu == device.gpu).map(|part| part.milli);
        Gpu {
            index: u16::try_from(index).unwrap_or(u16::MAX),
            left_milli: 1000u32.saturating_sub(held.fold(0, u32::saturating_add)),
            model: model(&device.model),
            memory: device.memory,
        }
    })
    .collect()
}

fn mib(bytes: ByteCount) -> u32 {
    u32::try_from(bytes.mebibytes()).unwrap_or(u32::MAX)
}

impl Memory {
    fn of(host: &FloorHost, declared: Option<&HostSettings>, pool: &Pool) -> Self {
        // Only whether it is too old decides; how old is for people.
        let age = if host.silent_since.is_some() { Seconds(u64::MAX) } else { Seconds(0) };
        let report = host.memory.map(|memory| Report {
            age,
            total: memory.total,
            free: Some(memory.free),
            above_limit: memory.above_limit,
        });
        Self {
            host: HostMemory {
                declared: declared.and_then(|declared| declared.memory),
                keep_free: declared.map_or(ByteCount::ZERO, |declared| declared.keep_free),
                report,
            },
            sums: Sums::of(host.servers.iter().map(|server| &server.memory)),
            rule: rule_of(pool),
        }
    }

    /// What the gates read.
    pub fn standing(&self) -> Standing {
        Standing::of(&self.host, &self.sums, &self.rule)
    }

    /// The growth alarm, if the host's word is fresh enough to act on it.
    pub fn alarm(&self) -> Option<Alarm> {
        let trusted = self.host.distrust(&self.sums).is_none();
        trusted.then(|| alarm(&self.sums, self.usable())).flatten()
    }

    /// The same host if it said the same again at this moment.
    pub fn heard_now(&self) -> Self {
        let report = self.host.report.map(|report| Report { age: Seconds(0), ..report });
        Self { host: HostMemory { report, ..self.host }, ..self.clone() }
    }

    /// The same host with nothing on it and nothing beside it.
    pub fn empty(&self) -> Self {
        let report = self.host.report.map(|report| Report {
            age: Seconds(0),
            free: Some(report.total),
            above_limit: false,
            ..report
        });
        Self { host: HostMemory { report, ..self.host }, sums: Sums::default(), rule: self.rule }
    }

    /// The sum of limits.
    pub fn limits(&self) -> ByteCount {
        ByteCount(u64::try_from(self.sums.limits).unwrap_or(u64::MAX))
    }

    /// The sum of present use.
    pub fn used(&self) -> ByteCount {
        ByteCount(u64::try_from(self.sums.used).unwrap_or(u64::MAX))
    }

    /// What servers could have there if nothing outside them held memory.
    pub fn usable_alone(&self) -> ByteCount {
        let usable = self.host.usable(&self.sums);
        match usable.bound {
            Bound::Live { outside } => usable.bytes.plus(outside),
            _ => usable.bytes,
        }
    }

    /// What servers may have there at this moment.
    pub fn usable(&self) -> ByteCount {
        self.host.usable(&self.sums).bytes
    }
}

/// A pool's rule in the terms of the memory module.
pub fn rule_of(pool: &Pool) -> Rule {
    Rule {
        kind: match pool.memory_rule {
            MemoryRule::Limits => Kind::Limits,
            MemoryRule::Peaks => Kind::Peaks,
        },
        oversubscribe: Thousandths(pool.oversubscribe_milli),
        used_ceiling: Thousandths(pool.used_ceiling_milli),
    }
}
