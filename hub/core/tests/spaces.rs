//! Hosts whose spaces do not answer: a space that is needed keeps people away, another one does not.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_common::link::{Account, Capacity, Ending, HostFacts, Report, SpaceHealth};
use berth_common::{
    ByteCount, DecisionId, Epoch, HostId, Incarnation, Reason, Revision, Seconds, ServerId,
    ServerName, Timestamp,
};
use berth_core::event::{StartRequest, Wish};
use berth_core::settings::{HostSettings, Image, Mount, Mounts, Pool, Profile, Settings};
use berth_core::{Decision, Event, Fleet, Outcome, step};

fn gb(amount: u64) -> ByteCount {
    ByteCount(amount << 30)
}

fn mount(name: &str, required: bool) -> Mount {
    Mount {
        name: name.into(),
        source: "/x".into(),
        target: "/x".into(),
        read_only: false,
        follows: false,
        required,
        only_if_exists: false,
        for_each_group: false,
        env: BTreeMap::new(),
        shown: None,
        profiles: Vec::new(),
        probe: Some("/x".into()),
        cite: Default::default(),
    }
}

/// Two hosts; SOFTWARE is required, SPS is not.
fn fleet() -> Fleet {
    let host = |name: &str| {
        let settings = HostSettings {
            pool: "cpu".into(),
            memory: Some(gb(16)),
            keep_free: ByteCount(0),
            gpus: None,
            address: format!("{name}:8444"),
            cite: Default::default(),
        };
        (name.parse::<HostId>().unwrap(), settings)
    };
    let profile = Profile {
        title: "CPU".into(),
        pool: "cpu".into(),
        memory_default: gb(2),
        memory_choices: vec![gb(2)],
        memory_max: gb(8),
        images: vec!["default".into()],
        default: true,
        ..Profile::default()
    };
    let image = Image {
        reference: "img:1".into(),
        title: "Image".into(),
        shm: None,
        cite: Default::default(),
    };
    let settings = Settings {
        hosts: BTreeMap::from([host("h1"), host("h2")]),
        pools: BTreeMap::from([("cpu".into(), Pool::default())]),
        profiles: BTreeMap::from([("cpu".into(), profile)]),
        images: BTreeMap::from([("default".into(), image)]),
        mounts: Mounts {
            mounts: vec![mount("SPS", false), mount("SOFTWARE", true)],
            ..Mounts::default()
        },
        lost_after: Seconds(15),
        ..Settings::default()
    };
    Fleet::restore(Epoch(1), Arc::new(settings), [], [])
}

const NOW: Timestamp = Timestamp(1_000_000_000);

/// A host's word: these of its spaces do not answer.
fn hears(fleet: &mut Fleet, host: &str, sick: &[&str]) {
    let space = |name: &&str| {
        let detail = "/x does not answer".to_owned();
        let trouble = Some(Ending { reason: Reason::MountSick, detail });
        SpaceHealth { name: (*name).into(), trouble, since: NOW, took: None }
    };
    let report = Report {
        incarnation: Incarnation(7),
        boot_id: "boot".parse().unwrap(),
        sent: NOW,
        applied: Revision::default(),
        engine: Ok(Vec::new()),
        pending: Vec::new(),
        gpus: Vec::new(),
        spaces: sick.iter().map(space).collect(),
        capacity: Capacity {
            memory_total: gb(16),
            memory_free: gb(15),
            cpus: 8,
            memory_pressure: None,
        },
        facts: HostFacts { images: vec!["img:1".into()], ..HostFacts::default() },
    };
    let host = host.parse().unwrap();
    step(fleet, NOW, Event::Reported { host, session: 1, report: Box::new(report) });
}

fn request(user: &str) -> StartRequest {
    StartRequest {
        server: ServerId::from_random(user.len() as u64),
        decision: DecisionId::from_random(1),
        account: Account {
            name: user.parse().unwrap(),
            uid: 1001,
            gid: 1001,
            groups: Vec::new(),
            home: format!("/home/{user}"),
        },
        name: ServerName::default_server(),
        wish: Wish::default(),
        watched: false,
        barred: None,
        user_options: None,
        reply: None,
    }
}

fn asks(fleet: &Fleet) -> Decision {
    step::dry_run(fleet, NOW, &request("alice"))
}

fn host_of(decision: &Decision) -> Option<String> {
    match &decision.outcome {
        Outcome::Placed { host, .. } => Some(host.to_string()),
        _ => None,
    }
}

#[test]
fn a_required_space_that_is_sick_excludes_its_host_and_says_so() {
    let mut fleet = fleet();
    hears(&mut fleet, "h1", &["SOFTWARE"]);
    hears(&mut fleet, "h2", &["SPS"]);
    let decision = asks(&fleet);
    assert_eq!(host_of(&decision).as_deref(), Some("h2"), "an optional one hurts nobody");
    let told = decision.lines(&fleet.floor, &fleet.settings, &fleet.prices);
    let told = format!("{told:?}");
    assert!(told.contains("MountSick"), "{told}");
    assert!(told.contains("SOFTWARE (required): /x does not answer"), "{told}");
}

#[test]
fn who_needs_a_space_that_is_sick_everywhere_waits_for_it() {
    let mut fleet = fleet();
    hears(&mut fleet, "h1", &["SOFTWARE"]);
    hears(&mut fleet, "h2", &["SOFTWARE", "SPS"]);
    let decision = asks(&fleet);
    assert!(
        matches!(decision.outcome, Outcome::Waits { reason: Reason::MountSick, .. }),
        "{:?}",
        decision.outcome
    );
    step(&mut fleet, NOW, Event::Start(Box::new(request("alice"))));
    let placed = |fleet: &Fleet| fleet.servers.values().any(|it| it.placement().is_some());
    assert!(!placed(&fleet));
    hears(&mut fleet, "h1", &[]);
    assert!(placed(&fleet), "it starts by itself when the space is back");
}
