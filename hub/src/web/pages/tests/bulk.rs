//! The filter of the table of servers, and acts on all that it leaves.

use axum::http::StatusCode;
use berth_core::ServerState;
use berth_store::Acts;

use super::site::Site;

async fn found(site: &Site, filter: &str) -> String {
    let filter = filter.replace('>', "%3E").replace('<', "%3C").replace(' ', "+");
    site.get("erin", &format!("/hub/admin?q={filter}")).await.text()
}

#[tokio::test]
async fn conditions_leave_the_servers_that_fulfil_them() {
    let site = Site::busy().await;
    let text = found(&site, "user:alice state:running").await;
    assert!(text.contains("1 of "), "{text}");
    for nothing in ["user:alice pool:gpu", "user:alice idle:>12h", "user:alice mem:>4G"] {
        let text = found(&site, nothing).await;
        assert!(text.contains("No server fits this filter."), "{nothing}: {text}");
    }
    for one in ["user:alice mem:4G", "user:alice mem:<5G age:<1h", "user:alice gpus:0"] {
        let text = found(&site, one).await;
        assert!(text.contains("1 of "), "{one}: {text}");
    }
    let mistake = found(&site, "usr:alice").await;
    assert!(mistake.contains("is not known here; known are user"), "{mistake}");
}

fn state(site: &Site, owner: &str, name: &str) -> ServerState {
    let fleet = site.hub.fleet.fleet();
    fleet.server_state(&site.server(owner, name), berth_process::clock::now())
}

#[tokio::test]
async fn those_that_were_not_left_out_are_stopped() {
    let site = Site::busy().await;
    let page = site.get("erin", "/hub/admin/servers/stop?q=user:carol").await;
    let alice = site.server("alice", "").id.to_string();
    let (first, second) =
        (site.server("carol", "").id.clone(), site.server("carol", "fit-2").id.clone());
    assert!(page.body.contains(first.as_str()) && page.body.contains(second.as_str()));
    assert!(!page.body.contains(&alice), "only those that fit");
    assert_ne!(state(&site, "carol", ""), ServerState::Stopping, "looking does nothing");

    let answer =
        site.post("erin", "/hub/admin/servers/stop", &format!("q=user:carol&id={first}")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text().contains("is being stopped"), "{}", answer.text());
    assert_eq!(state(&site, "carol", ""), ServerState::Stopping);
    assert_ne!(state(&site, "carol", "fit-2"), ServerState::Stopping);
    assert_eq!(state(&site, "alice", ""), ServerState::Running);
    let wanted = Acts { action: Some("server-stop".into()), limit: 9, ..Acts::default() };
    let acts = site.hub.storage.read(|reader| reader.acts(&wanted)).unwrap();
    let told: Vec<_> = acts.iter().map(|it| (&*it.act.actor, &*it.act.subject)).collect();
    assert_eq!(told, [("erin", first.as_str())], "and it is written down who did it");
}

#[tokio::test]
async fn only_administrators_act_on_many() {
    let site = Site::busy().await;
    let id = site.server("alice", "").id.clone();
    assert_eq!(site.status("carol", "/hub/admin/servers/stop").await, StatusCode::FORBIDDEN);
    let answer = site.post("carol", "/hub/admin/servers/stop", &format!("id={id}")).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(state(&site, "alice", ""), ServerState::Running);
    assert_eq!(site.status("erin", "/hub/admin/servers/burn").await, StatusCode::NOT_FOUND);
}
