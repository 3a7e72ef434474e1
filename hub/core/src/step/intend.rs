//! What the administrators want with a host: kept over restarts, and followed by placement at once.

use berth_common::{HostId, Timestamp};

use crate::event::{Answer, Effect, ReplyTo};
use crate::fleet::{Fleet, Intent};
use crate::step::reply;

/// Changes a host's intent.
pub fn intend(
    fleet: &mut Fleet,
    now: Timestamp,
    id: &HostId,
    intent: Intent,
    to: Option<ReplyTo>,
    out: &mut Vec<Effect>,
) {
    let answer = match fleet.intend(id, intent, now, out) {
        true => Answer::Intended,
        false => Answer::NoSuchHost,
    };
    reply(to, answer, out);
}
