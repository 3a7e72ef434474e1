//! Images from a registry of this machine.
//!
//! Needs Debian's package docker-registry.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use berth_common::link::{ObservedState, Report, RunSpec, StartStep, Verdict};
use berth_common::{Reason, ServerId};

use super::docker::{IMAGE, docker, image};
use super::site::{Ca, Host, Hub, file, run, server_id, spec};

pub struct Registry {
    process: Child,
    address: String,
    folder: tempfile::TempDir,
}

/// The name and password that the registry with a login asks for, and the password's hash.
const LOGIN: (&str, &str, &str) =
    ("berth", "correct horse", "$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2");

impl Registry {
    pub async fn start() -> Self {
        Self::asking(false).await
    }

    async fn asking(login: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let config = folder.path().join("config.yml");
        let root = folder.path().display();
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {root}/images\n\
             http:\n  addr: {address}\n"
        );
        let text = match login {
            true => format!("{text}auth:\n  htpasswd:\n    realm: berth\n    path: {root}/users\n"),
            false => text,
        };
        let users = folder.path().join("users");
        std::fs::write(users, format!("{}:{}\n", LOGIN.0, LOGIN.2)).unwrap();
        std::fs::write(&config, text).unwrap();
        let log = folder.path().join("log");
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .expect("the package docker-registry is missing");
        let registry = Self { process, address, folder };
        file(&log, |text| text.contains("listening on")).await;
        registry
    }

    /// Puts a small image there, as nothing that this engine has; its name and digest.
    pub fn has(&self, name: &str) -> (String, String) {
        let reference = format!("{}/{name}:1", self.address);
        let digest = self.pushed(IMAGE, &reference);
        (reference, digest)
    }

    /// Puts an image there under a name; its digest.
    fn pushed(&self, image: &str, reference: &str) -> String {
        // Where the client keeps its logins.
        let folder = self.folder.path().join("client");
        let folder = folder.to_str().unwrap();
        docker(&["tag", image, reference]);
        let login = ["--config", folder, "login", "-u", LOGIN.0, "-p", LOGIN.1, &self.address];
        // One that asks for no login takes any.
        docker(&login);
        docker(&["--config", folder, "push", "-q", reference]);
        let all = docker(&["image", "inspect", "-f", "{{json .RepoDigests}}", reference]);
        let all: Vec<String> = serde_json::from_str(&all).unwrap();
        let repository = reference.rsplit_once(':').unwrap().0;
        docker(&["rmi", reference]);
        let mut own = all.into_iter().filter(|it| it.starts_with(&format!("{repository}@")));
        own.next().unwrap()
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

/// A hub, and a host that may run what the registry has.
pub async fn site(registry: &Registry) -> (Hub, Host) {
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
    let (name, digest) = registry.has("nb");
    let (hub, host) = site(&registry).await;
    let _agent = host.agent();
    let (server, home) = (server_id(), host.home("alice", 20_001, 30_001));

    // The name alone is not fetched: on another host it could become another build.
    hub.say(&server, 1, run(spec(&name, &home)));
    let failed = |state: &ObservedState| matches!(state, ObservedState::Failed(_));
    let seen = hub.sees(&server, "a failure", failed).await;
    let ObservedState::Failed(ending) = seen.state else { unreachable!() };
    assert!(ending.detail.contains("no host could tell yet which build"), "{}", ending.detail);
    hub.say(&server, 1, Verdict::Stop { grace_s: 1 });
    hub.sees_nothing_of(&server).await;

    // What the registry gives is asked for before anybody has it, and only what is allowed.
    hub.asks_about(&[&name, "127.0.0.1:1/evil/nb:1"]);
    let offered = |report: &Report| !report.facts.offered.is_empty();
    let report = hub.heard("what the registry gives", offered).await;
    assert_eq!(report.facts.offered, [(name.clone(), digest.clone())].into());
    let server = server_id();
    hub.say(&server, 1, run(RunSpec { build: digest.clone(), ..spec(&name, &home) }));
    let seen = hub.sees(&server, "ready", |state| *state == ObservedState::Ready).await;
    let steps: Vec<_> = seen.steps.iter().map(|done| done.step).collect();
    assert_eq!(steps[..2], [StartStep::Fetch, StartStep::Image]);
    let named = |report: &Report| report.facts.builds.get(&name) == Some(&digest);
    hub.heard("that it is here", named).await;

    // What is not there is told, and a name without a registry is not looked for anywhere.
    for (user, missing, why) in [
        ("bob", format!("{}/none@sha256:{:064}", registry.address, 0), "and was not fetched: "),
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
    let build = format!("{address}/nb@sha256:{:064}", 0);
    hub.say(&server, 1, run(RunSpec { build, ..spec(&format!("{address}/nb:1"), &home) }));
    let fetches = |report: &Report| {
        report.pending.iter().any(|it| it.server == server && it.operation == "fetch")
    };
    hub.heard("a fetch", fetches).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_of_the_pool_are_there_before_anybody_needs_them() {
    image();
    let registry = Registry::start().await;
    let (name, _) = registry.has("early");
    let (hub, host) = site(&registry).await;
    // One that the host does not allow, one that nobody has: they hold up nothing.
    let missing = format!("{}/none:1", registry.address);
    hub.prepare(&["127.0.0.1:1/evil/nb:1", &missing, &name]);
    let _agent = host.agent();
    hub.heard("the image", |report| report.facts.images.contains(&name)).await;
}

/// Another build of the small image, under a name of this test's own; gone with it.
struct Variant(String);

impl Variant {
    fn new() -> Self {
        let name = format!("berth/test-variant:{:08x}", rand::random::<u32>());
        let container = docker(&["create", IMAGE, "true"]);
        docker(&["commit", "--change", "LABEL variant=1", &container, &name]);
        docker(&["rm", &container]);
        Self(name)
    }

    fn id(name: &str) -> String {
        docker(&["image", "inspect", "-f", "{{.Id}}", name])
    }
}

impl Drop for Variant {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rmi", &self.0]).output();
    }
}

/// The engine's id of what a server runs.
fn runs(host: &Host, server: &ServerId) -> String {
    docker(&["inspect", "-f", "{{.Image}}", &format!("berth.{}.{server}", host.name)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_runs_the_build_that_was_decided_whatever_its_name_stands_for_now() {
    image();
    let registry = Registry::start().await;
    let variant = Variant::new();
    let name = format!("{}/pin:1", registry.address);
    let decided = registry.pushed(IMAGE, &name);
    let newer = registry.pushed(&variant.0, &name);
    assert_ne!(decided, newer);
    let (hub, host) = site(&registry).await;
    hub.prepare(&[&name]);
    let _agent = host.agent();
    let report = hub.heard("the newer one", |report| report.facts.builds.contains_key(&name)).await;
    assert_eq!(report.facts.builds[&name], newer, "the host says what the name stands for");

    let (server, home) = (server_id(), host.home("alice", 20_001, 30_001));
    let wanted = |image: &str, build: &str| RunSpec { build: build.into(), ..spec(image, &home) };
    hub.say(&server, 1, run(wanted(&name, &decided)));
    let seen = hub.sees(&server, "ready", |state| *state == ObservedState::Ready).await;
    assert_eq!(seen.steps[0].step, StartStep::Fetch, "this host had only the newer one");
    assert_eq!(runs(&host, &server), Variant::id(IMAGE));
    let now = server_id();
    hub.say(&now, 1, run(wanted(&name, &newer)));
    hub.sees(&now, "ready", |state| *state == ObservedState::Ready).await;
    assert_eq!(runs(&host, &now), Variant::id(&variant.0));

    // An image of the host alone, which becomes another one after the decision.
    let local = format!("berth/test-local:{:08x}", rand::random::<u32>());
    docker(&["tag", IMAGE, &local]);
    let id = Variant::id(IMAGE);
    let before = server_id();
    hub.say(&before, 1, run(wanted(&local, &id)));
    hub.sees(&before, "ready", |state| *state == ObservedState::Ready).await;
    docker(&["tag", &variant.0, &local]);
    let foreign = decided.replace("/pin@", "/other@");
    for (image, build, reason, why) in [
        (&local, id.as_str(), Reason::FailedImage, "is another one now than when the host"),
        (&name, foreign.as_str(), Reason::FailedPolicy, "is none of image"),
        (&name, "sha256:short", Reason::FailedPolicy, "malformed"),
    ] {
        let server = server_id();
        hub.say(&server, 1, run(wanted(image, build)));
        let failed = |state: &ObservedState| matches!(state, ObservedState::Failed(_));
        let seen = hub.sees(&server, "a failure", failed).await;
        let ObservedState::Failed(ending) = seen.state else { unreachable!() };
        assert_eq!(ending.reason, reason);
        assert!(ending.detail.contains(why), "{}", ending.detail);
    }
    docker(&["rmi", &local]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_wants_a_login_gets_the_one_of_the_hosts_file() {
    image();
    let registry = Registry::asking(true).await;
    let (name, digest) = registry.has("closed");
    let (hub, host) = site(&registry).await;
    let logins = host.folder.path().join("registries.toml");
    let text = std::fs::read_to_string(&host.config).unwrap();
    let line = format!("registries = \"{}\"\nreport_every", logins.display());
    std::fs::write(&host.config, text.replace("report_every", &line)).unwrap();
    let write = |password: &str, mode: u32| {
        let text = format!(
            "version = 1\n[registry.\"{}\"]\nuser = \"{}\"\npassword = \"{password}\"\n",
            registry.address, LOGIN.0
        );
        std::fs::write(&logins, text).unwrap();
        std::fs::set_permissions(&logins, std::os::unix::fs::PermissionsExt::from_mode(mode))
            .unwrap();
    };
    let log = host.folder.path().join("log");
    let to_log = std::fs::File::create(&log).unwrap();
    let _agent = host.command(&["run"]).stderr(to_log).spawn().unwrap();
    let home = host.home("alice", 20_001, 30_001);
    for (password, mode, why) in
        [("wrong battery", 0o600, "and was not fetched: "), (LOGIN.1, 0o644, "others can read ")]
    {
        write(password, mode);
        let server = server_id();
        hub.say(&server, 1, run(RunSpec { build: digest.clone(), ..spec(&name, &home) }));
        let failed = |state: &ObservedState| matches!(state, ObservedState::Failed(_));
        let seen = hub.sees(&server, "a failure", failed).await;
        let ObservedState::Failed(ending) = seen.state else { unreachable!() };
        assert_eq!(ending.reason, Reason::FailedImage);
        assert!(ending.detail.contains(why), "{}", ending.detail);
        assert!(!ending.detail.contains(password), "{}", ending.detail);
    }
    write(LOGIN.1, 0o600);
    hub.asks_about(&[&name]);
    let offered = |report: &Report| report.facts.offered.get(&name) == Some(&digest);
    hub.heard("what the registry gives", offered).await;
    let server = server_id();
    hub.say(&server, 1, run(RunSpec { build: digest.clone(), ..spec(&name, &home) }));
    hub.sees(&server, "ready", |state| *state == ObservedState::Ready).await;
    let log = std::fs::read_to_string(log).unwrap();
    assert!(!log.contains(LOGIN.1) && !log.contains("wrong battery"), "{log}");
}
