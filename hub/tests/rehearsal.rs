//! Rehearsals of a training with real servers: begun, measured, ended and gone, by whom they may be
//! and one at a time; and a hub that is killed in the middle leaves nothing over.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::StatusCode;
use berth_common::link::{Observed, ObservedState, StartStep, StepDone};
use berth_common::{ByteCount, Reason, Seconds, Timestamp};
use berth_core::Server;
use berth_core::event::Wish;
use berth_core::settings::{Cite, People, Profile, Quota, Training, Window};
use berth_hub::config::Config;
use berth_hub::trainings::dress;
use berth_hub::{actions, agenda};
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::site::{self, Site};

const GB: u64 = 1 << 30;
const PATH: &str = "/hub/api/berth/trainings/school/rehearsal/servers";

/// A training that bob teaches, with the one host of 32 GB; it is on tomorrow.
async fn school(site: &Site, change: impl FnOnce(&mut Training)) {
    let config = site.hub.config();
    let mut settings = config.settings.clone();
    let tomorrow = |hours: i64| Timestamp(now().0 + hours * 3_600_000_000);
    let cite = Cite { file: "trainings.d/school.toml".into(), line: 2 };
    let mut training = Training {
        title: "ROOT school".into(),
        pool: "cpu".into(),
        windows: vec![Window { from: tomorrow(24), to: tomorrow(32) }],
        participants: People {
            users: BTreeSet::from(["alice".parse().unwrap()]),
            ..People::default()
        },
        expected: 3,
        instructors: BTreeSet::from(["bob".parse().unwrap()]),
        quota: Quota { servers: Some(1), ..Quota::default() },
        stop_after: Seconds(7200),
        start_within: Seconds(300),
        cite: cite.clone(),
    };
    change(&mut training);
    let profile = Profile {
        title: "ROOT school".into(),
        pool: "cpu".into(),
        memory_default: ByteCount(4 * GB),
        memory_choices: vec![ByteCount(4 * GB)],
        memory_max: ByteCount(4 * GB),
        images: vec!["base".into()],
        training: Some("school".into()),
        cite,
        ..Profile::default()
    };
    settings.profiles.insert("school".into(), profile);
    settings.trainings.insert("school".into(), training);
    let (people, services, farm) = Default::default();
    let fresh = Config { settings, people, services, farm, hub: config.hub.clone() };
    site.hub.config.store(Arc::new(fresh));
    agenda::put_in_force(&site.hub).await;
    site.settle().await;
}

async fn site() -> Site {
    let site = Site::new().await;
    school(&site, |_| {}).await;
    site
}

