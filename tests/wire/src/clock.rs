//! The wall clock of a simulated site. It goes with the simulation, and can leap: days pass on it
//! without a tick of anybody's timers, as on machines that were suspended.

use std::cell::Cell;
use std::time::Duration;

use berth_common::{Seconds, Timestamp};
use berth_process::clock;

/// When every site begins.
const BEGIN: Timestamp = Timestamp(1_767_225_600_000_000);

// A simulation lives on one thread, and so do all its parts.
thread_local! {
    static ELAPSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static LEAPT: Cell<Seconds> = const { Cell::new(Seconds(0)) };
}

/// A site begins on this thread.
pub(crate) fn begin() {
    clock::replace(now);
    ELAPSED.set(Duration::ZERO);
    LEAPT.set(Seconds(0));
}

/// The simulation has come so far; for those who ask outside of any host.
pub(crate) fn advance(elapsed: Duration) {
    ELAPSED.set(elapsed);
}

/// Simulated time since the beginning, leaps apart.
pub fn elapsed() -> Duration {
    turmoil::sim_elapsed().unwrap_or(ELAPSED.get())
}

/// Everybody's wall clock leaps.
pub fn leap(by: Seconds) {
    LEAPT.set(Seconds(LEAPT.get().0 + by.0));
}

/// What all clocks show.
pub fn now() -> Timestamp {
    let since = BEGIN.plus(LEAPT.get());
    Timestamp(since.0 + i64::try_from(elapsed().as_micros()).unwrap_or(i64::MAX))
}
