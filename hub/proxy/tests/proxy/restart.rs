//! What a new proxy knows of the one before.

use serde_json::json;

use crate::world::{Host, World, run};

#[test]
fn routes_clocks_and_the_highest_revision_survive() {
    run(async {
        let world = World::new().await;
        let host = Host::echo(&world.authority).await;
        let body = json!({"epoch": 4, "seq": 2, "routes": {"/user/alice": host.record(7)}});
        assert_eq!(world.api_json("PUT", "/api/berth/routes", &body).await.status, 200);
        assert_eq!(world.get("/user/alice/x", "").await.status, 200);
        let before = world.api("GET", "/api/routes", "").await.json();
        let world = world.restart().await;
        let after = world.api("GET", "/api/routes", "").await.json();
        assert_eq!(after["/user/alice"], before["/user/alice"]);
        assert!(world.get("/user/alice/x", "").await.text().starts_with("GET /user/alice/x"));
        let old = json!({"epoch": 4, "seq": 1, "routes": {}});
        assert_eq!(world.api_json("PUT", "/api/berth/routes", &old).await.status, 409);
    });
}

#[test]
fn the_table_is_on_disk_soon_after_a_change() {
    run(async {
        let world = World::new().await;
        let host = Host::echo(&world.authority).await;
        world.alice(&host, 7).await;
        let path = world.config.state.join("routes.json");
        // Bounded by the test's own limit; a proxy that only saves at its end would hang here.
        while !std::fs::read_to_string(&path).is_ok_and(|text| text.contains("/user/alice")) {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_damaged_table_does_not_stop_the_start() {
    run(async {
        let world = World::new().await;
        let host = Host::echo(&world.authority).await;
        world.alice(&host, 7).await;
        let (folder, config) = (world.folder, world.config);
        world.proxy.stop().await;
        for name in ["routes.json", "routes.json.prev", "hub-users.json"] {
            std::fs::write(config.state.join(name), "{").unwrap();
        }
        let proxy = berth_proxy::start(&config).await.unwrap();
        proxy.stop().await;
        drop(folder);
    });
}

#[test]
fn a_hub_that_deletes_everything_leaves_the_table_before() {
    run(async {
        let world = World::new().await;
        let host = Host::echo(&world.authority).await;
        world.alice(&host, 7).await;
        let plain = json!({"target": "http://127.0.0.1:1"});
        for number in 0..5 {
            let path = format!("/api/routes/user/u{number}");
            assert_eq!(world.api_json("POST", &path, &plain).await.status, 201);
        }
        let kept = world.config.state.join("routes.prev");
        // One stop is none.
        assert_eq!(world.api("DELETE", "/api/routes/user/u0", "").await.status, 204);
        assert_eq!(world.api_json("POST", "/api/routes/user/u0", &plain).await.status, 201);
        assert!(!kept.exists());
        for number in 0..5 {
            let path = format!("/api/routes/user/u{number}");
            assert_eq!(world.api("DELETE", &path, "").await.status, 204);
        }
        assert_eq!(world.api("DELETE", "/api/routes/user/alice", "").await.status, 204);
        while !kept.exists() {
            tokio::task::yield_now().await;
        }
        // Put in the place of the table, it is the table.
        let (folder, config) = (world.folder, world.config);
        world.proxy.stop().await;
        std::fs::copy(&kept, config.state.join("routes.json")).unwrap();
        let hub = crate::world::Upstream::echo().await;
        let proxy = berth_proxy::start(&config).await.unwrap();
        let world = World { folder, hub, proxy, config, authority: world.authority };
        let table = world.api("GET", "/api/routes", "").await.json();
        assert_eq!(table.as_object().unwrap().len(), 7);
        assert!(world.get("/user/alice/x", "").await.text().starts_with("GET /user/alice/x"));
    });
}
