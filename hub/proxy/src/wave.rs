//! Deletions that come as a wave: a hub with an empty store deletes everybody's routes, one by one,
//! and gets what it asks for (jupyterhub #3188). The table before such a wave is kept.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::route::Route;

/// Deletions that follow each other within this time belong together.
const PAUSE: Duration = Duration::from_secs(60);

/// One route that goes is somebody's stop.
const LEAST: usize = 2;

/// Deletions of the last while.
#[derive(Debug, Default)]
pub struct Wave(Option<Begun>);

#[derive(Debug)]
struct Begun {
    last: Instant,
    /// The table before the first of them.
    before: Vec<Arc<Route>>,
    gone: usize,
    told: bool,
}

impl Wave {
    /// A route is about to be deleted; `table` are all that there are.
    pub fn before<'a>(&mut self, now: Instant, table: impl Iterator<Item = &'a Arc<Route>>) {
        self.sweep(now);
        if self.0.is_none() {
            let before = table.cloned().collect();
            self.0 = Some(Begun { last: now, before, gone: 0, told: false });
        }
    }

    /// A route has been deleted. Returns the table before, once, when half of it has gone.
    pub fn deleted(&mut self, now: Instant) -> Option<Vec<Arc<Route>>> {
        let begun = self.0.as_mut()?;
        begun.last = now;
        begun.gone = begun.gone.saturating_add(1);
        let half = begun.before.len().div_ceil(2).max(LEAST);
        if begun.told || begun.gone < half {
            return None;
        }
        begun.told = true;
        Some(begun.before.clone())
    }

    /// Forgets a wave that is over.
    pub fn sweep(&mut self, now: Instant) {
        if self.0.as_ref().is_some_and(|begun| now.duration_since(begun.last) >= PAUSE) {
            self.0 = None;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use berth_common::Timestamp;

    use super::*;
    use crate::route::{Live, Record};

    fn table(count: usize) -> Vec<Arc<Route>> {
        let route = |number| Route {
            key: format!("/{number}"),
            record: Record::of_url("http://x:1").unwrap(),
            live: Live::new(Timestamp(0)),
        };
        (0..count).map(|number| Arc::new(route(number))).collect()
    }

    /// Deletes routes with so many seconds between; says at which the table was handed out.
    fn told(count: usize, pause_s: u64) -> Vec<usize> {
        let mut left = table(count);
        let mut wave = Wave::default();
        let mut now = Instant::now();
        let mut told = Vec::new();
        for number in 1..=count {
            now += Duration::from_secs(pause_s);
            wave.before(now, left.iter());
            left.pop();
            if let Some(before) = wave.deleted(now) {
                assert_eq!(before.len(), count);
                told.push(number);
            }
        }
        told
    }

    #[test]
    fn half_of_the_table_is_a_wave_and_single_stops_are_none() {
        assert_eq!(told(10, 1), [5]);
        assert_eq!(told(3, 59), [2]);
        assert_eq!(told(1, 1), [0; 0]);
        assert_eq!(told(10, 60), [0; 0]);
    }
}
