//! The site's files as a hub lives with them: taken over all or not at all, the last good ones kept
//! for a restart, and the way back. With the program itself, over its administrators' socket.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http::StatusCode;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

/// A hub's process with a configuration folder of its own.
struct Hub {
    folder: tempfile::TempDir,
    process: Option<Child>,
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
    async fn start() -> Self {
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

    fn etc(&self) -> PathBuf {
        self.folder.path().join("etc")
    }

    /// Writes a file whole, as Puppet does.
    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.etc()).unwrap();
        let text = format!("version = 1\n{text}");
        let path = self.etc().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        berth_process::file::replace(&path, text.as_bytes(), 0o644).unwrap();
    }

    async fn run(&mut self) {
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

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn hang_up(&self) {
        let id = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    }

    async fn ask(&self, method: &str, path: &str) -> Option<Value> {
        self.send(method, path, Value::Null).await
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Option<Value> {
        self.call(method, &format!("/hub/api/berth/{path}"), body).await.map(|(_, answer)| answer)
    }

    /// The status and what was answered, if that was JSON.
    async fn call(&self, method: &str, path: &str, body: Value) -> Option<(StatusCode, Value)> {
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

    async fn config(&self) -> Value {
        self.ask("GET", "config").await.expect("an answer")["config"].clone()
    }

    /// Waits until what is in force is as it should be.
    async fn until(&self, what: &str, is: impl Fn(&Value) -> bool) {
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
    async fn until_kept(&self, quota: &str) {
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

const WRONG: &str = "[default]\nmemory = \"16\"\n";
const OTHER: &str = "[default]\nservers = 3\nmemory = \"32 GB\"\n";

#[tokio::test]
async fn wrong_files_change_nothing_also_over_a_restart() {
    let mut hub = Hub::start().await;
    assert_eq!(hub.config().await["same_as_disk"], true);
    hub.write("quotas.toml", WRONG);
    let told = hub.ask("POST", "config/reload").await.unwrap()["config"].clone();
    assert_eq!(told["applied"], false);
    assert_eq!(
        (&told["found"][0]["file"], &told["found"][0]["line"]),
        (&"quotas.toml".into(), &3.into())
    );
    let now = hub.config().await;
    assert_eq!((&now["valid"], &now["same_as_disk"]), (&false.into(), &false.into()));
    // The hub is killed, and finds the wrong file again.
    hub.kill();
    hub.run().await;
    let now = hub.config().await;
    assert_eq!((&now["from"], &now["valid"]), (&"kept".into(), &false.into()), "{now}");
    hub.until_kept("16 GB").await;
    // Put right, it is taken over by itself.
    hub.write("quotas.toml", OTHER);
    hub.until("the file that was put right", |now| now["from"] == "disk").await;
    hub.until_kept("32 GB").await;
}

#[tokio::test]
async fn a_signal_takes_files_over_and_a_rollback_goes_back() {
    let mut hub = Hub::start().await;
    hub.write("quotas.toml", OTHER);
    hub.hang_up();
    hub.until("the other file", |now| now["same_as_disk"] == true).await;
    let told = hub.ask("POST", "config/rollback").await.unwrap()["config"].clone();
    assert_eq!(told["applied"], true, "{told}");
    hub.until_kept("16 GB").await;
    let diff = hub.ask("GET", "config/diff").await.unwrap()["diff"].clone();
    assert_eq!(diff[0]["file"], "quotas.toml");
    assert!(diff[0]["on_disk"].as_str().unwrap().contains("32 GB"), "{diff}");
    // What somebody went back to stays, as long as the disk says what was left.
    hub.kill();
    hub.run().await;
    assert_eq!(hub.config().await["from"], "rolled back");
    hub.write("quotas.toml", "[default]\nmemory = \"64 GB\"\n");
    hub.until("new files end it", |now| now["from"] == "disk").await;
    hub.until_kept("64 GB").await;
}

const SCHOOL: &str = "[training.school]\npool = \"training\"\nfrom = 2020-01-01T08:00:00Z\n\
    to = 2020-01-01T18:00:00Z\nparticipants = { users = [\"alice\"], expected = 1 }\n\
    profile = { memory = \"4 GB\", image = \"base\" }\n";

#[tokio::test]
async fn the_calendar_survives_a_hub_that_is_killed() {
    let mut hub = Hub::start().await;
    hub.write("pools.toml", "[pool.cpu]\n[pool.training]\nopen = \"trainings\"\n");
    hub.write("hosts.d/20.toml", "host = [ { names = \"tr1\", pool = \"training\" } ]\n");
    hub.write("trainings.d/school.toml", SCHOOL);
    let told = hub.ask("POST", "config/reload").await.unwrap()["config"].clone();
    assert_eq!(told["applied"], true, "{told}");
    let order = json!({ "order": "open", "for_s": 3600, "reason": "visitors" });
    let given = hub.send("POST", "trainings/school/orders", order).await.unwrap();
    assert_eq!(given["training"]["state"], "open", "{given}");
    let now = berth_process::clock::now();
    let after = |hours: u64| now.plus(berth_common::Seconds(hours * 3600)).to_string();
    let body = json!({ "hosts": ["wn1"], "from": after(1), "to": after(2), "reason": "disks" });
    let planned = hub.send("POST", "maintenance", body).await.unwrap();
    assert_eq!(planned["maintenance"]["state"], "begun", "a day ahead is now: {planned}");

    hub.kill();
    hub.run().await;
    let school = hub.ask("GET", "trainings/school").await.unwrap()["training"].clone();
    assert_eq!(school["state"], "open", "{school}");
    let order = &school["orders"][0];
    assert_eq!((&order["who"], &order["reason"]), (&json!("local-admin"), &json!("visitors")));
    let planned = hub.ask("GET", "maintenance").await.unwrap()["maintenance"].clone();
    assert_eq!(planned[0]["state"], "begun", "{planned}");
    let drains = hub.ask("GET", "drains").await.unwrap()["drains"].clone();
    assert_eq!(
        (&drains[0]["host"], &drains[0]["intent"]["reason"]),
        (&json!("wn1"), &json!("disks"))
    );
    // Taken back, its host takes servers again.
    let id = &planned[0]["id"];
    hub.ask("DELETE", &format!("maintenance/{id}")).await;
    let drains = hub.ask("GET", "drains").await.unwrap()["drains"].clone();
    assert_eq!(drains, json!([]));
}

/// People who ask, all the time.
const PEOPLE: usize = 8;
/// What each of them asks for, one after the other.
const WISHES: usize = 12;

#[tokio::test]
async fn a_reload_under_load_loses_nothing() {
    let hub = Hub::start().await;
    let person = async |number: usize| {
        for wish in 0..WISHES {
            let id = 30_000 + number * WISHES + wish;
            let name = format!("u{id}");
            let user = json!({ "name": name, "uid": id, "gid": id, "groups": [],
                "home": format!("/home/{name}"), "admin": false });
            let (status, answer) = hub.call("POST", "/hub/api/berth/users", user).await.unwrap();
            assert_eq!(status, StatusCode::CREATED, "{answer}");
            // No host reports: each of them waits, and none may be forgotten.
            let path = format!("/hub/api/users/{name}/server");
            let (status, answer) = hub.call("POST", &path, json!({})).await.unwrap();
            assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        }
    };
    let people = futures::future::join_all((0..PEOPLE).map(person));
    let mut people = std::pin::pin!(people);
    let mut reloads = 0;
    loop {
        // Sizes that are all allowed; now and then files that are wrong and change nothing.
        let text = match reloads % 3 {
            0 => OTHER,
            1 => WRONG,
            _ => "[default]\nservers = 3\nmemory = \"64 GB\"\n",
        };
        let reload = async {
            hub.write("quotas.toml", text);
            hub.ask("POST", "config/reload").await.unwrap()["config"]["applied"].clone()
        };
        tokio::select! {
            _ = &mut people => break,
            applied = reload => assert_eq!(applied, json!(text != WRONG), "{text}"),
        }
        reloads += 1;
    }
    assert!(reloads > 3, "only {reloads} reloads while people asked");
    let servers = hub.ask("GET", "servers").await.unwrap()["servers"].clone();
    let waiting = servers.as_array().unwrap().iter().filter(|it| it["state"] == "waiting").count();
    assert_eq!(waiting, PEOPLE * WISHES, "after {reloads} reloads");
    // What was written last is what holds.
    hub.write("quotas.toml", "[default]\nservers = 3\nmemory = \"24 GB\"\n");
    let told = hub.ask("POST", "config/reload").await.unwrap()["config"].clone();
    assert_eq!(told["applied"], true, "{told}");
    hub.until_kept("24 GB").await;
}

#[tokio::test]
async fn a_hub_that_is_asked_to_end_answers_first_and_ends_well() {
    let mut hub = Hub::start().await;
    for (body, status) in [
        (json!({ "proxy": "yes" }), 400),
        (json!({ "servers": 7 }), 400),
        // The proxy serves on: it is not the hub's to end.
        (json!({ "proxy": true }), 400),
    ] {
        let (told, answer) = hub.call("POST", "/hub/api/shutdown", body).await.unwrap();
        assert_eq!(told, status, "{answer}");
    }
    let (status, answer) = hub.call("POST", "/hub/api/shutdown", json!({})).await.unwrap();
    assert_eq!((status.as_u16(), answer), (202, json!({ "message": "Shutting down Hub" })));
    let mut process = hub.process.take().unwrap();
    let ended = tokio::task::spawn_blocking(move || process.wait().unwrap());
    let ended = tokio::time::timeout(Duration::from_secs(60), ended).await;
    assert!(ended.expect("it ends").unwrap().success());
    hub.run().await;
    let acts = hub.ask("GET", "audit?action=hub-shutdown").await.unwrap();
    assert_eq!(acts["audit"].as_array().unwrap().len(), 1, "{acts}");
}
