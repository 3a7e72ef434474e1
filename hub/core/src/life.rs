//! The life of a running server: what keeps it alive, when it will stop, what its owner was told of
//! that, and how far the owner has put it off.
//!
//! Everything here is a plain function of what is recorded and of the moment, so a hub that was
//! killed anywhere goes on as if it had not been. A stop is put into effect in `step::life` only.
//!
//! The moment of a stop, in three steps: the *natural* one follows from the newest sign of activity,
//! the age, or the question about an unused GPU; the *target* is never before what the owner was
//! promised by an extension; and the stop itself is never in the quiet hours, nor before a warning
//! was given outside of them.

use std::collections::BTreeMap;
use std::fmt;

use berth_common::{Seconds, Timestamp};
use serde::{Deserialize, Serialize};

mod meter;
mod outlook;
mod plan;
mod schedule;

pub use meter::{Meter, Use};
pub use outlook::{Extension, Outlook, Question, idle_since, outlook, stops_at};
pub use plan::{Limits, Plan, last_sign, limits, plan, unused_since};
pub use schedule::{Schedule, leads, schedule};

/// A kind of sign that somebody, or something of theirs, is at work in a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The notebook server's own report: kernels' messages, terminals, requests. It moves with every
    /// request, also those that an open tab makes by itself; so it counts only where nothing better
    /// is known.
    Notebook,
    /// The proxy has seen requests or input.
    Browser,
    /// A kernel is busy.
    Kernel,
    /// A terminal is at work.
    Terminal,
    /// Processors are in use.
    Cpu,
    /// GPUs are in use.
    Gpu,
    /// Data moves through the network, or to and from storage.
    Network,
    /// A Dask cluster that it began on the compute farm is busy.
    Cluster,
}

impl Evidence {
    /// What people read.
    pub fn words(self) -> &'static str {
        match self {
            Self::Notebook => "the notebook server's report",
            Self::Browser => "a browser",
            Self::Kernel => "a busy kernel",
            Self::Terminal => "a terminal",
            Self::Cpu => "use of the processor",
            Self::Gpu => "use of the GPU",
            Self::Network => "data that moves",
            Self::Cluster => "a busy Dask cluster",
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.words())
    }
}

/// What is recorded about the life of one start of a server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Life {
    /// The newest sign of each kind.
    #[serde(default)]
    pub signs: BTreeMap<Evidence, Timestamp>,
    /// The limit without activity; `None`: there is none.
    #[serde(default)]
    pub idle: Option<Clock>,
    /// The limit of age; `None`: there is none.
    #[serde(default)]
    pub age: Option<Clock>,
    /// The owner was promised that it is not stopped before.
    #[serde(default)]
    pub kept_until: Option<Timestamp>,
    /// How many steps of extension that promise took.
    #[serde(default)]
    pub extended: u32,
    /// The target of which `told` speaks.
    #[serde(default)]
    pub told_of: Timestamp,
    /// The warnings that were given of it, in their order.
    #[serde(default)]
    pub told: Vec<Told>,
    /// Its GPUs, if it has any.
    #[serde(default)]
    pub gpu: GpuLife,
    /// Whether a kernel is busy, as was last heard in this reign.
    #[serde(skip)]
    pub kernel_busy: Option<bool>,
    /// When its host last told of its kernels in this reign.
    #[serde(skip)]
    pub kernels_told: Option<Timestamp>,
    /// Its host was silent when something was due: the owner is warned again before anything.
    #[serde(skip)]
    pub unseen: bool,
    /// Since when its stop is due; what happened until then must be known before it is stopped.
    #[serde(skip)]
    pub due_at: Option<Timestamp>,
    /// Measured use since the last sign.
    #[serde(skip)]
    pub meter: Meter,
}

/// A limit that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// The limit when the files were last looked at.
    pub limit: Seconds,
    /// It runs from here at the earliest: from the start, or from when it was made shorter.
    pub since: Timestamp,
}

/// A warning that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Which one: so long before the stop.
    pub lead: Seconds,
    /// When.
    pub at: Timestamp,
    /// The stop of which it speaks.
    pub stop: Timestamp,
    /// Whether the mail about it has left; it is sent again until then.
    #[serde(default)]
    pub mailed: bool,
}

/// What is known about the use of a server's GPUs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuLife {
    /// Since when their use is measured without a gap; `None`: it was never told, and unknown is
    /// not unused.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// When the owner was asked about them.
    #[serde(default)]
    pub asked: Option<Told>,
    /// When their use was last measured in this reign.
    #[serde(skip)]
    pub measured: Option<Timestamp>,
}

impl Life {
    /// Notes a sign; they move only forward. Whether it is news.
    pub fn sign(&mut self, kind: Evidence, at: Timestamp) -> bool {
        let newest = self.signs.entry(kind).or_default();
        let news = at > *newest;
        *newest = at.max(*newest);
        news
    }

    /// Whether the host tells of the kernels: then the notebook server's own report adds nothing
    /// but the requests of open tabs.
    pub fn is_seen_inside(&self, now: Timestamp) -> bool {
        /// So long the last word is believed.
        const BELIEVED: Seconds = Seconds(300);
        self.kernels_told.is_some_and(|told| now < told.plus(BELIEVED))
    }

    /// The warnings that speak of this target.
    pub fn told_of(&self, target: Timestamp) -> &[Told] {
        if self.told_of == target { &self.told } else { &[] }
    }

    /// How much of the budget is used while the natural stop is this one: activity that has moved
    /// it beyond what was promised gives the whole budget back.
    pub fn spent(&self, natural: Timestamp) -> u32 {
        match self.kept_until {
            Some(kept) if natural < kept => self.extended,
            _ => 0,
        }
    }

    /// Warnings and questions whose mail has not left yet.
    pub fn owes_mail(&self) -> impl Iterator<Item = &Told> {
        self.told.iter().chain(&self.gpu.asked).filter(|told| !told.mailed)
    }
}

impl Clock {
    /// The clock under a limit as the files have it now. A shorter one begins anew: nobody is
    /// stopped by a reload without the usual warnings.
    pub fn under(former: Option<Self>, limit: Option<Seconds>, now: Timestamp) -> Option<Self> {
        let limit = limit?;
        Some(match former {
            Some(former) if limit >= former.limit => Self { limit, since: former.since },
            _ => Self { limit, since: now },
        })
    }
}

#[cfg(test)]
mod tests;
