//! Many seeds, on all processors.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::world::faults::Scale;
use crate::world::{Failure, Summary, run_seed};

/// What many seeds gave.
#[derive(Debug, Default)]
pub struct Many {
    /// Seeds that were run.
    pub lived: u64,
    /// Those that kept the promise, added up.
    pub all: Summary,
    /// Those that did not, in the order of their numbers.
    pub failures: Vec<Failure>,
}

/// Runs these seeds, as long as there is time for another one.
pub fn run_seeds(seeds: Range<u64>, scale: Scale, is_time: impl Fn() -> bool + Sync) -> Many {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let mut many = Many::default();
        while is_time() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            many.lived += 1;
            match run_seed(seed, scale, None, false) {
                Ok(one) => many.all.add(one),
                Err(failure) => many.failures.push(*failure),
            }
        }
        many
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut sum = Many::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            let many = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            sum.lived += many.lived;
            sum.all.add(many.all);
            sum.failures.extend(many.failures);
        }
    });
    sum.failures.sort_by_key(|failure| failure.seed);
    sum
}
