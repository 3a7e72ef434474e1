//! Idle stops, ages, extensions, nights, and what a reload changes, one case at a time.

use std::collections::{BTreeMap, BTreeSet};

use berth_common::link::Usage;
use berth_common::{Reason, Seconds, Timestamp};
use berth_core::life::Evidence;
use berth_core::settings::{Activity, ByProfile, Extend, IdleRule, Lifecycle, People, Warn, Whose};
use berth_core::{Answer, ServerState};

use super::bench::{Bench, DAY, HOUR, MONDAY, idle_after, nights};

fn after(seconds: u64) -> Timestamp {
    MONDAY.parse::<Timestamp>().unwrap().plus(Seconds(seconds))
}

/// Three days, as the deck's site.
fn days(count: u64) -> Lifecycle {
    Lifecycle { idle: vec![idle_after(count * DAY)], ..Lifecycle::default() }
}

#[test]
fn an_idle_server_is_warned_three_times_and_stops_with_its_evidence() {
    let mut bench = Bench::new(days(3));
    let id = bench.runs("alice", "cpu");
    bench.passes(HOUR);
    bench.sign(&id, Evidence::Browser);
    assert_eq!(bench.outlook(&id).idle_since, None, "something keeps it alive");
    let stop = after(HOUR + 3 * DAY);
    assert_eq!(bench.outlook(&id).stop, Some((stop, Reason::StoppedIdle)));
    bench.passes(3 * DAY - 1);
    let saved = &bench.servers[&id].placement().unwrap().life.told;
    let told: Vec<_> = saved.iter().map(|told| (told.lead.0, told.at, told.stop)).collect();
    let expected = [DAY, 2 * HOUR, 600].map(|lead| (lead, after(HOUR + 3 * DAY - lead), stop));
    assert_eq!(told, expected);
    assert_eq!(bench.outlook(&id).idle_since, Some(after(HOUR)));
    assert!(bench.server(&id).is_ready());
    bench.passes(1);
    let (reason, at, detail) = bench.end(&id).unwrap();
    assert_eq!((reason, at), (Reason::StoppedIdle, stop));
    assert_eq!(detail, "No activity for 3d; last: a browser, 2026-05-04 08:00 UTC.");
    bench.passes(1);
    assert_eq!(bench.fleet.server_state(bench.server(&id), bench.now), ServerState::Ended);
    assert_eq!(bench.servers[&id].last_end.as_ref().unwrap().reason, Reason::StoppedIdle);
}

#[test]
fn any_sign_that_counts_moves_the_stop_and_takes_the_warning_back() {
    let mut bench = Bench::new(days(1));
    let id = bench.runs("alice", "cpu");
    bench.passes(DAY - 60);
    assert_eq!(bench.outlook(&id).warned.map(|told| told.lead), Some(Seconds(600)));
    bench.sign(&id, Evidence::Notebook);
    let outlook = bench.outlook(&id);
    assert_eq!((outlook.warned, outlook.idle_since), (None, None));
    assert_eq!(outlook.stop.unwrap().0, after(2 * DAY - 60));
    assert!(bench.servers[&id].placement().unwrap().life.told.is_empty(), "and that is saved");
    bench.passes(DAY - 61);
    assert!(bench.end(&id).is_none());
    bench.passes(61);
    assert_eq!(bench.end(&id).unwrap().1, after(2 * DAY - 60));
}

#[test]
fn what_the_site_does_not_count_is_shown_and_keeps_nothing_alive() {
    let activity = Activity { browser_input: false, ..Activity::default() };
    let mut bench = Bench::new(Lifecycle { activity, ..days(1) });
    let id = bench.runs("alice", "cpu");
    bench.passes(DAY / 2);
    bench.sign(&id, Evidence::Browser);
    let outlook = bench.outlook(&id);
    assert_eq!(outlook.signs, [(Evidence::Browser, after(DAY / 2), false)]);
    assert_eq!(outlook.stop.unwrap().0, after(DAY));
    // JupyterHub's clients still read it.
    assert_eq!(bench.server(&id).last_activity, after(DAY / 2));
}

