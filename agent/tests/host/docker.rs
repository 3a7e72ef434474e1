//! The real engine: what containers get, and what becomes of them.

use std::process::Command;
use std::sync::{Arc, OnceLock};

use berth_common::link::{CpuShare, ObservedState, StartStep, Verdict};
use berth_common::{ByteCount, Reason, ServerId};
use serde_json::Value;

use super::site::{Ca, Host, Hub, file, run, server_id, spec};

/// Two megabytes: busybox, and a file that answers.
pub const IMAGE: &str = "berth/test-tiny:1";

pub fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("docker is not installed");
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(
        output.status.success(),
        "docker {arguments:?}: {}\nIs an engine running? examples/engine up",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

const SOCKET: &str = "/run/docker.sock";

/// Makes a network as an agent does; another one if there is one of the name. The engine's own
/// program looks before.
pub async fn network_too(name: &str) {
    use bollard::models::NetworkCreateRequest;
    let engine = bollard::Docker::connect_with_unix(SOCKET, 60, bollard::API_DEFAULT_VERSION);
    let icc = ("com.docker.network.bridge.enable_icc".to_owned(), "false".to_owned());
    let network = NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".to_owned()),
        options: Some([icc].into()),
        ..NetworkCreateRequest::default()
    };
    engine.unwrap().create_network(network).await.unwrap();
}

/// Makes the image once a run of the suite.
pub fn image() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        let repository = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let script = format!(
            "set -e; command -v busybox >/dev/null || {repository}/examples/engine need busybox-static
             d=$(mktemp -d); trap 'rm -rf $d' EXIT; mkdir -p $d/bin $d/www/user/alice $d/tmp; chmod 1777 $d/tmp
             cp $(command -v busybox) $d/bin/busybox
             for a in sh ls cat sleep httpd wget id whoami nc head tr test echo; do ln -s busybox $d/bin/$a; done
             echo '{{}}' >$d/www/user/alice/api
             tar -C $d -c . | docker import --change 'ENV PATH=/bin' - {IMAGE} >/dev/null"
        );
        let done = Command::new("bash").args(["-c", &script]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    });
}

async fn site() -> (Hub, Host) {
    image();
    let hub = Hub::start(Arc::new(Ca::new())).await;
    let host = Host::joined(&hub).await;
    (hub, host)
}

fn inspect(host: &Host, server: &ServerId) -> Value {
    let name = format!("berth.{}.{server}", host.name);
    let all: Value = serde_json::from_str(&docker(&["inspect", &name])).unwrap();
    all[0].clone()
}

fn ready(state: &ObservedState) -> bool {
    *state == ObservedState::Ready
}

fn failed(state: &ObservedState) -> Option<(Reason, String)> {
    match state {
        ObservedState::Failed(ending) | ObservedState::Exited(ending) => {
            Some((ending.reason, ending.detail.clone()))
        }
        _ => None,
    }
}

const STOP: Verdict = Verdict::Stop { grace_s: 5 };

