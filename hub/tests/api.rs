//! The API as programs see it: JupyterHub's contract, and our own part.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use berth_common::link::{CpuShare, DesiredSet, Ending, ObservedState, RunSpec, Verdict};
use berth_common::{ByteCount, Reason};
use berth_core::Event;
use berth_hub::spec::desired_set;
use serde_json::{Value, json};

use crate::site::{Site, host};

#[tokio::test]
async fn every_answer_says_which_hub_it_is() {
    let site = Site::new().await;
    for path in ["/hub/api", "/hub/api/", "/hub/api/user", "/hub/api/nowhere", "/hub/login"] {
        let reply = site.get(path).await;
        assert_eq!(reply.header("x-jupyterhub-version"), "6.1.1+berth.0.1.0", "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
    }
    let version = site.get("/hub/api").await;
    assert_eq!(version.json(), json!({ "version": "6.1.1+berth.0.1.0" }));
    assert_eq!(version.header("access-control-allow-origin"), "*");
    assert_eq!(version.header("content-type"), "application/json");
    assert!(version.header("content-security-policy").contains("report-uri"));
    let health = site.get("/hub/health").await;
    assert_eq!((health.status, health.text.as_str()), (StatusCode::OK, ""));
}

#[tokio::test]
async fn errors_are_json_with_status_and_message() {
    let site = Site::new().await;
    let missing = site.get("/hub/api/nowhere").await;
    assert_eq!(
        (missing.status, missing.json()["status"].as_u64()),
        (StatusCode::NOT_FOUND, Some(404))
    );
    let wrong = Request::patch("/hub/api/user").body(Body::empty()).unwrap();
    let wrong = site.send(wrong).await;
    assert_eq!(wrong.json()["status"], 405);
    let options = Request::options("/hub/api/users").body(Body::empty()).unwrap();
    let options = site.send(options).await;
    assert_eq!((options.status, options.text.as_str()), (StatusCode::OK, ""));
    assert_eq!(site.get("/hub/api/users").await.message(), "Missing or invalid credentials.");

    let admin = site.program("root_").await;
    let bad = admin.json("POST", "/hub/api/users/alice/server", "{").await;
    assert_eq!(
        (bad.status, bad.message().as_str()),
        (StatusCode::BAD_REQUEST, "Invalid JSON in body of request")
    );
    let large = "x".repeat(10 << 20);
    let large = admin.json("POST", "/hub/api/users/alice/server", &large).await;
    assert_eq!(
        (large.status, large.json()["status"].as_u64()),
        (StatusCode::PAYLOAD_TOO_LARGE, Some(413))
    );
    let long = "x".repeat(300);
    for name in ["..", "%2e%2e", "%2e", "a%2Fb", "a%00b", "%ff", long.as_str()] {
        let reply = admin.get(&format!("/hub/api/users/{name}")).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{name}");
        assert_eq!(reply.json()["status"], 404, "{name}");
    }
    let reply = admin.json("POST", "/hub/api/users/alice/servers/N_2", "").await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert!(reply.message().starts_with("Invalid server_name: 'N_2'"), "{}", reply.message());
}

#[tokio::test]
async fn an_unknown_token_gets_403_never_401() {
    let site = Site::new().await;
    let long = "x".repeat(65);
    for token in ["unknown", long.as_str(), "berth_pat_x", "berth_srv_AAAA"] {
        let reply = site.by_token(token).get("/hub/api/user").await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{token}");
        assert_eq!(reply.json(), json!({ "status": 403, "message": null }));
    }
    assert_eq!(site.get("/hub/api/user").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn whoami_shows_a_person_as_jupyterhub_does() {
    let site = Site::new().await;
    let me = site.program("alice").await.get("/hub/api/user").await.json();
    assert_eq!(me["kind"], "user");
    assert_eq!(me["name"], "alice");
    assert_eq!(me["admin"], false);
    assert_eq!(me["groups"], json!(["lab"]));
    assert_eq!(me["server"], json!(null));
    assert_eq!(me["servers"], json!({}));
    assert!(me["token_id"].as_str().unwrap().starts_with('a'));
    let scopes: Vec<_> = me["scopes"].as_array().unwrap().iter().collect();
    assert!(scopes.contains(&&json!("access:servers!user=alice")), "{scopes:?}");
    assert!(me.get("auth_state").is_none(), "a field that no scope covers is absent");
}

#[tokio::test]
async fn a_token_never_does_more_than_its_scopes() {
    let site = Site::new().await;
    let token = site.token("root_", &["list:users"]).await;
    let client = site.by_token(&token);
    assert_eq!(client.get("/hub/api/users").await.status, StatusCode::OK);
    let start = client.json("POST", "/hub/api/users/alice/server", "").await;
    assert_eq!(start.status, StatusCode::FORBIDDEN);
    assert!(start.message().contains("start:servers"), "{}", start.message());

    let alice = site.program("alice").await;
    assert_eq!(alice.get("/hub/api/users").await.status, StatusCode::FORBIDDEN);
    let missing = alice.get("/hub/api/users/nobody").await;
    let other = alice.get("/hub/api/users/bob").await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    assert_eq!(missing.text, other.text, "nobody learns who exists");
    let stolen = alice.json("POST", "/hub/api/users/bob/server", "").await;
    assert_eq!(stolen.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn two_starts_are_one() {
    let site = Site::new().await;
    let client = site.program("alice").await;
    let start = || client.json("POST", "/hub/api/users/alice/server", "");
    let (first, second, _) = tokio::join!(start(), start(), async {
        while site.hub.fleet.fleet().servers.is_empty() {
            tokio::task::yield_now().await;
        }
        site.make_ready("alice", "").await;
    });
    let mut statuses = [first.status, second.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::CREATED, StatusCode::ACCEPTED], "{first:?} {second:?}");
    assert_eq!(site.server("alice", "").generation.0, 1);
    assert_eq!(site.hub.fleet.fleet().servers.len(), 1);
    let third = start().await;
    assert_eq!(third.status, StatusCode::BAD_REQUEST);
    assert!(third.message().contains("already running"), "{}", third.message());

    let user = client.get("/hub/api/users/alice").await.json();
    assert_eq!(user["server"], "/user/alice/");
    assert_eq!(user["servers"][""]["ready"], true);
    assert_eq!(user["servers"][""]["pending"], json!(null));
}

#[tokio::test]
async fn a_profile_may_open_a_page_of_its_own() {
    let site = Site::new().await;
    let mut settings = site.hub.config().settings.clone();
    let page = "/lab/tree/school/intro.ipynb";
    settings.profiles.get_mut("cpu").unwrap().start_url = Some(page.into());
    site.hub.fleet.send(Event::SettingsChanged(Arc::new(settings))).await;
    site.program("alice").await.json("POST", "/hub/api/users/alice/server", "").await;
    assert_eq!(told_to_run(&site, "alice").env["JUPYTERHUB_DEFAULT_URL"], page);
}

/// What the host is told of somebody's server, as it arrives there.
fn told_to_run(site: &Site, user: &str) -> RunSpec {
    let server = site.server(user, "");
    let (fleet, config) = (site.hub.fleet.fleet(), site.hub.config());
    let (host, now) = ("wn1".parse().unwrap(), berth_process::clock::now());
    let told = desired_set(&fleet, &host, &config.hub, &site.hub.keys, now).unwrap();
    let told = DesiredSet::try_from(berth_proto::link::Desired::from(told)).unwrap();
    let Verdict::Run(run) = &told.servers[&server.id].what else { panic!("{told:?}") };
    (**run).clone()
}

#[tokio::test]
async fn shared_memory_and_processors_are_as_image_and_profile_say() {
    let site = Site::new().await;
    let start = async |user: &str| {
        site.program(user).await.json("POST", &format!("/hub/api/users/{user}/server"), "").await;
        told_to_run(&site, user)
    };
    let run = start("alice").await;
    assert_eq!((run.shm, run.cpu), (None, CpuShare::default()), "the engine's own");
    assert!(!run.env.contains_key("CPU_LIMIT") && !run.env.contains_key("CPU_GUARANTEE"));

    let mut settings = site.hub.config().settings.clone();
    // More than the server has of memory.
    settings.images.get_mut("base").unwrap().shm = Some(ByteCount(8 << 30));
    let profile = settings.profiles.get_mut("cpu").unwrap();
    (profile.cpu_milli, profile.cpu_limit_milli) = (500, Some(2000));
    site.hub.fleet.send(Event::SettingsChanged(Arc::new(settings))).await;
    let run = start("bob").await;
    assert_eq!(run.shm, Some(ByteCount(4 << 30)));
    assert_eq!(run.cpu, CpuShare { weight_milli: Some(500), limit_milli: Some(2000) });
    // As JupyterHub writes them.
    assert_eq!((&*run.env["CPU_LIMIT"], &*run.env["CPU_GUARANTEE"]), ("2.0", "0.5"));
}

#[tokio::test]
async fn a_refusal_is_a_400_with_its_reason() {
    let site = Site::new().await;
    let client = site.program("alice").await;
    let path = "/hub/api/users/alice/server";
    for (body, code) in [
        (r#"{"profile": "none"}"#, "refused.profile.unknown"),
        (r#"{"memory": "65 GB"}"#, "refused.too_big"),
        (r#"{"user_options": {"memory": ["64 GB"]}}"#, "refused.never_fits"),
    ] {
        let reply = client.json("POST", path, body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(reply.header("x-berth-reason"), code, "{body}");
    }
    for name in ["a", "b", "c"] {
        site.running("alice", name).await;
    }
    let reply = client.json("POST", path, "").await;
    assert_eq!(reply.header("x-berth-reason"), "refused.quota.servers");
}

#[tokio::test]
async fn a_server_that_must_wait_is_accepted_and_says_why() {
    let site = Site::new().await;
    site.running("bob", "").await;
    let client = site.program("alice").await;
    let reply = client.json("POST", "/hub/api/users/alice/server", r#"{"memory": "28G"}"#).await;
    assert_eq!((reply.status, reply.text.as_str()), (StatusCode::ACCEPTED, ""));
    assert_eq!(reply.header("content-type"), "text/plain");
    let user = client.get("/hub/api/users/alice").await.json();
    assert_eq!(user["servers"][""]["pending"], "spawn");
    assert_eq!(user["servers"][""]["user_options"], json!({ "memory": "28G" }));

    let stream = client.get("/hub/api/users/alice/server/progress");
    let (stream, ()) = tokio::join!(stream, async {
        let bob = site.program("bob").await;
        let stop = bob.json("DELETE", "/hub/api/users/bob/server", "");
        let (stop, ()) = tokio::join!(stop, async {
            while site.server("bob", "").is_ready() {
                tokio::task::yield_now().await;
            }
            site.report(Vec::new()).await;
        });
        assert_eq!(stop.status, StatusCode::NO_CONTENT);
        site.make_ready("alice", "").await;
    });
    assert_eq!(stream.header("content-type"), "text/event-stream");
    assert_eq!(stream.header("cache-control"), "no-cache");
    assert!(stream.text.starts_with("\n\ndata: "), "{}", stream.text);
    let events: Vec<serde_json::Value> = stream
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let said: Vec<_> = events.iter().map(|event| event["message"].as_str().unwrap()).collect();
    assert_eq!(said[0], "Server requested");
    assert!(said[1].starts_with("Waits in place 1: All memory is promised"), "{said:?}");
    assert!(said.iter().any(|text| text.starts_with("Placed on wn1")), "{said:?}");
    assert_eq!(
        events.last().unwrap(),
        &json!({
            "progress": 100, "ready": true, "message": "Server ready at /user/alice/",
            "html_message": "Server ready at <a href=\"/user/alice/\">/user/alice/</a>",
            "url": "/user/alice/",
        })
    );
}

#[tokio::test]
async fn there_is_progress_of_what_was_started_only() {
    let site = Site::new().await;
    let client = site.program("alice").await;
    let path = "/hub/api/users/alice/server/progress";
    assert_eq!(client.get(path).await.status, StatusCode::NOT_FOUND);
    let named = client.get("/hub/api/users/alice/servers/n1/progress").await;
    assert_eq!(named.status, StatusCode::NOT_FOUND);
    site.running("alice", "").await;
    let ready = client.get(path).await;
    assert_eq!(ready.text.matches("data: ").count(), 1);
    assert!(ready.text.contains("\"ready\":true"));
}

#[tokio::test]
async fn a_failed_start_is_told_with_its_reason() {
    let site = Site::new().await;
    let client = site.program("alice").await;
    let start = client.json("POST", "/hub/api/users/alice/server", "");
    let (start, ()) = tokio::join!(start, async {
        while site.hub.fleet.fleet().servers.is_empty() {
            tokio::task::yield_now().await;
        }
        let ending = Ending { reason: Reason::FailedImage, detail: "nb:1 is not here".into() };
        let seen = site.seen(&site.server("alice", ""), ObservedState::Failed(ending));
        site.report(vec![seen]).await;
    });
    assert_eq!(start.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(start.header("x-berth-reason"), "failed.image.absent");
    assert_eq!(start.message(), "Spawn failed: The image is not on the host. nb:1 is not here");
    site.report(Vec::new()).await;
    let progress = client.get("/hub/api/users/alice/server/progress").await;
    assert_eq!(progress.status, StatusCode::OK);
    assert_eq!(progress.text.matches("data: ").count(), 1);
    assert!(progress.text.contains("\"failed\":true"), "{}", progress.text);
    let user = client.get("/hub/api/users/alice?include_stopped_servers").await.json();
    assert_eq!(user["servers"][""]["stopped"], true);
    assert_eq!(client.get("/hub/api/users/alice").await.json()["servers"], json!({}));
}

#[tokio::test]
async fn stopping_is_idempotent_and_removes_named_servers() {
    let site = Site::new().await;
    let client = site.program("alice").await;
    let default = "/hub/api/users/alice/server";
    assert_eq!(client.json("DELETE", default, "").await.status, StatusCode::NO_CONTENT);
    let missing = client.json("DELETE", "/hub/api/users/alice/servers/n1", "").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    let remove = client.json("DELETE", default, r#"{"remove": true}"#).await;
    assert_eq!(remove.status, StatusCode::BAD_REQUEST);

    site.running("alice", "n1").await;
    let named = "/hub/api/users/alice/servers/n1";
    let stop = client.json("DELETE", named, r#"{"remove": true}"#);
    let (stop, ()) = tokio::join!(stop, async {
        while site.server("alice", "n1").is_ready() {
            tokio::task::yield_now().await;
        }
        site.report(Vec::new()).await;
    });
    assert_eq!(stop.status, StatusCode::NO_CONTENT);
    assert!(site.hub.fleet.fleet().servers.is_empty());
}

#[tokio::test]
async fn a_server_token_dies_with_its_start() {
    let site = Site::new().await;
    let server = site.running("alice", "").await;
    let token = site.server_token(&server);
    let me = site.by_token(&token).get("/hub/api/user").await;
    assert_eq!(
        me.json()["scopes"],
        json!([
            "access:servers!server=alice/",
            "read:users:activity!user=alice",
            "read:users:groups!user=alice",
            "read:users:name!user=alice",
            "users:activity!user=alice"
        ])
    );
    let report = r#"{"servers": {"": {"last_activity": "2020-11-22T15:27:58.579722Z"}}, "last_activity": "2020-11-22T15:27:58.579722Z"}"#;
    let path = "/hub/api/users/alice/activity";
    let reply = site.by_token(&token).json("POST", path, report).await;
    assert_eq!((reply.status, reply.text.as_str()), (StatusCode::OK, ""));
    let other = site.by_token(&token).json("POST", "/hub/api/users/bob/activity", report).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    let start = site.by_token(&token).json("POST", "/hub/api/users/alice/server", "").await;
    assert_eq!(start.status, StatusCode::FORBIDDEN, "a server cannot start servers");

    berth_hub::actions::stop(&site.hub, &server.id, berth_common::Reason::StoppedUser)
        .await
        .unwrap();
    let ordered = site.by_token(&token).get("/hub/api/user").await;
    assert_eq!(ordered.status, StatusCode::FORBIDDEN, "ordered to stop");
    site.report(Vec::new()).await;
    let again = site.running("alice", "").await;
    assert_eq!(again.generation.0, 2);
    assert_eq!(site.by_token(&token).get("/hub/api/user").await.status, StatusCode::FORBIDDEN);
    let fresh = site.server_token(&again);
    assert_eq!(site.by_token(&fresh).get("/hub/api/user").await.status, StatusCode::OK);
}

#[tokio::test]
async fn activity_is_checked_and_moves_forward_only() {
    let site = Site::new().await;
    site.running("alice", "").await;
    let client = site.program("alice").await;
    let path = "/hub/api/users/alice/activity";
    for bad in [
        "{}",
        r#"{"servers": []}"#,
        r#"{"servers": {"gone": {"last_activity": "2020-01-01T00:00:00Z"}}}"#,
        r#"{"servers": {"": {}}}"#,
        r#"{"last_activity": "2999-01-01T00:00:00Z"}"#,
        r#"{"last_activity": "yesterday"}"#,
        r#"{"last_activity": 7}"#,
    ] {
        let reply = client.json("POST", path, bad).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    let before = site.server("alice", "").last_activity;
    let old = r#"{"servers": {"": {"last_activity": "2020-01-01T00:00:00Z"}}}"#;
    assert_eq!(client.json("POST", path, old).await.status, StatusCode::OK);
    site.settle().await;
    assert_eq!(site.server("alice", "").last_activity, before);
    let soon = berth_process::clock::now();
    let new = json!({ "servers": { "": { "last_activity": soon.to_string() } } }).to_string();
    assert_eq!(client.json("POST", path, &new).await.status, StatusCode::OK);
    site.settle().await;
    assert_eq!(site.server("alice", "").last_activity, soon);
}

#[tokio::test]
async fn tokens_are_shown_once_and_never_exceed_their_maker() {
    let site = Site::new().await;
    let alice = site.program("alice").await;
    let path = "/hub/api/users/alice/tokens";
    let made = alice.json("POST", path, r#"{"note": "mine", "expires_in": 3600}"#).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let made = made.json();
    let text = made["token"].as_str().unwrap();
    assert!(text.starts_with("berth_pat_") && text.len() <= 64, "{text}");
    assert_eq!((&made["kind"], &made["note"]), (&json!("api_token"), &json!("mine")));
    assert_eq!(site.by_token(text).get("/hub/api/user").await.status, StatusCode::OK);

    let list = alice.get(path).await;
    assert!(!list.text.contains(text), "the secret is shown once");
    assert_eq!(list.json()["api_tokens"].as_array().unwrap().len(), 2);
    let id = made["id"].as_str().unwrap();
    let one = alice.get(&format!("{path}/{id}")).await;
    assert_eq!(one.json()["oauth_client"], "JupyterHub");
    let gone = alice.json("DELETE", &format!("{path}/{id}"), "").await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(site.by_token(text).get("/hub/api/user").await.status, StatusCode::FORBIDDEN);
    assert_eq!(alice.get(&format!("{path}/{id}")).await.status, StatusCode::NOT_FOUND);

    for bad in [
        r#"{"scopes": ["admin:users"]}"#,
        r#"{"scopes": ["servers!user=bob"]}"#,
        r#"{"scopes": ["nonsense"]}"#,
        r#"{"roles": ["admin"]}"#,
        r#"{"roles": ["token"], "scopes": ["self"]}"#,
        r#"{"expires_in": 0}"#,
        r#"{"expires_in": -5}"#,
        r#"{"expires_in": "1h"}"#,
        r#"{"surprise": 1}"#,
    ] {
        let reply = alice.json("POST", path, bad).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{bad}: {}", reply.text);
    }
    let bobs = alice.json("POST", "/hub/api/users/bob/tokens", "").await;
    assert_eq!(bobs.status, StatusCode::FORBIDDEN);
    assert_eq!(bobs.message(), "User bob not found or no permissions to generate tokens");
}

#[tokio::test]
async fn a_narrow_token_makes_no_wide_one() {
    let site = Site::new().await;
    let narrow = site.token("root_", &["tokens"]).await;
    let narrow = site.by_token(&narrow);
    let path = "/hub/api/users/root_/tokens";
    let wide = narrow.json("POST", path, r#"{"scopes": ["admin:users"]}"#).await;
    assert_eq!(wide.status, StatusCode::BAD_REQUEST, "{}", wide.text);
    let default = narrow.json("POST", path, "").await.json();
    // Every token tells whose it is.
    let own = ["read:users:groups!user=root_", "read:users:name!user=root_"];
    assert_eq!(default["scopes"], json!(["read:tokens", own[0], own[1], "tokens"]));
}

#[tokio::test]
async fn a_password_makes_a_token_without_a_session() {
    let site = Site::new().await;
    let post = |body: &str| {
        Request::post("/hub/api/users/alice/tokens")
            .header("content-type", "text/plain")
            .body(Body::from(body.to_owned()))
            .unwrap()
    };
    let right = r#"{"auth": {"username": "alice", "password": "correct horse"}, "note": "code"}"#;
    let made = site.send(post(right)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let wrong = r#"{"auth": {"username": "alice", "password": "wrong"}}"#;
    assert_eq!(site.send(post(wrong)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(site.send(post("{}")).await.status, StatusCode::FORBIDDEN);
    let others = r#"{"auth": {"username": "bob", "password": "correct horse"}}"#;
    assert_eq!(site.send(post(others)).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn users_come_in_pages() {
    let site = Site::new().await;
    for n in 0..7 {
        site.add_user(&format!("user{n}"), 2000 + n, false).await;
    }
    site.running("bob", "").await;
    let admin = site.program("root_").await;
    let names = |list: &serde_json::Value| {
        let list = list.as_array().unwrap().iter();
        list.map(|user| user["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let bare = admin.get("/hub/api/users").await.json();
    assert_eq!(bare.as_array().unwrap().len(), 10);
    let paged = [
        ("accept", "application/jupyterhub-pagination+json"),
        ("host", "nb.example.org"),
        ("x-forwarded-proto", "https"),
    ];
    let first = admin.send("GET", "/hub/api/users?limit=4&sort=name", &paged, "").await.json();
    assert_eq!(names(&first["items"]), "alice bob root_ user0");
    assert_eq!(first["_pagination"]["total"], 10);
    let next = first["_pagination"]["next"]["url"].as_str().unwrap();
    assert_eq!(next, "https://nb.example.org/hub/api/users?offset=4&limit=4&sort=name");
    let path = next.strip_prefix("https://nb.example.org").unwrap();
    let second = admin.send("GET", path, &paged, "").await.json();
    assert_eq!(names(&second["items"]), "user1 user2 user3 user4");
    let last = admin.send("GET", "/hub/api/users?offset=8", &paged, "").await.json();
    assert_eq!(last["_pagination"]["next"], json!(null));

    for (query, expected) in [
        ("state=ready", "bob"),
        ("state=active", "bob"),
        ("name_filter=USER1", "user1"),
        ("sort=-name&limit=2", "user6 user5"),
    ] {
        let list = admin.get(&format!("/hub/api/users?{query}")).await.json();
        assert_eq!(names(&list), expected, "{query}");
    }
    let inactive = admin.get("/hub/api/users?state=inactive").await.json();
    assert_eq!(inactive.as_array().unwrap().len(), 9);
    assert_eq!(admin.get("/hub/api/users?state=x").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn administrators_make_and_delete_accounts() {
    let site = Site::new().await;
    let admin = site.program("root_").await;
    let new = r#"{"name": "carol", "uid": 3000, "gid": 3000, "groups": [{"name": "lab", "gid": 5000}], "password": "a good one"}"#;
    let made = admin.json("POST", "/hub/api/berth/users", new).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    assert_eq!(made.json()["password"], json!(null));
    let again = admin.json("POST", "/hub/api/berth/users", new).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let same_uid = new.replace("carol", "dave");
    let same_uid = admin.json("POST", "/hub/api/berth/users", &same_uid).await;
    assert_eq!(
        (same_uid.status, same_uid.message().as_str()),
        (StatusCode::CONFLICT, "uid 3000 belongs to carol.")
    );
    let root = new.replace("carol", "dave").replace("3000", "0");
    assert_eq!(
        admin.json("POST", "/hub/api/berth/users", &root).await.status,
        StatusCode::BAD_REQUEST
    );

    let alice = site.program("alice").await;
    let stranger = alice.json("POST", "/hub/api/berth/users", &new.replace("carol", "eve")).await;
    assert_eq!(stranger.status, StatusCode::FORBIDDEN);
    let narrow = site.token("root_", &["admin:users"]).await;
    let climb =
        r#"{"name": "eve", "uid": 3001, "gid": 3001, "admin": true, "password": "a good one"}"#;
    let climb = site.by_token(&narrow).json("POST", "/hub/api/berth/users", climb).await;
    assert_eq!(climb.status, StatusCode::FORBIDDEN, "admin:users makes no administrators");
    let climb =
        site.by_token(&narrow).json("POST", "/hub/api/berth/users/root_/password", "").await;
    assert_eq!(climb.status, StatusCode::FORBIDDEN, "nor takes over one");

    let other = alice
        .json("POST", "/hub/api/berth/users/bob/password", r#"{"password": "taken over"}"#)
        .await;
    assert_eq!(other.status, StatusCode::FORBIDDEN);
    let own = admin.json("DELETE", "/hub/api/users/root_", "").await;
    assert_eq!(own.message(), "Cannot delete yourself!");
    let gone = admin.json("DELETE", "/hub/api/users/alice", "").await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(alice.get("/hub/api/user").await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        admin.json("DELETE", "/hub/api/users/alice", "").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn our_own_api_explains() {
    let site = Site::new().await;
    let server = site.running("alice", "").await;
    let admin = site.program("root_").await;
    let alice = site.program("alice").await;
    let bob = site.program("bob").await;

    let host = admin.get("/hub/api/berth/hosts/wn1").await.json();
    assert_eq!(host["schema_version"], 1);
    assert_eq!(host["host"]["state"], "ready");
    assert_eq!(host["host"]["memory"]["usable"], 30_u64 << 30);
    assert_eq!(host["host"]["memory"]["reserved"], 4_u64 << 30);
    assert_eq!(host["host"]["memory"]["used"], 1_u64 << 30);
    assert_eq!(alice.get("/hub/api/berth/hosts").await.status, StatusCode::FORBIDDEN);

    let id = server.id.as_str();
    let shown = alice.get(&format!("/hub/api/berth/servers/{}", &id[..6])).await.json();
    assert_eq!(
        (&shown["server"]["id"], &shown["server"]["state"]),
        (&json!(id), &json!("running"))
    );
    assert_eq!(
        bob.get(&format!("/hub/api/berth/servers/{id}")).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(bob.get("/hub/api/berth/servers").await.json()["servers"], json!([]));
    let decisions = admin.get(&format!("/hub/api/berth/servers/{id}/decisions")).await.json();
    let decision = &decisions["decisions"][0];
    assert_eq!(decision["outcome"], "placed");
    assert_eq!(decision["hosts"][0]["verdict"], "chosen");
    let path = format!("/hub/api/berth/decisions/{}", decision["id"].as_str().unwrap());
    assert!(alice.get(&path).await.json()["decision"].get("hosts").is_none());
    assert_eq!(bob.get(&path).await.status, StatusCode::NOT_FOUND);

    let dry = bob.json("POST", "/hub/api/berth/explain", r#"{"memory": "28 GB"}"#).await.json();
    assert_eq!(dry["decision"]["outcome"], "waits");
    assert_eq!(dry["decision"]["reason"]["code"], "wait.memory.reserved");
    assert_eq!(site.hub.fleet.fleet().servers.len(), 1, "a dry run changes nothing");
    let profiles = bob.get("/hub/api/berth/profiles").await.json();
    assert_eq!(profiles["profiles"][0]["verdict"]["outcome"], "placed");

    let token = admin.json("POST", "/hub/api/berth/hosts/wn1/join-token", "").await;
    assert_eq!(token.status, StatusCode::CREATED, "{}", token.text);
    let missing = admin.json("POST", "/hub/api/berth/hosts/wn9/join-token", "").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(missing.message().contains("names = \"wn9\""), "{}", missing.message());
}

#[tokio::test]
async fn the_administrators_socket_needs_no_account() {
    let site = Site::new().await;
    let local = site.router.clone().layer(axum::Extension(berth_hub::auth::LocalAdmin));
    let request = Request::get("/hub/api/berth/users").body(Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(local, request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(site.get("/hub/api/berth/users").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_server_is_laid_down_before_anybody_starts_it() {
    let site = Site::new().await;
    let (alice, bob) = (site.program("alice").await, site.program("bob").await);
    let path = "/hub/api/users/alice/servers/big";
    let body = r#"{"user_options": {"memory": "16G"}}"#;
    assert_eq!(bob.json("PUT", path, body).await.status, StatusCode::NOT_FOUND);
    let made = alice.json("PUT", path, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let model = made.json();
    let said = (&model["stopped"], &model["pending"], &model["user_options"]["memory"]);
    assert_eq!(said, (&json!(true), &Value::Null, &json!("16G")));
    assert!(!site.server("alice", "big").is_active(), "nothing has started");
    assert_eq!(alice.json("PUT", path, body).await.status, StatusCode::CONFLICT);
    let default = alice.json("PUT", "/hub/api/users/alice/server", "").await;
    assert_eq!(default.status, StatusCode::CONFLICT);

    let change = r#"{"user_options": {"memory": "4G"}}"#;
    assert_eq!(bob.json("PATCH", path, change).await.status, StatusCode::NOT_FOUND);
    let changed = alice.json("PATCH", path, change).await;
    assert_eq!(changed.json()["user_options"]["memory"], "4G", "{}", changed.text);
    for bad in ["{}", r#"{"name": "other"}"#, r#"{"user_options": 7}"#, r#"{"colour": "red"}"#] {
        assert_eq!(alice.json("PATCH", path, bad).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    let nobodys = alice.json("PATCH", "/hub/api/users/alice/servers/none", change).await;
    assert_eq!(nobodys.status, StatusCode::NOT_FOUND);

    // A start that says nothing takes what was laid down.
    let started = tokio::select! {
        reply = alice.json("POST", path, "") => reply,
        () = host::work(&site) => unreachable!("the host works for ever"),
    };
    assert_eq!(started.status, StatusCode::CREATED, "{}", started.text);
    assert_eq!(site.server("alice", "big").ask.memory.0, 4 << 30);
    assert_eq!(alice.json("PATCH", path, change).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn nobody_fills_the_store_with_servers_that_never_run() {
    let site = Site::new().await;
    let alice = site.program("alice").await;
    for number in 0..200 {
        let path = format!("/hub/api/users/alice/servers/n{number}");
        assert_eq!(alice.json("PUT", &path, "").await.status, StatusCode::CREATED, "{number}");
    }
    let more = alice.json("PUT", "/hub/api/users/alice/servers/more", "").await;
    assert_eq!(more.status, StatusCode::BAD_REQUEST);
    assert!(more.message().contains("too many servers"), "{}", more.message());
}
