//! Relieves hosts whose servers have grown too far: idle servers are told, and stopped if nobody
//! comes back to them. Their owners start them again when it suits, and placement sends them
//! elsewhere, since a host that rings admits nobody.
//!
//! Whom to ask is a plain function of what is there now; what was told lies in the server's record.
//! So a hub that was killed goes on where it was, and whoever need not leave any more is let be.

use std::collections::BTreeSet;

use berth_common::{HostId, Reason, Seconds, ServerId, Timestamp};

use crate::event::Effect;
use crate::fleet::{End, Fleet, Server};
use crate::life;
use crate::memory::{Resident, plan};
use crate::settings::Relief;
use crate::step::save_and_show;
use crate::step::stop::order_stop;

/// Nobody is asked to leave who was idle for less. The replay of `berth simulate memory` has the
/// same.
const IDLE: Seconds = Seconds(3600);
/// Owners are told so long before, unless memory has run out already.
const NOTICE: Seconds = Seconds(600);

/// Takes all steps that are due.
pub fn carry_out(fleet: &mut Fleet, now: Timestamp, out: &mut Vec<Effect>) {
    let asked = |server: &&std::sync::Arc<Server>| {
        server.placement().is_some_and(|placement| placement.asked_to_leave.is_some())
    };
    let mut let_be: BTreeSet<ServerId> =
        fleet.servers.values().filter(asked).map(|server| server.id.clone()).collect();
    for (host, over) in ringing(fleet) {
        for (server, idle_since) in leaving(fleet, now, &host) {
            let_be.remove(&server);
            go_on(fleet, now, &server, idle_since, over, out);
        }
    }
    for server in let_be {
        tell(fleet, &server, None, out);
    }
}

/// Hosts that ring and whose pool wants them relieved, and whether more is used already than may be.
fn ringing(fleet: &Fleet) -> Vec<(HostId, bool)> {
    let rows = fleet.rows();
    let relieved = |host: &HostId| {
        let pool = fleet.settings.hosts.get(host).map(|declared| &declared.pool);
        let pool = pool.and_then(|pool| fleet.settings.pools.get(pool));
        pool.is_some_and(|pool| pool.relief == Relief::Idle)
    };
    let alarm = |(position, host): (usize, &HostId)| {
        let alarm = rows.row(position)?.memory.alarm()?;
        relieved(host).then(|| (host.clone(), alarm.used > alarm.usable))
    };
    rows.hosts().iter().enumerate().filter_map(alarm).collect()
}

/// Who should leave a host that rings, and since when each is idle.
fn leaving(fleet: &Fleet, now: Timestamp, host: &HostId) -> Vec<(ServerId, Timestamp)> {
    let Some(row) = fleet.floor.position(host).and_then(|position| fleet.rows().row(position))
    else {
        return Vec::new();
    };
    // Who was told to stop gives back what it holds in any case.
    let stays =
        |server: &&Server| server.placement().is_none_or(|placement| placement.stop.is_none());
    let resident = |server: &Server| {
        let placed = server.placement();
        let limit = placed.map_or(server.ask.memory, |placed| placed.reservation.memory);
        Resident {
            id: server.id.clone(),
            memory: server.member(now, limit),
            idle_since: idle_since(fleet, server).filter(|since| since.plus(IDLE) <= now),
            protected: false,
        }
    };
    let residents: Vec<_> = fleet.holding_on(host).filter(stays).map(resident).collect();
    let steps = plan(&residents, row.memory.usable()).steps;
    steps.into_iter().map(|step| (step.id, step.idle_since)).collect()
}

/// Since when nobody works with a server and its memory has hardly changed; `None`: it starts, or
/// only holds a place.
fn idle_since(fleet: &Fleet, server: &Server) -> Option<Timestamp> {
    server.placement()?.ready_at?;
    let steady = server.peaks.as_ref().map(|peaks| peaks.steady_since());
    Some(life::idle_since(&fleet.settings, server).max(steady.unwrap_or_default()))
}

/// The next step for one server: its owner is told; later it is stopped.
fn go_on(
    fleet: &mut Fleet,
    now: Timestamp,
    id: &ServerId,
    idle_since: Timestamp,
    over: bool,
    out: &mut Vec<Effect>,
) {
    let Some(placement) = fleet.servers.get(id).and_then(|server| server.placement()) else {
        return;
    };
    match placement.asked_to_leave {
        Some(told) if over || told.plus(NOTICE) <= now => {
            let idle = Seconds(now.millis_since(idle_since) / 1000);
            let detail = format!(
                "It was idle for {idle}, and the servers on {} had grown too far.",
                placement.host
            );
            order_stop(fleet, id, End { reason: Reason::StoppedMemory, detail, at: now }, out);
        }
        Some(_) => {}
        None => tell(fleet, id, Some(now), out),
    }
}

/// Writes down that an owner was told, or that it is not true any more.
fn tell(fleet: &mut Fleet, id: &ServerId, at: Option<Timestamp>, out: &mut Vec<Effect>) {
    let Some(placement) = fleet.server_mut(id).and_then(Server::placement_mut) else { return };
    placement.asked_to_leave = at;
    save_and_show(fleet, id, out);
}
