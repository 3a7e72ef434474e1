//! Which server is where, and what is free: the planners' scratch paper.

use berth_common::Resources;

use super::{Host, Kind, Move, Server, size};

/// Servers on hosts, changed move by move.
#[derive(Debug, Clone)]
pub(super) struct Layout<'a> {
    hosts: &'a [Host],
    servers: &'a [Server],
    at: Vec<usize>,
    on: Vec<Vec<usize>>,
    free: Vec<Resources>,
    restarts: Vec<u32>,
    /// Hosts on which a server may stay: spares, and those that were rebooted.
    safe: Vec<bool>,
    /// When each host is rebooted, as far as that is settled: the highest is last. All alike while
    /// it is not.
    turn: Vec<usize>,
}

impl<'a> Layout<'a> {
    /// Where they are at first. A server of an unknown host is nowhere.
    pub fn new(hosts: &'a [Host], servers: &'a [Server]) -> Self {
        let mut on = vec![Vec::new(); hosts.len()];
        let mut free: Vec<_> = hosts.iter().map(|host| host.room).collect();
        for (index, server) in servers.iter().enumerate() {
            if let (Some(on), Some(free)) = (on.get_mut(server.host), free.get_mut(server.host)) {
                on.push(index);
                *free = free.minus(&server.need);
            }
        }
        Self {
            hosts,
            servers,
            at: servers.iter().map(|server| server.host).collect(),
            on,
            free,
            restarts: vec![0; servers.len()],
            safe: hosts.iter().map(|host| !host.reboots).collect(),
            turn: vec![0; hosts.len()],
        }
    }

    pub fn hosts(&self) -> &'a [Host] {
        self.hosts
    }

    pub fn server(&self, server: usize) -> &'a Server {
        &self.servers[server]
    }

    pub fn at(&self, server: usize) -> usize {
        self.at[server]
    }

    /// The servers on a host, the largest first.
    pub fn on(&self, host: usize) -> Vec<usize> {
        let mut on = self.on[host].clone();
        on.sort_by_key(|&server| (std::cmp::Reverse(size(&self.server(server).need)), server));
        on
    }

    pub fn free(&self, host: usize) -> Resources {
        self.free[host]
    }

    pub fn restarts(&self, server: usize) -> u32 {
        self.restarts[server]
    }

    pub fn is_safe(&self, host: usize) -> bool {
        self.safe[host]
    }

    /// The place of a host that may still be rebooted in the order of reboots.
    pub fn turn(&self, host: usize) -> usize {
        if self.safe[host] { 0 } else { self.turn[host] }
    }

    /// Settles the order: each host is rebooted at its position in the list.
    pub fn settle_turns(&mut self) {
        self.turn = (0..self.hosts.len()).collect();
    }

    pub fn make_safe(&mut self, host: usize) {
        self.safe[host] = true;
    }

    /// Whether a host may take this kind.
    pub fn takes(&self, host: usize, kind: Kind) -> bool {
        self.hosts[host].takes.contains(&kind)
    }

    /// Whether a host may take this server and has room for it.
    pub fn fits(&self, server: usize, host: usize) -> bool {
        let Server { need, kind, .. } = self.server(server);
        self.takes(host, *kind) && need.fits(&self.free[host])
    }

    /// Moves a server: one restart.
    pub fn carry(&mut self, server: usize, to: usize) -> Move {
        let from = self.at[server];
        let need = self.server(server).need;
        self.on[from].retain(|&other| other != server);
        self.free[from] = self.free[from].plus(&need);
        self.on[to].push(server);
        self.free[to] = self.free[to].minus(&need);
        self.at[server] = to;
        self.restarts[server] += 1;
        Move { server, from, to }
    }

    /// A server that is restarted with its host, where it is.
    pub fn restart_in_place(&mut self, server: usize) {
        self.restarts[server] += 1;
    }
}