#[test]
fn the_first_rule_that_matches_holds() {
    let people = People { users: BTreeSet::from(["bob".parse().unwrap()]), ..People::default() };
    let rule = |whose: Whose, hours: Option<u64>| IdleRule {
        whose,
        stop_after: hours.map(|hours| Seconds(hours * HOUR)),
        ..idle_after(0)
    };
    let rules = vec![
        rule(Whose { people: Some(people), ..Whose::default() }, None),
        rule(Whose { pool: Some("gpu".into()), ..Whose::default() }, Some(2)),
        rule(Whose { profile: Some("cpu".into()), ..Whose::default() }, Some(5)),
    ];
    let mut bench = Bench::new(Lifecycle { idle: rules, ..Lifecycle::default() });
    let (bob, carol) = (bench.runs("bob", "cpu"), bench.runs("carol", "cpu"));
    let dave = bench.runs("dave", "gpu");
    assert_eq!(bench.outlook(&bob).stop, None, "his servers may live for months");
    assert_eq!(bench.outlook(&carol).stop.unwrap().0, after(5 * HOUR));
    assert_eq!(bench.outlook(&dave).stop.unwrap().0, after(2 * HOUR));
    bench.passes(90 * DAY);
    assert!(bench.server(&bob).is_ready());
    assert_eq!(bench.extend(&bob, 1), Answer::StopsForNothing);
}

#[test]
fn leads_longer_than_half_of_the_limit_are_left_out() {
    let leads = |seconds| {
        let limit = Seconds(seconds);
        let leads = berth_core::life::leads(limit, &Warn::default());
        leads.into_iter().map(|lead| lead.0).collect::<Vec<_>>()
    };
    assert_eq!(leads(3 * DAY), [DAY, 2 * HOUR, 600]);
    assert_eq!(leads(DAY), [2 * HOUR, 600]);
    assert_eq!(leads(2 * HOUR), [600]);
    assert_eq!(leads(600), [300], "somebody must be told");
}

#[test]
fn an_extension_moves_the_stop_by_one_step_and_takes_one_from_the_budget() {
    let mut bench = Bench::new(days(3));
    let id = bench.runs("alice", "cpu");
    bench.passes(3 * DAY - 300);
    for (day, left) in [(4, 2), (5, 1), (6, 0)] {
        let stop = after(day * DAY);
        assert_eq!(bench.extend(&id, 1), Answer::Extended { stop, left });
        let outlook = bench.outlook(&id);
        assert_eq!((outlook.stop.unwrap().0, outlook.extension.left), (stop, left));
        assert_eq!(outlook.warned, None, "the warning spoke of another stop");
    }
    assert_eq!(bench.extend(&id, 1), Answer::ExtensionsUsedUp { left: 0, of: 3 });
    bench.passes(DAY);
    // Activity does not bring the stop forward, and gives the budget back only beyond it.
    bench.sign(&id, Evidence::Browser);
    assert_eq!(bench.outlook(&id).stop.unwrap().0, after(7 * DAY - 300));
    assert_eq!(bench.outlook(&id).extension.left, 3);
    bench.passes(3 * DAY);
    assert_eq!(bench.end(&id).unwrap().1, after(7 * DAY - 300));
}

#[test]
fn an_extended_server_is_not_stopped_earlier_because_somebody_came() {
    let mut bench = Bench::new(days(3));
    let id = bench.runs("alice", "cpu");
    assert_eq!(bench.extend(&id, 3), Answer::Extended { stop: after(6 * DAY), left: 0 });
    bench.passes(DAY);
    bench.sign(&id, Evidence::Browser);
    assert_eq!(bench.outlook(&id).stop.unwrap().0, after(6 * DAY));
    assert_eq!(bench.extend(&id, 1), Answer::ExtensionsUsedUp { left: 0, of: 3 });
    bench.passes(6 * DAY);
    assert_eq!(bench.end(&id).unwrap().1, after(6 * DAY));
}

