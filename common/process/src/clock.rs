//! The wall clock: the one place that asks the system what time it is.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use berth_common::Timestamp;

static OTHER: OnceLock<fn() -> Timestamp> = OnceLock::new();

/// Has this process take its time from somewhere else, for as long as it lives: a simulation's
/// time is its own. Only the first call counts.
pub fn replace(other: fn() -> Timestamp) {
    let _ = OTHER.set(other);
}

/// Now, by the system's clock.
pub fn now() -> Timestamp {
    OTHER.get().map_or_else(system, |other| other())
}

#[allow(clippy::disallowed_methods)] // this is the place the ban points to
fn system() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Now, as the wall clock stood when this process first asked, plus the time since: it never
/// jumps when somebody sets the clock. For limits and retries, where an hour's jump would give up
/// what is healthy or wait for ever.
pub fn steady() -> Timestamp {
    if let Some(other) = OTHER.get() {
        return other();
    }
    static FIRST: OnceLock<(Timestamp, Instant)> = OnceLock::new();
    let (wall, instant) = FIRST.get_or_init(|| (now(), Instant::now()));
    let since = i64::try_from(instant.elapsed().as_micros()).unwrap_or(i64::MAX);
    Timestamp(wall.0.saturating_add(since))
}
