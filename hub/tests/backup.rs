//! Backup and restore: a hub that goes on from an hour ago takes in what runs, uses no number
//! twice, and starts nothing that may be running already.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use axum::http::StatusCode;
use berth_common::link::{Observed, ObservedState};
use berth_core::{Phase, Reason, Server};

use crate::site::{self, Site};

fn berth_hub(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_berth-hub")).args(arguments).output().unwrap()
}

/// Runs `berth-hub backup` or `restore` on a state folder, and expects it to work.
fn done(verb: &str, file: &Path, state: &Path, more: &[&str]) -> String {
    let (file, state) = (file.to_str().unwrap(), state.to_str().unwrap());
    let output = berth_hub(&[&[verb, file, "--state", state], more].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{verb}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// What `berth-hub` says when it refuses.
fn refused(arguments: &[&str]) -> String {
    let output = berth_hub(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A backup of a site's folder while its hub runs, in a folder of its own.
fn back_up(site: &Site) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("berth.backup");
    done("backup", &file, &site.hub.config().hub.state, &[]);
    (folder, file)
}

/// A hub on what was restored, whose host has not reported yet.
async fn restored(backup: &Path) -> Site {
    let folder = tempfile::tempdir().unwrap();
    done("restore", backup, folder.path(), &[]);
    Site::silent(site::SITE, folder, "wn1:8444").await
}

#[tokio::test]
async fn what_runs_is_taken_in_before_anything_is_started() {
    let before = Site::new().await;
    let alice = before.running("alice", "").await;
    let (_folder, backup) = back_up(&before);
    // After the backup: alice's server is started anew, and bob starts one of which the backup
    // knows nothing.
    let admin = before.program("root_").await;
    assert_eq!(admin.json("DELETE", "/hub/api/users/alice/server", "").await.status, 202);
    before.report(Vec::new()).await;
    let alice_now = before.running("alice", "").await;
    let bob = before.running("bob", "").await;
    assert!(alice_now.generation > alice.generation);
    let highest_epoch = before.hub.fleet.fleet().epoch;
    let engine: Vec<Observed> =
        [&alice_now, &bob].map(|it| before.seen(it, ObservedState::Ready)).into();
    let token = before.server_token(&bob);

    let after = restored(&backup).await;
    assert!(after.hub.fleet.fleet().epoch > highest_epoch);
    // Nobody knows yet what runs, so nothing is started: bob's server may be anywhere.
    let program = after.program("bob").await;
    let reply = program.json("POST", "/hub/api/users/bob/server", "").await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.text);
    assert!(reply.message().contains("waits for wn1 to report"), "{}", reply.text);
    assert_eq!(orders(&after, &alice), "keep");

    after.report(engine.clone()).await;
    // The same servers under the same starts, nothing beside them, and nobody was told to stop.
    for now in [&alice_now, &bob] {
        let server = after.server(now.owner.as_str(), "");
        assert_eq!((&server.id, server.generation), (&now.id, now.generation));
        assert!(server.is_ready(), "{server:?}");
        assert_eq!(orders(&after, &server), "keep");
    }
    assert_eq!(berth_core::check::violations(&after.hub.fleet.fleet()), []);
    // Its token needs no row: what bob's notebook asks the hub is answered.
    let reply = after.by_token(&token).get("/hub/api/user").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);

    // From now on servers start, under numbers that nobody has used.
    let reply = program.json("POST", "/hub/api/users/bob/servers/second", "").await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text);
    let second = after.server("bob", "second");
    assert!(second.generation > bob.generation.max(alice_now.generation));
    assert!(second.generation.0 > 1_024, "{}", second.generation);
}

#[tokio::test]
async fn what_has_ended_since_the_backup_is_not_made_anew() {
    let before = Site::new().await;
    before.running("alice", "").await;
    let account = before.hub.storage.read(|reader| reader.user(&"bob".parse().unwrap()));
    let account = account.unwrap().unwrap().account;
    let wish = berth_core::event::Wish::default();
    let name = "".parse().unwrap();
    berth_hub::actions::start(&before.hub, account, name, wish, None, false).await.unwrap();
    // Bob's is told to start, and has not answered.
    assert_eq!(orders(&before, &before.server("bob", "")), "run");
    let (_folder, backup) = back_up(&before);

    let after = restored(&backup).await;
    assert_eq!(orders(&after, &after.server("bob", "")), "keep");
    after.report(Vec::new()).await;
    after.report(Vec::new()).await;
    for owner in ["alice", "bob"] {
        let server = after.server(owner, "");
        assert_eq!(server.phase, Phase::Idle, "{owner}");
        assert_eq!(server.last_end.as_ref().unwrap().reason, Reason::StoppedCrash);
    }
    assert_eq!(after.hub.fleet.fleet().unsettled().count(), 0);
}

