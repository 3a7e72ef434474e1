//! The pages of trainings, for who takes part, teaches and administers, and the board above the
//! servers.

use std::sync::Arc;

use axum::http::StatusCode;
use berth_common::{Seconds, Timestamp};
use berth_core::settings::{Cite, Training, Window};
use berth_process::clock::now;

use super::holds_nothing_inline;
use super::site::{Site, gb};
use crate::agenda;
use crate::config::Config;
use crate::web::reader::{Language, Reader};

async fn site() -> Site {
    let site = Site::new().await;
    begin(&site).await;
    site
}

/// A training on the hosts of pool cpu: bob teaches, alice takes part, it is on.
pub async fn begin(site: &Site) {
    let config = site.hub.config();
    let mut settings = config.settings.clone();
    let hour = |hours: i64| Timestamp(now().0 + hours * 3_600_000_000);
    let mut profile = settings.profiles["cpu"].clone();
    profile.training = Some("school".into());
    profile.default = false;
    profile.memory_default = gb(2);
    settings.profiles.insert("school".into(), profile);
    let training = Training {
        title: "ROOT <school>".into(),
        pool: "cpu".into(),
        windows: vec![Window { from: hour(-1), to: hour(2) }],
        participants: Default::default(),
        expected: 2,
        instructors: ["bob".parse().unwrap()].into(),
        quota: Default::default(),
        stop_after: Seconds(3600),
        start_within: Training::START_WITHIN,
        cite: Cite { file: "trainings.d/school.toml".into(), line: 2 },
    };
    settings.trainings.insert("school".into(), training);
    let people = &mut settings.trainings.get_mut("school").unwrap().participants;
    people.users = ["alice".parse().unwrap(), "zoe".parse().unwrap()].into();
    let (people, services) = (Default::default(), Default::default());
    let farm = Default::default();
    let fresh = Config { settings, people, services, farm, hub: config.hub.clone() };
    site.hub.config.store(Arc::new(fresh));
    agenda::put_in_force(&site.hub).await;
    site.report("wn1", Ok(Vec::new())).await;
}

const PAGE: &str = "/hub/trainings/school";

#[tokio::test]
async fn who_looks_after_a_training_sees_how_far_it_is_and_what_the_others_see() {
    let site = Site::new().await;
    begin(&site).await;
    let list = site.get("bob", "/hub/trainings").await.text();
    assert!(list.contains("0 of 2"), "connected of expected: {list}");
    assert!(!site.get("alice", "/hub/trainings").await.text().contains("0 of 2"));
    let page = site.get("bob", "/hub/trainings/school").await;
    assert!(page.text().contains("What participants see"), "{}", page.text());
    assert!(page.body.contains("disabled>Start my server"), "{}", page.body);
}

#[tokio::test]
async fn who_teaches_sees_and_starts_the_participants() {
    let site = site().await;
    let page = site.get("bob", PAGE).await;
    holds_nothing_inline(PAGE, "bob", &page.body);
    let text = page.text();
    for fact in [
        "ROOT &#60;school&#62;",
        "open until",
        "0 connected of 2 expected",
        "alice no server",
        "Start for alice",
        "zoe never here",
        "One hour more",
        "no valid account: zoe",
        "trainings.d/school.toml:2",
    ] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    assert!(!text.contains("Close it"), "closing is for administrators:\n{text}");

    let answer = site.post("bob", &format!("{PAGE}/participants/alice/start"), "").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(site.server("alice", "").ask.profile, "school");
    site.run("alice", "").await;
    let text = site.get("bob", PAGE).await.text();
    assert!(text.contains("1 connected of 2 expected"), "{text}");
    assert!(
        text.contains("Restart that of alice") && text.contains("Stop that of alice"),
        "{text}"
    );
    for (user, act) in [("alice", "restart"), ("carol", "restart")] {
        let path = format!("{PAGE}/participants/alice/{act}");
        assert_eq!(site.post(user, &path, "").await.status, StatusCode::NOT_FOUND, "{user}");
    }
    site.post("bob", &format!("{PAGE}/participants/alice/stop"), "").await;
    assert!(site.server("alice", "").placement().unwrap().stop.is_some());

    for (user, path) in [
        ("bob", format!("{PAGE}/participants/carol/start")),
        ("alice", format!("{PAGE}/participants/alice/stop")),
        ("carol", format!("{PAGE}/orders")),
    ] {
        let answer = site.post(user, &path, "order=extend&reason=x").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{user} {path}");
    }
}

