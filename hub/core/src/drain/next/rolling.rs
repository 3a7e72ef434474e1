//! A rolling reboot, step by step: each host's moves are planned when its turn begins, and
//! followed as its servers become quiet.

use berth_common::{HostId, Resources, ServerId, Timestamp};

use super::{Step, View, may_start, staying, was_told};
use crate::drain::intent::{Emptying, Handover, Intent, State};
use crate::drain::reboot::{self, Cost, Order};
use crate::drain::{Host, Server};

/// What a rolling reboot will do, if nothing changes meanwhile: to be shown before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// One host after the other.
    pub turns: Vec<TurnForecast>,
    /// What it costs.
    pub cost: Cost,
}

/// What happens until one host can be rebooted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnForecast {
    /// The host.
    pub host: HostId,
    /// Which servers are restarted where, one after the other.
    pub moves: Vec<Handover>,
    /// Servers for which no host has room: they go down with theirs.
    pub stuck: Vec<ServerId>,
}

/// The best order in which to reboot hosts.
pub fn order(view: &View, hosts: &[HostId]) -> Vec<HostId> {
    let mut sheet = Sheet::new(view);
    for host in hosts {
        sheet.add(host, true);
    }
    sheet.add_spares(|_| true);
    sheet.plan(Order::Free).into_iter().map(|turn| turn.host).collect()
}

/// What a rolling reboot will do.
pub fn forecast(intent: &Intent, view: &View) -> Forecast {
    let sheet = Sheet::of_intent(intent, view, None);
    let plan = reboot::plan(&sheet.hosts, &sheet.servers, Order::Given);
    let cost = plan.cost();
    Forecast { turns: sheet.named(plan), cost }
}

/// Where the servers of a host go whose turn begins.
pub(super) fn moves(intent: &Intent, view: &View, host: &HostId, now: Timestamp) -> Vec<Handover> {
    if !view.hosts.contains_key(host) {
        return Vec::new();
    }
    let sheet = Sheet::of_intent(intent, view, Some(now));
    let turn = reboot::first_turn(&sheet.hosts, &sheet.servers);
    let turns = sheet.named(reboot::Plan { turns: turn.into_iter().collect(), restarts: vec![] });
    turns.into_iter().flat_map(|turn| turn.moves).collect()
}

/// The next of the moves that can be made now; a new plan if the old one leads nowhere.
pub(super) fn step(
    intent: &Intent,
    view: &View,
    host: &HostId,
    emptying: &Emptying,
    now: Timestamp,
) -> Option<Step> {
    let quiet = |server: &ServerId| {
        let about = &view.servers[server].about;
        !about.is_busy(now) && about.may_restart
    };
    let remaining: Vec<&Handover> = emptying
        .moves
        .iter()
        .filter(|handover| {
            let server = view.servers.get(&handover.server);
            server.is_some_and(|server| server.host == handover.from && server.stays())
        })
        .collect();
    let due = remaining.iter().find(|handover| {
        quiet(&handover.server)
            && was_told(intent, &handover.server, &handover.from, now)
            && has_room(view, handover)
            && !intent.is_closed(&handover.to)
    });
    match due {
        Some(handover) if may_start(intent, view) => {
            return Some(Step::Restart((*handover).clone()));
        }
        Some(_) => return None,
        None => {}
    }
    // Servers that are quiet and have a host to go to will go there when its room is free. If
    // nothing is on its way, that will not happen by itself.
    let settled = view.servers.values().all(|server| server.moving_to.is_none());
    let waiting = staying(view, host).any(|(id, _)| quiet(id) && was_told(intent, id, host, now));
    if !settled || !waiting {
        return None;
    }
    let moves = moves(intent, view, host, now);
    let better = moves != emptying.moves && !moves.is_empty();
    better.then(|| Step::Begin {
        host: host.clone(),
        emptying: Emptying { moves, ..emptying.clone() },
    })
}

fn has_room(view: &View, handover: &Handover) -> bool {
    let (Some(host), Some(server)) =
        (view.hosts.get(&handover.to), view.servers.get(&handover.server))
    else {
        return false;
    };
    let used: Resources = view.held(&handover.to).map(|server| server.about.need).sum();
    host.open
        && host.takes.contains(&server.about.kind)
        && used.plus(&server.about.need).fits(&host.room)
}

/// The view as the planner wants it, with the names of its positions.
struct Sheet<'a> {
    view: &'a View,
    host_ids: Vec<HostId>,
    hosts: Vec<Host>,
    server_ids: Vec<ServerId>,
    servers: Vec<Server>,
}

impl<'a> Sheet<'a> {
    fn new(view: &'a View) -> Self {
        Self {
            view,
            host_ids: Vec::new(),
            hosts: Vec::new(),
            server_ids: Vec::new(),
            servers: Vec::new(),
        }
    }

    /// The hosts that are still to be rebooted in their order, then all others. At a moment only
    /// quiet servers are moved out of the way of others.
    fn of_intent(intent: &Intent, view: &'a View, at: Option<Timestamp>) -> Self {
        let mut sheet = Self::new(view);
        let due = intent.turns.iter().filter(|turn| turn.state != State::Done);
        for turn in due {
            sheet.add(&turn.host, true);
        }
        sheet.add_spares(|host| intent.position(host).is_none());
        if let Some(now) = at {
            for (id, server) in sheet.server_ids.iter().zip(&mut sheet.servers) {
                let seen = &view.servers[id];
                server.movable = seen.stays() && seen.about.may_restart && !seen.about.is_busy(now);
            }
        }
        sheet
    }

    fn add_spares(&mut self, wanted: impl Fn(&HostId) -> bool) {
        let view = self.view;
        for host in view.hosts.keys().filter(|host| wanted(host)) {
            if !self.host_ids.contains(host) {
                self.add(host, false);
            }
        }
    }

    /// Adds a host with what is there. One that is not open takes nothing. A server on its way
    /// counts where it goes; where it comes from its room is not free yet.
    fn add(&mut self, host: &HostId, reboots: bool) {
        let Some(seen) = self.view.hosts.get(host) else { return };
        let position = self.hosts.len();
        let mut room = seen.room;
        for (id, server) in &self.view.servers {
            let to = server.moving_to.as_ref().unwrap_or(&server.host);
            if to == host {
                self.server_ids.push(id.clone());
                self.servers.push(Server {
                    host: position,
                    need: server.about.need,
                    kind: server.about.kind,
                    movable: true,
                });
            } else if server.host == *host {
                room = room.minus(&server.about.need);
            }
        }
        let takes = if seen.open { seen.takes.clone() } else { Vec::new() };
        self.host_ids.push(host.clone());
        self.hosts.push(Host { room, takes, reboots });
    }

    fn plan(self, order: Order) -> Vec<TurnForecast> {
        let plan = reboot::plan(&self.hosts, &self.servers, order);
        self.named(plan)
    }

    /// A plan in names.
    fn named(&self, plan: reboot::Plan) -> Vec<TurnForecast> {
        let server = |position: usize| self.server_ids[position].clone();
        let host = |position: usize| self.host_ids[position].clone();
        plan.turns
            .into_iter()
            .map(|turn| TurnForecast {
                host: host(turn.host),
                moves: turn
                    .moves
                    .into_iter()
                    .map(|step| Handover {
                        server: server(step.server),
                        from: host(step.from),
                        to: host(step.to),
                    })
                    .collect(),
                stuck: turn.stuck.into_iter().map(server).collect(),
            })
            .collect()
    }
}
