//! What is secret stays so on the machine where it is used: from other users, from the logs, and from
//! whoever can only reach the hosts' ports.

use std::path::Path;
use std::process::Command;

use reqwest::header::AUTHORIZATION;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::site::{Site, run};

const UID: u32 = 21_080;
const OTHER: &str = "21081";

/// What another user of the machine can read of a file.
fn read_by_another(path: &str) -> Option<String> {
    let id = [format!("--reuid={OTHER}"), format!("--regid={OTHER}"), "--clear-groups".into()];
    let out = Command::new("setpriv").args(id).args(["cat", path]).output().expect("setpriv");
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
}

/// The variable of a process that runs in a server's container.
fn variable(pid: &str, name: &str) -> String {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    let start = format!("{name}=");
    let all = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let found = all.into_iter().find_map(|one| one.strip_prefix(&start).map(str::to_owned));
    found.unwrap_or_else(|| panic!("{name} is not in the environment"))
}

/// Whether a text stands in any file below a folder, and where.
fn found_in(folder: &Path, text: &str) -> Vec<String> {
    let out = Command::new("grep").args(["-rlaF", "--", text]).arg(folder).output().unwrap();
    String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_nobody_elses_and_in_no_log() {
    let site = Site::running();
    let person = site.user("lovelace", UID).await;
    person.start(json!({})).await;
    let id = person.record().await["id"].as_str().unwrap().to_owned();
    let container = site.containers(&id).pop().expect("a container");
    let pid = run("docker", &["inspect", "--format", "{{.State.Pid}}", &container]);
    let pid = pid.trim();
    let server_token = variable(pid, "JUPYTERHUB_API_TOKEN");

    // Another user of the machine reads neither the environment nor the token in the arguments.
    assert_eq!(read_by_another(&format!("/proc/{pid}/environ")), None);
    let arguments = read_by_another(&format!("/proc/{pid}/cmdline")).unwrap_or_default();
    assert!(!arguments.contains(&server_token), "{arguments}");
    let open = site.state.join("config/hub.toml");
    assert!(read_by_another(open.to_str().unwrap()).is_some(), "what is not secret can be read");
    for secret in ["hub/ca/hmac.key", "hub/proxy/api-token", "admin-token", "hub/berth.db"] {
        let path = site.state.join(secret);
        assert!(path.exists(), "{} is not where this test looks", path.display());
        assert_eq!(read_by_another(path.to_str().unwrap()), None, "{secret}");
    }

    // Secrets in every place where clients put them, rightly or not.
    let lab = format!("{}/user/lovelace/lab", site.url);
    person.log_in().await.get(&site, "/user/lovelace/lab").await;
    for url in [format!("{lab}?token={}", person.token), format!("{lab}#{}", person.token)] {
        let _ = site.http.get(url).send().await.unwrap();
    }
    let (status, _) = person.call(Method::GET, "/user/lovelace/api/status", None).await;
    assert_eq!(status, StatusCode::OK);
    let wrong = format!("token {}-wrong", person.token);
    let refused = site.http.get(format!("{}/hub/api/user", site.url)).header(AUTHORIZATION, wrong);
    assert_eq!(refused.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let logs = site.state.join("logs");
    assert!(!found_in(&logs, "hub is ready").is_empty(), "the logs are elsewhere");
    for secret in [&person.token, &person.password, &server_token] {
        assert_eq!(found_in(&logs, secret), Vec::<String>::new());
    }

    // No container publishes a port, and of an agent's two processes only the tunnel listens.
    let ports = run("docker", &["port", &container]);
    assert_eq!(ports.trim(), "");
    let host = site.laptop_host();
    assert_eq!(listening(site.process(&format!("agent-{host}"))), 0, "the agent listens");
    assert_eq!(listening(site.process(&format!("tunnel-{host}"))), 1, "one port, for the proxy");
    person.stop().await;
}

/// How many TCP ports a process listens on.
fn listening(pid: u32) -> usize {
    let out = run("ss", &["-H", "-l", "-t", "-n", "-p"]);
    out.lines().filter(|line| line.contains(&format!("pid={pid},"))).count()
}
