//! Other memory limits for servers that run, and processes killed for want of memory, with the core
//! as a black box.
use std::sync::Arc;

use berth_common::link::{Ending, Kill, ResizeRefused, Victim};
use berth_common::{ByteCount, Epoch, Generation, Reason, Revision, Seconds, ServerId, Timestamp};
use berth_core::event::Row;
use berth_core::fleet::{Intent, Order, ResizeState};
use berth_core::settings::Metered;
use berth_core::usage::Usage as Used;
use berth_core::{Answer, Effect, Event, Fleet};

use self::bench::{Bench, gb, settings};

mod bench;
mod loans;

const GB: u64 = 1 << 30;

#[test]
fn growth_is_reserved_before_the_host_hears_of_it() {
    let mut bench = Bench::new();
    let id = bench.runs("alice", 2);
    assert_eq!(bench.told(&id), None);
    let effects = {
        bench.asks(&id, 8).unwrap();
        bench.reserved(&id)
    };
    assert_eq!(effects, gb(8));
    assert_eq!(bench.told(&id), Some((gb(8), 1)));
    assert_eq!(bench.state(&id), ResizeState::UnderWay);
    bench.applies();
    bench.reports();
    assert_eq!(bench.state(&id), ResizeState::UnderWay, "taken over is not carried out");
    bench.carries_out(&id);
    bench.reports();
    assert_eq!(bench.state(&id), ResizeState::Done);
    assert_eq!(bench.told(&id), Some((gb(8), 1)), "told for as long as it runs");
    assert_eq!(bench.fleet.servers[&id].ask.memory, gb(8), "the next start repeats it");
    bench.asks(&id, 8).unwrap();
    assert_eq!(bench.told(&id), Some((gb(8), 1)), "what it has already changes nothing");
}

#[test]
fn the_order_is_saved_before_anybody_hears_of_it() {
    let mut bench = Bench::new();
    let id = bench.runs("alice", 2);
    let event = Event::Resize { server: id.clone(), memory: gb(4), reply: Some(1) };
    let effects = bench.take(event);
    let saved = effects.iter().any(|effect| match effect {
        Effect::Save(Row::Server(server)) => {
            let placement = server.placement().unwrap();
            placement.limit() == gb(4) && placement.reservation.memory == gb(4)
        }
        _ => false,
    });
    assert!(saved && effects.iter().any(|effect| matches!(effect, Effect::Tell(_))), "{effects:?}");
}

#[test]
fn what_shrinks_is_free_once_a_report_of_this_order_shows_it() {
    let mut bench = Bench::new();
    let id = bench.runs("alice", 8);
    bench.asks(&id, 2).unwrap();
    assert_eq!((bench.reserved(&id), bench.told(&id)), (gb(8), Some((gb(2), 1))));
    // A limit that looks right in a report from before the order proves nothing.
    bench.containers.get_mut(&id).unwrap().limit = Some(gb(2));
    bench.reports();
    assert_eq!(bench.reserved(&id), gb(8));
    bench.applies();
    bench.containers.get_mut(&id).unwrap().limit = None;
    bench.reports();
    assert_eq!(bench.reserved(&id), gb(8), "unknown is not smaller");
    bench.carries_out(&id);
    bench.reports();
    assert_eq!((bench.reserved(&id), bench.state(&id)), (gb(2), ResizeState::Done));
}

#[test]
fn what_shrinks_lets_the_first_of_the_queue_in() {
    let mut bench = Bench::new();
    let id = bench.runs("alice", 12);
    let bob = bench.starts("bob", 8);
    assert!(bench.fleet.servers[&bob].placement().is_none());
    bench.asks(&id, 4).unwrap();
    assert!(bench.fleet.servers[&bob].placement().is_none(), "not before it is proven");
    bench.carries_out(&id);
    bench.reports();
    assert!(bench.fleet.servers[&bob].placement().is_some());
}

#[test]
fn a_hosts_refusal_brings_back_what_was_before() {
    for (before, asked) in [(4, 8), (8, 4)] {
        let mut bench = Bench::new();
        let id = bench.runs("alice", before);
        bench.asks(&id, asked).unwrap();
        bench.applies();
        let ending = Ending { reason: Reason::RefusedInUse, detail: "It uses 6 GB now.".into() };
        let refused = ResizeRefused { number: 1, ending };
        bench.containers.get_mut(&id).unwrap().resize_refused = Some(refused);
        bench.reports();
        assert_eq!(bench.told(&id), Some((gb(before), 2)), "under a number of its own");
        assert_eq!(bench.fleet.servers[&id].ask.memory, gb(before));
        let ResizeState::Refused { end } = bench.state(&id) else { panic!("not refused") };
        assert_eq!((end.reason, end.detail.as_str()), (Reason::RefusedInUse, "It uses 6 GB now."));
        assert_eq!(bench.reserved(&id), gb(8), "until the host has shown that nothing changed");
        bench.reports();
        assert_eq!(bench.reserved(&id), gb(8));
        bench.applies();
        bench.reports();
        assert_eq!(bench.reserved(&id), gb(before));
        // Another order is another number; the old refusal says nothing about it.
        bench.asks(&id, asked).unwrap();
        bench.applies();
        bench.reports();
        assert_eq!(
            (bench.told(&id), bench.state(&id)),
            (Some((gb(asked), 3)), ResizeState::UnderWay)
        );
    }
}

