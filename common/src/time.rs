//! Moments and spans: arithmetic and text only. Nobody here asks what time it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A moment, in microseconds since 1970 UTC (JupyterHub's resolution).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A span in whole seconds.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seconds(pub u64);

impl Timestamp {
    /// From milliseconds since 1970 UTC.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Milliseconds since 1970 UTC, rounded down.
    pub fn as_millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment and a span later.
    #[must_use]
    pub fn plus(self, span: Seconds) -> Self {
        let micros = i64::try_from(span.0).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        Self(self.0.saturating_add(micros))
    }

    /// To the minute, in UTC, for sentences: `2026-11-22 15:27 UTC`.
    pub fn to_minute(self) -> String {
        let iso = self.to_string();
        match (iso.get(..10), iso.get(11..16)) {
            (Some(day), Some(time)) => format!("{day} {time} UTC"),
            _ => iso,
        }
    }

    /// Milliseconds from `earlier` to this moment; zero if it is not earlier.
    pub fn millis_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0) / 1000).unwrap_or(0)
    }
}

/// Why a text is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a date and time, write e.g. 2026-11-22T15:27:58Z")]
pub struct BadTimestamp;

impl FromStr for Timestamp {
    type Err = BadTimestamp;

    /// Reads ISO 8601 with a zone, or without one as UTC (what JupyterHub's clients send).
    fn from_str(text: &str) -> Result<Self, BadTimestamp> {
        if let Ok(moment) = text.parse::<jiff::Timestamp>() {
            return Ok(Self(moment.as_microsecond()));
        }
        let civil: jiff::civil::DateTime = text.parse().map_err(|_| BadTimestamp)?;
        let utc = civil.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| BadTimestamp)?;
        Ok(Self(utc.timestamp().as_microsecond()))
    }
}

impl fmt::Display for Timestamp {
    /// ISO 8601 UTC with six decimals and `Z`, as JupyterHub writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(moment) => write!(f, "{moment:.6}"),
            Err(_) => f.write_str("out of range"),
        }
    }
}

impl fmt::Display for Seconds {
    /// The two largest units that are not zero: `3d`, `2h 10m`, `45s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
        let mut rest = self.0;
        let mut words = Vec::new();
        for (size, name) in parts {
            if rest >= size {
                words.push(format!("{}{name}", rest / size));
                rest %= size;
            }
        }
        words.truncate(2);
        f.pad(&if words.is_empty() { "0s".to_owned() } else { words.join(" ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_and_print_as_jupyterhub_does() {
        let text = "2026-11-22T15:27:58.579722Z";
        let moment: Timestamp = text.parse().unwrap();
        assert_eq!(moment.to_string(), text);
        assert_eq!(moment.to_minute(), "2026-11-22 15:27 UTC");
        assert_eq!("2026-11-22T15:27:58.579722".parse(), Ok(moment));
        assert_eq!("2026-11-22T16:27:58.579722+01:00".parse(), Ok(moment));
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000000Z");
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn spans_read_well() {
        for (seconds, text) in
            [(0, "0s"), (45, "45s"), (7_800, "2h 10m"), (259_200, "3d"), (90_061, "1d 1h")]
        {
            assert_eq!(Seconds(seconds).to_string(), text);
        }
    }
}
