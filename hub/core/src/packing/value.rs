//! What a host's leftovers can still earn.
//!
//! The best filling of a host is a knapsack over its devices, CPU and memory at once. Its
//! Lagrangian bound is exact enough and cheap: let CPU or memory cost a price, fill each device
//! for itself, and take the price at which the sum is least. Where CPUs end before GPUs, a high
//! price of CPU makes it least, and the GPUs that would be stranded are worth nothing.

use super::filling::{Filling, unit};
use super::{Priced, Prices, Shape, WHOLE_MILLI};

/// Prices tried of each of CPU and memory: from nothing, in quadratic steps, to the price at which
/// they cost five times what a host's devices earn. Five or twenty-four steps do the same.
const STEPS: usize = 8;

/// The step at which all CPUs would be worth as much as all devices.
const EVEN_STEP: i64 = 3;

/// CPU and memory each for itself: a host is short of one of them.
const LEVELS: usize = 2 * STEPS;

/// What leftovers of one class of hosts can earn.
#[derive(Debug, Clone)]
pub(super) struct Value {
    unit_milli: u16,
    /// By price level: of one thousandth of a CPU, and of one MiB, in billionths of a device.
    levels: [(i64, i64); LEVELS],
    /// What is earned on a partly used device, by what it has left in units.
    shares: Vec<[i64; LEVELS]>,
    /// What is earned on so many free devices.
    wholes: Vec<[i64; LEVELS]>,
}

impl Value {
    /// Of hosts with so many devices on which these kinds can be.
    pub fn of(prices: &Prices, kinds: &[&Priced], devices: usize) -> Self {
        let shares = || kinds.iter().filter(|priced| priced.kind.gpu.count() == 1);
        let unit_milli = unit(shares().map(|priced| priced.kind.gpu.each_milli()));
        let mut value = Self {
            unit_milli,
            levels: [(0, 0); LEVELS],
            shares: vec![[0; LEVELS]; usize::from(WHOLE_MILLI / unit_milli) + 1],
            wholes: vec![[0; LEVELS]; devices + 1],
        };
        for level in 0..LEVELS {
            let step = (level % STEPS) as i64;
            let price = |even: i64| even * step * step / (EVEN_STEP * EVEN_STEP);
            let (cpu, memory) = if level < STEPS {
                (price(prices.cpu_nano), 0)
            } else {
                (0, price(prices.memory_nano))
            };
            let rest = |priced: &Priced| {
                priced.earns_nano
                    - cpu * i64::from(priced.kind.cpu_milli)
                    - memory * i64::from(priced.kind.memory_mib)
            };
            let filling = Filling::of(
                shares().map(|priced| (priced.kind.gpu.each_milli(), rest(priced))),
                unit_milli,
            );
            value.levels[level] = (cpu, memory);
            for (entry, earned) in value.shares.iter_mut().zip(filling.earned()) {
                entry[level] = *earned;
            }
            let one = filling.earned().last().copied().unwrap_or_default();
            for free in 1..=devices {
                value.wholes[free][level] = kinds
                    .iter()
                    .filter(|priced| (2..=free).contains(&usize::from(priced.kind.gpu.count())))
                    .map(|priced| {
                        value.wholes[free - usize::from(priced.kind.gpu.count())][level]
                            + rest(priced)
                    })
                    .fold(value.wholes[free - 1][level] + one, i64::max);
            }
        }
        value
    }

    /// What a host can earn with what it has left, in billionths of a device.
    pub fn left_nano(&self, shape: &Shape) -> i64 {
        let left = shape.devices.left_milli();
        let free = left.iter().filter(|left| **left == WHOLE_MILLI).count();
        let mut sums = self.wholes[free];
        for (sum, (cpu, memory)) in sums.iter_mut().zip(&self.levels) {
            *sum += cpu * i64::from(shape.cpu_milli) + memory * i64::from(shape.memory_mib);
        }
        for left in left.iter().filter(|left| **left < WHOLE_MILLI) {
            for (sum, earned) in
                sums.iter_mut().zip(&self.shares[usize::from(left / self.unit_milli)])
            {
                *sum += earned;
            }
        }
        sums.into_iter().min().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packing::{Devices, Gpu, Group, Groups, Kind};

    fn priced(gpu: Option<Gpu>, cpu_milli: u32, memory_mib: u32, earns_nano: i64) -> Priced {
        let kind = Kind { gpu: gpu.unwrap(), cpu_milli, memory_mib, groups: Groups::ALL };
        Priced { kind, often_ppm: 0, earns_nano }
    }

    fn shape(left: &[u16], cpu_milli: u32, memory_mib: u32) -> Shape {
        Shape {
            group: Group::new(0).unwrap(),
            cpu_total_milli: cpu_milli,
            memory_total_mib: memory_mib,
            cpu_milli,
            memory_mib,
            devices: Devices::of(left).unwrap(),
        }
    }

    #[test]
    fn leftovers_earn_what_fills_them_best() {
        let kinds = [
            priced(Gpu::share(500), 0, 0, 600),
            priced(Gpu::whole(1), 0, 0, 900),
            priced(Gpu::whole(2), 0, 0, 2_500),
        ];
        let value = Value::of(&Prices::default(), &kinds.iter().collect::<Vec<_>>(), 3);
        let left = |left: &[u16]| value.left_nano(&shape(left, 0, 0));
        assert_eq!(left(&[1000]), 1_200, "two shares are better than a whole");
        assert_eq!(left(&[1000, 1000]), 2_500);
        assert_eq!(left(&[1000, 1000, 1000]), 3_700);
        assert_eq!(left(&[1000, 500, 1000]), 3_100);
        assert_eq!(left(&[499, 999, 0]), 600);
        assert_eq!(left(&[]), 0);
    }

    #[test]
    fn devices_that_processors_or_memory_cannot_reach_are_worth_less() {
        // At the step s a thousandth of a CPU costs s², so the kind earns 900 - 100 s².
        let by_cpu = [priced(Gpu::whole(1), 100, 0, 900)];
        let prices = Prices { cpu_nano: 9, ..Prices::default() };
        let value = Value::of(&prices, &by_cpu.iter().collect::<Vec<_>>(), 1);
        let left = |cpu| value.left_nano(&shape(&[1000], cpu, 0));
        // With half of what it needs the third step is the least: 0 + 9 x 50.
        assert_eq!([left(0), left(50), left(100), left(200)], [0, 450, 900, 900]);
        let by_memory = [priced(Gpu::whole(1), 0, 100, 900)];
        let prices = Prices { memory_nano: 9, ..Prices::default() };
        let value = Value::of(&prices, &by_memory.iter().collect::<Vec<_>>(), 1);
        let left = |memory| value.left_nano(&shape(&[1000], 0, memory));
        assert_eq!([left(0), left(50), left(100)], [0, 450, 900]);
    }
}
