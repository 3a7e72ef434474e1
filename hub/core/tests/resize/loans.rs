//! Memory that is lent to a server that is about to run out.

use std::sync::Arc;

use berth_common::link::{Ending, ResizeRefused};
use berth_common::{ByteCount, Reason, Seconds, ServerId};
use berth_core::fleet::{Fleet, Loan, ResizeState};
use berth_core::settings::{Rescue, Settings};
use berth_core::{Effect, Event};

use super::bench::{Bench, gb, settings};

const HALF_HOUR: u64 = 1_800;

fn lending() -> Settings {
    let mut settings = settings();
    settings.lifecycle.memory.rescue = Some(Rescue {
        at_milli: 950,
        lend: gb(2),
        during: Seconds(HALF_HOUR),
        only_if_host_free: gb(6),
    });
    settings
}

/// A site that lends, and alice's server of 4 GB.
fn site() -> (Bench, ServerId) {
    let mut bench = Bench::new();
    bench.take(Event::SettingsChanged(Arc::new(lending())));
    let alice = bench.runs("alice", 4);
    (bench, alice)
}

impl Bench {
    /// The host shows this use, in MiB.
    fn uses(&mut self, server: &ServerId, mebibytes: u64) -> Vec<Effect> {
        self.containers.get_mut(server).unwrap().memory_used = ByteCount(mebibytes << 20);
        self.reports()
    }

    fn loan(&self, server: &ServerId) -> Option<&Loan> {
        self.placement(server).loan()
    }

    /// The host has done what it was told, and says so.
    fn does_it(&mut self, server: &ServerId) {
        self.carries_out(server);
        self.reports();
        assert_eq!(self.state(server), ResizeState::Done);
    }
}

#[test]
fn a_server_at_95_percent_is_lent_memory_and_gives_it_back() {
    let (mut bench, alice) = site();
    bench.uses(&alice, 3_890);
    assert_eq!((bench.loan(&alice), bench.told(&alice)), (None, None), "not yet");
    let effects = bench.uses(&alice, 3_892);
    assert_eq!(bench.told(&alice), Some((gb(6), 1)));
    assert_eq!(bench.reserved(&alice), gb(6), "placement counts it before the host hears of it");
    assert_eq!(bench.fleet.servers[&alice].ask.memory, gb(4), "nobody has asked for more");
    let loan = bench.loan(&alice).unwrap().clone();
    assert_eq!((loan.own, loan.until), (gb(4), bench.now.plus(Seconds(HALF_HOUR))));
    assert!(loan.sentence().starts_with("It had nearly used up its 4 GB of memory, so its host "));
    let told = |effect: &Effect| matches!(effect, Effect::Alarm(text) if text.contains("lent"));
    assert!(effects.iter().any(told));
    bench.does_it(&alice);

    // Its time is over, but it is in use: taking it would kill somebody's work.
    bench.waits(HALF_HOUR);
    bench.uses(&alice, 3_892);
    assert_eq!(bench.told(&alice), Some((gb(6), 1)));
    bench.uses(&alice, 2_000);
    assert_eq!(bench.told(&alice), Some((gb(4), 2)));
    assert_eq!(bench.reserved(&alice), gb(6), "until the host shows it");
    bench.does_it(&alice);
    assert_eq!((bench.reserved(&alice), bench.loan(&alice)), (gb(4), None));

    // Not again at once: one loan after the other would be a gift.
    bench.uses(&alice, 3_950);
    assert_eq!(bench.loan(&alice), None);
    bench.waits(HALF_HOUR);
    bench.uses(&alice, 3_950);
    assert_eq!(bench.told(&alice), Some((gb(6), 3)));
}

