//! What is said once a minute, however often it happens: stale tabs ask every few seconds.

use std::sync::atomic::{AtomicI64, Ordering};

use berth_common::Timestamp;

const EVERY_US: i64 = 60_000_000;

/// When something was last said.
#[derive(Debug, Default)]
pub struct Seldom(AtomicI64);

impl Seldom {
    /// Whether it may be said now; then it counts as said.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let last = self.0.load(Ordering::Relaxed);
        now.0.saturating_sub(last) >= EVERY_US
            && self.0.compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_a_minute() {
        let seldom = Seldom::default();
        let at = |second: i64| seldom.is_due(Timestamp(second * 1_000_000));
        assert_eq!(
            [at(100), at(101), at(159), at(160), at(161)],
            [true, false, false, true, false]
        );
    }
}
