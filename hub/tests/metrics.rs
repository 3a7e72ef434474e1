//! What Prometheus reads, and who may read it.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use berth_common::link::{HostFacts, Kill, Observed, ObservedState};
use berth_common::{Reason, Timestamp};
use berth_core::event::Row;
use berth_core::{Effect, Event, Fleet};
use berth_hub::config::PerUser;
use berth_hub::metrics::Happened;

use crate::site::Site;

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
        by_host: number == 3,
    };
    // The same kills are told with every report.
    for kills in [vec![kill(1)], vec![kill(1)], vec![kill(1), kill(2), kill(3)]] {
        let seen = site.seen(&server, ObservedState::Ready);
        site.report(vec![Observed { kills, ..seen }]).await;
    }
    site.settle().await;
    let text = admin.get("/hub/metrics").await.text;
    let kills = |scope| value(&text, "berth_oom_kills_total", &[scope]);
    assert_eq!(kills("scope=\"kernel\""), Some(2.0), "{text}");
    assert_eq!(kills("scope=\"host\""), Some(1.0), "one because the host had none left: {text}");
    assert_eq!(kills("scope=\"container\""), Some(0.0), "zero is shown: {text}");
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
    assert!(matches!(happened[0], Happened::Started(..)), "{happened:?}");
    let text = admin.get("/hub/metrics").await.text;
    let count = "jupyterhub_server_spawn_duration_seconds_count";
    assert_eq!(value(&text, count, &["status=\"success\""]), Some(1.0));
}

#[test]
fn every_series_is_described() {
    let series = berth_hub::metrics::all_series().unwrap();
    for one in &series {
        assert!(one.meaning.len() > 8, "{one:?}");
        assert!(ours(&one.name), "{one:?}");
    }
    assert!(series.windows(2).all(|pair| pair[0].name < pair[1].name));
}

/// Whether a word can only be a series of the hub's.
fn ours(word: &str) -> bool {
    ["berth_", "jupyterhub_", "DCGM_FI_DEV_"].iter().any(|start| word.starts_with(start))
}

/// Words of a query that can only be series of ours, without the suffixes of histograms.
fn series_named(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| ours(word)).map(
        |word| {
            let suffixes = ["_bucket", "_count", "_sum"];
            suffixes.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word)
        },
    )
}

