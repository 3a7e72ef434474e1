//! People move here from a JupyterHub: the databases are those of real ones, 5 and 6 from PyPI.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use axum::http::StatusCode;
use berth_common::Seconds;
use berth_hub::config::directory::{Directory, Kind, Part, Source};
use berth_process::clock::now;
use berth_store::jupyterhub::{self, Person};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::site::Site;
use crate::venv;

#[derive(Deserialize)]
struct There {
    tokens: BTreeMap<String, String>,
}

/// Runs a JupyterHub that makes people and tokens; the secrets of the tokens by caller.
fn jupyterhub(major: u32, database: &Path) -> BTreeMap<String, String> {
    let requirements = match major {
        5 => include_str!("contract/jupyterhub-5.txt"),
        _ => include_str!("contract/jupyterhub-6.txt"),
    };
    let python = venv::python(&format!("jupyterhub-{major}"), requirements);
    let mut hub = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/contract/answers.py"))
        .arg(database)
        .current_dir(database.parent().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A start leaves a server's token behind.
    let start = json!({
        "who": "alice", "method": "POST", "path": "/hub/api/users/alice/server", "body": "",
        "pages": false,
    });
    hub.stdin.take().unwrap().write_all(json!([start]).to_string().as_bytes()).unwrap();
    let done = hub.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&done.stderr);
    let there: There =
        serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error}\n{log}"));
    there.tokens
}

/// The site's accounts are those of this file.
fn use_accounts(site: &Site, passwd: &Path) {
    let takes = Part::ALL.into();
    let kind = Kind::File { passwd: Some(passwd.to_owned()), group: None };
    let source =
        Source { name: "file".into(), kind, must_know: false, takes, cite: Default::default() };
    let mut config = (*site.hub.config()).clone();
    config.people.directory =
        Directory { sources: vec![source], cache: Seconds(0), ..Directory::default() };
    site.hub.config.store(Arc::new(config));
}

async fn import(site: &Site, people: &[Person], dry_run: bool) -> BTreeMap<String, Value> {
    let body = json!({ "people": people, "dry_run": dry_run }).to_string();
    let root = site.program("root_").await;
    let reply = root.json("POST", "/hub/api/berth/import/jupyterhub", &body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    let rows = reply.json()["people"].as_array().unwrap().clone();
    rows.into_iter().map(|row| (row["name"].as_str().unwrap().to_owned(), row)).collect()
}

async fn whoami(site: &Site, token: &str) -> Option<String> {
    let reply = site.by_token(token).get("/hub/api/user").await;
    let is_somebody = reply.status == StatusCode::OK;
    is_somebody.then(|| reply.json()["name"].as_str().unwrap().to_owned())
}

async fn people_move_here_with_their_tokens(major: u32) {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("jupyterhub.sqlite");
    let file = database.clone();
    let secrets = tokio::task::spawn_blocking(move || jupyterhub(major, &file)).await.unwrap();
    let there = jupyterhub::read(&database, now()).unwrap();
    let names: Vec<_> = there.people.iter().map(|person| person.name.as_str()).collect();
    assert_eq!(names, ["alice", "bob", "root_", "carol"]);
    assert!(there.people[2].admin && !there.people[0].admin);
    assert_eq!(there.people[1].groups, ["lab"]);
    assert_eq!(there.left_out.len(), 2, "{:?}", there.left_out);
    assert!(there.left_out.contains(&"expired tokens (1)".to_owned()));

    let site = Site::new().await;
    let passwd = folder.path().join("passwd");
    std::fs::write(&passwd, "").unwrap();
    use_accounts(&site, &passwd);
    let plan = import(&site, &there.people, true).await;
    assert_eq!((&plan["alice"]["outcome"], &plan["alice"]["tokens"]), (&json!("known"), &json!(3)));
    assert_eq!(plan["carol"]["outcome"], "left_out");
    assert!(plan["carol"]["why"].as_str().unwrap().contains("carol"), "{plan:?}");
    assert_eq!(whoami(&site, &secrets["alice"]).await, None, "a dry run does nothing");

    let done = import(&site, &there.people, false).await;
    assert_eq!(done, plan, "what was announced");
    for (caller, owner) in [("alice", "alice"), ("bob", "bob"), ("admin", "root_")] {
        // The second time by our own hash.
        for _ in 0..2 {
            assert_eq!(whoami(&site, &secrets[caller]).await.as_deref(), Some(owner), "{caller}");
        }
    }
    assert_eq!(whoami(&site, &secrets["expired"]).await, None);
    let narrow = site.by_token(&secrets["narrow"]).get("/hub/api/users/alice/server").await;
    assert_eq!(narrow.status, StatusCode::FORBIDDEN, "scopes come with it: {}", narrow.text);
    let hash = &there.people[0].tokens[0].hashed;
    assert_eq!(whoami(&site, hash).await, None, "a hash opens nothing");

    // Whoever ended a token does not get it back, and who is known now comes with the next.
    let alice = site.by_token(&secrets["alice"]);
    let id = alice.get("/hub/api/user").await.json()["token_id"].as_str().unwrap().to_owned();
    let path = format!("/hub/api/users/alice/tokens/{id}");
    assert_eq!(alice.json("DELETE", &path, "").await.status, StatusCode::NO_CONTENT);
    std::fs::write(&passwd, "carol:x:1003:1003::/home/carol:\n").unwrap();
    let again = import(&site, &there.people, false).await;
    assert_eq!(again["alice"]["tokens_known"], 3);
    assert_eq!(again["carol"]["outcome"], "new");
    assert_eq!(whoami(&site, &secrets["alice"]).await, None);
    let root = site.program("root_").await;
    let carol = root.get("/hub/api/users/carol").await.json();
    assert_eq!((&carol["name"], &carol["admin"]), (&json!("carol"), &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn from_jupyterhub_5() {
    people_move_here_with_their_tokens(5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_jupyterhub_6() {
    people_move_here_with_their_tokens(6).await;
}

#[tokio::test]
async fn only_administrators_import_people() {
    let site = Site::new().await;
    for scopes in [&["admin:users"][..], &["admin:users", "admin:servers", "tokens"]] {
        let token = site.token("root_", scopes).await;
        let body = r#"{"people": []}"#;
        let client = site.by_token(&token);
        let reply = client.json("POST", "/hub/api/berth/import/jupyterhub", body).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{}", reply.text);
    }
}
