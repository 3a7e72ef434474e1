//! Rolling reboots as one plan.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use berth_core::drain::reboot::{Order, Plan, plan};
use berth_core::drain::{Host, Server};

use super::random::{Random, cases, gigabytes};

fn fleet(random: &mut Random, hosts: u64, spares: u64, asked: u64) -> (Vec<Host>, Vec<Server>) {
    let hosts: Vec<Host> = (0..hosts + spares)
        .map(|host| Host {
            room: gigabytes(random.pick(&[8, 16, 16, 16])),
            takes: random.pick(&[&[0, 1][..], &[0, 1], &[0]]).to_vec(),
            reboots: host < hosts,
        })
        .collect();
    let mut servers = Vec::new();
    for _ in 0..asked {
        let server = Server {
            host: random.below(hosts.len() as u64) as usize,
            need: gigabytes(random.pick(&[1, 2, 3, 4, 7, 8])),
            kind: random.pick(&[0, 0, 1]),
            movable: true,
        };
        let host = &hosts[server.host];
        let used: u64 = on(&servers, server.host).map(|server| server.need.memory.0).sum();
        if used + server.need.memory.0 <= host.room.memory.0 && host.takes.contains(&server.kind) {
            servers.push(server);
        }
    }
    (hosts, servers)
}

fn on(servers: &[Server], host: usize) -> impl Iterator<Item = &Server> {
    servers.iter().filter(move |server| server.host == host)
}

/// Carries a plan out, and finds fault with it.
fn follow(hosts: &[Host], servers: &[Server], plan: &Plan) {
    let mut at: Vec<usize> = servers.iter().map(|server| server.host).collect();
    let mut restarts = vec![0; servers.len()];
    let mut rebooted: Vec<bool> = hosts.iter().map(|host| !host.reboots).collect();
    for turn in &plan.turns {
        for step in &turn.moves {
            let server = &servers[step.server];
            assert_eq!(at[step.server], step.from);
            assert_ne!(step.from, step.to);
            assert_ne!(step.to, turn.host, "nobody goes where the reboot is next");
            assert!(hosts[step.to].takes.contains(&server.kind));
            // Both hosts hold it during the hand-over: it is still counted where it was.
            let held = (0..servers.len()).filter(|&other| at[other] == step.to);
            let held: u64 = held.map(|other| servers[other].need.memory.0).sum();
            assert!(held + server.need.memory.0 <= hosts[step.to].room.memory.0);
            at[step.server] = step.to;
            restarts[step.server] += 1;
        }
        for &server in &turn.stuck {
            assert_eq!(at[server], turn.host);
            restarts[server] += 1;
        }
        let left = (0..servers.len()).filter(|&server| at[server] == turn.host).count();
        assert_eq!(left, turn.stuck.len(), "the host is empty but for the stuck");
        assert!(!rebooted[turn.host], "no host twice");
        rebooted[turn.host] = true;
    }
    assert!(rebooted.iter().all(|done| *done), "no host is forgotten");
    assert_eq!(restarts, plan.restarts);
}

