//! `berth simulate scale`: decisions on a large, mixed fleet with whitelists, one after the other on
//! one thread: the hub's own `step`, with its explanation, and on request its durable write.

use std::path::PathBuf;
use std::time::Instant;

use berth_core::store::commit_then_release;
use berth_store::Database;

use super::random::Random;
use super::report::{Report, quantile};
use crate::problem::{Exit, Problem};

mod explain;
mod fleet;

use fleet::{Site, Stopped};

/// Options.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Half of the hosts have 32 GB, the others 64 to 256 GB and up to 8 GPUs; a tenth\n\
accepts a fifth of the people only. The store's raw commits per second are\n\
measured in the same folder."
)]
pub struct Args {
    /// Hosts
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    hosts: u32,
    /// Servers to place, then to replace one by one
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    servers: u32,
    /// The seed of all random numbers
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Also write each step, into a new folder here
    #[arg(long, value_name = "DIR")]
    durable: Option<PathBuf>,
}

/// Commits by which the store alone is measured.
const RAW_COMMITS: u32 = 500;

/// Places, then replaces.
pub fn run(args: &Args) -> Result<Report, Problem> {
    let mut run = Run {
        site: Site::new(args.hosts, args.servers),
        random: Random::of_seed(args.seed),
        store: args.durable.as_deref().map(open).transpose()?,
        running: Vec::new(),
    };
    let raw = run.store.as_mut().map(raw_commits_per_s).transpose()?;
    let fill = run.fill(args.servers)?;
    let churn = run.churn(args.servers)?;
    let hosts_used = run.site.hosts_used();
    let explained = explain::measure(&mut run.site, &mut run.random, args.servers);

    let mut report = Report::default();
    report.count("hosts", args.hosts.into());
    report.count("servers", args.servers.into());
    report.count("seed", args.seed);
    report.word("durable", if args.durable.is_some() { "yes" } else { "no" });
    fill.tell("fill", &mut report);
    churn.tell("churn", &mut report);
    report.count("hosts_used", hosts_used);
    if let Some(raw) = raw {
        report.number("raw_commits_per_s", raw, 0);
    }
    explained.tell(&mut report);
    Ok(report)
}

fn open(folder: &std::path::Path) -> Result<Database, Problem> {
    let wrong = |why: &dyn std::fmt::Display| {
        let what = format!("cannot use {}", folder.display());
        Problem::new(
            Exit::Usage,
            what,
            why,
            "Name a folder on a local disk that is empty or not there yet.",
        )
    };
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(wrong(&"It is not empty."));
    }
    Database::open(folder).map_err(|error| wrong(&error))
}

/// The smallest durable change, again and again: what the disk allows.
fn raw_commits_per_s(store: &mut Database) -> Result<f64, Problem> {
    let begun = Instant::now();
    for _ in 0..RAW_COMMITS {
        store.next_epoch().map_err(|error| not_saved(&error))?;
    }
    Ok(f64::from(RAW_COMMITS) / begun.elapsed().as_secs_f64())
}

fn not_saved(error: &berth_store::StoreError) -> Problem {
    Problem::new(Exit::Failed, "cannot save", error, "Look at the disk.")
}

struct Run {
    site: Site,
    random: Random,
    store: Option<Database>,
    running: Vec<Stopped>,
}

/// One phase's times, in microseconds.
#[derive(Default)]
struct Phase {
    times: Vec<f64>,
    unplaced: u64,
}

impl Run {
    fn fill(&mut self, servers: u32) -> Result<Phase, Problem> {
        let mut phase = Phase::default();
        for _ in 0..servers {
            self.request(servers, &mut phase)?;
        }
        Ok(phase)
    }

    fn churn(&mut self, servers: u32) -> Result<Phase, Problem> {
        let mut phase = Phase::default();
        for _ in 0..servers {
            if !self.running.is_empty() {
                let server = self.running.swap_remove(self.random.below(self.running.len()));
                for effects in self.site.stop(&server) {
                    self.save(effects)?;
                }
            }
            self.request(servers, &mut phase)?;
        }
        Ok(phase)
    }

    /// One request, timed from the wish to the committed choice with its explanation.
    fn request(&mut self, servers: u32, phase: &mut Phase) -> Result<(), Problem> {
        let user = self.random.below(servers as usize);
        let kind = self.random.below(100);
        let request = self.site.request(user, kind);
        let begun = Instant::now();
        let (effects, placed) = self.site.start(request);
        self.save(effects)?;
        phase.times.push(begun.elapsed().as_secs_f64() * 1e6);
        match placed {
            Ok(server) => self.running.push(server),
            Err(waiting) => {
                phase.unplaced += 1;
                for effects in self.site.stop(&waiting) {
                    self.save(effects)?;
                }
            }
        }
        Ok(())
    }

    fn save(&mut self, effects: Vec<berth_core::Effect>) -> Result<(), Problem> {
        match &mut self.store {
            Some(store) => {
                commit_then_release(store, effects).map(drop).map_err(|error| not_saved(&error))
            }
            None => Ok(()),
        }
    }
}

impl Phase {
    fn tell(mut self, name: &str, report: &mut Report) {
        let total_s: f64 = self.times.iter().sum::<f64>() / 1e6;
        let per_second = if total_s > 0.0 { self.times.len() as f64 / total_s } else { 0.0 };
        self.times.sort_by(f64::total_cmp);
        report.number(format!("{name}.decisions_per_s"), per_second, 0);
        report.time(format!("{name}.p50_us"), quantile(&self.times, 0.50));
        report.time(format!("{name}.p99_us"), quantile(&self.times, 0.99));
        report.time(format!("{name}.max_us"), quantile(&self.times, 1.0));
        report.count(format!("{name}.unplaced"), self.unplaced);
    }
}
