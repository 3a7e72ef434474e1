//! GPUs, from the management library to the hub and into containers. The library is a fake, which
//! the program finds as it finds NVIDIA's; the engine and its containers are real.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use berth_common::link::{Ending, GpuDevice, ObservedState, Report, RunSpec, Verdict};
use berth_common::{GpuPart, Reason, ServerId};
use tokio::process::Child;

use super::docker;
use super::engine::Engine;
use super::nvml::{Fake, Flavour};
use super::site::{Ca, Host, Hub, run, server_id, spec, text};

/// The id of a GPU of the fake with K80 boards.
fn k80(index: u32) -> String {
    format!("GPU-5a1d3b7e-0000-4000-8000-{index:012x}")
}

async fn site() -> (Hub, Host) {
    let hub = Hub::start(Arc::new(Ca::new())).await;
    let host = Host::joined(&hub).await;
    (hub, host)
}

/// The same in a `/dev` of its own that has the driver's control device, as hosts with the driver do.
/// Nobody answers behind it, which does not matter: the kernel looks at the rules first.
fn agent_with_device(host: &Host, fake: &Fake) -> Child {
    let script = "d=$(mktemp -d) && mount -t tmpfs none $d
        for name in null zero full random urandom tty kmsg; do cp -a /dev/$name $d 2>/dev/null; done
        mknod -m 666 $d/nvidiactl c 195 255 && mount --bind $d /dev && exec \"$@\"";
    let agent = host.command(&["run"]);
    let mut all = tokio::process::Command::new("unshare");
    all.args(["--mount", "sh", "-c", script, "sh"]).kill_on_drop(true);
    all.arg(agent.as_std().get_program()).args(agent.as_std().get_args());
    all.env("LD_LIBRARY_PATH", fake.folder()).spawn().unwrap()
}

/// Does to a container's rules of devices what NVIDIA's hook does behind the engine's back (`allow`),
/// and what systemd does when it lays them anew (`deny`). `false` where version 2 of cgroups keeps the
/// rules in programs of the kernel: there the stand-in lets nobody at them.
fn rule_of_nvidias_devices(pid: u64, what: &str) -> bool {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let path = groups.lines().find_map(|line| line.split_once(":devices:")).map(|(_, path)| path);
    let Some(path) = path else { return false };
    let file = format!("/sys/fs/cgroup/devices{path}/devices.{what}");
    std::fs::write(file, "c 195:* rwm").unwrap();
    true
}

/// An agent that finds this library.
pub fn agent(host: &Host, fake: &Fake) -> Child {
    host.command(&["run"]).env("LD_LIBRARY_PATH", fake.folder()).spawn().unwrap()
}

fn gpu(report: &Report, index: u32) -> Option<&GpuDevice> {
    let id = k80(index);
    report.gpus.iter().find(|device| device.gpu.as_str() == id)
}

fn trouble(report: &Report, index: u32) -> &str {
    gpu(report, index).and_then(|device| device.trouble.as_deref()).unwrap_or_default()
}

pub fn all_well(report: &Report) -> bool {
    report.gpus.len() == 4 && report.gpus.iter().all(|device| device.trouble.is_none())
}

/// A process that is nobody's server.
struct Stranger(std::process::Child);

