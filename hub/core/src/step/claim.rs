//! A place that is held: taken when its owner looks, passed on when nobody came.

use berth_common::{Reason, ServerId, Timestamp};

use crate::event::Effect;
use crate::fleet::{End, Fleet, Phase};
use crate::step::save_and_show;
use crate::step::start::put;

/// The owner of a waiting server looks at it: if a place is held, the server starts there.
pub fn watched(fleet: &mut Fleet, now: Timestamp, id: &ServerId, out: &mut Vec<Effect>) {
    let Some(server) = fleet.server_mut(id) else { return };
    let Phase::Waiting { watched, place, .. } = &mut server.phase else { return };
    *watched = watched.map(|_| now);
    if let Some(place) = place.clone() {
        put(fleet, now, id, place, out);
    }
}

/// Passes places on whose time is over, and ends waits that have lasted too long.
pub fn pass_on(fleet: &mut Fleet, now: Timestamp, out: &mut Vec<Effect>) {
    let most = fleet.settings.queue.max_wait;
    let hold = fleet.settings.queue.hold;
    let over = |server: &std::sync::Arc<crate::fleet::Server>| match &server.phase {
        Phase::Waiting { place: Some(place), .. } if now >= place.until => {
            let detail = format!("Its place was held for {hold}, and nobody came.");
            Some((server.id.clone(), Reason::RefusedNotClaimed, detail))
        }
        Phase::Waiting { since, place: None, .. } if now >= since.plus(most) => {
            Some((server.id.clone(), Reason::RefusedMaxWait, format!("It waited for {most}.")))
        }
        _ => None,
    };
    let ended: Vec<_> = fleet.waiting().filter_map(over).collect();
    for (id, reason, detail) in ended {
        leave_queue(fleet, &id, End { reason, detail, at: now }, out);
    }
}

/// Takes a waiting server out of the queue.
pub fn leave_queue(fleet: &mut Fleet, id: &ServerId, end: End, out: &mut Vec<Effect>) {
    fleet.set_phase(id, Phase::Idle);
    if let Some(server) = fleet.server_mut(id) {
        server.last_end = Some(end);
    }
    save_and_show(fleet, id, out);
}
