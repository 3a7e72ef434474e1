//! What a waiting person is told: in how long half of such waits end, from the lives of servers that
//! ended and that run, and from how earlier waits turned out.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_common::link::{Account, Capacity, HostFacts, Observed, ObservedState, Origin, Report};
use berth_common::{
    ByteCount, DecisionId, Epoch, HostId, Incarnation, Revision, Seconds, ServerId, ServerName,
    Timestamp,
};
use berth_core::event::{StartRequest, Wish};
use berth_core::fleet::{Ask, Phase, Server};
use berth_core::life::Clock;
use berth_core::queue::{Life, Lives, REMEMBERED, REMEMBERED_WAITS, Wait, Waits};
use berth_core::settings::{HostSettings, IdleRule, Image, Pool, Profile, Settings, Whose};
use berth_core::{Answer, Effect, Event, Fleet, Outcome, step};

use super::running;

const GB: u64 = 1 << 30;
const NOW: Timestamp = Timestamp(20_000_000_000);

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000)
}

fn host() -> HostId {
    "h1".parse().unwrap()
}

/// One host of 64 GB.
fn settings() -> Settings {
    let declared = HostSettings {
        pool: "cpu".into(),
        memory: Some(ByteCount(64 * GB)),
        keep_free: ByteCount::ZERO,
        gpus: None,
        address: "h1:8444".into(),
        cite: Default::default(),
    };
    let profile = Profile {
        pool: "cpu".into(),
        memory_default: ByteCount(GB),
        memory_max: ByteCount(64 * GB),
        images: vec!["root".into()],
        ..Profile::default()
    };
    let image = Image {
        reference: "img:1".into(),
        title: "ROOT".into(),
        shm: None,
        cite: Default::default(),
    };
    Settings {
        hosts: BTreeMap::from([(host(), declared)]),
        pools: BTreeMap::from([("cpu".into(), Pool::default())]),
        profiles: BTreeMap::from([("cpu".into(), profile)]),
        images: BTreeMap::from([("root".into(), image)]),
        lost_after: Seconds(15),
        ..Settings::default()
    }
}

fn account(user: &str) -> Account {
    Account {
        name: user.parse().unwrap(),
        uid: 2000,
        gid: 2000,
        groups: Vec::new(),
        home: format!("/home/{user}"),
    }
}

/// A server that runs since a moment.
fn server(id: u64, gigabytes: u64, since: Timestamp) -> Server {
    let memory = ByteCount(gigabytes * GB);
    let ask = Ask { profile: "cpu".into(), memory, image: "root".into(), ..Ask::default() };
    running::server(id, account(&format!("u{id}")), ask, since)
}

/// Eight that lived 100 to 800 s, from when the record begins: the first ended then.
fn lives() -> Vec<Life> {
    let life =
        |(ended, lasted)| Life { pool: "cpu".into(), ended: at(ended), lasted: Seconds(lasted) };
    let others = (2..=8).map(|it| (1000 + 100 * it, 100 * it as u64));
    [(1000, 100)].into_iter().chain(others).map(life).collect()
}

/// The host full of servers of these sizes that run since these moments.
fn full(lives: &[Life], servers: &[(u64, i64)]) -> Fleet {
    let numbered = servers.iter().zip(1..);
    let servers = numbered.map(|((gigabytes, since), id)| server(id, *gigabytes, at(*since)));
    with(settings(), lives, servers)
}

