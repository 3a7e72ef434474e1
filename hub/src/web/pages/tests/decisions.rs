//! A decision, as its owner and as administrators read it.

use axum::http::StatusCode;

use super::site::Site;

#[tokio::test]
async fn a_decision_shows_rules_and_hosts_to_its_owner_only() {
    let site = Site::busy().await;
    let id = site.server("alice", "").decision.clone().unwrap();
    let path = format!("/hub/decisions/{id}");
    let text = site.get("alice", &path).await.text();
    for fact in [
        "placed",
        "profile cpu is open to everybody",
        "profiles.toml:2",
        "chosen",
        "possible",
        "image present: yes",
        "excluded",
        "The host serves another pool.",
        "host.not_in_pool",
        "The host has not reported yet.",
    ] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    assert_eq!(site.get("erin", &path).await.status, StatusCode::OK);
    assert_eq!(site.get("bob", &path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_decision_tells_what_would_help_and_every_obstacle() {
    let site = Site::new().await;
    for (user, form) in [
        ("carol", "15G"),
        ("dave", "15G"),
        ("carol", "12G&name=b"),
        ("dave", "12G&name=b"),
        ("bob", "15G"),
    ] {
        site.post(user, &format!("/hub/spawn/{user}"), &format!("profile=cpu&memory={form}")).await;
    }
    let id = site.server("bob", "").decision.clone().unwrap();
    let path = format!("/hub/decisions/{id}");
    for user in ["bob", "erin"] {
        let page = site.get(user, &path).await;
        let text = page.text();
        for fact in [
            "What would help",
            "would start now.",
            "Ask for that",
            "0 hosts possible; not possible:",
            "host.not_in_pool",
            "wait.memory.reserved",
        ] {
            assert!(text.contains(fact), "{user}: {fact:?} is missing:\n{text}");
        }
        assert!(page.body.contains("/hub/spawn/bob?opt-memory="), "{}", page.body);
    }
    let numbers = "limits on";
    assert!(site.get("erin", &path).await.text().contains(numbers));
    assert!(
        !site.get("bob", &path).await.text().contains(numbers),
        "who holds what is not for bob"
    );
}
