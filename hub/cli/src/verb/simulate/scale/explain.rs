//! How long explanations take on the large fleet: the one that a decision carries, with the search
//! for what would help, as the hub makes it while it decides, and as pages and `berth explain
//! request` do on a snapshot; why not one certain host, with all its rules or its score; and the
//! lines of all hosts, made again from what was recorded.

use std::time::Instant;

use berth_core::{Fleet, Outcome};

use super::fleet::Site;
use crate::verb::simulate::random::Random;
use crate::verb::simulate::report::{Report, quantile};

/// Requests of each kind.
const REQUESTS: usize = 200;
/// Of so many of them one is told with the lines of all hosts, which take long.
const LINES_EVERY: usize = 10;

/// Times in microseconds.
#[derive(Default)]
pub struct Explained {
    /// A request that would start: the choice, the runner-up, the others by their first reason.
    starts: Vec<f64>,
    /// One that would wait or be refused, with the search for what would help.
    stuck: Vec<f64>,
    /// The same two, on a snapshot that pages see.
    snapshot: Vec<f64>,
    /// All rules, or the score, of one host.
    host: Vec<f64>,
    /// All rules of every host, in words.
    lines: Vec<f64>,
}

/// Explains requests that start, and on a fleet whose empty hosts are closed requests that do not.
pub fn measure(site: &mut Site, random: &mut Random, servers: u32) -> Explained {
    let mut explained = Explained::default();
    let mut take = |site: &mut Site, stuck: bool| {
        // What goes over all servers is done once a minute.
        site.tick();
        let snapshot = site.snapshot();
        let Fleet { floor, settings, prices, .. } = &snapshot;
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
            let begun = Instant::now();
            let foreseen = Site::foresee(&snapshot, &request);
            explained.snapshot.push(begun.elapsed().as_secs_f64() * 1e6);
            debug_assert_eq!(foreseen, decision);
            if decision.inputs.need.is_some() {
                let host = &floor.hosts[random.below(floor.hosts.len())].host;
                let begun = Instant::now();
                let line = decision.line_seen(snapshot.rows(), floor, settings, host);
                explained.host.push(begun.elapsed().as_secs_f64() * 1e6);
                if number % LINES_EVERY > 1 {
                    continue;
                }
                let begun = Instant::now();
                let lines = decision.lines(floor, settings, prices);
                explained.lines.push(begun.elapsed().as_secs_f64() * 1e6);
                debug_assert_eq!(lines.iter().find(|line| line.host == *host), line.as_ref());
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
        let all = [
            ("starts", self.starts),
            ("stuck", self.stuck),
            ("snapshot", self.snapshot),
            ("host", self.host),
            ("lines", self.lines),
        ];
        for (name, mut times) in all {
            times.sort_by(f64::total_cmp);
            report.count(format!("explain.{name}"), times.len() as u64);
            report.time(format!("explain.{name}_p50_us"), quantile(&times, 0.50));
            report.time(format!("explain.{name}_p99_us"), quantile(&times, 0.99));
        }
    }
}
