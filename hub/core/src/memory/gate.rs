//! What the gates of a host read, and what they say when they stay shut.

use berth_common::{ByteCount, Seconds};
use serde::{Deserialize, Serialize};

use super::relief::{Alarm, bytes};
use super::sums::Sums;

/// A report older than this gives no right to overcommit: an agent reports every five seconds.
const TOO_OLD: Seconds = Seconds(30);

/// A part, or a multiple, in thousandths: configuration says 1.5, decisions compare integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Thousandths(pub u32);

/// A pool's rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What is added up.
    pub kind: Kind,
    /// Σ of limits over usable memory, at most.
    pub oversubscribe: Thousandths,
    /// Nothing is placed that takes the memory really used above this part of the host.
    pub used_ceiling: Thousandths,
}

/// What is added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The limits: nobody is ever promised what somebody else may take.
    #[default]
    Limits,
    /// What the servers really use, and the largest single growth.
    Peaks,
}

/// A host's memory as declared and as last reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostMemory {
    /// As the files declare it, if they do.
    pub declared: Option<ByteCount>,
    /// Kept for the system, Docker and the page cache.
    pub keep_free: ByteCount,
    /// The newest report; `None`: it has not spoken yet.
    pub report: Option<Report>,
}

/// What a report says about memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// How old it is.
    pub age: Seconds,
    /// What the host has.
    pub total: ByteCount,
    /// What is free, if it says so.
    pub free: Option<ByteCount>,
    /// Whether it shows a server with more than its limit.
    pub above_limit: bool,
}

/// Memory that servers may have, and what bounds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usable {
    /// How much.
    pub bytes: ByteCount,
    /// What bounds it.
    pub bound: Bound,
}

/// What bounds the usable memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// What the files declare.
    Declared,
    /// What the host reports to have.
    Reported,
    /// What is used by its servers and free: something outside them holds the rest.
    Live {
        /// So much.
        outside: ByteCount,
    },
    /// Nothing is declared and nothing reported.
    Unknown,
}

/// Why a host's word gives no right to overcommit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    /// It has not spoken.
    Silent,
    /// Its report is too old.
    Old {
        /// So old.
        age: Seconds,
    },
    /// It does not say what is free.
    NoFree,
    /// More is free than it has, or its servers' use and its free memory are far more than it has.
    TooMuch {
        /// What its servers use.
        used: ByteCount,
        /// What it says is free.
        free: ByteCount,
        /// What it says it has.
        total: ByteCount,
    },
    /// It shows a server with more than its limit.
    AboveLimit,
}

/// A gate that stays shut, with its numbers, newcomer included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// If one server grew to its limit, the others at their recent use, there would be too little.
    OneGrows {
        /// Σ of recent use.
        lately: ByteCount,
        /// The most that one could grow.
        growth: ByteCount,
        /// Whether the one is the newcomer.
        newcomer: bool,
        /// What there is.
        usable: Usable,
    },
    /// If all came back to twice their highest use, there would be too little.
    AllReturn {
        /// Σ of twice the peaks, each at most its limit.
        doubled: ByteCount,
        /// What there is.
        usable: Usable,
    },
    /// Too much is promised to servers of which nothing is known yet.
    TooManyYoung {
        /// Σ of their limits.
        limits: ByteCount,
        /// Σ of their squares, in squares of the usable memory.
        squares: Thousandths,
        /// At most.
        allowed: Thousandths,
        /// What there is.
        usable: Usable,
    },
    /// The limits together are more than there is.
    Limits {
        /// Σ of limits.
        limits: ByteCount,
        /// What there is.
        usable: Usable,
        /// Why limits count although the pool's rule is peaks.
        distrust: Option<Distrust>,
    },
    /// The limits together are more than the pool allows.
    Oversubscribed {
        /// Σ of limits.
        limits: ByteCount,
        /// At most.
        allowed: ByteCount,
    },
    /// The memory really used would pass the pool's ceiling.
    UsedCeiling {
        /// Really used on the host now.
        used: ByteCount,
        /// What is expected of the newcomer.
        peak: ByteCount,
        /// At most.
        allowed: ByteCount,
    },
    /// Those who are there have grown: the host admits nobody.
    Alarm(Alarm),
}