/// The least (stuck, restarts) of any sequence of moves, hosts in the order of the list.
fn least(hosts: &[Host], servers: &[Server]) -> (usize, u64) {
    let order: Vec<usize> = (0..hosts.len()).filter(|&host| hosts[host].reboots).collect();
    let start: Vec<usize> = servers.iter().map(|server| server.host).collect();
    let mut known: BTreeMap<(usize, Vec<usize>), (usize, u64)> = BTreeMap::new();
    let mut open = BinaryHeap::from([Reverse(((0, 0), 0, start))]);
    while let Some(Reverse((cost, done, at))) = open.pop() {
        if done == order.len() {
            return cost;
        }
        if known.insert((done, at.clone()), cost).is_some() {
            continue;
        }
        let free = |host: usize| {
            let held = (0..servers.len()).filter(|&server| at[server] == host);
            hosts[host].room.memory.0
                - held.map(|server| servers[server].need.memory.0).sum::<u64>()
        };
        let free: Vec<u64> = (0..hosts.len()).map(free).collect();
        let mut go = |cost, done, at: Vec<usize>| {
            if !known.contains_key(&(done, at.clone())) {
                open.push(Reverse((cost, done, at)));
            }
        };
        let stuck = at.iter().filter(|&&host| host == order[done]).count();
        go((cost.0 + stuck, cost.1 + stuck as u64), done + 1, at.clone());
        for (server, wanted) in servers.iter().enumerate() {
            for (host, free) in free.iter().enumerate() {
                let takes = hosts[host].takes.contains(&wanted.kind);
                if host != at[server] && takes && wanted.need.memory.0 <= *free {
                    let mut at = at.clone();
                    at[server] = host;
                    go((cost.0, cost.1 + 1), done, at);
                }
            }
        }
    }
    unreachable!("all hosts can be rebooted, at worst with everybody stuck")
}

#[test]
fn every_plan_can_be_carried_out() {
    let mut random = Random(1);
    for _ in 0..cases(300, 3_000) {
        let (count, spares) = (2 + random.below(12), random.below(3));
        let (hosts, servers) = fleet(&mut random, count, spares, count * 5);
        for order in [Order::Given, Order::Free] {
            follow(&hosts, &servers, &plan(&hosts, &servers, order));
        }
    }
}

#[test]
fn small_plans_are_close_to_the_best_there_is() {
    let (mut random, mut best, mut ours, mut alike) = (Random(2), (0, 0), (0, 0), 0);
    let count = cases(400, 4_000);
    for _ in 0..count {
        let spares = random.below(2);
        let (hosts, servers) = fleet(&mut random, 3, spares, 9);
        let servers = &servers[..servers.len().min(6)];
        let cost = plan(&hosts, servers, Order::Given).cost();
        let found = (cost.stuck, cost.restarts);
        let least = least(&hosts, servers);
        assert!(least <= found, "better than the best");
        alike += u64::from(least == found);
        best = (best.0 + least.0, best.1 + least.1);
        ours = (ours.0 + found.0, ours.1 + found.1);
    }
    println!("{count} fleets: best {best:?}, ours {ours:?} (stuck, restarts), alike {alike}");
    assert!(alike * 100 >= count * 95, "{alike} of {count}");
}

#[test]
fn a_spare_and_equal_hosts_mean_one_restart_each() {
    let mut random = Random(3);
    for _ in 0..cases(100, 1_000) {
        let (mut hosts, mut servers) = fleet(&mut random, 20, 1, 120);
        hosts.iter_mut().for_each(|host| host.room = gigabytes(16));
        hosts.iter_mut().for_each(|host| host.takes = vec![0, 1]);
        servers.retain(|server| hosts[server.host].reboots);
        for order in [Order::Given, Order::Free] {
            let cost = plan(&hosts, &servers, order).cost();
            assert_eq!((cost.stuck, cost.restarts), (0, servers.len() as u64));
            assert_eq!(cost.worst, 1);
        }
    }
}

#[test]
fn busy_servers_are_not_moved_for_others() {
    // Host 0 holds 8; host 1 has 6 free and could make room only by moving its busy 4.
    let host = |room, reboots| Host { room: gigabytes(room), takes: vec![0], reboots };
    let server = |host, need, movable| Server { host, need: gigabytes(need), kind: 0, movable };
    let hosts = [host(16, true), host(10, false), host(4, false)];
    let mut servers = [server(0, 8, true), server(1, 4, false)];
    let stuck = |servers: &[Server]| plan(&hosts, servers, Order::Given).turns[0].stuck.clone();
    assert_eq!(stuck(&servers), [0]);
    servers[1].movable = true;
    assert!(stuck(&servers).is_empty());
}
