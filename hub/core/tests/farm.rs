//! Ports that the compute farm reaches: given by hosts that have some, never twice, and waited for.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_common::link::{Account, Capacity, HostFacts, PortRange, Report};
use berth_common::{
    ByteCount, DecisionId, Epoch, HostId, Incarnation, Reason, Revision, Seconds, ServerId,
    ServerName, Timestamp,
};
use berth_core::check::violations;
use berth_core::event::{StartRequest, Wish};
use berth_core::settings::{HostSettings, Image, Pool, Profile, Settings};
use berth_core::{Decision, Event, Fleet, Outcome, step};

fn gb(amount: u64) -> ByteCount {
    ByteCount(amount << 30)
}

/// Two hosts, and a profile whose servers have two ports.
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
        farm_ports: 2,
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
        lost_after: Seconds(15),
        ..Settings::default()
    };
    Fleet::restore(Epoch(1), Arc::new(settings), [], [])
}

const NOW: Timestamp = Timestamp(1_000_000_000);

/// A host's word: it has these ports for the farm.
fn hears(fleet: &mut Fleet, host: &str, farm: Option<(u16, u16)>) {
    let farm = farm.map(|(first, last)| PortRange { first, last });
    let report = Report {
        incarnation: Incarnation(7),
        boot_id: "boot".parse().unwrap(),
        sent: NOW,
        applied: Revision::default(),
        engine: Ok(Vec::new()),
        pending: Vec::new(),
        gpus: Vec::new(),
        spaces: Vec::new(),
        capacity: Capacity {
            memory_total: gb(16),
            memory_free: gb(15),
            cpus: 8,
            memory_pressure: None,
        },
        facts: HostFacts { images: vec!["img:1".into()], farm, ..HostFacts::default() },
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

fn starts(fleet: &mut Fleet, user: &str) {
    step(fleet, NOW, Event::Start(Box::new(request(user))));
    assert!(violations(fleet).is_empty(), "{:?}", violations(fleet));
}

/// The host and the ports of a person's server, if it has a place.
fn place_of(fleet: &Fleet, user: &str) -> Option<(String, Vec<u16>)> {
    let server = fleet.servers.values().find(|server| server.owner.as_str() == user)?;
    server.placement().map(|it| (it.host.to_string(), it.farm_ports.clone()))
}

fn why(fleet: &Fleet, user: &str) -> (Outcome, String) {
    let decision: Decision = step::dry_run(fleet, NOW, &request(user));
    let told = decision.lines(&fleet.floor, &fleet.settings, &fleet.prices);
    (decision.outcome, format!("{told:?}"))
}

#[test]
fn each_server_gets_ports_of_its_own_and_the_next_waits_for_them() {
    let mut fleet = fleet();
    hears(&mut fleet, "h1", Some((20_000, 20_004)));
    hears(&mut fleet, "h2", None);
    starts(&mut fleet, "a");
    starts(&mut fleet, "bb");
    assert_eq!(place_of(&fleet, "a"), Some(("h1".into(), vec![20_000, 20_001])));
    assert_eq!(place_of(&fleet, "bb"), Some(("h1".into(), vec![20_002, 20_003])));
    let (outcome, told) = why(&fleet, "ccc");
    let waits = matches!(outcome, Outcome::Waits { reason: Reason::WaitFarmPorts, .. });
    assert!(waits, "{outcome:?}");
    assert!(told.contains("1 of its 5 farm ports are free; 2 asked"), "{told}");
    assert!(told.contains("2 farm ports asked, and it gives none"), "{told}");
    starts(&mut fleet, "ccc");
    assert_eq!(place_of(&fleet, "ccc"), None);
    // Another host comes by some: whoever waits starts there, with the same numbers as on the first.
    hears(&mut fleet, "h2", Some((20_000, 20_001)));
    assert_eq!(place_of(&fleet, "ccc"), Some(("h2".into(), vec![20_000, 20_001])));
    assert!(violations(&fleet).is_empty(), "{:?}", violations(&fleet));
}

#[test]
fn where_no_host_ever_gives_as_many_the_request_is_refused() {
    let mut fleet = fleet();
    hears(&mut fleet, "h1", Some((20_000, 20_000)));
    hears(&mut fleet, "h2", None);
    let (outcome, _) = why(&fleet, "a");
    let never = matches!(outcome, Outcome::Refused { reason: Reason::RefusedNeverFits, .. });
    assert!(never, "{outcome:?}");
}

#[test]
fn a_port_that_two_servers_hold_is_a_violation() {
    let mut fleet = fleet();
    hears(&mut fleet, "h1", Some((20_000, 20_001)));
    starts(&mut fleet, "a");
    // A second server that says it has the same: as if the store had been written by hand.
    let mut other = (**fleet.servers.values().next().unwrap()).clone();
    other.id = ServerId::from_random(99);
    other.owner = "bb".parse().unwrap();
    let servers: Vec<_> =
        fleet.servers.values().map(|server| (**server).clone()).chain([other]).collect();
    let hosts: Vec<_> = fleet.hosts.values().map(|host| (**host).clone()).collect();
    let again = Fleet::restore(Epoch(2), Arc::clone(&fleet.settings), hosts, servers);
    let found = format!("{:?}", violations(&again));
    assert!(found.contains("port 20000 of h1 is given twice"), "{found}");
}
