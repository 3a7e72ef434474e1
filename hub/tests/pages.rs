//! Every page is tried by nobody, by the wrong person and by the right one. A page of which
//! `web/spec/pages.rs` does not say whom it is for fails here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{Method, Request, StatusCode};
use berth_common::{ByteCount, Seconds};
use berth_core::settings::{People, Profile, Training, Window};
use berth_hub::agenda;
use berth_hub::auth::Right;
use berth_hub::config::Config;
use berth_hub::config::roles::{Role, Roles};
use berth_hub::web::page_paths;
use berth_hub::web::spec::{PAGES, Page, Who};
use berth_process::clock::now;
use tower::ServiceExt;

use crate::site::{Client, FORM, Site, host};

/// What dana may see of what is not hers.
const SEES: [Right; 4] = [Right::SeeServers, Right::SeeHosts, Right::SeePeople, Right::SeeHealth];

/// Alice has servers and teaches carol, root_ is an administrator, dana helps people, bob has nothing
/// to do with any of it.
async fn site() -> Site {
    let site = Site::new().await;
    host::serve_proxy(&site);
    site.add_user("carol", 1_010, false).await;
    site.add_user("dana", 1_011, false).await;
    let mut config = Config::clone(&site.hub.config());
    let support = Role {
        description: String::new(),
        scopes: SEES.iter().flat_map(|it| it.scopes()).map(|it| (*it).to_owned()).collect(),
        people: People { users: BTreeSet::from(["dana".parse().unwrap()]), ..People::default() },
        services: BTreeSet::new(),
        cite: Default::default(),
    };
    config.people.roles = Roles([("support".to_owned(), support)].into());
    let settings = &mut config.settings;
    // Small servers, so that there is room for one a page.
    let small = ByteCount(256 << 20);
    let cpu = settings.profiles.get_mut("cpu").unwrap();
    (cpu.memory_default, cpu.memory_choices) = (small, vec![small]);
    let cpu = cpu.clone();
    settings.profiles.insert("school".into(), Profile { training: Some("school".into()), ..cpu });
    let school = Training {
        title: "School".into(),
        pool: "cpu".into(),
        windows: vec![Window { from: now(), to: now().plus(Seconds(3_600)) }],
        participants: People {
            users: BTreeSet::from(["carol".parse().unwrap()]),
            ..People::default()
        },
        expected: 1,
        instructors: BTreeSet::from(["alice".parse().unwrap()]),
        quota: Default::default(),
        stop_after: Seconds(60),
        start_within: Seconds(60),
        cite: Default::default(),
    };
    settings.trainings.insert("school".into(), school);
    settings.quotas.default.servers = None;
    site.hub.config.store(Arc::new(config));
    agenda::put_in_force(&site.hub).await;
    site.settle().await;
    site
}

/// The status and the target of an answer, whose body may have no end.
async fn ask(site: &Site, who: Option<&Client<'_>>, method: &Method, path: &str) -> (u16, String) {
    let mut request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, FORM);
    for (name, value) in who.iter().flat_map(|who| &who.headers) {
        request = request.header(name, value);
    }
    let xsrf = who.map_or("", |who| who.xsrf.as_str());
    let body = if method == Method::POST {
        format!(
            "_xsrf={xsrf}&reason=asked+for&memory=256M&note=x&days=1&text=x&order=close&intent=open"
        )
    } else {
        String::new()
    };
    let request = request.body(Body::from(body)).unwrap();
    let answer = site.router.clone().oneshot(request).await.unwrap();
    let target = answer.headers().get(LOCATION);
    let target = target.map(|target| target.to_str().unwrap().to_owned()).unwrap_or_default();
    (answer.status().as_u16(), target)
}

/// The ways in which a page can be asked.
async fn methods(site: &Site, path: &str) -> Vec<Method> {
    let request = Request::builder().method("TRACE").uri(path).body(Body::empty()).unwrap();
    let reply = site.send(request).await;
    if reply.status != StatusCode::METHOD_NOT_ALLOWED {
        return vec![Method::GET];
    }
    let allowed = reply.header("allow").split(',').filter(|method| *method != "HEAD");
    allowed.map(|method| method.parse().unwrap()).collect()
}

/// Alice's server, running under a new name, so that no page meets what another one has done.
async fn filled(site: &Site, page: &Page, number: usize) -> String {
    let name = format!("n{number}");
    let mut values = BTreeMap::from([
        ("{code}", "404".to_owned()),
        ("{file}", "berth.css".to_owned()),
        ("{host}", "wn1".to_owned()),
        ("{name}", "school".to_owned()),
        ("{act}", "stop".to_owned()),
        ("{*name}", "hosts.toml".to_owned()),
        ("{*path}", "alice/lab".to_owned()),
        ("{user}", "alice".to_owned()),
        ("{server}", name.clone()),
    ]);
    let settings = &site.hub.fleet.fleet().settings;
    values.insert("{pool}", "cpu".to_owned());
    values.insert("{image}", settings.images.keys().next().cloned().unwrap_or_default());
    values.insert("{version}", settings.version.to_string());
    if page.path.starts_with("/hub/trainings/") {
        values.insert("{user}", "carol".to_owned());
    }
    if page.path == "/hub/token/{id}/revoke" {
        site.token("alice", &["inherit"]).await;
        let alice = "alice".parse().unwrap();
        let tokens = site.hub.storage.read(|reader| reader.tokens_of(&alice)).unwrap();
        values.insert("{id}", tokens.last().unwrap().id.to_string());
    } else if page.path == "/hub/admin/audit/{id}" {
        values.insert("{id}", "1".to_owned());
    } else if page.path.contains("/notices/") {
        let root = site.program("root_").await;
        let body = r#"{"en": "The farm rests tonight."}"#;
        let notice = root.json("POST", "/hub/api/berth/site-notices", body).await.json();
        values.insert("{id}", notice["notice"]["id"].to_string());
    } else if page.path.contains("{id}") {
        let server = site.running("alice", &name).await;
        let decision = server.decision.as_ref().unwrap().to_string();
        let is_decision = page.path.starts_with("/hub/decisions");
        let id = if is_decision { decision } else { server.id.to_string() };
        values.insert("{id}", id);
    }
    let fill = |path: String, (name, value): (&&str, &String)| path.replace(*name, value);
    values.iter().fold(page.path.to_owned(), fill)
}

