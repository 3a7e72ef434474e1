//! The best way to fill what is left of one device with shares: an unbounded knapsack.

use super::WHOLE_MILLI;

/// What every leftover of a device can earn.
#[derive(Debug)]
pub(super) struct Filling {
    unit_milli: u16,
    /// By leftover, in units.
    earned: Vec<i64>,
    /// What one share earns and how many units it takes: the best of each size.
    shares: Vec<(usize, i64)>,
}

impl Filling {
    /// Of shares with what each earns, any number of each; `unit_milli` divides every size and a
    /// whole device ([`unit`]).
    pub fn of(shares: impl Iterator<Item = (u16, i64)>, unit_milli: u16) -> Self {
        let mut best = vec![0; usize::from(WHOLE_MILLI / unit_milli) + 1];
        for (milli, earns) in shares {
            let most = &mut best[usize::from(milli / unit_milli)];
            *most = earns.max(*most);
        }
        let shares: Vec<(usize, i64)> =
            best.iter().copied().enumerate().filter(|(_, earns)| *earns > 0).collect();
        let mut earned = vec![0; best.len()];
        for left in 1..earned.len() {
            earned[left] = shares
                .iter()
                .filter(|(size, _)| *size <= left)
                .map(|(size, earns)| earned[left - size] + earns)
                .fold(earned[left - 1], i64::max);
        }
        Self { unit_milli, earned, shares }
    }

    /// What leftovers can earn, by leftover in units.
    pub fn earned(&self) -> &[i64] {
        &self.earned
    }

    /// The shares of the best filling of a whole device, in thousandths.
    pub fn best(&self) -> Vec<u16> {
        let mut pattern = Vec::new();
        let mut left = self.earned.len() - 1;
        while left > 0 {
            let fits = |&&(size, earns): &&(usize, i64)| {
                size <= left && self.earned[left - size] + earns == self.earned[left]
            };
            match self.shares.iter().find(fits) {
                Some((size, _)) if self.earned[left] > self.earned[left - 1] => {
                    pattern.push(*size as u16 * self.unit_milli);
                    left -= size;
                }
                _ => left -= 1,
            }
        }
        pattern
    }
}

/// The largest unit that divides a whole device and all these shares.
pub(super) fn unit(shares_milli: impl Iterator<Item = u16>) -> u16 {
    fn divisor(a: u16, b: u16) -> u16 {
        if b == 0 { a } else { divisor(b, a % b) }
    }
    shares_milli.fold(WHOLE_MILLI, divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_with_what_earns_most() {
        assert_eq!(
            (unit([810, 460].into_iter()), unit([333].into_iter()), unit([].into_iter())),
            (10, 1, 1000)
        );
        let filling = Filling::of([(300, 3), (500, 6), (500, 2), (900, -1)].into_iter(), 100);
        assert_eq!(filling.earned(), [0, 0, 0, 3, 3, 6, 6, 6, 9, 9, 12]);
        assert_eq!(filling.best(), [500, 500]);
    }

    #[test]
    fn what_no_share_can_use_is_left() {
        let filling = Filling::of([(400, 5), (700, 8)].into_iter(), 100);
        assert_eq!(filling.earned(), [0, 0, 0, 0, 5, 5, 5, 8, 10, 10, 10]);
        assert_eq!(filling.best(), [400, 400]);
        let nothing = Filling::of([(400, 0), (700, -3)].into_iter(), 100);
        assert_eq!(nothing.earned(), [0; 11]);
        assert_eq!(nothing.best(), [] as [u16; 0]);
    }
}