#[test]
fn a_server_becomes_as_old_as_its_profile_allows() {
    let max_age = ByProfile {
        default: None,
        profiles: BTreeMap::from([("cpu".to_owned(), Some(Seconds(30 * DAY)))]),
    };
    let rules = Lifecycle { max_age, ..days(3) };
    let mut bench = Bench::new(rules.clone());
    let id = bench.runs("alice", "cpu");
    for _ in 0..30 {
        bench.passes(DAY - 10);
        bench.sign(&id, Evidence::Browser);
    }
    let outlook = bench.outlook(&id);
    assert_eq!(outlook.stop, Some((after(30 * DAY), Reason::StoppedAge)));
    // Activity is nothing to it; an extension is, and its budget does not come back.
    assert_eq!(bench.extend(&id, 2), Answer::Extended { stop: after(32 * DAY), left: 1 });
    bench.passes(DAY);
    bench.sign(&id, Evidence::Browser);
    assert_eq!(bench.outlook(&id).extension.left, 1);
    bench.reborn(rules);
    bench.passes(2 * DAY);
    let (reason, at, detail) = bench.end(&id).unwrap();
    assert_eq!((reason, at), (Reason::StoppedAge, after(32 * DAY)));
    assert_eq!(detail, "It ran since 2026-05-04 07:00 UTC, and may run for 30d.");
}

#[test]
fn a_server_that_is_used_lives_for_months() {
    let rules = days(3);
    let mut bench = Bench::new(rules.clone());
    let id = bench.runs("alice", "cpu");
    let size = |bench: &Bench| serde_json::to_string(&bench.servers[&id]).unwrap().len();
    let mut after_a_month = 0;
    for round in 1..=60 {
        // Warned each time, and never stopped.
        bench.passes(3 * DAY - HOUR);
        assert!(bench.outlook(&id).warned.is_some(), "round {round}");
        bench.sign(&id, Evidence::Browser);
        if round % 15 == 0 {
            bench.reborn(rules.clone());
        }
        if round == 10 {
            after_a_month = size(&bench);
        }
    }
    assert!(bench.now > after(175 * DAY));
    assert!(bench.server(&id).is_ready() && bench.end(&id).is_none());
    assert_eq!(bench.server(&id).generation.0, 1, "it is the same start");
    assert_eq!(size(&bench), after_a_month, "its record does not grow with its age");
    bench.passes(3 * DAY);
    assert_eq!(bench.end(&id).unwrap().0, Reason::StoppedIdle);
}

