//! Starts, and what a refusal says.

use berth_common::link::ObservedState;
use berth_core::Answer;

use super::bench::{Bench, check};

#[test]
fn a_double_click_is_one_start_and_stop_frees_only_on_evidence() {
    let mut bench = Bench::new();
    bench.asks("alice", 1);
    bench.asks("alice", 1);
    bench.hears("h1", &[("alice", 1, ObservedState::Created)]);
    bench.hears("h1", &[("alice", 1, ObservedState::Ready)]);
    bench.asks("alice", 1);
    bench.shows();
    bench.stops("alice");
    bench.asks("alice", 1);
    bench.hears_old("h1", &[]);
    bench.hears("h1", &[]);
    bench.shows();
    check(
        &bench,
        "
        alice asks for 1 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        alice asks for 1 GB:  reply-AlreadyPending
        h1 reports [alice#1 created]:  tell-h1
        h1 reports [alice#1 ready]:  routes save-server tell-h1
        alice asks for 1 GB:  reply-AlreadyRunning
          alice#1 running on h1
          order to h1: Keep alice#1
        alice stops:  save-server routes tell-h1 reply-StopUnderWay
        alice asks for 1 GB:  reply-Stopping
        h1 reports []:  tell-h1
        h1 reports []:  tell-h1 routes save-server tell-h1
          alice#1 ended last: stopped.user
    ",
    );
}

#[test]
fn a_refusal_names_its_rule_its_line_and_what_would_work() {
    let mut bench = Bench::new();
    bench.asks("a", 4);
    let Answer::Accepted(decision) = bench.asks("b", 4) else { panic!("b is placed") };
    assert_eq!(decision.sentence(), "Placed on h2: the only host with room.");
    bench.stops("b");
    bench.hears("h2", &[]);
    bench.asks("c", 2);
    let Answer::Accepted(decision) = bench.asks("d", 4) else { panic!("d waits") };
    assert_eq!(
        decision.sentence(),
        "Waits in place 1: All memory is promised to running servers. A server with 2 GB would start now."
    );
    let Answer::Refused(decision) = bench.asks("e", 9) else { panic!("e is refused") };
    let rule = decision.rules.iter().find(|rule| !rule.passed).expect("a rule");
    assert_eq!(rule.text, "9 GB of at most 8 GB in this profile");
    assert_eq!(rule.cite.as_ref().expect("a line").to_string(), "profiles.toml:3");
    assert_eq!(
        decision.sentence(),
        "You asked for 9 GB; profile cpu gives 8 GB at most. Ask for 8 GB or less."
    );
}

#[test]
fn before_a_host_has_reported_a_request_waits_for_it() {
    let mut bench = Bench::silent();
    bench.asks("a", 4);
    bench.asks("b", 5);
    bench.hears("h1", &[]);
    check(&bench, "
        a asks for 4 GB:  save-decision(wait.host.none_ready) save-server reply-accepted(waits wait.host.none_ready, 0 ahead)
        b asks for 5 GB:  save-decision(refused.never_fits) reply-refused(refused.never_fits)
        h1 reports []:  save-host tell-h1 save-decision(placed.from_queue) save-server tell-h1
    ");
}
