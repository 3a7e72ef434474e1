//! What a host's servers come to: the sums that the rule reads, changed one server at a time.

use std::collections::BTreeMap;

use berth_common::ByteCount;
use serde::{Deserialize, Serialize};

/// One server as the rule sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its use now.
    pub used: ByteCount,
    /// The highest use of the last minutes, or what is expected of it while it is new.
    pub lately: ByteCount,
    /// The highest use of days, or what is expected of it while that is higher.
    pub peak: ByteCount,
    /// Its hard limit.
    pub limit: ByteCount,
    /// Whether it is so new that its own use says nothing about it yet.
    pub young: bool,
}

/// The sums over a host's servers. Equal for equal servers, whatever came and went before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    /// Σ of use now.
    pub used: u128,
    /// Σ of recent use.
    pub lately: u128,
    /// Σ of twice the peak, each at most the limit.
    pub doubled: u128,
    /// Σ of limits.
    pub limits: u128,
    /// Σ of the limits of young servers.
    pub young: u128,
    /// Σ of the squares of the limits of young servers.
    pub young_squares: u128,
    /// What each could grow from its recent use.
    growth: Largest,
    /// What each could grow from its use now.
    growth_now: Largest,
}

/// A multiset of which only the largest value is asked for. All are kept: once the largest is
/// gone, the next one must be known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Largest(BTreeMap<ByteCount, u32>);

impl Member {
    /// A server that asks: all that is known of it is what is expected
    /// ([`super::History::expected`]) and its limit.
    pub fn newcomer(expected: ByteCount, limit: ByteCount) -> Self {
        Self { used: ByteCount::ZERO, lately: expected, peak: expected, limit, young: true }
            .bounded()
    }

    /// The same with nothing above the limit: no server can hold more for long.
    #[must_use]
    pub fn bounded(self) -> Self {
        let Self { used, lately, peak, limit, young } = self;
        Self {
            used: used.min(limit),
            lately: lately.min(limit),
            peak: peak.min(limit),
            limit,
            young,
        }
    }

    fn young(&self) -> u128 {
        if self.young { self.limit.0.into() } else { 0 }
    }

    fn young_square(&self) -> u128 {
        self.young() * self.young()
    }

    fn doubled(&self) -> u128 {
        (2 * u128::from(self.peak.0)).min(self.limit.0.into())
    }
}

impl Sums {
    /// The sums over these servers.
    pub fn of<'a>(members: impl IntoIterator<Item = &'a Member>) -> Self {
        let mut sums = Self::default();
        members.into_iter().for_each(|member| sums.add(member));
        sums
    }

    /// One server more.
    pub fn add(&mut self, member: &Member) {
        let member = member.bounded();
        self.used += u128::from(member.used.0);
        self.lately += u128::from(member.lately.0);
        self.doubled += member.doubled();
        self.limits += u128::from(member.limit.0);
        self.young += member.young();
        self.young_squares = self.young_squares.saturating_add(member.young_square());
        self.growth.add(member.limit.minus(member.lately));
        self.growth_now.add(member.limit.minus(member.used));
    }

    /// One server less: one that was added, with the same values.
    pub fn remove(&mut self, member: &Member) {
        let member = member.bounded();
        self.used = self.used.saturating_sub(member.used.0.into());
        self.lately = self.lately.saturating_sub(member.lately.0.into());
        self.doubled = self.doubled.saturating_sub(member.doubled());
        self.limits = self.limits.saturating_sub(member.limit.0.into());
        self.young = self.young.saturating_sub(member.young());
        self.young_squares = self.young_squares.saturating_sub(member.young_square());
        self.growth.remove(member.limit.minus(member.lately));
        self.growth_now.remove(member.limit.minus(member.used));
    }

    /// The same server with other values.
    pub fn change(&mut self, before: &Member, after: &Member) {
        self.remove(before);
        self.add(after);
    }

    /// What must be there so that any one server may grow to its limit while the others stay at
    /// their recent use.
    pub fn one_grows(&self) -> u128 {
        self.lately + u128::from(self.growth().0)
    }

    /// What must be there, by the rule of peaks.
    pub fn need(&self) -> u128 {
        self.one_grows().max(self.doubled)
    }

    /// The same as [`Sums::one_grows`], from the use at this moment: what the alarm watches.
    pub fn one_grows_now(&self) -> u128 {
        self.used + u128::from(self.growth_now.largest().0)
    }

    /// The most that one server could grow from its recent use.
    pub fn growth(&self) -> ByteCount {
        self.growth.largest()
    }

    /// The same as plain numbers.
    pub(super) fn totals(&self) -> Totals {
        Totals {
            lately: self.lately,
            growth: self.growth(),
            doubled: self.doubled,
            limits: self.limits,
            young: self.young,
            young_squares: self.young_squares,
        }
    }
}

/// The sums as plain numbers, with a newcomer or without: nothing is allocated, and nothing looked
/// up, for a host that is only asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Totals {
    pub lately: u128,
    pub growth: ByteCount,
    pub doubled: u128,
    pub limits: u128,
    pub young: u128,
    pub young_squares: u128,
}

impl Totals {
    /// These and a newcomer that holds no more than its limit.
    pub fn with(&self, member: &Member) -> Self {
        Self {
            lately: self.lately + u128::from(member.lately.0),
            growth: self.growth.max(member.limit.minus(member.lately)),
            doubled: self.doubled + member.doubled(),
            limits: self.limits + u128::from(member.limit.0),
            young: self.young + member.young(),
            young_squares: self.young_squares.saturating_add(member.young_square()),
        }
    }

    pub fn one_grows(&self) -> u128 {
        self.lately + u128::from(self.growth.0)
    }

    pub fn need(&self) -> u128 {
        self.one_grows().max(self.doubled)
    }
}

impl Largest {
    fn add(&mut self, value: ByteCount) {
        *self.0.entry(value).or_default() += 1;
    }

    fn remove(&mut self, value: ByteCount) {
        if let Some(count) = self.0.get_mut(&value) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&value);
            }
        }
    }

    fn largest(&self) -> ByteCount {
        self.0.last_key_value().map_or(ByteCount::ZERO, |(value, _)| *value)
    }
}
