//! The account directory: who may start, and what becomes of servers whose owner's account ends.

use std::path::Path;
use std::sync::Arc;

use axum::http::StatusCode;
use berth_common::{Reason, Seconds};
use berth_core::Phase;
use berth_hub::config::directory::{Directory, Kind, Part, Source, WhenInvalid};
use berth_hub::directory::watch;
use serde_json::{Value, json};

use crate::site::{self, Reply, Site};

/// A site whose accounts are those of two files.
struct World {
    site: Site,
    folder: tempfile::TempDir,
}

impl World {
    async fn new(change: impl FnOnce(&mut Directory)) -> Self {
        let (site, folder) = (Site::new().await, tempfile::tempdir().unwrap());
        let world = Self { site, folder };
        world.passwd("alice:x:1000:1000::/home/alice:\nbob:x:1001:1001::/home/bob:\n");
        std::fs::write(world.path("group"), "atlas:x:5001:alice\nlab:x:5000:bob,alice\n").unwrap();
        let (passwd, group) = (world.path("passwd"), world.path("group"));
        let kind = Kind::File { passwd: Some(passwd), group: Some(group) };
        let mut directory =
            Directory { sources: vec![source("file", kind)], ..Directory::default() };
        directory.cache = Seconds(0);
        change(&mut directory);
        world.configure(directory);
        world
    }

