//! Who may join a host: the gates in their fixed order, each with its numbers when it stays shut.
//!
//! A host's side of all of them is put together once, whenever the host changes, so that a question
//! costs a few comparisons: ten thousand hosts are asked in a part of a millisecond.

use berth_common::ByteCount;

use super::gate::{Distrust, HostMemory, Kind, Refusal, Rule, Thousandths, Usable};
use super::relief::{self, Alarm, bytes};
use super::sums::{Member, Sums, Totals};

/// The squares of the limits of young servers may come to so many squares of the usable memory.
/// Their own use says nothing yet, and two of them that grow at once are what the rule cannot
/// bear. Squares, because that takes two which could fill the host, or many which could not: with
/// limits of 28 GB a host of 32 GB takes two at a time and one of 64 GB ten, and with limits of 4 GB
/// nobody meets this gate.
const YOUNG_SQUARES: Thousandths = Thousandths(2000);

/// A host ready to be asked: what the gates compare a newcomer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    usable: Usable,
    /// Why limits count although the pool's rule is peaks.
    distrust: Option<Distrust>,
    by_peaks: bool,
    /// Those who are there.
    there: Totals,
    /// What limits may come to; `None`: nothing bounds them.
    oversubscribed: Option<ByteCount>,
    really_used: ByteCount,
    /// What may really be used.
    ceiling: ByteCount,
    alarm: Option<Alarm>,
}

/// The gates.
#[derive(Debug, Clone, Copy)]
enum Gate {
    OneGrows,
    AllReturn,
    Young,
    Limits,
    Oversubscribed,
    UsedCeiling,
    Alarm,
}

/// The gates in their order.
const GATES: [Gate; 7] = [
    Gate::OneGrows,
    Gate::AllReturn,
    Gate::Young,
    Gate::Limits,
    Gate::Oversubscribed,
    Gate::UsedCeiling,
    Gate::Alarm,
];

impl Standing {
    /// Of a host with these servers under a pool's rule.
    pub fn of(host: &HostMemory, sums: &Sums, rule: &Rule) -> Self {
        let usable = host.usable(sums);
        let distrust = host.distrust(sums);
        let bounded = rule.oversubscribe != Thousandths::UNBOUNDED;
        Self {
            usable,
            distrust: distrust.filter(|_| rule.kind == Kind::Peaks),
            by_peaks: rule.kind == Kind::Peaks && distrust.is_none(),
            there: sums.totals(),
            oversubscribed: bounded.then(|| rule.oversubscribe.of(usable.bytes)),
            really_used: host.really_used(sums),
            ceiling: rule.used_ceiling.of(host.size().unwrap_or_default()),
            alarm: relief::alarm(sums, usable.bytes),
        }
    }

    /// What servers may have there.
    pub fn usable(&self) -> ByteCount {
        self.usable.bytes
    }

    /// No newcomer with a higher limit is admitted, whatever is expected of it.
    pub fn open(&self) -> ByteCount {
        let (there, room) = (&self.there, u128::from(self.usable.bytes.0));
        let shut = self.alarm.is_some()
            || self.really_used > self.ceiling
            || (self.by_peaks && (there.one_grows() > room || there.doubled > room));
        let promised = if self.by_peaks { there.lately } else { there.limits };
        let unbounded = ByteCount(u64::MAX);
        let open = bytes(room.saturating_sub(promised)).min(
            self.oversubscribed.map_or(unbounded, |allowed| allowed.minus(bytes(there.limits))),
        );
        if shut { ByteCount::ZERO } else { open }
    }

    /// What nobody was promised of the usable memory, by the rule of the pool; below nothing: more
    /// was promised than there is.
    pub fn left(&self, kind: Kind) -> i128 {
        let promised = match kind {
            Kind::Limits => self.there.limits,
            Kind::Peaks => self.there.need(),
        };
        let promised = i128::try_from(promised).unwrap_or(i128::MAX);
        i128::from(self.usable.bytes.0).saturating_sub(promised)
    }

