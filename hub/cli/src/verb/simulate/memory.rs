//! `berth simulate memory`: how well a rule foresees what servers will use, or how many servers
//! hosts take by it.

use std::path::PathBuf;

use super::report::Report;
use crate::problem::Problem;

mod admission;
mod prediction;
mod production;
mod usage;

use usage::Usage;

/// Seconds between two samples.
const STEP_S: u64 = 60;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// t_seconds, server, usage_bytes, limit_bytes
    #[arg(long, value_name = "USAGE.csv")]
    usage: PathBuf,
    /// The seed of all random numbers
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Seconds of the past to look at
    #[arg(long, default_value_t = 7_200, value_parser = whole_steps, value_name = "SECONDS")]
    window: u64,
    /// Seconds that it must hold
    #[arg(long, default_value_t = 21_600, value_parser = whole_steps, value_name = "SECONDS")]
    horizon: u64,
    /// What a new server counts with
    #[arg(long, default_value_t = 0, value_name = "BYTES")]
    cold_bytes: u64,
    /// Seconds for which a server is new
    #[arg(long, default_value_t = 1_800, value_parser = seconds, value_name = "SECONDS")]
    cold_age: u64,
    /// Hosts: replay admission instead of prediction
    #[arg(long, requires = "capacity", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    hosts: Option<u64>,
    /// Memory of a host
    #[arg(long, requires = "hosts", value_parser = bytes, value_name = "BYTES")]
    capacity: Option<u64>,
    /// Memory that no server may have
    #[arg(long, requires = "hosts", default_value_t = 0, value_parser = bytes, value_name = "BYTES")]
    reserve: u64,
    /// limits, peaks, onegrower, twogrowers or berth
    #[arg(long, requires = "hosts", value_enum, default_value_t = Rule::Onegrower)]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    rule: Rule,
}

/// Rules of admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Rule {
    /// The sum of all limits
    Limits,
    /// The sum of all peaks
    Peaks,
    /// The peaks and the largest single growth
    Onegrower,
    /// The peaks and the two largest growths
    Twogrowers,
    /// The hub's own, with relief when servers have grown
    Berth,
}

/// What a rule looks at, in samples.
#[derive(Debug, Clone, Copy)]
struct View {
    window: usize,
    horizon: usize,
    cold_age: usize,
    cold_bytes: u64,
}

/// Replays.
pub fn run(args: &Args) -> Result<Report, Problem> {
    let usage = Usage::read(&args.usage)?;
    let steps = |seconds: u64| usize::try_from(seconds / STEP_S).unwrap_or(usize::MAX);
    let view = View {
        window: steps(args.window),
        horizon: steps(args.horizon),
        // A server is new while it has run for less than this: part of a sample counts as one.
        cold_age: steps(args.cold_age.div_ceil(STEP_S) * STEP_S),
        cold_bytes: args.cold_bytes,
    };
    Ok(match (args.hosts, args.capacity) {
        (Some(hosts), Some(capacity)) => {
            let reserve = args.reserve;
            let fleet = admission::Hosts { count: hosts as usize, capacity, reserve };
            admission::replay(&usage, &fleet, args.rule, view)
        }
        _ => prediction::replay(&usage, args.seed, view),
    })
}

/// Seconds that are a number of samples, at least one.
fn whole_steps(text: &str) -> Result<u64, String> {
    let wrong = || format!("expected a multiple of {STEP_S} from {STEP_S} to {LONGEST_S}");
    let found = text.parse().map_err(|_| wrong())?;
    if (STEP_S..=LONGEST_S).contains(&found) && found % STEP_S == 0 {
        Ok(found)
    } else {
        Err(wrong())
    }
}

/// Seconds.
fn seconds(text: &str) -> Result<u64, String> {
    let found = text.parse().ok().filter(|seconds| *seconds <= LONGEST_S);
    found.ok_or_else(|| format!("expected a whole number from 0 to {LONGEST_S}"))
}

/// Bytes.
fn bytes(text: &str) -> Result<u64, String> {
    let found = text.parse().ok().filter(|bytes| *bytes <= usage::MOST_BYTES);
    found.ok_or_else(|| format!("expected bytes, a whole number from 0 to {}", usage::MOST_BYTES))
}

/// Ten years: nobody's window is longer.
const LONGEST_S: u64 = 10 * 366 * 86_400;
