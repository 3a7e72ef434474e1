//! Which build of an image a server is given.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_common::{Epoch, HostId, Seconds, Timestamp};
use berth_core::Fleet;
use berth_core::settings::{People, Rollout, Stage};

use super::bench::{Bench, settings};

/// What a server was given to run: the image's name and its build.
fn given(bench: &Bench, user: &str) -> (String, String) {
    let server = &bench.fleet.servers[&bench.id(user)];
    let pin = server.placement().unwrap().image.clone().unwrap();
    (pin.name, pin.build)
}

#[test]
fn a_server_keeps_the_build_that_it_was_placed_with() {
    let (old, new) = ("img@sha256:01".to_owned(), "img@sha256:02".to_owned());
    let mut bench = Bench::new();
    let holds = |bench: &mut Bench, host: &'static str, build: &String| {
        bench.builds.insert(host, BTreeMap::from([("img:1".to_owned(), build.clone())]));
        bench.hears(host, &[]);
    };
    bench.asks("early", 1);
    assert_eq!(given(&bench, "early"), ("img:1".into(), String::new()), "nobody knew it");
    bench.stops("early");
    holds(&mut bench, "h1", &old);
    holds(&mut bench, "h2", &old);
    bench.asks("alice", 1);
    assert_eq!(given(&bench, "alice"), ("img:1".into(), old.clone()));

    // The name stands for something else from now on: for whom starts now.
    let present = |bench: &Bench, host: &str| {
        let host = &bench.fleet.hosts[&host.parse::<HostId>().unwrap()];
        host.heard.as_ref().unwrap().images.contains("img:1")
    };
    bench.builds.insert("h3", BTreeMap::from([("img:1".to_owned(), new.clone())]));
    bench.boot.insert("h3", "boot-c");
    for host in ["h1", "h2", "h3"] {
        bench.hears(host, &[]);
    }
    assert!(present(&bench, "h1") && !present(&bench, "h3"), "most hosts have the old one");
    holds(&mut bench, "h1", &new);
    bench.hears("h2", &[]);
    assert!(present(&bench, "h1") && !present(&bench, "h2"), "now the new one");
    bench.asks("bob", 1);
    assert_eq!(given(&bench, "bob"), ("img:1".into(), new));
    assert_eq!(given(&bench, "alice"), ("img:1".into(), old.clone()));
    bench.reborn();
    assert_eq!(given(&bench, "alice"), ("img:1".into(), old), "it is saved with the server");
}

#[test]
fn an_image_that_no_host_has_is_decided_by_what_its_registry_gave_first() {
    let (first, moved) = ("img@sha256:01".to_owned(), "img@sha256:02".to_owned());
    let mut bench = Bench::new();
    let gives = |bench: &mut Bench, build: &String| {
        for host in ["h1", "h2"] {
            bench.offered.insert(host, BTreeMap::from([("img:1".to_owned(), build.clone())]));
            bench.hears(host, &[]);
        }
    };
    gives(&mut bench, &first);
    bench.asks("alice", 1);
    assert_eq!(given(&bench, "alice"), ("img:1".into(), first.clone()));
    // The name has moved on in the registry before any host holds it: one build for both.
    gives(&mut bench, &moved);
    bench.asks("bob", 1);
    assert_eq!(given(&bench, "bob"), ("img:1".into(), first));
    bench.stops("alice");
    bench.stops("bob");
    gives(&mut bench, &moved);
    bench.asks("carol", 1);
    assert_eq!(given(&bench, "carol"), ("img:1".into(), moved));
}

#[test]
fn a_canary_gets_the_new_image_and_the_others_the_one_before() {
    let mut settings = settings();
    let people = People { groups: ["support".to_owned()].into(), ..People::default() };
    let until = Some(Timestamp(0).plus(Seconds(3600)));
    let stage = Stage::Canary { people, until };
    let rollout = Rollout { previous: "img:0".into(), stage };
    settings.rollouts.insert("default".into(), rollout);
    let mut bench = Bench::silent();
    bench.fleet = Fleet::restore(Epoch(1), Arc::new(settings), [], []);
    bench.hears("h1", &[]);
    bench.hears("h2", &[]);
    bench.asks("support-ann", 1);
    bench.asks("atlas-bob", 1);
    assert_eq!(given(&bench, "support-ann").0, "img:1");
    assert_eq!(given(&bench, "atlas-bob").0, "img:0");
    bench.waits(3600);
    bench.hears("h1", &[]);
    bench.hears("h2", &[]);
    bench.asks("atlas-eve", 1);
    assert_eq!(given(&bench, "atlas-eve").0, "img:1", "its time is over");
}
