//! Prediction: what a rule foresees for groups of servers, against what they then used.

use berth_core::memory::{Member, Sums};

use super::View;
use super::production::Watched;
use super::usage::{Server, Usage};
use crate::verb::simulate::random::Random;
use crate::verb::simulate::report::Report;

/// Servers in a group.
const SIZES: [usize; 3] = [3, 6, 12];
/// Groups of each size.
const GROUPS: usize = 150;
/// Samples from one prediction to the next.
const EVERY: usize = 5;
/// The rules, in the order of the output.
const RULES: [&str; 9] =
    ["limits", "borg", "nsigma", "rclike", "maxnr", "peak10", "onegrower", "twogrowers", "berth"];

/// How one rule did.
#[derive(Debug, Default, Clone)]
struct Tally {
    violated: usize,
    freed: f64,
    shortfalls: Vec<f64>,
}

/// One server at one moment, as the rules see it.
struct Past<'a> {
    server: &'a Server,
    cold_peak: f64,
    p99: f64,
    member: Member,
}

/// Predicts, compares, reports.
pub fn replay(usage: &Usage, seed: u64, view: View) -> Report {
    let mut report = Report::default();
    report.count("servers", usage.servers.len() as u64);
    report.count("samples", usage.samples as u64);
    let times: Vec<usize> =
        (view.window..=usage.samples.saturating_sub(view.horizon)).step_by(EVERY).collect();
    let pasts: Vec<Vec<Option<Past<'_>>>> =
        usage.servers.iter().map(|server| pasts(server, &times, view)).collect();
    let mut random = Random::of_seed(seed);
    for size in SIZES {
        let mut tallies = vec![Tally::default(); RULES.len()];
        for _ in 0..GROUPS {
            let group = draw(&mut random, usage.servers.len(), size);
            for (index, time) in times.iter().enumerate() {
                let running: Vec<&Past<'_>> = group
                    .iter()
                    .filter_map(|server| pasts.get(*server)?.get(index)?.as_ref())
                    .collect();
                if !running.is_empty() {
                    compare(&running, *time, view, &mut tallies);
                }
            }
        }
        for (rule, tally) in RULES.iter().zip(tallies) {
            tally.report(&format!("g{size}.{rule}"), &mut report);
        }
    }
    report
}

/// The first `size` of `servers` in a random order; all of them if there are fewer.
fn draw(random: &mut Random, servers: usize, size: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..servers).collect();
    for place in 0..size.min(servers) {
        let other = place + random.below(servers - place);
        order.swap(place, other);
    }
    order.truncate(size);
    order
}

/// A server before each of these moments at which it has just run.
fn pasts<'a>(server: &'a Server, times: &[usize], view: View) -> Vec<Option<Past<'a>>> {
    let mut watched = Watched::begin(server);
    let mut seen = server.first;
    let past = |time: &usize| {
        let time = *time;
        for sample in seen..time.min(server.last + 1) {
            watched.see(sample, server.at(sample).unwrap_or_default());
        }
        seen = seen.max(time);
        server.at(time.checked_sub(1)?)?;
        let peak = server.peak(time - view.window, time);
        let new = time - server.first < view.cold_age;
        let cold_peak = if new { peak.max(view.cold_bytes.min(server.limit)) } else { peak };
        let mut values = vec![0.0; view.window];
        let ran = server.between(time - view.window, time);
        values
            .iter_mut()
            .rev()
            .zip(ran.iter().rev())
            .for_each(|(value, used)| *value = *used as f64);
        values.sort_by(f64::total_cmp);
        let p99 = percentile(&values, 0.99);
        let member = watched.member(time);
        Some(Past { server, cold_peak: cold_peak as f64, p99, member })
    };
    times.iter().map(past).collect()
}

/// What each rule foresees for these servers, against what they used.
fn compare(running: &[&Past<'_>], time: usize, view: View, tallies: &mut [Tally]) {
    let limits: f64 = running.iter().map(|past| past.server.limit as f64).sum();
    let future = totals(running, time, time + view.horizon);
    let oracle = future.into_iter().max().unwrap_or(0) as f64;
    for (prediction, tally) in predictions(running, time, view, limits).iter().zip(tallies) {
        tally.violated += usize::from(*prediction < oracle - 1e-9 * limits);
        tally.freed += 1.0 - prediction / limits;
        tally.shortfalls.push((oracle - prediction).max(0.0) / limits);
    }
}

/// What each rule foresees (section 4.2 of the scheduler's design).
fn predictions(running: &[&Past<'_>], time: usize, view: View, limits: f64) -> [f64; 9] {
    let window = totals(running, time - view.window, time);
    let highest = window.iter().copied().max().unwrap_or(0) as f64;
    let nsigma = limits.min(mean_and_deviations(&window));
    let rclike: f64 = running.iter().map(|past| past.p99).sum();
    let peaks: f64 = running.iter().map(|past| past.cold_peak).sum();
    let mut growth: Vec<f64> =
        running.iter().map(|past| past.server.limit as f64 - past.cold_peak).collect();
    growth.sort_by(|a, b| b.total_cmp(a));
    let growers = |count: usize| limits.min(peaks + growth.iter().take(count).sum::<f64>());
    let sums = Sums::of(running.iter().map(|past| &past.member));
    [
        limits,
        0.9 * limits,
        nsigma,
        rclike,
        nsigma.max(rclike),
        limits.min(highest + 0.1 * limits),
        growers(1),
        growers(2),
        limits.min(sums.need() as f64),
    ]
}

/// What these servers use together at the samples `from .. to`.
fn totals(running: &[&Past<'_>], from: usize, to: usize) -> Vec<u64> {
    let mut totals = vec![0; to - from];
    for past in running {
        let begin = past.server.first.saturating_sub(from).min(totals.len());
        let used = past.server.between(from, to);
        totals.iter_mut().skip(begin).zip(used).for_each(|(total, used)| *total += used);
    }
    totals
}

/// The mean and five standard deviations.
fn mean_and_deviations(totals: &[u64]) -> f64 {
    let count = totals.len() as f64;
    let mean = totals.iter().map(|total| *total as f64).sum::<f64>() / count;
    let squares: f64 = totals.iter().map(|total| (*total as f64 - mean).powi(2)).sum();
    // Of one sample there is no deviation.
    mean + 5.0 * (squares / (count - 1.0).max(1.0)).sqrt()
}

/// The percentile of sorted values, between the two nearest ranks.
fn percentile(sorted: &[f64], part: f64) -> f64 {
    let rank = (sorted.len().saturating_sub(1)) as f64 * part;
    let (low, high) = (rank.floor() as usize, rank.ceil() as usize);
    match (sorted.get(low), sorted.get(high)) {
        (Some(low), Some(high)) => low + (high - low) * rank.fract(),
        _ => 0.0,
    }
}

impl Tally {
    fn report(mut self, key: &str, report: &mut Report) {
        let count = self.shortfalls.len();
        self.shortfalls.sort_by(f64::total_cmp);
        let percent = |sum: f64| if count == 0 { 0.0 } else { 100.0 * sum / count as f64 };
        report.count(format!("{key}.predictions"), count as u64);
        report.percent(format!("{key}.violation_pct"), percent(self.violated as f64));
        report.percent(format!("{key}.freed_pct"), percent(self.freed));
        let shortfall = 100.0 * percentile(&self.shortfalls, 0.99);
        report.percent(format!("{key}.shortfall_p99_pct"), shortfall);
    }
}
