//! Whole hosts kept free: which hosts could be emptied by restarting a few idle servers elsewhere.
//!
//! Only proposals: somebody or something else decides. No busy kernel is ever part of one, a host
//! is filled only if something runs there already, so every proposal that is carried out leaves
//! one more host empty and nothing goes back and forth; and it is made only after it has stood for
//! a while, so that it does not come and go with every server.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use berth_common::{ByteCount, HostId, Seconds, Timestamp};
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::{Host, Move, Server, pack, size};

/// What is worth a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Memory that must come free, as a whole host, for each server that restarts.
    pub memory_per_move: ByteCount,
    /// How long a server must have been idle.
    pub idle_for: Seconds,
    /// How long ago a server must have been placed: nobody is moved twice in a short time.
    pub placed_for: Seconds,
    /// How long a proposal must have been possible before it is made.
    pub stands_for: Seconds,
}

/// A host that takes servers, by name.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its name.
    pub id: HostId,
    /// Its room. Whether it reboots plays no part.
    pub host: Host,
}

/// A server and how it could be moved.
#[derive(Debug, Clone)]
pub struct Resident {
    /// Where it is and what it holds. It is only moved if it is movable: its owner lets us, and
    /// it is not being moved or stopped.
    pub server: Server,
    /// Since when it is idle; `None`: it is busy.
    pub idle_since: Option<Timestamp>,
    /// When it was placed where it is.
    pub placed_at: Timestamp,
}

/// A host that could be emptied. Positions are those of the lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The position of the host.
    pub host: usize,
    /// Memory that comes free with the whole host.
    pub frees: ByteCount,
    /// Idle servers that restart elsewhere: the whole cost. Interrupted busy kernels: none.
    pub moves: Vec<Move>,
}

/// All that could be emptied now, the best first. Each counts on those before it being carried
/// out, so that all of them together have room.
pub fn possible(
    sites: &[Site],
    residents: &[Resident],
    rules: &Rules,
    now: Timestamp,
) -> Vec<Proposal> {
    let hosts: Vec<Host> = sites.iter().map(|site| site.host.clone()).collect();
    let servers: Vec<Server> = residents.iter().map(|resident| resident.server.clone()).collect();
    let mut layout = Layout::new(&hosts, &servers);
    let mut candidates: Vec<usize> = (0..hosts.len())
        .filter(|&host| is_worth_it(&layout, host, rules))
        .filter(|&host| {
            layout.on(host).iter().all(|&server| residents[server].may_move(rules, now))
        })
        .collect();
    candidates
        .sort_by_key(|&host| (layout.on(host).len(), Reverse(size(&layout.free(host))), host));
    let mut proposals = Vec::new();
    for host in candidates {
        // One that took servers of an earlier proposal may not be worth its moves any more, and
        // they are not moved twice.
        let taken = proposals
            .iter()
            .any(|proposal: &Proposal| proposal.moves.iter().any(|step| step.to == host));
        if taken {
            continue;
        }
        let used: Vec<usize> = (0..hosts.len())
            .filter(|&other| other != host && !layout.on(other).is_empty())
            .collect();
        let leaving = layout.on(host);
        if let Some(targets) = pack::together(&layout, &leaving, &used) {
            let moves = leaving.into_iter().zip(targets);
            let moves = moves.map(|(server, to)| layout.carry(server, to)).collect();
            proposals.push(Proposal { host, frees: hosts[host].room.memory, moves });
        }
    }
    proposals
}

/// Since when each host could be emptied, kept from look to look: those that could not be any
/// more are forgotten.
pub fn standing(
    proposals: &[Proposal],
    sites: &[Site],
    before: &BTreeMap<HostId, Timestamp>,
    now: Timestamp,
) -> BTreeMap<HostId, Timestamp> {
    let ids = proposals.iter().map(|proposal| &sites[proposal.host].id);
    ids.map(|id| (id.clone(), before.get(id).copied().unwrap_or(now))).collect()
}

/// The proposals to be made: those that have stood long enough. A later one counts on the earlier
/// ones, so the first that has not ends the list.
pub fn ripe<'a>(
    proposals: &'a [Proposal],
    sites: &'a [Site],
    standing: &BTreeMap<HostId, Timestamp>,
    rules: &Rules,
    now: Timestamp,
) -> impl Iterator<Item = &'a Proposal> {
    let ripe = |proposal: &&Proposal| {
        let since = standing.get(&sites[proposal.host].id);
        since.is_some_and(|since| since.plus(rules.stands_for) <= now)
    };
    let count = proposals.iter().take_while(ripe).count();
    proposals.iter().take(count)
}

/// Whether a host has servers, and few enough of them.
fn is_worth_it(layout: &Layout, host: usize, rules: &Rules) -> bool {
    let moves = layout.on(host).len() as u64;
    let asked = rules.memory_per_move.0.saturating_mul(moves);
    moves > 0 && size(&layout.hosts()[host].room) >= asked
}

impl Resident {
    fn may_move(&self, rules: &Rules, now: Timestamp) -> bool {
        self.server.movable
            && self.idle_since.is_some_and(|since| since.plus(rules.idle_for) <= now)
            && self.placed_at.plus(rules.placed_for) <= now
    }
}
