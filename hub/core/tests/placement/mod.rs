//! Placement, seen from outside: random sites, people who ask and stop, hosts that report, fall
//! silent and come back; and what must hold whatever they do.

mod chance;
mod declared;
mod site;

use std::sync::Arc;

use berth_common::ByteCount;
use berth_core::decision::{Decision, Nearest, Outcome};
use berth_core::event::Wish;
use berth_core::floor::FloorHost;
use berth_core::placement::Rows;
use berth_core::settings::Settings;
use berth_core::{Fleet, check};

use self::site::Site;

/// As many rounds as asked for, or a share of them where time is short.
fn share(all: u64) -> u64 {
    if std::env::var_os("BERTH_LONG").is_some() { all } else { all / 10 }
}

/// S3, S4 and what the rules say, after every step of random days.
#[test]
fn nobody_gets_what_is_not_there_or_not_theirs() {
    for seed in 0..share(400) {
        let mut site = Site::new(seed);
        for _ in 0..150 {
            let decision = site.live();
            let violations = check::violations(&site.fleet);
            assert!(violations.is_empty(), "seed {seed}: {violations:?}");
            if let Some(decision) = decision {
                site.rules_hold(&decision).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
            }
        }
    }
}

/// What is remembered between decisions changes none, and a dry run says what then happens: the
/// site asserts it at every start.
#[test]
fn a_dry_run_says_what_then_happens() {
    for seed in 0..share(200) {
        let mut site = Site::new(20_000 + seed);
        (0..150).for_each(|_| drop(site.live()));
    }
}

/// Rows that were brought up to date host by host answer every search as rows made anew do.
#[test]
fn rows_that_were_kept_answer_as_rows_made_anew() {
    let mut compared = 0;
    for seed in 0..share(200) {
        let mut site = Site::new(70_000 + seed);
        let mut needs = Vec::new();
        for _ in 0..60 {
            site.live();
            let request = site.random_request();
            let Some(need) = site.remembered(&request).inputs.need else { continue };
            needs.push(need);
            let anew = Rows::of(&site.fleet.floor, &site.fleet.settings, &site.fleet.prices);
            // What was asked earlier is remembered, and brought up to date; so has a snapshot it.
            let snapshot = site.fleet.clone();
            for need in needs.iter().rev().take(8) {
                let found = anew.look(need, None, None);
                assert_eq!(site.fleet.rows().look(need, None, None), found, "seed {seed}");
                assert_eq!(snapshot.rows().look(need, None, None), found, "seed {seed}");
            }
            let need = needs[needs.len() - 1].clone();
            compared += 1;
            let kept = site.fleet.rows();
            let starts = anew.look(&need, None, None).choice.is_ok();
            assert_eq!(kept.takes(&need, None), starts, "seed {seed}");
            let back = |rows: &Rows| rows.if_it_were_back(&need, |_, _| true);
            let largest = kept.largest_limit(&need, None);
            assert_eq!(largest, anew.largest_limit(&need, None));
            let more = largest.map_or(0, |(_, limit)| limit.0) + (1 << 20);
            if more <= need.limit.0 && need.gpus == 0 {
                let more = anew.look(&need.with_limit(ByteCount(more)), None, None);
                assert_eq!(more.possible, 0, "seed {seed}: a larger one would start");
            }
            assert_eq!(
                kept.lacking(&need, 3),
                anew.lacking(&need, usize::MAX)[..kept.lacking(&need, 3).len()]
            );
            assert_eq!(kept.least_missing(&need), anew.least_missing(&need));
            assert_eq!(back(kept), back(&anew), "seed {seed}");
        }
    }
    assert!(compared > 0);
}

