//! A host is emptied that has a server at work, an idle one, and one that is just starting. The hub
//! dies on the way, at one step after the other, and the host's agent stands still over the
//! deadline: everybody is told, and the drain ends as it was ordered, once. How servers leave that
//! differ in what they do is lived through in virtual time (`hub/core/tests/life/emptied.rs`).

use std::collections::BTreeSet;
use std::process::Command;

use berth_common::Seconds;
use berth_process::clock::now;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::points::{each, hub_dies, reaches, somebody};
use super::site::{Site, until, user};

/// Steps at which the hub dies; the numbers are passages since it was started, with the starts of
/// the three servers before the order. `BERTH_LONG` tries all of them, else some.
const STEPS: [(&str, std::ops::Range<u32>); 6] = [
    ("hub.web.before_answer", 7..10),
    ("store.commit.before", 8..14),
    ("store.commit.inside", 8..14),
    ("store.commit.after", 8..14),
    ("hub.link.after_send", 4..8),
    ("hub.routes.before_remove", 1..2),
];
/// From the order to the deadline.
const TIME: Seconds = Seconds(4);

const H1: &str = "/hub/api/berth/hosts/h1/intent";
const H2: &str = "/hub/api/berth/hosts/h2/intent";

#[tokio::test]
async fn a_drain_ends_as_planned_whenever_the_hub_dies() {
    let all = STEPS.into_iter().flat_map(|(point, passages)| {
        passages.map(move |passage| format!("{point}:{passage}")).collect::<Vec<_>>()
    });
    let share = if std::env::var_os("BERTH_LONG").is_some() { 1 } else { 6 };
    let points: Vec<String> = all.skip(1).step_by(share).collect();
    each(points, "", async |site: &mut Site, point: &str| hub_dies(site, point, drained).await)
        .await;
}

async fn intend(site: &Site, path: &str, body: Value) {
    let (status, answer) = site.insist(Method::PUT, path, Some(body)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

/// A new person whose server is asked for.
async fn asks(site: &Site) -> String {
    let (name, uid) = somebody();
    let made = site.insist(Method::POST, "/hub/api/berth/users", Some(user(&name, uid))).await;
    assert!([StatusCode::CREATED, StatusCode::CONFLICT].contains(&made.0), "{name}: {made:?}");
    let path = format!("/hub/api/users/{name}/server");
    let (status, answer) = site.insist(Method::POST, &path, Some(json!({}))).await;
    // Asked again because the hub died before it answered, it is pending or there.
    let there = status.is_success() || status == StatusCode::BAD_REQUEST;
    assert!(there, "{name}: {status} {answer}");
    name
}

/// Lets the agent of the first host stand still, or go on.
fn signal_agent(site: &Site, signal: &str) {
    let agent = site.machines[0].agent.as_ref().unwrap().id().unwrap().to_string();
    assert!(Command::new("kill").args([signal, &agent]).status().unwrap().success());
}

/// Whose servers on the first host are known to be told; `None` while the hub is away.
async fn told_now(site: &Site) -> Option<Vec<String>> {
    let (_, drains) = site.ask(Method::GET, "/hub/api/berth/drains", None).await?;
    let drain = drains["drains"].as_array()?.iter().find(|it| it["host"] == "h1")?;
    let told = drain["servers"].as_array()?.iter().filter(|it| it["told_at"].is_string());
    told.map(|it| it["user"].as_str().map(str::to_owned)).collect()
}

async fn drained(site: &Site) {
    // Everything lands on the first host, as long as the second takes nothing.
    intend(site, H2, json!({ "intent": "cordoned", "reason": "the other one" })).await;
    let (busy, idle) = (asks(site).await, asks(site).await);
    for name in [&busy, &idle] {
        until(&format!("{name} reaches the server"), async || {
            reaches(site, name).await.then_some(())
        })
        .await;
    }
    let sign = json!({ "last_activity": now().to_string() });
    site.insist(Method::POST, &format!("/hub/api/users/{busy}/activity"), Some(sign)).await;
    let starting = asks(site).await;

    let by = now().plus(TIME);
    let order = json!({ "intent": "draining", "by": by.to_string(), "at_deadline": "stop",
        "reason": "a blow" });
    intend(site, H1, order).await;
    signal_agent(site, "-STOP");
    let people = [busy, idle, starting];
    let mut told = BTreeSet::new();
    until("the deadline", async || {
        told.extend(told_now(site).await.unwrap_or_default());
        (now() > by).then_some(())
    })
    .await;
    signal_agent(site, "-CONT");
    assert_eq!(told, people.iter().cloned().collect(), "everybody was told before");

    let servers = until("the host is empty", async || {
        let (_, drains) = site.ask(Method::GET, "/hub/api/berth/drains", None).await?;
        let drain = drains["drains"].as_array()?.iter().find(|it| it["host"] == "h1")?;
        let (_, all) = site.ask(Method::GET, "/hub/api/berth/servers", None).await?;
        let of = |it: &&Value| people.iter().any(|name| it["user"] == json!(name));
        let servers: Vec<Value> = all["servers"].as_array()?.iter().filter(of).cloned().collect();
        let ended = servers.len() == 3 && servers.iter().all(|it| it["state"] == "ended");
        let none_left = drain["state"] == "drained" && drain["left"] == 0;
        let runs = site.containers().iter().any(|it| it.runs && it.host == 0);
        (ended && none_left && !runs).then_some(servers)
    })
    .await;
    for server in &servers {
        assert_eq!(server["last_end"]["reason"]["code"], "stopped.drain", "{server}");
        assert_eq!(server["generation"], 1, "nobody was started twice: {server}");
    }
    intend(site, H1, json!({ "intent": "open" })).await;
    intend(site, H2, json!({ "intent": "open" })).await;
}
