//! Memory of real containers: what is measured, who is killed, and other limits while they run.

use std::sync::Arc;

use berth_common::link::{Limit, Observed, ObservedState, Report, Verdict};
use berth_common::{ByteCount, Reason, ServerId};
use serde_json::Value;

use super::docker::{IMAGE, docker, image};
use super::site::{Ca, Host, Hub, run, server_id, spec};

const MB: u64 = 1 << 20;

async fn site() -> (Hub, Host) {
    image();
    let hub = Hub::start(Arc::new(Ca::new())).await;
    let host = Host::joined(&hub).await;
    (hub, host)
}

/// Fills 50 MB in pieces of one, waits for the file `go` in HOME, and goes on for ever.
const HOG: &str = r#"x=$(head -c 1000000 /dev/zero | tr '\000' x); i=0
fill() { eval "v$i=\$x"; i=$((i + 1)); }
while test $i -lt 50; do fill; done
while ! test -e go; do sleep 0.05; done
while :; do fill; done
"#;

/// Starts a server of 64 MB whose script runs in HOME beside the program `hog`.
async fn started(hub: &Hub, host: &Host, script: &str) -> (ServerId, String) {
    let (server, home) = (server_id(), host.home("alice", 20_001, 30_001));
    std::fs::write(format!("{home}/hog"), HOG).unwrap();
    let mut wanted = spec(IMAGE, &home);
    wanted.command = ["sh", "-c", script].map(str::to_owned).to_vec();
    hub.say(&server, 1, run(wanted));
    hub.sees(&server, "ready", |state| *state == ObservedState::Ready).await;
    (server, home)
}

fn of<'a>(report: &'a Report, server: &ServerId) -> Option<&'a Observed> {
    report.engine.iter().flatten().find(|one| one.server == *server)
}

async fn hears(
    hub: &Hub,
    server: &ServerId,
    what: &str,
    wanted: impl Fn(&Observed) -> bool,
) -> Observed {
    let report = hub.heard(what, |report| of(report, server).is_some_and(&wanted)).await;
    of(&report, server).unwrap().clone()
}

