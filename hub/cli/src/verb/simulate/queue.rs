//! `berth simulate queue`: weeks of a busy site, and whether those who waited did so as long as they
//! were told when they asked: half of the waits should lie within the span that was shown.
//!
//! What people do is drawn, not measured: lives of one to ninety hours, most of which begin in working
//! hours, and half of which end by an idle limit. What decides is the hub's own `step`.

use std::collections::BTreeMap;

use berth_core::decision::Estimate;

use super::random::Random;
use super::report::{Report, quantile};
use crate::problem::Problem;

mod site;

use site::{Happened, Site};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Hosts of 32 GB
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    hosts: u32,
    /// Days
    #[arg(long, default_value_t = 28, value_parser = clap::value_parser!(u32).range(1..=366))]
    days: u32,
    /// Percent of the memory that people ask for
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    load: u32,
    /// The seed of all random numbers
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

/// Minutes of a day.
const DAY: u32 = 1_440;
/// Minutes that servers live, each as often as the others; varied by a half up and down.
const LIVES: [u32; 10] = [60, 120, 180, 240, 360, 480, 720, 960, 1_440, 2_880];
/// Memory that is asked for, in GB: of twenty requests so many ask for so much.
const SIZES: [(usize, u64); 3] = [(14, 4), (5, 16), (1, 28)];
/// Minutes after which an idle server is stopped.
const IDLE_LIMIT: u32 = 480;

/// Who waits: when it was asked for, and what its owner was told.
struct Waiter {
    asked: u32,
    shown: Option<Estimate>,
}

/// The waits that ended.
#[derive(Default)]
struct Waits {
    minutes: Vec<f64>,
    within: u64,
    sooner: u64,
    later: u64,
    hidden: u64,
}

/// Lives some weeks.
pub fn run(args: &Args) -> Result<Report, Problem> {
    let mut site = Site::new(args.hosts, IDLE_LIMIT);
    let mut random = Random::of_seed(args.seed);
    let (mut waiting, mut waits, mut asked) = (BTreeMap::new(), Waits::default(), 0);
    for minute in 0..args.days * DAY {
        let mut happened = site.minute(minute);
        for _ in 0..arrivals(&mut random, args, minute) {
            asked += 1;
            let life = life(&mut random);
            let idles = random.below(2) == 0 && life > IDLE_LIMIT;
            happened.extend(site.ask(size(&mut random), life, idles));
        }
        for happened in happened {
            match happened {
                Happened::Waits(server, shown) => {
                    waiting.insert(server, Waiter { asked: minute, shown });
                }
                Happened::Starts(server) => {
                    if let Some(waiter) = waiting.remove(&server) {
                        waits.add(&waiter, minute);
                    }
                }
            }
        }
    }
    let mut report = Report::default();
    report.count("hosts", args.hosts.into());
    report.count("days", args.days.into());
    report.count("seed", args.seed);
    report.count("requests", asked);
    report.count("still_waiting", waiting.len() as u64);
    waits.tell(&mut report);
    Ok(report)
}

/// How many ask in this minute: three of four in the ten working hours of five days.
fn arrivals(random: &mut Random, args: &Args, minute: u32) -> usize {
    let (day, hour) = (minute / DAY % 7, minute % DAY / 60);
    let works = day < 5 && (8..18).contains(&hour);
    let (minutes, part) = if works { (5 * 600, 3) } else { (7 * DAY - 5 * 600, 1) };
    let life = f64::from(LIVES.iter().sum::<u32>()) / LIVES.len() as f64;
    let size = SIZES.iter().map(|(of, gb)| *of as f64 * *gb as f64).sum::<f64>() / 20.0;
    let room = f64::from(args.hosts) * site::HOST_GB as f64;
    let a_week = f64::from(args.load) / 100.0 * room * f64::from(7 * DAY) / (size * life);
    let expected = a_week * f64::from(part) / 4.0 / f64::from(minutes);
    let whole = expected.floor();
    let more = random.below(1_000_000) < ((expected - whole) * 1e6) as usize;
    whole as usize + usize::from(more)
}

fn life(random: &mut Random) -> u32 {
    let life = LIVES.get(random.below(LIVES.len())).copied().unwrap_or(DAY);
    let thousandths = 500 + u32::try_from(random.below(1_001)).unwrap_or(500);
    (life * thousandths / 1_000).max(1)
}

fn size(random: &mut Random) -> u64 {
    let mut draw = random.below(20);
    for (of, gb) in SIZES {
        if draw < of {
            return gb;
        }
        draw -= of;
    }
    4
}

impl Waits {
    fn add(&mut self, waiter: &Waiter, now: u32) {
        let waited = now.saturating_sub(waiter.asked);
        self.minutes.push(waited.into());
        // The replay looks once a minute.
        let waited_s = u64::from(waited) * 60;
        match waiter.shown {
            None => self.hidden += 1,
            Some(Estimate { from, .. }) if waited_s + 60 <= from.0 => self.sooner += 1,
            Some(Estimate { to, .. }) if waited_s > to.0 + 60 => self.later += 1,
            Some(_) => self.within += 1,
        }
    }

    fn tell(mut self, report: &mut Report) {
        self.minutes.sort_by(f64::total_cmp);
        report.count("waited", self.minutes.len() as u64);
        report.number("wait_p50_min", quantile(&self.minutes, 0.5), 0);
        report.number("wait_p90_min", quantile(&self.minutes, 0.9), 0);
        report.count("shown", self.within + self.sooner + self.later);
        let shown = (self.within + self.sooner + self.later).max(1) as f64;
        report.percent("within_pct", 100.0 * self.within as f64 / shown);
        report.percent("sooner_pct", 100.0 * self.sooner as f64 / shown);
        report.percent("later_pct", 100.0 * self.later as f64 / shown);
    }
}