/// The same events give the same decisions, bit for bit.
#[test]
fn the_same_log_gives_the_same_decisions() {
    let run = |seed| {
        let mut site = Site::new(seed);
        let decisions = (0..200).filter_map(|_| site.live());
        decisions.map(|decision| serde_json::to_string(&decision).unwrap()).collect::<Vec<_>>()
    };
    for seed in 0..share(50) {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}

/// The lines of a decision are the same when they are made years later, from what was written down.
#[test]
fn an_old_decision_is_explained_by_what_was_written_down() {
    for seed in 0..share(50) {
        let mut site = Site::new(seed);
        let mut old: Vec<(Decision, String, Written)> = Vec::new();
        for _ in 0..60 {
            let Some(decision) = site.live_and_look(|fleet, decision| {
                let lines = decision.lines(&fleet.floor, &fleet.settings, &fleet.prices);
                let (rows, floor, settings) = (fleet.rows(), &fleet.floor, &fleet.settings);
                assert_eq!(decision.lines_seen(rows, floor, settings), lines, "seed {seed}");
                for line in &lines {
                    let alone = decision.line_seen(rows, floor, settings, &line.host);
                    assert_eq!(alone.as_ref(), Some(line), "seed {seed}: one host alone");
                }
                (serde_json::to_string(&lines).unwrap(), Written::of(fleet))
            }) else {
                continue;
            };
            let (decision, (lines, written)) = decision;
            old.push((decision, lines, written));
        }
        for (decision, lines, written) in old {
            assert_eq!(lines, written.explain(&decision), "seed {seed}: {}", decision.id);
        }
    }
}

/// Floor, settings and prices as text, as the store keeps them.
struct Written {
    hosts: Vec<String>,
    settings: String,
    prices: String,
}

impl Written {
    fn of(fleet: &Fleet) -> Self {
        let hosts = fleet.floor.hosts.iter().map(|host| serde_json::to_string(&**host).unwrap());
        Self {
            hosts: hosts.collect(),
            settings: serde_json::to_string(&*fleet.settings).unwrap(),
            prices: serde_json::to_string(&*fleet.prices).unwrap(),
        }
    }

    fn explain(&self, decision: &Decision) -> String {
        let hosts = self
            .hosts
            .iter()
            .map(|host| Arc::new(serde_json::from_str::<FloorHost>(host).unwrap()));
        let floor =
            berth_core::floor::Floor { version: decision.inputs.floor, hosts: hosts.collect() };
        let settings = Arc::new(serde_json::from_str::<Settings>(&self.settings).unwrap());
        let prices = Arc::new(serde_json::from_str(&self.prices).unwrap());
        serde_json::to_string(&decision.lines(&floor, &settings, &prices)).unwrap()
    }
}

/// Each change that an explanation names is made, and then the request starts; without it, it does
/// not (section 8.3 of the scheduler's design).
#[test]
fn what_an_explanation_names_helps() {
    let (mut stuck, mut named, mut seed) = (0, 0, 0);
    let wanted = share(10_000);
    let mut kinds = std::collections::BTreeMap::<&str, u32>::new();
    while stuck < wanted {
        let mut site = Site::new(10_000 + seed);
        seed += 1;
        for _ in 0..150 {
            let request = site.random_request();
            let before = site.dry_run(&request);
            assert_eq!(before, site.dry_run(&request), "a dry run changes nothing");
            if !matches!(before.outcome, Outcome::Placed { .. }) && !site.is_active(&request) {
                stuck += 1;
                for change in &before.nearest {
                    named += 1;
                    *kinds.entry(kind(change)).or_default() += 1;
                    let after = site.with_change(&request, &before, change);
                    assert!(
                        matches!(after.outcome, Outcome::Placed { .. }),
                        "seed {seed}: {change:?} does not help\nbefore {before:?}\nafter {after:?}"
                    );
                }
            }
            site.live();
        }
    }
    println!("{stuck} requests that did not start, {named} changes named and tried: {kinds:?}");
    // A test of changes that are never named would hold nothing.
    for kind in ["memory", "gpus", "profile", "stop", "from", "host"] {
        assert!(kinds.contains_key(kind), "{kind} is never named: {kinds:?}");
    }
}

fn kind(change: &Nearest) -> &'static str {
    match change {
        Nearest::Memory(_) => "memory",
        Nearest::Gpus(_) => "gpus",
        Nearest::Profile(_) => "profile",
        Nearest::Stop(_) => "stop",
        Nearest::From(_) => "from",
        Nearest::HostBack { .. } => "host",
    }
}

/// Quotas hold after every step of random starts, stops and ends of a few people.
#[test]
fn quotas_are_exact_whatever_happens_between() {
    let mut steps = 0;
    let wanted = share(1_000_000);
    let mut seed = 0;
    while steps < wanted {
        let mut site = Site::small(seed);
        for _ in 0..2_000 {
            site.live();
            steps += 1;
            site.quotas_hold().unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        }
        seed += 1;
    }
}

/// Nobody waits for ever: once the others have ended, every request that the rules let pass starts.
#[test]
fn nobody_starves() {
    for seed in 0..share(100) {
        let mut site = Site::new(50_000 + seed);
        for _ in 0..120 {
            site.live();
        }
        let left = site.everybody_leaves();
        assert!(left.is_empty(), "seed {seed}: {left:?} wait in vain");
    }
}

/// A wish for one's default server.
pub fn wish(profile: &str) -> Wish {
    Wish { profile: Some(profile.to_owned()), ..Wish::default() }
}