fn host_config(host: &Host, server: &ServerId) -> Value {
    let name = format!("berth.{}.{server}", host.name);
    let all: Value = serde_json::from_str(&docker(&["inspect", &name])).unwrap();
    all[0]["HostConfig"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_kernel_is_told_with_its_notebook_while_the_server_runs_on() {
    let (hub, host) = site().await;
    let _agent = host.agent();
    let script = "JPY_SESSION_NAME=/home/alice/fit.ipynb sh hog -f /run/kernel-1f-2a.json &
                  exec httpd -f -p 8888 -h /www";
    let (server, home) = started(&hub, &host, script).await;
    let seen = hears(&hub, &server, "its memory", |one| one.memory_used.0 > 46 * MB).await;
    assert!(seen.usage.memory_lately >= seen.memory_used);
    assert!(seen.usage.memory_highest <= ByteCount(64 * MB));
    assert!(seen.usage.cpu_us > 0 && seen.limit == Some(ByteCount(64 * MB)), "{seen:?}");
    assert!(seen.kills.is_empty());

    std::fs::write(format!("{home}/go"), "").unwrap();
    let seen = hears(&hub, &server, "the kill", |one| !one.kills.is_empty()).await;
    assert_eq!(seen.state, ObservedState::Ready, "the server runs on");
    let kill = &seen.kills[0];
    assert_eq!((kill.number, kill.limit), (1, ByteCount(64 * MB)));
    let victim = kill.victim.as_ref().unwrap();
    assert_eq!(
        (victim.name.as_str(), victim.notebook.as_str(), victim.kernel.as_str()),
        ("sh", "/home/alice/fit.ipynb", "1f-2a")
    );
    assert!(victim.memory.0 > 40 * MB, "{victim:?}");
    assert!(
        kill.sentence().starts_with("sh (notebook /home/alice/fit.ipynb) was killed: "),
        "{}",
        kill.sentence()
    );
    // Told with its number in every report, so that a lost one costs nothing.
    hears(&hub, &server, "it again, with less memory in use", |one| {
        one.kills == seen.kills && one.memory_used.0 < 20 * MB
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_main_process_is_killed_ends_with_what_it_had() {
    let (hub, host) = site().await;
    let _agent = host.agent();
    let script = "httpd -p 8888 -h /www; exec sh hog";
    let (server, home) = started(&hub, &host, script).await;
    hears(&hub, &server, "its memory", |one| one.memory_used.0 > 46 * MB).await;
    std::fs::write(format!("{home}/go"), "").unwrap();
    let end = |state: &ObservedState| match state {
        ObservedState::Exited(ending) => Some(ending.clone()),
        _ => None,
    };
    let seen = hub.sees(&server, "its end", |state| end(state).is_some()).await;
    let ending = end(&seen.state).unwrap();
    assert_eq!(ending.reason, Reason::StoppedOom, "{}", ending.detail);
    let first = ending.detail.lines().next().unwrap();
    assert!(first.starts_with("sh was killed: the server had used all its 64 MB"), "{first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_grows_and_shrinks_while_the_server_runs() {
    let (hub, host) = site().await;
    let _agent = host.agent();
    let (server, _home) = started(&hub, &host, "sh hog & exec httpd -f -p 8888 -h /www").await;
    hears(&hub, &server, "its memory", |one| one.memory_used.0 > 46 * MB).await;
    let order = |memory: u64, number| {
        let limit = Limit { number, ..Limit::of(ByteCount(memory * MB)) };
        hub.say_limit(&server, 1, Verdict::Keep, Some(limit));
    };
    let has = async |megabytes: u64| {
        let bytes = ByteCount(megabytes * MB);
        hears(&hub, &server, "its limit", |one| one.limit == Some(bytes)).await
    };
    let docker_has = |megabytes: u64| {
        let config = host_config(&host, &server);
        assert_eq!(config["Memory"], megabytes * MB);
        assert_eq!(config["MemorySwap"], megabytes * MB, "never any swap");
    };

    order(128, 1);
    has(128).await;
    docker_has(128);

    order(50, 2);
    let refused = |one: &Observed| one.resize_refused.as_ref().map(|refused| refused.number);
    let seen = hears(&hub, &server, "a refusal", |one| refused(one) == Some(2)).await;
    let ending = seen.resize_refused.unwrap().ending;
    assert_eq!(ending.reason, Reason::RefusedInUse);
    assert!(ending.detail.contains("MB now. Ask for "), "{}", ending.detail);
    assert_eq!(seen.limit, Some(ByteCount(128 * MB)));
    docker_has(128);

    order(96, 3);
    let seen = has(96).await;
    assert!(seen.resize_refused.is_none() && seen.state == ObservedState::Ready);
    docker_has(96);

    // By hand: found within a second or two, and put right.
    let name = format!("berth.{}.{server}", host.name);
    docker(&["update", "--memory", "200m", "--memory-swap", "200m", &name]);
    while host_config(&host, &server)["Memory"] != 96 * MB {
        tokio::task::yield_now().await;
    }
    has(96).await;

    // The agent's own restart: measured anew.
    hub.say(&server, 1, Verdict::Stop { grace_s: 1 });
    hub.sees_nothing_of(&server).await;
}

/// Holds as many bytes as the file `want` in HOME says.
const HOLDER: &str = r#"httpd -p 8888 -h /www
while :; do
  want=$(cat want 2>/dev/null)
  test "$want" != "$has" && head -c "$want" /dev/zero >/dev/shm/held && has=$want
  sleep 0.05
done"#;

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_lent_at_the_limit_and_given_back_and_refused_where_the_host_says_so() {
    let (hub, host) = site().await;
    let mut agent = host.agent();
    let (server, home) = (server_id(), host.home("alice", 20_001, 30_001));
    let mut wanted = spec(IMAGE, &home);
    wanted.origin.memory = ByteCount(48 * MB);
    wanted.command = ["sh", "-c", HOLDER].map(str::to_owned).to_vec();
    hub.say(&server, 1, run(wanted));
    hub.sees(&server, "ready", |state| *state == ObservedState::Ready).await;
    let holds = |bytes: u64| std::fs::write(format!("{home}/want"), bytes.to_string()).unwrap();
    let order = |memory: u64, number, lent| {
        let limit = Limit { number, lent, ..Limit::of(ByteCount(memory * MB)) };
        hub.say_limit(&server, 1, Verdict::Keep, Some(limit));
    };

    // What the hub lends at is told.
    holds(46 * MB);
    let short = |one: &Observed| one.memory_used.0 * 20 >= 48 * MB * 19;
    hears(&hub, &server, "that it is short", short).await;
    order(64, 1, true);
    hears(&hub, &server, "the loan", |one| one.limit == Some(ByteCount(64 * MB))).await;
    // More than its own limit, and nobody is killed.
    holds(58 * MB);
    let seen = hears(&hub, &server, "its use", |one| one.memory_used.0 > 56 * MB).await;
    assert_eq!((seen.state, seen.kills.len()), (ObservedState::Ready, 0));
    holds(8 * MB);
    hears(&hub, &server, "less", |one| one.memory_used.0 < 16 * MB).await;
    order(48, 2, false);
    hears(&hub, &server, "its own limit", |one| one.limit == Some(ByteCount(48 * MB))).await;
    assert_eq!(host_config(&host, &server)["Memory"], 48 * MB);

    // A host that lends nothing.
    agent.kill().await.unwrap();
    let text = std::fs::read_to_string(&host.config).unwrap();
    std::fs::write(&host.config, text + "loans = false\n").unwrap();
    let _agent = host.agent();
    order(64, 3, true);
    let refused = |one: &Observed| one.resize_refused.as_ref().is_some_and(|it| it.number == 3);
    let seen = hears(&hub, &server, "a refusal", refused).await;
    let why = seen.resize_refused.unwrap().ending.detail;
    assert!(why.contains("lend"), "{why}");
    assert_eq!(host_config(&host, &server)["Memory"], 48 * MB);
}
