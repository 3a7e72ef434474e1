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
