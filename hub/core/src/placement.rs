//! Placement: filter → score → reserve → explain, as plain functions over an immutable fleet.
//!
//! Every host is looked at, none is sampled. The explanation is made from the same values that
//! decided, so it cannot tell another story.

use berth_common::{ByteCount, HostId, Reason, Resources, Timestamp};

use crate::decision::{HostLine, HostVerdict};
use crate::fleet::{Ask, Fleet, Server};

mod filter;
mod score;

pub use filter::Room;
pub use score::Score;

/// Where a request would go, and why.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The chosen host, or why there is none and whether waiting can help.
    pub choice: Result<HostId, NoHost>,
    /// Every host of the site: possible ones in the order of preference, then excluded ones.
    pub hosts: Vec<HostLine>,
}

/// Why no host can take a request now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoHost {
    /// It would fit once others end or a host comes back: wait.
    Now(Reason),
    /// No host of the pool is large enough, even empty.
    Never,
}

/// Looks for the best host for a server that asks for this much in this pool.
pub fn place(
    fleet: &Fleet,
    server: Option<&Server>,
    pool: &str,
    ask: &Ask,
    now: Timestamp,
) -> Verdict {
    let wanted = Resources { memory: ask.memory };
    let image = fleet.settings.images.get(&ask.image);
    let mut possible = Vec::new();
    let mut excluded = Vec::new();
    let mut could_ever = false;
    let mut obstacle: Option<Reason> = None;
    for host in fleet.hosts.values() {
        match filter::room(fleet, host, pool, &wanted, now) {
            Ok(room) => possible.push((Score::of(fleet, host, pool, &room, image, server), host)),
            Err(no) => {
                could_ever |= no.could_ever;
                // Being full says more to the person who asks than another host being down.
                if no.could_ever && obstacle.is_none_or(|known| rank(no.reason) < rank(known)) {
                    obstacle = Some(no.reason);
                }
                excluded.push(HostLine {
                    host: host.id.clone(),
                    verdict: HostVerdict::Excluded { reason: no.reason, detail: no.detail },
                });
            }
        }
    }
    possible.sort_by(|(a, _), (b, _)| a.cmp(b));
    let choice = match possible.first() {
        Some((_, host)) => Ok(host.id.clone()),
        None if could_ever => Err(NoHost::Now(obstacle.map_or(Reason::WaitNoHost, waiting_reason))),
        None => Err(NoHost::Never),
    };
    let mut hosts: Vec<_> = possible
        .into_iter()
        .enumerate()
        .map(|(position, (score, host))| {
            let terms = score.terms();
            let verdict = if position == 0 {
                HostVerdict::Chosen { terms }
            } else {
                HostVerdict::Possible { terms }
            };
            HostLine { host: host.id.clone(), verdict }
        })
        .collect();
    hosts.append(&mut excluded);
    Verdict { choice, hosts }
}

/// The largest of the offered amounts below `ask` that would start now: what to try instead.
pub fn nearest_memory(
    fleet: &Fleet,
    pool: &str,
    ask: &Ask,
    choices: &[ByteCount],
    now: Timestamp,
) -> Option<ByteCount> {
    let mut smaller: Vec<_> =
        choices.iter().copied().filter(|choice| *choice < ask.memory).collect();
    smaller.sort_unstable();
    smaller.into_iter().rev().find(|memory| {
        let wanted = Resources { memory: *memory };
        fleet.hosts.values().any(|host| filter::room(fleet, host, pool, &wanted, now).is_ok())
    })
}

fn rank(reason: Reason) -> u8 {
    match reason {
        Reason::WaitMemoryReserved => 0,
        Reason::WaitMemoryUsed => 1,
        _ => 2,
    }
}

fn waiting_reason(obstacle: Reason) -> Reason {
    match obstacle {
        Reason::WaitMemoryReserved | Reason::WaitMemoryUsed => obstacle,
        _ => Reason::WaitNoHost,
    }
}
