//! Containers that vanish, are found, come late, or are in two places: what proves what. Several of these
//! the simulated world has found.

use berth_common::Reason;
use berth_common::link::{Ending, ObservedState};
use berth_core::{Event, Fleet, check as checks};

use super::bench::{Bench, check};

#[test]
fn what_vanished_or_crashed_is_not_made_anew() {
    let mut bench = Bench::new();
    bench.asks("alice", 1);
    bench.hears("h1", &[("alice", 1, ObservedState::Ready)]);
    bench.hears("h1", &[]);
    bench.shows();
    bench.hears("h1", &[]);
    bench.asks("bob", 1);
    let ending = Ending { reason: Reason::StoppedCrash, detail: "exit code 1".into() };
    bench.hears("h1", &[("bob", 1, ObservedState::Exited(ending))]);
    bench.hears("h1", &[]);
    bench.shows();
    check(
        &bench,
        "
        alice asks for 1 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        h1 reports [alice#1 ready]:  routes save-server tell-h1
        h1 reports []:  save-server routes tell-h1 tell-h1
          alice#1 stopping on h1
          order to h1: Stop alice#1
        h1 reports []:  tell-h1 routes save-server tell-h1
        bob asks for 1 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        h1 reports [bob#1 exited]:  save-server routes tell-h1 tell-h1
        h1 reports []:  tell-h1 routes save-server tell-h1
          alice#1 ended last: stopped.crash
          bob#1 ended last: failed.exited
    ",
    );
}

#[test]
fn a_hub_with_an_empty_store_adopts_what_runs_and_stops_only_what_it_has_outlived() {
    let mut bench = Bench::new();
    bench.hears("h1", &[("alice", 5, ObservedState::Ready)]);
    bench.shows();
    // Another host shows an older start of the same server: that one has been outlived.
    bench.hears("h2", &[("alice", 4, ObservedState::Ready)]);
    bench.shows();
    check(&bench, "
        h1 reports [alice#5 ready]:  alarm(adopted server 0000000000000063 of alice on h1, which the store did not know) routes save-server save-server tell-h1
          alice#5 running on h1
          order to h1: Keep alice#5
        h2 reports [alice#4 ready]:  tell-h2
          alice#5 running on h1
          order to h1: Keep alice#5
          order to h2: Stop alice#4
    ");
}

#[test]
fn what_a_late_create_has_made_is_not_adopted_and_a_removal_is_told() {
    let mut bench = Bench::new();
    bench.asks("alice", 1);
    bench.stops("alice");
    let server = bench.id("alice");
    bench.hears("h1", &[]);
    let late = |state| bench.observed("alice", 1, &state);
    let (created, running) = (late(ObservedState::Created), late(ObservedState::Running));
    let before = bench.revision("h1");
    bench.say("a late create shows");
    bench.report("h1", Ok(vec![created.clone()]), Vec::new());
    bench.say("alice removes");
    bench.take(Event::Remove { server, reply: None });
    assert!(bench.revision("h1") > before, "the set says less than before");
    bench.say("the late create still shows");
    bench.report("h1", Ok(vec![created]), Vec::new());
    bench.say("a report is overtaken");
    bench.report("h1", Ok(vec![running]), Vec::new());
    bench.shows();
    check(
        &bench,
        "
        alice asks for 1 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        alice stops:  save-server routes tell-h1 reply-StopUnderWay
        h1 reports []:  tell-h1 routes save-server tell-h1
        a late create shows:  tell-h1
        alice removes:  tell-h1 save-gone
        the late create still shows:  tell-h1
        a report is overtaken:  tell-h1
    ",
    );
}

#[test]
fn a_report_from_before_the_first_answer_proves_no_end() {
    let mut bench = Bench::new();
    bench.asks("alice", 1);
    let ordered = bench.revision("h1");
    bench.applied.insert("h1", ordered);
    bench.hears_old("h1", &[("alice", 1, ObservedState::Ready)]);
    // Sent when the order was known and the container was not yet made.
    bench.hears_old("h1", &[]);
    bench.shows();
    bench.hears("h1", &[]);
    bench.shows();
    check(
        &bench,
        "
        alice asks for 1 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        h1 reports [alice#1 ready]:  routes save-server tell-h1
        h1 reports []:  tell-h1
          alice#1 running on h1
          order to h1: Keep alice#1
        h1 reports []:  save-server routes tell-h1 tell-h1
          alice#1 stopping on h1
          order to h1: Stop alice#1
    ",
    );
}

#[test]
fn after_a_failed_commit_an_older_report_proves_no_absence() {
    let mut bench = Bench::new();
    let old = bench.revision("h1");
    bench.asks("alice", 1);
    bench.stops("alice");
    let saved: Vec<_> = bench.fleet.servers.values().map(|server| (**server).clone()).collect();
    let hosts: Vec<_> = bench
        .fleet
        .hosts
        .values()
        .map(|host| {
            let mut host = (**host).clone();
            (host.heard, host.seq) = (None, 0);
            host
        })
        .collect();
    let told = bench.revision("h1");
    bench.fleet = Fleet::resume(&bench.fleet, hosts, saved);
    assert!(bench.revision("h1") > told, "numbers go on");
    bench.applied.insert("h1", old);
    bench.hears_old("h1", &[]);
    bench.applied.insert("h1", told);
    bench.hears_old("h1", &[]);
    bench.shows();
    bench.hears("h1", &[]);
    bench.shows();
    check(
        &bench,
        "
        alice asks for 1 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        alice stops:  save-server routes tell-h1 reply-StopUnderWay
        h1 reports []:  tell-h1
        h1 reports []:  tell-h1
          alice#1 stopping on h1
          order to h1: Stop alice#1
        h1 reports []:  tell-h1 routes save-server tell-h1
          alice#1 ended last: stopped.user
    ",
    );
}

#[test]
fn an_adopted_container_that_vanishes_before_it_answers_is_released() {
    let mut bench = Bench::new();
    bench.hears("h1", &[("zoe", 3, ObservedState::Running)]);
    bench.shows();
    bench.hears("h1", &[]);
    bench.hears("h1", &[]);
    bench.shows();
    check(&bench, "
        h1 reports [zoe#3 running]:  alarm(adopted server 0000000000000063 of zoe on h1, which the store did not know) save-server tell-h1
          zoe#3 starting on h1
          order to h1: Keep zoe#3
        h1 reports []:  save-server routes tell-h1 tell-h1
        h1 reports []:  tell-h1 routes save-server tell-h1
          zoe#3 ended last: stopped.crash
    ");
}

#[test]
fn a_server_that_lives_on_two_hosts_is_found() {
    let mut bench = Bench::new();
    bench.asks("alice", 1);
    bench.hears("h1", &[("alice", 1, ObservedState::Ready)]);
    bench.hears("h2", &[("alice", 1, ObservedState::Created)]);
    assert_eq!(checks::doubled(&bench.fleet), [], "one that was never started does not live");
    bench.hears("h2", &[("alice", 1, ObservedState::Running)]);
    let found = checks::doubled(&bench.fleet);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].invariant, "S1-one-container");
    assert!(found[0].found.ends_with("lives on h1 and h2"), "{}", found[0].found);
}
