//! Named invariants of a fleet, checked after every step in simulation and by `berth doctor` in
//! production.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use berth_common::link::ObservedState;
use berth_common::{GpuId, HostId, ServerId};

use crate::fleet::{Fleet, Phase, Server};
use crate::route::routes;
use crate::settings::MemoryRule;

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its short name.
    pub invariant: &'static str,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.found)
    }
}

/// Everything that is wrong with a fleet; empty is right.
pub fn violations(fleet: &Fleet) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut say = |invariant, text: String| found.push(Violation { invariant, found: text });
    for server in fleet.servers.values() {
        of_server(fleet, server, &mut say);
    }
    let hosts: BTreeSet<_> = fleet.hosts.keys().chain(fleet.strays().keys()).collect();
    for host in hosts {
        of_host(fleet, host, &mut say);
    }
    if fleet.by_name.len() != fleet.servers.len() {
        say("one-server-per-name", "the index names servers that are not there".into());
    }
    // Without the index of who holds what where, which may err too.
    gpus(fleet, fleet.servers.values().map(AsRef::as_ref), &mut say);
    farm_ports(fleet.servers.values().map(AsRef::as_ref), &mut say);
    current_routes(fleet, &mut say);
    drains(fleet, &mut say);
    found
}

/// What is wrong with these servers and hosts: those that an event has touched. It costs what they
/// cost, however large the fleet is.
pub fn violations_near<'a>(
    fleet: &Fleet,
    servers: impl IntoIterator<Item = &'a ServerId>,
    hosts: impl IntoIterator<Item = &'a HostId>,
) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut say = |invariant, text: String| found.push(Violation { invariant, found: text });
    let mut near: BTreeSet<&HostId> = hosts.into_iter().collect();
    for server in servers.into_iter().filter_map(|id| fleet.servers.get(id)) {
        of_server(fleet, server, &mut say);
        near.extend(server.holds_on());
    }
    for host in near {
        of_host(fleet, host, &mut say);
        gpus(fleet, fleet.holding_on(host), &mut say);
        farm_ports(fleet.holding_on(host), &mut say);
    }
    found
}

fn of_server(fleet: &Fleet, server: &Server, say: &mut Say<'_>) {
    name(fleet, server, say);
    generation(fleet, server, say);
}

fn of_host(fleet: &Fleet, host: &HostId, say: &mut Say<'_>) {
    reservations(fleet, host, say);
    strays(fleet, host, say);
}

/// S1: no server lives on two hosts, by what they reported last. Unlike the rest this is no promise
/// about the fleet alone: somebody who starts a container by hand breaks it too.
pub fn doubled(fleet: &Fleet) -> Vec<Violation> {
    let mut lives: BTreeMap<&ServerId, Vec<&HostId>> = BTreeMap::new();
    for host in fleet.hosts.values() {
        for (server, seen) in host.heard.iter().flat_map(|heard| &heard.observed) {
            use ObservedState::{Ready, Running, Stopping};
            if matches!(seen.state, Running | Ready | Stopping) {
                lives.entry(server).or_default().push(&host.id);
            }
        }
    }
    let twice = lives.into_iter().filter(|(_, hosts)| hosts.len() > 1);
    let told = twice.map(|(server, hosts)| {
        let hosts: Vec<_> = hosts.into_iter().map(ToString::to_string).collect();
        format!("{server} lives on {}", hosts.join(" and "))
    });
    told.map(|found| Violation { invariant: "S1-one-container", found }).collect()
}

type Say<'a> = dyn FnMut(&'static str, String) + 'a;

/// Each owner and name has one server, and the index agrees.
fn name(fleet: &Fleet, server: &Server, say: &mut Say<'_>) {
    // Of two that share a name one is not found under it.
    if fleet.find(&server.owner, &server.name).is_none_or(|found| found.id != server.id) {
        say("one-server-per-name", format!("{} is not the server of its name", server.id));
    }
}

/// S3: what is promised on a host that reports fits into it. Adopted servers are exempt: they run
/// already, whatever we would have decided; so are pools that admit on what is really used, since
/// use changes after a decision.
fn reservations(fleet: &Fleet, host: &HostId, say: &mut Say<'_>) {
    let Some(host) = fleet.hosts.get(host).filter(|host| host.heard.is_some()) else { return };
    let Some(declared) = fleet.host_settings(&host.id) else { return };
    let pool = fleet.settings.pools.get(&declared.pool);
    let by_limits = pool.is_none_or(|pool| pool.memory_rule == MemoryRule::Limits);
    let adopted = || fleet.placed_on(&host.id).any(|(server, _)| server.account.is_none());
    let reserved = fleet.reserved_on(&host.id);
    if by_limits && !reserved.fits(&fleet.usable_on(host)) && !adopted() {
        say("S3-capacity", format!("{}: {} reserved", host.id, reserved.memory));
    }
}

