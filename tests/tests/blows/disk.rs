//! The hub's disk is full: it says so, changes nothing, loses nothing that it acknowledged, and goes
//! on as soon as there is room. What runs runs on and is reached. The disk is a tmpfs of the test's
//! own, which needs root.

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::points::{reaches, somebody};
use super::site::{Site, until, user};

const DISK: &str = "size=48m";
/// What is left free, in pages: another write each time is the first that finds no room.
const LEFT: [u64; 4] = [0, 1, 3, 8];
const PAGE: u64 = 4096;
/// What people are told, by what notices first.
const NO_STORE: &str = "The hub cannot use its store at the moment.";
const NOT_SAVED: &str = "nothing was changed: the hub cannot save at the moment";

/// The disk of a hub's state, gone with the value.
struct Disk {
    state: PathBuf,
}

impl Disk {
    /// Puts the state of a hub that is not running on it.
    fn under(state: &Path) -> Self {
        let before = state.with_extension("before");
        fs::rename(state, &before).unwrap();
        fs::create_dir(state).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        let size = CString::new(DISK).unwrap();
        rustix::mount::mount("tmpfs", state, "tmpfs", flags, Some(size.as_c_str()))
            .expect("a disk of its own needs root");
        let disk = Self { state: state.to_owned() };
        let copied = std::process::Command::new("cp")
            .args(["--archive", "--no-target-directory"])
            .args([&before, state])
            .status();
        assert!(copied.unwrap().success());
        disk
    }

    fn ballast(&self) -> PathBuf {
        self.state.join("ballast")
    }

    /// Leaves so many bytes free.
    fn fill(&self, left: u64) {
        let free = rustix::fs::statvfs(&self.state).unwrap();
        let free = (free.f_bavail * free.f_frsize).saturating_sub(left);
        let written = fs::write(self.ballast(), vec![0; usize::try_from(free).unwrap()]);
        // The hub may have written meanwhile.
        assert!(written.is_ok() || self.is_full(), "{written:?}");
    }

    fn is_full(&self) -> bool {
        rustix::fs::statvfs(&self.state).unwrap().f_bavail == 0
    }

    fn make_room(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.state, rustix::mount::UnmountFlags::DETACH);
    }
}

/// An answer of the hub, whatever it is; the proxy answers in the hub's place only while that is away.
async fn ask(site: &Site, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
    let what = format!("{method} {path}");
    until(&what, async || {
        let request = site.http.request(method.clone(), format!("{}{path}", site.url));
        let request = request.header("authorization", format!("token {}", site.token));
        let response = request.json(body.as_ref().unwrap_or(&Value::Null)).send().await.ok()?;
        let (status, text) = (response.status(), response.text().await.ok()?);
        Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    })
    .await
}

async fn is_known(site: &Site, token: &str) -> bool {
    until("an answer about a token", async || {
        site.ask_as(token, Method::GET, "/hub/api/user", None).await
    })
    .await
    .0 == StatusCode::OK
}

/// Asks for tokens until one is refused; those that were given are added to the others.
async fn tokens_until_refused(site: &Site, name: &str, given: &mut Vec<String>) {
    let path = format!("/hub/api/users/{name}/tokens");
    until("the disk is full", async || {
        let (status, answer) =
            ask(site, Method::POST, &path, Some(json!({ "note": "a full disk" }))).await;
        if status == StatusCode::CREATED {
            given.push(answer["token"].as_str().unwrap().to_owned());
        }
        (answer["message"] == NO_STORE).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_hub_on_a_full_disk_says_so_loses_nothing_and_goes_on() {
    let mut site = Site::new(1).await;
    let watch = site.watch();
    site.hub.as_mut().unwrap().kill().await.unwrap();
    let disk = Disk::under(&site.folder.path().join("hub"));
    site.start_hub(None);
    site.all_ready().await;

    let (works, uid) = somebody();
    site.insist(Method::POST, "/hub/api/berth/users", Some(user(&works, uid))).await;
    let server = format!("/hub/api/users/{works}/server");
    assert!(site.insist(Method::POST, &server, Some(json!({}))).await.0.is_success());
    until("the server is reached", async || reaches(&site, &works).await.then_some(())).await;

    let (mut given, mut refused) = (Vec::new(), 0);
    for left in LEFT {
        let (name, uid) = somebody();
        site.insist(Method::POST, "/hub/api/berth/users", Some(user(&name, uid))).await;
        let path = format!("/hub/api/users/{name}/server");
        let before = site.containers();
        disk.fill(left * PAGE);

        tokens_until_refused(&site, &works, &mut given).await;
        // What writes less may find room in what a refused write had taken.
        let (status, told) = ask(&site, Method::POST, &path, Some(json!({}))).await;
        let plain = [NO_STORE, NOT_SAVED].iter().any(|words| told["message"] == *words);
        let granted = status.is_success();
        assert!(granted || status == StatusCode::SERVICE_UNAVAILABLE && plain, "{left}: {told}");
        refused += u32::from(!granted);
        let (status, all) = ask(&site, Method::GET, "/hub/api/berth/servers", None).await;
        assert_eq!(status, StatusCode::OK, "{left}: what is known is still told: {all}");
        let (_, doctor) = ask(&site, Method::GET, "/hub/api/berth/doctor", None).await;
        let found = doctor["doctor"].as_array().unwrap().iter();
        let found: Vec<_> = found.filter(|it| it["check"] == "disk").collect();
        assert_eq!(found[0]["verdict"], "failed", "{left}: {found:?}");
        until("who works goes on working", async || reaches(&site, &works).await.then_some(()))
            .await;
        let nothing_new = || site.containers() == before;
        assert!(granted || nothing_new(), "{left}: nothing was started or ended");
        assert!(site.hub.as_mut().unwrap().try_wait().unwrap().is_none(), "{left}: it lives");

        disk.make_room();
        until("the hub starts servers again", async || {
            let (status, _) = ask(&site, Method::POST, &path, Some(json!({}))).await;
            // One that was granted on the full disk is there.
            (status.is_success() || status == StatusCode::BAD_REQUEST).then_some(())
        })
        .await;
        until("the server is reached", async || reaches(&site, &name).await.then_some(())).await;
        let (_, all) = site.insist(Method::GET, "/hub/api/berth/servers", None).await;
        let all = all["servers"].as_array().unwrap();
        let new = all.iter().find(|it| it["user"] == json!(name)).unwrap();
        assert_eq!(new["generation"], 1, "{left}: one wish that was granted, one start: {new}");
    }

    assert!(refused > 0, "no start met a full disk");

    // A hub that is started on a full disk may refuse to run, and then says why.
    disk.fill(0);
    tokens_until_refused(&site, &works, &mut given).await;
    let before = site.containers();
    site.hub.as_mut().unwrap().kill().await.unwrap();
    let mut started = site.hub_process(None);
    until("the hub ends, or answers", async || {
        let ended = started.try_wait().unwrap().is_some();
        (ended || site.berth(&["host", "list"]).await.is_ok()).then_some(())
    })
    .await;
    if started.try_wait().unwrap().is_some() {
        let said = |words| site.log_says("hub.log", words).is_some();
        assert!(said("disk is full") || said("No space left"), "it says why it ends");
    }
    until("who works goes on working", async || reaches(&site, &works).await.then_some(())).await;
    disk.make_room();
    let _ = started.kill().await;
    site.start_hub(None);
    site.all_ready().await;
    assert_eq!(site.containers(), before);
    for token in &given {
        assert!(is_known(&site, token).await, "a token that was given is there");
    }
    site.assert_sound("after full disks").await;
    watch.assert_nothing("after full disks");
}
