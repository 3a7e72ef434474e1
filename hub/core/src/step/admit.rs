//! The queue's turn: after every event that may have made room, waiting servers take what there is,
//! in the order of their turns.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_common::{DecisionId, Seconds, ServerId, Timestamp};

use crate::event::{Effect, Row};
use crate::fleet::{End, Fleet, HeldPlace, Phase, Server};
use crate::placement::{Look, Need, place};
use crate::queue::{KeptFor, Wait, keep_for, waiters};
use crate::rules::Refusal;
use crate::step::claim::leave_queue;
use crate::step::save_and_show;
use crate::step::start::{decision_from_queue, put, save_decision};

/// A person who looked this recently is there: their server starts at once when its turn comes.
const LOOKS: Seconds = Seconds(60);

/// Places every waiting server that can be placed, and keeps what is kept for those that cannot.
pub fn admit_waiting(fleet: &mut Fleet, now: Timestamp, out: &mut Vec<Effect>) {
    if fleet.waiting().next().is_none() {
        fleet.index.kept.clear();
        return;
    }
    if fleet.unsettled().next().is_some() {
        return;
    }
    // Time opens and closes things too, but nobody notices a second.
    let index = &fleet.index;
    let soon = now < index.served_at.plus(Seconds(1)) && now >= index.served_at;
    if soon && index.served == fleet.floor.version && !index.queue_changed {
        return;
    }
    let before = std::mem::take(&mut fleet.index.kept);
    let mut kept: BTreeMap<String, KeptFor> = BTreeMap::new();
    // One placement changes the room for the next, so each is taken in before the next is tried.
    while let Some(next) = next_move(fleet, now, &before, &mut kept) {
        match next {
            Move::Leaves(id, refusal) => {
                leave_queue(
                    fleet,
                    &id,
                    End { reason: refusal.reason, detail: refusal.detail, at: now },
                    out,
                );
            }
            Move::Takes(server, need) => take(fleet, now, &server, &need, out),
        }
        fleet.settle(now);
    }
    fleet.index.kept = kept;
    fleet.index.served = fleet.floor.version;
    fleet.index.served_at = now;
    fleet.index.queue_changed = false;
}

enum Move {
    Leaves(ServerId, Refusal),
    Takes(Arc<Server>, Need),
}

/// The first in the order of turns for whom something can be done.
fn next_move(
    fleet: &mut Fleet,
    now: Timestamp,
    before: &BTreeMap<String, KeptFor>,
    kept: &mut BTreeMap<String, KeptFor>,
) -> Option<Move> {
    let mut rows = std::mem::take(&mut fleet.rows);
    kept.clear();
    let found = waiters(fleet, now).into_iter().find_map(|waiter| {
        let need = match &waiter.checked {
            Ok(need) => need,
            Err(refusal) => return Some(Move::Leaves(waiter.server.id.clone(), refusal.clone())),
        };
        let spared = match kept.get(&need.pool) {
            None => None,
            Some(KeptFor { host: None, .. }) => return None,
            Some(KeptFor { host: Some(host), .. }) => rows.hosts().binary_search(host).ok(),
        };
        let last = waiter.server.last_host.as_ref();
        if place(&mut Look::Remember(&mut rows), need, last, spared).choice.is_ok() {
            return fleet
                .servers
                .get(&waiter.server.id)
                .map(|server| Move::Takes(Arc::clone(server), need.clone()));
        }
        if !kept.contains_key(&need.pool) {
            let keeps = keep_for(&rows, &waiter, need, before.get(&need.pool), now);
            kept.insert(need.pool.clone(), keeps);
        }
        None
    });
    fleet.rows = rows;
    found
}

/// Gives a server its place: it starts there, or the place is held until its owner looks.
fn take(
    fleet: &mut Fleet,
    now: Timestamp,
    server: &Arc<Server>,
    need: &Need,
    out: &mut Vec<Effect>,
) {
    let mut rows = std::mem::take(&mut fleet.rows);
    let verdict = place(&mut Look::Remember(&mut rows), need, server.last_host.as_ref(), None);
    fleet.rows = rows;
    let id = &server.id;
    let Some((place, decision)) =
        decision_from_queue(fleet, now, server, next_decision(server), need, verdict)
    else {
        return;
    };
    if let Some(server) = fleet.server_mut(id) {
        server.decision = Some(decision.id.clone());
    }
    save_decision(fleet, now, &Arc::new(decision), out);
    note_wait(fleet, now, server, need, out);
    if is_looking(server, now) || fleet.settings.queue.hold == Seconds(0) {
        put(fleet, now, id, place, out);
    } else {
        hold(fleet, id, place, out);
    }
}

/// Notes how a wait turned out beside what was foreseen, for the next estimates.
fn note_wait(
    fleet: &mut Fleet,
    now: Timestamp,
    server: &Server,
    need: &Need,
    out: &mut Vec<Effect>,
) {
    let Phase::Waiting { since, foreseen: Some(foreseen), .. } = server.phase else { return };
    let lasted = Seconds(now.millis_since(since) / 1000);
    let wait = Wait { pool: need.pool.clone(), foreseen, lasted };
    fleet.waits.note(&wait);
    out.push(Effect::Save(Row::Wait(wait)));
}

/// Whether a program asked, or the person is there.
fn is_looking(server: &Server, now: Timestamp) -> bool {
    match &server.phase {
        Phase::Waiting { watched: Some(at), .. } => now <= at.plus(LOOKS),
        _ => true,
    }
}

fn hold(fleet: &mut Fleet, id: &ServerId, place: HeldPlace, out: &mut Vec<Effect>) {
    let phase = fleet.servers.get(id).map(|server| server.phase.clone());
    let Some(Phase::Waiting { since, watched, foreseen, moved, .. }) = phase else { return };
    let (reason, place) = (berth_common::Reason::WaitPlaceHeld, Some(place));
    fleet.set_phase(id, Phase::Waiting { since, reason, watched, foreseen, place, moved });
    save_and_show(fleet, id, out);
}

/// The id of the decision that ends a wait: made of the one that began it, since no chance enters
/// here. Mixing keeps ids of different servers apart.
fn next_decision(server: &Server) -> DecisionId {
    let begun = server.decision.as_ref().map_or("0", DecisionId::as_str);
    let begun = u64::from_str_radix(begun, 16).unwrap_or(0);
    // SplitMix64's finaliser: a bijection, so two different ids never become one.
    let mixed = begun.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    DecisionId::from_random(mixed ^ (mixed >> 31))
}
