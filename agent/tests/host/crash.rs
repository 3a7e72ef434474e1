//! The program dies at each of its crash points, as if by `kill -9`, and is started again: then
//! all must be as if nothing had happened. A point that no test reaches is a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::Arc;

use berth_agent::reconcile::TunnelEntry;
use berth_agent::tunnel::table;
use berth_common::link::{Limit, ObservedState, RunSpec, Verdict};
use berth_common::{ByteCount, Generation};
use futures::{StreamExt, stream};
use tokio::process::{Child, Command};

use super::docker::{self, IMAGE};
use super::images::{self, Registry};
use super::site::{Ca, Host, Hub, PATIENCE, run, server_id, spec, text};

/// Several hosts at a time: the engine is the same.
const TOGETHER: usize = 4;

const JOINING: [&str; 7] = [
    "identity.join.before",
    "identity.join.after",
    "identity.write.before",
    "identity.write.after",
    "file.inside",
    "file.before_rename",
    "file.after_rename",
];
const RENEWING: [&str; 2] = ["identity.renew.before", "identity.renew.after"];
const STARTING: [&str; 32] = [
    "agent.epoch.before",
    "agent.epoch.after",
    "mounts.home.made",
    "mounts.home.given",
    "names.write.before",
    "names.write.after",
    "engine.network.before",
    // Half of the head, and half of the body.
    "engine.network.inside",
    "engine.network.inside:2",
    "engine.network.sent",
    "engine.network.after",
    "engine.create.before",
    "engine.create.inside",
    "engine.create.inside:2",
    "engine.create.sent",
    "engine.create.after",
    "engine.inspect.after",
    "engine.start.before",
    "engine.start.inside",
    "engine.start.sent",
    "engine.start.after",
    "tunnel.table.before_rename",
    "tunnel.table.after_rename",
    "tunnel.table.send",
    "tunnel.table.inside",
    "tunnel.table.sent",
    "link.heartbeat.send",
    // In the handshake, and after it.
    "link.inside_send",
    "link.inside_send:6",
    "link.desired.received",
    "link.desired.taken",
    "file.before_rename",
];
const NETWORKS: [&str; 4] =
    ["engine.twin.before", "engine.twin.inside", "engine.twin.sent", "engine.twin.after"];
const FETCHING: [&str; 8] = [
    "engine.pull.before",
    "engine.pull.inside",
    "engine.pull.sent",
    "engine.pull.after",
    "engine.tag.before",
    "engine.tag.inside",
    "engine.tag.sent",
    "engine.tag.after",
];
const STOPPING: [&str; 8] = [
    "engine.stop.before",
    "engine.stop.inside",
    "engine.stop.sent",
    "engine.stop.after",
    "engine.remove.before",
    "engine.remove.inside",
    "engine.remove.sent",
    "engine.remove.after",
];
const RESIZING: [&str; 5] = [
    "engine.resize.before",
    "engine.resize.inside",
    "engine.resize.inside:2",
    "engine.resize.sent",
    "engine.resize.after",
];
const TUNNEL: [&str; 4] =
    ["tunnel.answer.send", "tunnel.answer.inside", "tunnel.answer.sent", "tunnel.handover.ready"];
const UPGRADING: [&str; 2] = ["tunnel.handover.before", "tunnel.handover.after"];

#[tokio::test]
async fn every_crash_point_of_the_program_is_tried() {
    let host = Host::new("hub:1");
    let output = host.output(&["crash-points"]).await;
    let listed = text(&output);
    let listed: BTreeSet<&str> = listed.lines().collect();
    let engine = [&STARTING[..], &NETWORKS, &FETCHING, &STOPPING, &RESIZING].concat();
    let tried = [&JOINING[..], &RENEWING, &engine, &TUNNEL, &UPGRADING].concat();
    let names = tried.into_iter().map(|point| point.split(':').next().unwrap());
    assert_eq!(listed, names.collect());
}

async fn dies(mut process: Child, point: &str) {
    let status = tokio::time::timeout(PATIENCE, process.wait()).await;
    let status = status.unwrap_or_else(|_| panic!("{point} was not reached")).unwrap();
    assert_eq!(status.signal(), Some(9), "{point}: {status}");
}

fn armed(mut command: Command, point: &str) -> Child {
    command.env("BERTH_CRASH_AT", point).stderr(Stdio::null()).spawn().unwrap()
}

