//! The fleet: everything the hub plans over, as one value.
//!
//! Hosts and servers are shared by reference, so publishing a snapshot to readers costs one
//! pointer each and an event copies only what it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_common::link::ObservedState;
use berth_common::{
    ByteCount, Epoch, HostId, Resources, Revision, Seconds, ServerId, ServerName, Timestamp,
    Username,
};

use crate::floor::{Floor, FloorHost, before_reign};
use crate::memory;
use crate::packing::Prices;
use crate::placement::{Demand, Rows};
use crate::queue::{Curve, KeptFor, Lives, Waits};
use crate::usage::Usage;

pub mod builds;
pub mod calendar;
mod decided;
pub mod drain;
pub mod host;
pub mod leaving;
pub mod restored;
pub mod rolling;
pub mod server;

pub use builds::Builds;
pub use calendar::Closed;
use decided::Decided;
pub use drain::{Drain, DrainId};
pub use host::{Heard, Host, HostState, Intent, Mismatch, Order};
pub use leaving::Leaving;
pub use restored::Restored;
pub use rolling::Rolling;
pub use server::{
    Ask, End, HeldPlace, ImagePin, Loan, Moved, PastStart, Phase, Placement, RealUse, Resize,
    ResizeState, Server, ServerState, StopOrder,
};

use crate::settings::{HostSettings, Settings};

/// Everything the hub plans over.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    /// The hub's reign.
    pub epoch: Epoch,
    /// What the site's files say.
    pub settings: Arc<Settings>,
    /// Every host that is declared, was ever enrolled, or holds a server.
    pub hosts: BTreeMap<HostId, Arc<Host>>,
    /// Every server that was ever started and not removed.
    pub servers: BTreeMap<ServerId, Arc<Server>>,
    /// The one server of each owner and name. Shared: it changes only when a server is new or gone.
    pub by_name: Arc<BTreeMap<(Username, ServerName), ServerId>>,
    /// Servers removed in this reign: a report that still shows one is older than its end, and
    /// must not make it known again.
    pub(crate) removed: Arc<BTreeSet<ServerId>>,
    /// The rolling reboot that was ordered last.
    pub rolling: Option<Arc<Rolling>>,
    /// The drain that was begun last.
    pub last_drain: DrainId,
    /// The restore from a backup that the store has been through last.
    pub restored: Option<Arc<Restored>>,
    /// What the hosts hold under the names of images.
    pub builds: Arc<Builds>,
    /// What people used over time.
    pub usage: Usage,
    /// The peaks of servers that have ended: what to expect of the next ones.
    pub(crate) history: Arc<memory::History>,
    /// How long servers live, for estimates.
    pub lives: Lives,
    /// How waits turned out beside what was foreseen.
    pub waits: Waits,
    /// How long servers live as curves, by pool; at most a minute old.
    pub(crate) curves: Arc<BTreeMap<String, Curve>>,
    /// What each group used in the last week, for the fair order; at most a minute old, and `None`
    /// before the first tick.
    pub(crate) used: Option<Arc<BTreeMap<String, u64>>>,
    /// What placement looks at, as of the last step.
    pub floor: Floor,
    /// The same under the site's rules.
    pub(crate) rows: Rows,
    /// What leftovers are worth to the mix of requests.
    pub prices: Arc<Prices>,
    /// What was asked for lately, for these prices.
    pub(crate) demand: Demand,
    /// Until when everything that the proxy saw is known in this reign.
    pub(crate) activity_told: Timestamp,
    /// What is derived from the records above, so that no step has to look at all of them.
    pub(crate) index: Index,
}

