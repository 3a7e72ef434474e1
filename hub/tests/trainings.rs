//! Trainings, notices and maintenance over the API: six planted faults, who may do what, and what
//! orders leave behind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::http::StatusCode;
use berth_common::link::{Capacity, HostFacts, Report};
use berth_common::{ByteCount, HostId, Incarnation, Revision, Seconds, Timestamp};
use berth_core::agenda::{Maintenance, Progress};
use berth_core::fleet::{Intent, Order};
use berth_core::settings::{
    Cite, HostSettings, Image, People, Pool, Profile, Quota, Settings, Training, Window,
};
use berth_core::{Event, HostState};
use berth_hub::agenda::{self, Agenda, keeper};
use berth_hub::config::Config;
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::site::Site;

const GB: u64 = 1 << 30;

fn cite(file: &str, line: u32) -> Cite {
    Cite { file: file.into(), line }
}

fn from_now(from: i64, to: i64) -> Window {
    let at = |seconds: i64| Timestamp(now().0 + seconds * 1_000_000);
    Window { from: at(from), to: at(to) }
}

/// A training that bob teaches and alice takes part in, open for the next hours.
fn school() -> Training {
    Training {
        title: "ROOT school".into(),
        pool: "training".into(),
        windows: vec![from_now(-3600, 7200)],
        participants: People {
            users: BTreeSet::from(["alice".parse().unwrap()]),
            groups: BTreeSet::from(["school".into()]),
            ..People::default()
        },
        expected: 10,
        instructors: BTreeSet::from(["bob".parse().unwrap()]),
        quota: Quota { servers: Some(1), ..Quota::default() },
        stop_after: Seconds(7200),
        start_within: Seconds(300),
        cite: cite("trainings.d/school.toml", 2),
    }
}

fn profile(name: &str, memory: u64) -> Profile {
    Profile {
        title: name.into(),
        pool: "training".into(),
        memory_default: ByteCount(memory * GB),
        memory_choices: vec![ByteCount(memory * GB)],
        memory_max: ByteCount(memory * GB),
        images: vec!["root".into()],
        training: Some(name.into()),
        cite: cite("trainings.d/school.toml", 2),
        ..Profile::default()
    }
}

/// The site with two training hosts of 32 GB, which report.
async fn site(change: impl FnOnce(&mut Settings)) -> Site {
    let site = Site::new().await;
    let config = site.hub.config();
    let mut settings = config.settings.clone();
    for (line, name) in [(3, "tr1"), (4, "tr2")] {
        let host = HostSettings {
            pool: "training".into(),
            memory: None,
            keep_free: ByteCount(2 * GB),
            gpus: None,
            address: format!("{name}:8444"),
            cite: cite("hosts.d/20.toml", line),
        };
        settings.hosts.insert(name.parse().unwrap(), host);
    }
    let pool = Pool { trainings_only: true, ..Pool::default() };
    settings.pools.insert("training".into(), pool);
    let image = Image {
        reference: "nb:root".into(),
        title: "ROOT".into(),
        shm: None,
        cite: cite("images.toml", 7),
    };
    settings.images.insert("root".into(), image);
    settings.profiles.insert("school".into(), profile("school", 4));
    settings.trainings.insert("school".into(), school());
    change(&mut settings);
    let people = Default::default();
    let (services, farm) = Default::default();
    let fresh = Config { settings, people, services, farm, hub: config.hub.clone() };
    site.hub.config.store(Arc::new(fresh));
    agenda::put_in_force(&site.hub).await;
    for host in ["tr1", "tr2"] {
        report(&site, host, &["nb:root"]).await;
    }
    site
}

