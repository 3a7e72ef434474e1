//! The policies that the planner is measured against: each server is placed by itself.

use std::cmp::Reverse;

use berth_core::drain::reboot::Cost;

use super::Order;
use super::fleet::Fleet;

/// Where a server goes, among the hosts that have room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The least used.
    Spread,
    /// The least free.
    Pack,
    /// Of those rebooted already or never, the least free; if there is none, the one rebooted
    /// last (`file`), or the most used (`free`).
    DrainAware,
}

/// Reboots all hosts of a fleet.
pub fn replay(fleet: &Fleet, order: Order, rule: Rule) -> Cost {
    let mut replay = Replay {
        room: fleet.hosts.iter().map(|host| host.room.memory.0).collect(),
        used: vec![0; fleet.hosts.len()],
        safe: fleet.hosts.iter().map(|host| !host.reboots).collect(),
        at: fleet.servers.iter().map(|server| server.host).collect(),
        order,
        rule,
    };
    let need: Vec<u64> = fleet.servers.iter().map(|server| server.need.memory.0).collect();
    for (server, need) in need.iter().enumerate() {
        replay.used[replay.at[server]] += need;
    }
    let mut restarts = vec![0; need.len()];
    let mut stuck = 0;
    while let Some(host) = replay.next_host() {
        let mut leaving: Vec<usize> =
            (0..need.len()).filter(|&server| replay.at[server] == host).collect();
        leaving.sort_by_key(|&server| Reverse(need[server]));
        for server in leaving {
            restarts[server] += 1;
            match replay.target(host, need[server]) {
                Some(target) => {
                    replay.used[host] -= need[server];
                    replay.used[target] += need[server];
                    replay.at[server] = target;
                }
                None => stuck += 1,
            }
        }
        replay.safe[host] = true;
    }
    Cost {
        stuck,
        restarts: restarts.iter().map(|&count| u64::from(count)).sum(),
        worst: restarts.iter().copied().max().unwrap_or(0),
    }
}

struct Replay {
    room: Vec<u64>,
    used: Vec<u64>,
    /// Hosts rebooted already, and those that never are.
    safe: Vec<bool>,
    at: Vec<usize>,
    order: Order,
    rule: Rule,
}

impl Replay {
    fn free(&self, host: usize) -> u64 {
        self.room[host] - self.used[host]
    }

    /// The host whose turn it is.
    fn next_host(&self) -> Option<usize> {
        let mut left = (0..self.room.len()).filter(|&host| !self.safe[host]);
        match self.order {
            Order::File => left.next(),
            Order::Free => left.min_by_key(|&host| self.used[host]),
        }
    }

    /// Where a server goes. Ties: the host first in the file.
    fn target(&self, from: usize, need: u64) -> Option<usize> {
        let hosts =
            || (0..self.room.len()).filter(move |&host| host != from && need <= self.free(host));
        match self.rule {
            Rule::Spread => hosts().min_by_key(|&host| self.used[host]),
            Rule::Pack => hosts().min_by_key(|&host| self.free(host)),
            Rule::DrainAware => {
                let safe = hosts().filter(|&host| self.safe[host]);
                safe.min_by_key(|&host| self.free(host)).or_else(|| match self.order {
                    Order::File => hosts().next_back(),
                    Order::Free => hosts().min_by_key(|&host| Reverse(self.used[host])),
                })
            }
        }
    }
}
