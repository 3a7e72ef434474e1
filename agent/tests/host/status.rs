//! What the program tells people at the host.

use std::fs;
use std::sync::Arc;

use berth_common::link::ObservedState;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::docker::{self, IMAGE};
use super::site::{Ca, Host, Hub, run, server_id, spec};
use super::tunnel::Tunnel;

#[tokio::test(flavor = "multi_thread")]
async fn check_is_content_with_a_good_host_and_names_what_is_wrong() {
    docker::image();
    let hub = Hub::start(Arc::new(Ca::new())).await;
    let host = Host::joined(&hub).await;
    fs::create_dir_all(host.run()).unwrap();
    let tunnel = Tunnel::start(&host).await;
    let good = host.output(&["check"]).await;
    let text = String::from_utf8(good.stdout).unwrap();
    assert!(good.status.success() && !text.contains("WRONG"), "{text}");
    for line in [
        "ok    engine: Docker ",
        "ok    hub: ",
        "ok    clock: agrees with the hub's",
        "ok    link certificate: until ",
        "ok    network: berth-",
        "ok    cgroups: version ",
        "ok    pressure: the kernel ",
        "ok    firewall: off",
        "ok    gpus: ",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }

    drop(tunnel);
    hub.stop();
    let config = fs::read_to_string(&host.config).unwrap();
    let bad = config
        .replace(
            "report_every",
            "memory = \"900 TB\"\ndocker = \"unix:///nonexistent\"\n\
             registries = \"/nonexistent/registries.toml\"\nreport_every",
        )
        .replace("/home\"]", "/nohome\"]");
    fs::write(&host.config, bad).unwrap();
    let key = host.state().join("link.key");
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let wrong = host.output(&["check"]).await;
    let text = String::from_utf8(wrong.stdout).unwrap();
    assert_eq!(wrong.status.code(), Some(1), "{text}");
    for line in [
        "WRONG memory: [agent] memory = 900 TB is more than this host has",
        "WRONG hub: the hub at 127.0.0.1:",
        "WRONG engine: the Docker Engine at /nonexistent does not answer",
        "WRONG keys: others can read ",
        "WRONG registries: /nonexistent/registries.toml: there is no such file; write it",
        "/nohome: No such file or directory (os error 2); mount it, or see [limits] mount_sources",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_how_things_are_and_the_agent_is_small() {
    docker::image();
    let hub = Hub::start(Arc::new(Ca::new())).await;
    let host = Host::joined(&hub).await;
    let nobody = host.output(&["status"]).await;
    let text = String::from_utf8(nobody.stderr).unwrap();
    assert!(text.contains("is berth-agent running?"), "{text}");

    let agent = host.agent();
    let (server, home) = (server_id(), host.home("alice", 20_001, 30_001));
    hub.say(&server, 3, run(spec(IMAGE, &home)));
    hub.sees(&server, "ready", |state| *state == ObservedState::Ready).await;
    let output = host.output(&["status"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let first = format!("host     {} (berth-agent ", host.name);
    assert!(text.starts_with(&first), "{text}");
    assert!(text.contains(&format!("hub      {}, link up\n", hub.address)), "{text}");
    assert!(text.contains("servers  1\n"), "{text}");
    assert!(text.contains(&format!("  {server}  alice  ready  ")), "{text}");
    let twice = host.output(&["run"]).await;
    let text = String::from_utf8(twice.stderr).unwrap();
    assert!(text.contains("another berth-agent runs with the state folder"), "{text}");
    let json = host.output(&["status", "--json"]).await;
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["servers"][0]["generation"], 3);

    let status = fs::read_to_string(format!("/proc/{}/status", agent.id().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
    println!("resident: {kib} KiB");
    // The program as tests build it, unoptimised, is larger than the one that is installed.
    assert!(kib < 30 << 10, "{kib} KiB resident");
}

/// What a real Podman 4.3.1 answers when it is asked for its version, shortened.
const PODMAN: &str = r#"{"Platform":{"Name":"linux/amd64/debian-12"},"Components":[{"Name":"Podman Engine","Version":"4.3.1","Details":{"APIVersion":"4.3.1"}},{"Name":"Conmon","Version":"conmon version 2.1.6"}],"Version":"4.3.1","ApiVersion":"1.41","MinAPIVersion":"1.24"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn podman_is_refused_with_the_reason() {
    let hub = Hub::start(Arc::new(Ca::new())).await;
    let host = Host::joined(&hub).await;
    let socket = host.folder.path().join("podman");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut question, length) = ([0; 4096], PODMAN.len());
                while matches!(stream.read(&mut question).await, Ok(read) if read > 0) {
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                         Content-Length: {length}\r\n\r\n"
                    );
                    stream.write_all((head + PODMAN).as_bytes()).await.unwrap();
                }
            });
        }
    });
    let docker = format!("docker = \"unix://{}\"", socket.display());
    host.configure_more(&hub.address, "users = \"hub\"", &docker);
    let said = super::site::text(&host.output(&["check"]).await);
    let line = "WRONG engine: this is Podman 4.3.1, which does not keep containers of one network \
                from one another: use the Docker Engine";
    assert!(said.contains(line), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_asks_for_itself_to_be_emptied() {
    let hub = Hub::start(Arc::new(Ca::new())).await;
    let host = Host::joined(&hub).await;
    for (arguments, told) in [
        (vec!["--reason", "new disks", "--within", "2h"], "open false, 7200 s: new disks\n"),
        (vec!["--reason", "new disks"], "open false, 0 s: new disks\n"),
        (vec!["--cancel"], "open true, 0 s: \n"),
    ] {
        let output = host.output(&[&["drain-me"], arguments.as_slice()].concat()).await;
        assert_eq!(super::site::text(&output), told);
        assert!(output.status.success());
    }
    for wrong in [vec!["drain-me"], vec!["drain-me", "--reason", "x", "--within", "soon"]] {
        assert!(!host.output(&wrong).await.status.success(), "{wrong:?}");
    }
    hub.stop();
    let output = host.output(&["drain-me", "--reason", "new disks"]).await;
    assert!(super::site::text(&output).contains("cannot be reached"), "no answer is no success");
    assert!(!output.status.success());
}
