//! Images from a registry of this machine.
//!
//! Needs Debian's package docker-registry.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use berth_common::Reason;
use berth_common::link::{ObservedState, StartStep};

use super::docker::{IMAGE, docker, image};
use super::site::{Ca, Host, Hub, file, run, server_id, spec};

struct Registry {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Registry {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let config = folder.path().join("config.yml");
        let root = folder.path().display();
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {root}/images\n\
             http:\n  addr: {address}\n"
        );
        std::fs::write(&config, text).unwrap();
        let log = folder.path().join("log");
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .expect("the package docker-registry is missing");
        let registry = Self { process, address, _folder: folder };
        file(&log, |text| text.contains("listening on")).await;
        registry
    }

    /// Puts a small image there, as nothing that this engine has; its name.
    fn has(&self, name: &str) -> String {
        let reference = format!("{}/{name}:1", self.address);
        docker(&["tag", IMAGE, &reference]);
        docker(&["push", "-q", &reference]);
        docker(&["rmi", &reference]);
        reference
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let images = ["images", "-q", "--filter"];
        let mut all = Command::new("docker");
        let output = all.args(images).arg(format!("reference={}/*", self.address)).arg("--format");
        let output = output.arg("{{.Repository}}:{{.Tag}}").output().unwrap();
        for name in String::from_utf8_lossy(&output.stdout).lines() {
            let _ = Command::new("docker").args(["rmi", name]).output();
        }
    }
}

async fn site(registry: &Registry) -> (Hub, Host) {
    let hub = Hub::start(Arc::new(Ca::new())).await;
    let host = Host::joined(&hub).await;
    let text = std::fs::read_to_string(&host.config).unwrap();
    let images = format!("images = [\"berth/\", \"{}/\"]", registry.address);
    std::fs::write(&host.config, text.replace("images = [\"berth/\"]", &images)).unwrap();
    (hub, host)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_image_is_fetched_while_its_owner_is_told() {
    image();
    let registry = Registry::start().await;
    let name = registry.has("nb");
    let (hub, host) = site(&registry).await;
    let _agent = host.agent();
    let (server, home) = (server_id(), host.home("alice", 20_001, 30_001));
    hub.say(&server, 1, run(spec(&name, &home)));
    let seen = hub.sees(&server, "ready", |state| *state == ObservedState::Ready).await;
    let steps: Vec<_> = seen.steps.iter().map(|done| done.step).collect();
    assert_eq!(steps[..2], [StartStep::Fetch, StartStep::Image]);

    // What is not there is told, and a name without a registry is not looked for anywhere.
    for (user, missing, why) in [
        ("bob", format!("{}/none:1", registry.address), "and was not fetched: "),
        ("carol", "berth/not-here:1".to_owned(), "is not on this host"),
    ] {
        let (server, home) = (server_id(), host.home(user, 20_001, 30_001));
        hub.say(&server, 1, run(spec(&missing, &home)));
        let failed = |state: &ObservedState| matches!(state, ObservedState::Failed(_));
        let seen = hub.sees(&server, "a failure", failed).await;
        let ObservedState::Failed(ending) = seen.state else { unreachable!() };
        assert_eq!(ending.reason, Reason::FailedImage);
        assert!(ending.detail.contains(why), "{}", ending.detail);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_fetch_is_pending_under_its_own_name() {
    image();
    // A registry that accepts and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let hub = Hub::start(Arc::new(Ca::new())).await;
    let host = Host::joined(&hub).await;
    let text = std::fs::read_to_string(&host.config).unwrap();
    let images = format!("images = [\"{address}/\"]");
    std::fs::write(&host.config, text.replace("images = [\"berth/\"]", &images)).unwrap();
    let _agent = host.agent();
    let (server, home) = (server_id(), host.home("alice", 20_001, 30_001));
    hub.say(&server, 1, run(spec(&format!("{address}/nb:1"), &home)));
    let fetches = |report: &berth_common::link::Report| {
        report.pending.iter().any(|it| it.server == server && it.operation == "fetch")
    };
    hub.heard("a fetch", fetches).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_of_the_pool_are_there_before_anybody_needs_them() {
    image();
    let registry = Registry::start().await;
    let name = registry.has("early");
    let (hub, host) = site(&registry).await;
    // One that the host does not allow, one that nobody has: they hold up nothing.
    let missing = format!("{}/none:1", registry.address);
    hub.prepare(&["127.0.0.1:1/evil/nb:1", &missing, &name]);
    let _agent = host.agent();
    hub.heard("the image", |report| report.facts.images.contains(&name)).await;
}