impl Refusal {
    /// How much memory is missing.
    pub fn missing(&self) -> ByteCount {
        match self {
            Self::OneGrows { lately, growth, usable, .. } => {
                lately.plus(*growth).minus(usable.bytes)
            }
            Self::AllReturn { doubled, usable } => doubled.minus(usable.bytes),
            Self::Limits { limits, usable, .. } | Self::TooManyYoung { limits, usable, .. } => {
                limits.minus(usable.bytes)
            }
            Self::Oversubscribed { limits, allowed } => limits.minus(*allowed),
            Self::UsedCeiling { used, peak, allowed } => used.plus(*peak).minus(*allowed),
            Self::Alarm(alarm) => alarm.need.minus(alarm.usable),
        }
    }
}

impl Thousandths {
    /// No bound at all.
    pub const UNBOUNDED: Self = Self(u32::MAX);
    /// The whole.
    pub const ONE: Self = Self(1000);

    /// What part one is of another, rounded up: a little too much is too much.
    pub(super) fn from_parts(part: u128, whole: u128) -> Self {
        let thousandths = part.saturating_mul(1000).div_ceil(whole.max(1));
        Self(u32::try_from(thousandths).unwrap_or(u32::MAX))
    }

    /// This part of an amount, rounded down.
    pub fn of(self, amount: ByteCount) -> ByteCount {
        bytes(u128::from(amount.0) * u128::from(self.0) / 1000)
    }
}

impl Default for Rule {
    /// What holds where a pool says nothing.
    fn default() -> Self {
        Self { kind: Kind::Limits, oversubscribe: Thousandths::ONE, used_ceiling: Thousandths::ONE }
    }
}

impl HostMemory {
    /// What servers may have: the least of what is declared, reported, and really there, less what
    /// is kept free.
    pub fn usable(&self, sums: &Sums) -> Usable {
        let used = bytes(sums.used);
        let mut whole = self.declared.map(|bytes| (bytes, Bound::Declared));
        let mut lower = |bytes: ByteCount, bound| {
            if whole.is_none_or(|(least, _)| bytes < least) {
                whole = Some((bytes, bound));
            }
        };
        if let Some(report) = &self.report {
            lower(report.total, Bound::Reported);
            if let Some(free) = report.free {
                let there = self.size().unwrap_or(report.total);
                let outside = there.minus(used.plus(free));
                lower(used.plus(free), Bound::Live { outside });
            }
        }
        let (whole, bound) = whole.unwrap_or((ByteCount::ZERO, Bound::Unknown));
        Usable { bytes: whole.minus(self.keep_free), bound }
    }

    /// Why its word gives no right to overcommit, if it does not.
    pub fn distrust(&self, sums: &Sums) -> Option<Distrust> {
        let Some(report) = &self.report else { return Some(Distrust::Silent) };
        if report.age > TOO_OLD {
            return Some(Distrust::Old { age: report.age });
        }
        let Some(free) = report.free else { return Some(Distrust::NoFree) };
        let (used, total) = (bytes(sums.used), report.total);
        // The use of the servers and the free memory are not read at the same moment: an eighth of
        // the host may move between.
        if free > total || used.plus(free) > total.plus(ByteCount(total.0 / 8)) {
            return Some(Distrust::TooMuch { used, free, total });
        }
        report.above_limit.then_some(Distrust::AboveLimit)
    }

    /// The smaller of what is declared and reported.
    pub(super) fn size(&self) -> Option<ByteCount> {
        let reported = self.report.map(|report| report.total);
        self.declared.into_iter().chain(reported).min()
    }

    /// Memory really used: by servers, or by anything, if the host says so.
    pub(super) fn really_used(&self, sums: &Sums) -> ByteCount {
        let by_anything = self.report.and_then(|report| Some(report.total.minus(report.free?)));
        bytes(sums.used).max(by_anything.unwrap_or_default())
    }
}