#[tokio::test]
async fn a_name_that_was_given_to_another_server_goes_to_the_one_that_runs() {
    let before = Site::new().await;
    before.running("bob", "lab").await;
    let admin = before.program("root_").await;
    let path = "/hub/api/users/bob/servers/lab";
    assert_eq!(admin.json("DELETE", path, "").await.status, 202);
    before.report(Vec::new()).await;
    let (_folder, backup) = back_up(&before);
    assert_eq!(admin.json("DELETE", path, r#"{"remove": true}"#).await.status, 204);
    let other = before.running("bob", "lab").await;
    let engine = vec![before.seen(&other, ObservedState::Ready)];

    let after = restored(&backup).await;
    assert_ne!(after.server("bob", "lab").id, other.id);
    after.report(engine).await;
    assert_eq!(after.server("bob", "lab").id, other.id);
    assert!(after.server("bob", "lab").is_ready());
    assert_eq!(berth_core::check::violations(&after.hub.fleet.fleet()), []);
}

#[tokio::test]
async fn sessions_end_with_a_restore_and_tokens_stay() {
    let before = Site::new().await;
    let browser = before.browser("alice").await;
    let token = before.token("alice", &["inherit"]).await;
    let (_folder, backup) = back_up(&before);
    let after = restored(&backup).await;
    let cookie = browser.headers[0].1.clone();
    let reply = after.by_token(&token).get("/hub/api/user").await;
    assert_eq!(reply.status, StatusCode::OK);
    let request = axum::http::Request::get("/hub/home").header("cookie", cookie);
    let reply = after.send(request.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(reply.status, StatusCode::FOUND, "{}", reply.text);
}

#[tokio::test]
async fn a_backup_is_for_its_owner_only_and_nothing_is_overwritten() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new().await;
    let (_folder, backup) = back_up(&site);
    let mode = std::fs::metadata(&backup).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let state = site.hub.config().hub.state.to_str().unwrap().to_owned();
    let file = backup.to_str().unwrap();
    assert!(refused(&["backup", file, "--state", &state]).contains("is there already"));
    // A hub runs on that folder.
    let said = refused(&["restore", file, "--state", &state, "--replace"]);
    assert!(said.contains("is in use by another hub"), "{said}");
    // No backup at all.
    let empty = tempfile::tempdir().unwrap();
    let place = empty.path().to_str().unwrap();
    let other = format!("{state}/berth.db");
    let said = refused(&["restore", &other, "--state", place]);
    assert!(said.contains("is no backup made by"), "{said}");
    // A bit that has tipped over.
    let mut bytes = std::fs::read(&backup).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4_096].fill(0x5a);
    let damaged = empty.path().join("damaged");
    std::fs::write(&damaged, bytes).unwrap();
    let said = refused(&["restore", damaged.to_str().unwrap(), "--state", place]);
    assert!(said.contains("damaged") || said.contains("malformed"), "{said}");
    // A store that is there is put aside only when told so.
    done("restore", &backup, empty.path(), &[]);
    let said = refused(&["restore", file, "--state", place]);
    assert!(said.contains("--replace"), "{said}");
    let first = epoch_of(empty.path());
    let said = done("restore", &backup, empty.path(), &["--replace"]);
    assert!(said.contains("the former store is"), "{said}");
    assert!(epoch_of(empty.path()) > first, "the same reign twice");
}

/// Wherever the restore is killed, no hub begins on what is there; and done again it is whole.
#[tokio::test]
async fn a_restore_that_was_broken_off_is_done_again() {
    let before = Site::new().await;
    let alice = before.running("alice", "").await;
    let (_folder, backup) = back_up(&before);
    for point in ["restore.staged", "restore.aside", "restore.in_place", "file.before_rename"] {
        let folder = tempfile::tempdir().unwrap();
        let (file, state) = (backup.to_str().unwrap(), folder.path().to_str().unwrap());
        done("restore", &backup, folder.path(), &[]);
        let killed = Command::new(env!("CARGO_BIN_EXE_berth-hub"))
            .args(["restore", file, "--state", state, "--replace"])
            .env("BERTH_CRASH_AT", point)
            .output()
            .unwrap();
        assert!(!killed.status.success(), "{point} was not reached");
        let error = berth_store::Database::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("half restored"), "{point}: {error}");
        done("restore", &backup, folder.path(), &["--replace"]);
        let after = Site::silent(site::SITE, folder, "wn1:8444").await;
        assert_eq!(after.server("alice", "").id, alice.id, "{point}");
    }
}

fn epoch_of(state: &Path) -> berth_common::Epoch {
    berth_store::Reader::beside(state).unwrap().epoch().unwrap()
}

/// What the host is told about a server.
fn orders(site: &Site, server: &Server) -> String {
    let fleet = site.hub.fleet.fleet();
    let orders = berth_core::reconcile::orders(&fleet, &"wn1".parse().unwrap());
    let order = orders.get(&server.id);
    order.map_or_else(|| "nothing".into(), |order| format!("{:?}", order.what).to_lowercase())
}

#[tokio::test]
async fn groups_and_services_of_the_api_are_in_a_backup() {
    let before = Site::new().await;
    let root = before.program("root_").await;
    let group = root.json("POST", "/hub/api/groups/course", r#"{"users": ["alice"]}"#).await;
    assert_eq!(group.status, StatusCode::CREATED, "{}", group.text);
    let service = r#"{"url": "http://127.0.0.1:9", "api_token": "token-of-the-news"}"#;
    let service = root.json("POST", "/hub/api/services/news", service).await;
    assert_eq!(service.status, StatusCode::CREATED, "{}", service.text);
    let (_folder, backup) = back_up(&before);
    let after = restored(&backup).await;
    let root = after.program("root_").await;
    let course = root.get("/hub/api/groups/course").await.json();
    assert_eq!(course["users"], serde_json::json!(["alice"]));
    let me = after.by_token("token-of-the-news").get("/hub/api/user").await.json();
    assert_eq!(me["name"], "news", "{me}");
}