/// Which servers hold room where, which wait, and which hosts look otherwise than the floor says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    holding: BTreeMap<HostId, BTreeSet<ServerId>>,
    waiting: BTreeSet<ServerId>,
    /// Servers of rehearsals that are on a host.
    rehearsing: BTreeSet<ServerId>,
    /// What a host's last report shows of servers that hold no room there. Mostly empty.
    strays: BTreeMap<HostId, BTreeSet<ServerId>>,
    changed: BTreeSet<HostId>,
    /// The builds of images that servers run.
    decided: Decided,
    /// How many hosts of the floor are being emptied.
    draining: usize,
    /// Moments at which time alone changes a host.
    due: BTreeSet<(Timestamp, HostId)>,
    due_of: BTreeMap<HostId, Timestamp>,
    /// The floor's version for which the queue was last served.
    pub(crate) served: u64,
    /// When that was.
    pub(crate) served_at: Timestamp,
    /// Whether the queue itself has changed since.
    pub(crate) queue_changed: bool,
    /// When the floor was last saved.
    pub(crate) floor_saved: Timestamp,
    /// By pool: what is kept for the first in its queue.
    pub(crate) kept: BTreeMap<String, KeptFor>,
    /// Whether prices were made before hosts or settings changed.
    pub(crate) unpriced: bool,
    /// When prices were last made.
    pub(crate) priced_at: Timestamp,
    /// When the curves of lives were last made.
    pub(crate) curves_at: Option<Timestamp>,
    /// Hosts that changed since the floor was last saved.
    unsaved: BTreeSet<HostId>,
    /// Moments at which time alone changes the life of a server.
    looks: BTreeSet<(Timestamp, ServerId)>,
    look_of: BTreeMap<ServerId, Timestamp>,
}

impl Fleet {
    /// The fleet as the store knows it, at the start of a reign. Nothing is known of the hosts'
    /// present until they report.
    pub fn restore(
        epoch: Epoch,
        settings: Arc<Settings>,
        hosts: impl IntoIterator<Item = Host>,
        servers: impl IntoIterator<Item = Server>,
    ) -> Self {
        let mut fleet = Self { epoch, settings: Arc::clone(&settings), ..Self::default() };
        fleet.hosts = hosts.into_iter().map(|host| (host.id.clone(), Arc::new(host))).collect();
        for server in servers {
            fleet.insert(server);
        }
        // What is expected of the next servers is known from the last run of each.
        for server in fleet.servers.values().filter(|server| server.placement().is_none()) {
            let highest = server.peaks.as_ref().map(|peaks| peaks.highest(server.last_activity));
            let Some(peak) = highest.filter(|peak| *peak > ByteCount::ZERO) else { continue };
            let ask = &server.ask;
            Arc::make_mut(&mut fleet.history).add(&server.owner, &ask.image, &ask.profile, peak);
        }
        // One reign's versions come after those of the one before.
        fleet.floor.version = before_reign(epoch);
        fleet.prices = Arc::new(Prices { version: before_reign(epoch), ..Prices::default() });
        fleet.declare_hosts();
        // Nobody has reported: every host is joining, at whatever moment.
        fleet.settle(Timestamp::default());
        fleet
    }

    /// The fleet as the store knows it, in the middle of a reign: after changes that could not be
    /// saved. What the hosts were told stays told, so their numbers go on; and since nobody knows
    /// any more which set first said what, only one made after this moment counts as having said it.
    pub fn resume(
        former: &Self,
        hosts: impl IntoIterator<Item = Host>,
        servers: impl IntoIterator<Item = Server>,
    ) -> Self {
        let settings = Arc::clone(&former.settings);
        let mut fleet = Self::restore(former.epoch, settings, hosts, servers);
        // A version that a decision names never stands for another floor.
        fleet.floor.version = former.floor.version.saturating_add(1);
        // Nor for other prices: those of before may not have been saved.
        let version = former.prices.version.saturating_add(1);
        fleet.prices = Arc::new(Prices { version, ..Prices::default() });
        fleet.demand = former.demand.clone();
        fleet.lives = former.lives.clone();
        fleet.waits = former.waits.clone();
        fleet.rolling.clone_from(&former.rolling);
        fleet.last_drain = former.last_drain;
        fleet.restored.clone_from(&former.restored);
        fleet.curves = Arc::clone(&former.curves);
        fleet.removed = Arc::clone(&former.removed);
        for (id, before) in &former.hosts {
            let host =
                fleet.hosts.entry(id.clone()).or_insert_with(|| Arc::new(Host::new(id.clone())));
            let host = Arc::make_mut(host);
            host.seq = before.seq.saturating_add(1);
            host.session = before.session;
            host.doubled_at = before.doubled_at;
        }
        // Some of them the store does not know.
        fleet.look_at_all();
        for server in fleet.servers.values_mut() {
            let Some(host) = server.placement().map(|placement| &placement.host) else { continue };
            let seq = fleet.hosts.get(host).map_or(0, |host| host.seq);
            let said = Revision { epoch: former.epoch, seq };
            if let Some(placement) = Arc::make_mut(server).placement_mut() {
                placement.said = said;
                if let Some(stop) = &mut placement.stop {
                    stop.said = said;
                }
                if let Some(resize) = &mut placement.resize {
                    resize.said = said;
                }
            }
        }
        fleet
    }

