//! How soon the hub knows: a measurement, which `tests/bench/meter` runs and prints.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_common::ServerId;
use berth_common::link::{ObservedState, Report, Verdict};

use super::docker::{IMAGE, docker, image};
use super::site::{Ca, Host, Hub, run, server_id, spec};

const ROUNDS: usize = 20;

/// A server that runs this, and its main process on the host.
async fn started(hub: &Hub, host: &Host, home: &str, script: &str) -> (ServerId, u32) {
    let server = server_id();
    let mut wanted = spec(IMAGE, home);
    wanted.command = ["sh", "-c", script].map(str::to_owned).to_vec();
    hub.say(&server, 1, run(wanted));
    hub.sees(&server, "ready", |state| *state == ObservedState::Ready).await;
    let name = format!("berth.{}.{server}", host.name);
    let pid = docker(&["inspect", "-f", "{{.State.Pid}}", &name]).parse().unwrap();
    (server, pid)
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let (half, most) = (times[times.len() / 2].as_millis(), times[times.len() - 1].as_millis());
    println!("{what}: median {half} ms, the longest of {} {most} ms", times.len());
}

/// How many processes the kernel has killed in the container of this process.
fn kills(pid: u32) -> u64 {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let file = groups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        match controllers {
            "memory" => Some(format!("/sys/fs/cgroup/memory{path}/memory.oom_control")),
            "" => Some(format!("/sys/fs/cgroup{path}/memory.events")),
            _ => None,
        }
    });
    let text = fs::read_to_string(file.unwrap_or_default()).unwrap_or_default();
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: tests/bench/meter"]
async fn how_soon_the_hub_knows() {
    image();
    let hub = Hub::start(Arc::new(Ca::new())).await;
    let host = Host::joined(&hub).await;
    let _agent = host.agent();
    let home = host.home("alice", 20_001, 30_001);
    let (mut ends, mut reasons, mut waits_end, mut killed) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (server, pid) = started(&hub, &host, &home, "exec httpd -f -p 8888 -h /www").await;
        // What the engine itself needs to tell it, seen by its own program.
        let name = format!("berth.{}.{server}", host.name);
        let mut wait = std::process::Command::new("docker").args(["wait", &name]).spawn().unwrap();
        // By the second report from now it waits.
        let sent = hub.heard("a report", |_| true).await.sent;
        let later = |report: &Report| report.sent.millis_since(sent) > 1000;
        hub.heard("a later one", later).await;
        let begun = Instant::now();
        let engine = tokio::task::spawn_blocking(move || wait.wait().map(|_| Instant::now()));
        let sent = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
        assert!(sent.unwrap().success());
        let over = |state: &ObservedState| *state != ObservedState::Ready;
        hub.sees(&server, "that it ends", over).await;
        ends.push(begun.elapsed());
        let gone = |state: &ObservedState| matches!(state, ObservedState::Exited(_));
        hub.sees(&server, "how it ended", gone).await;
        reasons.push(begun.elapsed());
        waits_end.push(engine.await.unwrap().unwrap().duration_since(begun));
        hub.say(&server, 1, Verdict::Stop { grace_s: 1 });
        hub.sees_nothing_of(&server).await;

        // A process beside the server that takes all there is.
        let script = "(while ! test -e go; do sleep 0.05; done
                      a=$(head -c 99999999 /dev/zero | tr '\\000' x)) &
                      exec httpd -f -p 8888 -h /www";
        let (server, pid) = started(&hub, &host, &home, script).await;
        fs::write(format!("{home}/go"), "").unwrap();
        let waits = tokio::task::spawn_blocking(move || {
            while kills(pid) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            Instant::now()
        });
        let told = |report: &Report| {
            let mut all = report.engine.iter().flatten();
            all.any(|one| one.server == server && !one.kills.is_empty())
        };
        hub.heard("the kill", told).await;
        let heard = Instant::now();
        let at = waits.await.unwrap();
        killed.push(heard.saturating_duration_since(at));
        fs::remove_file(format!("{home}/go")).unwrap();
        hub.say(&server, 1, Verdict::Stop { grace_s: 1 });
        hub.sees_nothing_of(&server).await;
    }
    print("from a container's end to `docker wait`", waits_end);
    print("from a container's end to the hub", ends);
    print("from a container's end to the hub, with its reason", reasons);
    print("from a process killed for want of memory to the hub", killed);
}