#[test]
fn refusals_say_why_and_what_would_work() {
    let mut bench = Bench::new();
    let id = bench.runs("alice", 2);

    let (reason, detail, nearest) = bench.refused(&id, 13);
    assert_eq!((reason, nearest), (Reason::RefusedTooBig, Some(gb(12))));
    assert_eq!(detail, "You asked for 13 GB; profile cpu gives 12 GB at most.");

    let bob = bench.runs("bob", 6);
    let (reason, detail, nearest) = bench.refused(&id, 12);
    assert_eq!((reason, nearest), (Reason::RefusedNoRoom, Some(gb(10))));
    assert_eq!(detail, "h1 has no room for 12 GB: limits on h1 would be 18 GB of 16 GB.");

    bench.containers.get_mut(&bob).unwrap().memory_used = gb(4);
    bench.reports();
    let (reason, detail, nearest) = bench.refused(&bob, 3);
    assert_eq!((reason, nearest), (Reason::RefusedInUse, Some(ByteCount(4506 << 20))));
    assert_eq!(detail, "It uses 4 GB now. Ask for 4.4 GB or more.");

    bench.asks(&id, 4).unwrap();
    let (reason, detail, nearest) = bench.refused(&id, 6);
    assert_eq!((reason, nearest), (Reason::RefusedResizing, None));
    assert_eq!(detail, "It is being given 4 GB already.");

    let waiting = bench.starts("carol", 12);
    assert_eq!(bench.refused(&waiting, 4).0, Reason::RefusedNotRunning);
    bench.take(Event::Stop { server: bob.clone(), reason: Reason::StoppedUser, reply: None });
    assert_eq!(bench.refused(&bob, 4).0, Reason::RefusedNotRunning);

    let none = ServerId::from_random(99);
    let effects = bench.take(Event::Resize { server: none, memory: gb(1), reply: Some(1) });
    assert!(matches!(effects[..], [.., Effect::Reply(1, Answer::NoSuchServer)]), "{effects:?}");
}

#[test]
fn quota_counts_what_the_persons_other_servers_hold() {
    let mut bench = Bench::new();
    let id = bench.runs("alice", 2);
    let mut quotas = settings();
    quotas.quotas.default.memory = Some(gb(5));
    bench.take(Event::SettingsChanged(Arc::new(quotas)));
    let (reason, detail, nearest) = bench.refused(&id, 8);
    assert_eq!((reason, nearest), (Reason::RefusedMemory, Some(gb(5))));
    assert_eq!(detail, "You asked for 8 GB; your other servers leave 5 GB of your limit.");
    // What is being freed counts until it is.
    bench.asks(&id, 4).unwrap();
    bench.carries_out(&id);
    bench.reports();
    bench.asks(&id, 2).unwrap();
    assert_eq!(bench.reserved(&id), gb(4));
}

#[test]
fn what_is_kept_for_the_first_of_the_queue_is_not_taken_by_growth() {
    let mut bench = Bench::new();
    let id = bench.runs("alice", 6);
    let bob = bench.starts("bob", 12);
    assert!(bench.fleet.servers[&bob].placement().is_none());
    let (reason, detail, nearest) = bench.refused(&id, 8);
    assert_eq!((reason, nearest), (Reason::WaitOrder, None));
    assert_eq!(detail, "What is left on h1 is kept for who waits first.");
    bench.asks(&id, 2).unwrap();
}

#[test]
fn a_host_that_takes_nothing_new_still_lets_its_servers_grow_and_a_silent_one_does_not() {
    let mut bench = Bench::new();
    let id = bench.runs("alice", 2);
    let order = Order { reason: "kernel".into(), who: "erin".into(), at: bench.now };
    let host = "h1".parse().unwrap();
    bench.take(Event::Intend { host, intent: Intent::Cordoned(order), reply: None });
    bench.asks(&id, 4).unwrap();
    bench.carries_out(&id);
    bench.reports();
    bench.waits(60);
    bench.take(Event::Tick);
    let (reason, detail, _) = bench.refused(&id, 8);
    assert_eq!((reason, detail.as_str()), (Reason::HostLost, "h1 does not report."));
}

