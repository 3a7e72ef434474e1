//! A place for a server where there is none: others are moved out of its way, and others out of
//! theirs.

use std::collections::BTreeMap;

use super::layout::Layout;
use super::{Kind, Move, size};

/// How deep others are moved for others. Beyond that the price of a place is higher than people
/// would accept, and the search long.
const DEEPEST: u32 = 4;
/// How many servers at most leave one host for one that comes.
const MOST_LEAVE: usize = 6;
/// How many hosts are tried for real, the cheapest by estimate first. The estimate takes each
/// leaving server by itself; in truth two may want the same hole. For a server that itself only
/// makes room, fewer are: the number multiplies with each depth.
const TRIED: usize = 8;
const TRIED_DEEPER: usize = 2;

/// What moves cost. Restarts that would not happen without it come first; then that a server
/// that was restarted already is left alone; then the number of moves.
pub(super) type Price = u64;
/// One restart that would not happen without the move.
pub(super) const EXTRA: Price = 1_000_000;
const AGAIN: Price = 1_000;
const ONE: Price = 1;

/// Moves a server off its host, and others out of its way if need be, at the lowest price found.
/// Never onto a host in `barred`. `None`, and an unchanged layout, if there is no way.
pub(super) fn seat(
    layout: &mut Layout,
    server: usize,
    barred: &[usize],
) -> Option<(Price, Vec<Move>)> {
    seat_within(layout, server, barred, DEEPEST)
}

/// The host with room that a server should take: one on which it may stay, then the one rebooted
/// last, so that it can end by itself before; then the fullest.
fn direct(layout: &Layout, server: usize, barred: &[usize]) -> Option<(Price, usize)> {
    (0..layout.hosts().len())
        .filter(|&host| may_go(layout, server, host, barred) && layout.fits(server, host))
        .min_by_key(|&host| {
            let price = price_of_move(layout, server, host);
            (price, std::cmp::Reverse(layout.turn(host)), size(&layout.free(host)), host)
        })
        .map(|host| (price_of_move(layout, server, host), host))
}

fn may_go(layout: &Layout, server: usize, host: usize, barred: &[usize]) -> bool {
    host != layout.at(server) && !barred.contains(&host)
}

/// A restart is extra unless it takes a server from a host that reboots to one that does not.
fn price_of_move(layout: &Layout, server: usize, to: usize) -> Price {
    let needed = !layout.is_safe(layout.at(server)) && layout.is_safe(to);
    let extra = if needed { 0 } else { EXTRA };
    extra + AGAIN * Price::from(layout.restarts(server)) + ONE
}

fn seat_within(
    layout: &mut Layout,
    server: usize,
    barred: &[usize],
    depth: u32,
) -> Option<(Price, Vec<Move>)> {
    // Making room is never cheaper: it costs at least the one extra restart that a free place on a
    // host that reboots later costs.
    if let Some((price, host)) = direct(layout, server, barred) {
        return Some((price, vec![layout.carry(server, host)]));
    }
    let mut best: Option<(Price, Vec<Move>, Layout)> = None;
    for (estimate, host, leaving) in ways(layout, server, barred, depth) {
        if best.as_ref().is_some_and(|(price, ..)| *price <= estimate) {
            break;
        }
        let mut tried = layout.clone();
        if let Some((price, moves)) = clear(&mut tried, server, host, &leaving, barred, depth)
            && best.as_ref().is_none_or(|(least, ..)| price < *least)
        {
            best = Some((price, moves, tried));
        }
    }
    let (price, moves, after) = best?;
    *layout = after;
    Some((price, moves))
}

/// Lets `leaving` go from `host`, then the server in.
fn clear(
    layout: &mut Layout,
    server: usize,
    host: usize,
    leaving: &[usize],
    barred: &[usize],
    depth: u32,
) -> Option<(Price, Vec<Move>)> {
    let barred: Vec<usize> = barred.iter().copied().chain([host]).collect();
    let (mut price, mut moves) = (price_of_move(layout, server, host), Vec::new());
    for &other in leaving {
        let (more, mut others) = seat_within(layout, other, &barred, depth - 1)?;
        price += more;
        moves.append(&mut others);
    }
    if !layout.fits(server, host) {
        return None;
    }
    moves.push(layout.carry(server, host));
    Some((price, moves))
}

