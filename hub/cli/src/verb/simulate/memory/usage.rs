//! What servers used, sample by sample.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use super::STEP_S;
use crate::problem::Problem;
use crate::verb::simulate::table::{Row, Table};

/// Above any memory, and small enough that sums of doubles are exact.
pub const MOST_BYTES: u64 = 1 << 50;
/// Samples of a replay, at most: a year. A replay looks at all of them.
const MOST_SAMPLES: u64 = 366 * 1440;

/// A trace, sampled.
#[derive(Debug)]
pub struct Usage {
    /// Servers that cover a sample, by their first appearance in the file.
    pub servers: Vec<Server>,
    /// Number of samples.
    pub samples: usize,
}

/// One server.
#[derive(Debug)]
pub struct Server {
    /// Its first sample.
    pub first: usize,
    /// Its last sample.
    pub last: usize,
    /// Its limit.
    pub limit: u64,
    /// Its use at each of its samples.
    used: Vec<u64>,
}

/// A server's rows.
struct Rows {
    limit: u64,
    values: Vec<(u64, u64)>,
}

impl Usage {
    /// Reads a trace.
    ///
    /// # Errors
    /// When it is no such trace.
    pub fn read(path: &Path) -> Result<Self, Problem> {
        let table = Table::read(path, &["t_seconds", "server", "usage_bytes", "limit_bytes"])?;
        let mut numbers = BTreeMap::new();
        let mut servers: Vec<Rows> = Vec::new();
        for row in table.rows() {
            let at = row.number("t_seconds", 0..=MOST_BYTES)?;
            let used = row.number("usage_bytes", 0..=MOST_BYTES)?;
            let limit = row.number("limit_bytes", 1..=MOST_BYTES)?;
            let name = row.text("server");
            if name.is_empty() {
                return Err(row.wrong("server", "a name"));
            }
            match numbers.entry(name) {
                Entry::Occupied(number) => {
                    let number: usize = *number.get();
                    if let Some(rows) = servers.get_mut(number) {
                        rows.add(&row, at, used, limit)?;
                    }
                }
                Entry::Vacant(place) => {
                    place.insert(servers.len());
                    servers.push(Rows { limit, values: vec![(at, used)] });
                }
            }
        }
        let first = servers.iter().filter_map(|rows| rows.values.first()).map(|(at, _)| *at).min();
        let last = servers.iter().filter_map(|rows| rows.values.last()).map(|(at, _)| *at).max();
        let (Some(first), Some(last)) = (first, last) else {
            return Err(table.wrong("It has no rows.", "Give a trace with at least one server."));
        };
        let samples = (last - first) / STEP_S + 1;
        if samples > MOST_SAMPLES {
            return Err(table.wrong(
                format!(
                    "It covers {} seconds; expected at most {}.",
                    last - first,
                    MOST_SAMPLES * STEP_S
                ),
                "Cut it into shorter traces; t_seconds are seconds.",
            ));
        }
        let servers = servers.iter().filter_map(|rows| rows.sampled(first)).collect();
        Ok(Self { servers, samples: samples as usize })
    }
}

impl Rows {
    fn add(&mut self, row: &Row<'_>, at: u64, used: u64, limit: u64) -> Result<(), Problem> {
        let before = self.values.last().map_or(0, |(at, _)| *at);
        if at <= before {
            let expected = format!("more than {before}, the time of this server's row before");
            return Err(row.wrong("t_seconds", expected));
        }
        if limit != self.limit {
            let expected = format!("{}, the limit in this server's rows before", self.limit);
            return Err(row.wrong("limit_bytes", expected));
        }
        self.values.push((at, used));
        Ok(())
    }

    /// The server at its samples; `None` if it covers none.
    fn sampled(&self, start: u64) -> Option<Server> {
        let first = (self.values.first()?.0 - start).div_ceil(STEP_S);
        let last = (self.values.last()?.0 - start) / STEP_S;
        if first > last {
            return None;
        }
        let mut used = Vec::new();
        let mut next = 0;
        for sample in first..=last {
            while self.values.get(next).is_some_and(|(at, _)| *at <= start + sample * STEP_S) {
                next += 1;
            }
            used.push(self.values.get(next - 1)?.1);
        }
        Some(Server { first: first as usize, last: last as usize, limit: self.limit, used })
    }
}

impl Server {
    /// Its use at a sample, if it runs then.
    pub fn at(&self, sample: usize) -> Option<u64> {
        self.used.get(sample.checked_sub(self.first)?).copied()
    }

    /// Its use at the samples `from .. to` at which it runs.
    pub fn between(&self, from: usize, to: usize) -> &[u64] {
        let end = to.saturating_sub(self.first).min(self.used.len());
        let start = from.saturating_sub(self.first).min(end);
        self.used.get(start..end).unwrap_or_default()
    }

    /// The highest use at the samples `from .. to`; 0 if it runs at none.
    pub fn peak(&self, from: usize, to: usize) -> u64 {
        self.between(from, to).iter().copied().max().unwrap_or(0)
    }
}