/// The host with these servers, as it reports now.
fn with(settings: Settings, lives: &[Life], servers: impl Iterator<Item = Server>) -> Fleet {
    let mut fleet = Fleet::restore(Epoch(1), Arc::new(settings), [], servers);
    fleet.lives = Lives::of(lives.to_vec());
    let observed = fleet.servers.values().map(|server| Observed {
        server: server.id.clone(),
        generation: server.generation,
        epoch: Epoch(1),
        state: ObservedState::Ready,
        steps: Vec::new(),
        memory_used: ByteCount(GB),
        usage: Default::default(),
        limit: None,
        resize_refused: None,
        kills: Vec::new(),
        left_out: Vec::new(),
        origin: Origin {
            user: server.owner.clone(),
            server_name: server.name.clone(),
            profile: "cpu".into(),
            memory: server.ask.memory,
            gpus: Vec::new(),
            decision: None,
        },
    });
    let report = Report {
        incarnation: Incarnation(1),
        boot_id: "boot-1".parse().unwrap(),
        sent: NOW,
        applied: Revision { epoch: Epoch(1), seq: 0 },
        engine: Ok(observed.collect()),
        pending: Vec::new(),
        gpus: Vec::new(),
        spaces: Vec::new(),
        capacity: Capacity {
            memory_total: ByteCount(64 * GB),
            memory_free: ByteCount(64 * GB),
            cpus: 8,
            memory_pressure: None,
        },
        facts: HostFacts { images: vec!["img:1".into()], ..HostFacts::default() },
    };
    step(&mut fleet, NOW, Event::Reported { host: host(), session: 1, report: Box::new(report) });
    step(&mut fleet, NOW, Event::Tick);
    fleet
}