/// S4: nobody holds a part of a GPU that another holds. Of adopted servers those count that their
/// host shows: after a restore one that the backup knew holds, until its host has told of its end,
/// what a later one has.
fn gpus<'a>(fleet: &Fleet, servers: impl Iterator<Item = &'a Server>, say: &mut Say<'_>) {
    let mut held: BTreeMap<&GpuId, u32> = BTreeMap::new();
    for server in servers {
        let placed = server.placement().map(|placement| &placement.gpus);
        let promised = match &server.phase {
            Phase::Waiting { place: Some(place), .. } => Some(&place.gpus),
            _ => None,
        };
        if server.account.is_none() && !is_shown(fleet, server) {
            continue;
        }
        for part in placed.or(promised).into_iter().flatten() {
            let sum = held.entry(&part.gpu).or_default();
            *sum = sum.saturating_add(part.milli);
        }
    }
    for (gpu, milli) in held.into_iter().filter(|(_, milli)| *milli > 1000) {
        say("S4-gpu", format!("{gpu} is given {milli} thousandths of"));
    }
}

/// Whether the host of a server showed its container last.
fn is_shown(fleet: &Fleet, server: &Server) -> bool {
    let host = server.placement().and_then(|placement| fleet.hosts.get(&placement.host));
    let seen = host.and_then(|host| host.heard.as_ref()?.observed.get(&server.id));
    seen.is_some_and(|seen| seen.generation == server.generation)
}

/// S4: nobody holds a farm port of a host that another holds there.
fn farm_ports<'a>(servers: impl Iterator<Item = &'a Server>, say: &mut Say<'_>) {
    let mut held = BTreeSet::new();
    for server in servers {
        let (host, ports) = match &server.phase {
            Phase::Placed(placement) => (&placement.host, &placement.farm_ports),
            Phase::Waiting { place: Some(place), .. } => (&place.host, &place.farm_ports),
            _ => continue,
        };
        for port in ports.iter().filter(|port| !held.insert((host, **port))) {
            say("S4-farm-port", format!("port {port} of {host} is given twice"));
        }
    }
}

/// S8: a server that is anywhere has been started at least once, and its host is known.
fn generation(fleet: &Fleet, server: &Server, say: &mut Say<'_>) {
    let Some(placement) = server.placement() else { return };
    if server.generation.0 == 0 {
        say("S8-generation", format!("{} is placed without a start", server.id));
    }
    if !fleet.hosts.contains_key(&placement.host) {
        say("known-host", format!("{} is on {}, which nobody knows", server.id, placement.host));
    }
}

/// S12: a route leads to the current start of its own server.
fn current_routes(fleet: &Fleet, say: &mut Say<'_>) {
    for (prefix, route) in routes(fleet) {
        let right = fleet.servers.get(&route.server).is_some_and(|server| {
            server.generation == route.generation
                && server.prefix() == prefix
                && server.owner == route.user
        });
        if !right {
            say("S12-route", format!("{prefix} leads to {}", route.server));
        }
    }
}

/// What is remembered of drains is what the floor shows.
fn drains(fleet: &Fleet, say: &mut Say<'_>) {
    let any = fleet.floor.hosts.iter().any(|host| host.drains_by.is_some());
    if any != fleet.any_drains() {
        say("drains", format!("that a host drains is {any}, and the index errs"));
    }
}

/// What is remembered of containers without a reservation is what the last reports show.
fn strays(fleet: &Fleet, host: &HostId, say: &mut Say<'_>) {
    let strays = fleet.strays().get(host);
    let heard = fleet.hosts.get(host).and_then(|host| host.heard.as_ref());
    for seen in heard.iter().flat_map(|heard| heard.observed.keys()) {
        let server = fleet.servers.get(seen);
        let holds = server.and_then(|server| server.holds_on()) == Some(host);
        if holds == strays.is_some_and(|strays| strays.contains(seen)) {
            say("strays", format!("{seen} on {host}: held {holds}, and the index errs"));
        }
    }
    for stray in strays.into_iter().flatten() {
        if !heard.is_some_and(|heard| heard.observed.contains_key(stray)) {
            say("strays", format!("{stray} is not on {host}"));
        }
    }
}

#[cfg(test)]
mod tests;
