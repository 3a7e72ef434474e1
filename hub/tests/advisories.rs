//! Advisories against programs in Berth's place: the table of `tests/ADVISORIES.md` names tests that
//! are there, and those that have no better place are here.

use std::path::Path;

use axum::http::StatusCode;

use crate::site::{Site, host};

#[test]
fn every_test_of_the_table_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let table = std::fs::read_to_string(root.join("tests/ADVISORIES.md")).unwrap();
    let mut named = 0;
    for row in
        table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Advisory"))
    {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        for test in tests.split(", ") {
            let (file, name) = test.trim_matches('`').split_once(": ").expect(test);
            let source = std::fs::read_to_string(root.join(file)).expect(file);
            assert!(source.contains(&format!("fn {name}(")), "{test}: {row}");
            named += 1;
        }
    }
    assert!(named > 40, "the table was not read: {named}");
}

/// DockerSpawner, CVE-2023-48311.
#[tokio::test]
async fn an_image_that_no_file_offers_is_refused() {
    let site = Site::new().await;
    let alice = site.program("alice").await;
    for image in ["evil:1", "nb:1", "base ", "docker.io/library/base"] {
        for body in [
            serde_json::json!({ "image": image }),
            serde_json::json!({ "user_options": { "image": [image] } }),
        ] {
            let path = "/hub/api/users/alice/server";
            let refused = alice.json("POST", path, &body.to_string()).await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}: {}", refused.text);
            assert!(refused.message().contains("has no image"), "{}", refused.text);
        }
    }
    assert!(site.hub.fleet.fleet().servers.is_empty());
}

/// KubeSpawner, CVE-2020-15110: `alice` with `b-c`, and `alice-b` with `c`.
#[tokio::test]
async fn names_that_run_together_are_different_servers() {
    let site = Site::new().await;
    site.add_user("alice-b", 1_010, false).await;
    let (first, second) = (site.program("alice").await, site.program("alice-b").await);
    for (who, path) in [
        (&first, "/hub/api/users/alice/servers/b-c"),
        (&second, "/hub/api/users/alice-b/servers/c"),
    ] {
        let started = tokio::select! {
            reply = who.json("POST", path, "") => reply,
            () = host::work(&site) => unreachable!("the host works for ever"),
        };
        assert_eq!(started.status, StatusCode::CREATED, "{}", started.text);
    }
    let (one, other) = (site.server("alice", "b-c"), site.server("alice-b", "c"));
    assert_ne!(one.id, other.id);
    assert_ne!(one.prefix(), other.prefix());
    assert_ne!(site.server_token(&one), site.server_token(&other));
    let by_other = site.by_token(&site.server_token(&other)).get("/hub/api/user").await.json();
    let scopes = by_other["scopes"].as_array().unwrap();
    assert!(scopes.contains(&"access:servers!server=alice-b/c".into()), "{scopes:?}");
    assert!(!by_other.to_string().contains("alice/"), "{by_other}");
}