#[tokio::test(flavor = "multi_thread")]
async fn a_server_lives_from_create_to_remove_as_its_user_and_within_its_limits() {
    let (hub, host) = site().await;
    let _agent = host.agent();
    let (server, home) = (server_id(), host.home("alice", 20_001, 30_001));
    let mut wanted = spec(IMAGE, &home);
    let script =
        "id >id; whoami >who; id -Gn >groups; env >env; pwd >pwd; exec httpd -f -p 8888 -h /www";
    wanted.command = ["sh", "-c", script].map(str::to_owned).to_vec();
    hub.say(&server, 7, run(wanted));

    let seen = hub.sees(&server, "ready", ready).await;
    let steps: Vec<_> = seen.steps.iter().map(|done| done.step).collect();
    assert_eq!(steps, StartStep::ALL);
    assert_eq!((seen.generation.0, seen.epoch.0), (7, 1));
    let seen = hub.heard("its memory", |report| {
        report.engine.iter().flatten().any(|one| one.memory_used.0 > 0)
    });
    let report = seen.await;
    assert!(report.engine.unwrap()[0].memory_used.0 < 64 << 20);
    assert!(report.facts.images.contains(&IMAGE.to_owned()));

    let inside = |name: &str| std::fs::read_to_string(format!("{home}/{name}")).unwrap();
    assert_eq!(
        inside("id").trim(),
        "uid=20001(alice) gid=30001(alice) groups=30001(alice),30003(atlas)"
    );
    assert_eq!(inside("who").trim(), "alice");
    assert_eq!(inside("groups").trim(), "alice atlas");
    assert_eq!(inside("pwd").trim(), home);
    let found = inspect(&host, &server);
    let networks = &found["NetworkSettings"]["Networks"][format!("berth-{}", host.name)];
    let gateway = networks["Gateway"].as_str().unwrap();
    for line in [
        format!("HOME={home}"),
        format!("JUPYTERHUB_API_URL=http://{gateway}:8000/hub/api"),
        format!("JUPYTERHUB_ACTIVITY_URL=http://{gateway}:8000/hub/api/users/alice/activity"),
        "JUPYTERHUB_API_TOKEN=a-secret".into(),
        "NVIDIA_VISIBLE_DEVICES=void".into(),
    ] {
        assert!(
            inside("env").lines().any(|found| found == line),
            "{line} is not in\n{}",
            inside("env")
        );
    }

    let limits = &found["HostConfig"];
    for (field, value) in [
        ("Memory", Value::from(64 << 20)),
        ("MemorySwap", Value::from(64 << 20)),
        ("PidsLimit", 4096.into()),
        ("Privileged", false.into()),
        ("Init", true.into()),
        ("CapDrop", vec!["ALL"].into()),
        ("CapAdd", Value::Null),
        ("SecurityOpt", vec!["no-new-privileges"].into()),
        ("Binds", Value::Null),
        ("Devices", Value::Null),
        ("PublishAllPorts", false.into()),
        ("AutoRemove", false.into()),
    ] {
        let got = &limits[field];
        let empty = value.is_null() && got.as_array().is_some_and(Vec::is_empty);
        assert!(*got == value || empty, "{field}: {got}");
    }
    assert_eq!(limits["PortBindings"].as_object().map_or(0, serde_json::Map::len), 0);
    assert_eq!(limits["RestartPolicy"]["Name"], "no");
    assert_eq!(limits["LogConfig"]["Config"]["max-size"], "10m");
    assert!(!found["Config"]["Labels"].to_string().contains("a-secret"));

    let table = file(&host.run().join("tunnel.table"), |text| !text.is_empty()).await;
    assert!(table.starts_with(&format!("{server} 7 ")), "{table}");

    hub.say(&server, 7, STOP);
    hub.sees_nothing_of(&server).await;
    assert_eq!(docker(&["ps", "-aq", "--filter", &format!("label=berth.server={server}")]), "");
    assert_eq!(std::fs::read_to_string(host.run().join("tunnel.table")).unwrap(), "");
    assert!(!host.run().join("servers").join(server.as_str()).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_memory_and_processors_are_as_wanted_or_the_engines_own() {
    let (hub, host) = site().await;
    let _agent = host.agent();
    let home = host.home("alice", 20_001, 30_001);
    let all = u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap() * 1000;
    let most = CpuShare { weight_milli: Some(1), limit_milli: Some(all) };
    for (shm, cpu, expected) in [
        (None, CpuShare::default(), [64 << 20, 0, 0]),
        (
            Some(ByteCount(48 << 20)),
            CpuShare { weight_milli: Some(1500), limit_milli: Some(500) },
            [48 << 20, 1536, 500_000_000],
        ),
        // All that the host has is no limit, and the kernel takes no less a weight than two.
        (Some(ByteCount(64 << 20)), most, [64 << 20, 2, 0]),
    ] {
        let server = server_id();
        let mut wanted = spec(IMAGE, &home);
        (wanted.shm, wanted.cpu) = (shm, cpu);
        let script = "cat /proc/mounts >mounts; exec httpd -f -p 8888 -h /www";
        wanted.command = ["sh", "-c", script].map(str::to_owned).to_vec();
        hub.say(&server, 1, run(wanted));
        hub.sees(&server, "ready", ready).await;
        let limits = &inspect(&host, &server)["HostConfig"];
        let found = ["ShmSize", "CpuShares", "NanoCpus"].map(|field| limits[field].clone());
        assert_eq!(found, expected.map(Value::from), "{cpu:?}");
        // What the kernel has mounted there.
        let mounts = std::fs::read_to_string(format!("{home}/mounts")).unwrap();
        let inside = mounts.lines().find(|line| line.contains(" /dev/shm ")).unwrap();
        assert!(inside.contains(&format!("size={}k", expected[0] >> 10)), "{inside}");
        hub.say(&server, 1, STOP);
        hub.sees_nothing_of(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named() {
    let (hub, host) = site().await;
    let _agent = host.agent();
    let home = host.home("alice", 20_001, 30_001);
    let root = host.folder.path().join("home");
    let fails = async |change: &dyn Fn(&mut berth_common::link::RunSpec)| {
        let server = server_id();
        let mut wanted = spec(IMAGE, &home);
        change(&mut wanted);
        hub.say(&server, 1, run(wanted));
        let seen = hub.sees(&server, "a failure", |state| failed(state).is_some()).await;
        hub.say(&server, 1, STOP);
        hub.sees_nothing_of(&server).await;
        failed(&seen.state).unwrap()
    };

    let (reason, detail) = fails(&|spec| spec.image = "berth/no-such:1".into()).await;
    assert_eq!(
        (reason, detail.as_str()),
        (Reason::FailedImage, "the image berth/no-such:1 is not on this host")
    );

    let nowhere = root.join("bob").display().to_string();
    let (reason, detail) = fails(&|spec| spec.account.home = nowhere.clone()).await;
    assert_eq!(reason, Reason::FailedMount);
    assert_eq!(
        detail,
        format!("{nowhere} is not on this host; ask the administrators to make it or to mount it")
    );

    let (reason, detail) = fails(&|spec| spec.account.uid = 20_002).await;
    assert_eq!(reason, Reason::FailedMount, "{detail}");

    let (reason, detail) = fails(&|spec| spec.account.home = "/etc".into()).await;
    assert_eq!(reason, Reason::FailedPolicy, "{detail}");

    let (reason, detail) = fails(&|spec| spec.account.uid = 0).await;
    assert_eq!((reason, detail.as_str()), (Reason::FailedPolicy, "uid 0 is below min_uid = 1000"));

    let (reason, detail) = fails(&|spec| spec.image = "evil/thing:1".into()).await;
    assert_eq!(reason, Reason::FailedPolicy, "{detail}");

    let (reason, detail) = fails(&|spec| spec.command = vec!["/no/such/program".into()]).await;
    assert!(matches!(reason, Reason::FailedContainer | Reason::FailedExited), "{reason} {detail}");
    assert!(detail.contains("/no/such/program"), "{detail}");

    let words = ["sh", "-c", "echo I cannot; exit 3"].map(str::to_owned);
    let (reason, detail) = fails(&|spec| spec.command = words.to_vec()).await;
    assert_eq!((reason, detail.as_str()), (Reason::FailedExited, "exit code 3\nI cannot"));

    assert_eq!(docker(&["ps", "-aq", "--filter", &format!("label=berth.host={}", host.name)]), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_hosts_word_counts_the_account_is_the_hosts() {
    let (hub, host) = site().await;
    host.configure(&hub.address, "users = \"nss\"");
    let _agent = host.agent();
    let home = host.home("nobody", 65_534, 65_534);
    let mut wanted = spec(IMAGE, &home);
    wanted.account.name = "nobody".parse().unwrap();
    wanted.account.uid = 65_534;
    wanted.command =
        ["sh", "-c", "id >id; exec httpd -f -p 8888 -h /www"].map(str::to_owned).to_vec();

    let other = server_id();
    hub.say(&other, 1, run(wanted.clone())); // the gid is still the hub's
    let seen = hub.sees(&other, "a failure", |state| failed(state).is_some()).await;
    let expected = "nobody is 65534:65534 on this host, but 65534:30001 for the hub";
    assert_eq!(failed(&seen.state).unwrap(), (Reason::FailedAccount, expected.to_owned()));

    wanted.account.gid = 65_534;
    let server = server_id();
    hub.say(&server, 1, run(wanted));
    hub.sees(&server, "ready", ready).await;
    let id = std::fs::read_to_string(format!("{home}/id")).unwrap();
    let expected = "uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)";
    assert_eq!(id.trim(), expected, "the hub's group atlas is not the host's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_eats_all_memory_is_said_to_have_done_so() {
    let (hub, host) = site().await;
    let _agent = host.agent();
    let (server, home) = (server_id(), host.home("alice", 20_001, 30_001));
    let mut wanted = spec(IMAGE, &home);
    // Answers first, then fills its memory once it is told to.
    let script = "httpd -p 8888 -h /www; while ! test -e go; do sleep 0.05; done; \
                  exec head -c 999999999 /dev/zero | tr '\\000' x | { exec sh -c 'a=$(cat)'; }";
    wanted.command = ["sh", "-c", script].map(str::to_owned).to_vec();
    hub.say(&server, 1, run(wanted));
    hub.sees(&server, "ready", ready).await;
    std::fs::write(format!("{home}/go"), "").unwrap();
    let seen = hub.sees(&server, "its end", |state| failed(state).is_some()).await;
    let (reason, detail) = failed(&seen.state).unwrap();
    assert_eq!(reason, Reason::StoppedOom, "{detail}");
    // Told and heard, the container goes; the word of it stays until the hub says otherwise.
    let name = format!("name=berth.{}", host.name);
    while !docker(&["ps", "-aq", "--filter", &name]).is_empty() {
        tokio::task::yield_now().await;
    }
    hub.sees(&server, "still its end", |state| failed(state).is_some()).await;
    hub.drop_verdict(&server);
    hub.sees_nothing_of(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_killed_leaves_servers_running_and_adopts_them_again() {
    let (hub, host) = site().await;
    let mut agent = host.agent();
    let (server, home) = (server_id(), host.home("alice", 20_001, 30_001));
    hub.say(&server, 4, run(spec(IMAGE, &home)));
    hub.sees(&server, "ready", ready).await;
    let before = inspect(&host, &server);
    let incarnation = hub.heard("a report", |_| true).await.incarnation;
    // What an agent leaves that dies between create and start: never started, removed by force.
    let half = server_id();
    let labels = [
        format!("berth.host={}", host.name),
        format!("berth.server={half}"),
        "berth.generation=2".into(),
        "berth.epoch=1".into(),
        "berth.boot=x".into(),
        "berth.user=bob".into(),
        "berth.server_name=".into(),
        "berth.profile=small".into(),
        "berth.pool=cpu".into(),
        "berth.decision=".into(),
        "berth.memory=67108864".into(),
        "berth.prefix=/user/bob/".into(),
        "berth.port=8888".into(),
    ];
    agent.kill().await.unwrap();
    let name = format!("berth.{}.{half}", host.name);
    let mut create = vec!["create", "--name", &name];
    for label in &labels {
        create.extend(["--label", label]);
    }
    create.extend([IMAGE, "sleep", "600"]);
    docker(&create);
    // A copy made by hand is not the server, whatever its labels say.
    let copy = format!("copy-{}", host.name);
    let mut create = vec!["run", "-d", "--name", &copy];
    let mut copied = labels.clone();
    copied[1] = format!("berth.server={server}");
    for label in &copied {
        create.extend(["--label", label]);
    }
    create.extend([IMAGE, "sleep", "600"]);
    docker(&create);

    hub.stop();
    let _agent = host.agent();
    while !docker(&["ps", "-aq", "--filter", &format!("name={name}")]).is_empty() {
        tokio::task::yield_now().await; // the barrier needs no hub
    }
    hub.drop_verdict(&server);
    hub.restart().await;
    let seen = hub.sees(&server, "ready, as a stray", ready).await;
    let report = hub.heard("the new process", |report| report.incarnation != incarnation).await;
    assert_eq!(report.engine.unwrap().len(), 1, "neither the half-made nor the copy");
    assert_eq!((seen.generation.0, seen.origin.user.as_str()), (4, "alice"));
    hub.heard("the new reign", |report| report.applied == hub.revision()).await;
    let after = inspect(&host, &server);
    assert_eq!(after["State"]["Pid"], before["State"]["Pid"], "never touched");
    assert_eq!(file(&host.state().join("epoch"), |text| text == "2").await, "2");

    hub.say(&server, 4, STOP);
    hub.sees_nothing_of(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_on_one_engine_see_only_their_own() {
    let ((hub, host), (other_hub, other)) = (site().await, site().await);
    let (_agent, _other_agent) = (host.agent(), other.agent());
    let server = server_id();
    hub.say(&server, 1, run(spec(IMAGE, &host.home("alice", 20_001, 30_001))));
    hub.sees(&server, "ready", ready).await;
    let twin = server_id();
    other_hub.say(&twin, 1, run(spec(IMAGE, &other.home("alice", 20_001, 30_001))));
    other_hub.sees(&twin, "ready", ready).await;
    let of = |report: berth_common::link::Report| {
        report.engine.unwrap().into_iter().map(|one| one.server).collect::<Vec<_>>()
    };
    assert_eq!(of(hub.heard("a report", |_| true).await), std::slice::from_ref(&server));
    assert_eq!(of(other_hub.heard("a report", |_| true).await), std::slice::from_ref(&twin));
    let network = |host: &Host, server| {
        let found = inspect(host, server)["NetworkSettings"]["Networks"].clone();
        found.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(network(&host, &server), [format!("berth-{}", host.name)]);
    assert_eq!(network(&other, &twin), [format!("berth-{}", other.name)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_not_there_is_unknown_and_not_empty() {
    let (hub, host) = site().await;
    host.configure_more(
        &hub.address,
        "users = \"hub\"",
        "docker = \"unix:///nonexistent/docker.sock\"",
    );
    let _agent = host.agent();
    let report = hub.heard("trouble", |report| {
        report.engine.as_ref().is_err_and(|trouble| trouble.contains("/nonexistent/docker.sock"))
    });
    report.await;
    assert!(!host.run().join("tunnel.table").exists(), "an unknown table is not an empty one");
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_ask_at_once_get_one_network() {
    use berth_agent::runtime::Runtime;
    let (_hub, host) = site().await;
    let name = host.name.parse().unwrap();
    let engine = berth_agent::runtime::docker::Docker::new(name, SOCKET.as_ref());
    let (a, b, c, d) =
        tokio::join!(engine.network(), engine.network(), engine.network(), engine.network());
    let ids: std::collections::BTreeSet<_> = [a, b, c, d].map(|network| network.unwrap().id).into();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let filter = format!("name=^berth-{}$", host.name);
    assert_eq!(docker(&["network", "ls", "-q", "--filter", &filter]).lines().count(), 1);
}

/// What an agent asked for that died comes a moment later than what its successor has made.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_though_a_second_network_came_after_its_container() {
    use berth_agent::reconcile::Outcome;
    use berth_agent::runtime::Runtime;
    let (_hub, host) = site().await;
    let engine =
        berth_agent::runtime::docker::Docker::new(host.name.parse().unwrap(), SOCKET.as_ref());
    let name = format!("berth-{}", host.name);
    // More of them, so that the first is hardly ever the one of the smallest id.
    let network = engine.network().await.unwrap();
    let label = format!("berth.host={}", host.name);
    let create = ["create", "--label", &label, "--network", &network.id, IMAGE, "sleep", "100"];
    let container = docker(&create);
    for _ in 0..3 {
        network_too(&name).await;
    }
    let outcome = engine.start(&container).await;
    assert!(matches!(outcome, Outcome::Started { .. }), "{outcome:?}");
    let filter = format!("name=^{name}$");
    let all = ["network", "ls", "-q", "--no-trunc", "--filter", &filter];
    assert_eq!(docker(&all), network.id);

    // Without a container the one stays that was given out, for which one may be made just now;
    // what came after the start is removed when the network is asked for again.
    docker(&["rm", "-f", &container]);
    for _ in 0..3 {
        network_too(&name).await;
    }
    assert_eq!(engine.network().await.unwrap().id, network.id);
    assert_eq!(docker(&all), network.id);
}
