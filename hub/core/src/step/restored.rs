//! After a restore: what a host runs is taken in before anything is started.

use berth_common::HostId;
use berth_common::link::{Observed, ObservedState};

use crate::event::{Effect, Row};
use crate::fleet::restored::limit_of;
use crate::fleet::{Fleet, Phase};
use crate::step::stop::forget;

/// Makes room for a container that the backup does not know: a server of the same owner and name
/// that runs nowhere was removed after the backup, and its name given to this one.
pub fn give_up_name(fleet: &mut Fleet, host: &HostId, seen: &Observed, out: &mut Vec<Effect>) {
    if !is_open(fleet, host) {
        return;
    }
    let holder = fleet.find(&seen.origin.user, &seen.origin.server_name);
    let holder = holder.filter(|server| server.placement().is_none());
    if let Some(id) = holder.map(|server| server.id.clone()) {
        forget(fleet, &id, out);
    }
}

/// Takes in what the container of a known start may use: the backup may remember another limit. As
/// long as its host has not measured it, it counts with the most that is known of it.
pub fn correct(fleet: &mut Fleet, host: &HostId, seen: &Observed, out: &mut Vec<Effect>) {
    if !is_open(fleet, host) {
        return;
    }
    let Some(server) = fleet.server_mut(&seen.server) else { return };
    let Phase::Placed(placement) = &mut server.phase else { return };
    let limit = match seen.limit {
        Some(_) => limit_of(seen),
        None => limit_of(seen).max(placement.reservation.memory),
    };
    if placement.reservation.memory != limit {
        placement.reservation.memory = limit;
        fleet.changed(host);
        super::save_and_show(fleet, &seen.server, out);
    }
}

/// Marks a host that has told all it runs, once all of that was taken in, and that has taken over an
/// order of this reign: one of before the restore may still be on its way to it, and is not obeyed
/// from then on.
pub fn settle(fleet: &mut Fleet, host: &HostId, out: &mut Vec<Effect>) {
    if !is_open(fleet, host) || !all_taken_in(fleet, host) {
        return;
    }
    let Some(restored) = fleet.settle_restored(host) else { return };
    out.push(Effect::Save(Row::Restored(restored)));
    if fleet.unsettled().next().is_none() {
        out.push(Effect::Alarm(
            "every host has told what it runs since the restore: servers are started again".into(),
        ));
    }
}

/// Whether a host has not told all it runs since the store was restored.
pub fn is_open(fleet: &Fleet, host: &HostId) -> bool {
    fleet.restored.as_ref().is_some_and(|restored| !restored.settled.contains(host))
}

/// Whether nothing runs there, or is on its way there, that belongs to no start we know, and of all
/// that runs is known what it may use.
fn all_taken_in(fleet: &Fleet, host: &HostId) -> bool {
    let Some(record) = fleet.hosts.get(host) else { return false };
    let Some(heard) = &record.heard else { return false };
    if heard.applied.epoch != fleet.epoch {
        return false;
    }
    let known = |seen: &Observed| {
        let server = fleet.servers.get(&seen.server);
        // An earlier start is ended as what it is: one that was outlived.
        server.is_some_and(|server| seen.generation <= server.generation)
    };
    // An agent that has just begun has not measured them yet.
    let unmeasured = |seen: &Observed| {
        seen.limit.is_none() && matches!(seen.state, ObservedState::Running | ObservedState::Ready)
    };
    let runs = |seen: &Observed| {
        matches!(
            seen.state,
            ObservedState::Running | ObservedState::Ready | ObservedState::Stopping
        )
    };
    let on_its_way = |pending: &berth_common::link::Pending| {
        let server = fleet.servers.get(&pending.server);
        let here = server.and_then(|server| server.placement());
        here.is_none_or(|placement| placement.host != *host)
    };
    heard.observed.values().filter(|seen| runs(seen)).all(known)
        && !heard.observed.values().any(unmeasured)
        && !heard.pending.iter().any(on_its_way)
}
