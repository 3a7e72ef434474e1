//! After a restore from a backup the hub's memory is old: of the host's boots, and of what it ordered.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_common::link::{
    Account, Capacity, HostFacts, Observed, ObservedState, Origin, Report, Usage,
};
use berth_common::{
    ByteCount, DecisionId, Epoch, Generation, HostId, Incarnation, Reason, Revision, Seconds,
    ServerId, ServerName, Timestamp,
};
use berth_core::event::{StartRequest, Wish};
use berth_core::fleet::restored::Restored;
use berth_core::reconcile::{What, orders};
use berth_core::settings::{Cite, HostSettings, Image, Pool, Profile, Settings};
use berth_core::{Event, Fleet, check, step};

const GB: u64 = 1 << 30;
/// The reign that the backup is of, and the one after the restore.
const BEFORE: Epoch = Epoch(1);
const AFTER: Epoch = Epoch(1_026);

fn settings() -> Settings {
    let host = HostSettings {
        pool: "cpu".into(),
        memory: Some(ByteCount(4 * GB)),
        keep_free: ByteCount(0),
        gpus: None,
        address: "h1:8444".into(),
        cite: Cite::default(),
    };
    let profile = Profile {
        title: "CPU".into(),
        pool: "cpu".into(),
        memory_default: ByteCount(GB),
        memory_choices: vec![ByteCount(GB)],
        memory_max: ByteCount(GB),
        images: vec!["default".into()],
        default: true,
        ..Profile::default()
    };
    let image = Image {
        reference: "img:1".into(),
        title: "Image".into(),
        shm: None,
        cite: Cite::default(),
    };
    Settings {
        hosts: BTreeMap::from([(h1(), host)]),
        pools: BTreeMap::from([("cpu".into(), Pool::default())]),
        profiles: BTreeMap::from([("cpu".into(), profile)]),
        images: BTreeMap::from([("default".into(), image)]),
        lost_after: Seconds(15),
        ..Settings::default()
    }
}

fn h1() -> HostId {
    "h1".parse().unwrap()
}

fn server() -> ServerId {
    ServerId::from_random(1)
}

fn alice_starts(fleet: &mut Fleet, now: Timestamp) {
    let account = Account {
        name: "alice".parse().unwrap(),
        uid: 20_001,
        gid: 20_001,
        groups: Vec::new(),
        home: "/home/alice".into(),
    };
    let request = StartRequest {
        server: server(),
        decision: DecisionId::from_random(2),
        account,
        name: ServerName::default_server(),
        wish: Wish::default(),
        watched: false,
        barred: None,
        user_options: None,
        reply: None,
    };
    step(fleet, now, Event::Start(Box::new(request)));
}

/// The host reports from this boot, with or without the server, having applied a set of this reign.
fn reports(fleet: &mut Fleet, now: Timestamp, boot: &str, runs: bool, epoch: Epoch) {
    reports_limit(fleet, now, boot, runs.then_some(Some(GB)), epoch);
}

/// The same, with the limit that the server's container has; `Some(None)`: it runs, and its limit has
/// not been measured yet.
fn reports_limit(
    fleet: &mut Fleet,
    now: Timestamp,
    boot: &str,
    limit: Option<Option<u64>>,
    epoch: Epoch,
) {
    let seen = Observed {
        server: server(),
        generation: Generation(1),
        epoch: BEFORE,
        state: ObservedState::Ready,
        steps: Vec::new(),
        memory_used: ByteCount(GB / 10),
        usage: Usage::default(),
        limit: limit.flatten().map(ByteCount),
        resize_refused: None,
        kills: Vec::new(),
        left_out: Vec::new(),
        origin: Origin {
            user: "alice".parse().unwrap(),
            server_name: ServerName::default_server(),
            profile: "cpu".into(),
            memory: ByteCount(GB),
            gpus: Vec::new(),
            decision: None,
        },
    };
    let seq = fleet.hosts.get(&h1()).map_or(0, |host| host.seq);
    let report = Report {
        incarnation: Incarnation(7),
        boot_id: boot.parse().unwrap(),
        sent: now,
        applied: Revision { epoch, seq },
        engine: Ok(limit.map(|_| seen).into_iter().collect()),
        pending: Vec::new(),
        gpus: Vec::new(),
        spaces: Vec::new(),
        capacity: Capacity {
            memory_total: ByteCount(4 * GB),
            memory_free: ByteCount(4 * GB),
            cpus: 2,
            memory_pressure: None,
        },
        facts: HostFacts { images: vec!["img:1".into()], ..HostFacts::default() },
    };
    step(fleet, now, Event::Reported { host: h1(), session: 1, report: Box::new(report) });
    assert_eq!(check::violations(fleet), []);
}

