//! Servers as cards, and at their own addresses once they are stopped.

use axum::http::StatusCode;
use axum::http::header::LOCATION;

use berth_common::link::{Ending, SpaceHealth};
use berth_common::{Reason, Timestamp};
use berth_core::settings::Mount;

use super::help;
use super::scene;
use super::site::{self, Answer, Site};
use crate::web::say;

/// Who runs goes on with what it was started with; that there is something newer is said.
#[tokio::test]
async fn a_newer_image_is_said_where_a_restart_gets_it() {
    let site = Site::busy().await;
    let says = "A newer image exists: restart to get it.";
    let paths = ["/hub/home".to_owned(), format!("/hub/servers/{}", site.server("alice", "").id)];
    for path in &paths {
        assert!(!site.get("alice", path).await.text().contains(says), "{path}");
    }
    site.change_settings(|settings| {
        settings.images.get_mut("py").unwrap().reference = "nb:py-2".into();
    })
    .await;
    for path in &paths {
        assert!(site.get("alice", path).await.text().contains(says), "{path}");
    }
    let old = "/hub/admin?q=outdated:yes+user:alice";
    assert!(site.get("erin", old).await.text().contains("1 of "), "those that run, too");
    let new = "/hub/admin?q=outdated:no+user:alice";
    let text = site.get("erin", new).await.text();
    assert!(text.contains("No server fits this filter."), "{text}");
}

