//! How often passwords may be tried: buckets that empty with each wrong one and fill with time.
//!
//! The narrow bucket is that of one account from one address, so that a stranger who tries an
//! account's password slows the stranger and not the owner. The account's own bucket is wide: it
//! only bounds what many addresses can try together.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use berth_common::Timestamp;
use tokio::sync::Semaphore;

/// Hashes computed at a time: each takes 19 MiB and a core for tens of milliseconds.
const AT_A_TIME: usize = 2;
/// Logins that may wait for a hash; beyond it people are asked to come back.
const WAITING: usize = 64;
/// Buckets kept at most; full ones are dropped first, they say nothing.
const MOST_BUCKETS: usize = 10_000;

/// Tokens a bucket holds, and how long one takes to come back.
#[derive(Debug, Clone, Copy)]
struct Rate {
    burst: f64,
    refill_s: f64,
}

/// Somebody who mistypes has ten tries, then one every ten seconds.
const PAIR: Rate = Rate { burst: 10.0, refill_s: 10.0 };
/// A whole room behind one address logs in at the same hour.
const ADDRESS: Rate = Rate { burst: 60.0, refill_s: 1.0 };
/// From all addresses together.
const ACCOUNT: Rate = Rate { burst: 100.0, refill_s: 2.0 };

/// The gate that every password passes.
#[derive(Debug)]
pub struct Gate {
    pub(super) hashing: Semaphore,
    pub(super) waiting: Semaphore,
    buckets: Mutex<HashMap<Key, Bucket>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Pair(String, String),
    Address(String),
    Account(String),
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Timestamp,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            hashing: Semaphore::new(AT_A_TIME),
            waiting: Semaphore::new(WAITING),
            buckets: Mutex::default(),
        }
    }
}

impl Gate {
    /// Takes one try from every bucket concerned.
    ///
    /// # Errors
    /// Seconds after which to come back.
    pub fn take(&self, account: &str, address: &str, at: Timestamp) -> Result<(), u64> {
        self.take_from(&keys(account, address), at)
    }

    fn take_from(&self, keys: &[(Key, Rate)], at: Timestamp) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut buckets, at);
        let wait = keys.iter().map(|(key, rate)| wait_s(buckets.get(key), *rate, at));
        let wait = wait.fold(0.0, f64::max);
        if wait > 0.0 {
            return Err(wait.ceil().clamp(1.0, 3_600.0) as u64);
        }
        for (key, rate) in keys {
            let left = level(buckets.get(key), *rate, at) - 1.0;
            buckets.insert(key.clone(), Bucket { left, at });
        }
        Ok(())
    }

    /// Takes a try that names no account from the address it comes from.
    ///
    /// # Errors
    /// Seconds after which to come back.
    pub fn take_address(&self, address: &str, at: Timestamp) -> Result<(), u64> {
        self.take_from(&[address_key(address)], at)
    }

    /// Gives it back: it was in order.
    pub fn give_address_back(&self, address: &str, at: Timestamp) {
        self.give_to([address_key(address)], at);
    }

    /// Gives the try back: the password was right.
    pub fn give_back(&self, account: &str, address: &str, at: Timestamp) {
        self.give_to(keys(account, address), at);
    }

    fn give_to(&self, keys: impl IntoIterator<Item = (Key, Rate)>, at: Timestamp) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, rate) in keys {
            let left = (level(buckets.get(&key), rate, at) + 1.0).min(rate.burst);
            buckets.insert(key, Bucket { left, at });
        }
    }
}

fn keys(account: &str, address: &str) -> [(Key, Rate); 3] {
    // Any text can be typed as an account name; what is kept of it is bounded.
    let account: String = account.chars().take(32).collect();
    let from: String = address.chars().take(45).collect();
    [
        (Key::Pair(account.clone(), from), PAIR),
        address_key(address),
        (Key::Account(account), ACCOUNT),
    ]
}

fn address_key(address: &str) -> (Key, Rate) {
    (Key::Address(address.chars().take(45).collect()), ADDRESS)
}

fn level(bucket: Option<&Bucket>, rate: Rate, at: Timestamp) -> f64 {
    let Some(bucket) = bucket else { return rate.burst };
    let seconds = at.millis_since(bucket.at) as f64 / 1000.0;
    (bucket.left + seconds / rate.refill_s).min(rate.burst)
}

fn wait_s(bucket: Option<&Bucket>, rate: Rate, at: Timestamp) -> f64 {
    let missing = 1.0 - level(bucket, rate, at);
    if missing > 0.0 { missing * rate.refill_s } else { 0.0 }
}

fn rate(key: &Key) -> Rate {
    match key {
        Key::Pair(..) => PAIR,
        Key::Address(_) => ADDRESS,
        Key::Account(_) => ACCOUNT,
    }
}

fn make_room(buckets: &mut HashMap<Key, Bucket>, at: Timestamp) {
    if buckets.len() < MOST_BUCKETS {
        return;
    }
    buckets.retain(|key, bucket| level(Some(bucket), rate(key), at) < rate(key).burst);
    if buckets.len() >= MOST_BUCKETS {
        // A flood of names or addresses: better to forget some than to grow without bound.
        let mut drop_next = false;
        buckets.retain(|_, _| {
            drop_next = !drop_next;
            drop_next
        });
    }
}

#[cfg(test)]
mod tests {
    use berth_common::Seconds;

    use super::*;

    #[test]
    fn wrong_passwords_slow_their_sender_and_nobody_else() {
        let gate = Gate::default();
        let at = Timestamp(1_000_000_000);
        for _ in 0..10 {
            assert_eq!(gate.take("alice", "10.0.0.66", at), Ok(()));
        }
        let wait = gate.take("alice", "10.0.0.66", at).unwrap_err();
        assert_eq!(wait, 10);
        assert_eq!(gate.take("alice", "10.0.0.1", at), Ok(()), "the owner comes in");
        assert_eq!(gate.take("bob", "10.0.0.66", at), Ok(()), "a neighbour comes in");
        assert_eq!(gate.take("alice", "10.0.0.66", at.plus(Seconds(wait))), Ok(()));
    }

    #[test]
    fn right_passwords_cost_nothing() {
        let gate = Gate::default();
        let at = Timestamp(1_000_000_000);
        for _ in 0..1_000 {
            assert_eq!(gate.take("alice", "10.0.0.1", at), Ok(()));
            gate.give_back("alice", "10.0.0.1", at);
        }
    }

    #[test]
    fn the_buckets_never_grow_without_bound() {
        let gate = Gate::default();
        let at = Timestamp(1_000_000_000);
        for name in 0..15_000 {
            let _ =
                gate.take(&name.to_string(), &format!("10.0.{}.{}", name / 250, name % 250), at);
        }
        assert!(gate.buckets.lock().unwrap().len() <= MOST_BUCKETS + 3);
    }
}