async fn report(site: &Site, host: &str, images: &[&str]) {
    let epoch = site.hub.fleet.fleet().epoch;
    let report = Report {
        incarnation: Incarnation(1),
        boot_id: "boot-1".parse().unwrap(),
        sent: now(),
        applied: Revision { epoch, seq: u64::MAX },
        engine: Ok(Vec::new()),
        pending: Vec::new(),
        gpus: Vec::new(),
        spaces: Vec::new(),
        capacity: Capacity {
            memory_total: ByteCount(32 * GB),
            memory_free: ByteCount(32 * GB),
            cpus: 8,
            memory_pressure: None,
        },
        facts: HostFacts {
            images: images.iter().map(|it| (*it).to_owned()).collect(),
            ..HostFacts::default()
        },
    };
    let host = host.parse().unwrap();
    site.hub.fleet.send(Event::Reported { host, session: 1, report: Box::new(report) }).await;
    site.settle().await;
}

/// What a check finds wrong, with the lines that it names.
async fn faults(site: &Site) -> BTreeMap<String, (String, Vec<String>)> {
    let admin = site.program("root_").await;
    let found = admin.get("/hub/api/berth/trainings/school/check").await.json();
    let findings = found["findings"].as_array().unwrap().clone();
    assert_eq!(found["ok"], findings.iter().all(|it| it["ok"] == true), "{found}");
    let wrong = findings.into_iter().filter(|it| it["ok"] == false);
    wrong
        .map(|it| {
            let lines = it["where"].as_array().unwrap().iter();
            let lines = lines.map(|at| format!("{}:{}", at["file"].as_str().unwrap(), at["line"]));
            let text = it["text"].as_str().unwrap().to_owned();
            (it["check"].as_str().unwrap().to_owned(), (text, lines.collect()))
        })
        .collect()
}

const HERE: &str = "trainings.d/school.toml:2";

#[tokio::test]
async fn a_check_finds_each_planted_fault_with_its_line() {
    let good = site(|_| {}).await;
    assert_eq!(faults(&good).await, BTreeMap::new());

    // Ten of 8 GB on twice 30.
    let memory = site(|it| {
        it.profiles.insert("school".into(), profile("school", 8));
    });
    let found = faults(&memory.await).await;
    let (text, lines) = &found["memory"];
    assert!(text.starts_with("4 of 10 people find no room for 8 GB"), "{text}");
    assert_eq!((found.len(), lines.as_slice()), (1, [HERE.to_owned()].as_slice()));

    let image = site(|_| {}).await;
    report(&image, "tr2", &["nb:old"]).await;
    let found = faults(&image).await;
    let (text, lines) = &found["image"];
    assert_eq!(text, "root is on 1 of 2 hosts, not on tr2");
    assert_eq!(lines, &[HERE, "images.toml:7"]);
    assert_eq!(found.len(), 1, "{found:?}");

    let account = site(|it| {
        let people = &mut it.trainings.get_mut("school").unwrap().participants;
        people.users.insert("zoe".parse().unwrap());
    });
    let found = faults(&account.await).await;
    let (text, lines) = &found["people"];
    assert!(text.contains("zoe (refused.account.unknown)"), "{text}");
    assert_eq!((found.len(), lines.as_slice()), (1, [HERE.to_owned()].as_slice()));

    let away = site(|_| {}).await;
    let admin = away.program("root_").await;
    let window = from_now(3600, 5400);
    let body = json!({ "hosts": ["tr1"], "from": window.from.to_string(),
        "to": window.to.to_string(), "reason": "new disks", "ahead_s": 60 });
    let planned = admin.json("POST", "/hub/api/berth/maintenance", &body.to_string()).await.json();
    assert_eq!(planned["trainings"], json!(["school"]), "{planned}");
    let found = faults(&away).await;
    let (text, lines) = &found["maintenance"];
    assert!(text.starts_with("tr1 is away from ") && text.ends_with(": new disks"), "{text}");
    assert_eq!(lines, &[HERE, "hosts.d/20.toml:3"]);
    assert_eq!(found.len(), 1, "{found:?}");

    let clash = site(|it| {
        let other = Training {
            expected: 12,
            windows: vec![from_now(3600, 9000)],
            cite: cite("trainings.d/other.toml", 5),
            ..school()
        };
        it.profiles.insert("other".into(), profile("other", 4));
        it.trainings.insert("other".into(), other);
    });
    let found = faults(&clash.await).await;
    let (text, lines) = &found["clash"];
    assert!(text.contains("pool training is also of other"), "{text}");
    assert_eq!(lines, &[HERE, "trainings.d/other.toml:5"]);
    assert_eq!(found.len(), 1, "{found:?}");

    let rate = site(|it| it.trainings.get_mut("school").unwrap().start_within = Seconds(15));
    let found = faults(&rate.await).await;
    let (text, lines) = &found["start_rate"];
    assert_eq!(text, "10 starts at once take 20s (10s a start, assumed); 15s are allowed");
    assert_eq!((found.len(), lines.as_slice()), (1, [HERE.to_owned()].as_slice()));
}

