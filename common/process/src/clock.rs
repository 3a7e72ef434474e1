//! The wall clock: the one place that asks the system what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use berth_common::Timestamp;

/// Now, by the system's clock.
#[allow(clippy::disallowed_methods)] // this is the place the ban points to
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
