//! The site of `examples/site`, as somebody would try it: brought up, looked at by the commands that
//! administrators use, and taken down. It needs the four programs, built in the same profile as
//! this test, and nothing else.

#[path = "home/prometheus.rs"]
mod prometheus;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A site that is taken down even if the test fails.
struct Site {
    port: u16,
    state: tempfile::TempDir,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Where cargo puts the programs of this test's profile.
fn programs() -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    for program in ["berth", "berth-hub", "berth-proxy", "berth-agent", "past"] {
        let missing = format!("{} has no {program}: build the programs first", folder.display());
        assert!(folder.join(program).exists(), "{missing}");
    }
    folder
}

/// A port whose neighbours, as the site's scripts take them, are free too.
fn free_port() -> u16 {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let any = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut tries = std::iter::repeat_with(any).filter(|port| *port < 65_000);
    tries.find(|port| free(port + 81) && free(port + 443)).unwrap()
}

impl Site {
    fn new() -> Self {
        Self { port: free_port(), state: tempfile::tempdir().unwrap() }
    }

    fn state(&self) -> PathBuf {
        self.state.path().join("state")
    }

    fn script(&self, name: &str) -> Output {
        Command::new(root().join("examples/site").join(name))
            .env("BERTH_PORT", self.port.to_string())
            .env("BERTH_STATE", self.state())
            .env("BERTH_BIN", programs())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn berth(&self, arguments: &[&str]) -> Value {
        let output = Command::new(programs().join("berth"))
            .args(arguments)
            .args(["-o", "json"])
            .env("BERTH_URL", format!("http://127.0.0.1:{}", self.port))
            .env("BERTH_TOKEN_FILE", self.state().join("admin-token"))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "berth {}: {told}", arguments.join(" "));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// `GET` of a page, as the administrator's program.
    fn get(&self, path: &str) -> (String, String) {
        use std::io::{Read, Write};
        let token = std::fs::read_to_string(self.state().join("admin-token")).unwrap();
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: token {}\r\n\
             Connection: close\r\n\r\n",
            self.port,
            token.trim()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let (mut status, mut rest) = (String::new(), String::new());
        reader.read_line(&mut status).unwrap();
        reader.read_to_string(&mut rest).unwrap();
        (status, rest)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.script("down");
    }
}

/// As an address says it.
fn a_day_ago() -> String {
    let now = berth_process::clock::now();
    berth_common::Timestamp(now.0 - 86_400 * 1_000_000).to_string()
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn the_whole_platform_comes_up_can_be_looked_at_and_goes() {
    let site = Site::new();
    let up = site.script("up");
    assert!(up.status.success(), "{}", told(&up));

    let hosts = site.berth(&["host", "list"]);
    let hosts = hosts["hosts"].as_array().unwrap();
    assert_eq!(hosts.len(), 16);
    let of = |pool: &str| hosts.iter().filter(|host| host["pool"] == pool).count();
    assert_eq!((of("cpu"), of("training"), of("gpu")), (7, 4, 5));
    for host in hosts {
        assert_eq!(host["state"], "ready", "{host}");
        assert_eq!(host["engine_version"], "fake", "marked as what it is: {host}");
    }
    let gpus: usize = hosts.iter().filter_map(|host| Some(host["gpus"].as_array()?.len())).sum();
    assert_eq!(gpus, 20);

    let servers = site.berth(&["server", "list"]);
    let servers = servers["servers"].as_array().unwrap();
    let running: Vec<_> = servers.iter().filter(|server| server["state"] == "running").collect();
    assert!(running.len() >= 60, "{} of {} servers run", running.len(), servers.len());
    let with_gpu = running.iter().filter(|server| server["profile"] == "gpu").count();
    assert!(with_gpu >= 8, "{with_gpu}");

    let log = site.berth(&["server", "logs", running[0]["id"].as_str().unwrap()]);
    assert!(log["log"][0]["text"].as_str().unwrap().contains("this host is fake"), "{log}");

    // Days have been lived before: decisions, refusals among them, and the floor of then.
    let decisions = site.berth(&["decision", "list", "--limit", "500"]);
    let decisions = decisions["decisions"].as_array().unwrap();
    assert!(decisions.len() > 100, "{}", decisions.len());
    let yesterday = a_day_ago();
    let (status, past) = site.get(&format!("/hub/api/berth/floor?at={yesterday}"));
    assert!(status.contains(" 200 ") && past.contains("\"user\""), "{status} {past}");

    let (status, floor) = site.get("/hub/api/berth/floor");
    assert!(status.contains(" 200 "), "{status}");
    assert!(floor.contains("\"ccjngpu5\""), "{floor}");

    let token = site.state().join("admin-token");
    let monitoring = root().join("packaging/monitoring");
    prometheus::asks_all_that_boards_and_alerts_ask(site.port, &token, &monitoring);

    let again = site.script("up");
    assert!(told(&again).contains("all is running"), "{}", told(&again));
    assert!(site.script("status").status.success());
    let down = site.script("down");
    assert!(down.status.success(), "{}", told(&down));
    assert!(!site.state().exists());
    assert!(!site.script("status").status.success());
}
