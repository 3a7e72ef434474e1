//! Measured use, summed up until it is enough for a sign of activity.

use berth_common::Timestamp;

use super::Evidence;
use crate::settings::{Above, Activity};

/// A measurement may be the last for long; what it says is believed for this much of the time
/// after it, in microseconds.
const BELIEVED_US: i64 = 60_000_000;

/// What a server used since the measurement before. What is not known is `None`, and unknown is
/// neither use nor idleness.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Use {
    /// Processors, in thousandths of a core.
    pub cpu_milli: Option<u32>,
    /// The busiest of its GPUs, in per cent.
    pub gpu_percent: Option<u32>,
    /// Network and storage, in bytes a second, both ways.
    pub network_bytes_s: Option<u64>,
    /// Whether any kernel is busy.
    pub kernel_busy: Option<bool>,
    /// Whether any terminal is at work.
    pub terminal_works: Option<bool>,
}

/// Sums of measured use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meter {
    cpu: Sum,
    gpu: Sum,
    network: Sum,
}

impl Meter {
    /// Takes a measurement in: the signs that it is, or completes.
    pub fn take(&mut self, now: Timestamp, used: Use, rules: &Activity) -> Vec<Evidence> {
        let mut signs = Vec::new();
        let network = used.network_bytes_s;
        let sums = [
            (Evidence::Cpu, &mut self.cpu, used.cpu_milli.map(u64::from), rules.cpu),
            // Whether a GPU is used is asked by the rule about unused ones, too.
            (
                Evidence::Gpu,
                &mut self.gpu,
                used.gpu_percent.map(u64::from),
                rules.gpu.or(Activity::default().gpu),
            ),
            (Evidence::Network, &mut self.network, network, rules.network),
        ];
        for (kind, sum, amount, above) in sums {
            if let (Some(amount), Some(above)) = (amount, above)
                && sum.reaches(now, amount, above)
            {
                signs.push(kind);
            }
        }
        let at_once =
            [(Evidence::Kernel, used.kernel_busy), (Evidence::Terminal, used.terminal_works)];
        signs.extend(at_once.into_iter().filter(|(_, is)| *is == Some(true)).map(|(kind, _)| kind));
        signs
    }
}

/// Use over at most one span: amount times microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Sum {
    begun: Timestamp,
    last: Option<Timestamp>,
    total: u128,
}

impl Sum {
    /// Adds what was used since the last measurement; whether the span's average is reached.
    fn reaches(&mut self, now: Timestamp, amount: u64, above: Above) -> bool {
        let during_us = i64::try_from(above.during.0).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let Some(last) = self.last.replace(now) else {
            self.begun = now;
            return false;
        };
        let passed = now.0.saturating_sub(last.0).clamp(0, BELIEVED_US);
        let passed = u128::from(passed.unsigned_abs());
        self.total = self.total.saturating_add(u128::from(amount).saturating_mul(passed));
        let enough = u128::from(above.amount) * u128::from(during_us.unsigned_abs());
        let reached = self.total >= enough && amount > 0;
        if reached || now.0.saturating_sub(self.begun.0) >= during_us {
            self.begun = now;
            self.total = 0;
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_common::Seconds;

    /// The signs of an hour of such use, measured every five seconds.
    fn signs(used: Use) -> usize {
        let mut meter = Meter::default();
        let mut now = Timestamp(1_767_268_800_000_000);
        let mut signs = 0;
        for _ in 0..720 {
            now = now.plus(Seconds(5));
            signs += meter.take(now, used, &Activity::default()).len();
        }
        signs
    }

    #[test]
    fn only_use_above_the_average_is_a_sign() {
        let cpu = |milli| Use { cpu_milli: Some(milli), ..Use::default() };
        assert_eq!(signs(cpu(50)), 0, "a daemon at 0.05 core");
        assert_eq!(signs(cpu(199)), 0);
        assert!(signs(cpu(200)) >= 5, "one each ten minutes");
        assert!(signs(cpu(1000)) >= 25, "the sooner the more");
        assert_eq!(signs(Use { gpu_percent: Some(0), ..Use::default() }), 0);
        assert!(signs(Use { gpu_percent: Some(30), ..Use::default() }) > 0);
        assert!(signs(Use { network_bytes_s: Some(2 << 20), ..Use::default() }) > 0);
        assert_eq!(signs(Use::default()), 0);
    }

    #[test]
    fn a_silence_between_two_measurements_counts_for_a_minute_only() {
        let mut meter = Meter::default();
        let begin = Timestamp(1_767_268_800_000_000);
        let busy = Use { cpu_milli: Some(1000), ..Use::default() };
        assert!(meter.take(begin, busy, &Activity::default()).is_empty());
        let later = begin.plus(Seconds(86_400));
        assert!(meter.take(later, busy, &Activity::default()).is_empty());
    }
}
