//! A loan of memory: a server that is about to use up its limit is given more for a short while, if
//! the site lends and its host has room, before the kernel ends a process of it.
//!
//! A loan is a change of the limit like any other, so it is reserved before the host hears of it, and
//! placement counts it as used. It is nobody's request: profile and quota do not say no to it, and
//! the owner's own amount stays what it was. It goes back when its time is over and the use leaves
//! the owner's amount its margin; until then it stays, since taking it would kill what it has saved.

use berth_common::link::{Limit, Observed, ObservedState};
use berth_common::{HostId, Seconds, ServerId, Timestamp};

use crate::event::Effect;
use crate::fleet::{Fleet, Loan, Placement, ResizeState, Server};
use crate::settings::Rescue;
use crate::step::resize;

/// A loan that could not be taken back is asked for again after this.
const BACK_AGAIN: Seconds = Seconds(60);

/// Looks at the servers of a host that has just reported.
pub fn look(fleet: &mut Fleet, now: Timestamp, id: &HostId, out: &mut Vec<Effect>) {
    let rescue = fleet.settings.lifecycle.memory.rescue.clone();
    let Some(host) = fleet.hosts.get(id).cloned() else { return };
    let Some(heard) = &host.heard else { return };
    for seen in heard.observed.values().filter(|seen| seen.state == ObservedState::Ready) {
        let Some(server) = fleet.servers.get(&seen.server) else { continue };
        let of_this_start = server.generation == seen.generation && server.is_ready();
        let placed = server.placement().filter(|placed| of_this_start && placed.host == *id);
        let Some(placed) = placed.filter(|placed| rests(placed)) else { continue };
        match placed.loan() {
            Some(loan) => {
                let waits = placed.resize.as_ref().is_some_and(|resize| {
                    resize.state != ResizeState::Done && now < resize.at.plus(BACK_AGAIN)
                });
                if now >= loan.until && Limit::least(seen.memory_used) <= loan.own && !waits {
                    let own = loan.own;
                    resize::order(fleet, now, &seen.server, Limit::of(own), out);
                }
            }
            None => {
                let free = heard.capacity.memory_free;
                let rescue = rescue.as_ref().filter(|rescue| free >= rescue.only_if_host_free);
                if let Some(rescue) = rescue.filter(|rescue| wanted(rescue, placed, seen, now)) {
                    lend(fleet, now, seen, rescue, out);
                }
            }
        }
    }
}

/// Whether no change of its limit is under way.
fn rests(placed: &Placement) -> bool {
    let under_way = |resize: &crate::fleet::Resize| resize.state == ResizeState::UnderWay;
    placed.stop.is_none() && !placed.resize.as_deref().is_some_and(under_way)
}

fn wanted(rescue: &Rescue, placed: &Placement, seen: &Observed, now: Timestamp) -> bool {
    let (used, limit) = (u128::from(seen.memory_used.0), u128::from(placed.limit().0));
    // One loan after the other would be a gift.
    let rested = placed.loan.as_ref().and_then(|loan| loan.over);
    let rested = rested.is_none_or(|over| now >= over.plus(rescue.during));
    rested && used * 1000 >= limit * u128::from(rescue.at_milli)
}

fn lend(
    fleet: &mut Fleet,
    now: Timestamp,
    seen: &Observed,
    rescue: &Rescue,
    out: &mut Vec<Effect>,
) {
    let Some(own) = fleet.servers.get(&seen.server).and_then(|it| Some(it.placement()?.limit()))
    else {
        return;
    };
    let memory = own.plus(rescue.lend);
    // Another loan of the same report may have taken the room.
    fleet.settle(now);
    if !resize::has_room(fleet, now, &seen.server, memory) {
        return;
    }
    let Some(placed) = fleet.server_mut(&seen.server).and_then(Server::placement_mut) else {
        return;
    };
    let loan = Loan { own, lent: rescue.lend, at: now, until: now.plus(rescue.during), over: None };
    let words = loan.sentence();
    placed.loan = Some(Box::new(loan));
    let owner = fleet.servers.get(&seen.server).map(|server| server.owner.to_string());
    out.push(Effect::Alarm(format!(
        "memory lent, server {} of {}: {words}",
        seen.server,
        owner.unwrap_or_default()
    )));
    resize::order(fleet, now, &seen.server, Limit { lent: true, ..Limit::of(memory) }, out);
}

/// A limit without a loan has been proven, or a loan was refused by the host: it is over.
pub fn end(fleet: &mut Fleet, now: Timestamp, id: &ServerId) {
    let lent = fleet.servers.get(id).and_then(|it| it.placement()?.loan());
    if lent.is_none() {
        return;
    }
    let placed = fleet.server_mut(id).and_then(Server::placement_mut);
    if let Some(loan) = placed.and_then(|placed| placed.loan.as_deref_mut()) {
        loan.over = Some(now);
    }
}
