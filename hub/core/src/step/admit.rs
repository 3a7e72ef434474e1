//! The queue's turn: after every event, waiting servers take the room there is, in the order in
//! which they asked. The first that does not fit holds its pool for itself, so nothing starves.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_common::{DecisionId, ServerId, Timestamp};

use crate::event::{Effect, Row};
use crate::fleet::Fleet;
use crate::step::start::{decision_from_queue, put};

/// Places every waiting server that can be placed.
pub fn admit_waiting(fleet: &mut Fleet, now: Timestamp, out: &mut Vec<Effect>) {
    let mut held_pools = BTreeSet::new();
    let waiting: Vec<ServerId> =
        fleet.queue().into_iter().map(|server| server.id.clone()).collect();
    for id in waiting {
        let Some(server) = fleet.servers.get(&id).cloned() else { continue };
        let Some(profile) = fleet.settings.profiles.get(&server.ask.profile) else { continue };
        if held_pools.contains(&profile.pool) {
            continue;
        }
        let pool = profile.pool.clone();
        match decision_from_queue(fleet, now, &server, next_decision(&server)) {
            Some((host, decision)) => {
                if let Some(server) = fleet.servers.get_mut(&id) {
                    Arc::make_mut(server).decision = Some(decision.id.clone());
                }
                out.push(Effect::Save(Row::Decision(Arc::new(decision))));
                put(fleet, now, &id, &host, out);
            }
            None => {
                held_pools.insert(pool);
            }
        }
    }
}

/// The id of the decision that ends a wait: made of the one that began it, since no chance enters
/// here. Mixing keeps ids of different servers apart.
fn next_decision(server: &crate::fleet::Server) -> DecisionId {
    let begun = server.decision.as_ref().map_or("0", DecisionId::as_str);
    let begun = u64::from_str_radix(begun, 16).unwrap_or(0);
    // SplitMix64's finaliser: a bijection, so two different ids never become one.
    let mixed = begun.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    DecisionId::from_random(mixed ^ (mixed >> 31))
}