    /// Makes sure that every declared host, and every host that holds a server, has a record.
    pub(crate) fn declare_hosts(&mut self) {
        let holders =
            self.servers.values().filter_map(|server| server.placement().map(|p| p.host.clone()));
        let names: Vec<_> = self.settings.hosts.keys().cloned().chain(holders).collect();
        for name in names {
            let host =
                self.hosts.entry(name.clone()).or_insert_with(|| Arc::new(Host::new(name.clone())));
            if let Some(declared) = self.settings.hosts.get(&name)
                && declared.address != host.address
            {
                Arc::make_mut(host).address = declared.address.clone();
            }
        }
        self.look_at_all();
    }

    /// Adds a server under its id and its name.
    pub(crate) fn insert(&mut self, server: Server) {
        let key = (server.owner.clone(), server.name.clone());
        Arc::make_mut(&mut self.by_name).insert(key, server.id.clone());
        let id = server.id.clone();
        self.servers.insert(id.clone(), Arc::new(server));
        self.enter(&id);
    }

    /// A server to be changed. Whoever may change its phase says so to [`Self::enter`] after it.
    pub(crate) fn server_mut(&mut self, id: &ServerId) -> Option<&mut Server> {
        self.servers.get_mut(id).map(Arc::make_mut)
    }

    /// Gives a server another phase.
    pub(crate) fn set_phase(&mut self, id: &ServerId, phase: Phase) -> Option<Phase> {
        self.leave(id);
        let before = self.server_mut(id).map(|server| std::mem::replace(&mut server.phase, phase));
        self.enter(id);
        before
    }

    /// Takes a server out of the index.
    pub(crate) fn leave(&mut self, id: &ServerId) {
        let Some(server) = self.servers.get(id) else { return };
        self.index.queue_changed |= self.index.waiting.remove(id);
        self.index.rehearsing.remove(id);
        self.index.decided.remove(server);
        if let Some(host) = server.holds_on() {
            if let Some(holding) = self.index.holding.get_mut(host) {
                holding.remove(id);
            }
            if shows(&self.hosts, host, id) {
                self.index.strays.entry(host.clone()).or_default().insert(id.clone());
            }
            self.index.changed.insert(host.clone());
        }
    }

    fn enter(&mut self, id: &ServerId) {
        let Some(server) = self.servers.get(id) else { return };
        if matches!(server.phase, Phase::Waiting { .. }) {
            self.index.queue_changed |= self.index.waiting.insert(id.clone());
        }
        self.index.decided.add(server);
        if let Some(host) = server.holds_on() {
            self.index.holding.entry(host.clone()).or_default().insert(id.clone());
            if let Some(strays) = self.index.strays.get_mut(host) {
                strays.remove(id);
            }
            self.index.changed.insert(host.clone());
        }
        if server.placement().is_some() {
            if server.is_rehearsal() {
                self.index.rehearsing.insert(id.clone());
            }
            self.look_at_life(id, Timestamp::default());
        }
    }