#[tokio::test]
async fn a_rehearsal_says_who_gets_a_server_and_how_long_it_takes() {
    let site = site(|_| {}).await;
    let admin = site.program("root_").await;
    let path = "/hub/api/berth/trainings/school/rehearsal";
    let made = admin.json("POST", path, "{}").await.json()["rehearsal"].clone();
    assert_eq!((&made["placed"], &made["without_place"]), (&json!(10), &json!(0)), "{made}");
    assert_eq!(made["takes_s"], 20, "7 and 3, four at once, 10 s each: {made}");
    let made = admin.json("POST", path, r#"{"people": 20}"#).await.json()["rehearsal"].clone();
    assert_eq!((&made["placed"], &made["without_place"]), (&json!(14), &json!(6)), "{made}");
    assert!(site.hub.fleet.fleet().servers.is_empty(), "nothing is started");
    let none = admin.json("POST", path, r#"{"people": 0}"#).await;
    assert_eq!(none.status, StatusCode::BAD_REQUEST, "{none:?}");
}

#[tokio::test]
async fn an_instructor_looks_after_the_own_training_and_nothing_else() {
    let site = site(|it| {
        let theirs = Training { instructors: BTreeSet::new(), ..school() };
        it.profiles.insert("other".into(), profile("other", 4));
        it.trainings.insert("other".into(), theirs);
    })
    .await;
    let (bob, alice) = (site.program("bob").await, site.program("alice").await);
    let base = "/hub/api/berth/trainings";
    let names = |value: Value| -> Vec<(String, String)> {
        let rows = value["trainings"].as_array().unwrap().clone();
        let text = |it: &Value| it.as_str().unwrap().to_owned();
        rows.iter().map(|it| (text(&it["name"]), text(&it["role"]))).collect()
    };
    let own = |name: &str, role: &str| (name.to_owned(), role.to_owned());
    assert_eq!(names(bob.get(base).await.json()), [own("school", "instructor")]);
    let both = [own("other", "participant"), own("school", "participant")];
    assert_eq!(names(alice.get(base).await.json()), both);

    // Seen by who teaches, not by who takes part, nor that of others.
    assert_eq!(alice.get(&format!("{base}/school")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(bob.get(&format!("{base}/other")).await.status, StatusCode::NOT_FOUND);
    let seen = bob.get(&format!("{base}/school")).await.json()["training"].clone();
    assert_eq!(seen["participants"][0]["user"], "alice", "{seen}");
    assert_eq!(seen["participants"][0]["state"], "absent", "{seen}");

    // Started and stopped.
    let server = format!("{base}/school/participants/alice/server");
    assert_eq!(bob.json("POST", &server, "").await.status, StatusCode::ACCEPTED);
    let started = site.server("alice", "");
    assert_eq!(started.ask.profile, "school");
    assert!(started.is_active());
    assert_eq!(bob.json("DELETE", &server, "").await.status, StatusCode::ACCEPTED);
    let stopped = site.server("alice", "");
    let why = stopped.placement().and_then(|it| it.stop.as_ref()).map(|it| it.end.reason);
    assert_eq!(why, Some(berth_common::Reason::StoppedInstructor));

    // Nobody else, no other server, nothing else of alice.
    let outsider = format!("{base}/school/participants/root_/server");
    for (method, path) in [
        ("POST", outsider.as_str()),
        ("DELETE", outsider.as_str()),
        ("POST", "/hub/api/berth/trainings/other/participants/alice/server"),
        ("DELETE", "/hub/api/users/alice/server"),
        ("GET", "/hub/api/users/alice"),
    ] {
        let reply = bob.json(method, path, "").await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{method} {path}: {reply:?}");
    }
    for path in ["/hub/api/berth/hosts", "/hub/api/berth/maintenance"] {
        assert_eq!(bob.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    site.report(Vec::new()).await;
    for host in ["tr1", "tr2"] {
        report(&site, host, &["nb:root"]).await;
    }
    let cpu = alice.json("POST", "/hub/api/users/alice/servers/n1", r#"{"profile":"cpu"}"#);
    assert!(cpu.await.status.is_success());
    let reply = bob.json("DELETE", &server, "").await;
    assert_eq!(reply.status, StatusCode::CONFLICT, "the other server is none of bob's: {reply:?}");
    assert!(site.server("alice", "n1").is_active());
}

#[tokio::test]
async fn orders_are_kept_with_who_and_why_and_are_in_force_again_after_a_restart() {
    let site = site(|_| {}).await;
    let (bob, admin) = (site.program("bob").await, site.program("root_").await);
    let path = "/hub/api/berth/trainings/school/orders";
    let before = site.hub.fleet.fleet().settings.trainings["school"].windows.clone();
    let more = r#"{"order":"extend","for_s":3600,"reason":"questions"}"#;
    let dry = r#"{"order":"extend","for_s":3600,"reason":"questions","dry_run":true}"#;
    assert_eq!(bob.json("POST", path, dry).await.status, StatusCode::OK);
    assert_eq!(site.hub.fleet.fleet().settings.trainings["school"].windows, before);
    let given = bob.json("POST", path, more).await;
    assert_eq!(given.status, StatusCode::OK, "{given:?}");
    let settings = site.hub.fleet.fleet().settings.clone();
    let ends = settings.trainings["school"].ends().unwrap();
    assert_eq!(ends, before[0].to.plus(Seconds(3600)));
    assert_ne!(settings.version, site.hub.config().settings.version, "decisions name the order");

    // What a hub reads when it begins.
    let again = Agenda::open(&site.hub.storage).unwrap();
    assert_eq!(again.applied(&site.hub.config().settings), *settings);
    let (_, order) = again.orders_of("school").pop().unwrap();
    let Order { who, reason, .. } = order.order;
    assert_eq!((who.as_str(), reason.as_str()), ("bob", "questions"));
    let acts = admin.get("/hub/api/berth/audit?action=training-extend").await.json();
    assert_eq!(acts["audit"][0]["actor"], "bob", "{acts}");
    // New files do not undo it.
    agenda::put_in_force(&site.hub).await;
    site.settle().await;
    assert_eq!(site.hub.fleet.fleet().settings.trainings["school"].ends(), Some(ends));

    // Only administrators open and close; nobody without a reason.
    for body in [r#"{"order":"close","reason":"x"}"#, r#"{"order":"open","for_s":60,"reason":"x"}"#]
    {
        assert_eq!(bob.json("POST", path, body).await.status, StatusCode::FORBIDDEN, "{body}");
    }
    let long = r#"{"order":"extend","for_s":36000,"reason":"x"}"#;
    assert_eq!(bob.json("POST", path, long).await.status, StatusCode::CONFLICT);
    let mute = r#"{"order":"close"}"#;
    assert_eq!(admin.json("POST", path, mute).await.status, StatusCode::BAD_REQUEST);
    let closed = admin.json("POST", path, r#"{"order":"close","reason":"fire drill"}"#).await;
    assert_eq!(closed.json()["training"]["state"], "over", "{closed:?}");
    let open = admin.json("POST", path, r#"{"order":"open","for_s":60,"reason":"all well"}"#).await;
    assert_eq!(open.json()["training"]["state"], "open", "{open:?}");
}

#[tokio::test]
async fn who_teaches_cannot_extend_into_another_training() {
    let site = site(|it| {
        let next = Training { windows: vec![from_now(9000, 12000)], ..school() };
        it.profiles.insert("next".into(), profile("next", 4));
        it.trainings.insert("next".into(), next);
    })
    .await;
    let path = "/hub/api/berth/trainings/school/orders";
    let more = r#"{"order":"extend","for_s":3600,"reason":"questions"}"#;
    let refused = site.program("bob").await.json("POST", path, more).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.message().starts_with("next has the pool from"), "{refused:?}");
    let admin = site.program("root_").await.json("POST", path, more).await.json();
    assert!(admin["in_the_way"].as_str().unwrap().starts_with("next has the pool"), "{admin}");
}

#[tokio::test]
async fn notices_reach_their_audience_and_no_one_else() {
    let site = site(|_| {}).await;
    let (bob, admin) = (site.program("bob").await, site.program("root_").await);
    let path = "/hub/api/berth/site-notices";
    let heard = async |user: &str| -> Vec<String> {
        let notices = site.program(user).await.get("/hub/api/berth/notices").await.json();
        let notices = notices["notices"].as_array().unwrap().clone();
        notices.iter().map(|it| it["text"].as_str().unwrap().to_owned()).collect()
    };
    for (to, text) in [("training:school", "Bring a laptop"), ("host:wn1", "New disks tonight")] {
        let body = json!({ "to": to, "en": text, "level": "warning" }).to_string();
        let reply = admin.json("POST", path, &body).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    }
    assert_eq!(heard("alice").await, ["Bring a laptop"]);
    assert_eq!(heard("root_").await, [""; 0]);
    site.running("root_", "").await;
    assert_eq!(heard("root_").await, ["New disks tonight"], "a server of hers is on that host");

    let all = json!({ "en": "Party" }).to_string();
    assert_eq!(bob.json("POST", path, &all).await.status, StatusCode::FORBIDDEN);
    let own = json!({ "to": "training:school", "en": "Room 101" }).to_string();
    let written = bob.json("POST", path, &own).await.json();
    assert_eq!(written["notice"]["must_read"], false);
    let must = json!({ "to": "training:school", "en": "Rules", "must_read": true }).to_string();
    assert_eq!(bob.json("POST", path, &must).await.status, StatusCode::FORBIDDEN);
    assert_eq!(heard("alice").await, ["Room 101", "Bring a laptop"], "the newest first");
    let id = &written["notice"]["id"];
    assert_eq!(
        bob.json("DELETE", &format!("{path}/{id}"), "").await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(heard("alice").await, ["Bring a laptop"]);
    let written = admin.json("POST", path, &must).await.json();
    assert_eq!(written["notice"]["must_read"], true);
    let listed = admin.get(path).await.json();
    assert_eq!(listed["notices"].as_array().unwrap().len(), 3, "{listed}");
    assert_eq!(listed["notices"][2]["must_read"], true);
    for body in [json!({ "to": "training:nosuch", "en": "x" }), json!({ "to": "me", "en": "x" })] {
        let reply = admin.json("POST", path, &body.to_string()).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body}");
    }
}

#[tokio::test]
async fn maintenance_drains_its_hosts_in_time_and_opens_them_afterwards() {
    let site = site(|_| {}).await;
    let admin = site.program("root_").await;
    let path = "/hub/api/berth/maintenance";
    let plan = async |window: Window| {
        let body = json!({ "hosts": ["tr1", "tr2"], "from": window.from.to_string(),
            "to": window.to.to_string(), "reason": "new kernel", "ahead_s": 600 });
        let reply = admin.json("POST", path, &body.to_string()).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        reply.json()["maintenance"]["id"].as_i64().unwrap()
    };
    let state = |host: &str| {
        let fleet = site.hub.fleet.fleet();
        let id: HostId = host.parse().unwrap();
        fleet.host_state(&fleet.hosts[&id], now())
    };
    let window = from_now(86_400, 90_000);
    let id = plan(window).await;
    keeper::carry_out(&site.hub, now()).await;
    assert_eq!(state("tr1"), HostState::Ready, "its time has not come");

    let time = |seconds: i64| Timestamp(window.from.0 + seconds * 1_000_000);
    keeper::carry_out(&site.hub, time(-500)).await;
    let fleet = site.hub.fleet.fleet();
    let intent = &fleet.hosts[&"tr1".parse().unwrap()].intent;
    let Intent::Draining { order, by, .. } = intent else { panic!("{intent:?}") };
    assert_eq!((order.reason.as_str(), order.who.as_str()), ("new kernel", "root_"));
    assert_eq!(*by, Some(window.from), "people have until then");
    assert_eq!(progress(&site, id), Progress::Begun);

    // A hub that begins anew knows how far it is, and does nothing twice.
    let again = Agenda::open(&site.hub.storage).unwrap().maintenance();
    assert_eq!(again.last().unwrap().1.state, Progress::Begun);
    keeper::carry_out(&site.hub, time(-400)).await;
    assert_eq!(site.hub.fleet.fleet().hosts[&"tr1".parse().unwrap()].intent, *intent);

    // Somebody keeps one of them for another reason: it stays closed at the end.
    let cordon = r#"{"intent":"cordoned","reason":"fan broken"}"#;
    admin.json("PUT", "/hub/api/berth/hosts/tr2/intent", cordon).await;
    keeper::carry_out(&site.hub, time(3601)).await;
    assert_eq!((state("tr1"), state("tr2")), (HostState::Ready, HostState::Cordoned));
    assert_eq!(progress(&site, id), Progress::Over);

    // Taken back while it drains: its hosts take servers again.
    let id = plan(from_now(300, 900)).await;
    assert_eq!((state("tr1"), progress(&site, id)), (HostState::Drained, Progress::Begun));
    let gone = admin.json("DELETE", &format!("{path}/{id}"), "").await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{gone:?}");
    assert_eq!((state("tr1"), progress(&site, id)), (HostState::Ready, Progress::Cancelled));
    let twice = admin.json("DELETE", &format!("{path}/{id}"), "").await;
    assert_eq!(twice.status, StatusCode::NOT_FOUND);
}

fn progress(site: &Site, id: i64) -> Progress {
    let all: Vec<(i64, Maintenance)> = site.hub.agenda.maintenance();
    all.into_iter().find(|(other, _)| *other == id).unwrap().1.state
}

#[tokio::test]
async fn images_of_a_training_are_fetched_before_it_begins() {
    let far = site(|it| {
        it.trainings.get_mut("school").unwrap().windows = vec![from_now(2 * 86_400, 3 * 86_400)];
    });
    let near = site(|it| {
        it.trainings.get_mut("school").unwrap().windows = vec![from_now(3_600, 7_200)];
    });
    for (site, fetched) in [(far.await, false), (near.await, true)] {
        let (fleet, host) = (site.hub.fleet.fleet(), "tr1".parse().unwrap());
        let config = &site.hub.config().hub;
        let set =
            berth_hub::spec::desired_set(&fleet, &host, config, &site.hub.keys, now()).unwrap();
        assert_eq!(set.watch.images.contains("nb:root"), fetched);
    }
}
