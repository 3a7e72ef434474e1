//! The highest use of one server, over minutes and over days, in a few numbers.

use berth_common::{ByteCount, Seconds, Timestamp};
use serde::{Deserialize, Serialize};

use super::sums::Member;

/// "Lately": long enough that a spike of a few minutes still counts when the next one comes, and
/// short enough that memory which was given back serves somebody else.
const LATELY: Seconds = Seconds(10 * 60);
/// How long a new server counts with what is expected of it: importing, opening a notebook and
/// reading the data take that long. The replay's `--cold-age` has the same default.
pub const SETTLING: Seconds = Seconds(30 * 60);
/// Within this the use of a server at rest goes up and down.
const STEADY: ByteCount = ByteCount(32 << 20);
/// How far back a peak is looked up where the pool says nothing.
pub const PEAK_WINDOW: Seconds = Seconds(7 * 86_400);
/// Parts of the long window: with seven days, a peak is forgotten at most six hours late.
const PARTS: u64 = 28;

/// The highest use of a server since it has its limit and image. A change of either begins anew:
/// what was measured under others says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peaks {
    since: Timestamp,
    used: ByteCount,
    /// The level that the use has kept, within [`STEADY`], and since when.
    #[serde(default)]
    level: ByteCount,
    #[serde(default)]
    level_since: Timestamp,
    lately: Highest,
    long: Highest,
}

/// The highest value of a sliding window, by parts. Of two parts only the later counts if it is
/// not lower, so the values fall from part to part and there are seldom more than a handful.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Highest {
    part: Seconds,
    parts: u64,
    /// Number of the part since 1970, and the highest value in it.
    falling: Vec<(i64, ByteCount)>,
}

impl Peaks {
    /// Nothing is known of a server that begins now; its pool looks back this far.
    pub fn begin(at: Timestamp, window: Seconds) -> Self {
        Self {
            since: at,
            used: ByteCount::ZERO,
            level: ByteCount::ZERO,
            level_since: at,
            lately: Highest::new(Seconds(60), LATELY.0 / 60),
            long: Highest::new(Seconds(window.0.div_ceil(PARTS).max(1)), PARTS),
        }
    }

    /// What it uses at this moment. A moment before an earlier one counts as that one.
    pub fn record(&mut self, at: Timestamp, used: ByteCount) {
        self.used = used;
        if used > self.level.plus(STEADY) || self.level > used.plus(STEADY) {
            self.level = used;
            self.level_since = at;
        }
        self.lately.record(at, used);
        self.long.record(at, used);
    }

    /// The highest it has used lately: what lies between two moments that were recorded.
    pub fn record_peak(&mut self, at: Timestamp, highest: ByteCount) {
        self.lately.record(at, highest);
        self.long.record(at, highest);
    }

    /// The server as the rule sees it at this moment. `learned` is what its past or that of its
    /// kind lets expect ([`super::History`]): it is never nothing. It counts for the recent use
    /// while the server settles, and for the peak as long as the server is younger than the
    /// window.
    pub fn member(&self, now: Timestamp, learned: ByteCount, limit: ByteCount) -> Member {
        let young = now < self.since.plus(SETTLING);
        let whole = Seconds(self.long.part.0.saturating_mul(self.long.parts));
        let mut lately = self.lately.highest(now).max(self.used);
        let mut peak = self.long.highest(now).max(lately);
        if young {
            lately = lately.max(learned);
        }
        if now < self.since.plus(whole) {
            peak = peak.max(learned);
        }
        Member { used: self.used, lately, peak, limit, young }.bounded()
    }

    /// Since when its use has hardly changed.
    pub fn steady_since(&self) -> Timestamp {
        self.level_since
    }

    /// The highest use known: what its history gets once it ends.
    pub fn highest(&self, now: Timestamp) -> ByteCount {
        self.long.highest(now).max(self.used)
    }
}

impl Highest {
    fn new(part: Seconds, parts: u64) -> Self {
        Self { part, parts, falling: Vec::new() }
    }

    fn record(&mut self, at: Timestamp, value: ByteCount) {
        let newest = self.falling.last().map_or(i64::MIN, |(part, _)| *part);
        let part = self.number(at).max(newest);
        if newest == part && self.falling.last().is_some_and(|(_, highest)| *highest >= value) {
            return;
        }
        while self.falling.last().is_some_and(|(_, highest)| *highest <= value) {
            self.falling.pop();
        }
        self.falling.push((part, value));
        let first = self.first(part);
        self.falling.retain(|(part, _)| *part >= first);
    }

    fn highest(&self, now: Timestamp) -> ByteCount {
        let first = self.first(self.number(now));
        let inside = self.falling.iter().find(|(part, _)| *part >= first);
        inside.map_or(ByteCount::ZERO, |(_, value)| *value)
    }

    fn number(&self, at: Timestamp) -> i64 {
        at.0.div_euclid(i64::try_from(self.part.0).unwrap_or(i64::MAX).saturating_mul(1_000_000))
    }

    /// The oldest part that reaches into the window which ends in this one.
    fn first(&self, part: i64) -> i64 {
        part.saturating_sub(i64::try_from(self.parts).unwrap_or(i64::MAX))
    }
}
