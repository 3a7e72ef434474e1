//! Throw-away servers of rehearsals: they never wait, and end as soon as a person would wait for
//! them.

use std::collections::BTreeSet;

use berth_common::{HostId, Reason, ServerId, Timestamp};

use crate::decision::Outcome;
use crate::event::Effect;
use crate::fleet::{End, Fleet, Server};
use crate::step::stop::order_stop;

/// What becomes of a request that would wait.
pub fn refused(would_wait: Reason) -> Outcome {
    let detail = format!("{} A rehearsal does not wait.", would_wait.text());
    Outcome::Refused { reason: Reason::RefusedRehearsal, detail }
}

/// Ends the servers of rehearsals in each pool for which somebody waits.
pub fn give_way(fleet: &mut Fleet, now: Timestamp, out: &mut Vec<Effect>) {
    if fleet.rehearsing().next().is_none() {
        return;
    }
    let profiles = fleet.waiting().filter(|server| server.holds_on().is_none());
    let profiles = profiles.filter_map(|it| fleet.settings.profiles.get(&it.ask.profile));
    let wanted: BTreeSet<&String> =
        profiles.flat_map(|it| [Some(&it.pool), it.overflow.as_ref()]).flatten().collect();
    let pool = |host: &HostId| fleet.settings.hosts.get(host).map(|declared| &declared.pool);
    let ends = on_hosts(fleet, |server, host| {
        pool(host).is_some_and(|pool| wanted.contains(pool)) && goes_on(server)
    });
    end(fleet, now, &ends, out);
}

/// Ends those that still start on the host of a person's new server: starts of one host take the
/// same processors.
pub fn step_aside(
    fleet: &mut Fleet,
    now: Timestamp,
    id: &ServerId,
    host: &HostId,
    out: &mut Vec<Effect>,
) {
    if fleet.servers.get(id).is_none_or(|server| server.is_rehearsal()) {
        return;
    }
    let ends =
        on_hosts(fleet, |server, other| other == host && goes_on(server) && !server.is_ready());
    end(fleet, now, &ends, out);
}

fn on_hosts(fleet: &Fleet, ends: impl Fn(&Server, &HostId) -> bool) -> Vec<ServerId> {
    let ending = fleet
        .rehearsing()
        .filter(|server| server.placement().is_some_and(|placement| ends(server, &placement.host)));
    ending.map(|server| server.id.clone()).collect()
}

fn goes_on(server: &Server) -> bool {
    server.placement().is_some_and(|placement| placement.stop.is_none())
}

fn end(fleet: &mut Fleet, now: Timestamp, ends: &[ServerId], out: &mut Vec<Effect>) {
    for id in ends {
        let detail = "It gave way to somebody who wants the room.".to_owned();
        order_stop(fleet, id, End { reason: Reason::StoppedRehearsal, detail, at: now }, out);
    }
}
