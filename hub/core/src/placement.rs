//! Placement: which host a request goes to, as plain functions over the floor.
//!
//! Every host is looked at, none is sampled. What decides is one row a host, made of the floor and
//! the site's rules; the explanation is made from the same rows, so it cannot tell another story.

mod demand;
mod explain;
mod need;
mod room;
mod row;
mod rows;
mod score;

pub use demand::Demand;
pub(crate) use explain::detail;
pub use explain::{Sight, line, lines};
pub use need::Need;
pub use room::{Ask as AskInNumbers, Fail};
pub use row::Row;
pub use rows::{Kept, Rows, parts};
pub use score::{Fill, Score};

use berth_common::{HostId, Reason};
use serde::{Deserialize, Serialize};

use crate::decision::{Excluded, Term};
use crate::packing::Worth;

/// Where a request would go.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The chosen host, or why there is none.
    pub choice: Result<Chosen, NoHost>,
    /// The best of the others.
    pub runner_up: Option<Scored>,
    /// How many hosts are possible.
    pub possible: u32,
    /// The others, by the first rule that excludes them.
    pub excluded: Vec<Excluded>,
}

/// A host for a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// The host with its score.
    pub scored: Scored,
    /// Its devices that the server gets, as indices in the host's list.
    pub gpus: Vec<u16>,
    /// Whether it serves the pool that only helps out.
    pub overflow: bool,
}

/// A possible host and its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The host.
    pub host: HostId,
    /// Its score.
    pub score: Score,
    /// What the placement wastes, term by term; in pools that are packed.
    #[serde(default)]
    pub worth: Option<Worth>,
}

impl Scored {
    /// The terms in words, in the order in which they decide; below what is wasted, what that is
    /// made of.
    pub fn terms(&self) -> Vec<Term> {
        let mut terms = self.score.terms();
        let Some(worth) = &self.worth else { return terms };
        let parts = [
            ("  worth that is lost", worth.value_lost),
            ("  GPU that becomes unusable", worth.fragmentation),
            ("  scarcity", worth.scarcity),
            ("  place in the filling order", worth.consolidation),
        ];
        let at = terms.iter().position(|term| term.name == score::WASTE).map_or(0, |at| at + 1);
        let parts = parts.map(|(name, cost)| Term { name: name.into(), value: cost.to_string() });
        terms.splice(at..at, parts);
        terms
    }
}

/// Why no host can take a request now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoHost {
    /// It would fit once others end or a host comes back: wait.
    Now(Reason),
    /// No host of the pool is large enough, even empty.
    Never,
}

/// How the rows are looked at: in a step answers are remembered; a snapshot remembers nothing.
#[derive(Debug)]
pub enum Look<'a> {
    /// In a step.
    Remember(&'a mut Rows),
    /// On a snapshot.
    Only(&'a Rows),
}

impl Look<'_> {
    /// The rows.
    pub fn rows(&self) -> &Rows {
        match self {
            Self::Remember(rows) => rows,
            Self::Only(rows) => rows,
        }
    }

    fn best(&mut self, need: &Need, last: Option<&HostId>, kept: Kept) -> Verdict {
        match self {
            Self::Remember(rows) => rows.best(need, last, kept),
            Self::Only(rows) => rows.look(need, last, kept),
        }
    }
}

/// Looks for the best host, in the request's pool first, and in the one that helps out if a host of
/// the first is down. `kept` is a host that others wait for.
pub fn place(look: &mut Look<'_>, need: &Need, last: Option<&HostId>, kept: Kept) -> Verdict {
    let verdict = look.best(need, last, kept);
    let elsewhere = verdict.choice.is_err().then(|| elsewhere(look.rows(), need)).flatten();
    match elsewhere {
        Some(elsewhere) => helped_out(verdict, look.best(&elsewhere, last, kept)),
        None => verdict,
    }
}

/// Whether [`place`] would find a host: what is asked of every change that might help. It looks for
/// no best one, so it costs a small part of that.
pub fn has_place(rows: &Rows, need: &Need, kept: Kept) -> bool {
    rows.takes(need, kept)
        || elsewhere(rows, need).is_some_and(|elsewhere| rows.takes(&elsewhere, kept))
}

/// The need in the pool that helps out, if that one does now: where the need's own has no room.
fn elsewhere(rows: &Rows, need: &Need) -> Option<Need> {
    let overflow = need.overflow.as_ref()?;
    let helps = rows.has_a_host_down(&need.pool);
    helps.then(|| Need { pool: overflow.clone(), overflow: None, ..need.clone() })
}

fn helped_out(first: Verdict, mut second: Verdict) -> Verdict {
    match &mut second.choice {
        Ok(chosen) => chosen.overflow = true,
        Err(_) => return first,
    }
    second
}

#[cfg(test)]
mod tests;
