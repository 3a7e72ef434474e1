//! What would come of so many starts of a training at once: whether everybody gets a server, where,
//! and how long it takes. A what-if: the rules and the placement are those that serve people, the
//! hosts are as asked, and nothing is started.
//!
//! How long it takes follows from what starts took here lately. A start keeps two processors at
//! work, and starts of one host that find none free wait for each other: on two processors twenty
//! starts at once take twenty-two times what one takes (README), so this errs by a tenth.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_common::{ByteCount, HostId, Seconds, ServerId, Timestamp, Username};
use berth_core::fleet::{Fleet, HostState};
use berth_core::floor::{Floor, FloorHost, FloorServer, ReportedMemory};
use berth_core::memory::Member;
use berth_core::placement::Need;
use berth_core::settings::{HostSettings, Profile};

use crate::plan;

/// Processors that one start keeps at work.
const PROCESSORS_A_START: u64 = 2;
/// A host begins so many starts at once, unless its own file says otherwise (`starts_at_once`).
const STARTS_AT_ONCE: u64 = 4;
/// What a start takes where none was seen yet: what the slowest of common images take.
const ASSUMED: Seconds = Seconds(10);

/// Which hosts the starts find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene<'a> {
    /// All as they are at this moment, with what runs on them.
    Now,
    /// Those of the pool empty and ready.
    Prepared {
        /// But these are down.
        without: &'a BTreeSet<HostId>,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsal {
    /// How many starts.
    pub people: u32,
    /// How many found no place.
    pub without_place: u32,
    /// How many went to the overflow pool.
    pub overflow: u32,
    /// By host: how many, and how long all of them take.
    pub hosts: BTreeMap<HostId, (u32, Seconds)>,
    /// Hosts with a place that have to fetch the image first.
    pub fetching: BTreeSet<HostId>,
    /// What one start takes.
    pub one: Seconds,
    /// How many starts that was measured with; none: it is assumed.
    pub measured: usize,
}

impl Rehearsal {
    /// How long it takes until the last of those with a place has started.
    pub fn takes(&self) -> Seconds {
        self.hosts.values().map(|(_, takes)| *takes).max().unwrap_or_default()
    }

    /// How many got a place.
    pub fn placed(&self) -> u32 {
        self.people.saturating_sub(self.without_place)
    }
}

/// Starts so many servers of a training's profile, after those of others.
pub fn rehearse(
    fleet: &Fleet,
    profile: &Profile,
    people: u32,
    others: &[(&Profile, u32)],
    scene: Scene<'_>,
) -> Rehearsal {
    let mut floor = match scene {
        Scene::Now => fleet.floor.clone(),
        Scene::Prepared { without } => prepared(fleet, &profile.pool, without),
    };
    let before: Vec<_> = others.iter().flat_map(|(other, count)| seats(other, *count)).collect();
    let ours = seats(profile, people);
    let all = before.iter().chain(&ours).map(|(need, held)| (need, held));
    let places = plan::place_all(&mut floor, &fleet.settings, &fleet.prices, all);
    let (one, measured) = usual_start(fleet, &profile.pool);
    let mut counts: BTreeMap<HostId, u32> = BTreeMap::new();
    let (mut without_place, mut overflow) = (0_u32, 0_u32);
    for place in places.into_iter().skip(before.len()) {
        let Some(host) = place else {
            without_place = without_place.saturating_add(1);
            continue;
        };
        let own = fleet.settings.hosts.get(&host).is_some_and(|it| it.pool == profile.pool);
        overflow = overflow.saturating_add(u32::from(!own));
        let count = counts.entry(host).or_default();
        *count = count.saturating_add(1);
    }
    let reference = image_of(fleet, profile);
    let entry = |host: &HostId| floor.host(host);
    let has_image = |host: &HostId| {
        let images = entry(host).map(|entry| &entry.images);
        reference.is_none_or(|image| images.is_some_and(|images| images.contains(image)))
    };
    let fetching = counts.keys().filter(|host| !has_image(host)).cloned().collect();
    let hosts = counts.into_iter().map(|(host, count)| {
        let processors = entry(&host).map_or(0, |entry| entry.cpu_milli / 1000);
        let takes = together(one, count, processors);
        (host, (count, takes))
    });
    Rehearsal { people, without_place, overflow, hosts: hosts.collect(), fetching, one, measured }
}

/// What a profile's first image is called by the engines.
pub fn image_of<'a>(fleet: &'a Fleet, profile: &Profile) -> Option<&'a String> {
    let image = fleet.settings.images.get(profile.images.first()?)?;
    Some(&image.reference)
}

