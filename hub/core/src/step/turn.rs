//! An administrator lets somebody who waits come first, or last.

use berth_common::ServerId;

use crate::event::{Answer, Effect, ReplyTo};
use crate::fleet::{Fleet, Moved, Phase};
use crate::step::{reply, save_and_show};

/// Handles the wish for another turn. Whose place is held already has had theirs.
pub fn move_in_queue(
    fleet: &mut Fleet,
    id: &ServerId,
    to: Moved,
    back: Option<ReplyTo>,
    out: &mut Vec<Effect>,
) {
    let phase = fleet.servers.get(id).map(|server| server.phase.clone());
    let answer = match phase {
        None => Answer::NoSuchServer,
        Some(Phase::Waiting { since, reason, watched, foreseen, place: None, .. }) => {
            let moved = Some(to);
            let phase = Phase::Waiting { since, reason, watched, foreseen, place: None, moved };
            fleet.set_phase(id, phase);
            save_and_show(fleet, id, out);
            Answer::Moved
        }
        Some(_) => Answer::NotWaiting,
    };
    reply(back, answer, out);
}