#[test]
fn boards_and_alerts_ask_for_series_that_exist() {
    let mut known: Vec<String> =
        berth_hub::metrics::all_series().unwrap().into_iter().map(|one| one.name).collect();
    // Of the proxy the manual says them, which a test of its own compares.
    let manual = include_str!("../../packaging/docs/metrics-proxy.md");
    known.extend(manual.split('`').filter(|word| ours(word)).map(str::to_owned));
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

/// The names that the specification gives, with the labels that boards and alerts use.
const REQUIRED: &[(&str, &[&str])] = &[
    // JupyterHub's own are compared with a real one's in contract.rs; this is its exporter's.
    (
        "jupyterhub_user_group_info",
        &["usergroup", "username", "username_escape", "username_escaped", "username_safe"],
    ),
    // Hosts.
    ("berth_host_state", &["host", "pool", "state"]),
    ("berth_host_memory_bytes", &["host", "kind"]),
    ("berth_host_gpus", &["host", "model", "state"]),
    ("berth_host_mount_ok", &["host", "mount"]),
    ("berth_host_mount_stat_seconds", &["host", "mount"]),
    ("berth_host_report_age_seconds", &["host"]),
    ("berth_host_load", &["host"]),
    ("berth_agent_info", &["host", "version", "docker", "nvml", "driver"]),
    ("berth_image_present", &["host", "image"]),
    ("berth_image_pull_seconds", &[]),
    // Pools and queue.
    ("berth_pool_largest_start_bytes", &["pool"]),
    ("berth_pool_oversubscription_ratio", &["pool"]),
    ("berth_queue_length", &["profile"]),
    ("berth_queue_wait_seconds", &["profile"]),
    ("berth_queue_estimate_error_seconds", &[]),
    ("berth_decisions_total", &["profile", "outcome", "reason"]),
    ("berth_decision_seconds", &[]),
    // Servers.
    ("berth_servers", &["profile", "pool", "group", "state"]),
    ("berth_server_memory_bytes", &["server", "kind"]),
    ("berth_server_gpu_utilization_ratio", &["server", "gpu"]),
    ("berth_server_idle_seconds", &["server"]),
    ("berth_server_age_seconds", &["server"]),
    // Their lives.
    ("berth_stops_total", &["profile", "reason"]),
    ("berth_warnings_total", &["channel", "outcome"]),
    ("berth_extensions_total", &["profile"]),
    ("berth_oom_kills_total", &["profile", "scope"]),
    ("berth_memory_resizes_total", &["by"]),
    // Trainings, use, configuration.
    ("berth_training_participants", &["training", "kind"]),
    ("berth_usage_gibibyte_seconds_total", &["group", "kind"]),
    ("berth_usage_gpu_seconds_total", &["group", "kind"]),
    ("berth_config_ok", &[]),
    ("berth_config_loaded_timestamp_seconds", &[]),
    ("berth_config_info", &["commit"]),
    // NVIDIA's exporter.
    ("DCGM_FI_DEV_GPU_UTIL", &["gpu", "UUID", "Hostname", "modelName"]),
    ("DCGM_FI_DEV_FB_USED", &["gpu", "UUID", "Hostname", "modelName"]),
    ("DCGM_FI_DEV_FB_FREE", &["gpu", "UUID", "Hostname", "modelName"]),
    ("DCGM_FI_DEV_GPU_TEMP", &["gpu", "UUID", "Hostname", "modelName"]),
    ("DCGM_FI_DEV_POWER_USAGE", &["gpu", "UUID", "Hostname", "modelName"]),
    ("DCGM_FI_DEV_XID_ERRORS", &["gpu", "UUID", "Hostname", "modelName"]),
];

#[test]
fn every_required_series_is_there_with_its_labels() {
    let known = berth_hub::metrics::all_series().unwrap();
    for (name, labels) in REQUIRED {
        let found = known.iter().find(|one| one.name == *name);
        let found = found.unwrap_or_else(|| panic!("there is no {name}"));
        for label in *labels {
            assert!(found.labels.iter().any(|it| it == label), "{name} has no label {label}");
        }
    }
}

#[tokio::test]
async fn what_is_served_tells_of_servers_groups_images_and_the_hub_itself() {
    let site = Site::new().await;
    let admin = site.program("root_").await;
    let server = site.running("alice", "").await;
    let text = admin.get("/hub/metrics").await.text;
    let named = format!("server=\"{}\"", server.id);
    let limit = value(&text, "berth_server_memory_bytes", &[&named, "kind=\"limit\""]);
    assert_eq!(limit, Some(server.ask.memory.0 as f64), "{text}");
    assert!(value(&text, "berth_server_age_seconds", &[&named]).is_some(), "{text}");
    assert!(value(&text, "berth_server_idle_seconds", &[&named]).is_some(), "{text}");
    // Names are hashes where the site says nothing else.
    assert!(!text.contains("username=\"alice\""), "{text}");
    assert!(text.contains("jupyterhub_user_group_info{"), "{text}");
    let placed = ["pool=\"cpu\"", "state=\"running\""];
    assert_eq!(value(&text, "berth_servers", &placed), Some(1.0), "{text}");
    assert_eq!(value(&text, "berth_config_info", &[]), Some(1.0), "{text}");
    assert!(text.contains("berth_image_present{"), "{text}");
    assert!(value(&text, "berth_decision_seconds_count", &[]).unwrap() >= 1.0, "{text}");
    let taken = value(&text, "jupyterhub_server_poll_duration_seconds_count", &["\"running\""]);
    assert!(taken.unwrap() >= 1.0, "{text}");
    // Every way in which a start can come out is shown at zero from the first scrape on.
    let count = "jupyterhub_server_spawn_duration_seconds_count";
    let refused = ["status=\"failure\"", "reason=\"refused.quota.memory\""];
    assert_eq!(value(&text, count, &refused), Some(0.0), "{text}");
    let broken = ["status=\"error\"", "reason=\"failed.mount\""];
    assert_eq!(value(&text, count, &broken), Some(0.0), "{text}");
}

/// What the community's boards select (jupyterhub/grafana-dashboards: *JupyterHub*, *Activity*,
/// *User Group Diagnostics*), but for what only Kubernetes has: each must find something. The label
/// `app` comes with the scrape, as monitoring/README.md has it.
const SELECTED_BY_COMMUNITY: &[(&str, &[&str])] = &[
    ("jupyterhub_running_servers", &["namespace=\"berth\""]),
    ("jupyterhub_active_users", &["period=\"24h\"", "namespace=\"berth\""]),
    ("jupyterhub_active_users", &["period=\"7d\"", "namespace=\"berth\""]),
    ("jupyterhub_active_users", &["period=\"30d\"", "namespace=\"berth\""]),
    ("jupyterhub_request_duration_seconds_bucket", &["le=", "handler=", "namespace=\"berth\""]),
    ("jupyterhub_request_duration_seconds_count", &["code=", "namespace=\"berth\""]),
    ("jupyterhub_server_spawn_duration_seconds_bucket", &["le="]),
    ("jupyterhub_server_spawn_duration_seconds_count", &["status=\"failure\""]),
    ("jupyterhub_server_spawn_duration_seconds_count", &["status=\"error\""]),
    (
        "jupyterhub_user_group_info",
        &["username=", "username_safe=", "username_escaped=", "usergroup=", "namespace=\"berth\""],
    ),
];

#[tokio::test]
async fn the_communitys_boards_find_what_they_select() {
    let site = Site::new().await;
    site.running("alice", "").await;
    let admin = site.program("root_").await;
    admin.get("/hub/api/user").await;
    let text = admin.get("/hub/metrics").await.text;
    for (name, labels) in SELECTED_BY_COMMUNITY {
        let is_it = |line: &str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'))
                && labels.iter().all(|label| line.contains(label))
        };
        assert!(text.lines().any(is_it), "{name}{labels:?}");
    }
    let readme = include_str!("../../packaging/monitoring/README.md");
    assert!(readme.contains("labels: { app: jupyterhub }"), "they select it of requests");
}