/// How long so many starts take together on one host.
fn together(one: Seconds, count: u32, processors: u32) -> Seconds {
    let at_once = (u64::from(processors) / PROCESSORS_A_START).clamp(1, STARTS_AT_ONCE);
    Seconds(one.0.saturating_mul(u64::from(count).div_ceil(at_once)))
}

/// What a start took lately: the median of the servers that run in a pool, or anywhere.
fn usual_start(fleet: &Fleet, pool: &str) -> (Seconds, usize) {
    let took = |of_pool: bool| -> Vec<u64> {
        let placements = fleet.servers.values().filter_map(|server| server.placement());
        let seen = placements.filter_map(|placement| {
            let host = fleet.settings.hosts.get(&placement.host)?;
            (!of_pool || host.pool == pool).then_some(())?;
            Some(placement.ready_at?.millis_since(placement.placed_at))
        });
        seen.collect()
    };
    let mut times = took(true);
    if times.is_empty() {
        times = took(false);
    }
    times.sort_unstable();
    match times.get(times.len() / 2) {
        Some(millis) => (Seconds(millis.div_ceil(1000).max(1)), times.len()),
        None => (ASSUMED, 0),
    }
}

/// Equal needs, as many as people. All memory counts as used: in a training everybody does the same
/// at the same time.
fn seats(profile: &Profile, count: u32) -> Vec<(Need, FloorServer)> {
    let Ok(owner) = "rehearsal".parse::<Username>() else { return Vec::new() };
    let limit = profile.memory_default;
    let need = Need {
        pool: profile.pool.clone(),
        overflow: profile.overflow.clone(),
        limit,
        peak: limit,
        peak_known: true,
        cpu_milli: profile.cpu_milli,
        image: profile.images.first().cloned().unwrap_or_default(),
        ..Need::default()
    };
    let seat = |number: u32| FloorServer {
        server: ServerId::from_random(u64::from(number)),
        owner: owner.clone(),
        profile: String::new(),
        memory: Member::newcomer(limit, limit),
        cpu_milli: need.cpu_milli,
        gpus: Vec::new(),
        farm_ports: Vec::new(),
    };
    (0..count).map(|number| (need.clone(), seat(number))).collect()
}

/// The floor with the hosts of a pool empty and ready: as they report, or else as they are declared.
fn prepared(fleet: &Fleet, pool: &str, without: &BTreeSet<HostId>) -> Floor {
    let mut hosts: BTreeMap<HostId, Arc<FloorHost>> =
        fleet.floor.hosts.iter().map(|host| (host.host.clone(), Arc::clone(host))).collect();
    for (id, declared) in fleet.settings.hosts.iter().filter(|(_, it)| it.pool == pool) {
        let reported = hosts.remove(id);
        let mut host = empty(id, declared, reported.as_deref());
        if without.contains(id) {
            host.state = HostState::Lost;
        }
        hosts.insert(id.clone(), Arc::new(host));
    }
    Floor { version: fleet.floor.version, hosts: hosts.into_values().collect() }
}

fn empty(id: &HostId, declared: &HostSettings, reported: Option<&FloorHost>) -> FloorHost {
    let total = reported.and_then(|host| host.memory).map(|memory| memory.total);
    let total: ByteCount = total.or(declared.memory).unwrap_or_default();
    FloorHost {
        host: id.clone(),
        state: HostState::Ready,
        silent_since: None,
        note: String::new(),
        drains_by: None,
        memory: Some(ReportedMemory { total, free: total, above_limit: false }),
        cpu_milli: reported.map_or(0, |host| host.cpu_milli),
        gpus: reported.map_or_else(Arc::default, |host| Arc::clone(&host.gpus)),
        images: reported.map_or_else(Arc::default, |host| Arc::clone(&host.images)),
        sick: reported.map(|host| host.sick.clone()).unwrap_or_default(),
        farm: reported.and_then(|host| host.farm),
        servers: Vec::new(),
    }
}

/// The moment for which a training is looked at: now while it is on, else its next beginning.
pub fn next_beginning(
    training: &berth_core::settings::Training,
    now: Timestamp,
) -> Option<Timestamp> {
    match training.open_window(now) {
        Some(_) => Some(now),
        None => training.next_window(now).map(|window| window.from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_that_find_no_processor_wait_for_each_other() {
        let takes = |count, processors| together(Seconds(3), count, processors).0;
        assert_eq!(takes(1, 16), 3);
        assert_eq!(takes(4, 16), 3);
        assert_eq!(takes(9, 16), 9, "four at once");
        assert_eq!(takes(4, 4), 6);
        assert_eq!(takes(20, 2), 60);
        assert_eq!(takes(2, 0), 6, "a host that never reported: one after the other");
    }
}