/// Hosts that could take the server if some of theirs leave, the cheapest first.
fn ways(
    layout: &Layout,
    server: usize,
    barred: &[usize],
    depth: u32,
) -> Vec<(Price, usize, Vec<usize>)> {
    if depth == 0 {
        return Vec::new();
    }
    let mut prices = Prices { layout, barred, known: BTreeMap::new() };
    let mut ways: Vec<_> = (0..layout.hosts().len())
        .filter_map(|host| {
            let (price, leaving) = prices.of_clearing(server, host, depth)?;
            Some((price + price_of_move(layout, server, host), host, leaving))
        })
        .collect();
    ways.sort_by_key(|(price, host, _)| (*price, *host));
    ways.truncate(if depth == DEEPEST { TRIED } else { TRIED_DEEPER });
    ways
}

/// Estimates, kept because many servers are alike.
struct Prices<'a, 'b> {
    layout: &'b Layout<'a>,
    barred: &'b [usize],
    known: BTreeMap<(u64, Kind, bool, u32, u32), Option<Price>>,
}

impl Prices<'_, '_> {
    /// What it costs to find a place for a server, as if it were alone.
    fn of_seat(&mut self, server: usize, depth: u32) -> Option<Price> {
        let layout = self.layout;
        let alike = (
            coarse(size(&layout.server(server).need)),
            layout.server(server).kind,
            layout.is_safe(layout.at(server)),
            layout.restarts(server),
            depth,
        );
        if let Some(price) = self.known.get(&alike) {
            return *price;
        }
        let mut price = direct(layout, server, self.barred).map(|(price, _)| price);
        if price.is_none() && depth > 0 {
            price = (0..layout.hosts().len())
                .filter_map(|host| {
                    let (price, _) = self.of_clearing(server, host, depth)?;
                    Some(price + price_of_move(layout, server, host))
                })
                .min();
        }
        self.known.insert(alike, price);
        price
    }

    /// Which servers should leave a host so that another fits, and what that costs.
    fn of_clearing(
        &mut self,
        server: usize,
        host: usize,
        depth: u32,
    ) -> Option<(Price, Vec<usize>)> {
        let layout = self.layout;
        let wanted = layout.server(server);
        let hopeless = !may_go(layout, server, host, self.barred)
            || !layout.takes(host, wanted.kind)
            || !wanted.need.fits(&layout.hosts()[host].room);
        if hopeless {
            return None;
        }
        let mut candidates: Vec<(Price, usize)> = layout
            .on(host)
            .into_iter()
            .filter(|&other| layout.server(other).movable)
            .filter_map(|other| Some((self.of_seat(other, depth - 1)?, other)))
            .collect();
        candidates.sort_by_key(|&(price, other)| {
            (price, std::cmp::Reverse(size(&layout.server(other).need)), other)
        });
        let mut choice = Choice { layout, server, host, candidates: &candidates, best: None };
        choice.extend(&mut Vec::new(), 0, 0);
        choice.best
    }
}

/// A size in steps of a sixteenth: servers of one step share an estimate, or there would be as many
/// estimates as servers.
fn coarse(size: u64) -> u64 {
    let step = (size / 16).next_power_of_two();
    size.div_ceil(step) * step
}

/// The cheapest set of servers whose leaving makes room.
struct Choice<'a, 'b> {
    layout: &'b Layout<'a>,
    server: usize,
    host: usize,
    candidates: &'b [(Price, usize)],
    best: Option<(Price, Vec<usize>)>,
}

