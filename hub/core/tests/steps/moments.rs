//! Spans of time at their ends: the last moment at which something is so, and the first at which it
//! is not.

use berth_common::link::ObservedState;
use berth_common::{ByteCount, Reason, Seconds, Timestamp};
use berth_core::event::Row;
use berth_core::fleet::{Moved, Phase};
use berth_core::life::Evidence;
use berth_core::queue::{asked_at, place_of, waiters};
use berth_core::{Answer, Effect, Event, Outcome};

use super::bench::{Bench, GB, name};

/// A full fleet, and one who waits and looked once.
fn one_waits() -> Bench {
    let mut bench = Bench::new();
    bench.asks("a", 4);
    bench.asks("b", 4);
    bench.asks_and_looks("c", 4);
    bench
}

/// Its host reports that a server that was stopped is gone.
fn makes_room(bench: &mut Bench) {
    bench.stops("a");
    bench.hears("h1", &[]);
}

fn waits(bench: &Bench, user: &str) -> bool {
    matches!(bench.fleet.servers[&bench.id(user)].phase, Phase::Waiting { .. })
}

fn last_end(bench: &Bench, user: &str) -> Option<(Reason, String)> {
    let end = bench.fleet.servers[&bench.id(user)].last_end.clone();
    end.map(|end| (end.reason, end.detail))
}

#[test]
fn who_looked_within_a_minute_starts_at_once() {
    for (seconds, waiting) in [(60, false), (61, true)] {
        let mut bench = one_waits();
        bench.waits(seconds);
        makes_room(&mut bench);
        assert_eq!(waits(&bench, "c"), waiting, "{seconds} s after a look");
    }
}

#[test]
fn a_place_is_held_for_a_quarter_of_an_hour_and_a_wait_lasts_a_day() {
    let mut bench = one_waits();
    bench.waits(120);
    makes_room(&mut bench);
    bench.waits(899);
    bench.take(Event::Tick);
    assert!(waits(&bench, "c"));
    bench.waits(1);
    bench.take(Event::Tick);
    let detail = "Its place was held for 15m, and nobody came.".to_owned();
    assert_eq!(last_end(&bench, "c"), Some((Reason::RefusedNotClaimed, detail)));

    let mut bench = one_waits();
    bench.waits(86_399);
    bench.take(Event::Tick);
    assert!(waits(&bench, "c"));
    bench.waits(1);
    bench.take(Event::Tick);
    let detail = "It waited for 1d.".to_owned();
    assert_eq!(last_end(&bench, "c"), Some((Reason::RefusedMaxWait, detail)));
}

#[test]
fn others_pass_the_first_of_a_pool_for_a_quarter_of_an_hour() {
    for (seconds, expected) in [(899, "placed.now"), (900, "wait.order")] {
        let mut bench = Bench::new();
        bench.asks("a", 3);
        bench.asks("b", 3);
        bench.asks("first", 4);
        bench.waits(seconds);
        bench.hears("h1", &[("a", 1, ObservedState::Ready)]);
        bench.hears("h2", &[("b", 1, ObservedState::Ready)]);
        let Answer::Accepted(decision) = bench.asks("d", 1) else { panic!("d is accepted") };
        assert_eq!(decision.reason().to_string(), expected, "after {seconds} s");
        if seconds == 899 {
            // The host where the least is missing is kept; the other one is full now.
            let Answer::Accepted(decision) = bench.asks("e", 1) else { panic!("e is accepted") };
            assert_eq!(decision.reason(), Reason::WaitOrder);
        }
    }
}

#[test]
fn activity_is_saved_half_a_minute_after_the_last_that_was() {
    let mut bench = Bench::new();
    bench.asks("a", 1);
    bench.waits(10);
    let sign = Event::Activity { server: bench.id("a"), kind: Evidence::Browser, at: bench.now };
    bench.take(sign);
    let saves = |effects: Vec<Effect>| {
        effects.iter().any(|effect| matches!(effect, Effect::Save(Row::Server(_))))
    };
    bench.waits(19);
    assert!(!saves(bench.take(Event::Tick)), "29 s after the start");
    bench.waits(1);
    assert!(saves(bench.take(Event::Tick)));
    bench.waits(100);
    assert!(!saves(bench.take(Event::Tick)), "nothing is new");
}

#[test]
fn a_sign_of_later_than_now_is_of_now() {
    let mut bench = Bench::new();
    bench.asks("a", 1);
    bench.waits(5);
    let at = bench.now.plus(Seconds(100));
    let (server, kind) = (bench.id("a"), Evidence::Browser);
    bench.take(Event::Activity { server: server.clone(), kind, at });
    assert_eq!(bench.fleet.servers[&server].last_activity, bench.now);
    let before = bench.now;
    bench.waits(5);
    bench.take(Event::Activity { server: server.clone(), kind, at: Timestamp(before.0 - 1) });
    assert_eq!(bench.fleet.servers[&server].last_activity, before, "it moves only forward");
}

