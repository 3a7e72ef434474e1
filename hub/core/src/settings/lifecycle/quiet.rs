//! Hours of the night, by the clock on the wall of the site.

use berth_common::{Seconds, Timestamp};
use serde::{Deserialize, Serialize};

const DAY_S: i64 = 86_400;

/// A time zone as a plain list, since the core has no database of them: from each moment on the
/// clocks are this many seconds ahead of UTC. In the order of the moments; before the first one the
/// first one's holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone(pub Vec<(Timestamp, i32)>);

impl Zone {
    /// How far the clocks are ahead of UTC at a moment, in seconds.
    pub fn offset_s(&self, at: Timestamp) -> i64 {
        let next = self.0.partition_point(|(from, _)| *from <= at);
        let entry = self.0.get(next.saturating_sub(1));
        entry.map_or(0, |(_, offset)| i64::from(*offset))
    }
}

/// The hours of each day in which nothing is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    /// Their first second of the day.
    pub from_s: u32,
    /// The first second of the day after them; earlier than `from_s`: they go over midnight.
    pub to_s: u32,
    /// Where those hours are meant.
    pub zone: Zone,
}

impl Quiet {
    /// Whether a moment is among them.
    pub fn covers(&self, at: Timestamp) -> bool {
        let second = self.second_of_day(at);
        let (from, to) = (i64::from(self.from_s), i64::from(self.to_s));
        if from <= to { from <= second && second < to } else { second >= from || second < to }
    }

    /// The moment itself if it is not among them, else the first one after them.
    pub fn end(&self, at: Timestamp) -> Timestamp {
        let mut at = at;
        // Once, unless clocks are changed at that very hour.
        for _ in 0..4 {
            if !self.covers(at) {
                break;
            }
            let left = (i64::from(self.to_s) - self.second_of_day(at)).rem_euclid(DAY_S).max(1);
            let whole = Timestamp(at.0 - at.0.rem_euclid(1_000_000));
            let next = whole.plus(Seconds(left.unsigned_abs()));
            // The hours end by the clock, also in a night in which it is set.
            let set = self.zone.offset_s(next) - self.zone.offset_s(at);
            let by_clock = Timestamp(next.0 - set * 1_000_000);
            at = if by_clock > at { by_clock } else { next };
        }
        at
    }

    fn second_of_day(&self, at: Timestamp) -> i64 {
        (at.0.div_euclid(1_000_000) + self.zone.offset_s(at)).rem_euclid(DAY_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Nights of a place whose clocks go back on 25 October 2026 and forward on 28 March 2027.
    fn nights(from_h: u32, to_h: u32) -> Quiet {
        let zone = Zone(vec![
            (at("2026-03-29T01:00:00Z"), 7_200),
            (at("2026-10-25T01:00:00Z"), 3_600),
            (at("2027-03-28T01:00:00Z"), 7_200),
        ]);
        Quiet { from_s: from_h * 3_600, to_s: to_h * 3_600, zone }
    }

    #[test]
    fn nights_go_over_midnight_and_follow_the_clock() {
        let quiet = nights(20, 7);
        for (moment, end) in [
            ("2026-10-24T17:59:59Z", "2026-10-24T17:59:59Z"),
            ("2026-10-24T18:00:00Z", "2026-10-25T06:00:00Z"),
            ("2026-10-25T05:59:59.5Z", "2026-10-25T06:00:00Z"),
            ("2026-10-25T06:00:00Z", "2026-10-25T06:00:00Z"),
            ("2027-03-28T00:30:00Z", "2027-03-28T05:00:00Z"),
        ] {
            assert_eq!(quiet.end(at(moment)).to_string(), at(end).to_string(), "{moment}");
            assert!(!quiet.covers(quiet.end(at(moment))), "{moment}");
        }
    }

    #[test]
    fn hours_of_one_day_and_no_hours() {
        let noon = nights(12, 14);
        assert_eq!(noon.end(at("2026-07-01T11:00:00Z")), at("2026-07-01T12:00:00Z"));
        assert!(!noon.covers(at("2026-07-01T12:00:00Z")));
        assert!(!nights(8, 8).covers(at("2026-07-01T06:00:00Z")), "an empty span is no span");
        let unknown = Quiet { zone: Zone::default(), ..nights(0, 6) };
        assert_eq!(unknown.end(at("2026-07-01T00:00:00Z")), at("2026-07-01T06:00:00Z"));
    }
}
