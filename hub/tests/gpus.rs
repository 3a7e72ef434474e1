//! GPUs over the API: what was decided is what the host hears.

mod site;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::StatusCode;
use berth_common::link::{Capacity, GpuDevice, GpuFacts, GpuUse, HostFacts, Report, Verdict};
use berth_common::{ByteCount, GpuId, HostId, Incarnation, Revision};
use berth_core::Event;
use berth_core::settings::{GpuChoice, HostSettings, Pool, Profile, Settings};
use berth_hub::spec::desired_set;
use berth_process::clock::now;
use site::Site;

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
        facts: HostFacts {
            gpus: GpuFacts { used: vec![used(0), used(1)], ..GpuFacts::default() },
            ..HostFacts::default()
        },
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

/// A GPU that computes nothing, with 3 of its 12 GB in use.
fn used(number: u32) -> GpuUse {
    GpuUse {
        gpu: gpu(number),
        device: Some(format!("nvidia{number}")),
        board: None,
        busy: Some(0),
        memory_used: Some(ByteCount(3 * GB)),
        temperature: Some(41),
        power_mw: Some(62_500),
        ecc_uncorrected: None,
        last_xid: None,
        warning: None,
        processes: Vec::new(),
    }
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
async fn a_server_without_a_gpu_is_told_of_none() {
    let site = site().await;
    let alice = site.program("alice").await;
    let started = alice.json("POST", "/hub/api/users/alice/server", "{}").await;
    assert_eq!(started.status, StatusCode::ACCEPTED, "{}", started.text);
    assert_eq!(told(&site, &"wn1".parse().unwrap()), BTreeSet::new());
}

#[tokio::test]
async fn prometheus_reads_gpus_under_the_names_of_nvidias_exporter() {
    let site = site().await;
    let alice = site.program("alice").await;
    let started = alice.json("POST", "/hub/api/users/alice/server", r#"{"profile": "gpu"}"#).await;
    assert_eq!(started.status, StatusCode::ACCEPTED, "{}", started.text);
    let text = site.program("root_").await.get("/hub/metrics").await.text;
    let labels = "Hostname=\"gpu1\",UUID=\"GPU-gpu1-0\",gpu=\"0\",modelName=\"Tesla K80\"";
    for (name, value) in [
        ("DCGM_FI_DEV_GPU_UTIL", "0"),
        ("DCGM_FI_DEV_FB_USED", "3072"),
        ("DCGM_FI_DEV_FB_FREE", "9216"),
        ("DCGM_FI_DEV_GPU_TEMP", "41"),
        ("DCGM_FI_DEV_POWER_USAGE", "62.5"),
    ] {
        let line = format!("{name}{{{labels},namespace=\"berth\"}} {value}\n");
        assert!(text.contains(&line), "no {line} in\n{text}");
    }
    // The driver has told of no error: then there is no value, not a zero.
    assert!(!text.contains("DCGM_FI_DEV_XID_ERRORS{"), "{text}");
    for state in ["idle_held", "free"] {
        let line = format!(
            "berth_host_gpus{{host=\"gpu1\",model=\"Tesla K80\",state=\"{state}\",namespace=\"berth\"}} 1\n"
        );
        assert!(text.contains(&line), "no {line} in\n{text}");
    }
}
