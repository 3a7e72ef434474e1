//! The end of a server: an order that is never taken back, and a release only on evidence.

use std::sync::Arc;

use berth_common::{Reason, ServerId, Timestamp};

use crate::event::{Answer, Effect, ReplyTo, Row};
use crate::fleet::{End, Fleet, Phase, StopOrder};
use crate::step::claim::leave_queue;
use crate::step::{life, reply, save_and_show};

/// Handles the wish to end a server.
pub fn stop(
    fleet: &mut Fleet,
    now: Timestamp,
    id: &ServerId,
    reason: Reason,
    to: Option<ReplyTo>,
    out: &mut Vec<Effect>,
) {
    let Some(server) = fleet.servers.get(id) else {
        return reply(to, Answer::NoSuchServer, out);
    };
    let answer = match &server.phase {
        Phase::Idle => Answer::NotRunning,
        Phase::Waiting { .. } => {
            leave_queue(
                fleet,
                id,
                End { reason, detail: "It left the queue.".into(), at: now },
                out,
            );
            Answer::NotRunning
        }
        Phase::Placed(placement) if placement.stop.is_some() => Answer::StopUnderWay,
        Phase::Placed(_) => {
            if reason == Reason::StoppedUser {
                life::gives_gpu_back(fleet, now, id);
            }
            order_stop(fleet, id, End { reason, detail: String::new(), at: now }, out);
            Answer::StopUnderWay
        }
    };
    reply(to, answer, out);
}

/// Orders a placed server to end. The first order counts.
pub fn order_stop(fleet: &mut Fleet, id: &ServerId, end: End, out: &mut Vec<Effect>) {
    let placement = fleet.servers.get(id).and_then(|server| server.placement());
    let Some(host) = placement.filter(|p| p.stop.is_none()).map(|p| p.host.clone()) else { return };
    let said = fleet.bump(&host);
    if let Some(server) = fleet.server_mut(id) {
        server.last_activity = server.last_activity.max(end.at);
        if let Some(placement) = server.placement_mut() {
            placement.stop = Some(StopOrder { end, said });
        }
    }
    save_and_show(fleet, id, out);
    out.push(Effect::RoutesChanged);
    out.push(Effect::Tell(host));
}

/// Handles the wish to forget a server that does not run.
pub fn remove(fleet: &mut Fleet, id: &ServerId, to: Option<ReplyTo>, out: &mut Vec<Effect>) {
    let Some(server) = fleet.servers.get(id) else { return reply(to, Answer::NoSuchServer, out) };
    // After a restore a host that has not reported yet may be running what the backup knows as ended.
    if server.is_active() || fleet.restoring().is_some() {
        return reply(to, Answer::StopUnderWay, out);
    }
    forget(fleet, id, out);
    reply(to, Answer::Removed, out);
}

/// Forgets a server that is nowhere.
pub fn forget(fleet: &mut Fleet, id: &ServerId, out: &mut Vec<Effect>) {
    let Some(server) = fleet.servers.get(id) else { return };
    let key = (server.owner.clone(), server.name.clone());
    fleet.leave(id);
    fleet.servers.remove(id);
    Arc::make_mut(&mut fleet.by_name).remove(&key);
    Arc::make_mut(&mut fleet.removed).insert(id.clone());
    // A host may still be told to end what is left of it; without it the set says less.
    let hosts = fleet.strays_of(id);
    for host in hosts {
        fleet.bump(&host);
        out.push(Effect::Tell(host));
    }
    out.push(Effect::Save(Row::ServerGone(id.clone())));
    out.push(Effect::Changed(id.clone()));
}