/// The servers of rehearsals, in the order of their names.
fn servers(site: &Site) -> Vec<Arc<Server>> {
    let fleet = site.hub.fleet.fleet();
    let mut all: Vec<_> = fleet.servers.values().filter(|it| it.is_rehearsal()).cloned().collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// A server that answers; its host took two seconds to fetch, one for the container, three for
/// JupyterLab, by a clock that is an hour ahead.
fn ready(site: &Site, server: &Server) -> Observed {
    let begun = Timestamp(now().0 + 3_600_000_000);
    let steps = [
        (StartStep::Fetch, 0),
        (StartStep::Image, 2_000),
        (StartStep::Spaces, 2_100),
        (StartStep::Container, 2_500),
        (StartStep::Started, 3_000),
        (StartStep::Answers, 6_000),
    ];
    let steps =
        steps.map(|(step, millis)| StepDone { step, at: Timestamp(begun.0 + millis * 1000) });
    Observed { steps: steps.into(), ..site.seen(server, ObservedState::Ready) }
}

/// The host shows those that go on, and nothing of the others.
async fn report(site: &Site) {
    let goes_on = |it: &&Arc<Server>| it.placement().is_some_and(|it| it.stop.is_none());
    let all = servers(site);
    site.report(all.iter().filter(goes_on).map(|it| ready(site, it)).collect()).await;
}

async fn look(site: &Site) {
    dress::carry_out(&site.hub, now()).await;
}

async fn shown(site: &Site, who: &str) -> Value {
    site.program(who).await.get(PATH).await.json()["rehearsal"].clone()
}

#[tokio::test]
async fn its_servers_start_at_once_are_measured_and_are_gone() {
    let site = site().await;
    let bob = site.program("bob").await;
    assert_eq!(bob.get(PATH).await.status, StatusCode::NOT_FOUND, "never rehearsed");
    let begun = bob.json("POST", PATH, "{}").await;
    assert_eq!(begun.status, StatusCode::CREATED, "{begun:?}");
    let started = servers(&site);
    let names: Vec<_> = started.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["rehearsal-1", "rehearsal-2", "rehearsal-3"], "as many as are expected");
    assert!(started.iter().all(|it| it.owner.as_str() == "bob" && it.placement().is_some()));
    assert!(started.iter().all(|it| it.ask.profile == "school" && it.ask.memory.0 == 4 * GB));
    assert_eq!(shown(&site, "bob").await["in_time"], Value::Null, "not known yet");

    // What nobody of the training is: neither in its list, nor under its quota.
    let people = bob.get("/hub/api/berth/trainings/school").await.json()["training"].clone();
    assert_eq!(people["known"], 1, "{people}");

    report(&site).await;
    look(&site).await;
    let ended = servers(&site);
    let why = |it: &Arc<Server>| it.placement().and_then(|it| Some(it.stop.as_ref()?.end.reason));
    assert!(ended.iter().all(|it| why(it) == Some(Reason::StoppedRehearsal)), "{ended:?}");
    let ending = shown(&site, "root_").await;
    assert_eq!((&ending["stage"], &ending["left"]), (&json!("ending"), &json!(3)), "{ending}");
    look(&site).await;
    assert_eq!(shown(&site, "root_").await["stage"], "ending", "the host has not shown it yet");

    report(&site).await;
    look(&site).await;
    assert_eq!(servers(&site), [], "ended and forgotten");
    let over = shown(&site, "root_").await;
    assert_eq!((&over["stage"], &over["left"]), (&json!("over"), &json!(0)), "{over}");
    assert_eq!((&over["ready"], &over["failed"]), (&json!(3), &json!(0)));
    assert_eq!(over["in_time"], true);
    let seat = &over["seats"][0];
    let total = seat["total_ms"].as_u64().unwrap();
    let parts = ["queued_ms", "image_ms", "container_ms", "ready_ms"].map(|it| seat[it].as_u64());
    assert_eq!(parts.iter().map(|it| it.unwrap()).sum::<u64>(), total, "the parts make the whole");
    assert_eq!(seat["host"], "wn1");
    assert!(over["times"]["total_ms"]["max"].as_u64().unwrap() >= total);
    assert_eq!(shown(&site, "bob").await["seats"][0]["host"], Value::Null, "hosts are not bob's");

    let admin = site.program("root_").await;
    let acts = admin.get("/hub/api/berth/audit?action=training-rehearse").await.json();
    let act = &acts["audit"][0];
    assert_eq!((&act["actor"], &act["reason"]), (&json!("bob"), &json!("3 servers")), "{acts}");
}

