//! When a waiting request may start: a span within which half of such waits end.
//!
//! Places come free when servers end. How likely each of them is to end within some time is read
//! from the curve of [`super::lives`], at its age; an idle limit that is running may end it sooner.
//! The sum of that over all servers whose end gives room is how many places come free in that time;
//! what is foreseen is the time in which as many come as are needed.
//!
//! The span around it comes from how the last waits turned out beside what was foreseen for them
//! ([`super::waits`]): sizes differ, others come and go, and no formula knows by how much. Until
//! enough is known of that it is as if places came free independently (Poisson).

use berth_common::{Seconds, Timestamp};

use super::lives::{Curve, seconds};
use crate::decision::Estimate;
use crate::fleet::{Fleet, Placement, Server};
use crate::life;
use crate::placement::{Need, Rows};

/// Servers whose end is looked at, on the hosts where the least is missing: among so many one ends
/// soon, and how the last waits turned out corrects what more of them would change.
const ENDINGS: usize = 256;
/// No span reaches further: nobody waits longer for a notebook.
const LONGEST_S: u32 = 30 * 86_400;

/// One server whose end gives room, or a part of it.
struct Ending {
    age_s: u32,
    /// The hazard that it has lived through.
    lived: f64,
    /// Which part of a place it gives: one over the number of servers that must end on its host.
    part: f64,
    /// When its idle limit ends it, in seconds, and how likely it is that nobody comes before.
    idle: Option<(u32, f64)>,
}

/// When a request with so many before it may start; `None` when too little is known.
pub fn estimate(
    fleet: &Fleet,
    rows: &Rows,
    need: &Need,
    ahead: u32,
    now: Timestamp,
) -> Option<Estimate> {
    let curve = fleet.curves.get(&need.pool)?;
    let endings = endings(fleet, rows, need, curve, now);
    let places = f64::from(ahead.saturating_add(1));
    let enough_by = |next_s: u32, places: f64| {
        let mut come = 0.0;
        endings.iter().any(|ending| {
            come += ending.hazard(curve, next_s);
            come >= places
        })
    };
    let reached = |places: f64| {
        // Twice as far each time, then between: in a large pool a place comes soon.
        let (mut least, mut most) = (0, 1);
        while !enough_by(most, places) {
            if most == LONGEST_S {
                return None;
            }
            (least, most) = (most + 1, most.saturating_mul(2).min(LONGEST_S));
        }
        while least < most {
            let middle = least + (most - least) / 2;
            if enough_by(middle, places) { most = middle } else { least = middle + 1 }
        }
        Some(Seconds(least.into()))
    };
    let foreseen = reached(expected(places, 0.0))?;
    let span = fleet.waits.span(&need.pool, foreseen);
    let by_chance = || reached(expected(places, -1.0)).zip(reached(expected(places, 1.0)));
    let (from, to) = span.or_else(by_chance)?;
    Some(Estimate { from, to, foreseen })
}

/// How many places must be expected for so many to have come with a quarter's (-1), a half's (0) or
/// three quarters' (1) probability: the quartiles of the gamma distribution, by Wilson and Hilferty.
fn expected(places: f64, side: f64) -> f64 {
    /// The upper quartile of the normal distribution.
    const QUARTILE: f64 = 0.674_489_75;
    let root = 1.0 - 1.0 / (9.0 * places) + side * QUARTILE / (3.0 * places.sqrt());
    places * root * root * root
}

impl Ending {
    fn hazard(&self, curve: &Curve, next_s: u32) -> f64 {
        let by_idling = match self.idle {
            // That many of a hundred such servers are gone by then, whatever else ends them.
            Some((end_s, nobody_comes)) if next_s >= end_s => -(1.0 - nobody_comes).ln(),
            _ => 0.0,
        };
        let ahead = curve.until(self.age_s.saturating_add(next_s)) - self.lived;
        self.part * ahead.max(by_idling)
    }
}

/// The servers whose end gives room for a need.
fn endings(fleet: &Fleet, rows: &Rows, need: &Need, curve: &Curve, now: Timestamp) -> Vec<Ending> {
    let mut endings = Vec::new();
    for ((devices, memory), host) in rows.lacking(need, ENDINGS) {
        if endings.len() >= ENDINGS {
            break;
        }
        let servers: Vec<_> = fleet.placed_on(host).collect();
        let helps = |placement: &Placement| devices == 0 || !placement.gpus.is_empty();
        let mut freed: Vec<u64> = servers
            .iter()
            .filter(|(_, placement)| helps(placement))
            .map(|(_, placement)| placement.reservation.memory.0)
            .collect();
        freed.sort_unstable_by(|a, b| b.cmp(a));
        let Some(ends) = how_many(&freed, memory).map(|ends| ends.max(devices).max(1)) else {
            continue;
        };
        let part = 1.0 / f64::from(ends);
        let of_use = servers.iter().filter(|(_, placement)| helps(placement));
        endings.extend(of_use.map(|(server, placement)| {
            let age_s = seconds(now.millis_since(placement.placed_at) / 1000);
            let idle = idle_end(fleet, server, now);
            Ending { age_s, lived: curve.until(age_s), part, idle }
        }));
    }
    endings
}

/// How many of these must end to give so much, the largest first.
fn how_many(freed: &[u64], memory: i128) -> Option<u32> {
    let mut left = memory;
    for (count, freed) in (0u32..).zip(freed) {
        if left <= 0 {
            return Some(count);
        }
        left -= i128::from(*freed);
    }
    (left <= 0).then(|| u32::try_from(freed.len()).unwrap_or(u32::MAX))
}

/// In how many seconds its idle limit ends a server, and how likely it is that nobody comes before:
/// as likely as it has been idle for so much of the limit already (what has lasted, lasts).
fn idle_end(fleet: &Fleet, server: &Server, now: Timestamp) -> Option<(u32, f64)> {
    let stop = life::stops_at(&fleet.settings, server, now)?;
    let since = life::idle_since(&fleet.settings, server);
    let end_s = seconds(stop.millis_since(now) / 1000);
    let idle = now.millis_since(since) as f64 / stop.millis_since(since).max(1) as f64;
    Some((end_s, idle.clamp(0.0, 0.99)))
}
