//! A rolling reboot of many hosts as one plan: which host next, and where its servers go.
//!
//! Every server on a host that is rebooted restarts once; the art is that none restarts twice. It
//! does not if it goes to a host that was rebooted already or never is (a *safe* host). After the
//! first reboot there always is an empty safe host, which takes all that runs on the next host of
//! its size, so what costs extra is the beginning: the first host is the one that is emptied at
//! the lowest price, counting the servers that are moved to make room.

use std::cmp::Reverse;

use super::layout::Layout;
use super::make_room::{self, Price};
use super::{Host, Move, Server, pack, size};

/// How many hosts are emptied on paper to find the cheapest, when each costs something: the most
/// promising ones. With hundreds of hosts many are alike.
const MOST_TRIED: usize = 48;

/// Who says in which order hosts are rebooted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The caller: as listed.
    Given,
    /// The planner.
    Free,
}

/// The plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// One for each host that is rebooted, in the order of reboots.
    pub turns: Vec<Turn>,
    /// How often each server restarts.
    pub restarts: Vec<u32>,
}

/// What happens until one host can be rebooted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The position of the host.
    pub host: usize,
    /// In this order, one after the other: each has room when those before it are done.
    pub moves: Vec<Move>,
    /// Servers for which no host has room. They restart where they are, with the host.
    pub stuck: Vec<usize>,
}

/// What a plan costs; less is better. Field order is policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost {
    /// Servers that go down with their host for want of room.
    pub stuck: usize,
    /// All restarts.
    pub restarts: u64,
    /// Restarts of the server that restarts most.
    pub worst: u32,
}

impl Plan {
    /// What it costs.
    pub fn cost(&self) -> Cost {
        Cost {
            stuck: self.turns.iter().map(|turn| turn.stuck.len()).sum(),
            restarts: self.restarts.iter().map(|&count| u64::from(count)).sum(),
            worst: self.restarts.iter().copied().max().unwrap_or(0),
        }
    }
}

/// Plans the reboot of all hosts that are to be rebooted. Positions in the plan are those of the
/// lists; a server whose host is not listed is left out.
pub fn plan(hosts: &[Host], servers: &[Server], order: Order) -> Plan {
    let mut layout = Layout::new(hosts, servers);
    let mut left: Vec<usize> = (0..hosts.len()).filter(|&host| hosts[host].reboots).collect();
    let mut turns = Vec::with_capacity(left.len());
    if order == Order::Given {
        layout.settle_turns();
    }
    while !left.is_empty() {
        let next = match order {
            Order::Given => emptied(&layout, left[0]),
            Order::Free => cheapest(&layout, &left),
        };
        left.retain(|&host| host != next.turn.host);
        layout = next.layout;
        turns.push(next.turn);
    }
    Plan { turns, restarts: (0..servers.len()).map(|server| layout.restarts(server)).collect() }
}

/// What happens until the first of the hosts that are to be rebooted is empty.
pub fn first_turn(hosts: &[Host], servers: &[Server]) -> Option<Turn> {
    let mut layout = Layout::new(hosts, servers);
    layout.settle_turns();
    let first = hosts.iter().position(|host| host.reboots)?;
    Some(emptied(&layout, first).turn)
}

/// A host is rebooted: what happened, what it cost, and what is where afterwards.
struct Emptied<'a> {
    turn: Turn,
    price: Price,
    layout: Layout<'a>,
}

impl Emptied<'_> {
    fn cost(&self) -> (usize, Price) {
        (self.turn.stuck.len(), self.price)
    }
}

/// The host to be rebooted next: one that costs nothing extra, of these the one that makes the
/// largest room safe, then the emptiest; if there is none, the one that costs least.
fn cheapest<'a>(layout: &Layout<'a>, left: &[usize]) -> Emptied<'a> {
    let mut preferred = left.to_vec();
    preferred.sort_by_key(|&host| {
        let room = size(&layout.hosts()[host].room);
        (Reverse(room), Reverse(size(&layout.free(host))), host)
    });
    let for_nothing = preferred.iter().find_map(|&host| emptied_for_nothing(layout, host));
    if let Some(emptied) = for_nothing {
        return emptied;
    }
    // Every server that has to go to a host that reboots later costs a restart more, so hosts
    // with few servers come first, and most of the others need not be looked at.
    preferred.sort_by_cached_key(|&host| least_price(layout, host));
    let mut best = emptied(layout, preferred[0]);
    for &host in preferred[1..].iter().take(MOST_TRIED) {
        if best.turn.stuck.is_empty() && best.price < least_price(layout, host) + make_room::EXTRA {
            break;
        }
        let other = emptied(layout, host);
        if other.cost() < best.cost() {
            best = other;
        }
    }
    best
}

/// What emptying a host costs at least: a restart more for each server that fits on no safe host,
/// and one for whoever makes room for it if it fits nowhere.
fn least_price(layout: &Layout, host: usize) -> Price {
    let least = |server: usize| {
        let others = (0..layout.hosts().len()).filter(|&other| other != host);
        let fitting = others.filter(|&other| layout.fits(server, other));
        match fitting.map(|other| layout.is_safe(other)).max() {
            Some(true) => 0,
            Some(false) => make_room::EXTRA,
            None => 2 * make_room::EXTRA,
        }
    };
    layout.on(host).into_iter().map(least).sum()
}

fn safe_hosts(layout: &Layout) -> Vec<usize> {
    (0..layout.hosts().len()).filter(|&host| layout.is_safe(host)).collect()
}

/// Empties a host at the lowest price found.
fn emptied<'a>(layout: &Layout<'a>, host: usize) -> Emptied<'a> {
    if let Some(emptied) = emptied_for_nothing(layout, host) {
        return emptied;
    }
    // The large ones first find their holes intact; the small ones first are more that find a
    // safe place. Neither is always better.
    let mut servers = layout.on(host);
    let large_first = emptied_in_turn(layout, host, &servers);
    servers.reverse();
    let small_first = emptied_in_turn(layout, host, &servers);
    if small_first.cost() < large_first.cost() { small_first } else { large_first }
}

/// Empties a host onto safe ones alone, if they take all of its servers.
fn emptied_for_nothing<'a>(layout: &Layout<'a>, host: usize) -> Option<Emptied<'a>> {
    let servers = layout.on(host);
    let targets = pack::together(layout, &servers, &safe_hosts(layout))?;
    let mut layout = layout.clone();
    let moves =
        servers.into_iter().zip(targets).map(|(server, to)| layout.carry(server, to)).collect();
    layout.make_safe(host);
    Some(Emptied { turn: Turn { host, moves, stuck: Vec::new() }, price: 0, layout })
}

/// Empties a host server by server, making room where there is none.
fn emptied_in_turn<'a>(layout: &Layout<'a>, host: usize, servers: &[usize]) -> Emptied<'a> {
    let mut layout = layout.clone();
    let (mut price, mut moves, mut stuck) = (0, Vec::new(), Vec::new());
    for &server in servers {
        match make_room::seat(&mut layout, server, &[host]) {
            Some((more, mut others)) => {
                price += more;
                moves.append(&mut others);
            }
            None => stuck.push(server),
        }
    }
    for &server in &stuck {
        layout.restart_in_place(server);
    }
    layout.make_safe(host);
    Emptied { turn: Turn { host, moves, stuck }, price, layout }
}
