//! A hub's process, asked over its administrators' socket.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http::StatusCode;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;

/// A hub's process with a configuration folder of its own.
pub struct Hub {
    pub folder: tempfile::TempDir,
    pub process: Option<Child>,
}

const FILES: [(&str, &str); 5] = [
    ("pools.toml", "[pool.cpu]\n"),
    ("hosts.toml", "host = [ { names = \"wn1\", pool = \"cpu\", keep_free = \"2 GB\" } ]\n"),
    ("images.toml", "[image.base]\nref = \"nb:1\"\n"),
    (
        "profiles.toml",
        "[profile.cpu]\ntitle = \"CPU\"\npool = \"cpu\"\nimages = [\"base\"]\ndefault = true\n\
         memory = { choices = [\"4 GB\", \"8 GB\"], default = \"4 GB\", max = \"16 GB\" }\n",
    ),
    ("quotas.toml", "[default]\nservers = 3\nmemory = \"16 GB\"\n"),
];

impl Hub {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut hub = Self { folder, process: None };
        let at = |name: &str| hub.folder.path().join(name).display().to_string();
        let text = format!(
            "[hub]\npublic_url = \"http://127.0.0.1:8000\"\nlisten = \"127.0.0.1:0\"\n\
             state = \"{}\"\nadmin_socket = \"{}\"\n[agents]\nlisten = \"127.0.0.1:0\"\n\
             [proxy]\napi = \"unix:{}\"\n",
            at("state"),
            at("admin.sock"),
            at("proxy.sock")
        );
        hub.write("hub.toml", &text);
        for (name, text) in FILES {
            hub.write(name, text);
        }
        hub.run().await;
        hub
    }

    pub fn etc(&self) -> PathBuf {
        self.folder.path().join("etc")
    }

    /// Writes a file whole, as Puppet does.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.etc()).unwrap();
        let text = format!("version = 1\n{text}");
        let path = self.etc().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        berth_process::file::replace(&path, text.as_bytes(), 0o644).unwrap();
    }

    pub async fn run(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_berth-hub"))
            .args(["serve", "--config"])
            .arg(self.etc())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(process.unwrap());
        self.until("it answers", |_| true).await;
    }

    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub fn hang_up(&self) {
        let id = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    }

    pub async fn ask(&self, method: &str, path: &str) -> Option<Value> {
        self.send(method, path, Value::Null).await
    }

    pub async fn send(&self, method: &str, path: &str, body: Value) -> Option<Value> {
        self.call(method, &format!("/hub/api/berth/{path}"), body).await.map(|(_, answer)| answer)
    }

    /// The status and what was answered, if that was JSON.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> Option<(StatusCode, Value)> {
        let stream = tokio::net::UnixStream::connect(self.folder.path().join("admin.sock"));
        let stream = TokioIo::new(stream.await.ok()?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.ok()?;
        tokio::spawn(connection);
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(bytes::Bytes::from(if body.is_null() {
                String::new()
            } else {
                body.to_string()
            })))
            .unwrap();
        let answer = sender.send_request(request).await.ok()?;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.ok()?.to_bytes();
        let answer = serde_json::from_slice(&bytes);
        if bytes.is_empty() { Some((status, Value::Null)) } else { Some((status, answer.ok()?)) }
    }

    pub async fn config(&self) -> Value {
        self.ask("GET", "config").await.expect("an answer")["config"].clone()
    }

    /// Waits until what is in force is as it should be.
    pub async fn until(&self, what: &str, is: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            if let Some(answer) = self.ask("GET", "config").await
                && is(&answer["config"])
            {
                return;
            }
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}\n{log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the quota of everybody is kept like this for a restart: what is in force is
    /// written down a moment later.
    pub async fn until_kept(&self, quota: &str) {
        let begun = Instant::now();
        loop {
            let kept = kept(&self.folder.path().join("state"));
            let found = kept["files"]["quotas.toml"].as_str().unwrap();
            if found.contains(quota) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "never: {quota} in {found}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn kept(state: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(state.join("config.json")).unwrap()).unwrap()
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.kill();
    }
}
