//! Emptying hosts: one before a deadline, many in a rolling reboot, few to keep whole hosts free.
//!
//! Plain functions over small values. The planners work on positions in lists ([`Host`],
//! [`Server`]); what is stored and what is done next work on names
//! ([`intent`], [`next`](mod@next)).

use berth_common::Resources;

pub mod consolidate;
pub mod intent;
pub mod next;
pub mod reboot;
pub mod single;

mod layout;
mod make_room;
mod pack;

/// What a host may take: servers of these kinds. The caller numbers the kinds, one for each
/// combination of pool, whitelist and GPU model that treats hosts differently.
pub type Kind = u32;

/// A host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// All that servers may hold there, together.
    pub room: Resources,
    /// The kinds of servers that it may take.
    pub takes: Vec<Kind>,
    /// Whether it is to be rebooted; others are spares.
    pub reboots: bool,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The position of its host.
    pub host: usize,
    /// What it holds, there and wherever it goes.
    pub need: Resources,
    /// Its kind.
    pub kind: Kind,
    /// Whether it may be moved to make room for another. One with a busy kernel may not.
    pub movable: bool,
}

/// One server restarted elsewhere. Both hosts hold its memory until the new one answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// The position of the server.
    pub server: usize,
    /// The position of the host it leaves.
    pub from: usize,
    /// The position of the host it goes to.
    pub to: usize,
}

/// How large an amount is when amounts are put in order: by memory, which is what runs out first.
fn size(amount: &Resources) -> u64 {
    amount.memory.0
}

#[cfg(test)]
mod tests;
