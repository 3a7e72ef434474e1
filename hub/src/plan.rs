//! What if: hosts taken away or added, or other files. Plain functions over a floor; the rules are
//! those that place servers.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_common::{ByteCount, HostId, ServerId, Timestamp};
use berth_core::fleet::{Fleet, HostState};
use berth_core::floor::{Floor, FloorHost, FloorServer, ReportedMemory};
use berth_core::memory::Member;
use berth_core::packing::Prices;
use berth_core::placement::{Look, Need, Rows, parts, place};
use berth_core::settings::{HostSettings, MemoryRule};
use berth_core::{Server, Settings, queue, rules};

use crate::explanation::{UNBOUNDED, largest};

pub mod added;
pub mod recorded;
pub mod replay;

/// A server that has to go somewhere else.
#[derive(Debug, Clone)]
pub struct Mover {
    /// What holds room.
    pub held: FloorServer,
    /// Where it is.
    pub from: HostId,
    /// What it needs elsewhere.
    pub need: Need,
}

/// A host that is not there.
#[derive(Debug, Clone)]
pub struct NewHost {
    /// As it is called in the answer.
    pub name: HostId,
    /// What the files would say.
    pub declared: HostSettings,
    /// What it would report, empty and ready.
    pub entry: FloorHost,
}

/// How memory counts when servers are placed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// The pool's own rule.
    AsConfigured,
    /// Limits.
    Limits,
    /// The peaks of all and the largest growth of one.
    Used,
}

/// The servers on some hosts, the largest first: that order fits the most.
pub fn movers(fleet: &Fleet, hosts: &BTreeSet<HostId>, now: Timestamp) -> Vec<Mover> {
    let entries = fleet.floor.hosts.iter().filter(|host| hosts.contains(&host.host));
    let mut movers: Vec<_> = entries
        .flat_map(|host| host.servers.iter().map(move |held| (host, held)))
        .map(|(host, held)| Mover {
            need: need_of(fleet, held, now),
            from: host.host.clone(),
            held: held.clone(),
        })
        .collect();
    movers.sort_by(|a, b| {
        let size = |mover: &Mover| (mover.need.gpus, mover.need.limit);
        size(b).cmp(&size(a)).then_with(|| a.held.server.cmp(&b.held.server))
    });
    movers
}

/// What a running server would need elsewhere, whatever its owner's quota is.
pub fn need_of(fleet: &Fleet, held: &FloorServer, now: Timestamp) -> Need {
    let server = fleet.servers.get(&held.server);
    let passed = server.and_then(|server| {
        let account = server.account.as_ref()?;
        let wish = queue::again(&server.ask);
        rules::check(fleet, now, account, &wish, Some(&server.id)).verdict.ok()
    });
    let Member { peak, limit, young, .. } = held.memory;
    let peak_known = !young;
    if let Some(passed) = passed {
        return Need { limit, peak, peak_known, ..passed.need };
    }
    let profile = fleet.settings.profiles.get(&held.profile).cloned().unwrap_or_default();
    let choice = profile.gpus.unwrap_or_else(|| berth_core::settings::GpuChoice {
        default: 0,
        max: 0,
        share_milli: 1000,
        models: Vec::new(),
        memory: ByteCount::ZERO,
    });
    Need {
        pool: profile.pool,
        overflow: profile.overflow,
        limit,
        peak,
        peak_known,
        cpu_milli: held.cpu_milli,
        gpus: u32::try_from(held.gpus.len()).unwrap_or(u32::MAX),
        gpu_milli: held.gpus.first().map_or(0, |part| part.milli),
        models: choice.models,
        gpu_memory: choice.memory,
        image: server.map(|server| server.ask.image.clone()).unwrap_or_default(),
        ..Need::default()
    }
}

/// A floor without some hosts.
pub fn without(floor: &Floor, hosts: &BTreeSet<HostId>) -> Floor {
    let stay = floor.hosts.iter().filter(|host| !hosts.contains(&host.host));
    Floor { version: floor.version, hosts: stay.cloned().collect() }
}

/// A floor on which some servers are not.
pub fn without_servers(floor: &Floor, gone: &BTreeSet<ServerId>) -> Floor {
    let thin = |host: &Arc<FloorHost>| {
        if !host.servers.iter().any(|held| gone.contains(&held.server)) {
            return Arc::clone(host);
        }
        let mut host = FloorHost::clone(host);
        let (left, stay): (Vec<_>, _) =
            host.servers.into_iter().partition(|held| gone.contains(&held.server));
        host.servers = stay;
        let used = left.iter().fold(ByteCount::ZERO, |sum, held| sum.plus(held.memory.used));
        host.memory = host.memory.map(|it| ReportedMemory { free: it.free.plus(used), ..it });
        Arc::new(host)
    };
    Floor { version: floor.version, hosts: floor.hosts.iter().map(thin).collect() }
}

