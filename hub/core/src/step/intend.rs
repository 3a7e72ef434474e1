//! What the administrators want with a host: kept over restarts, and followed by placement at once.

use std::sync::Arc;

use berth_common::HostId;

use crate::event::{Answer, Effect, ReplyTo, Row};
use crate::fleet::{Fleet, Intent};
use crate::step::reply;

/// Changes a host's intent.
pub fn intend(
    fleet: &mut Fleet,
    id: &HostId,
    intent: Intent,
    to: Option<ReplyTo>,
    out: &mut Vec<Effect>,
) {
    let Some(host) = fleet.hosts.get_mut(id) else { return reply(to, Answer::NoSuchHost, out) };
    Arc::make_mut(host).intent = intent;
    out.push(Effect::Save(Row::Host(Arc::clone(host))));
    fleet.changed(id);
    reply(to, Answer::Intended, out);
}
