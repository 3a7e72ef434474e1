//! Random small cases, the same in each run.

use berth_common::{ByteCount, Resources};

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(z ^ (z >> 31)) * u128::from(n)) >> 64) as u64
    }

    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }
}

pub fn gigabytes(count: u64) -> Resources {
    Resources { memory: ByteCount(count << 30), ..Resources::default() }
}

/// More cases when everything is to be run in full.
pub fn cases(few: u64, many: u64) -> u64 {
    if std::env::var_os("BERTH_LONG").is_some() { many } else { few }
}