/// A hub that goes on from a backup of this one.
fn restored(backup: &Fleet, now: Timestamp) -> Fleet {
    let servers: Vec<_> = backup.servers.values().map(|it| (**it).clone()).collect();
    let restored = Restored::new(now, Timestamp(0), &servers, Generation(0), []);
    let hosts = backup.hosts.values().map(|it| serde_json::to_string(&**it).unwrap());
    let hosts: Vec<_> = hosts.map(|text| serde_json::from_str(&text).unwrap()).collect();
    let servers: Vec<_> = servers.into_iter().map(|it| restored.take_over(it)).collect();
    let mut fleet = Fleet::restore(AFTER, Arc::new(settings()), hosts, servers);
    fleet.restored = Some(Arc::new(restored));
    fleet
}

/// The backup knows the server as told to start, in a boot that is over. It was started in the next.
#[test]
fn a_boot_that_the_backup_does_not_know_is_no_proof_that_a_server_is_gone() {
    let now = |seconds| Timestamp(0).plus(Seconds(seconds));
    let mut before = Fleet::restore(BEFORE, Arc::new(settings()), [], []);
    reports(&mut before, now(1), "boot-a", false, BEFORE);
    alice_starts(&mut before, now(2));
    assert!(before.servers[&server()].placement().is_some());

    let mut after = restored(&before, now(60));
    step(
        &mut after,
        now(61),
        Event::Stop { server: server(), reason: Reason::StoppedUser, reply: None },
    );
    reports(&mut after, now(62), "boot-b", true, BEFORE);
    assert!(after.servers[&server()].placement().is_some(), "it runs: nothing of it is free");
    assert_eq!(orders(&after, &h1())[&server()].what, What::Stop);
    reports(&mut after, now(63), "boot-b", true, AFTER);
    assert!(after.servers[&server()].placement().is_some());
    reports(&mut after, now(64), "boot-b", false, AFTER);
    assert!(after.servers[&server()].placement().is_none());
    assert_eq!(after.unsettled().count(), 0);
}

/// What an earlier reign ordered may still be on its way to a host that shows nothing.
#[test]
fn a_host_has_told_all_it_runs_when_it_obeys_the_new_reign() {
    let now = |seconds| Timestamp(0).plus(Seconds(seconds));
    let before = Fleet::restore(BEFORE, Arc::new(settings()), [], []);
    let mut after = restored(&before, now(60));
    reports(&mut after, now(61), "boot-a", false, BEFORE);
    assert_eq!(after.unsettled().count(), 1);
    alice_starts(&mut after, now(62));
    assert!(after.servers.get(&server()).is_none_or(|server| server.placement().is_none()));
    reports(&mut after, now(63), "boot-a", false, AFTER);
    assert_eq!(after.unsettled().count(), 0);
    alice_starts(&mut after, now(64));
    assert!(after.servers[&server()].placement().is_some());
}

/// Its owner was given more after the backup, and its host's agent has just begun anew.
#[test]
fn what_a_server_may_use_counts_although_the_backup_knows_less() {
    let now = |seconds| Timestamp(0).plus(Seconds(seconds));
    let mut before = Fleet::restore(BEFORE, Arc::new(settings()), [], []);
    reports(&mut before, now(1), "boot-a", false, BEFORE);
    alice_starts(&mut before, now(2));
    reports(&mut before, now(3), "boot-a", true, BEFORE);

    let mut after = restored(&before, now(60));
    let reserved = |after: &Fleet| {
        after.servers[&server()].placement().map(|placement| placement.reservation.memory.0)
    };
    reports_limit(&mut after, now(61), "boot-a", Some(Some(3 * GB)), BEFORE);
    assert_eq!(reserved(&after), Some(3 * GB));
    reports_limit(&mut after, now(62), "boot-a", Some(None), AFTER);
    assert_eq!(reserved(&after), Some(3 * GB), "not to know it is not to have less");
    assert_eq!(after.unsettled().count(), 1, "nothing is started until it is known");
    reports_limit(&mut after, now(63), "boot-a", Some(Some(2 * GB)), AFTER);
    assert_eq!(reserved(&after), Some(2 * GB));
    assert_eq!(after.unsettled().count(), 0);
}
