//! Parts of pages that are kept up to date.

use axum::http::StatusCode;
use berth_common::link::{ObservedState, StartStep};

use super::site::Site;

#[tokio::test]
async fn a_live_page_begins_with_the_present_and_ends_when_ready() {
    let site = Site::new().await;
    site.post("alice", "/hub/spawn/alice", "profile=cpu&memory=2G").await;
    let id = site.server("alice", "").id.clone();
    let mut live = site.live("alice", &format!("/hub/live/servers/{id}")).await;
    let first = live.next().await;
    assert!(
        first.contains("event: part")
            && first.contains("id: 1")
            && first.contains("retry: 1000")
            && first.contains("Looking for the image"),
        "{first}"
    );
    site.fetch("alice", "", None).await;
    let told = live.until("Fetching the image").await;
    assert!(told.contains("event: part") && !told.contains("of it is here"), "{told}");
    site.fetch("alice", "", Some(41)).await;
    assert!(live.until("41 % of it is here").await.contains("event: part"));
    site.reach("alice", "", &[StartStep::Image], ObservedState::Created).await;
    assert!(live.until("Checking your spaces").await.contains("event: part"));
    site.run("alice", "").await;
    site.open_all();
    live.until("event: ready").await;
    assert_eq!(live.next().await, "", "the stream ends");
}

#[tokio::test]
async fn one_person_follows_a_bounded_number_of_pages() {
    let site = Site::busy().await;
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(site.live("alice", "/hub/live/home").await);
    }
    assert_eq!(site.status("alice", "/hub/live/home").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(site.status("erin", "/hub/live/hosts").await, StatusCode::OK);
}

/// What is kept up to date says what the page itself says, and what happens then.
#[tokio::test]
async fn pages_of_administrators_are_followed() {
    let site = Site::busy().await;
    let mut host = site.live("erin", "/hub/live/hosts/wn1").await;
    assert!(host.next().await.contains("32 GB declared"));
    let mut pool = site.live("erin", "/hub/live/pools/cpu").await;
    assert!(pool.next().await.contains("host-wn1"));
    let mut queue = site.live("erin", "/hub/live/queue").await;
    assert!(queue.next().await.contains("Nobody waits"));
    let form = "intent=draining&by=7200&reason=new+disk";
    site.post("erin", "/hub/admin/hosts/wn1/intent", form).await;
    host.until("draining").await;
    pool.until("draining").await;
    let mut drain = site.live("erin", "/hub/live/drains/d-0001").await;
    assert!(drain.next().await.contains("new disk"));
    site.post("erin", "/hub/admin/hosts/wn1/intent", "intent=open").await;
    drain.until("over").await;
    for name in ["one", "two", "three", "four", "five"] {
        site.post("bob", "/hub/spawn/bob", &format!("profile=cpu&memory=15G&name={name}")).await;
    }
    queue.until("five").await;
    for path in ["hosts/nowhere", "pools/nowhere", "drains/d-0099"] {
        let status = site.status("erin", &format!("/hub/live/{path}")).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
}

/// Notices and visits are read without a new look at the page.
#[tokio::test]
async fn home_tells_of_notices_while_it_is_open() {
    let site = Site::busy().await;
    let mut home = site.live("alice", "/hub/live/home").await;
    assert!(!home.next().await.contains("The farm rests"));
    let alice = site.server("alice", "").id.clone();
    let form = format!("id={alice}&text=The+farm+rests+tonight");
    site.post("erin", "/hub/admin/servers/notify", &form).await;
    home.until("The farm rests tonight").await;
}