#[tokio::test]
async fn the_parts_of_a_start_are_by_the_hosts_clock_and_the_whole_by_the_hubs() {
    let site = site().await;
    let bob = site.program("bob").await;
    bob.json("POST", PATH, r#"{"servers": 1}"#).await;
    let server = servers(&site).remove(0);
    report(&site).await;
    let server = site.server("bob", server.name.as_str());
    let since = Timestamp(server.placement().unwrap().ready_at.unwrap().0 - 7_000_000);
    let took = berth_core::agenda::Took::of(&server, since).unwrap();
    let parts = (took.queued_ms, took.image_ms, took.container_ms, took.ready_ms);
    assert_eq!((parts, took.total_ms), ((1_000, 2_000, 1_000, 3_000), 7_000));
    let since = Timestamp(since.0 + 4_500_000);
    let took = berth_core::agenda::Took::of(&server, since).unwrap();
    let parts = (took.queued_ms, took.image_ms, took.container_ms, took.ready_ms);
    assert_eq!((parts, took.total_ms), ((0, 2_000, 500, 0), 2_500), "no more than the whole");
}

#[tokio::test]
async fn one_at_a_time_and_the_other_hears_who_and_since_when() {
    let site = site().await;
    let (bob, admin) = (site.program("bob").await, site.program("root_").await);
    assert_eq!(bob.json("POST", PATH, "{}").await.status, StatusCode::CREATED);
    let other = admin.json("POST", PATH, r#"{"servers": 1}"#).await;
    assert_eq!(other.status, StatusCode::CONFLICT, "{other:?}");
    let since = now().to_string();
    let day = since.get(..10).unwrap();
    let start = format!("bob rehearses school since {day}");
    assert!(other.message().starts_with(&start), "{}", other.message());
    assert_eq!(servers(&site).len(), 3, "nothing more was started");

    // Broken off in the middle, by somebody else who may.
    let ended = admin.json("DELETE", PATH, "").await;
    assert_eq!(ended.status, StatusCode::OK, "{ended:?}");
    let ended = ended.json()["rehearsal"].clone();
    assert_eq!((&ended["stage"], &ended["failed"]), (&json!("ending"), &json!(3)), "{ended}");
    assert_eq!(ended["in_time"], false);
    assert_eq!(ended["seats"][0]["detail"], "The rehearsal was broken off.");
    assert_eq!(admin.json("POST", PATH, "{}").await.status, StatusCode::CONFLICT, "not gone yet");
    report(&site).await;
    look(&site).await;
    assert_eq!(servers(&site), []);
    assert_eq!(admin.json("DELETE", PATH, "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(admin.json("POST", PATH, "{}").await.status, StatusCode::CREATED);
    assert!(servers(&site).iter().all(|it| it.owner.as_str() == "root_"));
}

#[tokio::test]
async fn only_who_looks_after_the_training_rehearses_it() {
    let site = site().await;
    let alice = site.program("alice").await;
    for method in ["GET", "POST", "DELETE"] {
        let reply = alice.json(method, PATH, "{}").await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{method}: {reply:?}");
    }
    let bob = site.program("bob").await;
    for wrong in [r#"{"servers": 0}"#, r#"{"servers": 1001}"#, r#"{"people": 3}"#] {
        let reply = bob.json("POST", PATH, wrong).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{wrong}: {reply:?}");
    }
    assert_eq!(servers(&site), []);
}

#[tokio::test]
async fn it_takes_the_room_that_there_is_and_none_while_somebody_waits() {
    let site = Site::new().await;
    school(&site, |it| it.expected = 30).await;
    let bob = site.program("bob").await;
    let begun = bob.json("POST", PATH, "{}").await.json()["rehearsal"].clone();
    // 30 GB for servers of 4.
    assert_eq!((&begun["servers"], &begun["failed"]), (&json!(7), &json!(0)), "{begun}");
    report(&site).await;

    // Somebody who needs the room does not wait for the rehearsal.
    let big = r#"{"profile":"cpu","memory":"16G"}"#;
    let alice = site.program("alice").await;
    assert!(alice.json("POST", "/hub/api/users/alice/server", big).await.status.is_success());
    assert!(site.server("alice", "").waiting_since().is_some());
    let goes_on = |it: &Arc<Server>| it.placement().is_some_and(|it| it.stop.is_none());
    assert!(!servers(&site).iter().any(goes_on), "all give way");
    let other = bob.json("POST", PATH, "{}").await;
    assert_eq!(other.status, StatusCode::CONFLICT);
    look(&site).await;
    report(&site).await;
    assert!(site.server("alice", "").placement().is_some(), "in the room that came free");
    look(&site).await;
    assert_eq!(servers(&site), []);

    // More than there is room for: those beyond it say why.
    let more = bob.json("POST", PATH, r#"{"servers": 9}"#).await.json()["rehearsal"].clone();
    let failed = more["failed"].as_u64().unwrap();
    assert!(failed >= 6, "16 GB are alice's: {more}");
    let last = &more["seats"][8];
    assert_eq!(last["reason"]["code"], "refused.rehearsal", "{last}");
}

#[tokio::test]
async fn none_begins_while_somebody_waits_for_the_pool() {
    let site = site().await;
    // 30 GB: 16 of them are bob's, so alice waits for 16, and a server of 4 GB would find room.
    let (bob, alice) = (site.program("bob").await, site.program("alice").await);
    let big = r#"{"profile":"cpu","memory":"16G"}"#;
    bob.json("POST", "/hub/api/users/bob/server", big).await;
    site.report(vec![site.seen(&site.server("bob", ""), ObservedState::Ready)]).await;
    alice.json("POST", "/hub/api/users/alice/server", big).await;
    assert!(site.server("alice", "").waiting_since().is_some());
    let refused = bob.json("POST", PATH, r#"{"servers": 1}"#).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
    let why = "somebody waits for the pool cpu; a rehearsal would take what comes free there.";
    assert_eq!(refused.message(), why);
    assert_eq!(bob.get(PATH).await.status, StatusCode::NOT_FOUND, "nothing began");
}

#[tokio::test]
async fn kept_servers_stay_until_somebody_ends_them_or_their_time_is_over() {
    let site = site().await;
    let bob = site.program("bob").await;
    bob.json("POST", PATH, r#"{"servers": 2, "keep": true}"#).await;
    report(&site).await;
    look(&site).await;
    look(&site).await;
    let kept = shown(&site, "bob").await;
    assert_eq!((&kept["stage"], &kept["left"]), (&json!("kept"), &json!(2)), "{kept}");
    assert_eq!(kept["in_time"], true);
    assert_eq!(kept["keep"], true);
    let until = keeps_until(&kept, Seconds(1800));
    dress::carry_out(&site.hub, Timestamp(until.0 - 1)).await;
    assert_eq!(shown(&site, "bob").await["stage"], "kept");
    dress::carry_out(&site.hub, until).await;
    assert_eq!(shown(&site, "bob").await["stage"], "ending");
    report(&site).await;
    look(&site).await;
    assert_eq!(servers(&site), []);

    let admin = site.program("root_").await;
    admin.json("POST", PATH, r#"{"servers": 2, "keep": true}"#).await;
    report(&site).await;
    look(&site).await;
    keeps_until(&shown(&site, "bob").await, Seconds(3600));
    let ended = bob.json("DELETE", PATH, "").await.json()["rehearsal"].clone();
    assert_eq!((&ended["stage"], &ended["ready"]), (&json!("ending"), &json!(2)), "{ended}");
    assert_eq!(ended["failed"], 0, "they were ready: {ended}");
}

/// Until when servers stay: so long after the last of them was ready, to the second.
fn keeps_until(kept: &Value, span: Seconds) -> Timestamp {
    let at: Timestamp = kept["at"].as_str().unwrap().parse().unwrap();
    let last = Seconds(kept["times"]["total_ms"]["max"].as_u64().unwrap().div_ceil(1000));
    let until: Timestamp = kept["until"].as_str().unwrap().parse().unwrap();
    assert_eq!(until, at.plus(last).plus(span), "{kept}");
    until
}

#[tokio::test]
async fn kept_servers_that_gave_way_keep_nobody_from_rehearsing() {
    let site = site().await;
    let bob = site.program("bob").await;
    bob.json("POST", PATH, r#"{"servers": 7, "keep": true}"#).await;
    report(&site).await;
    look(&site).await;
    assert_eq!(shown(&site, "bob").await["stage"], "kept");
    let big = r#"{"profile":"cpu","memory":"16G"}"#;
    let alice = site.program("alice").await;
    alice.json("POST", "/hub/api/users/alice/server", big).await;
    look(&site).await;
    assert_eq!(shown(&site, "bob").await["stage"], "kept", "the host has not shown it yet");
    report(&site).await;
    look(&site).await;
    let over = shown(&site, "bob").await;
    assert_eq!((&over["stage"], &over["ready"]), (&json!("over"), &json!(7)), "{over}");
    assert_eq!(servers(&site), []);
}

#[tokio::test]
async fn what_does_not_answer_in_time_has_failed() {
    let site = site().await;
    let bob = site.program("bob").await;
    bob.json("POST", PATH, r#"{"servers": 2}"#).await;
    let all = servers(&site);
    site.report(vec![ready(&site, &all[0])]).await;
    dress::carry_out(&site.hub, now().plus(Seconds(599))).await;
    assert_eq!(shown(&site, "bob").await["stage"], "running");
    dress::carry_out(&site.hub, now().plus(Seconds(601))).await;
    let late = shown(&site, "bob").await;
    assert_eq!((&late["ready"], &late["failed"]), (&json!(1), &json!(1)), "{late}");
    assert_eq!(late["seats"][1]["reason"]["code"], "failed.no_answer");
    assert_eq!((&late["stage"], &late["in_time"]), (&json!("ending"), &json!(false)));
}

/// A hub on a copy of the store, as if the first had been killed at this moment.
async fn killed(site: &Site) -> Site {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(&site.hub.config().hub.state).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    let next = Site::silent(site::SITE, folder, "wn1:8444").await;
    school(&next, |_| {}).await;
    next
}

#[tokio::test]
async fn a_killed_hub_goes_on_and_leaves_nothing_over() {
    let first = site().await;
    first.program("bob").await.json("POST", PATH, "{}").await;
    let next = killed(&first).await;
    report(&next).await;
    look(&next).await;
    let ending = shown(&next, "bob").await;
    assert_eq!((&ending["ready"], &ending["hub_restarted"]), (&json!(3), &json!(true)), "{ending}");
    let last = killed(&next).await;
    report(&last).await;
    look(&last).await;
    look(&last).await;
    assert_eq!(servers(&last), []);
    assert_eq!(shown(&last, "bob").await["stage"], "over");
}

#[tokio::test]
async fn servers_that_no_rehearsal_wants_are_ended() {
    let site = site().await;
    let account = site.hub.storage.read(|reader| reader.user(&"bob".parse().unwrap()));
    let account = account.unwrap().unwrap().account;
    let wish = Wish { profile: Some("school".into()), rehearsal: true, ..Wish::default() };
    let names = vec!["rehearsal-9".parse().unwrap()];
    actions::start_all(&site.hub, account, names, wish).await.unwrap();
    assert_eq!(servers(&site).len(), 1);
    look(&site).await;
    report(&site).await;
    look(&site).await;
    assert_eq!(servers(&site), []);
}

#[tokio::test]
async fn the_owners_own_servers_keep_their_names_and_are_never_touched() {
    let site = site().await;
    let own = site.running("bob", "rehearsal-2").await;
    let bob = site.program("bob").await;
    bob.json("POST", PATH, "{}").await;
    let names: Vec<_> = servers(&site).iter().map(|it| it.name.to_string()).collect();
    assert_eq!(names, ["rehearsal-1", "rehearsal-3", "rehearsal-4"]);
    bob.json("DELETE", PATH, "").await;
    site.report(vec![site.seen(&own, ObservedState::Ready)]).await;
    look(&site).await;
    assert_eq!(servers(&site), []);
    assert!(site.server("bob", "rehearsal-2").is_ready());
}
