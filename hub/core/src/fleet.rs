//! The fleet: everything the hub plans over, as one value.
//!
//! Hosts and servers are shared by reference, so publishing a snapshot to readers costs one
//! pointer each and an event copies only what it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_common::{Epoch, HostId, Resources, Revision, ServerId, ServerName, Timestamp, Username};

pub mod host;
pub mod server;

pub use host::{Heard, Host, HostState};
pub use server::{Ask, End, Phase, Placement, Server, ServerState, StopOrder};

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
        fleet.declare_hosts();
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
        fleet.removed = Arc::clone(&former.removed);
        for (id, before) in &former.hosts {
            let host =
                fleet.hosts.entry(id.clone()).or_insert_with(|| Arc::new(Host::new(id.clone())));
            let host = Arc::make_mut(host);
            host.seq = before.seq.saturating_add(1);
            host.session = before.session;
            host.doubled_at = before.doubled_at;
        }
        for server in fleet.servers.values_mut() {
            let Some(host) = server.placement().map(|placement| &placement.host) else { continue };
            let seq = fleet.hosts.get(host).map_or(0, |host| host.seq);
            let said = Revision { epoch: former.epoch, seq };
            if let Some(placement) = Arc::make_mut(server).placement_mut() {
                placement.said = said;
                if let Some(stop) = &mut placement.stop {
                    stop.said = said;
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
    }

    /// Adds a server under its id and its name.
    pub(crate) fn insert(&mut self, server: Server) {
        let key = (server.owner.clone(), server.name.clone());
        Arc::make_mut(&mut self.by_name).insert(key, server.id.clone());
        self.servers.insert(server.id.clone(), Arc::new(server));
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
        self.servers.values().filter_map(move |server| {
            let placement = server.placement().filter(|placement| placement.host == *host)?;
            Some((server.as_ref(), placement))
        })
    }

    /// What is promised on this host.
    pub fn reserved_on(&self, host: &HostId) -> Resources {
        self.placed_on(host).map(|(_, placement)| placement.reservation).sum()
    }

    /// The waiting servers in the order in which they will be served.
    pub fn queue(&self) -> Vec<&Arc<Server>> {
        let mut waiting: Vec<_> = self
            .servers
            .values()
            .filter(|server| matches!(server.phase, Phase::Waiting { .. }))
            .collect();
        waiting.sort_by_key(|server| (server.waiting_since(), server.id.clone()));
        waiting
    }

    /// A host's state at this moment, with the first reason that keeps it from taking servers.
    pub fn host_state(&self, host: &Host, now: Timestamp) -> HostState {
        host.state(self.host_settings(&host.id), self.settings.lost_after, now)
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
        Resources { memory: total.minus(settings.keep_free) }
    }

    /// A server's state at this moment, as people read it.
    pub fn server_state(&self, server: &Server, now: Timestamp) -> ServerState {
        let reachable = server.placement().is_none_or(|placement| {
            // Until a host has spoken in this reign its servers are shown as they were.
            self.hosts.get(&placement.host).is_none_or(|host| {
                host.heard.is_none() || self.host_state(host, now).is_reporting()
            })
        });
        server.state(reachable)
    }

    /// Changes a host in place, and gives its next desired set a new number.
    pub(crate) fn bump(&mut self, host: &HostId) -> Revision {
        let epoch = self.epoch;
        let host =
            self.hosts.entry(host.clone()).or_insert_with(|| Arc::new(Host::new(host.clone())));
        let host = Arc::make_mut(host);
        host.seq = host.seq.saturating_add(1);
        Revision { epoch, seq: host.seq }
    }
}