#[tokio::test]
async fn who_teaches_rehearses_and_sees_what_came_of_it() {
    let site = site().await;
    let text = site.get("bob", PAGE).await.text();
    assert!(text.contains("Rehearse it now") && !text.contains("got ready"), "{text}");
    let path = format!("{PAGE}/rehearsal");
    assert_eq!(site.post("alice", &path, "act=begin").await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.post("bob", &path, "act=begin").await.status, StatusCode::SEE_OTHER);
    assert!(site.server("bob", "rehearsal-2").is_rehearsal());
    let page = site.get("bob", PAGE).await;
    holds_nothing_inline(PAGE, "bob", &page.body);
    let text = page.text();
    assert!(text.contains("bob: 0 of 2 got ready.") && text.contains("End its servers"), "{text}");
    assert_eq!(site.post("bob", &path, "act=begin").await.status, StatusCode::CONFLICT);
    site.run("bob", "rehearsal-1").await;
    let text = site.get("bob", PAGE).await.text();
    assert!(text.contains("bob: 1 of 2 got ready."), "{text}");
    assert!(!text.contains("would be in"), "the other may come still:\n{text}");
    assert_eq!(site.post("bob", &path, "act=end").await.status, StatusCode::SEE_OTHER);
    assert!(site.server("bob", "rehearsal-1").placement().unwrap().stop.is_some());
    let text = site.get("bob", PAGE).await.text();
    assert!(text.contains("2 people would be in after"), "{text}");
}

#[tokio::test]
async fn others_see_only_when_it_is() {
    let site = site().await;
    let list = |user: &'static str| site.get(user, "/hub/trainings");
    let alice = list("alice").await;
    holds_nothing_inline("/hub/trainings", "alice", &alice.body);
    assert!(alice.text().contains("ROOT &#60;school&#62; open until"), "{}", alice.text());
    assert!(!alice.body.contains(PAGE), "{}", alice.body);
    assert!(list("bob").await.body.contains(&format!("href=\"{PAGE}\"")));
    assert!(list("carol").await.text().contains("There is no training for you."));
    for user in ["alice", "carol"] {
        assert_eq!(site.get(user, PAGE).await.status, StatusCode::NOT_FOUND, "{user}");
    }
    let home = site.get("alice", "/hub/home").await.text();
    assert!(home.contains("ROOT &#60;school&#62;: open until"), "{home}");
}

#[tokio::test]
async fn orders_and_messages_of_the_room() {
    let site = site().await;
    let ends = || site.hub.fleet.fleet().settings.trainings["school"].ends().unwrap();
    let before = ends();
    let orders = format!("{PAGE}/orders");
    let mute = site.post("bob", &orders, "order=extend&hours=1&reason=").await;
    assert_eq!((mute.status, ends()), (StatusCode::CONFLICT, before));
    let more = site.post("bob", &orders, "order=extend&hours=1&reason=questions").await;
    assert_eq!((more.status, ends()), (StatusCode::SEE_OTHER, before.plus(Seconds(3600))));
    let close = site.post("bob", &orders, "order=close&reason=x").await;
    assert_eq!(close.status, StatusCode::CONFLICT);

    site.post("bob", &format!("{PAGE}/message"), "text=Room+%3C101%3E").await;
    let home = site.get("alice", "/hub/home").await;
    assert!(home.text().contains("Room &#60;101&#62;"), "{}", home.text());
    assert!(!site.get("carol", "/hub/home").await.text().contains("101"));

    let close = site.post("erin", &orders, "order=close&hours=1&reason=fire+drill").await;
    assert_eq!(close.status, StatusCode::SEE_OTHER);
    let page = site.get("erin", PAGE).await;
    holds_nothing_inline(PAGE, "erin", &page.body);
    for fact in ["over", "Open it for an hour", "fire drill (erin)", "questions (bob)"] {
        assert!(page.text().contains(fact), "{fact:?} is missing:\n{}", page.text());
    }
    let reader = Reader { language: Language::French, ..Reader::default() };
    let french = reader.served(site.get("bob", PAGE)).await.text();
    assert!(french.contains("Participants") && french.contains("terminée"), "{french}");
}

#[tokio::test]
async fn who_takes_part_sees_one_button() {
    let site = site().await;
    let page = site.get("alice", "/hub/spawn").await;
    let before_the_fold = page.body.split("id=\"others\"").next().unwrap();
    let others = page.body.split("id=\"others\"").nth(1).expect("a fold");
    assert!(before_the_fold.contains("value=\"school\""), "{}", page.body);
    assert!(!before_the_fold.contains("value=\"cpu\""), "{}", page.body);
    assert!(others.contains("value=\"cpu\""), "what else there is, is behind it");
    // Who asked for something else gets that, and others see no fold.
    for (user, path) in [("alice", "/hub/spawn?opt-profile=cpu"), ("carol", "/hub/spawn")] {
        assert!(!site.get(user, path).await.body.contains("id=\"others\""), "{user} {path}");
    }
}

#[tokio::test]
async fn a_room_is_followed_by_who_looks_after_it() {
    let site = site().await;
    let path = "/hub/live/trainings/school";
    let mut live = site.live("bob", path).await;
    live.until("0 connected of 2 expected").await;
    site.post("bob", &format!("{PAGE}/participants/alice/start"), "").await;
    live.until("starting").await;
    site.run("alice", "").await;
    live.until("1 connected of 2 expected").await;
    for user in ["alice", "carol"] {
        assert_eq!(site.status(user, path).await, StatusCode::NOT_FOUND, "{user}");
    }
    // Nobody follows what is no more.
    let mut fresh = Config::clone(&site.hub.config());
    fresh.settings.trainings.clear();
    site.hub.config.store(Arc::new(fresh));
    agenda::put_in_force(&site.hub).await;
    live.until("event: gone").await;
}
