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
    /// Where it is defined.
    pub cite: Cite,
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
    /// The window that is open now.
    pub fn open_window(&self, now: Timestamp) -> Option<Window> {
        self.windows.iter().copied().find(|window| window.from <= now && now < window.to)
    }

    /// The next window to open.
    pub fn next_window(&self, now: Timestamp) -> Option<Window> {
        self.windows.iter().copied().find(|window| now < window.from)
    }
}