/// The exposition of a hub where alice has two servers, and people are told apart in this way.
async fn of_people(per_user: PerUser) -> String {
    let site = Site::new().await;
    let mut config = (*site.hub.config()).clone();
    config.hub.per_user = per_user;
    site.hub.config.store(Arc::new(config));
    site.running("alice", "").await;
    site.running("alice", "fit").await;
    site.program("root_").await.get("/hub/metrics").await.text
}

#[tokio::test]
async fn people_are_told_apart_as_far_as_the_site_says() {
    let none = of_people(PerUser::None).await;
    assert_eq!(value(&none, "jupyterhub_running_servers", &[]), Some(2.0), "{none}");
    for series in ["berth_server_", "jupyterhub_user_group_info"] {
        assert!(!none.contains(&format!("\n{series}")), "{none}");
    }
    assert!(!none.contains("alice"), "{none}");

    let name = of_people(PerUser::Name).await;
    for server in ["server=\"alice\"", "server=\"alice/fit\""] {
        assert!(
            value(&name, "berth_server_memory_bytes", &[server, "kind=\"limit\""]).is_some(),
            "{name}"
        );
    }
    let group = ["username=\"alice\"", "usergroup=\"lab\""];
    assert_eq!(value(&name, "jupyterhub_user_group_info", &group), Some(1.0), "{name}");
}

#[tokio::test]
async fn the_load_of_a_host_is_shown_where_it_says_it() {
    let site = Site::new().await;
    let admin = site.program("root_").await;
    let load = async || {
        let text = admin.get("/hub/metrics").await.text;
        let host = admin.get("/hub/api/berth/hosts/wn1").await.json()["host"]["load"].clone();
        (value(&text, "berth_host_load", &["host=\"wn1\""]), host.as_f64())
    };
    assert_eq!(load().await, (None, None), "an agent of before does not say it");
    site.report_facts(HostFacts { load: Some(205), ..HostFacts::default() }).await;
    assert_eq!(load().await, (Some(2.05), Some(2.05)));
}

#[tokio::test]
async fn complaints_of_browsers_are_counted_and_need_no_login() {
    let site = Site::new().await;
    let request = Request::post("/hub/security/csp-report").body(Body::from("{}")).unwrap();
    let reply = site.send(request).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.text);
    let text = site.program("root_").await.get("/hub/metrics").await.text;
    assert_eq!(value(&text, "jupyterhub_csp_reports_total", &[]), Some(1.0), "{text}");
}
