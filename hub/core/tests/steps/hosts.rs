//! Hosts that are emptied, fall silent, boot, or whose engine hangs.

use berth_common::link::{ObservedState, Pending};
use berth_common::{Generation, Seconds};
use berth_core::Event;

use super::bench::{Bench, check};

#[test]
fn a_host_is_emptied_at_its_deadline_also_by_a_hub_that_was_killed() {
    let mut bench = Bench::new();
    bench.asks("a", 2);
    bench.hears("h1", &[("a", 1, ObservedState::Ready)]);
    bench.drains("h1", 3_600);
    bench.asks("b", 2);
    bench.say("the hub is killed");
    bench.take(Event::Tick);
    bench.reborn();
    bench.waits(3_601);
    bench.hears("h1", &[("a", 1, ObservedState::Ready)]);
    bench.hears("h2", &[]);
    bench.say("the deadline");
    bench.take(Event::Tick);
    bench.hears("h1", &[]);
    bench.shows();
    check(
        &bench,
        "
        a asks for 2 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        h1 reports [a#1 ready]:  routes save-server tell-h1
        h1 is to be empty in 3600 s:  save-host
        b asks for 2 GB:  save-decision(placed.now) save-server tell-h2 reply-accepted(h2)
        the hub is killed:  save-host
        h1 reports [a#1 ready]:  tell-h1
        h2 reports []:  tell-h2
        the deadline:  save-server routes tell-h1 save-host
        h1 reports []:  tell-h1 routes save-server tell-h1
          a#1 ended last: stopped.drain
          b#1 starting on h2
          order to h2: Run b#1
    ",
    );
}

#[test]
fn silence_frees_nothing_and_another_boot_frees_what_had_begun() {
    let mut bench = Bench::new();
    bench.asks("alice", 1);
    bench.hears("h1", &[("alice", 1, ObservedState::Ready)]);
    bench.asks("bob", 1);
    bench.now = bench.now.plus(Seconds(16));
    bench.say("sixteen seconds of silence");
    bench.take(Event::Tick);
    bench.asks("carol", 1);
    bench.shows();
    bench.boot.insert("h1", "boot-c");
    bench.hears("h1", &[]);
    bench.shows();
    check(&bench, "
        alice asks for 1 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        h1 reports [alice#1 ready]:  routes save-server tell-h1
        bob asks for 1 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        sixteen seconds of silence:
        carol asks for 1 GB:  save-decision(wait.host.none_ready) save-server reply-accepted(waits wait.host.none_ready, 0 ahead)
          alice#1 unreachable on h1
          bob#1 unreachable on h1
          carol#0 waiting
          order to h1: Keep alice#1
          order to h1: Run bob#1
        h1 reports []:  save-host save-server routes tell-h1 tell-h1 routes save-server tell-h1 save-decision(placed.from_queue) save-server tell-h1
          alice#1 ended last: stopped.host_lost
          bob#1 starting on h1
          carol#1 starting on h1
          order to h1: Run bob#1
          order to h1: Run carol#1
    ");
}

#[test]
fn an_engine_that_does_not_answer_says_nothing_about_containers() {
    let mut bench = Bench::new();
    bench.asks("alice", 1);
    bench.hears("h1", &[("alice", 1, ObservedState::Ready)]);
    bench.stops("alice");
    let revision = bench.revision("h1");
    bench.applied.insert("h1", revision);
    bench.say("h1 cannot reach its engine");
    bench.report("h1", Err("no docker".into()), Vec::new());
    bench.shows();
    bench.say("a removal is pending");
    let server = bench.id("alice");
    bench.report(
        "h1",
        Ok(Vec::new()),
        vec![Pending { server, generation: Generation(1), operation: "remove", percent: None }],
    );
    bench.hears("h1", &[]);
    bench.shows();
    check(
        &bench,
        "
        alice asks for 1 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        h1 reports [alice#1 ready]:  routes save-server tell-h1
        alice stops:  save-server routes tell-h1 reply-StopUnderWay
        h1 cannot reach its engine:  tell-h1
          alice#1 stopping on h1
          order to h1: Stop alice#1
        a removal is pending:  tell-h1
        h1 reports []:  tell-h1 routes save-server tell-h1
          alice#1 ended last: stopped.user
    ",
    );
}
