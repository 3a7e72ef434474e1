//! What a replay prints: one `key<TAB>value` a line, or one flat JSON object with the same keys.

use serde::{Serialize, Serializer};

use crate::print::{Format, Style, say};
use crate::problem::{Exit, Problem};

/// Keys with their values, in the order in which they are printed.
#[derive(Debug, Default)]
pub struct Report {
    lines: Vec<(String, Value)>,
}

/// One value: what is printed, and what a program reads.
#[derive(Debug)]
enum Value {
    Word(String),
    Count(u64),
    /// With its decimals.
    Number(String),
}

impl Report {
    /// Adds a word.
    pub fn word(&mut self, key: impl Into<String>, word: impl Into<String>) {
        self.lines.push((key.into(), Value::Word(word.into())));
    }

    /// Adds a whole number.
    pub fn count(&mut self, key: impl Into<String>, count: u64) {
        self.lines.push((key.into(), Value::Count(count)));
    }

    /// Adds a number with this many decimals; halves round away from zero.
    pub fn number(&mut self, key: impl Into<String>, number: f64, decimals: usize) {
        self.lines.push((key.into(), Value::Number(rounded(number, decimals))));
    }

    /// Adds a percentage.
    pub fn percent(&mut self, key: impl Into<String>, percent: f64) {
        self.number(key, percent, 2);
    }

    /// Adds a time, in the unit that the key ends with.
    pub fn time(&mut self, key: impl Into<String>, time: f64) {
        self.number(key, time, 1);
    }

    /// Writes all of it to standard output.
    ///
    /// # Errors
    /// When the format is none of a replay's, or standard output cannot be written.
    pub fn print(&self, style: &Style) -> Result<(), Problem> {
        match style.format {
            Format::Json => say(&serde_json::to_string(self).unwrap_or_default()),
            Format::Table | Format::Wide => {
                self.lines.iter().try_for_each(|(key, value)| match value {
                    Value::Word(text) | Value::Number(text) => say(&format!("{key}\t{text}")),
                    Value::Count(count) => say(&format!("{key}\t{count}")),
                })
            }
            Format::Yaml | Format::Csv | Format::Name => Err(Problem::new(
                Exit::Usage,
                "cannot print a replay in this format",
                "It prints one key and value a line, or JSON.",
                "Leave out -o, or use --json.",
            )),
        }
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.lines.iter().map(|(key, value)| (key, value)))
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Word(word) => serializer.serialize_str(word),
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Number(text) => serializer.serialize_f64(text.parse().unwrap_or_default()),
        }
    }
}

/// The number with so many decimals.
fn rounded(number: f64, decimals: usize) -> String {
    let factor = 10f64.powi(decimals.min(9) as i32);
    // f64::round rounds halves away from zero. A half in decimals can lie a little below it in
    // binary; the nudge lifts it, and is far smaller than the last printed digit.
    let nudged = number * factor * (1.0 + 2.0 * f64::EPSILON);
    format!("{:.decimals$}", nudged.round() / factor)
}

/// The value at `part` of the sorted times (`floor(part x n)`), and the last one for 1; 0 of none.
pub fn quantile(sorted: &[f64], part: f64) -> f64 {
    let index = ((sorted.len() as f64 * part) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_round_away_from_zero_and_digits_stay() {
        let check = |number, decimals| rounded(number, decimals);
        assert_eq!(check(95.295, 2), "95.30");
        assert_eq!(check(1.005, 2), "1.01");
        assert_eq!(check(-0.125, 2), "-0.13");
        assert_eq!(check(3.0, 3), "3.000");
        assert_eq!(check(12_345.5, 0), "12346");
    }

    #[test]
    fn quantiles_are_values_that_occur() {
        let times: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(
            (quantile(&times, 0.50), quantile(&times, 0.99), quantile(&times, 1.0)),
            (50.0, 99.0, 99.0)
        );
        assert_eq!(quantile(&[], 0.5), 0.0);
    }
}