    /// All gates that stay shut, in their fixed order; none: the host takes the newcomer. The first
    /// is what a short answer says.
    pub fn refusals(&self, newcomer: &Member) -> impl Iterator<Item = Refusal> {
        let newcomer = newcomer.bounded();
        let totals = self.there.with(&newcomer);
        GATES.into_iter().filter_map(move |gate| self.shut(gate, &newcomer, &totals))
    }

    /// What a gate says if it stays shut. `totals`: with the newcomer.
    fn shut(&self, gate: Gate, newcomer: &Member, totals: &Totals) -> Option<Refusal> {
        let usable = self.usable;
        let room = u128::from(usable.bytes.0);
        match gate {
            Gate::OneGrows if self.by_peaks && totals.one_grows() > room => {
                Some(Refusal::OneGrows {
                    lately: bytes(totals.lately),
                    growth: totals.growth,
                    newcomer: newcomer.limit.minus(newcomer.lately) == totals.growth,
                    usable,
                })
            }
            Gate::AllReturn if self.by_peaks && totals.doubled > room => {
                Some(Refusal::AllReturn { doubled: bytes(totals.doubled), usable })
            }
            // Up to one square nothing is shut, and dividing costs more than all else.
            Gate::Young if self.by_peaks && totals.young_squares > room * room => {
                let squares = Thousandths::from_parts(totals.young_squares, room * room);
                let (limits, allowed) = (bytes(totals.young), YOUNG_SQUARES);
                let shut = Refusal::TooManyYoung { limits, squares, allowed, usable };
                (squares > allowed).then_some(shut)
            }
            Gate::Limits if !self.by_peaks && totals.limits > room => Some(Refusal::Limits {
                limits: bytes(totals.limits),
                usable,
                distrust: self.distrust,
            }),
            Gate::Oversubscribed => {
                let limits = bytes(totals.limits);
                let allowed = self.oversubscribed.filter(|allowed| limits > *allowed)?;
                Some(Refusal::Oversubscribed { limits, allowed })
            }
            Gate::UsedCeiling => {
                let (used, peak, allowed) = (self.really_used, newcomer.lately, self.ceiling);
                let shut = Refusal::UsedCeiling { used, peak, allowed };
                (used.plus(peak) > allowed).then_some(shut)
            }
            Gate::Alarm => self.alarm.map(Refusal::Alarm),
            _ => None,
        }
    }

    /// The memory that would be left over once the newcomer is there, by what its rule adds up;
    /// `None`: the host does not take it.
    fn rest(&self, newcomer: &Member) -> Option<ByteCount> {
        if self.refusals(newcomer).next().is_some() {
            return None;
        }
        let totals = self.there.with(&newcomer.bounded());
        let need = if self.by_peaks { totals.need() } else { totals.limits };
        Some(self.usable.bytes.minus(bytes(need)))
    }
}

/// All gates of a host that stay shut for a newcomer: see [`Standing::refusals`].
pub fn refusals(
    host: &HostMemory,
    sums: &Sums,
    newcomer: &Member,
    rule: &Rule,
) -> impl Iterator<Item = Refusal> + use<> {
    let shut: Vec<_> = Standing::of(host, sums, rule).refusals(newcomer).collect();
    shut.into_iter()
}

/// The memory that would be left over once the newcomer is there, by what its rule adds up: what
/// placement packs or spreads by. `None`: the host does not take it.
pub fn rest(host: &HostMemory, sums: &Sums, newcomer: &Member, rule: &Rule) -> Option<ByteCount> {
    Standing::of(host, sums, rule).rest(newcomer)
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
    let standing = Standing::of(host, sums, rule);
    let admits = |limit: u64| {
        let newcomer = Member { limit: ByteCount(limit), ..*newcomer };
        standing.refusals(&newcomer).next().is_none()
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
