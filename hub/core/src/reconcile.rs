//! What each host should do: a plain function of the fleet. Nothing is told as a difference, so
//! whatever was lost, doubled or reordered on the way is mended by the next message.

use std::collections::BTreeMap;

use berth_common::link::Limit;
use berth_common::{Generation, HostId, ServerId};

use crate::fleet::{Fleet, Host, Phase, Server};

/// What a host should do about one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Which start of it.
    pub generation: Generation,
    /// What.
    pub what: What,
    /// Its memory limit, if that was changed while it runs.
    pub limit: Option<Limit>,
}

/// The verdict on one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Make it run; create it if it is not there.
    Run,
    /// It has answered: leave it running, and do not make it anew if it is gone, since that
    /// would be another notebook without the person's kernels.
    Keep,
    /// End it and remove it.
    Stop,
}

/// All orders for one host. Containers that get none are strays: left alone and reported.
pub fn orders(fleet: &Fleet, host: &HostId) -> BTreeMap<ServerId, Order> {
    let mut orders: BTreeMap<_, _> = fleet
        .placed_on(host)
        .map(|(server, placement)| {
            let what = if placement.stop.is_some() {
                What::Stop
            } else if server.is_kept() {
                What::Keep
            } else {
                What::Run
            };
            let resize = placement.resize.as_ref().filter(|_| what == What::Keep);
            let limit = resize.map(|resize| resize.limit);
            (server.id.clone(), Order { generation: server.generation, what, limit })
        })
        .collect();
    if let Some(host) = fleet.hosts.get(host) {
        for (server, generation) in leftovers(fleet, host) {
            orders.entry(server).or_insert(Order { generation, what: What::Stop, limit: None });
        }
    }
    orders
}

/// Containers on a host that their server has outlived: of an earlier start, of a start elsewhere,
/// or of one that was released. Stop is final, so they end. A container whose generation is
/// higher than any we know is not among them: then it is our memory that is old.
pub fn leftovers(fleet: &Fleet, host: &Host) -> Vec<(ServerId, Generation)> {
    let Some(heard) = &host.heard else { return Vec::new() };
    let outlived = |seen: &berth_common::link::Observed, server: &Server| match &server.phase {
        Phase::Placed(placement) if placement.host == host.id => {
            seen.generation < server.generation
        }
        _ => seen.generation <= server.generation,
    };
    let mut found: Vec<_> = heard
        .observed
        .values()
        .filter(|seen| fleet.servers.get(&seen.server).is_some_and(|server| outlived(seen, server)))
        .map(|seen| (seen.server.clone(), seen.generation))
        .collect();
    found.sort();
    found
}