    fn configure(&self, directory: Directory) {
        let mut config = (*self.site.hub.config()).clone();
        config.people.directory = directory;
        self.site.hub.config.store(Arc::new(config));
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn passwd(&self, text: &str) {
        let path = self.path("passwd");
        if text.is_empty() {
            std::fs::remove_file(path).unwrap();
        } else {
            std::fs::write(path, text).unwrap();
        }
    }

    async fn start(&self, user: &str) -> Reply {
        let program = self.site.program(user).await;
        program.json("POST", &format!("/hub/api/users/{user}/servers/new"), "{}").await
    }

    async fn account(&self, user: &str) -> Value {
        let root = self.site.program("root_").await;
        let reply = root.get(&format!("/hub/api/berth/users/{user}/account")).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        reply.json()["account"].clone()
    }

    fn phase(&self, user: &str) -> Phase {
        self.site.server(user, "").phase.clone()
    }
}

fn source(name: &str, kind: Kind) -> Source {
    let takes = Part::ALL.into();
    Source { name: name.into(), kind, must_know: false, takes, cite: Default::default() }
}

fn is_ending(phase: &Phase) -> bool {
    matches!(phase, Phase::Placed(placement) if placement.stop.is_some())
}

#[tokio::test]
async fn a_start_takes_the_account_as_it_is_now() {
    let world = World::new(|_| ()).await;
    world.site.running("alice", "").await;
    let account = world.site.server("alice", "").account.clone().unwrap();
    let groups: Vec<_> = account.groups.iter().map(|g| (g.name.as_str(), g.gid)).collect();
    assert_eq!(groups, [("atlas", 5001), ("lab", 5000)]);
    let alice = world.site.program("alice").await;
    let model = alice.get("/hub/api/users/alice").await.json();
    assert_eq!(model["groups"], json!(["atlas", "lab"]), "rights go by the same groups");
}

#[tokio::test]
async fn an_account_that_is_gone_starts_nothing() {
    let world = World::new(|directory| directory.contact = "accounts@cc.example".into()).await;
    world.passwd("bob:x:1001:1001::/home/bob:\n");
    let reply = world.start("alice").await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(reply.header("x-berth-reason"), "refused.account.unknown");
    assert!(reply.message().contains("knows alice. Ask accounts@cc.example."), "{}", reply.text);
    // The refusal is a decision like every other.
    let root = world.site.program("root_").await;
    let decisions = root.get("/hub/api/berth/decisions?user=alice").await.json();
    let decision = &decisions["decisions"][0];
    assert_eq!(decision["reason"]["code"], "refused.account.unknown", "{decisions}");

    // Nor does its browser come in, whatever the password.
    let form = world.site.get("/hub/login").await;
    let cookie = form.cookie("__Host-berth-login");
    let xsrf = cookie.split_once('=').unwrap().1.to_owned();
    let body = format!("username=alice&password=correct+horse&_xsrf={xsrf}");
    let request = axum::http::Request::post("/hub/login")
        .header("cookie", &cookie)
        .header("content-type", site::FORM)
        .body(body.into())
        .unwrap();
    let reply = world.site.send(request).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(reply.text.contains("No source of the account directory knows alice"));

    world.passwd("alice:x:1000:1000::/home/alice:\n");
    assert_eq!(world.start("alice").await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn an_outage_is_bridged_by_the_last_word_and_no_longer() {
    let world = World::new(|_| ()).await;
    assert_eq!(world.start("alice").await.status, StatusCode::ACCEPTED);
    world.site.settle().await;
    world.passwd("");
    let account = world.account("alice").await;
    assert_eq!(account["standing"], "valid", "{account}");
    assert!(account["sources"][0]["down"].is_string());
    // Of bob nothing was ever heard.
    let bob = world.start("bob").await;
    assert_eq!(bob.header("x-berth-reason"), "refused.account.unavailable", "{}", bob.text);
    // A site may say that the last word does not count.
    let mut directory = world.site.hub.config().people.directory.clone();
    directory.cache_max = Seconds(0);
    world.configure(directory);
    let program = world.site.program("alice").await;
    let reply = program.json("POST", "/hub/api/users/alice/servers/other", "{}").await;
    assert_eq!(reply.header("x-berth-reason"), "refused.account.unavailable", "{}", reply.text);
}

#[tokio::test]
async fn servers_of_an_ended_account_are_kept_or_stopped_as_the_site_says() {
    for (rule, grace, stops) in [
        (WhenInvalid::Keep, 0, false),
        (WhenInvalid::Warn, 0, false),
        (WhenInvalid::Stop, 3_600, false),
        (WhenInvalid::Stop, 0, true),
    ] {
        let world = World::new(|directory| {
            (directory.servers, directory.grace) = (rule, Seconds(grace));
        })
        .await;
        world.site.running("alice", "").await;
        world.site.running("bob", "").await;
        watch::round(&world.site.hub).await;
        assert!(!is_ending(&world.phase("alice")));
        world.passwd("bob:x:1001:1001::/home/bob:\n");
        watch::round(&world.site.hub).await;
        assert_eq!(is_ending(&world.phase("alice")), stops, "{rule:?} {grace}");
        assert!(!is_ending(&world.phase("bob")));
        let account = world.account("alice").await;
        assert!(account["invalid_since"].is_string(), "{account}");
        if stops {
            let Phase::Placed(placement) = world.phase("alice") else { panic!() };
            assert_eq!(placement.stop.unwrap().end.reason, Reason::StoppedAccount);
            continue;
        }
        // Valid again: forgotten.
        world.passwd("alice:x:1000:1000::/home/alice:\nbob:x:1001:1001::/home/bob:\n");
        watch::round(&world.site.hub).await;
        assert!(world.account("alice").await["invalid_since"].is_null());
    }
}

#[tokio::test]
async fn an_outage_ends_nobodys_server() {
    let world = World::new(|directory| {
        directory.servers = WhenInvalid::Stop;
        directory.grace = Seconds(0);
        directory.cache_max = Seconds(0);
    })
    .await;
    world.site.running("alice", "").await;
    world.passwd("");
    watch::round(&world.site.hub).await;
    assert!(!is_ending(&world.phase("alice")), "not known is not gone");
}

#[tokio::test]
async fn the_owner_is_told_on_the_home_page() {
    let world = World::new(|directory| directory.servers = WhenInvalid::Warn).await;
    world.site.running("alice", "").await;
    let browser = world.site.browser("alice").await;
    assert!(!browser.get("/hub/home").await.text.contains("no longer valid"));
    world.passwd("bob:x:1001:1001::/home/bob:\n");
    watch::round(&world.site.hub).await;
    let home = browser.get("/hub/home").await;
    assert!(home.text.contains("Your account is no longer valid."), "{}", home.text);
}

#[tokio::test]
async fn a_local_account_is_the_administrators_and_needs_nobody_else() {
    let world = World::new(|_| ()).await;
    let mut directory = world.site.hub.config().people.directory.clone();
    directory.sources.insert(0, source("local", Kind::Local));
    world.configure(directory);
    world.passwd("");
    assert_eq!(world.account("root_").await["standing"], "valid");
    assert_eq!(world.start("alice").await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn who_may_ask_about_whom() {
    let world = World::new(|_| ()).await;
    let path = |user: &str| format!("/hub/api/berth/users/{user}/account");
    let alice = world.site.program("alice").await;
    assert_eq!(alice.get(&path("alice")).await.status, StatusCode::OK);
    assert_eq!(alice.get(&path("bob")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(world.site.get(&path("alice")).await.status, StatusCode::FORBIDDEN);
    let stranger = world.account("never-seen").await;
    assert_eq!(
        (&stranger["standing"], &stranger["known_here"]),
        (&json!("unknown"), &json!(false))
    );
    let root = world.site.program("root_").await;
    assert_eq!(root.get(&path("..%2Fx")).await.status, StatusCode::NOT_FOUND);
    assert!(Path::new(&world.path("passwd")).exists());
}

#[tokio::test]
async fn the_api_makes_users_of_those_whom_the_directory_knows() {
    let world = World::new(|_| {}).await;
    world.passwd("carol:x:1003:1003::/home/carol:\ndave:x:1004:1004::/home/dave:\n");
    let root = world.site.program("root_").await;
    let post = async |path: &str, body: &str| {
        let reply = root.json("POST", &format!("/hub/api/users{path}"), body).await;
        (reply.status.as_u16(), reply.text)
    };
    let (status, made) = post("", r#"{"usernames": ["alice", "Carol"]}"#).await;
    assert_eq!(status, 201, "{made}");
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(made.as_array().unwrap().len(), 1, "those who are new: {made}");
    assert_eq!((&made[0]["name"], &made[0]["admin"]), (&json!("carol"), &json!(false)));
}
