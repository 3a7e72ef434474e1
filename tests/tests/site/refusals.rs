//! What cannot be: each with a clear word to the right person, nothing half-done, nothing lost.

use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::site::{Person, Site, run, until};

/// Starts a server that must fail, and returns the reason code and the words its owner reads.
async fn failed_start(person: &Person<'_>, options: serde_json::Value) -> (String, String) {
    let path = format!("/hub/api/users/{}/server", person.name);
    let (status, answer) = person.call(Method::POST, &path, Some(options)).await;
    assert!(
        status.is_success() || status.is_client_error() || status.is_server_error(),
        "{answer}"
    );
    until("the start has failed", async || {
        let record = person.record().await;
        (record["state"] == json!("ended")).then_some(())
    })
    .await;
    let record = person.record().await;
    let end = &record["last_end"];
    assert_eq!(site_containers(person, &record), 0, "nothing is left behind");
    (
        end["reason"]["code"].as_str().unwrap_or_default().to_owned(),
        end["detail"].as_str().unwrap_or_default().to_owned(),
    )
}

fn site_containers(person: &Person<'_>, record: &serde_json::Value) -> usize {
    person.site.containers(record["id"].as_str().unwrap()).len()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_no_names_get_a_clear_answer() {
    let site = Site::running();
    let long = "a".repeat(300);
    for name in [
        "nobody",
        "%2e%2e%2fusers",
        "..%2F..",
        "a%2Fb",
        "%2Fetc",
        "a%00b",
        &long,
        "%F0%9F%98%80",
        "A%20B",
    ] {
        for path in [format!("/hub/api/users/{name}"), format!("/hub/api/users/{name}/server")] {
            let method = if path.ends_with("server") { Method::POST } else { Method::GET };
            let (status, answer) = site.admin(method, &path, None).await;
            assert!(
                status == StatusCode::NOT_FOUND || status == StatusCode::BAD_REQUEST,
                "{path}: {status} {answer}"
            );
            let text = answer.to_string();
            assert!(
                text.len() < 500,
                "{path}: the answer repeats the hostile name: {}",
                text.len()
            );
        }
    }
    for name in ["..", "a/b", "", "Alice", &long] {
        let body = json!({ "name": name, "uid": 29_999, "gid": 29_999, "home": "/nowhere" });
        let (status, answer) = site.admin(Method::POST, "/hub/api/berth/users", Some(body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{name:?}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains("user name"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_ten_megabytes_is_refused_and_the_site_goes_on() {
    let site = Site::running();
    let body = json!({ "filler": "x".repeat(10 << 20) });
    let (status, answer) = site.admin(Method::POST, "/hub/api/users/demo/server", Some(body)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{answer}");
    let (status, _) = site.admin(Method::GET, "/hub/api/user", None).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_is_missing_is_named_to_its_owner() {
    let site = Site::running();
    let home = site.state.join("homes/no/such/folder");
    let person = site.user_with_home("homeless", 21_030, home.clone()).await;
    let (reason, detail) = failed_start(&person, json!({})).await;
    assert_eq!(reason, "failed.mount", "{detail}");
    assert!(detail.contains(home.to_str().unwrap()), "{detail}");
    assert!(!home.exists(), "nothing was made by accident");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_outside_the_hosts_own_rules_is_refused_by_the_host() {
    let site = Site::running();
    let person = site.user_with_home("intruder", 21_031, "/etc".into()).await;
    let (reason, detail) = failed_start(&person, json!({})).await;
    assert_eq!(reason, "failed.policy", "{detail}");
    assert!(detail.contains("/etc"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_there_is_named_to_its_owner() {
    let site = Site::running();
    let extra = Extra::add(&site, "ghost", "ghost-image", "512 MB").await;
    let person = site.user("imaginary", 21_032).await;
    let (reason, detail) = failed_start(&person, json!({ "profile": "ghost" })).await;
    assert_eq!(reason, "failed.image.absent", "{detail}");
    assert!(detail.contains("berth/no-such-image:1"), "{detail}");
    extra.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_host_the_next_one_waits_is_told_why_and_starts_when_there_is_room() {
    let site = Site::running();
    let extra = Extra::add(&site, "tiny", "jupyterhub-6", "512 MB").await;
    let (first, second) = (site.user("early", 21_033).await, site.user("late", 21_034).await);
    first.start(json!({ "profile": "tiny" })).await;
    let path = "/hub/api/users/late/server";
    let (status, answer) =
        second.call(Method::POST, path, Some(json!({ "profile": "tiny" }))).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    let record = second.record().await;
    assert_eq!(record["state"], json!("waiting"), "{record}");
    let page =
        second.log_in().await.get(&site, "/hub/spawn-pending/late").await.text().await.unwrap();
    assert!(page.contains("memory is promised"), "the waiting page says why:\n{page}");
    first.stop().await;
    second.ready().await;
    second.stop().await;
    extra.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dockerd_that_is_down_is_said_to_the_administrators_and_the_person_waits() {
    let site = Site::running();
    let extra =
        Extra::add_with_docker(&site, "dry", "jupyterhub-6", "512 MB", "/nonexistent/docker.sock")
            .await;
    let (_, host) =
        site.admin(Method::GET, &format!("/hub/api/berth/hosts/{}", extra.host), None).await;
    assert_eq!(host["host"]["reason"]["code"], json!("host.engine_down"), "{host}");
    let person = site.user("thirsty", 21_035).await;
    let (status, answer) = person
        .call(Method::POST, "/hub/api/users/thirsty/server", Some(json!({ "profile": "dry" })))
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    let page =
        person.log_in().await.get(&site, "/hub/spawn-pending/thirsty").await.text().await.unwrap();
    assert!(page.contains("No host is ready"), "{page}");
    // Leaving the queue leaves nothing behind.
    person.stop().await;
    extra.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_with_a_typo_is_named_by_line_and_changes_nothing() {
    let site = Site::running();
    let folder = site.state.join("config");
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(&folder).unwrap().flatten() {
        if entry.path().is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    let pools = copy.path().join("pools.toml");
    std::fs::write(&pools, "version = 1\n[pool.cpu]\nstrategi = \"pack\"\n").unwrap();
    let hub = std::env::var("BERTH_BIN").unwrap_or_else(|_| "target/release".into());
    let out = std::process::Command::new(Path::new(&hub).join("berth-hub"))
        .args(["config", "check"])
        .arg(copy.path())
        .output()
        .unwrap();
    assert!(!out.status.success());
    let text = String::from_utf8(out.stderr).unwrap();
    for part in ["config.unknown_key", "pools.toml:3", "did you mean \"strategy\"?", "^^^"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

/// One more pool with one host of its own, for as long as a test needs it: declared by hot
/// reload, joined and run as an administrator would.
struct Extra<'a> {
    site: &'a Site,
    name: String,
    host: String,
    agents: Vec<std::process::Child>,
}

impl<'a> Extra<'a> {
    async fn add(site: &'a Site, name: &str, image: &str, memory: &str) -> Extra<'a> {
        Self::add_with_docker(site, name, image, memory, "/run/docker.sock").await
    }

    async fn add_with_docker(
        site: &'a Site,
        name: &str,
        image: &str,
        memory: &str,
        docker: &str,
    ) -> Extra<'a> {
        let port = std::env::var("BERTH_PORT").unwrap();
        let host = format!("{name}-{port}");
        let tunnel = free_port();
        let config = site.state.join("config");
        for folder in ["hosts.d", "pools.d", "profiles.d", "images.d"] {
            std::fs::create_dir_all(config.join(folder)).unwrap();
        }
        let write = |folder: &str, text: String| {
            let path = config.join(folder).join(format!("{name}.toml"));
            std::fs::write(path.with_extension("new"), format!("version = 1\n{text}")).unwrap();
            std::fs::rename(path.with_extension("new"), path).unwrap();
        };
        write("pools.d", format!("[pool.{name}]\n"));
        write(
            "hosts.d",
            format!(
                "host = [{{ names = \"{host}\", pool = \"{name}\", memory = \"{memory}\", address = \"127.0.0.1:{tunnel}\" }}]\n"
            ),
        );
        if image == "ghost-image" {
            write("images.d", "[image.ghost-image]\nref = \"berth/no-such-image:1\"\n".into());
        }
        write(
            "profiles.d",
            format!(
                "[profile.{name}]\npool = \"{name}\"\nmemory = {{ default = \"512 MB\" }}\nimages = [\"{image}\"]\n"
            ),
        );

        let folder = site.state.join("agents").join(&host);
        let sockets = format!("/run/berth-laptop-{port}/{host}");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(&sockets).unwrap();
        let model = site.state.join("agents").join(site.laptop_host()).join("agent.toml");
        let model = std::fs::read_to_string(model).unwrap();
        let line = |key: &str| model.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
        let text = format!(
            "version = 1\n[agent]\nname = \"{host}\"\n{}\nstate = \"{}/state\"\nrun = \"{sockets}\"\nmemory = \"{memory}\"\n\
             docker = \"unix://{docker}\"\ntunnel = {{ listen = \"127.0.0.1:{tunnel}\" }}\n{}\n[home]\ncreate = \"missing\"\n\
             [limits]\nusers = \"hub\"\n{}\nimages = [\"berth/\"]\n",
            line("hub ="),
            folder.display(),
            api_url(site, &port),
            line("mount_sources ="),
        );
        let file = folder.join("agent.toml");
        std::fs::write(&file, text).unwrap();

        let path = format!("/hub/api/berth/hosts/{host}/join-token");
        let token = until("the new host is declared", async || {
            let (status, answer) = site.admin(Method::POST, &path, None).await;
            status.is_success().then(|| answer["token"].as_str().unwrap().to_owned())
        })
        .await;
        let bin = std::env::var("BERTH_BIN")
            .unwrap_or_else(|_| format!("{}/../target/release", env!("CARGO_MANIFEST_DIR")));
        let agent = format!("{bin}/berth-agent");
        let file = file.to_str().unwrap();
        run(&agent, &["join", &token, "--config", file]);
        let log = std::fs::File::create(site.state.join("logs").join(format!("agent-{host}.log")))
            .unwrap();
        let spawn = |command: &str| {
            std::process::Command::new(&agent)
                .args([command, "--config", file])
                .stdout(log.try_clone().unwrap())
                .stderr(log.try_clone().unwrap())
                .spawn()
                .unwrap()
        };
        let agents = vec![spawn("tunnel"), spawn("run")];
        until("the new host reports", async || {
            let (_, host) =
                site.admin(Method::GET, &format!("/hub/api/berth/hosts/{host}"), None).await;
            matches!(host["host"]["state"].as_str()?, "ready" | "engine down").then_some(())
        })
        .await;
        Extra { site, name: name.to_owned(), host, agents }
    }

    /// Ends the agents, forgets host, pool and profile, and removes the network.
    async fn remove(mut self) {
        for agent in &mut self.agents {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        for folder in ["profiles.d", "hosts.d", "pools.d", "images.d"] {
            let _ = std::fs::remove_file(
                self.site.state.join("config").join(folder).join(format!("{}.toml", self.name)),
            );
        }
        let network = format!("berth-{}", self.host);
        let _ = std::process::Command::new("docker").args(["network", "rm", &network]).output();
    }
}

/// The proxy listens on the gateways of the laptop's own networks; one of them is a good address
/// for containers of any network on this machine.
fn api_url(site: &Site, port: &str) -> String {
    let host = site.laptop_host();
    let gateway = run(
        "docker",
        &[
            "network",
            "inspect",
            "-f",
            "{{(index .IPAM.Config 0).Gateway}}",
            &format!("berth-{host}"),
        ],
    );
    format!("api_url = \"http://{}:{port}/hub/api\"", gateway.trim())
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
