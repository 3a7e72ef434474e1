//! A long run of the simulated world: `world [SEEDS] [FIRST] [small | harsh | large | site]`. Prints
//! what it covered; of a single seed that fails, also all that happened. `BERTH_WORLD_S` ends it
//! after so many seconds.

use std::collections::BTreeMap;
use std::process::ExitCode;

use berth_tests::world::faults::Scale;
use berth_tests::world::{Summary, run_seed};

fn main() -> ExitCode {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let mut arguments = std::env::args().skip(1).filter_map(|text| text.parse::<u64>().ok());
    let seeds = arguments.next().unwrap_or(20);
    let first = arguments.next().unwrap_or(1);
    let scale = match std::env::args().next_back().as_deref() {
        Some("small") => Scale::Small,
        Some("harsh") => Scale::Harsh,
        Some("site") => Scale::Site,
        _ => Scale::Large,
    };
    let longest = number("BERTH_WORLD_S").map_or(u64::MAX, |seconds| seconds);
    let mut lived = 0;
    let begun = std::time::Instant::now();
    let mut all = Summary::default();
    let mut broken: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for seed in first..first + seeds {
        if begun.elapsed().as_secs() >= longest {
            break;
        }
        lived += 1;
        match run_seed(seed, scale, None, seeds == 1) {
            Ok(one) => all.add(one),
            Err(failure) => {
                for line in &failure.lines {
                    println!("{line}");
                }
                println!("seed {seed} after {} s: {}", failure.at_ms / 1000, failure.broken);
                broken.entry(failure.broken.invariant).or_default().push(seed);
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let years = all.simulated_ms as f64 / 1000.0 / 86_400.0 / 365.25;
    println!("{lived} seeds, {:.4} simulated years, {} events", years, all.events);
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
