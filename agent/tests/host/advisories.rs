//! Ways out of a container that runc and others have had, replayed against what the agent makes.

use std::sync::Arc;

use berth_common::link::ObservedState;
use serde_json::Value;

use super::docker::{IMAGE, docker, image};
use super::site::{Ca, Host, Hub, file, run, server_id, spec, text};

/// An image of the suite's, changed; removed with the value.
struct Changed(String);

impl Changed {
    fn new(name: &str, change: &str) -> Self {
        image();
        let name = format!("berth/test-{name}:{:08x}", rand::random::<u32>());
        let made = docker(&["create", IMAGE, "true"]);
        docker(&["commit", "--change", change, &made, &name]);
        docker(&["rm", &made]);
        Self(name)
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        let _ = std::process::Command::new("docker").args(["rmi", "-f", &self.0]).output();
    }
}

async fn site() -> (Hub, Host) {
    image();
    let hub = Hub::start(Arc::new(Ca::new())).await;
    let host = Host::joined(&hub).await;
    (hub, host)
}

/// CVE-2024-21626: a folder of work that was a descriptor of runc's own led to the host's files.
#[tokio::test(flavor = "multi_thread")]
async fn an_images_folder_of_work_is_not_used() {
    let escape = Changed::new("escape", "WORKDIR /proc/self/fd/8");
    let (hub, host) = site().await;
    let _agent = host.agent();
    let (server, home) = (server_id(), host.home("alice", 20_001, 30_001));
    let mut wanted = spec(&escape.0, &home);
    let script = "pwd >pwd; ls / >root; exec httpd -f -p 8888 -h /www";
    wanted.command = ["sh", "-c", script].map(str::to_owned).to_vec();
    hub.say(&server, 1, run(wanted));
    hub.sees(&server, "ready", |state| *state == ObservedState::Ready).await;
    let inside = |name: &str| std::path::PathBuf::from(format!("{home}/{name}"));
    let pwd = file(&inside("pwd"), |text| text.ends_with('\n')).await;
    assert_eq!(pwd.trim(), home);
    let name = format!("berth.{}.{server}", host.name);
    let made: Value = serde_json::from_str(&docker(&["inspect", &name])).unwrap();
    assert_eq!(made[0]["Config"]["WorkingDir"], home.as_str());

    // CVE-2025-31133, CVE-2025-52565, CVE-2025-52881: races over masked paths, the console and
    // writes into /proc. The engine masks what it masks, and there is no console.
    assert_eq!(made[0]["Config"]["Tty"], false);
    let all = |key: &str| made[0]["HostConfig"][key].as_array().unwrap().clone();
    for path in ["/proc/kcore", "/proc/timer_list", "/sys/firmware"] {
        assert!(all("MaskedPaths").contains(&path.into()), "{path}");
    }
    assert!(all("ReadonlyPaths").contains(&"/proc/sys".into()));
    for mount in all("Mounts") {
        let target = mount["Target"].as_str().unwrap();
        assert!(!target.starts_with("/proc") && !target.starts_with("/dev"), "{target}");
        let spreads = mount["BindOptions"]["Propagation"].as_str().unwrap();
        assert!(spreads == "rprivate" || spreads == "rslave", "{target}: {spreads}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_below_its_floor_is_found_wrong() {
    let (_hub, host) = site().await;
    let written = std::fs::read_to_string(&host.config).unwrap();
    let told = text(&host.output(&["check"]).await);
    assert!(told.contains("ok    runc: "), "{told}");
    let floors = "\n[floors]\nrunc = \"999.1\"\nengine = \"1.0\"\n";
    std::fs::write(&host.config, format!("{written}{floors}")).unwrap();
    let output = host.output(&["check"]).await;
    let told = text(&output);
    assert!(!output.status.success());
    let wrong = told.lines().find(|line| line.starts_with("WRONG runc: ")).expect(&told);
    assert!(wrong.ends_with("is below [floors] runc = \"999.1\" of agent.toml: upgrade it"));
    assert!(told.lines().any(|line| line.ends_with("from [floors] engine = \"1.0\" on")), "{told}");
}