#[test]
fn the_floor_is_saved_once_a_minute_while_it_changes() {
    let mut bench = Bench::new();
    let saves = |bench: &mut Bench| {
        let effects = bench.take(Event::Tick);
        effects.iter().any(|effect| matches!(effect, Effect::Save(Row::Floor { .. })))
    };
    bench.waits(60);
    bench.hears("h1", &[]);
    bench.hears("h2", &[]);
    assert!(saves(&mut bench), "the hosts have come");
    bench.waits(59);
    assert!(!saves(&mut bench));
    bench.waits(1);
    assert!(saves(&mut bench), "they are lost");
    bench.waits(60);
    assert!(!saves(&mut bench), "nothing has changed");
}

#[test]
fn who_used_all_of_a_week_comes_an_hour_later_and_who_was_moved_before_or_after_all() {
    let mut bench = Bench::new();
    bench.asks("lsst-a", 4);
    bench.asks("euclid-b", 4);
    bench.waits(10_000);
    bench.hears("h1", &[("lsst-a", 1, ObservedState::Ready)]);
    bench.hears("h2", &[("euclid-b", 1, ObservedState::Ready)]);
    for user in ["lsst-c", "euclid-d", "theory-e"] {
        bench.asks(user, 4);
    }
    let turns = |bench: &Bench| -> Vec<(String, i64)> {
        let all = waiters(&bench.fleet, bench.now).into_iter();
        let since = bench.now.0;
        all.map(|it| (it.server.owner.to_string(), (it.turn.0.0 - since) / 1_000_000)).collect()
    };
    let turn = |user: &str, seconds| (user.to_owned(), seconds);
    let places = |bench: &Bench| {
        let place = |user| {
            let server = &bench.fleet.servers[&bench.id(user)];
            place_of(&bench.fleet, server, bench.now)
        };
        ["lsst-c", "euclid-d", "theory-e", "lsst-a"].map(place)
    };
    // Each of two groups used half of all.
    let own = [turn("theory-e", 0), turn("lsst-c", 1800), turn("euclid-d", 1800)];
    assert_eq!(turns(&bench), own);
    assert_eq!(places(&bench), [Some(2), Some(3), Some(1), None]);
    let ten_years = 10 * 365 * 86_400;
    for (user, to) in [("euclid-d", Moved::First), ("theory-e", Moved::Last)] {
        bench.take(Event::Move { server: bench.id(user), to, reply: None });
    }
    let moved =
        [turn("euclid-d", 1800 - ten_years), turn("lsst-c", 1800), turn("theory-e", ten_years)];
    assert_eq!(turns(&bench), moved);
    assert_eq!(places(&bench), [Some(2), Some(1), Some(3), None]);
}

#[test]
fn who_gave_a_gpu_back_keeps_that_turn_as_long_as_a_request_may_wait() {
    let mut bench = Bench::new();
    bench.asks("a", 1);
    let id = bench.id("a");
    let given = Timestamp(50_000_000);
    let server = bench.fleet.servers.get_mut(&id).unwrap();
    std::sync::Arc::make_mut(server).gpu_turn = Some(given);
    let counts_as = |gpus, since| asked_at(&bench.fleet, &name("a"), gpus, since);
    let last = given.plus(Seconds(86_400));
    assert_eq!(counts_as(1, last), given);
    assert_eq!(counts_as(1, Timestamp(last.0 + 1)), Timestamp(last.0 + 1));
    assert_eq!(counts_as(0, last), last, "for a GPU only");
    assert_eq!(counts_as(1, Timestamp(40_000_000)), Timestamp(40_000_000), "never later");
    assert_eq!(asked_at(&bench.fleet, &name("b"), 1, last), last, "nobody else's");
}

#[test]
fn never_is_said_in_the_words_of_the_request() {
    let mut bench = Bench::new();
    let Answer::Refused(decision) = bench.asks("a", 8) else { panic!("it is refused") };
    let Outcome::Refused { reason, detail } = &decision.outcome else { panic!("it is refused") };
    assert_eq!(*reason, Reason::RefusedNeverFits);
    assert_eq!(detail, "No host of the pool cpu can ever give 8 GB to one server.");
    assert_eq!(decision.ask.memory, ByteCount(8 * GB));
}

#[test]
fn how_long_a_server_stays_is_asked_in_whole_minutes_and_while_a_host_is_emptied_only() {
    let mut bench = Bench::new();
    let stays_until = |bench: &mut Bench, user| {
        let Answer::Accepted(decision) = bench.asks(user, 1) else { panic!("{user} is placed") };
        decision.inputs.need.as_ref().unwrap().stays_until
    };
    assert_eq!(stays_until(&mut bench, "a"), None);
    bench.drains("h2", 7_200);
    bench.waits(10);
    assert_eq!(stays_until(&mut bench, "b"), Some(Timestamp(86_400_000_000)), "10 s less");
}
