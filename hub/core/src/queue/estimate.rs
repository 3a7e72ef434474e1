//! When a waiting request may start: a span within which half of such waits end.
//!
//! A place comes free when a server ends. How much longer a server that has lived for some time goes
//! on is read from the lives of those before it that lived at least as long; an idle limit that is
//! running bounds it. The quarter and three-quarter points of that, of the server whose end will
//! make the place, are the span.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use berth_common::{Seconds, Timestamp};

use crate::decision::Estimate;
use crate::fleet::{Fleet, Placement, Server};
use crate::placement::Need;

/// Lives that are remembered, by pool.
const REMEMBERED: usize = 512;
/// Fewer known lives than this give no estimate: a wrong one is worse than none.
const LEAST: usize = 8;

/// How long servers lived, by pool, newest last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lives {
    by_pool: Arc<BTreeMap<String, VecDeque<u32>>>,
}

impl Lives {
    /// Notes how long a server held its place.
    pub fn note(&mut self, pool: &str, life: Seconds) {
        let lives = Arc::make_mut(&mut self.by_pool).entry(pool.to_owned()).or_default();
        lives.push_back(u32::try_from(life.0).unwrap_or(u32::MAX));
        if lives.len() > REMEMBERED {
            lives.pop_front();
        }
    }

    /// The quarter and three-quarter points of how much longer a server of this age goes on.
    fn rest(&self, pool: &str, age_s: u32) -> Option<(u32, u32)> {
        let lives = self.by_pool.get(pool).filter(|lives| lives.len() >= LEAST)?;
        let mut rests: Vec<_> = lives.iter().filter_map(|life| life.checked_sub(age_s)).collect();
        rests.sort_unstable();
        let at = |quarter: usize| rests.get(rests.len() * quarter / 4).copied();
        at(1).zip(at(3))
    }
}

/// When a request with so many before it may start; `None` when too little is known.
pub fn estimate(fleet: &Fleet, need: &Need, ahead: u32, now: Timestamp) -> Option<Estimate> {
    let (mut soonest, mut latest) = (Vec::new(), Vec::new());
    for server in fleet.servers.values() {
        let Some(placement) = server.placement().filter(|placement| frees(fleet, placement, need))
        else {
            continue;
        };
        let age = u32::try_from(now.millis_since(placement.placed_at) / 1000).unwrap_or(u32::MAX);
        let Some((low, high)) = fleet.lives.rest(&need.pool, age) else { continue };
        let idle_end = idle_end(fleet, server, now).unwrap_or(u32::MAX);
        soonest.push(low.min(idle_end));
        latest.push(high.min(idle_end));
    }
    soonest.sort_unstable();
    latest.sort_unstable();
    let nth = usize::try_from(ahead).ok()?;
    let (from, to) = (soonest.get(nth)?, latest.get(nth)?);
    Some(Estimate { from: Seconds(u64::from(*from)), to: Seconds(u64::from(*to)) })
}

/// Whether the end of a server gives back what is needed: a GPU, or memory of the same pool.
fn frees(fleet: &Fleet, placement: &Placement, need: &Need) -> bool {
    let declared = fleet.settings.hosts.get(&placement.host);
    let same = declared.is_some_and(|declared| declared.pool == need.pool);
    same && (need.gpus == 0 || !placement.gpus.is_empty())
}

/// In how many seconds its idle limit ends a server, if nobody comes back to it.
fn idle_end(fleet: &Fleet, server: &Server, now: Timestamp) -> Option<u32> {
    let stop = crate::life::stops_at(&fleet.settings, server, now)?;
    u32::try_from(stop.millis_since(now) / 1000).ok()
}