/// Floor and settings with new hosts.
pub fn with(floor: &Floor, settings: &Settings, new: &[NewHost]) -> (Floor, Settings) {
    let (mut floor, mut settings) = (floor.clone(), settings.clone());
    for host in new {
        settings.hosts.insert(host.name.clone(), host.declared.clone());
        floor.hosts.push(Arc::new(host.entry.clone()));
    }
    floor.hosts.sort_by(|a, b| a.host.cmp(&b.host));
    (floor, settings)
}

/// Settings in which memory counts otherwise.
pub fn counted(settings: &Settings, counting: Counting) -> Arc<Settings> {
    let mut settings = settings.clone();
    for pool in settings.pools.values_mut() {
        match counting {
            Counting::AsConfigured => {}
            Counting::Limits => {
                pool.memory_rule = MemoryRule::Limits;
            }
            Counting::Used => {
                pool.memory_rule = MemoryRule::Peaks;
                pool.oversubscribe_milli = u32::MAX;
                pool.used_ceiling_milli = 1000;
            }
        }
    }
    Arc::new(settings)
}

/// Places needs one after the other, each with what those before it took; the floor afterwards has
/// them. Returns where each one goes, or nowhere.
pub fn place_all<'a>(
    floor: &mut Floor,
    settings: &Arc<Settings>,
    prices: &Arc<Prices>,
    needs: impl IntoIterator<Item = (&'a Need, &'a FloorServer)>,
) -> Vec<Option<HostId>> {
    let mut rows = Rows::of(floor, settings, prices);
    let mut places = Vec::new();
    for (need, held) in needs {
        let verdict = place(&mut Look::Remember(&mut rows), need, None, None);
        let chosen = verdict.choice.ok();
        if let Some(chosen) = &chosen {
            enter(floor, &mut rows, &chosen.scored.host, held, need, &chosen.gpus);
        }
        places.push(chosen.map(|chosen| chosen.scored.host));
    }
    places
}

/// How many of those who wait would start on a floor, in the order of their turns; and how many
/// wait. The floor has them afterwards.
pub fn would_start(
    fleet: &Fleet,
    floor: &mut Floor,
    settings: &Arc<Settings>,
    now: Timestamp,
) -> (usize, usize) {
    let waiters = queue::waiters(fleet, now);
    let needs: Vec<_> = waiters
        .iter()
        .filter_map(|waiter| Some((waiter.server, waiter.checked.as_ref().ok()?)))
        .map(|(server, need)| (need, held_by(need, server)))
        .collect();
    let places =
        place_all(floor, settings, &fleet.prices, needs.iter().map(|(need, held)| (*need, held)));
    (places.iter().flatten().count(), places.len())
}

fn enter(
    floor: &mut Floor,
    rows: &mut Rows,
    host: &HostId,
    held: &FloorServer,
    need: &Need,
    gpus: &[u16],
) {
    let Some(position) = floor.position(host) else { return };
    let Some(entry) = floor.hosts.get_mut(position) else { return };
    let gpus = parts(entry, gpus, need.gpu_milli);
    let entry = Arc::make_mut(entry);
    let used = held.memory.used;
    entry.memory =
        entry.memory.map(|memory| ReportedMemory { free: memory.free.minus(used), ..memory });
    entry.servers.push(FloorServer { gpus, ..held.clone() });
    rows.update(position, entry);
}

/// A need that would hold room, as the floor has it.
pub fn held_by(need: &Need, server: &Server) -> FloorServer {
    FloorServer {
        server: server.id.clone(),
        owner: server.owner.clone(),
        profile: server.ask.profile.clone(),
        memory: Member { young: !need.peak_known, ..Member::newcomer(need.peak, need.limit) },
        cpu_milli: need.cpu_milli,
        gpus: Vec::new(),
        farm_ports: Vec::new(),
    }
}

/// How many servers like this one a host takes beside those that it has, up to a number.
pub fn fits_times(
    host: &FloorHost,
    settings: &Arc<Settings>,
    need: &Need,
    held: &FloorServer,
    most: u32,
) -> u32 {
    let mut floor = Floor { version: 0, hosts: vec![Arc::new(host.clone())] };
    let needs = (0..most).map(|_| (need, held));
    let placed =
        place_all(&mut floor, settings, &Arc::default(), needs).into_iter().flatten().count();
    u32::try_from(placed).unwrap_or(u32::MAX)
}

/// The largest server that certainly starts in a pool: one that uses all it asks for.
pub fn largest_in(
    floor: &Floor,
    settings: &Arc<Settings>,
    pool: &str,
    gpus: u32,
) -> Option<(HostId, ByteCount)> {
    let need = Need {
        pool: pool.to_owned(),
        limit: UNBOUNDED,
        peak: UNBOUNDED,
        peak_known: true,
        gpus,
        gpu_milli: if gpus > 0 { 1000 } else { 0 },
        ..Need::default()
    };
    largest(&Rows::of(floor, settings, &Arc::default()), &need)
}

/// A host as if it took servers.
pub fn as_if_ready(host: &FloorHost) -> FloorHost {
    FloorHost { state: HostState::Ready, drains_by: None, silent_since: None, ..host.clone() }
}
