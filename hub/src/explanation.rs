//! What stood behind a decision: made again from the versions of floor and settings that the
//! decision names, whenever it was made.

use std::sync::Arc;

use berth_common::{ByteCount, HostId, Reason};
use berth_core::decision::{HostLine, Inputs};
use berth_core::floor::Floor;
use berth_core::packing::Prices;
use berth_core::placement::{Fail, Need, Rows};
use berth_core::{Decision, Fleet, Settings};

use crate::site::Hub;
use crate::storage::StorageError;

/// More memory than any host has, and far from overflow.
pub const UNBOUNDED: ByteCount = ByteCount(1 << 60);

/// What a decision about hosts was made from.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The hosts of then.
    pub floor: Floor,
    /// The site's files of then.
    pub settings: Arc<Settings>,
    /// The hosts under those files, with what leftovers were worth then.
    rows: Rows,
}

/// What there was of the pool that a request went to: whether it is full, or one host, and by how
/// much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRoom {
    /// The pool.
    pub pool: String,
    /// Hosts that serve it.
    pub hosts: u32,
    /// Those of them that take servers.
    pub ready: u32,
    /// Memory of those that is promised to nobody.
    pub free_by_limits: ByteCount,
    /// Memory of those that nobody uses.
    pub free_by_used: ByteCount,
    /// Devices of those that nobody holds.
    pub free_gpus: u32,
    /// The host with the largest piece for one server, and that piece.
    pub largest: Option<(HostId, ByteCount)>,
    /// Where the least is missing, unless some host is possible.
    pub missing: Option<Missing>,
}

/// What a host lacks to take a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The host.
    pub host: HostId,
    /// Memory that is missing.
    pub memory: ByteCount,
    /// Devices that are missing.
    pub gpus: u32,
    /// Whether what is promised is too much, or what is really used.
    pub kind: Kind,
}

/// Whether memory is missing because of what was asked for, or of what is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The sum of what is promised leaves too little.
    Asked,
    /// What runs there uses too much.
    Used,
}

/// Floor and settings of a decision; `None` if it looked at no host, or if they are no longer kept.
///
/// # Errors
/// When the store cannot be read.
pub fn recorded(hub: &Hub, decision: &Decision) -> Result<Option<Recorded>, StorageError> {
    let Inputs { settings, floor, prices, need: Some(_), .. } = &decision.inputs else {
        return Ok(None);
    };
    let fleet = hub.fleet.fleet();
    if is_present(&fleet, decision) {
        return Ok(Some(Recorded::present(&fleet)));
    }
    let settings = if *settings == fleet.settings.version {
        Some(Arc::clone(&fleet.settings))
    } else {
        hub.storage.read(|reader| reader.settings(*settings))?.map(Arc::new)
    };
    let Some(settings) = settings else { return Ok(None) };
    let floor = if *floor == fleet.floor.version {
        fleet.floor.clone()
    } else {
        hub.storage.read(|reader| reader.floor(*floor))?
    };
    let prices = if *prices == fleet.prices.version {
        Arc::clone(&fleet.prices)
    } else {
        Arc::new(hub.storage.read(|reader| reader.prices(*prices))?)
    };
    Ok(Some(Recorded::of(floor, settings, &prices)))
}

/// Whether a decision was made from what is there now.
fn is_present(fleet: &Fleet, decision: &Decision) -> bool {
    let Inputs { settings, floor, prices, .. } = &decision.inputs;
    (*settings, *floor, *prices)
        == (fleet.settings.version, fleet.floor.version, fleet.prices.version)
}

/// How these hosts fared in a decision; those that were not there are left out.
///
/// # Errors
/// When the store cannot be read.
pub fn lines_of(
    hub: &Hub,
    decision: &Decision,
    hosts: &[&HostId],
) -> Result<Vec<HostLine>, StorageError> {
    let fleet = hub.fleet.fleet();
    let seen = |rows: &Rows, floor: &Floor, settings: &Settings| {
        hosts.iter().filter_map(|host| decision.line_seen(rows, floor, settings, host)).collect()
    };
    if is_present(&fleet, decision) {
        return Ok(seen(fleet.rows(), &fleet.floor, &fleet.settings));
    }
    let recorded = recorded(hub, decision)?;
    Ok(recorded.map_or_else(Vec::new, |it| seen(&it.rows, &it.floor, &it.settings)))
}

