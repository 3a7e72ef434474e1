//! A host is emptied: whoever is on it is told, on the card, in JupyterLab and by the API, and sees
//! it no more once the order is taken back.

mod site;

use std::time::Duration;

use axum::http::StatusCode;
use berth_common::Seconds;
use berth_core::Event;
use berth_process::clock::now;
use serde_json::{Value, json};
use site::{Client, Site};

const INTENT: &str = "/hub/api/berth/hosts/wn1/intent";

async fn order(admin: &Client<'_>, body: Value) -> Value {
    let reply = admin.json("PUT", INTENT, &body.to_string()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()
}

/// Waits until everybody who is to be told was told.
async fn told(site: &Site) {
    let server = site.server("alice", "");
    let mut fleet = site.hub.fleet.watch();
    let told = fleet.wait_for(|fleet| fleet.leaving(&fleet.servers[&server.id]).is_some());
    tokio::time::timeout(Duration::from_secs(180), told).await.expect("told").unwrap();
}

#[tokio::test]
async fn people_on_a_host_that_is_emptied_are_told_at_once() {
    let site = Site::new().await;
    site.running("alice", "").await;
    let (admin, alice) = (site.program("root_").await, site.program("alice").await);
    let browser = site.browser("alice").await;
    let by = now().plus(Seconds(6 * 3_600));
    let wish = json!({ "intent": "draining", "by": by.to_string(), "reason": "driver 470" });
    let mut dry = wish.clone();
    dry["dry_run"] = json!(true);
    let seen = order(&admin, dry).await;
    assert_eq!(seen["outlook"]["servers"][0]["user"], "alice");
    assert_eq!(admin.get("/hub/api/berth/drains").await.json()["drains"], json!([]));

    order(&admin, wish).await;
    told(&site).await;
    let page = browser.get("/hub/home").await.text;
    assert!(page.contains("wn1 is to be empty by"), "{page}");
    assert!(page.contains("driver 470. What runs there then is stopped."), "{page}");
    let notices = alice.get("/hub/api/berth/notices").await.json()["notices"].clone();
    let notice = notices.as_array().unwrap().iter().find(|it| it["kind"] == "drain").unwrap();
    assert_eq!(notice["stops_at"], by.to_string());
    assert!(notice["text"].as_str().unwrap().contains("it will run on another host"), "{notice}");
    let bob = site.program("bob").await;
    assert_eq!(bob.get("/hub/api/berth/notices").await.json()["notices"], json!([]));
    assert_eq!(bob.get("/hub/api/berth/drains").await.status, StatusCode::FORBIDDEN);

    let drains = admin.get("/hub/api/berth/drains").await.json()["drains"].clone();
    assert_eq!(drains[0]["host"], "wn1");
    assert_eq!((&drains[0]["left"], &drains[0]["state"]), (&json!(1), &json!("draining")));
    assert_eq!(drains[0]["servers"][0]["user"], "alice");
    assert!(drains[0]["servers"][0]["told_at"].is_string(), "{drains}");

    order(&admin, json!({ "intent": "open" })).await;
    let page = browser.get("/hub/home").await.text;
    assert!(!page.contains("wn1 is to be empty by"), "{page}");
    assert_eq!(admin.get("/hub/api/berth/drains").await.json()["drains"], json!([]));
}

#[tokio::test]
async fn what_an_order_does_not_say_comes_from_lifecycle_toml() {
    let site = Site::new().await;
    site.running("alice", "").await;
    let mut settings = (*site.hub.fleet.fleet().settings).clone();
    settings.lifecycle.drain.at_deadline = berth_core::drain::single::AtDeadline::Hold;
    settings.lifecycle.drain.leads = vec![Seconds(60)];
    site.hub.fleet.send(Event::SettingsChanged(settings.into())).await;
    site.settle().await;
    let admin = site.program("root_").await;
    let by = now().plus(Seconds(600)).to_string();
    let done = order(&admin, json!({ "intent": "draining", "by": by, "reason": "kernel" })).await;
    assert_eq!(done["intent"]["at_deadline"], "hold");
    told(&site).await;
    let page = site.browser("alice").await.get("/hub/home").await.text;
    assert!(page.contains("kernel. Nothing is stopped by force."), "{page}");
    let fleet = site.hub.fleet.fleet();
    let host = fleet.hosts.values().next().unwrap();
    let berth_core::fleet::Intent::Draining { plan, .. } = &host.intent else { panic!() };
    assert_eq!(plan.leads, [Seconds(60)]);
}
