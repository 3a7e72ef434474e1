//! All of some servers into the room of some hosts, or the knowledge that they do not fit.

use berth_common::Resources;

use super::layout::Layout;
use super::size;

/// How many placements the exact search tries before it gives up. A host has some dozen servers,
/// mostly of few sizes; real cases end after a few hundred.
const MOST_TRIES: u32 = 4_000;

/// A host for each of the servers, in their order, or `None` if no way was found. Best fit first;
/// when that fails, every way, servers in falling size.
pub(super) fn together(layout: &Layout, servers: &[usize], hosts: &[usize]) -> Option<Vec<usize>> {
    // Of hosts on which not even one of them fits, the search need not know.
    let hosts: Vec<usize> = hosts
        .iter()
        .copied()
        .filter(|&host| servers.iter().any(|&server| layout.fits(server, host)))
        .collect();
    let mut search = Search { layout, servers, hosts, chosen: Vec::new(), tries: 0 };
    let mut room: Vec<_> = search.hosts.iter().map(|&host| layout.free(host)).collect();
    let total = room.iter().fold(0u64, |sum, room| sum.saturating_add(size(room)));
    let needed = servers
        .iter()
        .fold(0u64, |sum, &server| sum.saturating_add(size(&layout.server(server).need)));
    (needed <= total && search.place(&mut room)).then_some(search.chosen)
}

struct Search<'a, 'b> {
    layout: &'b Layout<'a>,
    servers: &'b [usize],
    hosts: Vec<usize>,
    chosen: Vec<usize>,
    tries: u32,
}

impl Search<'_, '_> {
    /// Places the next server and all after it; the fullest host that takes it is tried first.
    fn place(&mut self, room: &mut [Resources]) -> bool {
        let Some(&server) = self.servers.get(self.chosen.len()) else { return true };
        let wanted = self.layout.server(server);
        let mut possible: Vec<usize> = (0..room.len())
            .filter(|&hole| {
                wanted.need.fits(&room[hole]) && self.layout.takes(self.hosts[hole], wanted.kind)
            })
            .collect();
        possible.sort_by_key(|&hole| (size(&room[hole]), hole));
        // Two holes of one size on hosts that take the same are one choice.
        possible.dedup_by(|a, b| {
            let takes = |hole: usize| &self.layout.hosts()[self.hosts[hole]].takes;
            room[*a] == room[*b] && takes(*a) == takes(*b)
        });
        for hole in possible {
            self.tries += 1;
            if self.tries > MOST_TRIES {
                return false;
            }
            let before = room[hole];
            room[hole] = before.minus(&wanted.need);
            self.chosen.push(self.hosts[hole]);
            if self.place(room) {
                return true;
            }
            self.chosen.pop();
            room[hole] = before;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use berth_common::ByteCount;

    use super::super::{Host, Kind, Server};
    use super::*;

    /// Where servers of these sizes and kinds go, that are on a host of their own now, into hosts of
    /// these sizes that take one kind.
    fn packed(rooms: &[(u64, Kind)], needs: &[(u64, Kind)]) -> Option<Vec<usize>> {
        let gb = |amount: u64| Resources { memory: ByteCount(amount << 30), cpu_milli: 0 };
        let host =
            |(room, kind): (u64, Kind)| Host { room: gb(room), takes: vec![kind], reboots: false };
        let hosts: Vec<Host> = rooms.iter().copied().chain([(99, 9)]).map(host).collect();
        let own = rooms.len();
        let server =
            |&(need, kind): &(u64, Kind)| Server { host: own, need: gb(need), kind, movable: true };
        let servers: Vec<Server> = needs.iter().map(server).collect();
        let all: Vec<usize> = (0..servers.len()).collect();
        let to: Vec<usize> = (0..own).collect();
        together(&Layout::new(&hosts, &servers), &all, &to)
    }

    #[test]
    fn all_fit_or_none_is_moved() {
        assert_eq!(packed(&[(10, 0), (6, 0)], &[(6, 0), (5, 0), (5, 0)]), Some(vec![1, 0, 0]));
        // The first way, best fit, leads nowhere.
        assert_eq!(packed(&[(10, 0), (6, 0)], &[(5, 0), (5, 0), (6, 0)]), Some(vec![0, 0, 1]));
        assert_eq!(packed(&[(10, 0), (5, 0)], &[(6, 0), (5, 0), (5, 0)]), None, "a GB too little");
        assert_eq!(packed(&[(8, 0), (8, 0)], &[(6, 0), (5, 0), (5, 0)]), None);
        assert_eq!(packed(&[(4, 0)], &[]), Some(vec![]));
        // Two holes of one size are not the same if they take other kinds.
        assert_eq!(packed(&[(5, 0), (5, 1)], &[(5, 1), (5, 0)]), Some(vec![1, 0]));
        assert_eq!(packed(&[(5, 0), (5, 0)], &[(5, 1), (5, 0)]), None);
    }
}
