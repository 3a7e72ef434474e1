//! Trainings: courses with people, hours and a pool of their own.

use std::collections::BTreeSet;

use berth_common::{Seconds, Timestamp, Username};
use serde::{Deserialize, Serialize};

use super::{Cite, People, Quota};

/// A course. Its profile has the training's own name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Training {
    /// What people read.
    pub title: String,
    /// The pool that it opens.
    pub pool: String,
    /// When it is open, in order and without overlap: daily hours are laid out by the loader.
    pub windows: Vec<Window>,
    /// Who takes part.
    pub participants: People,
    /// How many are expected.
    pub expected: u32,
    /// Who teaches: may do what participants may.
    pub instructors: BTreeSet<Username>,
    /// Apart from a participant's usual quota; what is not said has no limit here.
    pub quota: Quota,
    /// How long servers go on after the last window.
    pub stop_after: Seconds,
    /// How long it may take until the servers of all who are expected have started.
    #[serde(default = "usual_start")]
    pub start_within: Seconds,
    /// Where it is defined.
    pub cite: Cite,
}

/// What a room of people waits for without asking.
fn usual_start() -> Seconds {
    Training::START_WITHIN
}

/// A span of time: from its first moment up to, and without, its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Window {
    /// The first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub to: Timestamp,
}

impl Training {
    /// How long the first starts may take where nothing is said.
    pub const START_WITHIN: Seconds = Seconds(300);

    /// The window that is open now.
    pub fn open_window(&self, now: Timestamp) -> Option<Window> {
        self.windows.iter().copied().find(|window| window.from <= now && now < window.to)
    }

    /// The next window to open.
    pub fn next_window(&self, now: Timestamp) -> Option<Window> {
        self.windows.iter().copied().find(|window| now < window.from)
    }

    /// When it is over for good.
    pub fn ends(&self) -> Option<Timestamp> {
        self.windows.last().map(|window| window.to)
    }

    /// The span without a gap around this moment in which it is open.
    pub fn open_span(&self, now: Timestamp) -> Option<Window> {
        let mut span = self.open_window(now)?;
        for window in &self.windows {
            if window.from <= span.to && window.to > span.to {
                span.to = window.to;
            }
        }
        Some(span)
    }

    /// Opens or closes it for a while, whatever was said of that time before.
    pub fn put(&mut self, open: bool, span: Window) {
        let mut windows = Vec::new();
        for window in self.windows.drain(..) {
            let before = Window { from: window.from, to: window.to.min(span.from) };
            let after = Window { from: window.from.max(span.to), to: window.to };
            windows.extend([before, after].into_iter().filter(|it| it.from < it.to));
        }
        if open && span.from < span.to {
            windows.push(span);
        }
        windows.sort_unstable();
        self.windows = windows;
    }
}

impl Window {
    /// Whether the two have a moment in common.
    pub fn meets(&self, other: &Self) -> bool {
        self.from < other.to && other.from < self.to
    }

    /// Whether a moment lies in it.
    pub fn holds(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: i64, to: i64) -> Window {
        Window { from: Timestamp(from), to: Timestamp(to) }
    }

    fn put(windows: &[(i64, i64)], open: bool, span: (i64, i64)) -> Vec<(i64, i64)> {
        let mut training = Training {
            title: String::new(),
            pool: String::new(),
            windows: windows.iter().map(|(from, to)| window(*from, *to)).collect(),
            participants: People::default(),
            expected: 1,
            instructors: BTreeSet::new(),
            quota: Quota::default(),
            stop_after: Seconds(0),
            start_within: Seconds(300),
            cite: Cite::default(),
        };
        training.put(open, window(span.0, span.1));
        training.windows.iter().map(|window| (window.from.0, window.to.0)).collect()
    }

    #[test]
    fn what_is_ordered_last_counts() {
        let file = [(10, 20), (30, 40)];
        assert_eq!(put(&file, true, (20, 25)), [(10, 20), (20, 25), (30, 40)]);
        assert_eq!(put(&file, true, (0, 50)), [(0, 50)]);
        assert_eq!(put(&file, false, (15, 20)), [(10, 15), (30, 40)]);
        assert_eq!(put(&file, false, (12, 14)), [(10, 12), (14, 20), (30, 40)]);
        assert_eq!(put(&file, false, (0, 50)), []);
        assert_eq!(put(&file, true, (7, 7)), file, "no time is no order");
    }
}
