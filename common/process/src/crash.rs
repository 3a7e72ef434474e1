//! Crash points: named places where a test lets a real process die as if by `kill -9`.
//!
//! Every persist, send and acknowledge is registered with [`crash_point!`](crate::crash_point).
//! A process whose environment says `BERTH_CRASH_AT=NAME` (or `NAME:3` for the third passage)
//! kills itself there; with `BERTH_CRASH_TRACE=FILE` it appends each point's name at its first
//! passage, so that a test can tell which points were never reached.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

mod torn;

pub use torn::Torn;

/// All crash points of the running binary, in link order.
#[linkme::distributed_slice]
pub static POINTS: [&'static str];

/// Registers a crash point of the given name and passes it.
#[macro_export]
macro_rules! crash_point {
    ($name:literal) => {
        $crate::crash::pass($crate::registered_point!($name))
    };
}

/// Registers a crash point inside of every write to a stream, and returns the stream with it: a process
/// that dies there has sent the first half of what it meant to send.
#[macro_export]
macro_rules! crash_inside_writes {
    ($stream:expr, $name:literal) => {
        $crate::crash::Torn::new($stream, $crate::registered_point!($name))
    };
}

/// Registers a crash point without passing it, and gives its name: for the macros above, and for
/// whoever makes a [`Torn`] later than where the point belongs.
#[macro_export]
macro_rules! registered_point {
    ($name:literal) => {{
        #[$crate::linkme::distributed_slice($crate::crash::POINTS)]
        #[linkme(crate = $crate::linkme)]
        #[allow(unsafe_code)] // linkme places the static in a link section of its own
        static POINT: &'static str = $name;
        POINT
    }};
}

struct Armed {
    point: String,
    passages_left: AtomicU64,
    trace: Option<Mutex<(std::fs::File, Vec<&'static str>)>>,
}

fn armed() -> Option<&'static Armed> {
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    ARMED
        .get_or_init(|| {
            let at = std::env::var("BERTH_CRASH_AT").ok();
            let trace = std::env::var_os("BERTH_CRASH_TRACE").and_then(|path| {
                std::fs::File::options().append(true).create(true).open(path).ok()
            });
            if at.is_none() && trace.is_none() {
                return None;
            }
            let at = at.unwrap_or_default();
            let (point, count) = at.split_once(':').unwrap_or((&at, "1"));
            Some(Armed {
                point: point.to_owned(),
                passages_left: AtomicU64::new(count.parse().unwrap_or(1)),
                trace: trace.map(|file| Mutex::new((file, Vec::new()))),
            })
        })
        .as_ref()
}

/// Passes a crash point: dies here if the environment says so, else costs one atomic load.
pub fn pass(point: &'static str) {
    if is_due(point) {
        die();
    }
}

/// Passes a crash point, and says whether the process is to die here.
fn is_due(point: &'static str) -> bool {
    let Some(armed) = armed() else { return false };
    if let Some(trace) = &armed.trace {
        let mut trace = trace.lock().unwrap_or_else(PoisonError::into_inner);
        if !trace.1.contains(&point) {
            trace.1.push(point);
            let _ = writeln!(trace.0, "{point}");
        }
    }
    armed.point == point && armed.passages_left.fetch_sub(1, Ordering::Relaxed) == 1
}

/// As by `kill -9`.
fn die() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}

/// The names of all crash points of this binary, sorted.
pub fn list() -> Vec<&'static str> {
    let mut names: Vec<_> = POINTS.iter().copied().collect();
    names.sort_unstable();
    names.dedup();
    names
}
