//! How long servers live: what was seen of those that ended and of those that run, as a curve.
//!
//! The curve is the cumulative hazard of Nelson and Aalen: at each length of life at which somebody
//! ended, one over the number of those who were there to end. Who still runs counts as there, up to
//! its age, so that a record of a few days does not make everybody's life a few days long; and
//! nobody counts for a part of their life that lies before the record begins.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use berth_common::{Seconds, Timestamp};
use serde::{Deserialize, Serialize};

/// Lives that are remembered, by pool.
pub const REMEMBERED: usize = 512;
/// Fewer known lives than this give no estimate: a wrong one is worse than none.
const LEAST: usize = 8;

/// A server that held a place and gave it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// The pool of its host.
    pub pool: String,
    /// When it ended.
    pub ended: Timestamp,
    /// How long it had held its place.
    pub lasted: Seconds,
}

/// The newest lives of each pool, the newest last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lives {
    by_pool: Arc<BTreeMap<String, VecDeque<(Timestamp, u32)>>>,
}

/// The cumulative hazard over the length of life.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curve {
    /// Lengths of life in seconds, each once, and the hazard up to and with each of them.
    points: Vec<(u32, f64)>,
}

impl Lives {
    /// What is remembered, in the order in which they ended.
    pub fn of(lives: impl IntoIterator<Item = Life>) -> Self {
        let mut all = Self::default();
        lives.into_iter().for_each(|life| all.note(&life));
        all
    }

    /// Notes how long a server held its place.
    pub fn note(&mut self, life: &Life) {
        let lives = Arc::make_mut(&mut self.by_pool).entry(life.pool.clone()).or_default();
        lives.push_back((life.ended, seconds(life.lasted.0)));
        if lives.len() > REMEMBERED {
            lives.pop_front();
        }
    }

    /// The curve of a pool, in which servers run since these moments; `None` when too little is
    /// known.
    pub fn curve(
        &self,
        pool: &str,
        running: impl Iterator<Item = Timestamp>,
        now: Timestamp,
    ) -> Option<Curve> {
        let lives = self.by_pool.get(pool).filter(|lives| lives.len() >= LEAST)?;
        let begun = lives.iter().map(|(ended, _)| *ended).min()?;
        let mut ends: Vec<u32> = lives.iter().map(|(_, lasted)| *lasted).collect();
        ends.sort_unstable();
        // How many were there at each end: each is, from its age when the record began.
        let mut change = vec![0i64; ends.len() + 1];
        let mut there = |since: Timestamp, until_s: u32| {
            let from_s = seconds(begun.millis_since(since) / 1000);
            let first = ends.partition_point(|end| *end < from_s);
            let after = ends.partition_point(|end| *end <= until_s);
            if let Some(change) = change.get_mut(first) {
                *change += 1;
            }
            if let Some(change) = change.get_mut(after.max(first)) {
                *change -= 1;
            }
        };
        for (ended, lasted) in lives {
            let since = ended.0.saturating_sub(i64::from(*lasted).saturating_mul(1_000_000));
            there(Timestamp(since), *lasted);
        }
        running.for_each(|since| there(since, seconds(now.millis_since(since) / 1000)));
        let mut points: Vec<(u32, f64)> = Vec::with_capacity(ends.len());
        let (mut at_risk, mut hazard) = (0, 0.0);
        for (end, change) in ends.iter().zip(change) {
            at_risk += change;
            hazard += 1.0 / at_risk.max(1) as f64;
            match points.last_mut() {
                Some((last, known)) if last == end => *known = hazard,
                _ => points.push((*end, hazard)),
            }
        }
        Some(Curve { points })
    }
}

impl Curve {
    /// The hazard up to an age: what it grows by in some seconds is one over the number of servers of
    /// that age of which one ends in them.
    pub(super) fn until(&self, age_s: u32) -> f64 {
        let passed = self.points.partition_point(|(end, _)| *end <= age_s);
        let point = passed.checked_sub(1).and_then(|last| self.points.get(last));
        point.map_or(0.0, |(_, hazard)| *hazard)
    }
}

/// Seconds as they are counted here: a life of a century is long enough.
pub fn seconds(seconds: u64) -> u32 {
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
