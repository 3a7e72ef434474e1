//! The life of a server as people and programs see it: when it stops, why, and how to put that off.

use std::time::Duration;

use axum::http::StatusCode;
use berth_common::{Reason, Seconds};
use berth_core::life::Evidence;
use berth_core::settings::{Cite, IdleRule, Lifecycle, Warn, Whose};
use berth_core::{Event, Fleet, Server};
use berth_process::clock::now;
use serde_json::json;

use crate::site::{FORM, Site};

/// Idle servers stop after so many seconds, with warnings so many before.
pub fn idle_after(seconds: u64, leads: &[u64]) -> Lifecycle {
    Lifecycle {
        idle: vec![IdleRule {
            whose: Whose::default(),
            stop_after: Some(Seconds(seconds)),
            cite: Cite::default(),
        }],
        warn: Warn { leads: leads.iter().copied().map(Seconds).collect(), ..Warn::default() },
        ..Lifecycle::default()
    }
}

async fn site_under(lifecycle: Lifecycle) -> Site {
    let site = Site::new().await;
    let mut settings = (*site.hub.fleet.fleet().settings).clone();
    settings.lifecycle = lifecycle;
    site.hub.fleet.send(Event::SettingsChanged(settings.into())).await;
    site.settle().await;
    site
}

const DAY: u64 = 86_400;

/// Waits until the fleet is as it should be.
async fn until(site: &Site, what: &str, is: impl Fn(&Fleet) -> bool) {
    let mut fleet = site.hub.fleet.watch();
    let wait = fleet.wait_for(|fleet| is(fleet));
    let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
    waited.unwrap_or_else(|_| panic!("never: {what}")).unwrap();
}

fn is_warned(fleet: &Fleet, server: &Server) -> bool {
    let placement = fleet.servers[&server.id].placement();
    placement.is_some_and(|placement| !placement.life.told.is_empty())
}

