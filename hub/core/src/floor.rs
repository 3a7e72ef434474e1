//! The floor: the facts that placement looks at, host by host, without any rule. A plain value made
//! from the fleet, kept in the store as it changes, so that an old decision can be made again and
//! the hosts can be seen as they were at any past minute.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_common::link::{Ending, GpuDevice, PortRange};
use berth_common::{ByteCount, Epoch, GpuPart, HostId, Seconds, ServerId, Timestamp, Username};
use serde::{Deserialize, Serialize};

use crate::fleet::{Fleet, Heard, Host, HostState, Phase, Server};
use crate::memory::Member;

/// Memory is looked at in steps of this size, rounded against the one who asks: the reports of idle
/// hosts then change nothing, and the record of the floor stays small.
const GRAIN: u64 = 16 << 20;

/// A report older than this gives no right to admit on anything but limits.
const FRESH_FOR: Seconds = Seconds(30);

/// The bits of a floor's version that count within a reign; those above are the reign's number.
const REIGN_SHIFT: u32 = 40;

/// The version before the first of a reign: later ones come after all of the reign before.
pub fn before_reign(epoch: Epoch) -> u64 {
    epoch.0 << REIGN_SHIFT
}

/// The lowest version of the reign that this one belongs to.
pub fn first_of_reign(version: u64) -> u64 {
    version >> REIGN_SHIFT << REIGN_SHIFT
}

/// All hosts, in the order of their names: the order is the last word of placement.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Floor {
    /// Grows with every change, also from one reign to the next.
    pub version: u64,
    /// The hosts.
    pub hosts: Vec<Arc<FloorHost>>,
}

/// One host as placement sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FloorHost {
    /// Which.
    pub host: HostId,
    /// Its state.
    pub state: HostState,
    /// Since when it has been silent, once that counts.
    pub silent_since: Option<Timestamp>,
    /// What is said about its state: the engine's trouble, or why it takes nothing new.
    pub note: String,
    /// When it will be empty, if it is being emptied.
    pub drains_by: Option<Timestamp>,
    /// Memory as reported; `None` before the first report.
    pub memory: Option<ReportedMemory>,
    /// Processors, in thousandths.
    pub cpu_milli: u32,
    /// Its GPUs.
    pub gpus: Arc<Vec<GpuDevice>>,
    /// Names of the images on it that are the site's builds of them.
    pub images: Arc<BTreeSet<String>>,
    /// Its spaces that do not answer: by name, why.
    #[serde(default)]
    pub sick: BTreeMap<String, Ending>,
    /// Its ports that the compute farm reaches.
    #[serde(default)]
    pub farm: Option<PortRange>,
    /// What holds room on it, in the order of ids.
    pub servers: Vec<FloorServer>,
}

/// What a host says about its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedMemory {
    /// What it has.
    pub total: ByteCount,
    /// What the kernel calls available.
    pub free: ByteCount,
    /// Whether it shows a server with more than its limit, which cannot be.
    pub above_limit: bool,
}

/// One server on a host, or the promise of a place for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FloorServer {
    /// Which.
    pub server: ServerId,
    /// Whose.
    pub owner: Username,
    /// The profile it was asked with.
    pub profile: String,
    /// Its memory: limit, use, peaks.
    pub memory: Member,
    /// Processor time that is counted.
    pub cpu_milli: u32,
    /// Its GPUs.
    pub gpus: Vec<GpuPart>,
    /// Its ports that the compute farm reaches.
    #[serde(default)]
    pub farm_ports: Vec<u16>,
}

impl Floor {
    /// Where a host stands in the order.
    pub fn position(&self, host: &HostId) -> Option<usize> {
        self.hosts.binary_search_by(|entry| entry.host.cmp(host)).ok()
    }

    /// A host.
    pub fn host(&self, host: &HostId) -> Option<&Arc<FloorHost>> {
        self.hosts.get(self.position(host)?)
    }
}

impl FloorHost {
    /// The same without one of its servers: what that used is free.
    #[must_use]
    pub fn without(&self, server: &ServerId) -> Self {
        let mut host = self.clone();
        let gone = host.servers.iter().position(|other| other.server == *server);
        let used = gone.map(|at| host.servers.remove(at).memory.used).unwrap_or_default();
        host.memory =
            host.memory.map(|memory| ReportedMemory { free: memory.free.plus(used), ..memory });
        host
    }

