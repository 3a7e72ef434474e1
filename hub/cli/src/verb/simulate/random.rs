//! The random numbers of all replays: SplitMix64 (Steele, Lea, Flood: "Fast splittable
//! pseudorandom number generators", OOPSLA 2014), so that anybody's program draws the same.

/// A generator.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The generator of a seed. The factor keeps the streams of neighbouring seeds apart.
    pub fn of_seed(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x1234_5678_9abc_def1))
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, by multiplication: floor(next x n / 2^64).
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// Puts a list into a random order (Fisher and Yates, from the end).
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            let other = self.below(last + 1);
            list.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_42_draws_the_published_numbers() {
        let mut random = Random::of_seed(42);
        let drawn = [random.next(), random.next(), random.next()];
        assert_eq!(drawn, [0x6602_0423_9dc0_1380, 0x266f_7f3f_17b5_02b1, 0x3c92_fee9_365d_7371]);
        let mut random = Random::of_seed(42);
        assert_eq!([8152, 8151, 8150].map(|n| random.below(n)), [3248, 1223, 1928]);
    }
}
