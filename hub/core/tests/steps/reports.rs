//! Which reports count, and what the hub takes from them about a server's kernels and terminals.

use std::sync::Arc;

use berth_common::link::{Kernels, ObservedState, Report, Terminals, Usage};
use berth_common::{Incarnation, Seconds, Timestamp};
use berth_core::life::{Evidence, Life};
use berth_core::settings::{Settings, Terminal};
use berth_core::{Effect, Event};

use super::bench::{Bench, settings};

/// A server that is ready since 100 s.
fn one_runs() -> Bench {
    let mut bench = Bench::new();
    bench.waits(100);
    bench.asks("a", 1);
    bench.hears("h1", &[("a", 1, ObservedState::Ready)]);
    bench
}

/// A report in which its use is this.
fn uses(bench: &mut Bench, generation: u64, usage: Usage) -> Life {
    let mut seen = bench.observed("a", generation, &ObservedState::Ready);
    seen.usage = usage;
    bench.report("h1", Ok(vec![seen]), Vec::new());
    Life::clone(&bench.fleet.servers[&bench.id("a")].placement().unwrap().life)
}

fn kernels(busy: u32, quiet_ms: Option<u64>) -> Usage {
    Usage { kernels: Some(Kernels { busy, quiet_ms }), ..Usage::default() }
}

#[test]
fn a_kernels_last_word_is_news_from_a_second_on_and_after_the_start_only() {
    let mut bench = one_runs();
    bench.waits(50);
    let heard = |life: &Life| life.signs.get(&Evidence::Kernel).map(|at| at.as_millis());
    assert_eq!(heard(&uses(&mut bench, 1, kernels(0, Some(60_000)))), None, "before its start");
    assert_eq!(heard(&uses(&mut bench, 1, kernels(0, None))), None);
    assert_eq!(heard(&uses(&mut bench, 0, kernels(0, Some(10_000)))), None, "another start's");
    assert_eq!(heard(&uses(&mut bench, 1, kernels(0, Some(10_000)))), Some(140_000));
    bench.waits(1);
    assert_eq!(heard(&uses(&mut bench, 1, kernels(0, Some(10_001)))), Some(140_000));
    assert_eq!(heard(&uses(&mut bench, 1, kernels(0, Some(10_000)))), Some(141_000));
}

#[test]
fn kernels_and_terminals_that_work_are_work() {
    let mut bench = one_runs();
    assert_eq!(uses(&mut bench, 1, Usage::default()).kernel_busy, None);
    assert_eq!(uses(&mut bench, 1, kernels(0, None)).kernel_busy, Some(false));
    let busy = uses(&mut bench, 1, kernels(1, None));
    assert_eq!((busy.kernel_busy, busy.kernels_told), (Some(true), Some(bench.now)));
    assert_eq!(busy.signs.get(&Evidence::Kernel), Some(&bench.now));
    bench.waits(1);
    let unknown = uses(&mut bench, 1, Usage::default());
    assert_eq!(unknown.kernel_busy, Some(true), "silence is no news");

    for (rule, open, working, counts) in [
        (Terminal::Working, 2, 0, false),
        (Terminal::Working, 2, 1, true),
        (Terminal::Any, 0, 0, false),
        (Terminal::Any, 1, 0, true),
    ] {
        let mut bench = one_runs();
        let mut settings: Settings = settings();
        settings.lifecycle.activity.terminal = rule;
        bench.take(Event::SettingsChanged(Arc::new(settings)));
        let terminals = Some(Terminals { open, working });
        let life = uses(&mut bench, 1, Usage { terminals, ..Usage::default() });
        let at_work = life.signs.contains_key(&Evidence::Terminal);
        assert_eq!(at_work, counts, "{rule:?}: {open} open, {working} working");
    }
}

/// Takes a report in over a session; the alarms.
fn over(bench: &mut Bench, session: u64, report: &Report) -> Vec<String> {
    let (host, report) = ("h1".parse().unwrap(), Box::new(report.clone()));
    let alarm = |effect| match effect {
        Effect::Alarm(text) => Some(text),
        _ => None,
    };
    let effects = bench.take(Event::Reported { host, session, report });
    effects.into_iter().filter_map(alarm).collect()
}

#[test]
fn an_older_session_counts_for_nothing_and_another_agents_later_word_in_it_is_an_alarm() {
    let mut bench = one_runs();
    bench.waits(1);
    let now = bench.report_of("h1", Ok(Vec::new()), Vec::new());
    assert_eq!(over(&mut bench, 3, &now), [""; 0]);
    let other = |sent: i64| Report {
        incarnation: Incarnation(8),
        sent: Timestamp(now.sent.0 + sent),
        ..now.clone()
    };
    let heard = |bench: &Bench| {
        bench.fleet.hosts[&"h1".parse().unwrap()].heard.as_ref().unwrap().incarnation
    };
    // Its own last words over the old one, and a dead agent's behind its successor's first.
    let own = Report { sent: now.sent.plus(Seconds(1)), ..now.clone() };
    for report in [own, other(0), other(-1)] {
        assert_eq!(over(&mut bench, 2, &report), [""; 0]);
    }
    assert_eq!(bench.fleet.hosts[&"h1".parse().unwrap()].doubled_at, None);
    let said = ["two agents report as host h1: it takes no new servers"];
    assert_eq!(over(&mut bench, 2, &other(1)), said);
    assert_eq!(over(&mut bench, 2, &other(2)), [""; 0], "said once");
    assert_eq!(bench.fleet.hosts[&"h1".parse().unwrap()].doubled_at, Some(bench.now));
    assert_eq!(heard(&bench), Incarnation(7));
    // A later session is another agent's by right.
    over(&mut bench, 4, &other(3));
    assert_eq!(heard(&bench), Incarnation(8));
}

#[test]
fn a_report_that_was_overtaken_is_not_taken_in() {
    let mut bench = one_runs();
    bench.hears("h1", &[("a", 1, ObservedState::Ready)]);
    let newest = bench.report_of("h1", Ok(Vec::new()), Vec::new());
    let shows = |bench: &Bench| {
        bench.fleet.hosts[&"h1".parse().unwrap()].heard.as_ref().unwrap().observed.len()
    };
    let mut older = newest.clone();
    older.applied.seq -= 1;
    over(&mut bench, 1, &older);
    assert_eq!(shows(&bench), 1, "it had applied less than what was heard since");
    // Another process of the agent begins anew.
    older.incarnation = Incarnation(8);
    over(&mut bench, 1, &older);
    assert_eq!(shows(&bench), 0);
}
