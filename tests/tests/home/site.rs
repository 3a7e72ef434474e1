//! The site of `examples/site`, brought up for one test, and how to ask it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

/// Longest wait for anything that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// A site that is taken down even if the test fails.
pub struct Site {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    pub port: u16,
    /// How many days of its past are lived.
    days: u32,
    state: PathBuf,
    /// Holds the state of a site that is ours to take down.
    folder: Option<tempfile::TempDir>,
}

pub fn root() -> PathBuf {
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
    pub fn new() -> Self {
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        Self { url, port, days: 3, state, folder: Some(folder) }
    }

    pub fn state(&self) -> PathBuf {
        self.state.clone()
    }

    pub fn script(&self, name: &str) -> Output {
        Command::new(root().join("examples/site").join(name))
            .env("BERTH_PORT", self.port.to_string())
            .env("BERTH_STATE", self.state())
            .env("BERTH_DAYS", self.days.to_string())
            .env("BERTH_BIN", programs())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Brings it up with a short past. One that somebody else has brought up is used and
    /// left alone: its port and folder stand in `BERTH_SITE_PORT` and `BERTH_SITE_STATE`.
    pub fn up() -> Self {
        let mut site = Self::new();
        if let (Ok(port), Ok(state)) =
            (std::env::var("BERTH_SITE_PORT"), std::env::var("BERTH_SITE_STATE"))
        {
            (site.port, site.url) = (port.parse().unwrap(), format!("http://127.0.0.1:{port}"));
            (site.state, site.folder) = (state.into(), None);
            return site;
        }
        site.days = 1;
        let up = site.script("up");
        assert!(up.status.success(), "{}", told(&up));
        site
    }

    /// What the command of the administrator answers, as JSON.
    pub fn berth(&self, arguments: &[&str]) -> Value {
        let mut command = self.command("berth");
        let output = command.args(arguments).args(["-o", "json"]).output().unwrap();
        assert!(output.status.success(), "berth {}: {}", arguments.join(" "), told(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// One of the programs, as the administrator would type it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(programs().join(program));
        command.env("BERTH_URL", &self.url);
        command.env("BERTH_TOKEN_FILE", self.state().join("admin-token"));
        command
    }

    /// Where its hosts find the hub.
    pub fn link(&self) -> String {
        format!("127.0.0.1:{}", self.port + 443)
    }

    /// What was written down for somebody to log in with.
    pub fn password(&self, who: &str) -> String {
        let file = self.state().join(format!("{who}.password"));
        std::fs::read_to_string(file).unwrap().trim().to_owned()
    }

    /// A call of the API as the administrator.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> (StatusCode, String) {
        let token = std::fs::read_to_string(self.state().join("admin-token")).unwrap();
        let request = Client::new().request(method, format!("{}{path}", self.url));
        let request = request.header("authorization", format!("token {}", token.trim()));
        let answer = request.json(&body).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// The server of that owner and name, as the API shows it.
    pub fn server(&self, owner: &str, name: &str) -> Option<Value> {
        let all = self.berth(&["server", "list"]);
        let all = all["servers"].as_array().unwrap();
        all.iter().find(|it| it["user"] == owner && it["name"] == name).cloned()
    }

    /// `GET` of a page, as the administrator's program.
    pub fn get(&self, path: &str) -> (String, String) {
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
        if self.folder.is_some() {
            self.script("down");
        }
    }
}

/// All that a command said.
pub fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Looks again and again until there is something, for as long as patience lasts.
pub async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "waited {PATIENCE:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
