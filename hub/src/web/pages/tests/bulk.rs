//! The filter of the table of servers, and acts on all that it leaves.

use axum::http::StatusCode;
use berth_common::{ByteCount, ServerId};
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
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(state(&site, "alice", ""), ServerState::Running);
    assert_eq!(site.status("erin", "/hub/admin/servers/burn").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn many_stops_are_put_off_at_once() {
    let site = Site::busy().await;
    site.post("alice", "/hub/spawn/alice", "profile=cpu&memory=512M&name=two").await;
    site.run("alice", "two").await;
    let ids = ["", "two"].map(|name| site.server("alice", name).id.clone());
    let promise = |id: &ServerId| {
        let fleet = site.hub.fleet.fleet();
        fleet.servers[id].placement().unwrap().life.kept_until
    };
    let before = ids.clone().map(|id| promise(&id));
    let form = format!("q=user:alice&id={}&id={}", ids[0], ids[1]);
    let answer = site.post("erin", "/hub/admin/servers/extend", &form).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.text().matches("stops later").count(), 2, "{}", answer.text());
    for (id, before) in ids.iter().zip(before) {
        assert!(promise(id) > before, "{id} stops later");
    }
}

#[tokio::test]
async fn the_owners_of_many_are_told_and_nobody_else() {
    let site = Site::busy().await;
    let page = site.get("erin", "/hub/admin/servers/notify?q=state:running").await;
    assert!(page.body.contains("name=\"text\""), "{}", page.body);
    let alice = site.server("alice", "").id.clone();
    let empty = site.post("erin", "/hub/admin/servers/notify", &format!("id={alice}")).await;
    assert_eq!(empty.status, StatusCode::BAD_REQUEST);
    let form = format!("id={alice}&hours=8&text=Please+save+your+work");
    let answer = site.post("erin", "/hub/admin/servers/notify", &form).await;
    assert!(answer.text().contains("alice reads it"), "{}", answer.text());
    assert!(site.get("alice", "/hub/home").await.text().contains("Please save your work"));
    assert!(!site.get("carol", "/hub/home").await.text().contains("Please save"));
    assert_eq!(state(&site, "alice", ""), ServerState::Running);
    let wanted = Acts { action: Some("notice-add".into()), limit: 9, ..Acts::default() };
    let acts = site.hub.storage.read(|reader| reader.acts(&wanted)).unwrap();
    let told: Vec<_> = acts.iter().map(|it| (&*it.act.actor, &*it.act.subject)).collect();
    assert_eq!(told, [("erin", "users:alice")]);
}

#[tokio::test]
async fn what_is_filtered_is_a_table_for_programs() {
    let site = Site::busy().await;
    let answer = site.get("erin", "/hub/admin/servers.csv?q=user:alice").await;
    let lines: Vec<_> = answer.body.lines().collect();
    assert_eq!(lines.len(), 2, "{}", answer.body);
    assert!(lines[0].starts_with("id,user,name,state,reason,host,"), "{}", lines[0]);
    let alice = site.server("alice", "").id.to_string();
    assert!(lines[1].starts_with(&format!("{alice},alice,,running,")), "{}", lines[1]);
    assert!(lines[1].contains(&(4_u64 << 30).to_string()), "amounts are bytes: {}", lines[1]);
    let wrong = site.get("erin", "/hub/admin/servers.csv?q=usr:alice").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn servers_near_their_limit_and_those_that_fit_nowhere_are_found() {
    let site = Site::busy().await;
    let near = "mem.full:>90%";
    assert!(found(&site, near).await.contains("No server fits this filter."));
    site.uses("alice", "", ByteCount((4 << 30) - (1 << 28))).await;
    let text = found(&site, near).await;
    assert!(text.contains("1 of ") && text.contains("alice"), "{text}");

    let host = site.server("alice", "").holds_on().unwrap().to_string();
    let lost = format!("nofit:{host}");
    assert!(found(&site, &lost).await.contains("No server fits this filter."), "there is room");
    for name in ["one", "two", "three"] {
        site.post("bob", "/hub/spawn/bob", &format!("profile=cpu&memory=15G&name={name}")).await;
    }
    let floor = site.get("erin", &format!("/hub/admin/floor?without={host}")).await.text();
    assert!(floor.contains("nowhere"), "{floor}");
    let text = found(&site, &lost).await;
    assert!(!text.contains("No server fits"), "as the Floor says: {text}");
    let wrong = found(&site, "nofit:%21").await;
    assert!(wrong.contains("write e.g. nofit:wn1"), "{wrong}");
}
