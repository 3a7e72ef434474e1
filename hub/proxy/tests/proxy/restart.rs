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
