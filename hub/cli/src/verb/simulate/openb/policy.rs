//! Who chooses the host of a task.

use super::trace::{Task, Trace};
use super::{Name, Random, berth, peers};

/// A policy with the state of its hosts.
pub trait Policy {
    /// Places a task, if any host has room for it.
    fn place(&mut self, task: &Task) -> bool;
}

/// The policy of this name, with empty hosts in this order. What it prepares is timed.
pub fn of(name: Name, trace: &Trace, order: &[usize], random: Random) -> Box<dyn Policy> {
    let peer = |peer| Box::new(peers::Fleet::new(peer, trace, order, random));
    match name {
        Name::Berth => Box::new(berth::Fleet::new(trace, order)),
        Name::Fgd => peer(peers::Peer::Fgd),
        Name::Bestfit => peer(peers::Peer::Bestfit),
        Name::Dotprod => peer(peers::Peer::Dotprod),
        Name::Random => peer(peers::Peer::Random),
    }
}
