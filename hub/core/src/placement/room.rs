//! Whether a host has room: the rules in their fixed order, each with the numbers that decided.

use std::ops::ControlFlow;

use berth_common::{ByteCount, Reason};

use crate::memory::{Bound, Member, Refusal};
use crate::placement::row::{Gpu, Row};
use crate::settings::GpuSharing;

/// A request in the numbers of the rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ask {
    /// The pool's number.
    pub pool: Option<u16>,
    /// The memory limit.
    pub limit: ByteCount,
    /// The expected peak.
    pub peak: ByteCount,
    /// Whether it comes from servers before it.
    pub peak_known: bool,
    /// Counted processor time.
    pub cpu_milli: u32,
    /// Devices.
    pub gpus: u32,
    /// Thousandths of each.
    pub gpu_milli: u32,
    /// Numbers of the models that will do; empty = any.
    pub models: Vec<u16>,
    /// The least memory of a device.
    pub gpu_memory: ByteCount,
    /// Ports that the compute farm reaches.
    pub farm_ports: u32,
    /// The spaces that it cannot do without, as bits by number.
    pub spaces: u64,
}

/// A rule that excludes a host, with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fail {
    /// It serves another pool.
    NotInPool,
    /// Its state.
    State(Reason),
    /// Another host is required.
    NotAllowed,
    /// A space that is needed does not answer there.
    Space {
        /// Its number among the site's.
        number: u32,
    },
    /// It is for servers with a GPU.
    ForGpus {
        /// The least memory with which a server without GPU may run there.
        min: Option<ByteCount>,
    },
    /// What is left is kept for servers with a GPU.
    KeptForGpus {
        /// Limits of servers without a GPU, this one included.
        limits: ByteCount,
        /// What they may have together.
        most: ByteCount,
    },
    /// A gate of the memory rule.
    Memory(Refusal),
    /// Processors.
    Cpu {
        /// Asked for.
        asked: u32,
        /// Left.
        left: u32,
    },
    /// Ports that the compute farm reaches.
    FarmPorts {
        /// Asked for.
        asked: u32,
        /// Those that nobody holds.
        left: u32,
        /// All of the host.
        all: u32,
    },
    /// No device there would ever do.
    NoGpu {
        /// Suitable devices.
        suitable: u16,
        /// Asked for.
        asked: u32,
    },
    /// Suitable devices are set aside.
    GpuAside {
        /// How many are.
        aside: u16,
    },
    /// Suitable devices are in use.
    GpuBusy {
        /// Suitable devices with room.
        free: u16,
        /// Suitable devices in all.
        suitable: u16,
        /// Asked for.
        asked: u32,
    },
}

impl Ask {
    /// The request as a server of which only its expected peak is known.
    pub fn newcomer(&self) -> Member {
        Member { young: !self.peak_known, ..Member::newcomer(self.peak, self.limit) }
    }
}

impl Fail {
    /// Its reason code.
    pub fn reason(self) -> Reason {
        match self {
            Self::NotInPool => Reason::HostNotInPool,
            Self::State(reason) => reason,
            Self::NotAllowed => Reason::HostNotAllowed,
            Self::Space { .. } => Reason::MountSick,
            Self::ForGpus { .. } => Reason::HostForGpus,
            Self::KeptForGpus { .. } => Reason::WaitKeptForGpus,
            Self::Memory(refusal) => memory_reason(refusal),
            Self::Cpu { .. } => Reason::WaitCpu,
            Self::FarmPorts { asked, all, .. } if all < asked => Reason::HostNoFarm,
            Self::FarmPorts { .. } => Reason::WaitFarmPorts,
            Self::NoGpu { .. } => Reason::HostNoGpu,
            Self::GpuAside { .. } => Reason::GpuBroken,
            Self::GpuBusy { .. } => Reason::WaitGpuBusy,
        }
    }
}

/// Memory promised, or really used: used, if it would fit but for what lies outside the servers.
fn memory_reason(refusal: Refusal) -> Reason {
    let (needed, usable) = match refusal {
        Refusal::OneGrows { lately, growth, usable, .. } => (lately.plus(growth), usable),
        Refusal::AllReturn { doubled, usable } => (doubled, usable),
        Refusal::Limits { limits, usable, .. } => (limits, usable),
        Refusal::TooManyYoung { .. } | Refusal::Oversubscribed { .. } => {
            return Reason::WaitMemoryReserved;
        }
        Refusal::UsedCeiling { .. } => return Reason::WaitMemoryUsed,
        Refusal::Alarm(_) => return Reason::WaitMemoryGrowth,
    };
    match usable.bound {
        Bound::Live { outside } if needed <= usable.bytes.plus(outside) => Reason::WaitMemoryUsed,
        _ => Reason::WaitMemoryReserved,
    }
}

/// The first rule that excludes the host.
pub fn first_fail(row: &Row, ask: &Ask, allowed: bool) -> Option<Fail> {
    match check(row, ask, allowed, &mut ControlFlow::Break) {
        ControlFlow::Break(fail) => Some(fail),
        ControlFlow::Continue(()) => None,
    }
}

