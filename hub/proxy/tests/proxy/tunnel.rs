//! The way through a host's port, and what its answers become.

use berth_proto::tunnel::Status;
use serde_json::json;

use crate::world::{Host, Reply, World, ok, run};

#[test]
fn requests_go_through_and_connections_are_kept_for_the_server_alone() {
    run(async {
        let world = World::new().await;
        let host = Host::echo(&world.authority).await;
        world.alice(&host, 7).await;
        for _ in 0..3 {
            assert!(
                world.get("/user/alice/api", "").await.text().starts_with("GET /user/alice/api")
            );
        }
        assert_eq!(host.connections(), 1);
        // The same host and server under another path: another route, another connection.
        let record = host.record(7);
        world.api_json("POST", "/api/routes/user/bob", &record).await;
        assert_eq!(world.get("/user/bob/", "").await.status, 200);
        assert_eq!(host.connections(), 2);
        // A new generation takes no connection of the one before.
        host.set(8, Status::Ok);
        world.alice(&host, 8).await;
        assert_eq!(world.get("/user/alice/", "").await.status, 200);
        assert_eq!(host.connections(), 3);
        // The same one again takes nothing away.
        world.alice(&host, 8).await;
        assert_eq!(world.get("/user/alice/", "").await.status, 200);
        assert_eq!(host.connections(), 3);
    });
}

#[test]
fn the_hosts_answers_become_pages() {
    run(async {
        let world = World::new().await;
        let host = Host::echo(&world.authority).await;
        world.alice(&host, 7).await;
        let ask = async |accept: &str| {
            let response = world.get("/user/alice/lab", &format!("Accept: {accept}\r\n")).await;
            let retry = response.field("retry-after").unwrap_or_default();
            (response.status, retry, response.text().lines().next().unwrap().to_owned())
        };
        let html = "<!doctype html>".to_owned();
        for (status, expected) in [
            (Status::NotReady, (503, "1".to_owned(), html.clone())),
            (Status::WrongGeneration, (503, "1".to_owned(), html)),
        ] {
            host.set(7, status);
            assert_eq!(ask("text/html").await, expected, "{status:?}");
        }
        // A page of a server that is gone is the hub's; a program gets the plain fact.
        host.set(7, Status::Gone);
        let (status, _, first) = ask("text/html").await;
        assert_eq!((status, first.as_str()), (200, "GET /user/alice/lab HTTP/1.1"));
        let (status, retry, first) = ask("application/json").await;
        assert_eq!((status, retry.as_str()), (503, "10"));
        assert!(first.contains("not running"), "{first}");
    });
}

#[test]
fn another_hosts_certificate_gets_no_byte_of_a_request() {
    run(async {
        let world = World::new().await;
        let host = Host::new(&world.authority, "wn01", "wn02", |_| Reply::Say(ok("stolen"))).await;
        host.set(7, Status::Ok);
        world.alice(&host, 7).await;
        let response = world.get("/user/alice/", "").await;
        assert_eq!(response.status, 503);
        assert!(response.text().contains("cannot be reached"));
        assert!(host.requests.lock().unwrap().is_empty());
        // A certificate of another CA, too.
        let foreign = crate::world::Authority::new();
        let host = Host::new(&foreign, "wn01", "wn01", |_| Reply::Say(ok("stolen"))).await;
        host.set(8, Status::Ok);
        world.alice(&host, 8).await;
        assert_eq!(world.get("/user/alice/", "").await.status, 503);
        assert!(host.requests.lock().unwrap().is_empty());
    });
}

#[test]
fn a_host_that_is_not_there_keeps_its_route() {
    run(async {
        let world = World::new().await;
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let record = json!({"target": "tunnel://wn01/00112233445566ff", "generation": 7,
                            "address": address.to_string()});
        world.api_json("POST", "/api/routes/user/alice", &record).await;
        let response = world.get("/user/alice/", "").await;
        assert_eq!((response.status, response.field("retry-after").as_deref()), (503, Some("5")));
        assert_eq!(world.api("GET", "/api/routes/user/alice", "").await.status, 200);
        // The page says since when, and goes on saying it.
        let since =
            |text: String| text.split("unreachable since ").nth(1).unwrap()[..16].to_owned();
        let first = since(response.text());
        assert!(first.starts_with("20") && first.contains(' '), "{first}");
        assert_eq!(since(world.get("/user/alice/", "").await.text()), first);
    });
}