#[tokio::test]
async fn the_card_says_when_a_server_stops_and_a_form_puts_that_off() {
    let site = site_under(idle_after(3 * DAY, &[7_200, 600])).await;
    let server = site.running("alice", "").await;
    let browser = site.browser("alice").await;
    let home = browser.get("/hub/home").await;
    assert!(home.text.contains("Without further activity it stops <time"), "{}", home.text);
    assert!(home.text.contains("Extend by 1 d (3 of 3 left)"), "{}", home.text);
    let before = site.server("alice", "").placement().unwrap().life.clone();
    assert_eq!(before.kept_until, None);

    // By the form alone: no script, no header, no JSON.
    let path = format!("/hub/servers/{}/extend", server.id);
    let form = format!("_xsrf={}&next=%2Fhub%2Fhome", browser.xsrf);
    let done = browser.send("POST", &path, &[("content-type", FORM)], &form).await;
    assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, "/hub/home"));
    let kept = site.server("alice", "").placement().unwrap().life.kept_until.unwrap();
    assert!(kept > now().plus(Seconds(3 * DAY)));
    assert!(browser.get("/hub/home").await.text.contains("Extend by 1 d (2 of 3 left)"));

    for _ in 0..2 {
        browser.send("POST", &path, &[("content-type", FORM)], &form).await;
    }
    let home = browser.get("/hub/home").await;
    assert!(!home.text.contains("Extend by"), "the button goes with the budget");
    let refused = browser.send("POST", &path, &[("content-type", FORM)], &form).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.text.contains("as often as possible already: 3 times, by 1 d each"));

    // Without the page's own token, and by somebody else, nothing happens.
    let forged = browser.send("POST", &path, &[("content-type", FORM)], "next=").await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    let bob = site.browser("bob").await;
    let form = format!("_xsrf={}", bob.xsrf);
    let other = bob.send("POST", &path, &[("content-type", FORM)], &form).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    assert_eq!(bob.get(&format!("/hub/servers/{}", server.id)).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_servers_page_shows_each_sign_of_activity() {
    let site = site_under(idle_after(3 * DAY, &[600])).await;
    let server = site.running("alice", "").await;
    let token = site.server_token(&server);
    let report = json!({ "servers": { "": { "last_activity": now().to_string() } } });
    let path = "/hub/api/users/alice/activity";
    let reported = site.by_token(&token).json("POST", path, &report.to_string()).await;
    assert_eq!(reported.status, StatusCode::OK);
    let kind = Evidence::Browser;
    site.hub.fleet.send(Event::Activity { server: server.id.clone(), kind, at: now() }).await;
    site.settle().await;
    let browser = site.browser("alice").await;
    let page = browser.get(&format!("/hub/servers/{}", server.id)).await;
    assert_eq!(page.status, StatusCode::OK);
    for words in ["the notebook server", "a browser", "Keeps it alive", "Kept alive by"] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
}

#[tokio::test]
async fn programs_put_a_stop_off_within_the_budget_and_within_their_rights() {
    let site = site_under(idle_after(3 * DAY, &[600])).await;
    let server = site.running("alice", "n1").await;
    let path = format!("/hub/api/berth/servers/{}/extend", server.id);
    let alice = site.program("alice").await;
    let show = format!("/hub/api/berth/servers/{}", server.id);
    let life = alice.get(&show).await.json()["server"]["life"].clone();
    assert_eq!(life["extension"], json!({ "step_s": DAY, "left": 3, "of": 3 }));
    assert_eq!(life["stops_for"]["code"], "stopped.idle");

    // A day and a bit is two steps.
    let two = alice.json("POST", &path, &json!({ "for": DAY + 1 }).to_string()).await;
    assert_eq!(two.status, StatusCode::OK, "{}", two.text);
    let life = two.json()["server"]["life"].clone();
    assert_eq!(life["extension"]["left"], 1);
    let kept = site.server("alice", "n1").placement().unwrap().life.kept_until.unwrap();
    assert_eq!(life["stops_at"], kept.to_string());
    let too_far = alice.json("POST", &path, &json!({ "for": 2 * DAY }).to_string()).await;
    assert_eq!(too_far.status, StatusCode::CONFLICT);
    assert_eq!(too_far.header("x-berth-reason"), "refused.extension.used_up");
    assert_eq!(too_far.message(), "It can be put off 1 more times of 3, by 1d each.");
    for bad in [r#"{"for": "1d"}"#, r#"{"for": 0}"#, r#"{"fro": 1}"#] {
        let reply = alice.json("POST", &path, bad).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{bad}");
    }

    let reader = site.token("alice", &["read:servers"]).await;
    let refused = site.by_token(&reader).json("POST", &path, "").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let own = site.by_token(&site.server_token(&server)).json("POST", &path, "").await;
    assert_eq!(own.status, StatusCode::FORBIDDEN, "a server does not keep itself alive");
    let bob = site.program("bob").await.json("POST", &path, "").await;
    assert_eq!(bob.status, StatusCode::NOT_FOUND);
    // Administrators have no budget, and take nothing from the owner's.
    let admin = site.program("root_").await;
    let given = admin.json("POST", &path, &json!({ "for": 5 * DAY }).to_string()).await;
    assert_eq!(given.status, StatusCode::OK, "{}", given.text);
    assert_eq!(given.json()["server"]["life"]["extension"]["left"], 1);
}

#[tokio::test]
async fn a_warned_server_stops_says_why_and_starts_again() {
    // The proxy tells nothing here but what this test does, so nothing is stopped before.
    let site = site_under(idle_after(4, &[2])).await;
    site.hub.fleet.send(Event::ActivityTold { until: now() }).await;
    let server = site.running("alice", "").await;
    until(&site, "a warning", |fleet| is_warned(fleet, &server)).await;
    let browser = site.browser("alice").await;
    let home = browser.get("/hub/home").await;
    assert!(
        home.text.contains("The server will stop: nothing is going on in it."),
        "{}",
        home.text
    );

    // Inside JupyterLab: the person's session, and the server's own token.
    let notices = browser.get("/hub/api/berth/notices").await.json()["notices"].clone();
    assert_eq!(notices[0]["kind"], "stop");
    assert_eq!(notices[0]["server"], server.id.as_str());
    assert_eq!(notices[0]["extension"]["left"], 3);
    let own = site.by_token(&site.server_token(&server)).get("/hub/api/berth/notices").await;
    assert_eq!(own.json()["notices"][0]["kind"], "stop");
    let bob = site.program("bob").await.get("/hub/api/berth/notices").await;
    assert_eq!(bob.json()["notices"], json!([]));

    until(&site, "its time is over", |fleet| {
        let life = fleet.servers[&server.id].placement().map(|placement| &placement.life);
        life.is_some_and(|life| life.due_at.is_some())
    })
    .await;
    assert!(site.server("alice", "").is_ready(), "what the proxy saw is not known yet");
    site.hub.fleet.send(Event::ActivityTold { until: now() }).await;
    until(&site, "the stop", |fleet| !fleet.servers[&server.id].is_ready()).await;
    site.report(Vec::new()).await;
    let ended = site.server("alice", "");
    assert_eq!(ended.last_end.as_ref().unwrap().reason, Reason::StoppedIdle);
    let home = browser.get("/hub/home").await;
    assert!(home.text.contains("stopped.idle") && home.text.contains("Start again like this"));
    assert!(home.text.contains("No activity for 4s; last: its start,"), "{}", home.text);

    // JupyterHub's fields stay what its clients expect.
    let admin = site.program("root_").await;
    let path = "/hub/api/users/alice?include_stopped_servers";
    let model = admin.get(path).await.json()["servers"][""].clone();
    assert_eq!((&model["stopped"], &model["ready"]), (&json!(true), &json!(false)));
    assert_eq!(model["pending"], json!(null));
    assert_eq!(model["last_activity"], ended.last_activity.to_string());
}
