//! Which of the possible hosts is best. The order of the fields is the policy; the place in the
//! order of hosts is the last word, so a tie never decides by accident.

use serde::{Deserialize, Serialize};

use crate::decision::Term;
use crate::packing::Cost;

/// A host's score for one request: the smallest wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Score {
    /// It will be emptied while the server may still live.
    pub drains: bool,
    /// A rule prefers other hosts.
    pub not_preferred: bool,
    /// A missing image would make the person wait for it, or fail.
    pub image_absent: bool,
    /// How full the host is, as its pool's strategy counts it.
    pub fill: Fill,
    /// The host used last has the warmest caches.
    pub not_last: bool,
    /// Its place in the order of hosts.
    pub position: u32,
}

/// How full a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// Pack: what the placement wastes, in billionths of a GPU; see [`crate::packing`].
    Waste(Cost),
    /// Spread: the smallest reserved part first, in thousandths.
    ReservedPart(u64),
}

/// The name of the term that has parts.
pub(super) const WASTE: &str = "wasted by placing there";

impl Score {
    /// The terms in words, in the order in which they decide.
    pub fn terms(&self) -> Vec<Term> {
        let yes = |it: bool| if it { "yes" } else { "no" }.to_owned();
        let term = |name: &str, value: String| Term { name: name.into(), value };
        let fill = match self.fill {
            Fill::Waste(cost) => term(WASTE, cost.to_string()),
            Fill::ReservedPart(part) => {
                term("memory already reserved", format!("{} %", part as f64 / 10.0))
            }
        };
        vec![
            term("emptied while it may live", yes(self.drains)),
            term("preferred by a rule", yes(!self.not_preferred)),
            term("image present", yes(!self.image_absent)),
            fill,
            term("was there last", yes(!self.not_last)),
            term("place in the order of hosts", self.position.saturating_add(1).to_string()),
        ]
    }
}
