//! What may be used once: remembered for as long as it would still be good.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use berth_common::{Seconds, Timestamp};

use crate::keys;

/// Remembered at most. Beyond it new ones are refused: forgetting one would let it be used twice.
const MOST: usize = 20_000;

/// A bounded memory of what was used.
#[derive(Debug, Default)]
pub struct Spent {
    until: Mutex<HashMap<[u8; 32], Timestamp>>,
}

impl Spent {
    /// True the first time, within the given time.
    pub fn use_up(&self, what: &str, now: Timestamp, good_for: Seconds) -> bool {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.len() >= MOST {
            until.retain(|_, end| now < *end);
        }
        let hash = keys::hash(what);
        let first = until.get(&hash).is_none_or(|end| *end <= now) && until.len() < MOST;
        if first {
            until.insert(hash, now.plus(good_for));
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_is_once_until_it_has_expired_anyhow() {
        let (spent, at, hour) = (Spent::default(), Timestamp(1_000_000), Seconds(3_600));
        assert!(spent.use_up("a", at, hour));
        assert!(!spent.use_up("a", at.plus(Seconds(3_599)), hour));
        assert!(spent.use_up("b", at, hour));
        assert!(spent.use_up("a", at.plus(hour), hour));
    }

    #[test]
    fn a_flood_is_refused_and_forgets_nothing() {
        let (spent, at, hour) = (Spent::default(), Timestamp(1_000_000), Seconds(3_600));
        assert!(spent.use_up("first", at, hour));
        for number in 0..30_000 {
            spent.use_up(&number.to_string(), at, hour);
        }
        assert!(!spent.use_up("first", at, hour));
        assert!(spent.until.lock().unwrap().len() <= MOST);
        assert!(spent.use_up("later", at.plus(hour), hour), "room comes back with time");
    }
}
