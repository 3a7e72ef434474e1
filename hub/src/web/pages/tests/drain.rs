//! Emptying a host by its page.

use axum::http::StatusCode;
use axum::http::header::LOCATION;
use berth_core::HostState;

use super::site::Site;

fn state(site: &Site, host: &str) -> HostState {
    let fleet = site.hub.fleet.fleet();
    let seen = &fleet.hosts[&host.parse().unwrap()];
    fleet.host_state(seen, berth_process::clock::now())
}

#[tokio::test]
async fn who_is_hit_is_shown_before_anything_is_done() {
    let site = Site::busy().await;
    let host = site.server("alice", "").holds_on().unwrap().to_string();
    let path = format!("/hub/admin/hosts/{host}/drain?by=7200&reason=new%20kernel");
    let page = site.get("erin", &path).await;
    let text = page.text();
    for fact in ["alice", "Last activity", "would find room elsewhere", "What happens"] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    assert!(page.body.contains("value=\"new kernel\""), "{}", page.body);
    assert_eq!(state(&site, &host), HostState::Ready, "looking does nothing");
    for fact in ["would be told now, and again 10 min before the end", "in JupyterLab"] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    let read = "new kernel. What runs there then is stopped. Save your work";
    assert!(text.contains(read), "{text}");
    site.works("alice", "", 1).await;
    let busy = site.get("erin", &path).await.text();
    assert!(busy.contains("1 kernel is busy"), "{busy}");
    let held = site.get("erin", &format!("{path}&hold=yes")).await.text();
    assert!(held.contains("stays"), "{held}");
}

#[tokio::test]
async fn the_order_is_given_by_a_form_with_a_reason_and_taken_back_by_another() {
    let site = Site::busy().await;
    let host = site.server("alice", "").holds_on().unwrap().to_string();
    let path = format!("/hub/admin/hosts/{host}/intent");
    let answer = site.post("erin", &path, "intent=draining&by=7200&hold=no&reason=").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(state(&site, &host), HostState::Ready);
    let answer =
        site.post("erin", &path, "intent=draining&by=7200&hold=no&reason=new+kernel").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
    assert_eq!(answer.headers[LOCATION], format!("/hub/admin/hosts/{host}").as_str());
    assert_eq!(state(&site, &host), HostState::Draining);
    let page = site.get("erin", &format!("/hub/admin/hosts/{host}")).await.text();
    assert!(page.contains("Take servers again"), "{page}");
    site.post("erin", &path, "intent=open").await;
    assert_eq!(state(&site, &host), HostState::Ready);
}

#[tokio::test]
async fn only_administrators_order_it() {
    let site = Site::busy().await;
    let host = site.server("alice", "").holds_on().unwrap().to_string();
    let path = format!("/hub/admin/hosts/{host}/intent");
    let answer = site.post("alice", &path, "intent=cordoned&reason=mine").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(state(&site, &host), HostState::Ready);
    let page = format!("/hub/admin/hosts/{host}/drain");
    assert_eq!(site.status("alice", &page).await, StatusCode::FORBIDDEN);
    let answer = site.post("erin", "/hub/admin/hosts/nowhere/intent", "intent=open").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}
