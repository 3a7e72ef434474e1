//! Who helps others sees servers, hosts, the queue, people and how the site is, by a role; and of the
//! buttons there those that the role's scopes allow.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::StatusCode;
use berth_core::ServerState;
use berth_core::settings::People;

use super::site::Site;
use crate::auth::Right;
use crate::config::Config;
use crate::config::roles::{Role, Roles};

/// Gives bob a role with these scopes and no other.
fn give_bob(site: &Site, scopes: &[&str]) {
    let role = Role {
        description: String::new(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        people: People {
            users: BTreeSet::from(["bob".parse().unwrap()]),
            groups: BTreeSet::new(),
            except_users: BTreeSet::new(),
        },
        services: BTreeSet::new(),
        cite: Default::default(),
    };
    let mut config = Config::clone(&site.hub.config());
    config.people.roles = Roles([("support".to_owned(), role)].into());
    site.hub.config.store(Arc::new(config));
}

/// As the documentation writes it.
const SUPPORT: [&str; 5] =
    ["read:servers", "read:hub", "list:users", "read:users", "read:roles:users"];

/// In the menu of who helps.
const OFFERED: [&str; 5] = [
    "/hub/admin",
    "/hub/admin/hosts",
    "/hub/admin/queue",
    "/hub/admin/people",
    "/hub/admin/health",
];

/// Where only administrators get.
const NOT_OFFERED: [&str; 8] = [
    "/hub/admin/floor",
    "/hub/admin/config",
    "/hub/admin/usage",
    "/hub/admin/audit",
    "/hub/admin/notices",
    "/hub/admin/servers/",
    "/hub/admin/hosts/wn1/drain",
    "href=\"/hub/trainings",
];

#[tokio::test]
async fn who_helps_sees_all_of_it_and_finds_no_button() {
    let site = Site::busy().await;
    let order = "intent=cordoned&reason=new+disks";
    site.post("erin", "/hub/admin/hosts/wn1/intent", order).await;
    give_bob(&site, &SUPPORT);
    let mut paths: Vec<String> = OFFERED.map(str::to_owned).into();
    paths.extend(
        [
            "/hub/admin/hosts/wn1",
            "/hub/admin/pools/cpu",
            "/hub/admin/images/py",
            "/hub/admin/people/alice",
            "/hub/admin/people/alice/home",
        ]
        .map(str::to_owned),
    );
    for server in site.hub.fleet.fleet().servers.values() {
        paths.push(format!("/hub/servers/{}", server.id));
        let path = super::super::words::server_path(&server.owner, &server.name);
        paths.push(format!("/hub/spawn-pending/{path}"));
        paths.extend(server.decision.as_ref().map(|id| format!("/hub/decisions/{id}?again=yes")));
    }
    for path in paths {
        let page = site.get("bob", &path).await;
        if page.status == StatusCode::FOUND {
            // To a server that answers, where the hub asks who is coming.
            continue;
        }
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text());
        for offered in OFFERED {
            assert!(page.body.contains(&format!("href=\"{offered}\"")), "{path}: {offered}");
        }
        for not_offered in NOT_OFFERED {
            assert!(!page.body.contains(not_offered), "{path}: {not_offered}");
        }
        // Buttons of a home that is only looked at are switched off.
        if !path.ends_with("/home") {
            let forms = page.body.matches("method=\"post\"").count();
            assert_eq!(forms, 1, "the log-out alone: {path}: {}", page.body);
        }
    }
}

