//! The network between hub and hosts: messages are lost, doubled, late, and overtake one another.

use berth_common::Timestamp;

use crate::world::nature::Nature;
use crate::world::schedule::later;

/// What is cut between one host and the hub.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cut {
    /// From the host to the hub.
    pub up: bool,
    /// From the hub to the host.
    pub down: bool,
    /// Which cut this is: an earlier one's end does not mend it.
    pub number: u64,
}

/// When a message arrives: never, once or twice. `last` is the arrival of the one before it over
/// the same connection.
pub fn arrivals(nature: &mut Nature, cut: bool, last: &mut Timestamp) -> Vec<Timestamp> {
    let plan = &nature.plan.network;
    let (lost, doubled, ordered) = (plan.lost, plan.doubled, plan.ordered);
    if nature.healed {
        let way = nature.span_us(200..=2_000);
        return vec![in_turn(later(nature.schedule.now(), way), last)];
    }
    if cut || nature.chance.permille(lost) {
        nature.transcript.fault("message lost");
        return Vec::new();
    }
    let copies = if nature.chance.permille(doubled) {
        nature.transcript.fault("message doubled");
        2
    } else {
        1
    };
    let mut arrivals = Vec::new();
    for _ in 0..copies {
        let at = later(nature.schedule.now(), way_us(nature));
        if !ordered && at < *last {
            nature.transcript.fault("message overtaken");
        }
        arrivals.push(if ordered { in_turn(at, last) } else { at });
        *last = at.max(*last);
    }
    arrivals
}

/// How long one way takes, in microseconds.
pub fn way_us(nature: &mut Nature) -> u64 {
    if nature.healed {
        return nature.span_us(200..=2_000);
    }
    let plan = &nature.plan.network;
    let (usual, late, late_ms) = (plan.usual_ms, plan.late, plan.late_ms);
    if nature.chance.permille(late) {
        nature.transcript.fault("message late");
        return nature.span_us(usual * 1000..=late_ms.max(usual) * 1000);
    }
    nature.span_us(200..=usual * 1000)
}

fn in_turn(at: Timestamp, last: &mut Timestamp) -> Timestamp {
    *last = at.max(*last);
    *last
}