#[test]
fn a_restart_of_the_hub_goes_on_with_what_was_ordered() {
    let mut bench = Bench::new();
    let id = bench.runs("alice", 8);
    bench.asks(&id, 4).unwrap();
    bench.carries_out(&id);
    // The proof reaches the next hub only: a report that has applied a set of the former reign.
    let texts: Vec<_> =
        bench.fleet.servers.values().map(|it| serde_json::to_string(&**it).unwrap()).collect();
    let hosts: Vec<_> = bench.fleet.hosts.values().map(|host| (**host).clone()).collect();
    let servers = texts.iter().map(|text| serde_json::from_str(text).unwrap());
    bench.fleet = Fleet::restore(Epoch(2), Arc::new(settings()), hosts, servers);
    bench.reports();
    assert_eq!(bench.told(&id), Some((gb(4), 1)));
    assert_eq!(bench.reserved(&id), gb(8));
    bench.applies();
    bench.reports();
    assert_eq!((bench.reserved(&id), bench.state(&id)), (gb(4), ResizeState::Done));
}

#[test]
fn an_adopted_server_reserves_the_limit_that_it_has() {
    let mut bench = Bench::new();
    let id = bench.runs("alice", 2);
    bench.asks(&id, 8).unwrap();
    bench.carries_out(&id);
    bench.fleet = Fleet::restore(Epoch(2), Arc::new(settings()), [], []);
    bench.applied = Revision::default();
    bench.reports();
    assert_eq!(bench.reserved(&id), gb(8), "its label says 2 GB");
}

#[test]
fn hours_are_booked_at_the_size_that_was_held() {
    let mut bench = Bench::new();
    let id = bench.runs("alice", 2);
    let hour = |bench: &mut Bench| {
        for _ in 0..360 {
            bench.waits(10);
            bench.reports();
        }
    };
    hour(&mut bench);
    bench.asks(&id, 4).unwrap();
    bench.carries_out(&id);
    bench.reports();
    hour(&mut bench);
    let alice = "alice".parse().unwrap();
    let used = Used::of_person(&bench.fleet, &alice, Seconds(86_400), bench.now);
    assert_eq!(used.hours(Metered::GibHours), 2 + 4);
}

#[test]
fn a_kill_is_kept_once_and_forgotten_at_the_next_start() {
    let mut bench = Bench::new();
    let id = bench.runs("alice", 2);
    let kill = |number: u64, notebook: &str| Kill {
        number,
        at: Timestamp::from_millis(5),
        victim: Some(Victim {
            name: "python3".into(),
            notebook: notebook.into(),
            ..Victim::default()
        }),
        highest: gb(2),
        limit: gb(2),
        by_host: false,
    };
    bench.containers.get_mut(&id).unwrap().kills = vec![kill(1, "fit.ipynb")];
    let effects = bench.reports();
    let told = effects.iter().find_map(|effect| match effect {
        Effect::Alarm(text) => Some(text.clone()),
        _ => None,
    });
    assert_eq!(
        told.unwrap(),
        format!(
            "out of memory, server {id} of alice: python3 (notebook fit.ipynb) was killed: \
             the server had used all its 2 GB of memory (seen: 2 GB)"
        )
    );
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Save(Row::Server(_)))));
    let effects = bench.reports();
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Alarm(_))), "told once");
    bench.containers.get_mut(&id).unwrap().kills = (2..=8).map(|n| kill(n, "b.ipynb")).collect();
    bench.reports();
    let numbers: Vec<_> = bench.fleet.servers[&id].kills.iter().map(|kill| kill.number).collect();
    assert_eq!(numbers, [4, 5, 6, 7, 8], "the newest");

    bench.take(Event::Stop { server: id.clone(), reason: Reason::StoppedUser, reply: None });
    bench.applies();
    bench.containers.clear();
    bench.reports();
    assert_eq!(bench.fleet.servers[&id].kills.len(), 5, "kept while it rests");
    bench.starts("alice", 2);
    assert_eq!(bench.fleet.servers[&id].kills, []);
    assert_eq!(bench.fleet.servers[&id].generation, Generation(2));
}

#[test]
fn a_peak_between_two_reports_counts() {
    let mut bench = Bench::new();
    let id = bench.runs("alice", 8);
    bench.containers.get_mut(&id).unwrap().usage.memory_lately = gb(6);
    bench.reports();
    let member = bench.fleet.servers[&id].member(bench.now, gb(8));
    assert_eq!((member.used, member.lately, member.peak), (ByteCount(GB / 2), gb(6), gb(6)));
}
