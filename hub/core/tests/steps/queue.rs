//! Who waits, who comes next, and places that are held.

use berth_common::Seconds;
use berth_common::link::ObservedState;
use berth_core::{Event, Phase};

use super::bench::{Bench, check};

#[test]
fn a_full_fleet_queues_in_order_and_the_first_holds_its_place() {
    let mut bench = Bench::new();
    bench.asks("a", 4);
    bench.asks("b", 3);
    bench.asks("c", 2);
    bench.asks("d", 1);
    bench.asks("e", 5);
    bench.stops("a");
    bench.hears("h1", &[]);
    bench.shows();
    check(&bench, "
        a asks for 4 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        b asks for 3 GB:  save-decision(placed.now) save-server tell-h2 reply-accepted(h2)
        c asks for 2 GB:  save-decision(wait.memory.reserved) save-server reply-accepted(waits wait.memory.reserved, 0 ahead)
        d asks for 1 GB:  save-decision(wait.order) save-server reply-accepted(waits wait.order, 1 ahead)
        e asks for 5 GB:  save-decision(refused.never_fits) reply-refused(refused.never_fits)
        a stops:  save-server routes tell-h1 reply-StopUnderWay
        h1 reports []:  tell-h1 routes save-server tell-h1 save-decision(placed.from_queue) save-server tell-h1 save-decision(placed.from_queue) save-server tell-h1
          a#1 ended last: stopped.user
          b#1 starting on h2
          c#1 starting on h1
          d#1 starting on h1
          order to h1: Run c#1
          order to h1: Run d#1
          order to h2: Run b#1
    ");
}

#[test]
fn a_place_is_held_for_a_person_who_looks_away_and_passed_on_when_nobody_comes() {
    let mut bench = Bench::new();
    bench.asks("a", 4);
    bench.asks("b", 4);
    bench.asks_and_looks("c", 4);
    bench.asks("d", 4);
    bench.waits(120);
    bench.hears("h1", &[("a", 1, ObservedState::Ready)]);
    bench.hears("h2", &[("b", 1, ObservedState::Ready)]);
    bench.stops("a");
    bench.hears("h1", &[]);
    bench.shows();
    bench.asks_and_looks("c", 4);
    bench.stops("b");
    bench.hears("h2", &[]);
    check(&bench, "
        a asks for 4 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        b asks for 4 GB:  save-decision(placed.now) save-server tell-h2 reply-accepted(h2)
        c asks for 4 GB:  save-decision(wait.memory.reserved) save-server reply-accepted(waits wait.memory.reserved, 0 ahead)
        d asks for 4 GB:  save-decision(wait.memory.reserved) save-server reply-accepted(waits wait.memory.reserved, 1 ahead)
        h1 reports [a#1 ready]:  routes save-server tell-h1
        h2 reports [b#1 ready]:  routes save-server tell-h2
        a stops:  save-server routes tell-h1 reply-StopUnderWay
        h1 reports []:  tell-h1 routes save-server tell-h1 save-decision(placed.from_queue) save-server
          a#1 ended last: stopped.user
          b#1 running on h2
          c#0 waiting
          d#0 waiting
          order to h2: Keep b#1
        c asks for 4 GB:  save-server tell-h1 reply-AlreadyPending
        b stops:  save-server routes tell-h2 reply-StopUnderWay
        h2 reports []:  tell-h2 routes save-server tell-h2 save-decision(placed.from_queue) save-server tell-h2
    ");
}

#[test]
fn a_group_that_used_less_goes_first() {
    let mut bench = Bench::new();
    bench.asks("lsst-a", 4);
    bench.asks("lsst-b", 4);
    bench.waits(120);
    bench.hears("h1", &[("lsst-a", 1, ObservedState::Ready)]);
    bench.hears("h2", &[("lsst-b", 1, ObservedState::Ready)]);
    bench.asks("lsst-c", 4);
    bench.waits(5);
    bench.asks("euclid-d", 4);
    bench.stops("lsst-a");
    bench.hears("h1", &[]);
    bench.shows();
    check(&bench, "
        lsst-a asks for 4 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        lsst-b asks for 4 GB:  save-decision(placed.now) save-server tell-h2 reply-accepted(h2)
        h1 reports [lsst-a#1 ready]:  routes save-server tell-h1
        h2 reports [lsst-b#1 ready]:  routes save-server tell-h2
        lsst-c asks for 4 GB:  save-decision(wait.memory.reserved) save-server reply-accepted(waits wait.memory.reserved, 0 ahead)
        euclid-d asks for 4 GB:  save-decision(wait.memory.reserved) save-server reply-accepted(waits wait.memory.reserved, 0 ahead)
        lsst-a stops:  save-server routes tell-h1 reply-StopUnderWay
        h1 reports []:  tell-h1 routes save-server tell-h1 save-decision(placed.from_queue) save-server tell-h1
          lsst-a#1 ended last: stopped.user
          lsst-b#1 running on h2
          lsst-c#0 waiting
          euclid-d#1 starting on h1
          order to h1: Run euclid-d#1
          order to h2: Keep lsst-b#1
    ");
}

#[test]
fn a_place_that_nobody_claims_goes_to_the_next() {
    let mut bench = Bench::new();
    bench.asks("a", 4);
    bench.asks("b", 4);
    bench.asks_and_looks("c", 4);
    bench.asks("d", 4);
    bench.waits(120);
    bench.stops("a");
    bench.hears("h1", &[]);
    bench.waits(901);
    bench.hears("h1", &[]);
    bench.say("a quarter of an hour later");
    bench.take(Event::Tick);
    bench.shows();
    check(&bench, "
        a asks for 4 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        b asks for 4 GB:  save-decision(placed.now) save-server tell-h2 reply-accepted(h2)
        c asks for 4 GB:  save-decision(wait.memory.reserved) save-server reply-accepted(waits wait.memory.reserved, 0 ahead)
        d asks for 4 GB:  save-decision(wait.memory.reserved) save-server reply-accepted(waits wait.memory.reserved, 1 ahead)
        a stops:  save-server routes tell-h1 reply-StopUnderWay
        h1 reports []:  tell-h1 routes save-server tell-h1 save-decision(placed.from_queue) save-server
        h1 reports []:  tell-h1
        a quarter of an hour later:  save-server save-decision(placed.from_queue) save-server tell-h1
          a#1 ended last: stopped.user
          b#1 unreachable on h2
          c#0 ended last: refused.queue.not_claimed
          d#1 starting on h1
          order to h1: Run d#1
          order to h2: Run b#1
    ");
}

#[test]
fn the_mail_about_a_held_place_is_noted_once_and_for_that_place_only() {
    let mut bench = Bench::new();
    bench.asks("a", 4);
    bench.asks("b", 4);
    bench.asks_and_looks("c", 4);
    bench.waits(120);
    bench.stops("a");
    bench.hears("h1", &[]);
    let server = bench.fleet.servers[&bench.id("c")].clone();
    let Phase::Waiting { place: Some(place), .. } = &server.phase else {
        panic!("no place is held: {:?}", server.phase)
    };
    let told = |told_at| Event::Mailed {
        server: server.id.clone(),
        generation: server.generation,
        told_at,
    };
    bench.say("a mail about another place");
    bench.take(told(place.until.plus(Seconds(1))));
    bench.say("the mail about this one");
    bench.take(told(place.until));
    bench.say("the same again");
    bench.take(told(place.until));
    check(&bench, "
        a asks for 4 GB:  save-decision(placed.now) save-server tell-h1 reply-accepted(h1)
        b asks for 4 GB:  save-decision(placed.now) save-server tell-h2 reply-accepted(h2)
        c asks for 4 GB:  save-decision(wait.memory.reserved) save-server reply-accepted(waits wait.memory.reserved, 0 ahead)
        a stops:  save-server routes tell-h1 reply-StopUnderWay
        h1 reports []:  tell-h1 routes save-server tell-h1 save-decision(placed.from_queue) save-server
        a mail about another place:
        the mail about this one:  save-server
        the same again:
    ");
}