async fn each<F: Future<Output = ()>>(
    points: &'static [&'static str],
    try_one: impl Fn(&'static str) -> F,
) {
    stream::iter(points)
        .map(|point| try_one(point))
        .buffer_unordered(TOGETHER)
        .collect::<()>()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_joining() {
    each(&JOINING, async |point| {
        let hub = Hub::start(Arc::new(Ca::new())).await;
        let host = Host::new(&hub.address);
        dies(armed(host.command(&["join", &hub.token(&host.name)]), point), point).await;
        let again = host.output(&["join", &hub.token(&host.name)]).await;
        assert!(again.status.success(), "{point}: {}", text(&again));
        let _agent = host.agent();
        hub.heard("a heartbeat", |_| true).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_renewing() {
    each(&RENEWING, async |point| {
        let hub = Hub::start(Arc::new(Ca::new())).await;
        hub.certificates_live(-1);
        let host = Host::joined(&hub).await;
        hub.certificates_live(7);
        dies(armed(host.command(&["run"]), point), point).await;
        let _agent = host.agent();
        hub.heard("a heartbeat", |_| true).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_limit_is_changed() {
    docker::image();
    each(&RESIZING, async |point| {
        let hub = Hub::start(Arc::new(Ca::new())).await;
        let host = Host::joined(&hub).await;
        let server = server_id();
        hub.say(&server, 1, run(spec(IMAGE, &host.home("alice", 20_001, 30_001))));
        let mut first = host.agent();
        hub.sees(&server, point, |state| *state == ObservedState::Ready).await;
        first.kill().await.unwrap();
        let memory = ByteCount(128 << 20);
        hub.say_limit(&server, 1, Verdict::Keep, Some(Limit { number: 1, ..Limit::of(memory) }));
        dies(armed(host.command(&["run"]), point), point).await;
        let _agent = host.agent();
        hub.heard(point, |report| {
            report
                .engine
                .iter()
                .flatten()
                .any(|one| one.limit == Some(memory) && one.state == ObservedState::Ready)
        })
        .await;
        let name = format!("berth.{}.{server}", host.name);
        let limits = ["inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}", &name];
        assert_eq!(docker::docker(&limits), "134217728 134217728", "{point}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_server_starts() {
    docker::image();
    each(&STARTING, async |point| {
        let hub = Hub::start(Arc::new(Ca::new())).await;
        let host = Host::joined(&hub).await;
        let more = "users = \"hub\"\n[home]\ncreate = \"missing\"";
        host.configure(&hub.address, more);
        let server = server_id();
        let home = host.folder.path().join("home/alice");
        hub.say(&server, 1, run(spec(IMAGE, home.to_str().unwrap())));
        fs::create_dir_all(host.run()).unwrap();
        let _tunnel = match point {
            "tunnel.table.inside" | "tunnel.table.sent" => {
                Some(super::tunnel::Tunnel::start(&host).await)
            }
            _ => None,
        };
        dies(armed(host.command(&["run"]), point), point).await;
        let _agent = host.agent();
        hub.sees(&server, point, |state| *state == ObservedState::Ready).await;
        let of = format!("label=berth.host={}", host.name);
        let all = docker::docker(&["ps", "-aq", "--filter", &of]);
        assert_eq!(all.lines().count(), 1, "{point}: {all}");
        let table = table::read(&table::file(&host.run())).unwrap();
        assert_eq!(table.len(), 1, "{point}");
        let networks = format!("name=^berth-{}$", host.name);
        let networks = ["network", "ls", "-q", "--filter", &networks];
        if point == "engine.network.sent" && docker::docker(&networks).lines().count() == 2 {
            // What the dead one asked for came after the start: the next start removes it.
            let next = server_id();
            hub.say(&next, 1, run(spec(IMAGE, home.to_str().unwrap())));
            hub.sees(&next, point, |state| *state == ObservedState::Ready).await;
        }
        let all = docker::docker(&networks);
        assert_eq!(all.lines().count(), 1, "{point}: {all}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_second_network_of_the_name_is_removed() {
    docker::image();
    each(&NETWORKS, async |point| {
        let hub = Hub::start(Arc::new(Ca::new())).await;
        let host = Host::joined(&hub).await;
        let name = format!("berth-{}", host.name);
        for _ in 0..2 {
            docker::network_too(&name).await;
        }
        let all = ["network", "ls", "-q", "--filter", &format!("name=^{name}$")];
        assert_eq!(docker::docker(&all).lines().count(), 2);
        let server = server_id();
        hub.say(&server, 1, run(spec(IMAGE, &host.home("alice", 20_001, 30_001))));
        dies(armed(host.command(&["run"]), point), point).await;
        let _agent = host.agent();
        hub.sees(&server, point, |state| *state == ObservedState::Ready).await;
        assert_eq!(docker::docker(&all).lines().count(), 1, "{point}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_an_image_is_fetched() {
    docker::image();
    let registry = Registry::start().await;
    // Each has one of its own: what was fetched once is there.
    let images: BTreeMap<_, _> =
        FETCHING.iter().map(|point| (*point, registry.has(point))).collect();
    let (registry, images) = (&registry, &images);
    each(&FETCHING, |point| async move {
        let (name, build) = images[point].clone();
        let (hub, host) = images::site(registry).await;
        let server = server_id();
        let wanted = spec(&name, &host.home("alice", 20_001, 30_001));
        hub.say(&server, 1, run(RunSpec { build: build.clone(), ..wanted }));
        dies(armed(host.command(&["run"]), point), point).await;
        let _agent = host.agent();
        hub.sees(&server, point, |state| *state == ObservedState::Ready).await;
        // Without its name the hub would not know that it is here.
        hub.heard(point, |report| report.facts.builds.get(&name) == Some(&build)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_server_stops() {
    docker::image();
    each(&STOPPING, async |point| {
        let hub = Hub::start(Arc::new(Ca::new())).await;
        let host = Host::joined(&hub).await;
        let (server, home) = (server_id(), host.home("alice", 20_001, 30_001));
        hub.say(&server, 1, run(spec(IMAGE, &home)));
        let agent = armed(host.command(&["run"]), point);
        hub.sees(&server, "ready", |state| *state == ObservedState::Ready).await;
        hub.say(&server, 1, Verdict::Stop { grace_s: 5 });
        dies(agent, point).await;
        let _agent = host.agent();
        hub.sees_nothing_of(&server).await;
        let of = format!("label=berth.host={}", host.name);
        assert_eq!(docker::docker(&["ps", "-aq", "--filter", &of]), "", "{point}");
        assert_eq!(fs::read_to_string(host.run().join("tunnel.table")).unwrap(), "", "{point}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_tunnel_serves_and_is_replaced() {
    let points: Vec<_> = TUNNEL.iter().chain(&UPGRADING).copied().collect();
    for point in points {
        let site = super::tunnel::site().await;
        let server = server_id();
        let address = super::tunnel::echo().await;
        let entry = TunnelEntry { server: server.clone(), generation: Generation(1), address };
        table::write(&table::file(&site.host.run()), &[entry]).unwrap();
        if UPGRADING.contains(&point) {
            let tunnel = super::tunnel::Tunnel::start_with(&site.host, Some(point)).await;
            tunnel.signal(rustix::process::Signal::USR2);
            let to = tunnel.address;
            dies(tunnel.process, point).await;
            if point == "tunnel.handover.after" {
                // The successor was started by then, and serves on the same port.
                let status = super::tunnel::ask(&site, to, server.as_str(), 1).await.unwrap().0;
                assert_eq!(status, berth_proto::tunnel::Status::Ok);
                let _successor = super::tunnel::successor(&site.host).await;
                continue;
            }
        } else if point == "tunnel.handover.ready" {
            dies(armed(site.host.command(&["tunnel"]), point), point).await;
        } else {
            let tunnel = super::tunnel::Tunnel::start_with(&site.host, Some(point)).await;
            let answer = super::tunnel::ask(&site, tunnel.address, server.as_str(), 1).await;
            let unheard = ["tunnel.answer.send", "tunnel.answer.inside"].contains(&point);
            assert!(!unheard || answer.is_err(), "{point}");
            dies(tunnel.process, point).await;
        }
        let tunnel = super::tunnel::Tunnel::start(&site.host).await;
        let status = super::tunnel::ask(&site, tunnel.address, server.as_str(), 1).await.unwrap().0;
        assert_eq!(status, berth_proto::tunnel::Status::Ok, "{point}");
    }
}