    /// Plans to look at the life of a server, then and not before.
    pub(crate) fn look_at_life(&mut self, id: &ServerId, at: Timestamp) {
        if let Some(before) = self.index.look_of.insert(id.clone(), at) {
            self.index.looks.remove(&(before, id.clone()));
        }
        self.index.looks.insert((at, id.clone()));
    }

    /// The next server whose life is to be looked at by now. It is not planned any more.
    pub(crate) fn next_life(&mut self, now: Timestamp) -> Option<ServerId> {
        let (at, id) = self.index.looks.first().filter(|(at, _)| *at <= now).cloned()?;
        self.index.looks.remove(&(at, id.clone()));
        self.index.look_of.remove(&id);
        Some(id)
    }

    /// Notes what a host's new report shows.
    pub(crate) fn heard(&mut self, host: &HostId) {
        self.index.changed.insert(host.clone());
        let holding = self.index.holding.get(host);
        let observed = self.hosts.get(host).and_then(|host| host.heard.as_ref());
        let strays: BTreeSet<_> = observed
            .iter()
            .flat_map(|heard| heard.observed.keys())
            .filter(|id| holding.is_none_or(|holding| !holding.contains(*id)))
            .cloned()
            .collect();
        if strays.is_empty() {
            self.index.strays.remove(host);
        } else {
            self.index.strays.insert(host.clone(), strays);
        }
    }

    /// What the hosts' last reports show of servers that hold no room there.
    pub(crate) fn strays(&self) -> &BTreeMap<HostId, BTreeSet<ServerId>> {
        &self.index.strays
    }

    /// The hosts whose last report shows a container of this server, though it holds no room there.
    pub(crate) fn strays_of(&self, id: &ServerId) -> Vec<HostId> {
        let showing = self.strays().iter().filter(|(_, strays)| strays.contains(id));
        showing.map(|(host, _)| host.clone()).collect()
    }

    /// Notes that placement may see this host otherwise.
    pub(crate) fn changed(&mut self, host: &HostId) {
        self.index.changed.insert(host.clone());
    }

    fn look_at_all(&mut self) {
        self.index.changed = self.hosts.keys().cloned().collect();
        self.rows = Rows::default();
    }