#[test]
fn nothing_is_stopped_at_night_or_without_a_warning_by_day() {
    let warn = Warn { quiet: Some(nights()), ..Warn::default() };
    let rules = |idle| Lifecycle { idle: vec![idle_after(idle)], warn: warn.clone(), ..days(1) };
    // Local time is two hours ahead: the server starts at 9:00. The span without activity, the
    // warnings that are given, and the stop, in local hours since midnight of that day.
    let h = |hours: f64| {
        MONDAY.parse::<Timestamp>().unwrap().0 + ((hours - 9.0) * 3.6e9).round() as i64
    };
    for (idle, told, stop) in [
        // 16:00: by day.
        (7 * HOUR, vec![14.0, 15.0 + 5.0 / 6.0], 16.0),
        // 21:00 becomes 7:00; nobody could be told in the night, so that it is 7:10.
        (12 * HOUR, vec![29.0 + 1.0 / 6.0, 31.0], 31.0 + 1.0 / 6.0),
        // 8:30 of the next day: two hours before is night, ten minutes before is not.
        (23 * HOUR + HOUR / 2, vec![30.5, 32.0 + 1.0 / 3.0], 32.5),
        // 7:00 three days later: told a day before, at 7:00.
        (70 * HOUR, vec![55.0, 77.0, 78.0 + 5.0 / 6.0], 79.0),
    ] {
        let mut bench = Bench::new(rules(idle));
        let id = bench.runs("alice", "cpu");
        let planned = bench.outlook(&id).stop.unwrap().0;
        assert_eq!(planned.0 / 1_000_000, h(stop) / 1_000_000, "foreseen for {idle}");
        let mut seen = Vec::new();
        while bench.end(&id).is_none() {
            bench.passes(60);
            if let Some(placement) = bench.servers[&id].placement() {
                for told in &placement.life.told {
                    if !seen.contains(&told.at.0) {
                        seen.push(told.at.0);
                    }
                }
            }
        }
        let told: Vec<_> = told.into_iter().map(|hours| h(hours) / 60_000_000).collect();
        assert_eq!(seen.iter().map(|at| at / 60_000_000).collect::<Vec<_>>(), told, "{idle}");
        assert_eq!(bench.end(&id).unwrap().1.0 / 1_000_000, h(stop) / 1_000_000, "{idle}");
    }
}

#[test]
fn a_limit_made_shorter_begins_anew() {
    let mut bench = Bench::new(days(10));
    let id = bench.runs("alice", "cpu");
    bench.passes(5 * DAY);
    bench.reload(days(1));
    assert_eq!(bench.outlook(&id).stop.unwrap().0, after(6 * DAY));
    // Longer again, and once more shorter, this time while the hub is down.
    bench.reload(days(4));
    assert_eq!(bench.outlook(&id).stop.unwrap().0, after(9 * DAY));
    bench.passes(DAY);
    bench.reborn(days(2));
    assert_eq!(bench.outlook(&id).stop.unwrap().0, after(8 * DAY));
    bench.reload(Lifecycle::default());
    assert_eq!(bench.outlook(&id).stop, None);
    bench.passes(30 * DAY);
    bench.reborn(days(1));
    assert_eq!(bench.outlook(&id).stop.unwrap().0, after(37 * DAY));
}

#[test]
fn unknown_is_not_idle() {
    let mut bench = Bench::new(days(1));
    let id = bench.runs("alice", "cpu");
    bench.passes(DAY - HOUR);
    // The proxy does not tell: nobody knows whether somebody is there.
    bench.proxy_tells = false;
    bench.passes(DAY);
    assert!(bench.end(&id).is_none());
    // The host does not report: whatever happens, its server is left alone.
    bench.proxy_tells = true;
    bench.reports = false;
    bench.fleet.settings = {
        let mut settings = (*bench.fleet.settings).clone();
        settings.lost_after = Seconds(15);
        std::sync::Arc::new(settings)
    };
    bench.now = bench.now.plus(Seconds(60));
    bench.passes(20 * DAY);
    assert!(bench.end(&id).is_none());
    assert_eq!(bench.fleet.server_state(bench.server(&id), bench.now), ServerState::Unreachable);
    // Back again, the owner is warned once more before the stop.
    bench.reports = true;
    bench.beat();
    let back = bench.now;
    for _ in 0..120 {
        bench.goes_to(bench.now.plus(Seconds(10)));
    }
    let (reason, at, _) = bench.end(&id).unwrap();
    assert_eq!(reason, Reason::StoppedIdle);
    assert!(at >= back.plus(Seconds(600)), "{at} after {back}");
}

#[test]
fn a_hub_that_was_away_warns_before_it_stops() {
    let mut bench = Bench::new(days(1));
    let id = bench.runs("alice", "cpu");
    bench.passes(HOUR);
    bench.now = after(9 * DAY);
    bench.reborn(days(1));
    bench.goes_to(after(9 * DAY + 5));
    let told = bench.outlook(&id).warned.unwrap();
    assert_eq!((told.lead, told.at), (Seconds(600), after(9 * DAY + 5)));
    bench.passes(599);
    assert!(bench.end(&id).is_none());
    bench.passes(1);
    assert_eq!(bench.end(&id).unwrap().1, after(9 * DAY + 605));
}

