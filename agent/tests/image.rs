//! The notebook image of `examples/image`, from outside: what the hub has to say comes into
//! JupyterLab, and its resource display shows the limit that holds now.

use std::process::Command;
use std::time::Duration;

/// As `examples/image/build` makes it.
const NOTEBOOK: &str = "berth/notebook:6";

const SERVER: &str = include_str!("image/server.py");

/// Asks the notebook server, as JupyterLab does.
const ASK: &str = "
import sys, urllib.request
url = 'http://127.0.0.1:8888/user/alice/' + sys.argv[1]
ask = urllib.request.Request(url, headers={'Authorization': 'token abc'})
print(urllib.request.urlopen(ask).read().decode())";

fn docker(arguments: &[&str]) -> Result<String, String> {
    let done = Command::new("docker").args(arguments).output().expect("docker is missing");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
}

/// A container that goes with the test.
struct Container(String);

impl Container {
    fn ask(&self, path: &str) -> Result<String, String> {
        docker(&["exec", &self.0, "python", "-c", ASK, path])
    }

    /// Asks until the answer holds this.
    fn until(&self, path: &str, wanted: &str) -> String {
        let mut last = String::new();
        for _ in 0..240 {
            match self.ask(path) {
                Ok(answer) if answer.contains(wanted) => return answer,
                Ok(other) | Err(other) => last = other,
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        panic!("{path} never says {wanted:?}, but {last}\n{:?}", docker(&["logs", &self.0]))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = docker(&["rm", "--force", "--volumes", &self.0]);
    }
}

#[test]
fn notices_come_into_jupyterlab_and_its_display_follows_the_limit() {
    let memory = ["--memory", "700m", "--memory-swap", "700m"];
    let mut run = vec!["run", "--detach", "--user", "20001:30001"];
    run.extend(memory);
    run.extend([NOTEBOOK, "python", "-c", SERVER]);
    let started = docker(&run);
    let server = Container(started.expect("examples/image/build 6 makes the image"));

    let told = server.until("jupyterlab-notifications-extension/notifications", "will stop");
    assert!(told.contains("It stops on 2026-01-02 at 10:11 UTC."), "{told}");
    assert!(told.contains("\"type\": \"warning\""), "{told}");
    let before = server.until("api/metrics/v1", "limits");
    assert!(before.contains(&(700_u64 << 20).to_string()), "{before}");

    docker(&["update", "--memory", "900m", "--memory-swap", "900m", &server.0]).unwrap();
    let after = server.until("api/metrics/v1", &(900_u64 << 20).to_string());
    assert!(!after.contains(&(700_u64 << 20).to_string()), "{after}");
}

/// Below these, advisories of `tests/ADVISORIES.md` hold.
const FLOORS: [(&str, [u32; 2]); 3] =
    [("jupyter-server", [2, 20]), ("jupyterlab", [4, 3]), ("jupyter-server-proxy", [4, 4])];

#[test]
fn the_programs_of_the_image_have_no_known_holes() {
    for (name, floor) in FLOORS {
        let code = format!("from importlib.metadata import version; print(version('{name}'))");
        let version = docker(&["run", "--rm", NOTEBOOK, "python", "-c", &code]);
        let version = version.expect("examples/image/build 6 makes the image");
        let parts: Vec<u32> = version.split('.').map(|part| part.parse().unwrap_or(0)).collect();
        assert!(parts.as_slice() >= floor.as_slice(), "{name} {version} is older than {floor:?}");
    }
}
