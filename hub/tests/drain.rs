//! A host is emptied: whoever is on it is told, on the card, in JupyterLab and by the API, and sees
//! it no more once the order is taken back.

use std::time::Duration;

use axum::http::StatusCode;
use berth_common::link::{Kernels, Observed, ObservedState, Terminals, Usage};
use berth_common::{Seconds, Timestamp};
use berth_core::{Event, Server};
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::site::{Client, Site};

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

    let number = drains[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(number, "d-0001");
    let path = format!("/hub/api/berth/drains/{number}");
    let one = admin.get(&path).await.json()["drain"].clone();
    assert_eq!((&one["host"], &one["left"]), (&json!("wn1"), &json!(1)), "{one}");
    assert_eq!(bob.get(&path).await.status, StatusCode::FORBIDDEN);
    for nothing in ["d-0002", "42", "wn1"] {
        let reply = admin.get(&format!("/hub/api/berth/drains/{nothing}")).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{nothing}");
    }
    let other = json!({ "intent": "open", "drain": "d-0002" }).to_string();
    let reply = admin.json("PUT", INTENT, &other).await;
    assert_eq!(reply.status, StatusCode::CONFLICT, "{}", reply.text);

    order(&admin, json!({ "intent": "open", "drain": number })).await;
    let over = admin.get(&path).await.json()["drain"].clone();
    assert_eq!((&over["state"], &over["left"]), (&json!("over"), &json!(1)), "{over}");
    assert_eq!(over["intent"]["reason"], "driver 470");
    assert!(over["ended"].is_string(), "{over}");
    let again = json!({ "intent": "draining", "reason": "once more" });
    assert_eq!(order(&admin, again).await["drain"], "d-0002");
    order(&admin, json!({ "intent": "open" })).await;
    let page = browser.get("/hub/home").await.text;
    assert!(!page.contains("wn1 is to be empty by"), "{page}");
    assert_eq!(admin.get("/hub/api/berth/drains").await.json()["drains"], json!([]));
}

/// The outlook for `wn1` of an order that ends in six hours and is only looked at.
async fn outlook(admin: &Client<'_>, by: Timestamp) -> Value {
    let wish = json!({
        "intent": "draining", "by": by.to_string(), "reason": "driver 470", "dry_run": true,
    });
    order(admin, wish).await["outlook"].clone()
}

#[tokio::test]
async fn who_is_hit_what_they_run_and_what_they_would_be_told_is_known_before() {
    let site = Site::new().await;
    let admin = site.program("root_").await;
    let by = now().plus(Seconds(6 * 3_600));
    let nobody = outlook(&admin, by).await;
    assert_eq!((&nobody["servers"], &nobody["telling"]), (&json!([]), &Value::Null));

    let alice = site.running("alice", "").await;
    let bob = site.running("bob", "").await;
    let unknown = outlook(&admin, by).await["servers"][0].clone();
    assert_eq!((&unknown["kernels"], &unknown["terminals"]), (&Value::Null, &Value::Null));

    let kernels = |busy, quiet_ms| Usage {
        cpu_us: 1,
        kernels: Some(Kernels { busy, quiet_ms: Some(quiet_ms) }),
        terminals: Some(Terminals { open: 1, working: 0 }),
        ..Usage::default()
    };
    let seen =
        |server: &Server, usage| Observed { usage, ..site.seen(server, ObservedState::Ready) };
    site.report(vec![seen(&alice, kernels(2, 0)), seen(&bob, kernels(0, 65_000))]).await;
    let outlook = outlook(&admin, by).await;
    let of = |user: &str| {
        let servers = outlook["servers"].as_array().unwrap();
        servers.iter().find(|server| server["user"] == user).unwrap().clone()
    };
    let (alice, bob) = (of("alice"), of("bob"));
    assert_eq!(alice["profile"], "cpu");
    assert_eq!(alice["kernels"], json!({ "busy": 2, "quiet_s": 0 }));
    assert_eq!(alice["terminals"], json!({ "open": 1, "working": 0 }));
    assert_eq!((&alice["end"], &alice["at"]), (&json!("interrupted"), &json!(by.to_string())));
    assert_eq!(bob["kernels"], json!({ "busy": 0, "quiet_s": 65 }));
    assert_eq!((&bob["end"], &bob["at"]), (&json!("stopped"), &json!(by.to_string())));

    let telling = &outlook["telling"];
    assert_eq!(telling["people"], json!(["alice", "bob"]));
    // A day before is over already.
    assert_eq!(telling["leads_s"], json!([7_200, 600]));
    assert_eq!(telling["channels"], json!(["lab", "card"]), "no mail server is named");
    order(&admin, json!({ "intent": "draining", "by": by.to_string(), "reason": "driver 470" }))
        .await;
    told(&site).await;
    let notices = site.program("alice").await.get("/hub/api/berth/notices").await.json();
    let notices = notices["notices"].as_array().unwrap();
    let read = notices.iter().find(|it| it["kind"] == "drain").unwrap()["text"].clone();
    assert_eq!(telling["text"], read, "they read what was foretold");
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

#[tokio::test]
async fn people_read_the_message_of_an_order_in_place_of_its_reason() {
    const REASON: &str = "ticket 4711";
    const MESSAGE: &str = "its fan is loud";
    let site = Site::new().await;
    let server = site.running("alice", "").await;
    let (admin, alice) = (site.program("root_").await, site.program("alice").await);
    let wish = json!({ "intent": "draining", "reason": REASON, "message": MESSAGE });
    for (field, value, says) in [("message", " ", "say something"), ("intent", "cordoned", "only")]
    {
        let mut wrong = wish.clone();
        wrong[field] = json!(value);
        let reply = admin.json("PUT", INTENT, &wrong.to_string()).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert!(reply.text.contains(says), "{}", reply.text);
    }
    let done = order(&admin, wish).await;
    assert_eq!(done["intent"]["message"], MESSAGE);
    told(&site).await;

    let page = site.browser("alice").await.get("/hub/home").await.text;
    assert!(page.contains(MESSAGE) && !page.contains(REASON), "{page}");
    let notices = alice.get("/hub/api/berth/notices").await.text;
    assert!(notices.contains(MESSAGE) && !notices.contains(REASON), "{notices}");
    let path = format!("/hub/api/berth/servers/{}", server.id);
    let one = alice.get(&path).await.json()["server"].clone();
    assert_eq!(one["leaving"]["reason"], MESSAGE, "{one}");

    let path = format!("/hub/api/berth/drains/{}", done["drain"].as_str().unwrap());
    let now = admin.get(&path).await.json()["drain"]["intent"].clone();
    assert_eq!((&now["reason"], &now["message"]), (&json!(REASON), &json!(MESSAGE)));
    order(&admin, json!({ "intent": "open" })).await;
    let over = admin.get(&path).await.json()["drain"]["intent"].clone();
    assert_eq!((&over["reason"], &over["message"]), (&json!(REASON), &json!(MESSAGE)));
}
