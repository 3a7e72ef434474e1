//! How much idle GPU the mix of requests cannot use on a host.
//!
//! F = the sum over kinds m of p_m x (idle GPU that m cannot use): all of it if m needs no GPU or
//! does not fit, else the devices with too little left (Weng and others: "Beware of Fragmentation",
//! USENIX ATC'23). Here over all kinds, not the most frequent, and with memory.

use super::{Devices, Gpu, Priced};

/// What the mix can use on one class of hosts.
#[derive(Debug, Clone)]
pub(super) struct Usability {
    /// The different requests for devices.
    sizes: Vec<Gpu>,
    /// The kinds that can be here.
    kinds: Vec<Usable>,
    /// All kinds, in millionths of the mix.
    all_ppm: i64,
}

/// One kind.
#[derive(Debug, Clone)]
struct Usable {
    cpu_milli: u32,
    memory_mib: u32,
    size: usize,
    often_ppm: i64,
}

/// How often a request for each size fits into the CPU and memory of a host, in millionths.
#[derive(Debug)]
pub(super) struct Fitting(Vec<i64>);

impl Usability {
    /// Of a class of hosts: the kinds that can be on it when it is empty, of all.
    pub fn of(kinds: &[&Priced], all: &[Priced]) -> Self {
        let with_gpu = || kinds.iter().filter(|priced| priced.kind.gpu.count() > 0);
        let mut sizes: Vec<Gpu> = with_gpu().map(|priced| priced.kind.gpu).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let kinds = with_gpu()
            .map(|priced| Usable {
                cpu_milli: priced.kind.cpu_milli,
                memory_mib: priced.kind.memory_mib,
                size: sizes.partition_point(|size| *size < priced.kind.gpu),
                often_ppm: priced.often_ppm,
            })
            .collect();
        Self { sizes, kinds, all_ppm: all.iter().map(|priced| priced.often_ppm).sum() }
    }

    /// What fits into so much CPU and memory.
    pub fn fitting(&self, cpu_milli: u32, memory_mib: u32) -> Fitting {
        let mut often = vec![0; self.sizes.len()];
        for kind in &self.kinds {
            let fits = kind.cpu_milli <= cpu_milli && kind.memory_mib <= memory_mib;
            often[kind.size] += i64::from(fits) * kind.often_ppm;
        }
        Fitting(often)
    }

    /// F of these devices, in billionths of a device.
    pub fn unusable_nano(&self, fitting: &Fitting, devices: &Devices) -> i64 {
        let mut unusable = self.all_ppm * devices.idle_milli();
        for (size, often_ppm) in
            self.sizes.iter().zip(&fitting.0).filter(|(_, often_ppm)| **often_ppm > 0)
        {
            let (mut count, mut usable_milli) = (0, 0);
            for left in devices.left_milli().iter().filter(|left| **left >= size.each_milli()) {
                count += 1;
                usable_milli += i64::from(*left);
            }
            if count >= size.count() {
                unusable -= often_ppm * usable_milli;
            }
        }
        unusable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packing::{Groups, Kind};

    fn priced(gpu: Option<Gpu>, cpu_milli: u32, memory_mib: u32, often_ppm: i64) -> Priced {
        let gpu = gpu.unwrap_or(Gpu::NONE);
        let kind = Kind { gpu, cpu_milli, memory_mib, groups: Groups::ALL };
        Priced { kind, often_ppm, earns_nano: 0 }
    }

    #[test]
    fn idle_devices_count_for_those_who_cannot_use_them() {
        let all = [
            priced(Gpu::share(500), 1_000, 8, 200_000),
            priced(Gpu::whole(1), 2_000, 4, 300_000),
            priced(Gpu::whole(2), 1_000, 4, 400_000),
            priced(None, 1_000, 4, 100_000),
        ];
        let usability = Usability::of(&all.iter().collect::<Vec<_>>(), &all);
        let unusable = |cpu_milli, memory_mib, left: &[u16]| {
            let fitting = usability.fitting(cpu_milli, memory_mib);
            usability.unusable_nano(&fitting, &Devices::of(left).unwrap())
        };
        let idle = 1_900 * 1_000_000;
        let (share, whole, two) = (200_000, 300_000, 400_000);
        let left = [1000, 400, 500];
        // Shares use 1.5 of the 1.9 devices, one whole device is of use, two are not there.
        assert_eq!(unusable(2_000, 8, &left), idle - share * 1_500 - whole * 1_000);
        assert_eq!(unusable(1_999, 8, &left), idle - share * 1_500, "too few processors");
        assert_eq!(unusable(2_000, 7, &left), idle - whole * 1_000, "too little memory");
        assert_eq!(unusable(0, 0, &left), idle);
        let both = unusable(1_000, 4, &[1000, 1000]);
        assert_eq!(both, 2_000 * 1_000_000 - two * 2_000);
    }
}
