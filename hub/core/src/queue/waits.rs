//! How waits turned out beside what was foreseen: what the span of an estimate is made from.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use berth_common::Seconds;
use serde::{Deserialize, Serialize};

/// Waits that are remembered, by pool: enough for quartiles, few enough to follow a season.
pub const REMEMBERED_WAITS: usize = 128;
/// Of fewer, quartiles say nothing.
const LEAST: usize = 16;
/// Below a minute nobody minds, and ratios run wild.
const GRAIN_S: u64 = 60;

/// A wait that ended with a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// The pool.
    pub pool: String,
    /// What was foreseen when it was asked for, before anything was learned from errors.
    pub foreseen: Seconds,
    /// How long it was.
    pub lasted: Seconds,
}

/// The newest waits of each pool as parts of what was foreseen, in thousandths; the newest last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waits {
    by_pool: Arc<BTreeMap<String, VecDeque<u64>>>,
}

impl Waits {
    /// What is remembered, in the order in which it ended.
    pub fn of(waits: impl IntoIterator<Item = Wait>) -> Self {
        let mut all = Self::default();
        waits.into_iter().for_each(|wait| all.note(&wait));
        all
    }

    /// Notes how a wait turned out.
    pub fn note(&mut self, wait: &Wait) {
        let waits = Arc::make_mut(&mut self.by_pool).entry(wait.pool.clone()).or_default();
        let lasted = wait.lasted.0.saturating_add(GRAIN_S).saturating_mul(1000);
        waits.push_back(lasted / wait.foreseen.0.saturating_add(GRAIN_S));
        if waits.len() > REMEMBERED_WAITS {
            waits.pop_front();
        }
    }

    /// The span within which half of the waits lay, scaled to what is foreseen now; `None` while
    /// too few are known.
    pub fn span(&self, pool: &str, foreseen: Seconds) -> Option<(Seconds, Seconds)> {
        let waits = self.by_pool.get(pool).filter(|waits| waits.len() >= LEAST)?;
        let mut sorted: Vec<u64> = waits.iter().copied().collect();
        sorted.sort_unstable();
        // Between the k-th and the l-th of n waits lies the next one in (l - k) of (n + 1) cases.
        let places = sorted.len() + 1;
        let (first, last) = (places / 4, (3 * places).div_ceil(4));
        let at = |place: usize| {
            let part = sorted.get(place.checked_sub(1)?)?;
            let whole = foreseen.0.saturating_add(GRAIN_S).saturating_mul(*part) / 1000;
            Some(Seconds(whole.saturating_sub(GRAIN_S)))
        };
        at(first).zip(at(last))
    }
}
