//! GPUs over the API: what was decided is what the host hears.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::StatusCode;
use berth_common::link::{
    Capacity, GpuDevice, GpuFacts, GpuUse, HostFacts, Report, RetiredPages, Verdict,
};
use berth_common::{ByteCount, GpuId, HostId, Incarnation, Revision};
use berth_core::Event;
use berth_core::settings::{GpuChoice, HostSettings, Pool, Profile, Settings};
use berth_hub::spec::desired_set;
use berth_process::clock::now;

use crate::site::Site;

const GB: u64 = 1 << 30;

/// A site with a host of two GPUs besides, and a profile that gives one or both.
async fn site() -> Site {
    let site = Site::new().await;
    let mut settings = Settings::clone(&site.hub.fleet.fleet().settings);
    let host = settings.hosts[&"wn1".parse().unwrap()].clone();
    settings.version += 1;
    settings.pools.insert("k80".into(), Pool::default());
    settings.hosts.insert(gpu_host(), HostSettings { pool: "k80".into(), ..host });
    let cpu = settings.profiles.values().next().unwrap().clone();
    let memory = ByteCount::ZERO;
    let gpus = GpuChoice { default: 1, max: 2, share_milli: 1000, models: Vec::new(), memory };
    let profile = Profile { pool: "k80".into(), gpus: Some(gpus), default: false, ..cpu };
    settings.profiles.insert("gpu".into(), profile);
    site.hub.fleet.send(Event::SettingsChanged(Arc::new(settings))).await;

    let device = |number: u32| GpuDevice {
        gpu: gpu(number),
        model: "Tesla K80".into(),
        memory: ByteCount(12 * GB),
        trouble: None,
    };
    let facts = GpuFacts { driver: "470.256.02".into(), ..GpuFacts::default() };
    let used = GpuUse {
        index: Some(0),
        bus: Some("00000000:05:00.0".into()),
        device: Some("nvidia0".into()),
        busy: Some(72),
        memory_used: Some(ByteCount(3 << 30)),
        power_mw: Some(62_500),
        retired: Some(RetiredPages { single_bit: 2, double_bit: 1, pending: false }),
        ..GpuUse::unknown(gpu(0))
    };
    let used = vec![used, GpuUse::unknown(gpu(1))];
    let report = Report {
        incarnation: Incarnation(1),
        boot_id: "boot-1".parse().unwrap(),
        sent: now(),
        applied: Revision { epoch: site.hub.fleet.fleet().epoch, seq: u64::MAX },
        engine: Ok(Vec::new()),
        pending: Vec::new(),
        gpus: vec![device(0), device(1)],
        spaces: Vec::new(),
        capacity: Capacity {
            memory_total: ByteCount(32 * GB),
            memory_free: ByteCount(30 * GB),
            cpus: 8,
            memory_pressure: None,
        },
        facts: HostFacts { gpus: GpuFacts { used, ..facts }, ..HostFacts::default() },
    };
    let report = Box::new(report);
    site.hub.fleet.send(Event::Reported { host: gpu_host(), session: 1, report }).await;
    site.settle().await;
    site
}

fn gpu_host() -> HostId {
    "gpu1".parse().unwrap()
}

fn gpu(number: u32) -> GpuId {
    format!("GPU-gpu1-{number}").parse().unwrap()
}

/// The GPUs of the one server that a host is told to run.
fn told(site: &Site, host: &HostId) -> BTreeSet<GpuId> {
    let (fleet, config) = (site.hub.fleet.fleet(), site.hub.config());
    let set = desired_set(&fleet, host, &config.hub, &site.hub.keys, now()).unwrap();
    let [server] = set.servers.values().collect::<Vec<_>>()[..] else {
        panic!("one server: {set:?}")
    };
    let Verdict::Run(spec) = &server.what else { panic!("to be run: {server:?}") };
    spec.origin.gpus.iter().map(|part| part.gpu.clone()).collect()
}

#[tokio::test]
async fn a_host_hears_which_gpus_a_server_gets() {
    let site = site().await;
    let alice = site.program("alice").await;
    let started =
        alice.json("POST", "/hub/api/users/alice/server", r#"{"profile": "gpu", "gpus": 2}"#).await;
    assert_eq!(started.status, StatusCode::ACCEPTED, "{}", started.text);
    assert_eq!(told(&site, &gpu_host()), BTreeSet::from([gpu(0), gpu(1)]));
}

#[tokio::test]
async fn a_model_of_gpu_can_be_asked_for_by_programs_too() {
    let site = site().await;
    let mut settings = Settings::clone(&site.hub.fleet.fleet().settings);
    settings.version += 1;
    let gpus = settings.profiles.get_mut("gpu").unwrap().gpus.as_mut().unwrap();
    gpus.models = vec!["Tesla K80".into(), "A100".into()];
    site.hub.fleet.send(Event::SettingsChanged(Arc::new(settings))).await;
    site.settle().await;
    let alice = site.program("alice").await;
    let explain = async |model: &str| {
        let body = serde_json::json!({ "profile": "gpu", "gpu_model": model }).to_string();
        alice.json("POST", "/hub/api/berth/explain", &body).await.json()["decision"].clone()
    };
    let there = explain("Tesla K80").await;
    assert_eq!(
        (&there["outcome"], &there["ask"]["gpu_model"]),
        (&"placed".into(), &"Tesla K80".into())
    );
    assert_ne!(explain("A100").await["outcome"], "placed", "no host has one");
    let wrong = explain("V100").await;
    assert_eq!(wrong["reason"]["code"], "refused.profile.unknown", "{wrong}");
    let sentence = wrong["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("Profile gpu has no GPU model \"V100\""), "{sentence}");

    let body = r#"{"user_options": {"profile": "gpu", "gpu_model": ["Tesla K80"]}}"#;
    let started = alice.json("POST", "/hub/api/users/alice/server", body).await;
    assert_eq!(started.status, StatusCode::ACCEPTED, "{}", started.text);
    assert_eq!(told(&site, &gpu_host()).len(), 1);
    assert_eq!(site.server("alice", "").ask.gpu_model.as_deref(), Some("Tesla K80"));
}

