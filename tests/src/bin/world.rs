//! A long run of the simulated world: `world [SEEDS] [FIRST] [small | harsh | large | days | site]`.
//! Prints what it covered; of a single seed that fails, also all that happened. `BERTH_WORLD_S` ends
//! it after so many seconds.

use std::collections::BTreeMap;
use std::process::ExitCode;

use berth_tests::world::faults::Scale;
use berth_tests::world::many::run_seeds;
use berth_tests::world::run_seed;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let mut arguments = std::env::args().skip(1).filter_map(|text| text.parse::<u64>().ok());
    let seeds = arguments.next().unwrap_or(20);
    let first = arguments.next().unwrap_or(1);
    let scale = match std::env::args().next_back().as_deref() {
        Some("small") => Scale::Small,
        Some("harsh") => Scale::Harsh,
        Some("days") => Scale::Days,
        Some("site") => Scale::Site,
        _ => Scale::Large,
    };
    let longest = number("BERTH_WORLD_S").unwrap_or(u64::MAX);
    let begun = std::time::Instant::now();
    let many = run_seeds(first..first + seeds, scale, || begun.elapsed().as_secs() < longest);
    let seconds = begun.elapsed().as_secs_f64();
    let all = many.all;
    let mut broken: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for failure in many.failures {
        if seeds == 1
            && let Err(again) = run_seed(failure.seed, scale, None, true)
        {
            again.lines.iter().for_each(|line| println!("{line}"));
        }
        println!("seed {} after {} s: {}", failure.seed, failure.at_ms / 1000, failure.broken);
        broken.entry(failure.broken.invariant).or_default().push(failure.seed);
    }
    let years = |ms: u64| ms as f64 / 1000.0 / 86_400.0 / 365.25;
    println!(
        "{} seeds, {:.4} simulated years, {:.4} of them idle and skipped, {} events",
        many.lived,
        years(all.simulated_ms),
        years(all.skipped_ms),
        all.events
    );
    println!(
        "{:.0} events/s, {:.0} times real time",
        all.events as f64 / seconds,
        all.simulated_ms as f64 / 1000.0 / seconds
    );
    println!("faults: {}", all.faults.values().sum::<u64>());
    for (kind, count) in &all.faults {
        println!("  {count:>9}  {kind}");
    }
    println!("rare paths:");
    for (path, count) in &all.marks {
        println!("  {count:>9}  {path}");
    }
    for (invariant, seeds) in &broken {
        println!("BROKEN {invariant}: {} seeds: {:?}", seeds.len(), seeds);
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
