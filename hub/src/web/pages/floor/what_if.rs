//! What if a host went: where its servers would find room, by the rules that place servers.

use std::collections::BTreeSet;

use berth_common::{HostId, ServerId, Timestamp};
use berth_core::Fleet;

use super::words;
use crate::plan::{self, Counting};

/// The outcome.
pub struct WhatIf {
    pub host: String,
    pub known: bool,
    pub fit: usize,
    pub of: usize,
    /// The servers, those that fit nowhere first.
    pub movers: Vec<Moved>,
    nowhere: BTreeSet<ServerId>,
}

/// A server that would have to go.
pub struct Moved {
    pub id: String,
    pub owner: String,
    pub memory: String,
    pub gpus: usize,
    /// Where it would go; `None`: nowhere.
    pub to: Option<String>,
}

impl WhatIf {
    /// The fleet without a host.
    pub fn of(fleet: &Fleet, host: &HostId, now: Timestamp) -> Self {
        let removed = BTreeSet::from([host.clone()]);
        let all = plan::movers(fleet, &removed, now);
        let mut floor = plan::without(&fleet.floor, &removed);
        let settings = plan::counted(&fleet.settings, Counting::AsConfigured);
        let needs = all.iter().map(|mover| (&mover.need, &mover.held));
        let places = plan::place_all(&mut floor, &settings, &fleet.prices, needs);
        let lost = all.iter().zip(&places).filter(|(_, place)| place.is_none());
        let nowhere = lost.map(|(mover, _)| mover.held.server.clone()).collect();
        let moved = all.iter().zip(&places).map(|(mover, place)| Moved {
            id: mover.held.server.to_string(),
            owner: mover.held.owner.to_string(),
            memory: words::short(mover.held.memory.limit),
            gpus: mover.held.gpus.len(),
            to: place.as_ref().map(ToString::to_string),
        });
        let mut movers: Vec<_> = moved.collect();
        movers.sort_by_key(|moved| moved.to.is_some());
        Self {
            host: host.to_string(),
            known: fleet.floor.host(host).is_some(),
            fit: places.iter().flatten().count(),
            of: places.len(),
            movers,
            nowhere,
        }
    }

    /// Those that fit nowhere.
    pub fn nowhere(&self) -> BTreeSet<ServerId> {
        self.nowhere.clone()
    }
}