#[tokio::test]
async fn a_server_without_a_gpu_is_told_of_none() {
    let site = site().await;
    let alice = site.program("alice").await;
    let started = alice.json("POST", "/hub/api/users/alice/server", "{}").await;
    assert_eq!(started.status, StatusCode::ACCEPTED, "{}", started.text);
    assert_eq!(told(&site, &"wn1".parse().unwrap()), BTreeSet::new());
}

#[tokio::test]
async fn who_orders_a_drain_sees_the_gpus_that_are_held_and_how_busy_they_are() {
    let site = site().await;
    let alice = site.program("alice").await;
    alice.json("POST", "/hub/api/users/alice/server", r#"{"profile": "gpu", "gpus": 2}"#).await;
    let wish = r#"{"intent": "draining", "reason": "driver", "dry_run": true}"#;
    let admin = site.program("root_").await;
    let reply = admin.json("PUT", "/hub/api/berth/hosts/gpu1/intent", wish).await;
    let server = reply.json()["outlook"]["servers"][0].clone();
    assert_eq!(server["profile"], "gpu", "{}", reply.text);
    let held = |number, busy: serde_json::Value, used: serde_json::Value| {
        serde_json::json!({
            "gpu": gpu(number), "model": "Tesla K80", "busy": busy, "memory_used": used,
        })
    };
    let (some, none) =
        (held(0, 72.into(), (3 * GB).into()), held(1, None::<u8>.into(), None::<u8>.into()));
    assert_eq!(server["gpus"], serde_json::json!([some, none]), "{}", reply.text);
}

#[tokio::test]
async fn boards_made_for_nvidias_exporter_find_their_names() {
    let site = site().await;
    assert_eq!(site.get("/hub/metrics/gpus").await.status, StatusCode::FORBIDDEN);
    let token = site.token("root_", &["read:metrics"]).await;
    let reply = site.by_token(&token).get("/hub/metrics/gpus").await;
    assert_eq!(reply.status, StatusCode::OK);
    let line = |name: &str, gpu: &GpuId| {
        let is_it = |line: &&str| {
            line.starts_with(&format!("{name}{{")) && line.contains(&format!("UUID=\"{gpu}\""))
        };
        reply.text.lines().find(is_it).map(str::to_owned)
    };
    for (name, value) in [
        ("DCGM_FI_DEV_GPU_UTIL", "72"),
        ("DCGM_FI_DEV_FB_USED", "3072"),
        ("DCGM_FI_DEV_POWER_USAGE", "62.5"),
        ("DCGM_FI_DEV_RETIRED_SBE", "2"),
        ("DCGM_FI_DEV_RETIRED_PENDING", "0"),
        ("DCGM_FI_DEV_XID_ERRORS", "0"),
    ] {
        let line = line(name, &gpu(0)).unwrap_or_else(|| panic!("{name}: {}", reply.text));
        assert_eq!(line.rsplit(' ').next(), Some(value), "{line}");
        for label in [
            "gpu=\"0\"",
            "pci_bus_id=\"00000000:05:00.0\"",
            "device=\"nvidia0\"",
            "modelName=\"Tesla K80\"",
            "Hostname=\"gpu1\"",
            "hostname=\"gpu1\"",
            "instance=\"gpu1\"",
            "DCGM_FI_DRIVER_VERSION=\"470.256.02\"",
        ] {
            assert!(line.contains(label), "{label} in {line}");
        }
    }
    assert_eq!(line("DCGM_FI_DEV_GPU_UTIL", &gpu(1)), None, "it does not tell");
    assert_eq!(line("DCGM_FI_DEV_ROW_REMAP_FAILURE", &gpu(0)), None, "a K80 has none");
}

#[tokio::test]
async fn a_gpu_that_is_held_is_counted_by_what_it_does() {
    let site = site().await;
    let states = async || -> Vec<String> {
        let text = site.program("root_").await.get("/hub/metrics").await.text;
        let ours = text.lines().filter(|line| line.starts_with("berth_host_gpus{host=\"gpu1\""));
        ours.map(|line| line.split("state=\"").nth(1).unwrap().to_owned()).collect()
    };
    assert_eq!(states().await, ["free\",namespace=\"berth\"} 2"]);
    let alice = site.program("alice").await;
    let wish = r#"{"profile": "gpu", "gpus": 2}"#;
    let started = alice.json("POST", "/hub/api/users/alice/server", wish).await;
    assert_eq!(started.status, StatusCode::ACCEPTED, "{}", started.text);
    // Both are held; neither is said to compute nothing.
    assert_eq!(states().await, ["used\",namespace=\"berth\"} 2"]);
}
