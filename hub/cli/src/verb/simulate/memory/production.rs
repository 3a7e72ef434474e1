//! The hub's own rule, as the hub calls it: each server with its tracker of peaks, fed with what
//! it used, minute by minute.
//!
//! The trace names no owners and no images, so nothing can be learned from past servers: a new
//! one counts with the floor.

use berth_common::{ByteCount, Timestamp};
use berth_core::memory::{Floor, Member, PEAK_WINDOW, Peaks};

use super::STEP_S;
use super::usage::Server;

/// A server whose past samples have been seen.
#[derive(Debug)]
pub struct Watched {
    limit: ByteCount,
    peaks: Peaks,
    last: Option<u64>,
    changed: usize,
}

impl Watched {
    /// A server that begins at its first sample.
    pub fn begin(server: &Server) -> Self {
        let peaks = Peaks::begin(moment(server.first), PEAK_WINDOW);
        Self { limit: ByteCount(server.limit), peaks, last: None, changed: server.first }
    }

    /// Its use at a sample.
    pub fn see(&mut self, sample: usize, used: u64) {
        self.peaks.record(moment(sample), ByteCount(used));
        if self.last != Some(used) {
            self.changed = sample;
        }
        self.last = Some(used);
    }

    /// As the rule sees it at a sample, before it is known what is used then.
    pub fn member(&self, sample: usize) -> Member {
        self.peaks.member(moment(sample), Floor::default().bytes(), self.limit)
    }

    /// The sample of its last change.
    pub fn changed(&self) -> usize {
        self.changed
    }
}

/// The moment of a sample.
pub fn moment(sample: usize) -> Timestamp {
    Timestamp::from_millis(i64::try_from(sample as u64 * STEP_S * 1000).unwrap_or(i64::MAX))
}