/// The first rule that excludes the host whatever its state.
pub fn first_other_fail(row: &Row, ask: &Ask, allowed: bool) -> Option<Fail> {
    let mut other = |fail| match fail {
        Fail::State(_) => ControlFlow::Continue(()),
        fail => ControlFlow::Break(fail),
    };
    match check(row, ask, allowed, &mut other) {
        ControlFlow::Break(fail) => Some(fail),
        ControlFlow::Continue(()) => None,
    }
}

/// All rules that exclude the host, in their order.
pub fn all_fails(row: &Row, ask: &Ask, allowed: bool) -> Vec<Fail> {
    let mut fails = Vec::new();
    let _ = check(row, ask, allowed, &mut |fail| {
        fails.push(fail);
        ControlFlow::Continue(())
    });
    fails
}

type On<'a> = dyn FnMut(Fail) -> ControlFlow<Fail> + 'a;

/// Goes through the rules. `allowed`: no rule of placement names other hosts only.
fn check(row: &Row, ask: &Ask, allowed: bool, on: &mut On<'_>) -> ControlFlow<Fail> {
    if row.pool.is_none() || row.pool != ask.pool {
        on(Fail::NotInPool)?;
    }
    if let Some(reason) = row.obstacle {
        on(Fail::State(reason))?;
    }
    if !allowed {
        on(Fail::NotAllowed)?;
    }
    if ask.spaces & row.sick != 0 {
        on(Fail::Space { number: (ask.spaces & row.sick).trailing_zeros() })?;
    }
    if ask.gpus == 0 && row.has_gpus {
        beside_gpus(row, ask, on)?;
    }
    for refusal in row.standing.refusals(&ask.newcomer()) {
        on(Fail::Memory(refusal))?;
    }
    if ask.cpu_milli > row.cpu_left {
        on(Fail::Cpu { asked: ask.cpu_milli, left: row.cpu_left })?;
    }
    if ask.farm_ports > row.farm_left {
        on(Fail::FarmPorts { asked: ask.farm_ports, left: row.farm_left, all: row.farm_all })?;
    }
    if ask.gpus > 0 { gpus(row, ask, on) } else { ControlFlow::Continue(()) }
}

fn beside_gpus(row: &Row, ask: &Ask, on: &mut On<'_>) -> ControlFlow<Fail> {
    let rule = row.cpu_servers;
    if rule.min.is_none_or(|min| ask.limit < min) {
        on(Fail::ForGpus { min: rule.min })?;
    }
    let limits = row.cpu_server_limits.plus(ask.limit);
    let most = row.standing.usable().minus(rule.keep);
    if limits > most {
        on(Fail::KeptForGpus { limits, most })?;
    }
    ControlFlow::Continue(())
}

fn gpus(row: &Row, ask: &Ask, on: &mut On<'_>) -> ControlFlow<Fail> {
    let suits = |gpu: &&Gpu| suits(row, ask, gpu);
    let suitable = count(row.gpus.iter().filter(suits));
    let free = count(row.gpus.iter().filter(suits).filter(|gpu| gpu.left_milli >= ask.gpu_milli));
    if u32::from(free) >= ask.gpus {
        return ControlFlow::Continue(());
    }
    if u32::from(suitable) >= ask.gpus {
        on(Fail::GpuBusy { free, suitable, asked: ask.gpus })
    } else if row.gpus_aside > 0 {
        on(Fail::GpuAside { aside: row.gpus_aside })
    } else {
        on(Fail::NoGpu { suitable, asked: ask.gpus })
    }
}

/// Whether a device would do if it were free.
pub fn suits(row: &Row, ask: &Ask, gpu: &Gpu) -> bool {
    let model = ask.models.is_empty() || ask.models.contains(&gpu.model);
    let whole = ask.gpu_milli == 1000 || row.sharing == GpuSharing::Shared;
    model && whole && gpu.memory >= ask.gpu_memory
}

fn count<T>(items: impl Iterator<Item = T>) -> u16 {
    u16::try_from(items.count()).unwrap_or(u16::MAX)
}

/// Whether an empty host of this size could take the request, whatever is on it now.
pub fn fits_empty(row: &Row, ask: &Ask) -> bool {
    let host = &row.memory.host;
    if host.report.is_none() {
        // It may have anything: only what is declared bounds it.
        let fits = |declared: ByteCount| ask.limit <= declared.minus(host.keep_free);
        let serves = row.pool.is_some() && row.pool == ask.pool;
        return serves && host.declared.is_none_or(fits);
    }
    let mut empty = row.with_memory(row.memory.empty());
    empty.obstacle = None;
    // What does not answer may do so again.
    empty.sick = 0;
    empty.cpu_left = row.cpu_all;
    empty.farm_left = row.farm_all;
    empty.cpu_server_limits = ByteCount::ZERO;
    for gpu in &mut empty.gpus {
        gpu.left_milli = 1000;
    }
    match first_fail(&empty, ask, true) {
        None => true,
        // A sick device may be mended.
        Some(Fail::GpuAside { .. }) => true,
        Some(_) => false,
    }
}
