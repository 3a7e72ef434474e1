//! Who waits, and what was decided.

use std::sync::Arc;

use axum::http::StatusCode;

use super::scene::scene;
use super::site::Site;
use crate::agenda;
use crate::config::Config;

#[tokio::test]
async fn those_who_wait_stand_in_their_order_with_the_reason() {
    let site = Site::busy().await;
    for name in ["one", "two", "three", "four", "five"] {
        let form = format!("profile=cpu&memory=15G&name={name}");
        site.post("bob", "/hub/spawn/bob", &form).await;
    }
    let text = site.get("erin", "/hub/admin/queue").await.text();
    let places = (text.find("three"), text.find("five"));
    assert!(matches!(places, (Some(three), Some(five)) if three < five), "{text}");
    assert!(text.contains("wait.memory"), "{text}");
    assert!(text.contains("cpu, 15 GB"), "{text}");
}

#[tokio::test]
async fn decisions_are_found_by_person_and_by_reason() {
    let site = Site::busy().await;
    // No host of that pool can ever give what this profile needs.
    site.post("bob", "/hub/spawn/bob", "profile=gpu").await;
    let all = site.get("erin", "/hub/admin/queue").await;
    assert!(all.text().contains("placed.now") && all.text().contains("refused."));
    let decision = site.server("alice", "").decision.clone().unwrap();
    assert!(all.body.contains(&format!("/hub/decisions/{decision}")));
    let refused = site.get("erin", "/hub/admin/queue?code=refused").await.text();
    assert!(refused.contains("bob") && !refused.contains("placed.now"), "{refused}");
    let of_alice = site.get("erin", "/hub/admin/queue?user=alice").await.text();
    assert!(of_alice.contains("placed.now") && !of_alice.contains("refused."), "{of_alice}");
    let nobody = site.get("erin", "/hub/admin/queue?user=%3Cscript%3E").await;
    assert!(nobody.text().contains("None fits."));
    assert!(!nobody.body.contains("<script>"));
    assert_eq!(site.status("alice", "/hub/admin/queue").await, StatusCode::FORBIDDEN);
}

/// No host has done anything for it, so none of a start's steps is shown as done.
#[tokio::test]
async fn a_request_that_is_refused_while_it_waits_was_not_accepted() {
    let site = scene().await;
    let page = "/hub/spawn-pending/dave/net";
    assert!(site.get("dave", page).await.text().contains("Waiting for a host"));
    let config = site.hub.config();
    let mut settings = config.settings.clone();
    settings.profiles.remove("two-gpus");
    settings.pools.remove("k80");
    settings.hosts.remove(&"gpu1".parse().unwrap());
    let (people, services, farm) = Default::default();
    let fresh = Config { settings, people, services, farm, hub: config.hub.clone() };
    site.hub.config.store(Arc::new(fresh));
    agenda::put_in_force(&site.hub).await;
    site.report("wn1", Ok(Vec::new())).await;
    let text = site.get("dave", page).await.text();
    assert!(text.contains("Not accepted") && !text.contains("Request accepted"), "{text}");
}
