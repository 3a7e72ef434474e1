//! Idle stretches: what would only be heartbeats that say the same again is skipped. Time goes on by
//! so much for everybody, and the hub has heard of every host as lately as before.

use std::sync::Arc;

use berth_common::{Seconds, Timestamp};

use crate::world::World;
use crate::world::hub::Hub;
use crate::world::nature::Happening;
use crate::world::schedule::later;

/// Nothing but heartbeats for this long: several of each host.
const QUIET: Seconds = Seconds(20);
/// Silence of a host for longer than this is news, which is awaited.
const FRESH: Seconds = Seconds(11);
/// The longest and the shortest stretch that is skipped at once.
const SKIPS_US: std::ops::RangeInclusive<u64> = 10_000_000..=600_000_000;

impl World {
    /// Skips to shortly before the next thing that is more than a heartbeat, if all is quiet.
    pub(super) fn skip_idle(&mut self) {
        let now = self.nature.schedule.now();
        if !self.nature.skips_idle || now < self.nature.restless_at.plus(QUIET) {
            return;
        }
        // Whatever comes of it, the next look is some heartbeats later.
        self.nature.restless_at = now;
        let settled = self.hub.is_settled(now)
            && self.hub.paused_until <= now
            && self.nature.cuts.iter().all(|cut| !cut.up && !cut.down)
            && self.machines.iter().all(|machine| machine.is_settled(now));
        if !settled {
            return;
        }
        let next = self.nature.schedule.first_at(|happening| !happening.is_regular());
        let until = next.unwrap_or(Timestamp(i64::MAX)).min(self.nature.ends_at);
        let span = u64::try_from(until.0.saturating_sub(now.0)).unwrap_or(0);
        let span = span.saturating_sub(1_000_000).min(*SKIPS_US.end());
        if span < *SKIPS_US.start() {
            return;
        }
        self.nature.schedule.skip(span, Happening::is_regular);
        self.hub.hears_as_lately(span);
        self.nature.skipped_us += span;
        self.nature.transcript.mix(span);
    }
}

impl Hub {
    /// Whether nothing is on its way and every host was heard of lately.
    fn is_settled(&self, now: Timestamp) -> bool {
        let fresh = |at: Timestamp| now <= at.plus(FRESH);
        self.fleet().is_some_and(|fleet| {
            self.hosts().all(|host| {
                let heard = fleet.hosts.get(host).and_then(|host| host.heard.as_ref());
                heard.is_some_and(|heard| fresh(heard.at) && heard.engine_trouble.is_none())
            })
        })
    }

    /// So much time has passed in which every host said the same again.
    fn hears_as_lately(&mut self, micros: u64) {
        let Some(reign) = &mut self.reign else { return };
        for host in reign.fleet.hosts.values_mut() {
            if let Some(heard) = &mut Arc::make_mut(host).heard {
                let heard = Arc::make_mut(heard);
                heard.at = later(heard.at, micros);
            }
        }
    }
}
