//! `berth simulate openb`: tasks that share GPUs, as they arrive, on hosts of many types.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::random::Random;
use super::report::{Report, quantile};
use crate::problem::Problem;
use policy::Policy;
use trace::{Task, Trace};

mod berth;
mod peers;
mod policy;
mod trace;

/// Arrived load, in percent of the GPUs, at which the allocation is printed.
const PRINTED_PERCENT: [u64; 9] = [90, 95, 100, 105, 110, 115, 120, 125, 130];

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The hosts: sn, cpu_milli, memory_mib, gpu, model
    #[arg(long, value_name = "NODES.csv")]
    nodes: PathBuf,
    /// The tasks: name, cpu_milli, memory_mib, num_gpu, ...
    #[arg(long, value_name = "PODS.csv")]
    pods: PathBuf,
    /// The seed of all random numbers
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// berth, fgd, bestfit, dotprod, random
    #[arg(long, value_enum, default_value_t = Name::Berth, hide_possible_values = true)]
    policy: Name,
}

/// The policies: the product's own, and its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// The hub's own
    Berth,
    /// Fragmentation gradient descent (USENIX ATC'23)
    Fgd,
    /// The host with the least left
    Bestfit,
    /// The host whose rest points least along the request
    Dotprod,
    /// Any host with room
    Random,
}

/// Replays.
pub fn run(args: &Args) -> Result<Report, Problem> {
    let trace = Trace::read(&args.nodes, &args.pods)?;
    Ok(replay(&trace, args.seed, args.policy))
}

/// The trace with this seed and policy.
fn replay(trace: &Trace, seed: u64, name: Name) -> Report {
    let mut random = Random::of_seed(seed);
    let arrivals = trace.arrivals(&mut random);
    let mut order: Vec<usize> = (0..trace.nodes.len()).collect();
    random.shuffle(&mut order);
    let begun = Instant::now();
    let mut policy = policy::of(name, trace, &order, random);
    let prepared = begun.elapsed();
    let course = place(trace, &arrivals, policy.as_mut());
    report(trace, seed, name, &course, prepared)
}

/// What happened to the tasks.
#[derive(Debug, Default)]
struct Course {
    refused: u64,
    /// Arrived load in percent, and allocated GPUs in percent, after each task.
    samples: Vec<(u64, f64)>,
    /// Of each decision, in microseconds.
    times_us: Vec<f64>,
    total: Duration,
}

fn place(trace: &Trace, arrivals: &[Task], policy: &mut dyn Policy) -> Course {
    let capacity = trace.capacity_milli() as f64;
    let mut course = Course::default();
    let (mut arrived, mut allocated) = (0, 0);
    let begun = Instant::now();
    for task in arrivals {
        let asked = Instant::now();
        let placed = policy.place(task);
        course.times_us.push(asked.elapsed().as_secs_f64() * 1e6);
        arrived += task.gpu_total_milli();
        if placed {
            allocated += task.gpu_total_milli();
        } else {
            course.refused += 1;
        }
        let percent = (100.0 * arrived as f64 / capacity + 0.5).floor() as u64;
        course.samples.push((percent, 100.0 * allocated as f64 / capacity));
    }
    course.total = begun.elapsed();
    course
}

fn report(trace: &Trace, seed: u64, name: Name, course: &Course, prepared: Duration) -> Report {
    let mut report = Report::default();
    let word = clap::ValueEnum::to_possible_value(&name).map(|value| value.get_name().to_owned());
    report.word("policy", word.unwrap_or_default());
    report.count("seed", seed);
    report.count("nodes", trace.nodes.len() as u64);
    report.count("gpus", trace.capacity_milli() / 1000);
    report.count("arrivals", course.samples.len() as u64);
    report.count("refused", course.refused);
    for percent in PRINTED_PERCENT {
        report.percent(format!("alloc_pct_{percent}"), course.allocated(percent));
    }
    let mut times = course.times_us.clone();
    times.sort_by(f64::total_cmp);
    report.number("prepare_s", prepared.as_secs_f64(), 3);
    let rate = course.samples.len() as f64 / course.total.as_secs_f64().max(f64::MIN_POSITIVE);
    report.number("decisions_per_s", rate, 0);
    report.time("decision_p50_us", quantile(&times, 0.50));
    report.time("decision_p99_us", quantile(&times, 0.99));
    report.time("decision_max_us", quantile(&times, 1.0));
    report
}

impl Course {
    /// The mean allocation while this much had arrived; if no task ended just there, one percent
    /// to either side; and in a trace so short that there is none either, as it was before.
    fn allocated(&self, percent: u64) -> f64 {
        let mean = |within: u64| {
            let at =
                || self.samples.iter().filter(|(arrived, _)| arrived.abs_diff(percent) <= within);
            let count = at().count();
            (count > 0).then(|| at().map(|(_, allocated)| allocated).sum::<f64>() / count as f64)
        };
        let before = || self.samples.iter().rev().find(|(arrived, _)| *arrived <= percent);
        mean(0).or_else(|| mean(1)).or_else(|| Some(before()?.1)).unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "openb/tests.rs"]
mod tests;
