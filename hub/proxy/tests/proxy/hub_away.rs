//! The one question that is answered for a hub that is away.

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::world::{Reply, Upstream, World, ok, run};

async fn world() -> World {
    let hub = Upstream::new(|request| {
        let good = ["token good", "token other"]
            .iter()
            .any(|token| request.head.to_ascii_lowercase().contains(token));
        Reply::Say(if request.head.starts_with("GET /hub/api/user ") && !good {
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".into()
        } else {
            ok(r#"{"name": "alice"}"#)
        })
    })
    .await;
    World::with_hub(hub).await
}

async fn user(world: &World, token: &str) -> crate::world::Response {
    world.get("/hub/api/user", &format!("Authorization: token {token}\r\n")).await
}

#[test]
fn a_token_that_the_hub_confirmed_is_good_while_the_hub_is_away() {
    run(async {
        let mut world = world().await;
        let fresh = user(&world, "good").await;
        assert_eq!(fresh.text(), r#"{"name": "alice"}"#);
        assert_eq!(fresh.field("x-berth-from-cache"), None);
        assert_eq!(user(&world, "other").await.status, 200);
        world.hub.stop().await;

        let cached = user(&world, "good").await;
        assert_eq!((cached.status, cached.text()), (200, r#"{"name": "alice"}"#.to_owned()));
        let age_s: u64 = cached.field("x-berth-from-cache").unwrap().parse().unwrap();
        assert!(age_s < 30);
        let bearer = world.get("/hub/api/user", "Authorization: Bearer good\r\n").await;
        assert_eq!(bearer.status, 200);

        // Nothing else is answered, all at once since each waits for the hub.
        let head = |method: &str, path: &str, token: &str| {
            format!("{method} {path} HTTP/1.1\r\nHost: h\r\nAuthorization: token {token}\r\n\r\n")
        };
        let mut clients = Vec::new();
        for request in [
            head("GET", "/hub/api/user", "unseen"),
            head("GET", "/hub/api/user?x", "good"),
            head("GET", "/hub/api/users", "good"),
            head("GET", "/hub/api/user/", "good"),
            head("POST", "/hub/api/user", "good"),
            head("HEAD", "/hub/api/user", "good"),
        ] {
            let mut client = world.client().await;
            client.send(&request).await;
            clients.push((request, client));
        }
        for (request, mut client) in clients {
            let head = client.head().await.unwrap();
            assert!(head.starts_with("HTTP/1.1 503 "), "{request}: {head}");
        }

        // It survives a restart of the proxy, and holds no token.
        let world = world.restart().await;
        assert_eq!(user(&world, "good").await.status, 200);
        let saved = std::fs::read_to_string(world.config.state.join("hub-users.json")).unwrap();
        assert!(saved.contains("alice") && !saved.contains("good"), "{saved}");

        // And ends with a revocation, on disk as well.
        let hash: String = Sha256::digest("good").iter().map(|b| format!("{b:02x}")).collect();
        let revoke = json!({"tokens": [hash]});
        let done = world.api_json("POST", "/api/berth/revoke", &revoke).await.json();
        assert_eq!(done, json!({"dropped": 1, "closed": 0}));
        let saved = std::fs::read_to_string(world.config.state.join("hub-users.json")).unwrap();
        assert!(!saved.contains(&hash), "{saved}");
        assert_eq!(user(&world, "good").await.status, 503);
        assert_eq!(user(&world, "other").await.status, 200);
        let bad = json!({"tokens": ["good"]});
        assert_eq!(world.api_json("POST", "/api/berth/revoke", &bad).await.status, 400);
    });
}

#[test]
fn what_the_hub_answers_is_passed_on_and_a_403_forgets() {
    run(async {
        let refuse = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let refusing = refuse.clone();
        let hub = Upstream::new(move |_| {
            Reply::Say(if refusing.load(std::sync::atomic::Ordering::Relaxed) {
                b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".into()
            } else {
                ok("{}")
            })
        })
        .await;
        let mut world = World::with_hub(hub).await;
        assert_eq!(user(&world, "good").await.status, 200);
        refuse.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(user(&world, "good").await.status, 403);
        world.hub.stop().await;
        assert_eq!(user(&world, "good").await.status, 503);
    });
}
