//! Roles of the site, scopes of tokens, and groups: what each lets people do, and no more.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use berth_core::Event;
use berth_core::settings::People;
use berth_hub::config::roles::{Role, Roles};
use serde_json::json;

use crate::site::{FORM, Site};

fn role(scopes: &[&str], users: &[&str], groups: &[&str]) -> Role {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let people = People {
        users: users.iter().map(|name| name.parse().unwrap()).collect(),
        groups: set(groups),
        except_users: BTreeSet::new(),
    };
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    Role {
        description: String::new(),
        scopes,
        people,
        services: Default::default(),
        cite: Default::default(),
    }
}

fn configure(site: &Site, roles: &[(&str, Role)]) {
    let mut config = (*site.hub.config()).clone();
    let roles = roles.iter().map(|(name, role)| ((*name).to_owned(), role.clone()));
    config.people.roles = Roles(roles.collect());
    site.hub.config.store(Arc::new(config));
}

/// alice and bob are in the group lab; carol is in none.
async fn site() -> Site {
    let site = Site::new().await;
    let user = site.hub.storage.read(|reader| reader.user(&"bob".parse().unwrap()));
    let mut carol = user.unwrap().unwrap();
    carol.account.name = "carol".parse().unwrap();
    carol.account.uid = 1900;
    carol.account.groups.clear();
    site.hub.storage.write(move |database| database.save_user(&carol)).await.unwrap();
    site
}