#[test]
fn a_hub_that_was_away_in_the_last_hours_gives_the_last_warning() {
    let mut bench = Bench::new(days(3));
    let id = bench.runs("alice", "cpu");
    bench.passes(2 * DAY + HOUR);
    assert_eq!(bench.outlook(&id).warned.map(|told| told.lead), Some(Seconds(DAY)));
    bench.now = after(3 * DAY + HOUR);
    bench.reborn(days(3));
    bench.goes_to(after(3 * DAY + HOUR + 5));
    assert_eq!(bench.outlook(&id).warned.map(|told| told.lead), Some(Seconds(600)));
    assert!(bench.server(&id).is_ready());
    bench.passes(600);
    assert_eq!(bench.end(&id).unwrap().1, after(3 * DAY + HOUR + 605));
}

#[test]
fn a_warning_owes_a_mail_until_it_has_left() {
    let mut bench = Bench::new(days(1));
    let id = bench.runs("alice", "cpu");
    bench.passes(DAY - HOUR);
    let life = |bench: &Bench| bench.server(&id).placement().unwrap().life.clone();
    let owed: Vec<_> = life(&bench).owes_mail().copied().collect();
    assert_eq!(owed.len(), 1);
    bench.reborn(days(1));
    assert_eq!(life(&bench).owes_mail().count(), 1, "a hub that died still owes it");
    let generation = bench.server(&id).generation;
    let told_at = owed[0].at;
    bench.take(berth_core::Event::Mailed { server: id.clone(), generation, told_at });
    bench.reborn(days(1));
    assert_eq!(life(&bench).owes_mail().count(), 0);
}

#[test]
fn the_budget_is_by_profile() {
    let max_times = ByProfile { default: 3, profiles: BTreeMap::from([("gpu".to_owned(), 1)]) };
    let extend = Extend { step: Seconds(DAY), max_times };
    let mut bench = Bench::new(Lifecycle { extend, ..days(1) });
    let id = bench.runs("bob", "gpu");
    assert_eq!(bench.extend(&id, 2), Answer::ExtensionsUsedUp { left: 1, of: 1 });
    assert_eq!(bench.extend(&id, 1), Answer::Extended { stop: after(2 * DAY), left: 0 });
}

#[test]
fn a_silent_computation_seen_by_the_host_keeps_a_server_alive() {
    let mut bench = Bench::new(days(1));
    let id = bench.runs("alice", "cpu");
    let begun = bench.now;
    // A core for two days, with no browser, no message of a kernel, nothing but the host's word.
    bench.usage = Usage { cpu_us: 1_000_000, cpu_milli: 950, ..Usage::default() };
    while bench.now < begun.plus(Seconds(2 * DAY)) {
        let next = bench.now.plus(Seconds(30));
        bench.goes_to(next);
    }
    assert!(bench.end(&id).is_none());
    let outlook = bench.outlook(&id);
    assert_eq!(outlook.idle_since, None);
    assert_eq!(outlook.signs[0].0, Evidence::Cpu);
    // It is done: from then on the server is idle.
    bench.usage.cpu_milli = 2;
    let done = bench.now;
    while bench.now < done.plus(Seconds(2 * DAY)) && bench.end(&id).is_none() {
        let next = bench.now.plus(Seconds(30));
        bench.goes_to(next);
    }
    let (reason, at, _) = bench.end(&id).expect("idle for a day");
    assert_eq!(reason, Reason::StoppedIdle);
    let idle = at.millis_since(done) / 1000;
    // Use is summed up over ten minutes: so far off its last sign may be.
    assert!((DAY - 600..DAY + 600).contains(&idle), "{idle}");
}