/// The lines of a decision, the same as at its time; empty if what it was made from is no longer
/// kept.
///
/// # Errors
/// When the store cannot be read.
pub fn lines(hub: &Hub, decision: &Decision) -> Result<Vec<HostLine>, StorageError> {
    let recorded = recorded(hub, decision)?;
    Ok(recorded.map_or_else(Vec::new, |recorded| recorded.lines(decision)))
}

impl Recorded {
    /// The present, for a dry run on this snapshot: what it saw need not be in the store.
    pub fn present(fleet: &Fleet) -> Self {
        Self {
            floor: fleet.floor.clone(),
            settings: Arc::clone(&fleet.settings),
            rows: fleet.rows().clone(),
        }
    }

    fn of(floor: Floor, settings: Arc<Settings>, prices: &Arc<Prices>) -> Self {
        let rows = Rows::of(&floor, &settings, prices);
        Self { floor, settings, rows }
    }

    /// How every host fared in a decision made from this.
    pub fn lines(&self, decision: &Decision) -> Vec<HostLine> {
        decision.lines_seen(&self.rows, &self.floor, &self.settings)
    }
}

impl PoolRoom {
    /// The room that a need's pool has.
    pub fn of(recorded: &Recorded, need: &Need) -> Self {
        let Recorded { floor, rows, .. } = recorded;
        let ask = rows.ask(need);
        let mut room = Self {
            pool: need.pool.clone(),
            hosts: 0,
            ready: 0,
            free_by_limits: ByteCount::ZERO,
            free_by_used: ByteCount::ZERO,
            free_gpus: 0,
            largest: None,
            missing: None,
        };
        for position in 0..floor.hosts.len() {
            let Some(row) = rows.row(position).filter(|row| row.pool == ask.pool) else { continue };
            room.hosts = room.hosts.saturating_add(1);
            if row.obstacle.is_some() || row.pool.is_none() {
                continue;
            }
            let memory = &row.memory;
            room.ready = room.ready.saturating_add(1);
            room.free_by_limits = room.free_by_limits.plus(memory.usable().minus(memory.limits()));
            room.free_by_used = room.free_by_used.plus(memory.usable().minus(memory.used()));
            let free = row.gpus.iter().filter(|gpu| gpu.left_milli == 1000).count();
            room.free_gpus = room.free_gpus.saturating_add(u32::try_from(free).unwrap_or(u32::MAX));
        }
        room.largest = largest(rows, need);
        if rows.look(need, None, None).possible == 0 {
            room.missing = rows.least_missing(need).and_then(|host| missing(rows, need, host));
        }
        room
    }
}

/// The largest piece for one server, and the first host that has it.
pub fn largest(rows: &Rows, need: &Need) -> Option<(HostId, ByteCount)> {
    rows.largest_limit(&Need { limit: UNBOUNDED, ..need.clone() }, None)
}

fn missing(rows: &Rows, need: &Need, host: HostId) -> Option<Missing> {
    let position = rows.hosts().binary_search(&host).ok()?;
    let ask = rows.ask(need);
    let refusal = rows.fails(need, position).into_iter().find_map(|fail| match fail {
        Fail::Memory(refusal) => Some((refusal.missing(), fail.reason())),
        _ => None,
    });
    let (memory, reason) = refusal.unwrap_or((ByteCount::ZERO, Reason::WaitMemoryReserved));
    let kind = if reason == Reason::WaitMemoryReserved { Kind::Asked } else { Kind::Used };
    let gpus = rows.row(position)?.gpus.iter();
    let free = gpus.filter(|gpu| gpu.left_milli >= ask.gpu_milli.max(1)).count();
    let gpus = ask.gpus.saturating_sub(u32::try_from(free).unwrap_or(u32::MAX));
    Some(Missing { host, memory, gpus, kind })
}
