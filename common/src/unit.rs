//! Numbers that know their unit, parse it and print it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number of bytes. Units are binary, as JupyterHub's: `GB` and `GiB` both mean 2^30 bytes.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ByteCount(pub u64);

/// Why a text is not an amount of memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAmount {
    /// A bare number: guessing a unit has cost others whole clusters.
    #[error("a unit is needed, e.g. \"16 GB\"")]
    NoUnit,
    /// Anything else that is no amount.
    #[error("not an amount of memory, write e.g. \"512 MB\" or \"16 GB\"")]
    Malformed,
}

const UNITS: [(&str, u64); 5] =
    [("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10), ("B", 1)];

impl ByteCount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The sum, or the largest number there is.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, never below zero.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Whole mebibytes, rounded down.
    pub fn mebibytes(self) -> u64 {
        self.0 >> 20
    }
}

impl FromStr for ByteCount {
    type Err = BadAmount;

    fn from_str(text: &str) -> Result<Self, BadAmount> {
        let text = text.trim();
        let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let number: f64 = number.parse().map_err(|_| BadAmount::Malformed)?;
        let unit = unit.trim().to_ascii_uppercase();
        if unit.is_empty() {
            return Err(BadAmount::NoUnit);
        }
        let unit = unit.trim_end_matches('B').trim_end_matches('I');
        let factor = UNITS
            .iter()
            .find(|(name, _)| name.trim_end_matches('B') == unit)
            .map(|(_, factor)| *factor)
            .ok_or(BadAmount::Malformed)?;
        // Fractions ("1.5 GB") are exact far beyond any memory size that exists.
        Ok(Self((number * factor as f64).round() as u64))
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) =
            UNITS.iter().find(|(_, factor)| self.0 >= *factor).unwrap_or(&("B", 1));
        let value = self.0 as f64 / *factor as f64;
        let text = if value.fract() == 0.0 {
            format!("{value} {unit}")
        } else {
            format!("{value:.1} {unit}")
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_printed() {
        for (text, bytes, printed) in [
            ("32 GB", 32 << 30, "32 GB"),
            ("1.5GiB", 3 << 29, "1.5 GB"),
            ("512M", 512 << 20, "512 MB"),
            ("28672 MB", 28 << 30, "28 GB"),
            ("7 B", 7, "7 B"),
        ] {
            assert_eq!(text.parse(), Ok(ByteCount(bytes)), "{text}");
            assert_eq!(ByteCount(bytes).to_string(), printed);
        }
    }

    #[test]
    fn a_bare_number_asks_for_its_unit() {
        assert_eq!("16".parse::<ByteCount>(), Err(BadAmount::NoUnit));
        for bad in ["", "GB", "-1 GB", "1 XB", "1..2 GB", "1 GB 2"] {
            assert_eq!(bad.parse::<ByteCount>(), Err(BadAmount::Malformed), "{bad:?}");
        }
    }
}
