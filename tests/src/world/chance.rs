//! The one source of chance: a seed decides everything.

use std::ops::RangeInclusive;

/// SplitMix64: twenty lines, no dependency, and the same on every machine for ever.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The chance that grows from this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = self.0;
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of the range, each as likely.
    pub fn between(&mut self, range: RangeInclusive<u64>) -> u64 {
        let width = range.end().saturating_sub(*range.start()).saturating_add(1);
        range.start() + self.bits() % width
    }

    /// Happens this often in a thousand.
    pub fn permille(&mut self, often: u64) -> bool {
        often > 0 && self.bits() % 1000 < often
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let index = self.between(0..=from.len().saturating_sub(1) as u64);
        from.get(index as usize)
    }

    /// A span around a mean: mostly near it, sometimes a small part of it.
    pub fn around(&mut self, mean: u64) -> u64 {
        self.between(mean / 8..=mean / 8 * 15)
    }

    /// What was drawn so far, as a number: for the transcript's hash.
    pub fn state(&self) -> u64 {
        self.0
    }
}
