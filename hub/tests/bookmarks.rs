//! Addresses that people have bookmarked or been sent, as they stand in a JupyterHub's world. A GET
//! starts nothing: one click does, and the way on is kept.

use axum::http::StatusCode;

use crate::site::{Client, FORM, Site, host};

/// nbgitpuller's link, as its generator writes it.
const PULL: &str = "git-pull?repo=https%3A%2F%2Fexample.org%2Fcourse&branch=main&urlpath=lab%2Ftree%2Fcourse%2Fa%20b.ipynb";

fn starts_nothing(site: &Site) {
    assert!(site.hub.fleet.fleet().servers.is_empty(), "a GET has started a server");
}

/// Presses the button of a page: its form's hidden fields as they stand there.
async fn press(person: &Client<'_>, page: &str) -> String {
    let mut forms = page.split("<form").skip(1).map(|form| form.split("</form>").next().unwrap());
    let form = forms.find(|form| form.contains("action=\"/hub/spawn")).unwrap();
    let part = |text: &str, name: &str| {
        let start = format!("{name}=\"");
        let value = text.split_once(&start).map_or("", |(_, rest)| rest.split('"').next().unwrap());
        value.replace("&amp;", "&").replace("&#38;", "&")
    };
    let inputs = form.split("<input").skip(1).map(|input| input.split('>').next().unwrap());
    let sent = inputs.filter(|input| input.contains("hidden") || input.contains(" checked"));
    let fields: Vec<_> = sent
        .map(|input| {
            let escape = |text: String| -> String {
                text.bytes().map(|byte| format!("%{byte:02X}")).collect()
            };
            format!("{}={}", part(input, "name"), escape(part(input, "value")))
        })
        .collect();
    let to = part(form, "action");
    let reply = person.send("POST", &to, &[("content-type", FORM)], &fields.join("&")).await;
    assert!(reply.status.is_redirection(), "{to} {fields:?}: {}", reply.text);
    reply.location().to_owned()
}

#[tokio::test]
async fn a_course_link_needs_one_click_and_leads_on() {
    let site = Site::new().await;
    let alice = site.browser("alice").await;
    // Before the login: the whole link is kept.
    let stranger = site.get(&format!("/hub/user-redirect/{PULL}")).await;
    assert_eq!(stranger.status, StatusCode::FOUND);
    assert!(stranger.location().contains("user-redirect/git-pull%3Frepo%3D"), "{stranger:?}");
    let short = alice.get(&format!("/user-redirect/{PULL}")).await;
    assert_eq!(short.location(), format!("/hub/user-redirect/{PULL}"));

    let link = alice.get(short.location()).await;
    assert_eq!(link.status, StatusCode::FOUND);
    let form = alice.get(link.location()).await;
    assert_eq!(form.status, StatusCode::OK, "{}", link.location());
    starts_nothing(&site);
    let next = press(&alice, &form.text).await;
    assert!(next.starts_with("/hub/spawn-pending/alice?next="), "{next}");
    assert_eq!(alice.get(&next).await.status, StatusCode::OK);
    site.make_ready("alice", "").await;
    let wanted = format!("/user/alice/{PULL}");
    assert_eq!(alice.get(&next).await.location(), wanted);
    // With a server that runs there is nothing to click.
    assert_eq!(alice.get(link.location()).await.location(), wanted);
}

#[tokio::test]
async fn a_spawn_link_fills_in_the_form() {
    let site = Site::new().await;
    let alice = site.browser("alice").await;
    let memory = |text: &str| {
        let inputs = text.split("<input").map(|input| input.split('>').next().unwrap());
        let mut inputs = inputs.filter(|input| input.contains("name=\"memory\""));
        let input = inputs.find(|input| input.contains(" checked")).unwrap();
        input.split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    for (query, expected) in [
        ("", "4G"),
        ("?memory=16G", "16G"),
        ("?opt-memory=16G", "16G"),
        // As in JupyterHub: where some options are marked, others are none.
        ("?memory=8G&opt-memory=16G", "16G"),
        ("?opt-profile=cpu&memory=16G", "4G"),
    ] {
        for path in ["/hub/spawn", "/hub/spawn/alice", "/hub/spawn/alice/n1"] {
            let form = alice.get(&format!("{path}{query}")).await;
            assert_eq!(form.status, StatusCode::OK, "{path}{query}");
            let found = memory(&form.text).replace(' ', "").replace("GiB", "G").replace("GB", "G");
            assert_eq!(found, expected, "{path}{query}");
        }
    }
    starts_nothing(&site);
    let form = alice.get("/hub/spawn/alice/n1?opt-memory=16G&next=/user/alice/n1/lab").await;
    assert_eq!(
        press(&alice, &form.text).await,
        "/hub/spawn-pending/alice/n1?next=/user/alice/n1/lab"
    );
    let server = site.server("alice", "n1");
    assert_eq!(server.ask.memory.0, 16 << 30);
    assert_eq!(alice.get("/hub/spawn/bob").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_stopped_server_says_so_to_people_and_to_programs() {
    let site = Site::new().await;
    let alice = site.browser("alice").await;
    let page = alice.get("/hub/user/alice/lab/tree/a.ipynb?x=1").await;
    assert_eq!(page.status, StatusCode::FAILED_DEPENDENCY);
    assert_eq!(page.header("content-type").split(';').next(), Some("text/html"));
    starts_nothing(&site);
    let next = press(&alice, &page.text).await;
    assert!(next.contains("spawn-pending/alice?next=/user/alice/lab/tree/a.ipynb"), "{next}");

    let bob = site.program("bob").await;
    for (method, path) in [
        ("GET", "/user/bob/api/contents"),
        ("PUT", "/user/bob/api/contents/a.ipynb"),
        ("GET", "/hub/user/bob/api/kernels"),
        ("DELETE", "/hub/user/bob/api/kernels/1"),
    ] {
        let reply = bob.json(method, path, "").await;
        assert_eq!(reply.status, StatusCode::FAILED_DEPENDENCY, "{method} {path}");
        let message = reply.message();
        assert!(message.starts_with("JupyterHub server no longer running at /user/bob/"));
        assert!(message.ends_with("/hub/spawn/bob"), "{message}");
    }
    let asked =
        alice.send("GET", "/hub/user/alice/lab", &[("accept", "application/json")], "").await;
    assert_eq!(asked.status, StatusCode::FAILED_DEPENDENCY);
    assert_eq!(asked.header("content-type"), "application/json");
}

#[tokio::test]
async fn the_other_pages_are_where_they_were() {
    let site = Site::new().await;
    host::serve_proxy(&site);
    let (alice, root) = (site.browser("alice").await, site.browser("root_").await);
    for path in ["/hub/home", "/hub/token", "/hub/spawn", "/hub/login"] {
        let reply = alice.get(path).await;
        let there = reply.status == StatusCode::OK || path == "/hub/login";
        assert!(there, "{path}: {}", reply.status);
    }
    assert_eq!(alice.get("/hub/admin").await.status, StatusCode::FORBIDDEN);
    assert_eq!(root.get("/hub/admin").await.status, StatusCode::OK);
    assert_eq!(site.get("/hub/health").await.status, StatusCode::OK);
    assert_eq!(root.get("/hub/metrics").await.status, StatusCode::OK);
    let out = alice.get("/hub/logout").await;
    assert!(out.status.is_redirection(), "{out:?}");
    assert_eq!(alice.get("/hub/home").await.status, StatusCode::FOUND);
    assert_eq!(alice.get("/hub/logout").await.location(), "/hub/login");
    starts_nothing(&site);
}
