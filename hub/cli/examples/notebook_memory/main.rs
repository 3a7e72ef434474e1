//! Prints a trace of the generator notebook-memory-1: `notebook_memory SEED [SERVERS [STEPS]]`.

use std::io::Write;

mod generator;

fn main() -> std::io::Result<()> {
    let numbers: Option<Vec<u64>> =
        std::env::args().skip(1).map(|text| text.parse().ok()).collect();
    let (seed, servers, steps) = match numbers.as_deref() {
        Some([seed]) => (*seed, 200, 1440),
        Some([seed, servers]) => (*seed, *servers, 1440),
        Some([seed, servers, steps]) if *steps >= 2 => (*seed, *servers, *steps),
        _ => {
            eprintln!("error: expected SEED [SERVERS [STEPS]], numbers, at least 2 steps");
            std::process::exit(2);
        }
    };
    let text = generator::usage_csv(seed, servers as usize, steps as usize);
    std::io::stdout().write_all(text.as_bytes())
}