impl Stranger {
    fn new() -> Self {
        Self(Command::new("sleep").arg("600").uid(4242).spawn().unwrap())
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_hears_how_the_gpus_are_while_it_changes() {
    let fake = Fake::new(Flavour::K80);
    let (hub, host) = site().await;
    let mut process = agent(&host, &fake);
    let report = hub.heard("four well GPUs", all_well).await;
    let first = gpu(&report, 0).unwrap();
    assert_eq!((first.model.as_str(), first.memory.0), ("Tesla K80", 11_996_954_624));
    assert_eq!(report.facts.gpus.driver, "470.256.02");
    let used = &report.facts.gpus.used;
    assert_eq!(used[0].board, used[1].board, "two GPUs of one board");
    assert_ne!(used[1].board, used[2].board);

    // Somebody who is no server of ours.
    let stranger = Stranger::new();
    let pid = stranger.0.id();
    fake.says(&format!("gpu1.procs = {pid}:2048\ngpu1.util = 80\n"));
    let report = hub.heard("a stranger", |report| !trouble(report, 1).is_empty()).await;
    assert_eq!(
        trouble(&report, 1),
        format!("used by somebody else: sleep (process {pid}, uid 4242)")
    );
    assert_eq!(trouble(&report, 0), "");
    let busy = |report: &Report| report.facts.gpus.used[1].busy == Some(80);
    hub.heard("its use", busy).await;
    drop(stranger);
    fake.says("");
    hub.heard("the stranger's end", all_well).await;

    // Lost.
    let begun = Instant::now();
    fake.says("gpu3.lost = 1\n");
    let report = hub.heard("a lost GPU", |report| !trouble(report, 3).is_empty()).await;
    println!("a lost GPU was known to the hub after {} ms", begun.elapsed().as_millis());
    assert!(
        trouble(&report, 3).starts_with("lost: it fell off the bus"),
        "{}",
        trouble(&report, 3)
    );
    fake.says("");
    let report = hub.heard("it again", |report| trouble(report, 3).starts_with("failed:")).await;
    assert!(trouble(&report, 3).contains("reboot the host"), "only a reboot cures it");

    // An XID; repeated, since the thread that waits for it may just be making its set.
    let mut state = String::new();
    let report = loop {
        state.push_str("event = 2:31\nevent = 2:48\n");
        let begun = Instant::now();
        fake.says(&state);
        let told = hub.heard("an XID", |report| !trouble(report, 2).is_empty());
        if let Ok(report) = tokio::time::timeout(std::time::Duration::from_secs(2), told).await {
            println!("an XID was known to the hub after {} ms", begun.elapsed().as_millis());
            break report;
        }
    };
    assert!(trouble(&report, 2).starts_with("failed: XID 48"), "{}", trouble(&report, 2));
    assert_eq!(report.facts.gpus.used[2].last_xid, Some(48));

    // The next process of the agent knows it too, and an administrator clears it.
    process.kill().await.unwrap();
    let mut process = agent(&host, &fake);
    let marked = |next: &Report| {
        next.incarnation != report.incarnation && trouble(next, 2).starts_with("failed:")
    };
    let report = hub.heard("the mark", marked).await;
    assert!(trouble(&report, 3).starts_with("failed:"));
    let cleared = host.output(&["gpu-clear", &k80(2)]).await;
    assert!(cleared.status.success(), "{}", text(&cleared));
    hub.heard("its end", |report| gpu(report, 2).is_some() && trouble(report, 2).is_empty()).await;
    let unknown = host.output(&["gpu-clear", "GPU-none"]).await;
    assert!(text(&unknown).contains("nothing is remembered of GPU-none"), "{}", text(&unknown));

    let status = format!("/proc/{}/status", process.id().unwrap());
    let status = std::fs::read_to_string(status).unwrap();
    let resident = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    println!("an agent that looks at four GPUs: {resident}");

    // Gone, and forgotten.
    fake.says("count = 3\n");
    let gone = |report: &Report| trouble(report, 3).starts_with("it is not in the host any more");
    hub.heard("that it is gone", gone).await;
    assert!(host.output(&["gpu-clear", &k80(3)]).await.status.success());
    hub.heard("three GPUs", |report| report.gpus.len() == 3).await;

    // The library hangs: unknown, neither well nor gone, and the agent goes on.
    fake.says("count = 3\nhang = 1\n");
    let unknown = |report: &Report| trouble(report, 0).starts_with("unknown: NVML does not answer");
    let report = hub.heard("that nothing is known", unknown).await;
    assert_eq!(report.gpus.len(), 3);
    assert!(report.facts.gpus.trouble.starts_with("unknown:"));
    let status = host.output(&["status"]).await;
    assert!(text(&status).contains("SET ASIDE: unknown: NVML"), "{}", text(&status));
    fake.says("count = 3\n");
    hub.heard("that it answers", |report| trouble(report, 0).is_empty()).await;
    process.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_driver_has_no_gpus_until_there_is_one() {
    let fake = Fake::new(Flavour::H200);
    fake.unloads_the_driver();
    let (hub, host) = site().await;
    let _agent = agent(&host, &fake);
    let report = hub.heard("a report", |report| report.engine.is_ok()).await;
    assert_eq!((report.gpus.len(), report.facts.gpus.trouble.as_str()), (0, ""));
    fake.says("mismatch = 1\n");
    let mismatch = |report: &Report| report.facts.gpus.trouble.contains("reboot the host");
    hub.heard("a replaced driver", mismatch).await;
    fake.says("");
    let report = hub.heard("a GPU", |report| report.gpus.len() == 1).await;
    assert_eq!(report.gpus[0].model, "NVIDIA H200");
    assert_eq!(report.facts.gpus.driver, "580.159.04");
    fake.unloads_the_driver();
    let gone = |report: &Report| {
        let trouble = report.gpus.first().and_then(|device| device.trouble.as_deref());
        trouble == Some("no GPUs: the NVIDIA driver is not loaded")
    };
    hub.heard("that the driver is gone", gone).await;
}

/// A server with GPUs.
pub fn gpu_spec(image: &str, home: &str, gpus: &[u32]) -> RunSpec {
    let mut spec = spec(image, home);
    let part = |index: &u32| GpuPart { gpu: k80(*index).parse().unwrap(), milli: 1000 };
    spec.origin.gpus = gpus.iter().map(part).collect();
    // What a user, or a careless profile, might say.
    for name in ["NVIDIA_VISIBLE_DEVICES", "NVIDIA_MIG_CONFIG_DEVICES", "CUDA_VISIBLE_DEVICES"] {
        spec.env.insert(name.into(), "all".into());
    }
    spec
}

fn failed(state: &ObservedState) -> Option<&Ending> {
    match state {
        ObservedState::Failed(ending) => Some(ending),
        _ => None,
    }
}

/// Says that it should run, and returns how that failed. Nothing of it is left.
async fn fails(hub: &Hub, wanted: RunSpec) -> (Reason, String) {
    let server = server_id();
    hub.say(&server, 1, run(wanted));
    let seen = hub.sees(&server, "a failure", |state| failed(state).is_some()).await;
    hub.say(&server, 1, Verdict::Stop { grace_s: 1 });
    hub.sees_nothing_of(&server).await;
    let ending = failed(&seen.state).unwrap();
    (ending.reason, ending.detail.clone())
}

pub async fn runs(hub: &Hub, wanted: RunSpec) -> ServerId {
    let server = server_id();
    hub.say(&server, 1, run(wanted));
    // The engine lives in a network of its own, so nobody outside hears JupyterLab answer.
    let runs = |state: &ObservedState| matches!(state, ObservedState::Running);
    hub.sees(&server, "that it runs", runs).await;
    server
}

async fn ends(hub: &Hub, server: &ServerId) {
    hub.say(server, 1, Verdict::Stop { grace_s: 1 });
    hub.sees_nothing_of(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_gets_its_gpus_and_no_other() {
    let engine = Engine::start();
    let fake = Fake::new(Flavour::K80);
    let (hub, host) = site().await;
    let socket = |give: &str| {
        host.configure_more(
            &hub.address,
            &format!("users = \"hub\"\n[gpus]\ngive = \"{give}\""),
            &format!("docker = \"{}\"", engine.socket()),
        );
    };
    socket("auto");
    let mut process = agent(&host, &fake);
    hub.heard("four well GPUs", all_well).await;
    let home = host.home("alice", 20_001, 30_001);
    let image = engine.image();

    // By a device request: what the hook is told, whatever the image says.
    let mut greedy = gpu_spec(image, &home, &[0, 1]);
    greedy.image = engine.greedy_image().into();
    let server = runs(&hub, greedy).await;
    let seen = engine.hooked();
    assert_eq!(seen.len(), 1, "called once: {seen:?}");
    let both = format!("{},{}", k80(0), k80(1));
    let last = |name: &str| {
        let with = format!("{name}=");
        seen[0].iter().rev().find_map(|line| line.strip_prefix(&with)).map(str::to_owned)
    };
    assert_eq!(last("NVIDIA_VISIBLE_DEVICES"), Some(both.clone()), "the last word counts");
    for line in seen[0].iter().filter(|line| line.starts_with("NVIDIA_VISIBLE_DEVICES=")) {
        assert_eq!(*line, format!("NVIDIA_VISIBLE_DEVICES={both}"));
    }
    let mut capabilities: Vec<_> =
        last("NVIDIA_DRIVER_CAPABILITIES").unwrap().split(',').map(str::to_owned).collect();
    capabilities.sort();
    assert_eq!(capabilities, ["compute", "utility"]);
    for name in ["CUDA_VISIBLE_DEVICES", "NVIDIA_MIG_CONFIG_DEVICES"] {
        assert_eq!(last(name), None);
    }
    // CVE-2025-23266: a hook of the toolkit's inherits what the image would have it load.
    for name in ["LD_PRELOAD", "LD_AUDIT"] {
        let said: Vec<_> = seen[0].iter().filter(|line| line.starts_with(name)).collect();
        assert_eq!(said, [&format!("{name}=")]);
    }

    // Its processes are its own; on another GPU they are an alarm.
    let pid = engine.pid(&host.name, &server);
    fake.says(&format!("gpu0.procs = {pid}:100\ngpu3.procs = {pid}:100\n"));
    let trespass =
        |report: &Report| trouble(report, 3).starts_with(&format!("used by server {server}"));
    let report = hub.heard("an alarm", trespass).await;
    assert_eq!(trouble(&report, 0), "");
    assert_eq!(report.facts.gpus.used[0].processes[0].server.as_ref(), Some(&server));
    fake.says("");

    // The next process of the agent knows who has what.
    let allowed = rule_of_nvidias_devices(pid, "allow");
    process.kill().await.unwrap();
    let mut process = agent_with_device(&host, &fake);
    let held = |next: &Report| {
        let mut all = next.engine.iter().flatten();
        next.incarnation != report.incarnation
            && all.any(|one| one.server == server && one.origin.gpus.len() == 2)
    };
    let report = hub.heard("its GPUs, from the label", held).await;

    // It loses them while it runs, as `systemctl daemon-reload` does it: told to its owner and beside
    // the GPUs; and no longer when it has them again.
    let lost = |report: &Report| {
        let mut all = report.engine.iter().flatten().filter(|one| one.server == server);
        all.any(|one| one.left_out.iter().any(|it| it.starts_with("It has lost its GPUs")))
    };
    if allowed {
        assert!(!lost(&report));
        rule_of_nvidias_devices(pid, "deny");
    }
    let report = hub.heard("that they are lost", lost).await;
    let warning = report.facts.gpus.used[1].warning.clone().unwrap_or_default();
    assert!(warning.contains(&format!("server {server} has lost its access")), "{warning}");
    assert_eq!(report.facts.gpus.used[2].warning, None, "another's");
    if rule_of_nvidias_devices(pid, "allow") {
        hub.heard("that it has them again", |report| !lost(report)).await;
    }
    ends(&hub, &server).await;

    // Without a GPU: none, whatever the image says.
    let mut nothing = gpu_spec(image, &home, &[]);
    nothing.image = engine.greedy_image().into();
    let server = runs(&hub, nothing).await;
    let env = engine.environment(&host.name, &server);
    let visible: Vec<_> = env.iter().filter(|line| line.starts_with("NVIDIA_V")).collect();
    assert_eq!(visible, ["NVIDIA_VISIBLE_DEVICES=void"]);
    assert_eq!(engine.hooked().len(), 1, "not called again");
    ends(&hub, &server).await;

    // Somebody else is on it.
    let stranger = Stranger::new();
    fake.says(&format!("gpu2.procs = {}:100\n", stranger.0.id()));
    let (reason, detail) = fails(&hub, gpu_spec(image, &home, &[2])).await;
    assert_eq!(reason, Reason::FailedGpu, "{detail}");
    assert!(detail.contains("used by somebody else: sleep"), "{detail}");
    drop(stranger);
    fake.says("gpu2.lost = 1\n");
    let (reason, detail) = fails(&hub, gpu_spec(image, &home, &[2])).await;
    assert_eq!(reason, Reason::FailedGpu, "{detail}");
    fake.says("");
    let mut unknown = gpu_spec(image, &home, &[0]);
    unknown.origin.gpus[0].gpu = "GPU-unknown".parse().unwrap();
    let (reason, detail) = fails(&hub, unknown).await;
    assert_eq!(reason, Reason::FailedGpu, "{detail}");
    assert!(detail.contains("this host has no GPU GPU-unknown"), "{detail}");

    // The toolkit refuses.
    engine.hook_fails("nvidia-container-cli: device error: GPU-x: unknown device");
    let (reason, detail) = fails(&hub, gpu_spec(image, &home, &[0])).await;
    assert_eq!(reason, Reason::FailedGpu, "{detail}");
    assert!(detail.contains("unknown device"), "{detail}");
    engine.hook_fails("nvidia-container-cli: initialization error: driver rpc error");
    let (reason, detail) = fails(&hub, gpu_spec(image, &home, &[0])).await;
    assert_eq!(reason, Reason::FailedGpuEngine, "{detail}");
    engine.hook_works();
    process.kill().await.unwrap();

    // By the runtime, which reads the environment.
    socket("runtime");
    let mut process = agent(&host, &fake);
    let server = runs(&hub, gpu_spec(image, &home, &[0])).await;
    let visible = format!("NVIDIA_VISIBLE_DEVICES={}", k80(0));
    let runtime = engine.runtime_saw();
    assert_eq!(runtime.len(), 1);
    let words: Vec<_> =
        runtime[0].iter().filter(|line| line.starts_with("NVIDIA_VISIBLE")).collect();
    assert_eq!(words, [&visible]);
    ends(&hub, &server).await;
    process.kill().await.unwrap();

    // By CDI, which this engine does not have.
    socket("cdi");
    let _process = agent(&host, &fake);
    let (reason, detail) = fails(&hub, gpu_spec(image, &home, &[0])).await;
    assert_eq!(reason, Reason::FailedGpuEngine, "{detail}");
    assert!(detail.contains("could not select device driver \"cdi\""), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_engine_has_cdi_it_gives_by_it() {
    let engine = Engine::with_cdi(&[k80(0), k80(1)]);
    let fake = Fake::new(Flavour::K80);
    let (hub, host) = site().await;
    let socket = |give: &str| {
        host.configure_more(
            &hub.address,
            &format!("users = \"hub\"\n[gpus]\ngive = \"{give}\""),
            &format!("docker = \"{}\"", engine.socket()),
        );
    };
    let home = host.home("alice", 20_001, 30_001);
    let image = engine.greedy_image();
    let given = |server: &ServerId| {
        let env = engine.started_with(&host.name, server);
        let visible = env.iter().filter(|line| line.starts_with("NVIDIA_VISIBLE"));
        assert_eq!(visible.collect::<Vec<_>>(), ["NVIDIA_VISIBLE_DEVICES=void"]);
        let devices = format!("/proc/{}/root/dev", engine.pid(&host.name, server));
        let has = |index: &u32| std::path::Path::new(&format!("{devices}/nvidia{index}")).exists();
        let nodes: Vec<u32> = (0..4).filter(has).collect();
        let names = env.iter().filter_map(|line| line.strip_prefix("GIVEN_"));
        (names.map(|name| name[2..].to_owned()).collect::<Vec<_>>(), nodes)
    };

    socket("cdi");
    let mut process = agent(&host, &fake);
    hub.heard("four well GPUs", all_well).await;
    let both = runs(&hub, gpu_spec(image, &home, &[0, 1])).await;
    assert_eq!(given(&both), (vec![k80(0), k80(1)], vec![0, 1]));
    ends(&hub, &both).await;
    let one = runs(&hub, gpu_spec(image, &home, &[1])).await;
    assert_eq!(given(&one), (vec![k80(1)], vec![1]), "no other");
    ends(&hub, &one).await;
    let none = runs(&hub, gpu_spec(image, &home, &[])).await;
    assert_eq!(given(&none), (vec![], vec![]), "whatever the image says");
    ends(&hub, &none).await;
    let (reason, detail) = fails(&hub, gpu_spec(image, &home, &[2])).await;
    assert_eq!(reason, Reason::FailedGpuEngine, "{detail}");
    assert!(detail.contains(&k80(2)), "{detail}");
    assert!(engine.hooked().is_empty(), "the toolkit's hook had no part in it");
    process.kill().await.unwrap();

    // By itself, where the engine says which GPUs it knows so, and else by a device request.
    socket("auto");
    let _process = agent(&host, &fake);
    hub.heard("four well GPUs", all_well).await;
    if engine.names_devices() {
        let one = runs(&hub, gpu_spec(image, &home, &[1])).await;
        assert_eq!(given(&one), (vec![k80(1)], vec![1]));
        ends(&hub, &one).await;
        assert!(engine.hooked().is_empty());
    }
    let other = runs(&hub, gpu_spec(image, &home, &[2])).await;
    ends(&hub, &other).await;
    assert_eq!(engine.hooked().len(), 1, "one that it does not know so");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_without_the_toolkit_is_told_so() {
    docker::image();
    let fake = Fake::new(Flavour::K80);
    let (hub, host) = site().await;
    let mut process = agent(&host, &fake);
    let home = host.home("alice", 20_001, 30_001);
    let (reason, detail) = fails(&hub, gpu_spec(docker::IMAGE, &home, &[0])).await;
    assert_eq!(reason, Reason::FailedGpuEngine, "{detail}");
    assert!(detail.contains("could not select device driver \"nvidia\""), "{detail}");
    process.kill().await.unwrap();
    host.configure_more(&hub.address, "users = \"hub\"\n[gpus]\ngive = \"runtime\"", "");
    let mut process = agent(&host, &fake);
    let (reason, detail) = fails(&hub, gpu_spec(docker::IMAGE, &home, &[0])).await;
    assert_eq!(reason, Reason::FailedGpuEngine, "{detail}");
    process.kill().await.unwrap();
    host.configure_more(&hub.address, "users = \"hub\"\n[gpus]\nmanage = false", "");
    let _process = agent(&host, &fake);
    let (reason, detail) = fails(&hub, gpu_spec(docker::IMAGE, &home, &[0])).await;
    assert_eq!(reason, Reason::FailedGpu, "{detail}");
    let report = hub.heard("a report", |_| true).await;
    assert_eq!(report.gpus.len(), 0, "its GPUs are not Berth's");
}