#[tokio::test]
async fn a_button_that_is_not_shown_does_nothing_either() {
    let site = Site::busy().await;
    give_bob(&site, &SUPPORT);
    let alice = site.server("alice", "").id.clone();
    let dave = site.server("dave", "").id.clone();
    let acts = [
        (format!("/hub/servers/{alice}/stop"), String::new()),
        (format!("/hub/servers/{alice}/restart"), String::new()),
        (format!("/hub/servers/{alice}/extend"), String::new()),
        (format!("/hub/servers/{alice}/memory"), "memory=2G".to_owned()),
        (format!("/hub/servers/{dave}/start"), String::new()),
        (format!("/hub/servers/{dave}/remove"), String::new()),
        ("/hub/spawn/dave".to_owned(), "profile=cpu".to_owned()),
        ("/hub/admin/servers/stop".to_owned(), format!("id={alice}")),
        ("/hub/admin/servers/extend".to_owned(), format!("id={alice}")),
        ("/hub/admin/servers/notify".to_owned(), format!("id={alice}&text=hello")),
        ("/hub/admin/hosts/wn1/intent".to_owned(), "intent=cordoned&reason=x".to_owned()),
        ("/hub/admin/notices".to_owned(), "to=all&en=hello".to_owned()),
        ("/hub/admin/config/reload".to_owned(), String::new()),
        ("/hub/admin/config/rollback".to_owned(), String::new()),
        ("/hub/admin/config/replay".to_owned(), String::new()),
    ];
    let before = site.hub.fleet.fleet();
    for (path, form) in acts {
        let status = site.post("bob", &path, &form).await.status;
        let refused = [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&status);
        assert!(refused, "{path}: {status}");
    }
    let after = site.hub.fleet.fleet();
    assert_eq!(before.servers, after.servers);
    let host = "wn1".parse().unwrap();
    assert_eq!(before.hosts[&host].intent, after.hosts[&host].intent);
    assert!(!site.get("alice", "/hub/home").await.text().contains("hello"));
}

#[tokio::test]
async fn each_scope_brings_its_button_and_no_other() {
    let site = Site::busy().await;
    let alice = site.server("alice", "").id.clone();
    let path = format!("/hub/servers/{alice}");
    let has = async |id: &str| site.get("bob", &path).await.body.contains(&format!("id=\"{id}\""));
    give_bob(&site, &["read:servers", "start:servers"]);
    assert!(!has("stop").await && !has("restart").await && !has("open").await);
    assert!(has(&format!("resize-{alice}")).await);
    let refused = site.post("bob", &format!("{path}/stop"), "").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text().contains("delete:servers"), "{}", refused.text());

    give_bob(&site, &["read:servers", "delete:servers", "access:servers"]);
    assert!(has("stop").await && has("open").await && !has("restart").await);
    assert!(!has(&format!("resize-{alice}")).await);
    let table = site.get("bob", "/hub/admin").await.body;
    assert!(table.contains("/hub/admin/servers/stop") && !table.contains("/servers/extend"));
    site.post("bob", &format!("{path}/stop"), "").await;
    let fleet = site.hub.fleet.fleet();
    let state = fleet.server_state(&site.server("alice", ""), berth_process::clock::now());
    assert_eq!(state, ServerState::Stopping);
}

#[tokio::test]
async fn a_right_takes_all_its_scopes_over_everything() {
    let site = Site::busy().await;
    let pages = [
        ("/hub/admin", Right::SeeServers),
        ("/hub/admin/hosts", Right::SeeHosts),
        ("/hub/admin/people", Right::SeePeople),
        ("/hub/admin/health", Right::SeeHealth),
    ];
    for (path, right) in pages {
        give_bob(&site, right.scopes());
        assert_eq!(site.get("bob", path).await.status, StatusCode::OK, "{path}");
        let mut narrow: Vec<_> = right.scopes().iter().map(|it| (*it).to_owned()).collect();
        narrow[0].push_str("!user=alice");
        give_bob(&site, &narrow.iter().map(String::as_str).collect::<Vec<_>>());
        let refused = site.get("bob", path).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
        let text = refused.text();
        assert!(right.scopes().iter().all(|scope| text.contains(scope)), "{text}");
    }
    give_bob(&site, &["read:hub"]);
    let home = site.get("bob", "/hub/home").await.body;
    assert!(home.contains("/hub/admin/health") && !home.contains("/hub/admin/hosts"));
}