#[tokio::test]
async fn a_role_reaches_the_members_of_its_group_and_nobody_else() {
    let site = site().await;
    let path = |user: &str| format!("/hub/api/users/{user}");
    let bob = site.program("bob").await;
    assert_eq!(bob.get(&path("alice")).await.status, StatusCode::NOT_FOUND);
    let tutor = role(&["read:users!group=lab", "list:users!group=lab"], &["bob"], &[]);
    configure(&site, &[("tutor", tutor)]);
    assert_eq!(
        bob.get(&path("alice")).await.json()["name"],
        "alice",
        "at once, for old tokens too"
    );
    assert_eq!(bob.get(&path("carol")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(bob.get(&path("nobody")).await.status, StatusCode::NOT_FOUND);
    let list = bob.get("/hub/api/users").await.json();
    let names: Vec<_> = list.as_array().unwrap().iter().map(|user| user["name"].clone()).collect();
    assert_eq!(names, ["alice", "bob", "root_"], "the members");
    let stop = bob.json("DELETE", "/hub/api/users/alice/server", "").await;
    assert_eq!(stop.status, StatusCode::NOT_FOUND, "reading is not stopping");
    let me = bob.get("/hub/api/user").await.json();
    assert_eq!(me["roles"], json!(["tutor", "user"]));
    let scopes: Vec<_> =
        me["scopes"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    // Expanded, as clients expect it.
    for scope in ["read:users!group=lab", "read:users:groups!group=lab", "read:users:name!user=bob"]
    {
        assert!(scopes.contains(&scope), "{scope}: {scopes:?}");
    }
    configure(&site, &[]);
    assert_eq!(bob.get(&path("alice")).await.status, StatusCode::NOT_FOUND, "taken away at once");
}

#[tokio::test]
async fn a_group_can_be_made_administrators() {
    let site = site().await;
    let (alice, carol) = (site.browser("alice").await, site.browser("carol").await);
    assert_eq!(alice.get("/hub/admin").await.status, StatusCode::FORBIDDEN);
    configure(&site, &[("admin", role(&[], &[], &["lab"]))]);
    assert_eq!(alice.get("/hub/admin").await.status, StatusCode::OK);
    assert_eq!(carol.get("/hub/admin").await.status, StatusCode::FORBIDDEN);
    let me = site.program("alice").await.get("/hub/api/user").await.json();
    assert_eq!((&me["admin"], &me["roles"]), (&json!(true), &json!(["admin", "user"])));
    // A narrow token of an administrator stays narrow.
    let narrow = site.token("alice", &["read:users!user"]).await;
    let narrow = site.by_token(&narrow);
    assert_eq!(narrow.get("/hub/api/users/bob").await.status, StatusCode::NOT_FOUND);
    assert_eq!(narrow.get("/hub/api/proxy").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn no_role_grants_what_its_holder_lacks() {
    // CVE-2024-41942: holders of admin:users made themselves administrators.
    let site = site().await;
    configure(&site, &[("clerk", role(&["admin:users"], &["bob"], &[]))]);
    let bob = site.program("bob").await;
    let path = "/hub/api/users/bob";
    for body in [r#"{"admin": true}"#, r#"{"admin": false}"#] {
        let reply = bob.json("PATCH", path, body).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{}", reply.text);
    }
    assert_eq!(bob.get("/hub/api/user").await.json()["admin"], false);
    let identity = r#"{"issuer": "https://x", "subject": "bob"}"#;
    let reply = bob.json("POST", "/hub/api/berth/users/root_/identities", identity).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "becoming an administrator by a link");
    let reply = bob.json("POST", "/hub/api/berth/users/root_/password", "{}").await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    let new = json!({"name": "eve", "uid": 4000, "gid": 4000, "admin": true}).to_string();
    let reply = bob.json("POST", "/hub/api/berth/users", &new).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);

    let root = site.program("root_").await;
    let reply = root.json("PATCH", path, r#"{"admin": true}"#).await;
    assert_eq!((reply.status, &reply.json()["admin"]), (StatusCode::OK, &json!(true)));
    let renamed = root.json("PATCH", path, r#"{"name": "robert"}"#).await;
    assert_eq!(renamed.status, StatusCode::BAD_REQUEST);
    let odd = root.json("PATCH", path, r#"{"colour": "red"}"#).await;
    assert_eq!(odd.message(), "Invalid JSON keys: colour");
    assert_eq!(root.json("PATCH", "/hub/api/users/x", "{}").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn groups_of_the_directory_are_read_and_not_changed() {
    let site = site().await;
    let root = site.program("root_").await;
    let groups = root.get("/hub/api/groups").await.json();
    let lab = json!({"kind": "group", "name": "lab", "users": ["alice", "bob", "root_"],
        "roles": [], "properties": {}});
    assert_eq!(groups, json!([lab]));
    assert_eq!(root.get("/hub/api/groups/lab").await.json(), lab);
    assert_eq!(root.get("/hub/api/groups/none").await.status, StatusCode::NOT_FOUND);
    let pages = [("accept", "application/jupyterhub-pagination+json")];
    let page = root.send("GET", "/hub/api/groups?limit=1", &pages, "").await.json();
    assert_eq!(page["_pagination"]["total"], 1);
    for (method, path, status, words) in [
        ("POST", "", StatusCode::CONFLICT, "Group lab already exists: it comes from"),
        ("POST", "/lab", StatusCode::CONFLICT, "Group lab already exists: it comes from"),
        ("DELETE", "/lab", StatusCode::BAD_REQUEST, "Group management via API is disabled for lab"),
        ("POST", "/lab/users", StatusCode::BAD_REQUEST, "Group management via API is disabled"),
        ("DELETE", "/lab/users", StatusCode::BAD_REQUEST, "Group management via API is disabled"),
        ("PUT", "/lab/properties", StatusCode::BAD_REQUEST, "Group management via API is disabled"),
    ] {
        let (path, body) = (format!("/hub/api/groups{path}"), r#"{"users": ["carol"]}"#);
        let body = if path == "/hub/api/groups" { r#"{"groups": ["new", "lab"]}"# } else { body };
        let reply = root.json(method, &path, body).await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text);
        assert!(reply.message().starts_with(words), "{method} {path}: {}", reply.text);
        let nobody = site.program("alice").await.json(method, &path, body).await;
        assert_eq!(nobody.status, StatusCode::FORBIDDEN, "{method} {path}");
    }
    assert_eq!(root.get("/hub/api/groups").await.json(), json!([lab]), "all or nothing");
    let alice = site.program("alice").await;
    assert_eq!(alice.get("/hub/api/groups").await.status, StatusCode::FORBIDDEN);
    configure(&site, &[("lab-reader", role(&["read:groups:name!group=lab"], &["alice"], &[]))]);
    let named = alice.get("/hub/api/groups/lab").await.json();
    assert_eq!(named, json!({"kind": "group", "name": "lab"}), "no more than the scope covers");
    assert_eq!(alice.get("/hub/api/groups/other").await.status, StatusCode::NOT_FOUND);
}

const COURSE: &str = "/hub/api/groups/course";

#[tokio::test]
async fn a_group_of_the_api_counts_like_one_of_the_directory() {
    let site = site().await;
    let (root, alice) = (site.program("root_").await, site.program("alice").await);
    configure(&site, &[("reader", role(&["read:hub"], &[], &["course"]))]);
    let made = root.json("POST", COURSE, r#"{"users": ["Alice"]}"#).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let course = json!({"kind": "group", "name": "course", "users": ["alice"],
        "roles": ["reader"], "properties": {}});
    assert_eq!(made.json(), course);
    assert_eq!(root.json("POST", COURSE, "").await.status, StatusCode::CONFLICT);
    assert_eq!(alice.get("/hub/api/user").await.json()["groups"], json!(["lab", "course"]));
    assert_eq!(alice.get("/hub/api/info").await.status, StatusCode::OK, "by the group's role");

    // What the directory says anew takes nothing away, and on the hosts the group is nothing.
    let server = site.running("alice", "").await;
    let account = server.account.as_ref().unwrap();
    let groups: Vec<_> = account.groups.iter().map(|it| (it.name.as_str(), it.gid)).collect();
    assert_eq!(groups, [("lab", 5000), ("course", 0)]);
    let whois = root.get("/hub/api/berth/users/alice/account").await.json();
    let said = &whois["account"]["sources"][1];
    assert_eq!(said["source"], "hub (groups of the API)", "{whois}");

    let users = format!("{COURSE}/users");
    let both = root.json("POST", &users, r#"{"users": ["bob", "alice"]}"#).await;
    assert_eq!(both.json()["users"], json!(["alice", "bob"]));
    let unknown = root.json("POST", &users, r#"{"users": ["carol", "eve"]}"#).await;
    assert_eq!((unknown.status.as_u16(), unknown.message()), (400, "No such user: eve".into()));
    let left = root.json("DELETE", &users, r#"{"users": ["alice"]}"#).await;
    assert_eq!(left.json()["users"], json!(["bob"]), "and carol was not put in");
    assert_eq!(alice.get("/hub/api/user").await.json()["groups"], json!(["lab"]));
    assert_eq!(alice.get("/hub/api/info").await.status, StatusCode::FORBIDDEN);
    let put = root.json("PUT", &format!("{COURSE}/properties"), r#"{"room": 7}"#).await;
    assert_eq!(put.json()["properties"], json!({"room": 7}));
    let many = root.json("POST", "/hub/api/groups", r#"{"groups": ["x", "y"]}"#).await;
    assert_eq!(many.json().as_array().unwrap().len(), 2, "{}", many.text);
    for bad in [r#"{"users": "alice"}"#, r#"{"colour": 1}"#, r#"{"roles": ["admin"]}"#] {
        let reply = root.json("POST", "/hub/api/groups/z", bad).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    assert_eq!(root.json("DELETE", COURSE, "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(root.json("DELETE", COURSE, "").await.status, StatusCode::NOT_FOUND);
    let bob = root.get("/hub/api/users/bob").await.json();
    assert_eq!(bob["groups"], json!(["lab"]), "gone with the group");

    let acts = root.get("/hub/api/berth/audit?actor=root_&limit=50").await.json();
    let acts = acts["audit"].as_array().unwrap();
    let of_course = acts.iter().filter(|act| act["subject"] == "course");
    let mut told: Vec<_> = of_course.map(|act| act["action"].as_str().unwrap()).collect();
    told.dedup();
    let expected = ["group-remove", "group-properties", "group-drop", "group-add", "group-make"];
    assert_eq!(told, expected, "{acts:#?}");
}

#[tokio::test]
async fn nobody_gives_by_a_group_what_they_lack() {
    let site = site().await;
    let root = site.program("root_").await;
    let all = r#"{"groups": ["course", "board"]}"#;
    assert_eq!(root.json("POST", "/hub/api/groups", all).await.status, StatusCode::CREATED);
    let bob = site.program("bob").await;
    let carol = r#"{"users": ["carol"]}"#;
    let add = async |group: &str| {
        let reply = bob.json("POST", &format!("/hub/api/groups/{group}/users"), carol).await;
        (reply.status.as_u16(), reply.message())
    };
    configure(&site, &[("clerk", role(&["groups!group=course"], &["bob"], &[]))]);
    assert_eq!(add("board").await.0, 404, "another group than his");
    configure(
        &site,
        &[
            ("clerk", role(&["groups"], &["bob"], &[])),
            ("admin", role(&[], &[], &["board"])),
            ("watcher", role(&["read:metrics"], &[], &["course"])),
        ],
    );
    let (status, why) = add("board").await;
    assert!(status == 403 && why.contains("the role admin"), "{status} {why}");
    let (status, why) = add("course").await;
    assert!(status == 403 && why.contains("the role watcher"), "{status} {why}");
    // Whoever has power over a group does not choose over whom, nor with a narrower token.
    let tutor = role(&["groups!group=course", "servers!group=course"], &["bob"], &[]);
    configure(&site, &[("tutor", tutor)]);
    let (status, why) = add("course").await;
    assert!(status == 403 && why.contains("over whom you hold"), "{status} {why}");
    let narrow = site.token("bob", &["groups!group=course"]).await;
    let path = format!("{COURSE}/users");
    let narrow = site.by_token(&narrow).json("POST", &path, carol).await;
    assert_eq!(narrow.status, StatusCode::FORBIDDEN, "{}", narrow.text);
    let clerk = role(&["groups!group=course", "list:users!group=course"], &["bob"], &[]);
    configure(&site, &[("clerk", clerk)]);
    // "added": the group's own model has no message.
    let reply = bob.json("POST", &path, carol).await;
    assert_eq!(reply.json()["users"], json!(["carol"]), "{}", reply.text);
}

#[tokio::test]
async fn services_and_the_proxy_answer_as_jupyterhub_does() {
    let site = site().await;
    let (root, alice) = (site.program("root_").await, site.program("alice").await);
    assert_eq!(root.get("/hub/api/services").await.json(), json!({}));
    assert_eq!(root.get("/hub/api/services/x").await.status, StatusCode::NOT_FOUND);
    assert_eq!(alice.get("/hub/api/services").await.status, StatusCode::FORBIDDEN);
    assert_eq!(alice.get("/hub/api/proxy").await.status, StatusCode::FORBIDDEN);
    // There is no proxy in this test.
    assert_eq!(root.get("/hub/api/proxy").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_token_of_the_page_has_the_scopes_that_were_asked_for() {
    let site = site().await;
    let alice = site.browser("alice").await;
    let make = async |scopes: &str| {
        let body = format!("_xsrf={}&note=fit&days=7&scopes={scopes}", alice.xsrf);
        alice.send("POST", "/hub/token", &[(CONTENT_TYPE.as_str(), FORM)], &body).await
    };
    let page = make("read:servers%21user+users:activity%21user").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let secret = page.text.split("berth_pat_").nth(1).unwrap().split('<').next().unwrap();
    let program = site.by_token(&format!("berth_pat_{secret}"));
    let scopes = program.get("/hub/api/user").await.json()["scopes"].clone();
    assert_eq!(
        scopes,
        json!([
            "read:servers!user=alice",
            "read:users:activity!user=alice",
            "read:users:groups!user=alice",
            "read:users:name!user=alice",
            "users:activity!user=alice"
        ])
    );
    assert!(alice.get("/hub/token").await.text.contains("read:servers!user users:activity!user"));
    for bad in ["nonsense", "read:servers%21user%3Dbob", "admin:users", "servers"] {
        assert_eq!(make(bad).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn a_servers_token_may_do_what_its_profile_says_as_far_as_its_owner_may() {
    let site = site().await;
    let gateway = "access:services!service=dask-gateway";
    let mut settings = site.hub.config().settings.clone();
    let profile = settings.profiles.get_mut("cpu").unwrap();
    profile.server_scopes = vec![gateway.into(), "admin:users".into()];
    site.hub.fleet.send(Event::SettingsChanged(Arc::new(settings))).await;
    let server = site.running("alice", "").await;
    let client = site.by_token(&site.server_token(&server));
    let holds = async |scope: &str| {
        let user = client.get("/hub/api/user").await.json();
        user["scopes"].as_array().unwrap().contains(&json!(scope))
    };
    assert!(!holds(gateway).await, "alice may not herself");
    configure(&site, &[("dask", role(&[gateway], &["alice"], &[]))]);
    assert!(holds(gateway).await);
    assert!(!holds("admin:users").await);
    configure(&site, &[]);
    assert!(!holds(gateway).await, "what is taken away is gone at once");
}