impl Choice<'_, '_> {
    fn extend(&mut self, leaving: &mut Vec<usize>, price: Price, from: usize) {
        if self.best.as_ref().is_some_and(|(least, _)| *least <= price) {
            return;
        }
        let free = leaving.iter().fold(self.layout.free(self.host), |free, &other| {
            free.plus(&self.layout.server(other).need)
        });
        if self.layout.server(self.server).need.fits(&free) {
            self.best = Some((price, leaving.clone()));
            return;
        }
        if leaving.len() == MOST_LEAVE {
            return;
        }
        let mut last = None;
        for index in from..self.candidates.len() {
            let (more, other) = self.candidates[index];
            let alike = (more, self.layout.server(other).need);
            // Of servers that are alike, the later one brings nothing new here.
            if last != Some(alike) {
                last = Some(alike);
                leaving.push(other);
                self.extend(leaving, price + more, index + 1);
                leaving.pop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use berth_common::{ByteCount, Resources};

    use super::super::{Host, Server};
    use super::*;

    fn gb(amount: u64) -> Resources {
        Resources { memory: ByteCount(amount << 30), cpu_milli: 0 }
    }

    fn host(room: u64, takes: &[Kind], reboots: bool) -> Host {
        Host { room: gb(room), takes: takes.to_vec(), reboots }
    }

    fn server(host: usize, need: u64, kind: Kind) -> Server {
        Server { host, need: gb(need), kind, movable: true }
    }

    fn step(server: usize, from: usize, to: usize) -> Move {
        Move { server, from, to }
    }

    #[test]
    fn a_move_that_must_be_costs_one_and_any_other_a_restart() {
        let hosts = [host(16, &[0], true), host(16, &[0], false), host(16, &[0], true)];
        let servers = [server(0, 1, 0)];
        let mut layout = Layout::new(&hosts, &servers);
        assert_eq!(price_of_move(&layout, 0, 1), 1);
        assert_eq!(price_of_move(&layout, 0, 2), 1_000_001);
        layout.carry(0, 1);
        assert_eq!(price_of_move(&layout, 0, 2), 1_001_001, "once more");
    }

    #[test]
    fn sizes_within_a_sixteenth_share_an_estimate() {
        let all = [0, 15, 16, 17, 32, 100, 1_000].map(coarse);
        assert_eq!(all, [0, 15, 16, 17, 32, 104, 1_024]);
    }

    #[test]
    fn the_fullest_host_with_room_is_taken_and_others_leave_if_there_is_none() {
        let hosts = [host(16, &[0], true), host(16, &[0], false), host(12, &[0], false)];
        let seated = |b: u64, c: u64, barred: &[usize], movable: bool| {
            let mut servers = [server(0, 8, 0), server(1, b, 0), server(2, c, 0)];
            servers[2].movable = movable;
            let mut layout = Layout::new(&hosts, &servers);
            let seated = seat(&mut layout, 0, barred);
            assert!(seated.is_some() || layout.at(0) == 0, "nothing has changed");
            seated
        };
        assert_eq!(seated(8, 4, &[0], true), Some((1, vec![step(0, 0, 1)])), "both are as full");
        assert_eq!(seated(7, 4, &[0], true), Some((1, vec![step(0, 0, 2)])));
        assert_eq!(seated(7, 4, &[0, 2], true), Some((1, vec![step(0, 0, 1)])));
        // The second spare has 7 GB, the first 6: who holds 5 there moves.
        let cleared = vec![step(2, 2, 1), step(0, 0, 2)];
        assert_eq!(seated(10, 5, &[0], true), Some((1_000_002, cleared)));
        assert_eq!(seated(10, 5, &[0], false), None);
        assert_eq!(seated(10, 5, &[0, 2], true), None);
    }

    #[test]
    fn as_few_leave_as_make_room() {
        // Only the last takes the first kind; the others there may go to the second.
        let hosts = [host(16, &[0], true), host(16, &[1], false), host(12, &[0, 1], false)];
        let servers = [server(0, 10, 0), server(2, 2, 1), server(2, 6, 1)];
        let mut layout = Layout::new(&hosts, &servers);
        let moves = vec![step(2, 2, 1), step(0, 0, 2)];
        assert_eq!(seat(&mut layout, 0, &[0]), Some((1_000_002, moves)));
        assert_eq!([layout.at(0), layout.at(1), layout.at(2)], [2, 2, 1]);
        assert_eq!([layout.restarts(0), layout.restarts(1), layout.restarts(2)], [1, 0, 1]);
    }

    #[test]
    fn others_move_out_of_the_way_of_others() {
        // The only host for the first kind is full of the second, whose host is full of the third.
        let hosts = [
            host(8, &[0], true),
            host(8, &[0, 1], false),
            host(8, &[1, 2], false),
            host(8, &[2], false),
        ];
        let servers = [server(0, 8, 0), server(1, 8, 1), server(2, 8, 2)];
        let mut layout = Layout::new(&hosts, &servers);
        let moves = vec![step(2, 2, 3), step(1, 1, 2), step(0, 0, 1)];
        assert_eq!(seat(&mut layout, 0, &[0]), Some((2_000_003, moves)));
    }
}