    /// What the fleet knows about a host at this moment.
    pub fn of(fleet: &Fleet, host: &Host, now: Timestamp) -> Self {
        let heard = host.heard.as_ref();
        let mut above_limit = false;
        let mut servers = Vec::new();
        for server in fleet.holding_on(&host.id) {
            let seen = heard.and_then(|heard| heard.observed.get(&server.id));
            above_limit |= server.placement().zip(seen).is_some_and(|(placement, seen)| {
                seen.memory_used > placement.reservation.memory.plus(ByteCount(GRAIN))
            });
            servers.push(FloorServer::of(server, now));
        }
        let fresh = heard.is_some_and(|heard| now <= heard.at.plus(FRESH_FOR));
        let state = fleet.host_state(host, now);
        let silent = state == HostState::Lost || !fresh;
        Self {
            host: host.id.clone(),
            state,
            silent_since: heard.filter(|_| silent).map(|heard| heard.at),
            note: host.note(fleet.host_settings(&host.id), state),
            // Before its turn in a rolling reboot a host takes servers only if nobody else does.
            drains_by: host.intent.drains_by().or_else(|| {
                let rolling = fleet.rolling().filter(|rolling| rolling.awaits(&host.id))?;
                Some(rolling.order.at)
            }),
            memory: heard.map(|heard| ReportedMemory {
                total: heard.capacity.memory_total,
                free: down(heard.capacity.memory_free),
                above_limit,
            }),
            cpu_milli: heard.map_or(0, |heard| heard.capacity.cpus.saturating_mul(1000)),
            gpus: heard.map_or_else(Arc::default, |heard| Arc::clone(&heard.gpus)),
            images: heard.map_or_else(Arc::default, |heard| Arc::clone(&heard.images)),
            sick: heard.map(|heard| sick(heard)).unwrap_or_default(),
            farm: heard.and_then(|heard| heard.facts.farm),
            servers,
        }
    }

    /// The next moment at which time alone changes it.
    pub fn next_change(fleet: &Fleet, host: &Host, now: Timestamp) -> Option<Timestamp> {
        let heard = host.heard.as_ref()?;
        let ends = [heard.at.plus(FRESH_FOR), heard.at.plus(fleet.settings.lost_after)];
        // Both spans include their last moment.
        let ends = ends.into_iter().map(|end| Timestamp(end.0.saturating_add(1)));
        ends.chain(host.doubled_until()).filter(|end| *end > now).min()
    }
}

impl FloorServer {
    fn of(server: &Server, now: Timestamp) -> Self {
        let (limit, cpu_milli, gpus, farm_ports) = match &server.phase {
            Phase::Placed(placement) => {
                let reserved = placement.reservation;
                let ports = placement.farm_ports.clone();
                (reserved.memory, reserved.cpu_milli, placement.gpus.clone(), ports)
            }
            Phase::Waiting { place: Some(place), .. } => {
                let ports = place.farm_ports.clone();
                (server.ask.memory, server.ask.cpu_milli, place.gpus.clone(), ports)
            }
            Phase::Waiting { .. } | Phase::Idle => (ByteCount::ZERO, 0, Vec::new(), Vec::new()),
        };
        Self {
            server: server.id.clone(),
            owner: server.owner.clone(),
            profile: server.ask.profile.clone(),
            memory: coarse(server.member(now, limit)),
            cpu_milli,
            gpus,
            farm_ports,
        }
    }
}

/// The spaces that do not answer.
fn sick(heard: &Heard) -> BTreeMap<String, Ending> {
    let sick = heard.spaces.iter().filter_map(|it| Some((it.name.clone(), it.trouble.clone()?)));
    sick.collect()
}

/// The same in steps, rounded up.
fn coarse(member: Member) -> Member {
    let Member { used, lately, peak, limit, young } = member;
    Member { used: up(used), lately: up(lately), peak: up(peak), limit, young }.bounded()
}

fn up(bytes: ByteCount) -> ByteCount {
    ByteCount(bytes.0.div_ceil(GRAIN).saturating_mul(GRAIN))
}

fn down(bytes: ByteCount) -> ByteCount {
    ByteCount(bytes.0 / GRAIN * GRAIN)
}
