//! What Prometheus reads, and who may read it.

mod site;

use std::sync::Arc;

use axum::http::StatusCode;
use berth_common::link::{Kill, Observed, ObservedState};
use berth_common::{Reason, Timestamp};
use berth_core::event::Row;
use berth_core::{Effect, Event, Fleet};
use berth_hub::metrics::Happened;
use site::Site;

/// The value of the one series of this name whose labels contain all of these.
fn value(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let mut found = text.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    });
    let one = found.next()?;
    assert_eq!(found.next(), None, "{name}{labels:?} is one series");
    one.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn only_who_may_reads_them() {
    let site = Site::new().await;
    assert_eq!(site.get("/hub/metrics").await.status, StatusCode::FORBIDDEN);
    assert_eq!(site.program("alice").await.get("/hub/metrics").await.status, StatusCode::FORBIDDEN);
    let token = site.token("root_", &["read:metrics"]).await;
    let reply = site.by_token(&token).get("/hub/metrics").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.header("content-type").starts_with("text/plain; version=0.0.4"));
}

#[tokio::test]
async fn a_day_is_counted() {
    let site = Site::new().await;
    let admin = site.program("root_").await;
    let read = async || admin.get("/hub/metrics").await.text;
    let before = read().await;
    assert_eq!(value(&before, "jupyterhub_total_users", &[]), Some(3.0), "{before}");
    assert_eq!(value(&before, "jupyterhub_running_servers", &[]), Some(0.0));
    let count = "jupyterhub_server_spawn_duration_seconds_count";
    assert_eq!(value(&before, count, &["status=\"success\""]), Some(0.0), "zero is shown");
    let room = value(&before, "berth_pool_largest_start_bytes", &["pool=\"cpu\""]).unwrap();
    assert!(room > 1e9, "{room}");

    let server = site.running("alice", "").await;
    let during = read().await;
    assert_eq!(value(&during, "jupyterhub_running_servers", &[]), Some(1.0), "{during}");
    assert_eq!(value(&during, count, &["status=\"success\""]), Some(1.0));
    let placed = ["outcome=\"placed\"", "reason=\"placed.now\""];
    assert_eq!(value(&during, "berth_decisions_total", &placed), Some(1.0));
    assert_eq!(value(&during, "berth_servers", &["state=\"running\""]), Some(1.0));
    let reserved = value(&during, "berth_host_memory_bytes", &["kind=\"reserved\""]).unwrap();
    assert_eq!(reserved, server.ask.memory.0 as f64);
    assert!(during.contains("namespace=\"berth\""));

    let reason = Reason::StoppedUser;
    site.hub
        .fleet
        .ask(Event::Stop { server: server.id.clone(), reason, reply: None })
        .await
        .unwrap();
    site.report(Vec::new()).await;
    site.settle().await;
    let after = read().await;
    assert_eq!(value(&after, "jupyterhub_running_servers", &[]), Some(0.0), "{after}");
    assert_eq!(value(&after, "berth_stops_total", &["reason=\"stopped.user\""]), Some(1.0));
    let took = value(&after, "jupyterhub_server_stop_seconds_count", &["status=\"success\""]);
    assert_eq!(took, Some(1.0));
    let requests = "jupyterhub_request_duration_seconds_count";
    assert_eq!(value(&after, requests, &["handler=\"/hub/metrics\"", "code=\"200\""]), Some(2.0));
}

#[tokio::test]
async fn each_process_killed_for_want_of_memory_is_counted_once() {
    let site = Site::new().await;
    let admin = site.program("root_").await;
    let server = site.running("alice", "").await;
    let kill = |number: u64| Kill {
        number,
        at: Timestamp::default(),
        victim: None,
        highest: server.ask.memory,
        limit: server.ask.memory,
    };
    // The same kills are told with every report.
    for kills in [vec![kill(1)], vec![kill(1)], vec![kill(1), kill(2), kill(3)]] {
        let seen = site.seen(&server, ObservedState::Ready);
        site.report(vec![Observed { kills, ..seen }]).await;
    }
    site.settle().await;
    let text = admin.get("/hub/metrics").await.text;
    assert_eq!(value(&text, "berth_memory_kills_total", &[]), Some(3.0), "{text}");
}

#[tokio::test]
async fn the_largest_start_is_one_that_starts() {
    let site = Site::new().await;
    let admin = site.program("root_").await;
    let text = admin.get("/hub/metrics").await.text;
    let largest = value(&text, "berth_pool_largest_start_bytes", &["pool=\"cpu\""]).unwrap();
    let ask = |bytes: f64| {
        let request = serde_json::json!({ "user": "alice", "memory": bytes as u64 });
        let admin = &admin;
        async move { admin.json("POST", "/hub/api/berth/explain", &request.to_string()).await.text }
    };
    let fits = ask(largest).await;
    assert!(fits.contains("placed.now"), "{fits}");
    let more = ask(largest + f64::from(1 << 20)).await;
    assert!(!more.contains("placed.now"), "{more}");
}

#[tokio::test]
async fn a_start_is_counted_once_however_often_its_server_is_saved() {
    let site = Site::new().await;
    let admin = site.program("root_").await;
    let server = site.running("alice", "").await;
    let fleet = site.hub.fleet.fleet();
    let saved = |_| Effect::Save(Row::Server(Arc::clone(&fleet.servers[&server.id])));
    // The same step saves it twice: when it answers, and with the sign of life that this is.
    let effects: Vec<_> = (0..2).map(saved).collect();
    let happened = Happened::of(&Fleet::default(), &effects, server.last_activity);
    assert_eq!(happened.len(), 1, "{happened:?}");
    assert!(matches!(happened[0], Happened::Started(_)), "{happened:?}");
    let text = admin.get("/hub/metrics").await.text;
    let count = "jupyterhub_server_spawn_duration_seconds_count";
    assert_eq!(value(&text, count, &["status=\"success\""]), Some(1.0));
}

#[test]
fn every_series_is_described() {
    let series = berth_hub::metrics::all_series().unwrap();
    for one in &series {
        assert!(one.meaning.len() > 8, "{one:?}");
        let begins = ["berth_", "jupyterhub_", "DCGM_FI_DEV_"];
        assert!(begins.iter().any(|begin| one.name.starts_with(begin)), "{one:?}");
    }
    assert!(series.windows(2).all(|pair| pair[0].name < pair[1].name));
}

/// Words of a query that can only be series of ours, without the suffixes of histograms.
fn series_named(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("berth_") || word.starts_with("jupyterhub_"))
        .map(|word| {
            let suffixes = ["_bucket", "_count", "_sum"];
            suffixes.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word)
        })
}

#[test]
fn boards_and_alerts_ask_for_series_that_exist() {
    let known: Vec<String> =
        berth_hub::metrics::all_series().unwrap().into_iter().map(|one| one.name).collect();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/monitoring");
    let mut seen = 0;
    for folder in ["prometheus", "grafana"] {
        for file in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = file.unwrap().path();
            for name in series_named(&std::fs::read_to_string(&path).unwrap()) {
                seen += 1;
                assert!(known.iter().any(|one| one == name), "{name} in {}", path.display());
            }
        }
    }
    assert!(seen > 30, "only {seen} names were found: are these the files?");
}
