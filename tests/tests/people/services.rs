//! JupyterHub's own test service, unchanged from its wheel and with `HubAuth` and `HubOAuth` of both
//! majors: the hub starts it, people reach it through the proxy.

use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::Value;

use crate::browser::{Browser, Page};
use crate::parts::{Hub, Program, free_port, from_run, program};

const PASSWORD: &str = "correct horse battery";

/// Hub and proxy, with the service, and with alice who may use it and bob who may not.
struct Site {
    // The proxy ends first; the hub is asked to, so that the service ends with it.
    _proxy: Program,
    hub: Hub,
    url: String,
}

impl Site {
    async fn start(jupyterhub: &str) -> Self {
        let url = Hub::address();
        let listen = Hub::address();
        let python = from_run("BERTH_PEOPLE").join(format!("jupyterhub-{jupyterhub}/bin/python"));
        assert!(python.exists(), "{}: start these tests by tests/run people", python.display());
        let services = format!(
            "version = 1\n[service.mock]\nurl = \"http://127.0.0.1:{}\"\n\
             command = [\"{}\", \"-m\", \"jupyterhub.tests.mockservice\"]\n",
            free_port(),
            python.display()
        );
        let roles = "version = 1\n[role.readers]\nscopes = [\"access:services!service=mock\"]\n\
                     users = [\"alice\"]\n";
        let files = [("services.toml", services.as_str()), ("roles.toml", roles)];
        let hub = Hub::behind(&url, &listen, &files);
        let folder = hub.path().display();
        let settings = format!(
            "version = 1\nlisten = [\"{}\"]\nhub = \"{listen}\"\napi = \"unix:{folder}/proxy.sock\"\n\
             state = \"{folder}/proxy\"\ncredentials = \"{folder}/state/proxy\"\n",
            url.trim_start_matches("http://")
        );
        let path = hub.path().join("proxy.toml");
        std::fs::write(&path, settings).unwrap();
        let mut command = Command::new(program("berth-proxy"));
        command.arg("--config").arg(&path);
        let site = Self { _proxy: Program::run(&mut command), hub, url };
        for (name, uid) in [("alice", 20_001), ("bob", 20_002)] {
            let body = format!(
                "{{\"name\":\"{name}\",\"uid\":{uid},\"gid\":{uid},\"password\":\"{PASSWORD}\"}}"
            );
            let (status, answer) = site.hub.admin("POST", "/hub/api/berth/users", &body).await;
            assert_eq!(status, 201, "{answer}");
        }
        let echo = site.at("echo");
        site.until("the service answers through the proxy", async || {
            reqwest::get(&echo).await.is_ok_and(|reply| reply.status() == StatusCode::OK)
        })
        .await;
        site
    }

    fn at(&self, path: &str) -> String {
        format!("{}/services/mock/{path}", self.url)
    }

    async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !is_so().await {
            assert!(Instant::now() < end, "never: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Fills in the login form to which a page of the service has led.
    async fn log_in(&self, browser: &Browser, path: &str, name: &str) -> Page {
        let form = browser.open(&self.at(path)).await;
        assert!(form.url.starts_with(&format!("{}/hub/login?next=", self.url)), "{form:?}");
        let (xsrf, next) = (form.field("_xsrf"), form.field("next"));
        let fields =
            [("username", name), ("password", PASSWORD), ("_xsrf", &xsrf), ("next", &next)];
        let page = browser.post(&format!("{}/hub/login", self.url), &fields).await;
        browser.follow(page).await
    }

    /// An API token of somebody.
    async fn token(&self, name: &str) -> String {
        let path = format!("/hub/api/users/{name}/tokens");
        let (status, answer) = self.hub.admin("POST", &path, "{}").await;
        assert_eq!(status, 201, "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    }

    async fn pid(&self) -> u64 {
        let (_, model) = self.hub.admin("GET", "/hub/api/services/mock", "").await;
        model["pid"].as_u64().unwrap()
    }
}

/// What the service says about its visitor.
fn shown(page: &Page) -> Value {
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    serde_json::from_str(&page.text).unwrap_or_else(|error| panic!("{error}: {page:?}"))
}

async fn a_day_with_a_service(jupyterhub: &str) {
    let site = Site::start(jupyterhub).await;

    // HubOAuth: login, consent, and back at the page that was asked for.
    let alice = Browser::new();
    let consent = site.log_in(&alice, "owhoami/?x=1", "alice").await;
    assert_eq!(consent.status, StatusCode::OK);
    assert!(consent.text.contains("<h1>Log in to mock</h1>"), "{consent:?}");
    let sends_pkce = consent.url.contains("code_challenge_method=S256");
    assert_eq!(sends_pkce, jupyterhub.starts_with('6'), "{}", consent.url);
    let xsrf = consent.field("_xsrf");
    let scopes = consent.text.split("name=\"scopes\" value=\"").skip(1);
    let mut fields: Vec<_> =
        scopes.map(|rest| ("scopes", rest.split('"').next().unwrap())).collect();
    fields.push(("_xsrf", &xsrf));
    let page = alice.post(&consent.url, &fields).await;
    let page = alice.follow(page).await;
    assert_eq!(page.url, site.at("owhoami/?x=1"));
    assert_eq!(shown(&page)["name"], "alice");
    let again = alice.get(&site.at("owhoami/")).await;
    assert_eq!(shown(&again)["name"], "alice", "no redirect: it knows her");

    // Who lacks the scope gets no further than the hub.
    let bob = Browser::new();
    let refused = site.log_in(&bob, "owhoami/", "bob").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
    assert!(refused.text.contains("You may not use mock"), "{refused:?}");

    // HubAuth: programs show their tokens.
    let client = reqwest::Client::new();
    for (name, status) in [("alice", StatusCode::OK), ("bob", StatusCode::FORBIDDEN)] {
        let token = site.token(name).await;
        let call = client.get(site.at("whoami/")).header("Authorization", format!("token {token}"));
        let reply = call.send().await.unwrap();
        assert_eq!(reply.status(), status, "{name}: {}", reply.text().await.unwrap());
    }

    // Killed, it comes back, and knows her still.
    let first = site.pid().await;
    let killed = Command::new("kill").args(["-9", &first.to_string()]).status();
    assert!(killed.unwrap().success());
    site.until("another process", async || ![0, first].contains(&site.pid().await)).await;
    let echo = site.at("echo");
    site.until("the service answers again", async || {
        reqwest::get(&echo).await.is_ok_and(|reply| reply.status() == StatusCode::OK)
    })
    .await;

    // Logout at the hub is logout at the service.
    let home = alice.open(&format!("{}/hub/token", site.url)).await;
    let logout = format!("{}/hub/logout", site.url);
    alice.post(&logout, &[("_xsrf", &home.field("_xsrf"))]).await;
    let after = alice.open(&site.at("owhoami/")).await;
    assert!(after.url.starts_with(&format!("{}/hub/login?next=", site.url)), "{after:?}");

    let last = site.pid().await;
    drop(site);
    assert!(!std::path::Path::new(&format!("/proc/{last}")).exists(), "it ends with the hub");
}

#[tokio::test]
async fn the_service_of_jupyterhub_5() {
    a_day_with_a_service("5.5.4").await;
}

#[tokio::test]
async fn the_service_of_jupyterhub_6() {
    a_day_with_a_service("6.1.1").await;
}
