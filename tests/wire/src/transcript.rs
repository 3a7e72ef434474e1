//! What happened, in order: by it runs are judged and compared.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use berth_common::{Revision, ServerId};

use crate::clock;

/// The record of one site. Clones write into the same one.
#[derive(Debug, Clone, Default)]
pub struct Transcript(Arc<Mutex<Vec<Line>>>);

/// One happening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Simulated milliseconds since the beginning.
    pub at_ms: u64,
    /// The host that it happened to.
    pub who: String,
    /// What it was.
    pub what: What,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It begins to connect to this hub.
    Dials(String),
    /// This hub has accepted its connection.
    Accepted(String),
    /// This hub has let go of its connection.
    LetGo(String),
    /// It has joined with a token.
    Joined,
    /// It could not join, and why.
    NotJoined(String),
    /// Its agent takes the link for up.
    Linked,
    /// Its agent takes the link for down, and why.
    Away(String),
    /// A hub told it what should be, and about whom.
    Told(Revision, Vec<ServerId>),
    /// Its certificate is another one, valid to this second since 1970.
    Certified(i64),
}

impl Transcript {
    /// Notes a happening of this moment.
    pub fn note(&self, who: &str, what: What) {
        let at_ms = u64::try_from(clock::elapsed().as_millis()).unwrap_or(u64::MAX);
        self.lock().push(Line { at_ms, who: who.to_owned(), what });
    }

    /// All lines since a moment.
    pub fn since(&self, at_ms: u64) -> Vec<Line> {
        self.lock().iter().filter(|line| line.at_ms >= at_ms).cloned().collect()
    }

    /// All lines but the first so many.
    pub fn after(&self, number: usize) -> Vec<Line> {
        self.lock().get(number..).unwrap_or_default().to_vec()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line { at_ms, who, what } in self.lock().iter() {
            writeln!(f, "{at_ms:>8} {who} {what:?}")?;
        }
        Ok(())
    }
}
