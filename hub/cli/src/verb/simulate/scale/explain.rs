//! How long explanations take on the large fleet: the one that a decision carries, with the search
//! for what would help, as the hub makes it while it decides; and the lines of all hosts, made again
//! from what was recorded.

use std::time::Instant;

use berth_core::Outcome;

use super::fleet::Site;
use crate::verb::simulate::random::Random;
use crate::verb::simulate::report::{Report, quantile};

/// Requests of each kind.
const REQUESTS: usize = 200;

/// Times in microseconds.
#[derive(Default)]
pub struct Explained {
    /// A request that would start: the choice, the runner-up, the others by their first reason.
    starts: Vec<f64>,
    /// One that would wait or be refused, with the search for what would help.
    stuck: Vec<f64>,
    /// All rules of every host, in words.
    lines: Vec<f64>,
}

/// Explains requests that start, and on a fleet whose empty hosts are closed requests that do not.
pub fn measure(site: &mut Site, random: &mut Random, servers: u32) -> Explained {
    let mut explained = Explained::default();
    let mut take = |site: &mut Site, stuck: bool| {
        let snapshot = site.snapshot();
        for number in 0..REQUESTS {
            let user = random.below(servers as usize);
            let draw = random.below(100);
            let request =
                if stuck { site.hopeless(user, number) } else { site.request(user, draw) };
            let begun = Instant::now();
            let decision = site.explain(&request);
            let took = begun.elapsed().as_secs_f64() * 1e6;
            match decision.outcome {
                Outcome::Placed { .. } => explained.starts.push(took),
                _ => explained.stuck.push(took),
            }
            if decision.inputs.need.is_some() {
                let begun = Instant::now();
                let lines = decision.lines(&snapshot.floor, &snapshot.settings, &snapshot.prices);
                let took = begun.elapsed().as_secs_f64() * 1e6;
                explained.lines.push(took);
                debug_assert_eq!(lines.len(), snapshot.floor.hosts.len());
            }
        }
    };
    take(site, false);
    site.close_empty_hosts();
    take(site, true);
    explained
}

impl Explained {
    /// Adds its keys.
    pub fn tell(self, report: &mut Report) {
        let all = [("starts", self.starts), ("stuck", self.stuck), ("lines", self.lines)];
        for (name, mut times) in all {
            times.sort_by(f64::total_cmp);
            report.count(format!("explain.{name}"), times.len() as u64);
            report.time(format!("explain.{name}_p50_us"), quantile(&times, 0.50));
            report.time(format!("explain.{name}_p99_us"), quantile(&times, 0.99));
        }
    }
}
