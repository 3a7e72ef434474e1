//! Who may join a host: the gates in their fixed order, each with its numbers when it stays shut.

use berth_common::{ByteCount, Seconds};
use serde::{Deserialize, Serialize};

use super::relief::{self, Alarm, bytes};
use super::sums::{Member, Sums, Totals};

/// A report older than this gives no right to overcommit: an agent reports every five seconds.
const TOO_OLD: Seconds = Seconds(30);
/// The squares of the limits of young servers may come to so many squares of the usable memory.
/// Their own use says nothing yet, and two of them that grow at once are what the rule cannot
/// bear. Squares, because that takes two which could fill the host, or many which could not: with
/// limits of 28 GB a host of 32 GB takes two at a time and one of 64 GB ten, and with limits of 4 GB
/// nobody meets this gate.
const YOUNG_SQUARES: Thousandths = Thousandths(2000);

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
    fn from_parts(part: u128, whole: u128) -> Self {
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
    fn size(&self) -> Option<ByteCount> {
        let reported = self.report.map(|report| report.total);
        self.declared.into_iter().chain(reported).min()
    }

    /// Memory really used: by servers, or by anything, if the host says so.
    fn really_used(&self, sums: &Sums) -> ByteCount {
        let by_anything = self.report.and_then(|report| Some(report.total.minus(report.free?)));
        bytes(sums.used).max(by_anything.unwrap_or_default())
    }
}

/// All gates that stay shut, in their fixed order; none: the host takes the newcomer. The first is
/// what a short answer says.
pub fn refusals<'a>(
    host: &'a HostMemory,
    sums: &'a Sums,
    newcomer: &'a Member,
    rule: &'a Rule,
) -> impl Iterator<Item = Refusal> + 'a {
    let totals = sums.with(newcomer);
    let usable = host.usable(sums);
    let distrust = host.distrust(sums);
    let by_peaks = rule.kind == Kind::Peaks && distrust.is_none();
    let distrust = distrust.filter(|_| rule.kind == Kind::Peaks);
    let peaks = by_peaks.then(|| peak_gates(&totals, newcomer, usable)).into_iter().flatten();
    let limits = (!by_peaks && totals.limits > usable.bytes.0.into()).then(|| Refusal::Limits {
        limits: bytes(totals.limits),
        usable,
        distrust,
    });
    peaks
        .flatten()
        .chain(limits)
        .chain(oversubscribed(&totals, usable, rule))
        .chain(above_ceiling(host, sums, newcomer, rule))
        .chain(relief::alarm(sums, usable.bytes).map(Refusal::Alarm))
}

/// The memory that would be left over once the newcomer is there, by what its rule adds up: what
/// placement packs or spreads by. `None`: the host does not take it.
pub fn rest(host: &HostMemory, sums: &Sums, newcomer: &Member, rule: &Rule) -> Option<ByteCount> {
    if refusals(host, sums, newcomer, rule).next().is_some() {
        return None;
    }
    let totals = sums.with(newcomer);
    let by_peaks = rule.kind == Kind::Peaks && host.distrust(sums).is_none();
    let need = if by_peaks { totals.need() } else { totals.limits };
    Some(host.usable(sums).bytes.minus(bytes(need)))
}

/// The largest limit, up to the one that was asked for, with which the host would take the
/// newcomer: the smallest change that helps. Found by asking the same gates, which no smaller
/// limit shuts. `None`: none would.
pub fn largest_limit(
    host: &HostMemory,
    sums: &Sums,
    newcomer: &Member,
    rule: &Rule,
) -> Option<ByteCount> {
    let admits = |limit: u64| {
        let newcomer = Member { limit: ByteCount(limit), ..*newcomer };
        refusals(host, sums, &newcomer, rule).next().is_none()
    };
    let (mut least, mut most) = (1, newcomer.limit.0);
    if most == 0 || !admits(least) {
        return None;
    }
    while least < most {
        let middle = least + (most - least).div_ceil(2);
        if admits(middle) {
            least = middle;
        } else {
            most = middle - 1;
        }
    }
    Some(ByteCount(least))
}

/// The gates of the rule of peaks.
fn peak_gates(totals: &Totals, newcomer: &Member, usable: Usable) -> [Option<Refusal>; 3] {
    let room = u128::from(usable.bytes.0);
    let one = Refusal::OneGrows {
        lately: bytes(totals.lately),
        growth: totals.growth,
        newcomer: newcomer.limit.minus(newcomer.lately) == totals.growth,
        usable,
    };
    let all = Refusal::AllReturn { doubled: bytes(totals.doubled), usable };
    let allowed = YOUNG_SQUARES;
    let squares = Thousandths::from_parts(totals.young_squares, room * room);
    let young = Refusal::TooManyYoung { limits: bytes(totals.young), squares, allowed, usable };
    [
        (totals.one_grows() > room).then_some(one),
        (totals.doubled > room).then_some(all),
        (squares > allowed).then_some(young),
    ]
}

fn oversubscribed(totals: &Totals, usable: Usable, rule: &Rule) -> Option<Refusal> {
    if rule.oversubscribe == Thousandths::UNBOUNDED {
        return None;
    }
    let allowed = rule.oversubscribe.of(usable.bytes);
    let limits = bytes(totals.limits);
    (limits > allowed).then_some(Refusal::Oversubscribed { limits, allowed })
}

fn above_ceiling(
    host: &HostMemory,
    sums: &Sums,
    newcomer: &Member,
    rule: &Rule,
) -> Option<Refusal> {
    let allowed = rule.used_ceiling.of(host.size().unwrap_or_default());
    let used = host.really_used(sums);
    let peak = newcomer.bounded().lately;
    (used.plus(peak) > allowed).then_some(Refusal::UsedCeiling { used, peak, allowed })
}