    /// Brings the floor up to date with the records and with the moment.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        while let Some((due, host)) = self.index.due.first().cloned().filter(|(due, _)| *due <= now)
        {
            self.index.due.remove(&(due, host.clone()));
            self.index.changed.insert(host);
        }
        let changed = std::mem::take(&mut self.index.changed);
        if changed.is_empty() {
            return;
        }
        let mut known = true;
        for id in changed {
            let Some(host) = self.hosts.get(&id).cloned() else { continue };
            self.plan_next_look(&host, now);
            let entry = FloorHost::of(self, &host, now);
            let drains = usize::from(entry.drains_by.is_some());
            let Some(position) = self.floor.position(&id) else {
                self.index.draining += drains;
                self.floor.hosts.push(Arc::new(entry));
                self.floor.hosts.sort_by(|a, b| a.host.cmp(&b.host));
                self.floor.version = self.floor.version.saturating_add(1);
                self.index.unsaved.insert(id);
                known = false;
                continue;
            };
            let Some(old) = self.floor.hosts.get_mut(position).filter(|old| ***old != entry) else {
                continue;
            };
            self.index.draining += drains;
            self.index.draining -= usize::from(old.drains_by.is_some());
            *old = Arc::new(entry);
            self.floor.version = self.floor.version.saturating_add(1);
            self.rows.update(position, old);
            self.index.unsaved.insert(id);
        }
        if !known || self.rows.hosts().len() != self.floor.hosts.len() {
            self.rows = Rows::of(&self.floor, &self.settings, &self.prices);
            self.index.unpriced = true;
        }
    }

    /// The hosts whose entries changed since they were last taken, to be saved.
    pub(crate) fn take_unsaved(&mut self) -> Vec<Arc<FloorHost>> {
        let unsaved = std::mem::take(&mut self.index.unsaved);
        unsaved.iter().filter_map(|host| self.floor.host(host)).cloned().collect()
    }

    /// Whether any host is being emptied.
    pub(crate) fn any_drains(&self) -> bool {
        self.index.draining > 0
    }

    /// The floor under the site's rules.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The build that servers were given under an image's name.
    pub(crate) fn decided(&self, image: &str) -> Option<&str> {
        self.index.decided.of(image)
    }

    /// What a server of this person will probably use at most.
    pub fn expected_peak(&self, owner: &Username, ask: &Ask) -> ByteCount {
        self.history.expected(owner, &ask.image, &ask.profile, memory::Floor::default(), ask.memory)
    }

    /// What the person's own earlier servers of this image used at most, if there were enough.
    pub fn own_peak(&self, owner: &Username, image: &str) -> Option<ByteCount> {
        self.history.of_owner(owner, image)
    }

    /// Whether that comes from enough servers before it.
    pub fn knows_peak(&self, owner: &Username, ask: &Ask) -> bool {
        self.history.knows(owner, &ask.image, &ask.profile)
    }

    /// What a server of the same owner will probably use once this one has ended, and whether that
    /// is known.
    pub(crate) fn expected_after(
        &self,
        server: &Server,
        now: Timestamp,
        ask: &Ask,
    ) -> (ByteCount, bool) {
        let was = &server.ask;
        let (images, profiles) = ([&*was.image, &*ask.image], [&*was.profile, &*ask.profile]);
        let mut history = self.history.of(&server.owner, images, profiles);
        if let Some(peak) =
            server.peaks.as_ref().map(|peaks| peaks.highest(now)).filter(|peak| peak.0 > 0)
        {
            history.add(&server.owner, &was.image, &was.profile, peak);
        }
        let owner = &server.owner;
        let expected =
            history.expected(owner, &ask.image, &ask.profile, memory::Floor::default(), ask.memory);
        (expected, history.knows(owner, &ask.image, &ask.profile))
    }

    /// What a server of this image and profile will probably use at most, whoever asks.
    pub(crate) fn usual_peak(&self, ask: &Ask) -> ByteCount {
        self.history.usual(&ask.image, &ask.profile, memory::Floor::default(), ask.memory)
    }

    /// How far back the peaks of servers on this host are looked up.
    pub(crate) fn peak_window(&self, host: &HostId) -> Seconds {
        let declared = self.settings.hosts.get(host);
        let pool = declared.and_then(|declared| self.settings.pools.get(&declared.pool));
        pool.map_or(memory::PEAK_WINDOW, |pool| pool.peak_window)
    }

    /// The peaks of servers that have ended, to be added to.
    pub fn history_mut(&mut self) -> &mut memory::History {
        Arc::make_mut(&mut self.history)
    }

    fn plan_next_look(&mut self, host: &Host, now: Timestamp) {
        if let Some(due) = self.index.due_of.remove(&host.id) {
            self.index.due.remove(&(due, host.id.clone()));
        }
        if let Some(due) = FloorHost::next_change(self, host, now) {
            self.index.due.insert((due, host.id.clone()));
            self.index.due_of.insert(host.id.clone(), due);
        }
    }

    /// The server of this owner and name.
    pub fn find(&self, owner: &Username, name: &ServerName) -> Option<&Arc<Server>> {
        let id = self.by_name.get(&(owner.clone(), name.clone()))?;
        self.servers.get(id)
    }

    /// All servers of one person, the default one first.
    pub fn servers_of<'a>(&'a self, owner: &'a Username) -> impl Iterator<Item = &'a Arc<Server>> {
        self.by_name
            .range((owner.clone(), ServerName::default_server())..)
            .take_while(move |((user, _), _)| user == owner)
            .filter_map(|(_, id)| self.servers.get(id))
    }

    /// All servers that hold a reservation on this host, stopping ones included.
    pub fn placed_on<'a>(
        &'a self,
        host: &'a HostId,
    ) -> impl Iterator<Item = (&'a Server, &'a Placement)> {
        self.holding_on(host).filter_map(|server| Some((server, server.placement()?)))
    }

    /// The same, with those that are promised a place there.
    pub fn holding_on<'a>(&'a self, host: &HostId) -> impl Iterator<Item = &'a Server> {
        let ids = self.index.holding.get(host).into_iter().flatten();
        ids.filter_map(|id| self.servers.get(id)).map(AsRef::as_ref)
    }

    /// What is promised on this host.
    pub fn reserved_on(&self, host: &HostId) -> Resources {
        self.placed_on(host).map(|(_, placement)| placement.reservation).sum()
    }

    /// The servers that wait, in the order of their ids.
    pub fn waiting(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.index.waiting.iter().filter_map(|id| self.servers.get(id))
    }

    /// The servers of rehearsals that are on a host.
    pub(crate) fn rehearsing(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.index.rehearsing.iter().filter_map(|id| self.servers.get(id))
    }

    /// A host's state at this moment, with the first reason that keeps it from taking servers.
    pub fn host_state(&self, host: &Host, now: Timestamp) -> HostState {
        let empty = self.index.holding.get(&host.id).is_none_or(BTreeSet::is_empty);
        host.state(self.host_settings(&host.id), self.settings.lost_after, empty, now)
    }

    /// What the files declare for a host.
    pub fn host_settings(&self, host: &HostId) -> Option<&HostSettings> {
        self.settings.hosts.get(host)
    }

    /// What servers may reserve on this host: the smaller of declared and reported memory, less
    /// what is kept free. Nothing before the first report.
    pub fn usable_on(&self, host: &Host) -> Resources {
        let Some(heard) = &host.heard else { return Resources::default() };
        let Some(settings) = self.host_settings(&host.id) else { return Resources::default() };
        let total = heard.capacity.memory_total;
        let total = settings.memory.map_or(total, |declared| declared.min(total));
        let cpu_milli = heard.capacity.cpus.saturating_mul(1000);
        Resources { memory: total.minus(settings.keep_free), cpu_milli }
    }

    /// A server's state at this moment, as people read it.
    pub fn server_state(&self, server: &Server, now: Timestamp) -> ServerState {
        let reachable = server.placement().is_none_or(|placement| {
            // Until a host has spoken in this reign its servers are shown as they were.
            self.hosts.get(&placement.host).is_none_or(|host| {
                host.heard.is_none() || self.host_state(host, now).is_reporting()
            })
        });
        // Its container ends, and nobody here has asked for that.
        let ends = server.placement().is_some_and(|placement| {
            let heard = self.hosts.get(&placement.host).and_then(|host| host.heard.as_ref());
            let seen = heard.and_then(|heard| heard.observed.get(&server.id));
            seen.is_some_and(|seen| {
                seen.generation == server.generation && seen.state == ObservedState::Stopping
            })
        });
        if reachable && ends { ServerState::Stopping } else { server.state(reachable) }
    }

    /// Changes a host in place, and gives its next desired set a new number.
    pub(crate) fn bump(&mut self, host: &HostId) -> Revision {
        let epoch = self.epoch;
        self.changed(host);
        let host =
            self.hosts.entry(host.clone()).or_insert_with(|| Arc::new(Host::new(host.clone())));
        let host = Arc::make_mut(host);
        host.seq = host.seq.saturating_add(1);
        Revision { epoch, seq: host.seq }
    }
}

/// Whether a host's last report shows a container of this server.
fn shows(hosts: &BTreeMap<HostId, Arc<Host>>, host: &HostId, id: &ServerId) -> bool {
    let heard = hosts.get(host).and_then(|host| host.heard.as_ref());
    heard.is_some_and(|heard| heard.observed.contains_key(id))
}

#[cfg(test)]
mod tests;
