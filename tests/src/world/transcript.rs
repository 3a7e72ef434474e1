//! What happened: a number that any difference changes, the counts of faults and rare paths, and,
//! when somebody wants to read it, lines of text.

use std::collections::BTreeMap;
use std::fmt::Write;

use berth_common::{Generation, ServerId};

/// The record of one run.
#[derive(Debug, Default)]
pub struct Transcript {
    hash: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Rare paths that were taken.
    pub marks: BTreeMap<&'static str, u64>,
    /// The lines, if they are kept.
    pub lines: Option<Vec<String>>,
}

impl Transcript {
    /// A record, with lines or without. Both have the same hash.
    pub fn new(with_lines: bool) -> Self {
        Self { lines: with_lines.then(Vec::new), ..Self::default() }
    }

    /// Takes a number into the hash (FNV-1a over words).
    pub fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    /// The hash of all that happened.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Counts a fault.
    pub fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    /// Counts a rare path.
    pub fn mark(&mut self, path: &'static str) {
        *self.marks.entry(path).or_default() += 1;
    }

    /// Writes a line, if lines are kept.
    pub fn say(&mut self, elapsed_ms: u64, text: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            let (minutes, seconds, millis) =
                (elapsed_ms / 60_000, elapsed_ms / 1000 % 60, elapsed_ms % 1000);
            let mut line = String::new();
            let _ = write!(line, "{minutes:02}:{seconds:02}.{millis:03}  {}", text());
            lines.push(line);
        }
    }
}

/// A start of a server, short enough for a line.
pub fn server_word(server: &ServerId, generation: Generation) -> String {
    format!("{}#{generation}", server.as_str().get(..4).unwrap_or_default())
}