#[tokio::test]
async fn cards_show_state_memory_and_how_it_ended() {
    let site = Site::busy().await;
    let text = site.get("alice", "/hub/home").await.text();
    for fact in
        ["My server running", "CPU 4 GB on wn", "1.5 GB of memory used limit 4 GB", "Open", "Stop"]
    {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    let text = site.get("dave", "/hub/home").await.text();
    for fact in [
        "ended",
        "The server used all its memory and was ended.",
        "python reached 2 GB",
        "Start it again with more memory.",
        "stopped.oom",
        "Start again like this",
    ] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
}

#[tokio::test]
async fn a_killed_process_and_another_limit_are_on_the_card() {
    let site = Site::busy().await;
    let id = site.server("alice", "").id.clone();
    site.out_of_memory("alice", "").await;
    let text = site.get("alice", "/hub/home").await.text();
    for fact in [
        "Out of memory. python3 (notebook fit.ipynb) was killed: the server had used all its 4 GB",
        "the server runs on",
        "Change its memory",
    ] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    let action = format!("/hub/servers/{id}/memory");
    let answer = site.post("alice", &action, "memory=8+GB").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let text = site.get("alice", "/hub/home").await.text();
    assert!(text.contains("Its memory is being changed to 8 GB."), "{text}");
    for (memory, why) in [
        ("8", "write an amount, e.g. 512 MB or 16 GB"),
        ("16+GB", "It is being given 8 GB already."),
    ] {
        let answer = site.post("alice", &action, &format!("memory={memory}")).await;
        assert_eq!(answer.status, StatusCode::CONFLICT);
        let text = answer.text();
        assert!(text.contains("The memory stays as it is") && text.contains(why), "{text}");
    }
}

/// A watched space, shown inside under its own path.
fn space(name: &str) -> Mount {
    let path = format!("/{name}");
    Mount {
        name: name.to_owned(),
        source: path.clone(),
        target: path.clone(),
        read_only: false,
        follows: false,
        required: false,
        only_if_exists: false,
        for_each_group: false,
        env: Default::default(),
        shown: None,
        probe: Some(path),
        profiles: Vec::new(),
        cite: Default::default(),
    }
}

fn health(name: &str, trouble: Option<Reason>) -> SpaceHealth {
    let trouble = trouble.map(|reason| Ending { reason, detail: String::new() });
    SpaceHealth { name: name.to_owned(), trouble, since: Timestamp(0), took: None }
}

#[tokio::test]
async fn a_fold_tells_how_a_start_went_and_where_to_go_on() {
    let site = Site::busy().await;
    site.change_settings(|settings| {
        settings.mounts.mounts = ["sps", "data", "old"].map(space).into();
    })
    .await;
    help::offer(&site, "mailto:help@example.org");
    let server = site.server("alice", "");
    let host = server.placement().unwrap().host.clone();
    let watched = vec![health("sps", None), health("data", Some(Reason::MountSick))];
    site.finds(host.as_str(), watched).await;
    let page = site.get("alice", "/hub/home").await;
    let fold = |page: &Answer| {
        let (_, fold) = page.body.split_once("<details id=\"details-").unwrap();
        Answer { body: fold.split("</details>").next().unwrap().to_owned(), ..page.clone() }
    };
    let (open, text) = (fold(&page), fold(&page).text());
    let mut rest = text.as_str();
    let placed = format!("Placed on {host}");
    let sick = say::reason(Reason::MountSick);
    for fact in [
        "Details",
        "Asked for",
        &placed,
        "Container started, 2.0 s after that",
        "It answers",
        "Python 3.13",
        "/sps sps usable",
        &format!("/data data {sick}"),
        // Nobody watches it.
        "/old old Ask for the same again",
        "Report a problem",
    ] {
        let (_, after) = rest.split_once(fact).unwrap_or_else(|| panic!("{fact:?} in:\n{text}"));
        rest = after;
    }
    assert!(!text.contains("Image present"), "short: {text}");
    for link in [
        "href=\"/hub/spawn?opt-profile=cpu&#38;opt-memory=4G&#38;opt-image=py\"".to_owned(),
        format!("href=\"/hub/servers/{}\"", server.id),
        "href=\"mailto:help@example.org".to_owned(),
    ] {
        assert!(open.body.contains(&link), "{link}: {}", open.body);
    }
    assert!(!text.contains("a newer one exists"), "{text}");
    site.change_settings(|settings| {
        settings.images.get_mut("py").unwrap().reference = "nb:py-2".into();
    })
    .await;
    let text = fold(&site.get("alice", "/hub/home").await).text();
    assert!(text.contains("Python 3.13 a newer one exists"), "{text}");
    // What has ended says on the card itself how, and where to get help.
    let page = site.get("dave", "/hub/home").await;
    assert!(!page.body.contains("<details id=\"details-"), "{}", page.body);
}

#[tokio::test]
async fn cards_show_gpus_and_the_highest_use() {
    let site = scene::scene().await;
    let text = site.get("alice", "/hub/home").await.text();
    for fact in [
        "1 GB of memory used at most 3 GB so far · limit 4 GB",
        "2 GPUs, Tesla K80",
        "GPU Tesla K80: 72 % busy 5 GB of 12 GB used",
        "GPU Tesla K80: 0 % busy",
    ] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
}

#[tokio::test]
async fn nobody_acts_on_somebody_elses_server() {
    let site = Site::busy().await;
    let id = site.server("alice", "").id.clone();
    for action in ["stop", "start", "remove", "memory"] {
        let answer = site.post("bob", &format!("/hub/servers/{id}/{action}"), "").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{action}");
    }
    for path in [
        "/hub/spawn/alice",
        "/hub/spawn-pending/alice",
        "/hub/user/alice/lab",
        &format!("/hub/live/servers/{id}"),
    ] {
        assert_eq!(site.get("bob", path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert!(site.server("alice", "").is_ready());
}

#[tokio::test]
async fn a_stopped_server_at_its_own_address() {
    let site = Site::busy().await;
    let at = |path: &'static str| site.get("dave", path);
    let page = at("/hub/user/dave/lab/tree/x?y=1").await;
    assert_eq!(page.status, StatusCode::FAILED_DEPENDENCY);
    assert!(
        page.body.contains("name=\"next\" value=\"/user/dave/lab/tree/x?y=1\""),
        "{}",
        page.body
    );
    assert!(
        page.text().contains("Server not running")
            && page.text().contains("The server used all its memory")
    );
    let api = at("/hub/user/dave/api/contents").await;
    assert_eq!(api.status, StatusCode::FAILED_DEPENDENCY);
    assert_eq!(
        api.body,
        format!(
            r#"{{"message":"JupyterHub server no longer running at /user/dave/api/contents. Restart the server at {}/hub/spawn/dave"}}"#,
            site::PUBLIC_URL
        )
    );
    let page = at("/user/dave/lab?x=1").await;
    assert_eq!(
        (page.status, page.headers[LOCATION].to_str().unwrap()),
        (StatusCode::FOUND, "/hub/user/dave/lab?x=1")
    );
    let page = at("/user/dave").await;
    assert_eq!(page.headers[LOCATION], "/user/dave/");
    let api = site.post_raw("", "/user/dave/api/sessions", "x=1").await;
    assert_eq!(api.status, StatusCode::FAILED_DEPENDENCY);
    let stranger = site.get("", "/hub/user/dave/lab").await;
    assert_eq!(stranger.headers[LOCATION], "/hub/login?next=/hub/user/dave/lab");
    let running = site.get("alice", "/hub/user/alice/lab?x=1").await;
    assert_eq!(running.headers[LOCATION], "/user/alice/lab?x=1&redirects=1");
    let lost = site.get("alice", "/hub/user/alice/lab?redirects=4").await;
    assert_eq!(lost.status, StatusCode::INTERNAL_SERVER_ERROR);
    let home = site.get("", "/").await;
    assert_eq!(home.headers[LOCATION], "/hub/home");
    let link = at("/hub/user-redirect/lab/tree/a.ipynb?b=1").await;
    assert_eq!(link.headers[LOCATION], "/hub/spawn/dave?next=/user/dave/lab/tree/a.ipynb%3Fb%3D1");
}

#[tokio::test]
async fn a_server_that_has_ended_keeps_the_history_of_its_start() {
    let site = Site::busy().await;
    let server = site.server("dave", "");
    assert!(!server.is_active());
    let page = site.get("dave", &format!("/hub/servers/{}", server.id)).await;
    let text = page.text();
    let mut rest = text.as_str();
    let host = server.last_host.as_ref().unwrap();
    let placed = format!("Placed on {host}");
    for fact in [
        "What happened to it",
        &placed,
        "Image present, 0.5 s after that",
        "Container started, 2.0 s after that",
        "It answers",
        "It ended",
    ] {
        let (_, after) = rest.split_once(fact).unwrap_or_else(|| panic!("{fact:?} in:\n{text}"));
        rest = after;
    }
    for id in ["id=\"start-1\"", "id=\"end-1\""] {
        assert!(page.body.contains(id), "{id}: {}", page.body);
    }
    // A newer start takes its place.
    site.post("dave", &format!("/hub/servers/{}/start", server.id), "").await;
    let page = site.get("dave", &format!("/hub/servers/{}", server.id)).await;
    let (newer, older) = ("id=\"start-2\"", "id=\"start-1\"");
    assert!(page.body.contains(newer) && !page.body.contains(older), "{}", page.body);
}

#[tokio::test]
async fn cards_of_ended_servers_stay_as_long_as_the_site_says() {
    let site = Site::busy().await;
    let server = site.server("dave", "");
    let card = format!("/hub/servers/{}", server.id);
    let is_shown = async |kept: &str| {
        site.change_file("hub.toml", |text| {
            format!("{}{kept}", text.split("[keep]").next().unwrap_or_default())
        });
        crate::reload::reload(&site.hub).await.unwrap();
        site.get("dave", "/hub/home").await.body.contains(&card)
    };
    assert!(!server.is_active() && is_shown("").await);
    assert!(is_shown("[keep]\nended_cards = \"1h\"\n").await);
    assert!(!is_shown("[keep]\nended_cards = \"0s\"\n").await);
    assert_eq!(site.status("dave", &card).await, StatusCode::OK, "its page stays");
    let other = format!("/hub/servers/{}", site.server("alice", "").id);
    assert!(site.get("alice", "/hub/home").await.body.contains(&other), "what runs stays");
}