/// What the next one is told who asks for so much: how many are before them, and from when, until
/// when and in how many seconds half of such waits end.
fn asks(fleet: &mut Fleet, gigabytes: u64) -> (u32, Option<[u64; 3]>) {
    let id = 100 + fleet.servers.len() as u64;
    let request = StartRequest {
        server: ServerId::from_random(id),
        decision: DecisionId::from_random(1000 + id),
        account: account(&format!("w{id}")),
        name: ServerName::default_server(),
        wish: Wish { memory: Some(ByteCount(gigabytes * GB)), ..Wish::default() },
        watched: false,
        barred: None,
        user_options: None,
        reply: Some(1),
    };
    let effects = step(fleet, NOW, Event::Start(Box::new(request)));
    let decision = effects.into_iter().find_map(|effect| match effect {
        Effect::Reply(1, Answer::Accepted(decision)) => Some(decision),
        _ => None,
    });
    match &decision.expect("accepted").outcome {
        Outcome::Waits { ahead, estimate, .. } => {
            (*ahead, estimate.map(|it| [it.from.0, it.to.0, it.foreseen.0]))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wait_is_foreseen_from_the_lives_of_those_who_ended() {
    let young = NOW.0 / 1_000_000 - 50;
    let mut fleet = full(&lives(), &[(64, young)]);
    // The hazard reaches the quartiles of one place at ages 300, 700 and 500, of two at 600, 800, 700.
    assert_eq!(asks(&mut fleet, 2), (0, Some([250, 650, 450])));
    assert_eq!(asks(&mut fleet, 2), (1, Some([550, 750, 650])));
    assert_eq!(asks(&mut fleet, 2).1, None, "three places may never come of one server");
    assert_eq!(asks(&mut full(&lives()[1..], &[(64, young)]), 2), (0, None), "too few have ended");
    let foreign = |life: Life| Life { pool: "gpu".into(), ..life };
    let foreign: Vec<_> = lives().into_iter().map(foreign).collect();
    assert_eq!(asks(&mut full(&foreign, &[(64, young)]), 2), (0, None), "elsewhere");
}

#[test]
fn who_runs_was_there_and_two_that_must_end_give_half_a_place_each() {
    let now = NOW.0 / 1_000_000;
    // The one of 150 s was there when another ended at 100 s.
    let both = [(32, now - 50), (32, now - 150)];
    assert_eq!(asks(&mut full(&lives(), &both), 64), (0, Some([250, 550, 450])));
    let mut either = full(&lives(), &both);
    assert_eq!(asks(&mut either, 32), (0, Some([150, 450, 250])));
    assert_eq!(asks(&mut either, 32), (1, Some([350, 550, 450])));
    // One that began 300 s before the record counts from then on, and has outlived all.
    let old = [(32, now - 50), (32, 700)];
    assert_eq!(asks(&mut full(&lives(), &old), 32), (0, Some([250, 750, 450])));
    // 62 GB need the end of both, 60 that of the larger.
    let uneven = [(4, now - 50), (60, now - 50)];
    assert_eq!(asks(&mut full(&lives(), &uneven), 62), (0, Some([250, 650, 450])));
    assert_eq!(asks(&mut full(&lives(), &uneven), 60), (0, Some([150, 450, 250])));
}

#[test]
fn the_span_comes_from_how_the_last_waits_turned_out() {
    let wait =
        |lasted| Wait { pool: "cpu".into(), foreseen: Seconds(940), lasted: Seconds(lasted) };
    // A minute is added on both sides: these are 6, 12, … 96 hundredths of what was foreseen.
    let all: Vec<_> = (1..=16).map(|it| wait(it * 60 - 60)).collect();
    let span = |waits: &Waits| waits.span("cpu", Seconds(1940)).map(|(from, to)| (from.0, to.0));
    assert_eq!(span(&Waits::of(all[1..].to_vec())), None);
    let waits = Waits::of(all.clone());
    assert_eq!(span(&waits), Some((420, 1500)), "the fourth and the thirteenth of sixteen");
    assert_eq!(waits.span("gpu", Seconds(1940)), None);
    // None ends before it begins.
    assert_eq!(waits.span("cpu", Seconds(0)), Some((Seconds(0), Seconds(0))));
    // Only the newest are remembered.
    let after = |old: &[Wait], new: usize| {
        Waits::of(old.iter().cloned().chain((0..new).map(|_| wait(940))))
    };
    let room = REMEMBERED_WAITS - 16;
    assert_ne!(after(&all, room), after(&all[1..], room));
    assert_eq!(after(&all, room + 1), after(&all[1..], room + 1));
}

#[test]
fn a_span_that_was_learned_takes_the_place_of_chance() {
    let young = NOW.0 / 1_000_000 - 50;
    let mut fleet = full(&lives(), &[(64, young)]);
    // All of them took twice as long as was foreseen.
    let wait = Wait { pool: "cpu".into(), foreseen: Seconds(940), lasted: Seconds(1940) };
    (0..16).for_each(|_| fleet.waits.note(&wait));
    assert_eq!(asks(&mut fleet, 2), (0, Some([960, 960, 450])));
}

#[test]
fn only_the_newest_lives_are_remembered() {
    let life =
        |lasted| Life { pool: "cpu".into(), ended: at(lasted as i64), lasted: Seconds(lasted) };
    let all: Vec<_> = (1..=REMEMBERED as u64 + 1).map(life).collect();
    assert_eq!(Lives::of(all.clone()), Lives::of(all[1..].to_vec()));
    assert_ne!(Lives::of(all[1..].to_vec()), Lives::of(all[2..].to_vec()));
}

#[test]
fn an_idle_limit_that_runs_ends_a_server_the_likelier_the_longer_it_has_been_idle() {
    // It is older than all who ended, so nothing else ends it; 900 s of its limit have passed.
    let foreseen = |limit| {
        let mut settings = settings();
        settings.lifecycle.warn.leads.clear();
        let stop_after = Some(Seconds(limit));
        let rule = IdleRule { whose: Whose::default(), stop_after, cite: Default::default() };
        settings.lifecycle.idle = vec![rule];
        let since = Timestamp(NOW.0 - 900_000_000);
        let mut server = server(1, 64, since);
        if let Phase::Placed(placement) = &mut server.phase {
            placement.life.idle = Some(Clock { limit: Seconds(limit), since });
        }
        let mut fleet = with(settings, &lives(), [server].into_iter());
        asks(&mut fleet, 2).1
    };
    assert_eq!(foreseen(1000), Some([100, 100, 100]), "nine of ten such servers end then");
    assert_eq!(foreseen(1200), Some([300, 300, 300]), "three of four");
    // Of sixteen nine end: too few to say by when three quarters of such waits are over.
    assert_eq!(foreseen(1600), None);
}