#[test]
fn nothing_is_lent_where_the_site_or_the_host_has_nothing_to_lend() {
    let mut bench = Bench::new();
    let alice = bench.runs("alice", 4);
    bench.uses(&alice, 4_000);
    assert_eq!(bench.loan(&alice), None, "the site does not lend");

    bench.take(Event::SettingsChanged(Arc::new(lending())));
    bench.free = gb(5);
    bench.uses(&alice, 4_000);
    assert_eq!(bench.loan(&alice), None, "the host has too little free");

    // Others were promised what is left.
    let mut much = lending();
    much.lifecycle.memory.rescue.as_mut().unwrap().lend = gb(8);
    let mut bench = Bench::new();
    bench.take(Event::SettingsChanged(Arc::new(much)));
    let alice = bench.runs("alice", 4);
    let bob = bench.runs("bob", 6);
    bench.uses(&alice, 4_000);
    assert_eq!(bench.loan(&alice), None, "the host has no room");
    bench.take(Event::Stop { server: bob.clone(), reason: Reason::StoppedUser, reply: None });
    bench.containers.remove(&bob);
    bench.applies();
    bench.reports();
    bench.uses(&alice, 4_000);
    assert!(bench.loan(&alice).is_some());
}

#[test]
fn a_host_that_does_not_lend_is_not_asked_over_and_over() {
    let (mut bench, alice) = site();
    bench.uses(&alice, 4_000);
    bench.applies();
    let ending = Ending { reason: Reason::FailedPolicy, detail: "this host lends none".into() };
    bench.containers.get_mut(&alice).unwrap().resize_refused =
        Some(ResizeRefused { number: 1, ending });
    bench.reports();
    assert_eq!(bench.loan(&alice), None);
    assert_eq!(bench.told(&alice), Some((gb(4), 2)), "what was before, under a new number");
    bench.applies();
    bench.reports();
    assert_eq!(bench.reserved(&alice), gb(4), "and nothing is held for it");
    bench.waits(60);
    bench.reports();
    assert_eq!((bench.loan(&alice), bench.told(&alice)), (None, Some((gb(4), 2))));
}

#[test]
fn what_the_owner_asks_for_meanwhile_is_the_owners_own() {
    let (mut bench, alice) = site();
    bench.uses(&alice, 4_000);
    bench.does_it(&alice);
    // The profile's rules are asked, although the limit is as large already.
    bench.asks(&alice, 6).unwrap();
    assert_eq!(bench.fleet.servers[&alice].ask.memory, gb(6));
    bench.does_it(&alice);
    assert_eq!(bench.loan(&alice), None);
    bench.waits(HALF_HOUR);
    bench.uses(&alice, 100);
    assert_eq!((bench.told(&alice).unwrap().0, bench.reserved(&alice)), (gb(6), gb(6)));
}

#[test]
fn a_hub_that_dies_takes_its_loans_back_afterwards() {
    let (mut bench, alice) = site();
    bench.uses(&alice, 4_000);
    bench.does_it(&alice);
    // As the store does: what is not in the row is lost.
    let text = serde_json::to_string(&*bench.fleet.servers[&alice]).unwrap();
    let host = bench.fleet.hosts.values().next().unwrap();
    let host = serde_json::from_str(&serde_json::to_string(&**host).unwrap()).unwrap();
    let server = serde_json::from_str(&text).unwrap();
    let epoch = bench.fleet.epoch.next();
    bench.fleet = Fleet::restore(epoch, Arc::new(lending()), [host], [server]);
    bench.reports();
    bench.applies();
    bench.waits(HALF_HOUR);
    bench.uses(&alice, 1_000);
    assert_eq!(bench.told(&alice).unwrap().0, gb(4));
    bench.does_it(&alice);
    assert_eq!((bench.loan(&alice), bench.reserved(&alice)), (None, gb(4)));
}

#[test]
fn two_loans_in_one_report_are_not_of_the_same_memory() {
    let mut bench = Bench::new();
    bench.take(Event::SettingsChanged(Arc::new(lending())));
    // 14 of 16 GB are promised: there is room for one loan of 2.
    let (alice, bob) = (bench.runs("alice", 7), bench.runs("bob", 7));
    for server in [&alice, &bob] {
        bench.containers.get_mut(server).unwrap().memory_used = ByteCount(6_900 << 20);
    }
    bench.reports();
    let lent = [&alice, &bob].map(|server| bench.loan(server).is_some());
    assert_eq!(lent.iter().filter(|lent| **lent).count(), 1, "{lent:?}");
    assert_eq!(bench.reserved(&alice).plus(bench.reserved(&bob)), gb(16));
}