#[tokio::test]
async fn every_page_says_whom_it_is_for() {
    let declared: BTreeSet<_> = PAGES.iter().map(|page| page.path).collect();
    assert_eq!(declared.len(), PAGES.len(), "a page stands twice in web/spec/pages.rs");
    let routes: BTreeSet<_> = page_paths().into_iter().collect();
    let undeclared: Vec<_> = routes.difference(&declared).collect();
    let gone: Vec<_> = declared.difference(&routes).collect();
    assert!(undeclared.is_empty(), "say in web/spec/pages.rs whom they are for: {undeclared:?}");
    assert!(gone.is_empty(), "no longer there: {gone:?}");
}

#[tokio::test]
async fn every_page_is_refused_to_the_wrong_people_and_shown_to_the_right_ones() {
    let site = site().await;
    let alice = site.browser("alice").await;
    let bob = site.browser("bob").await;
    let root = site.browser("root_").await;
    let tried = async {
        for (number, page) in PAGES.iter().enumerate() {
            for method in methods(&site, &filled(&site, page, number).await).await {
                let path = filled(&site, page, number).await;
                let shown = format!("{method} {path}, {:?}", page.who);
                let by = async |who| ask(&site, who, &method, &path).await;
                // Nobody.
                let (status, target) = by(None).await;
                assert!(status < 500, "{shown} by nobody: {status}");
                if page.who != Who::Everybody {
                    let to_login = status == 302 && target.starts_with("/hub/login");
                    assert!(to_login, "{shown} by nobody: {status} {target}");
                }
                // The wrong person.
                let wrong = match page.who {
                    Who::Everybody | Who::Person => None,
                    Who::Owner | Who::Instructor => Some(&bob),
                    Who::Holder(_) | Who::Administrator => Some(&alice),
                };
                let mut refusal = None;
                if let Some(wrong) = wrong {
                    let (status, _) = by(Some(wrong)).await;
                    assert!(matches!(status, 403 | 404), "{shown} by the wrong person: {status}");
                    refusal = Some(status);
                }
                // The right one, without the token that only our own pages have.
                let fresh;
                let right = match page.who {
                    // Some of these end the login.
                    Who::Everybody => {
                        fresh = site.browser("alice").await;
                        &fresh
                    }
                    Who::Person | Who::Owner | Who::Instructor => &alice,
                    Who::Holder(_) | Who::Administrator => &root,
                };
                if method == Method::POST && page.who != Who::Everybody {
                    let mut tricked = site.by_token("");
                    tricked.headers.clone_from(&right.headers);
                    let (status, _) = ask(&site, Some(&tricked), &method, &path).await;
                    assert_eq!(status, 403, "{shown} without the token");
                }
                let (status, target) = by(Some(right)).await;
                assert!(status < 500, "{shown} by the right one: {status}");
                if page.who != Who::Everybody {
                    let refused = matches!(status, 401 | 403) || target.starts_with("/hub/login");
                    let refused = refused || Some(status) == refusal;
                    assert!(!refused, "{shown} by the right one: {status} {target}");
                }
            }
        }
    };
    tokio::select! {
        () = tried => {}
        () = host::work(&site) => unreachable!("the host works for ever"),
    }
}

/// What is somebody's own, and shown to whoever sees all servers.
const SHOWN: [&str; 8] = [
    "/hub/decisions/{id}",
    "/hub/live/log/{id}",
    "/hub/live/server/{id}",
    "/hub/live/servers/{id}",
    "/hub/servers/{id}",
    "/hub/spawn-pending/{user}",
    "/hub/spawn-pending/{user}/{server}",
    "/hub/user/{*path}",
];

#[tokio::test]
async fn who_helps_people_looks_and_changes_nothing_of_theirs() {
    let site = site().await;
    let dana = site.browser("dana").await;
    let about_others = |page: &&Page| !matches!(page.who, Who::Everybody | Who::Person);
    let tried = async {
        for (number, page) in PAGES.iter().enumerate().filter(|(_, page)| about_others(page)) {
            let path = filled(&site, page, number).await;
            for method in methods(&site, &path).await {
                let (status, target) = ask(&site, Some(&dana), &method, &path).await;
                let shown = format!("{method} {path}, {:?}: {status} {target}", page.who);
                let sees = match page.who {
                    Who::Holder(right) => SEES.contains(&right),
                    Who::Owner => SHOWN.contains(&page.path),
                    _ => false,
                };
                let refused = matches!(status, 403 | 404) || target.starts_with("/hub/login");
                if method == Method::GET && sees {
                    // Of some of them there is none of that name.
                    assert!(!refused || status == 404 && page.who != Who::Owner, "{shown}");
                } else {
                    assert!(matches!(status, 403 | 404), "{shown}");
                }
            }
        }
        let fleet = site.hub.fleet.fleet();
        assert!(fleet.servers.values().all(|server| server.is_active()), "they run on");
    };
    tokio::select! {
        () = tried => {}
        () = host::work(&site) => unreachable!("the host works for ever"),
    }
}
