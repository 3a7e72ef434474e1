//! Many seeds, on all processors.

use std::sync::Mutex;

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

/// Runs these seeds at these scales, as long as there is time for another one. `after` hears of each
/// that has ended: of what all have given by then, and whether this one has failed.
pub fn run_many(
    seeds: impl Iterator<Item = (u64, Scale)> + Send,
    is_time: impl Fn() -> bool + Sync,
    after: impl Fn(&Many, Option<&Failure>) + Sync,
) -> Many {
    let (seeds, sum) = (Mutex::new(seeds), Mutex::new(Many::default()));
    let next = || {
        let mut seeds = seeds.lock().unwrap_or_else(|panic| panic.into_inner());
        is_time().then(|| seeds.next()).flatten()
    };
    let work = || {
        while let Some((seed, scale)) = next() {
            let one = run_seed(seed, scale, None, false);
            let mut sum = sum.lock().unwrap_or_else(|panic| panic.into_inner());
            sum.lived += 1;
            match one {
                Ok(one) => {
                    sum.all.add(one);
                    after(&sum, None);
                }
                Err(failure) => {
                    after(&sum, Some(&failure));
                    sum.failures.push(*failure);
                }
            }
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..processors {
            scope.spawn(work);
        }
    });
    let mut sum = sum.into_inner().unwrap_or_else(|panic| panic.into_inner());
    sum.failures.sort_by_key(|failure| (failure.scale, failure.seed));
    sum
}
