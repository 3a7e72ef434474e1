//! The route API: configurable-http-proxy's contract, and Berth's own rules.

use berth_proxy::listen::{self, Place};
use serde_json::json;
use tokio::net::TcpStream;

use crate::world::{Client, Host, Upstream, World, run};

#[test]
fn the_contract_of_configurable_http_proxy() {
    run(async {
        let world = World::new().await;
        let record = r#"{"target": "http://127.0.0.1:1", "jupyterhub": true, "extra": [1], "last_activity": "x"}"#;
        for (method, path, body, expected) in [
            ("POST", "/api/routes/user/alice", record, "201"),
            ("POST", "/api/routes/user/%E7%A7%80%E6%A8%B9/", record, "201"),
            ("POST", "/api/routes/user/has%40/", record, "201"),
            (
                "POST",
                "/api/routes/x",
                "",
                "400 Body not valid JSON: EOF while parsing a value at line 1 column 0",
            ),
            ("POST", "/api/routes/x", "{}", "400 Must specify 'target' as string"),
            ("POST", "/api/routes/x", r#"{"target": 3}"#, "400 Must specify 'target' as string"),
            ("POST", "/api/routes/x", "[]", "400 Must specify 'target' as string"),
            ("POST", "/api/routes/x", r#"{"target": "nothing"}"#, "400 target is not a URL"),
            ("POST", "/api/routes/%zz", record, "400 The path cannot be a route's"),
            ("GET", "/api/routes/nobody", "", "404"),
            (
                "GET",
                "/api/routes?inactive_since=yesterday",
                "",
                "400 Invalid datestamp 'yesterday' must be ISO8601.",
            ),
            ("GET", "/api/", "", "404 Not Found"),
            ("GET", "/api/routesx", "", "404 Not Found"),
            ("GET", "/", "", "404 Not Found"),
            ("PATCH", "/api/routes/user/alice", "", "405 Method not supported"),
            ("PUT", "/api/routes", "", "405 Method not supported"),
            ("DELETE", "/api/routes/nobody", "", "404"),
            ("DELETE", "/api/routes", "", "404"),
            ("DELETE", "/api/routes/user/has@", "", "204"),
            ("DELETE", "/api/routes/user/has@", "", "404"),
        ] {
            assert_eq!(world.api(method, path, body).await.short(), expected, "{method} {path}");
        }
        let table = world.api("GET", "/api/routes", "").await.json();
        let keys: Vec<&String> = table.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["/", "/user/alice", "/user/秀樹"]);
        let alice = world.api("GET", "/api/routes/user/alice/", "").await.json();
        assert_eq!(alice, table["/user/alice"]);
        assert_eq!(alice["extra"], json!([1]));
        let moment = alice["last_activity"].as_str().unwrap();
        assert!(moment.len() == 24 && moment.ends_with('Z'), "{moment}");
        for (query, expected) in [
            ("?inactive_since=2000-01-01T00:00:00Z", 0),
            ("?inactiveSince=2100-01-01T00:00:00.000Z", 3),
            ("?inactive_since=", 3),
        ] {
            let found = world.api("GET", &format!("/api/routes/{query}"), "").await.json();
            assert_eq!(found.as_object().unwrap().len(), expected, "{query}");
        }
    });
}

#[test]
fn the_token_comes_before_the_body() {
    run(async {
        let world = World::new().await;
        let record = r#"{"target": "http://127.0.0.1:1"}"#;
        for authorization in [
            "",
            "Authorization: token wrong\r\n",
            "Authorization: Nottoken the-api-token\r\n",
            "Authorization: token the-api-token2\r\n",
            "Authorization: token  the-api-token\r\n",
            "Authorization: token the-api-token\r\nAuthorization: token the-api-token\r\n",
        ] {
            let mut client =
                Client::new(TcpStream::connect(world.proxy.api.unwrap()).await.unwrap());
            // The body never comes, so an answer shows that nobody waits for it.
            client
                .send(&format!(
                    "POST /api/routes/x HTTP/1.1\r\nHost: a\r\n{authorization}Content-Length: 9999\r\n\r\n"
                ))
                .await;
            assert_eq!(client.response().await.short(), "403", "{authorization}");
        }
        assert_eq!(world.api("POST", "/api/routes/x", record).await.status, 201);
        let mut client = Client::new(TcpStream::connect(world.proxy.api.unwrap()).await.unwrap());
        client
            .send(
                "POST /api/routes/y HTTP/1.1\r\nHost: a\r\nAuthorization: token the-api-token\r\n\
                 Content-Length: 1048577\r\n\r\n",
            )
            .await;
        assert_eq!(client.response().await.status, 413);
        // Without a length the limit counts what comes.
        let mut client = Client::new(TcpStream::connect(world.proxy.api.unwrap()).await.unwrap());
        client
            .send(
                "POST /api/routes/y HTTP/1.1\r\nHost: a\r\nAuthorization: token the-api-token\r\n\
                 Transfer-Encoding: chunked\r\n\r\n110000\r\n",
            )
            .await;
        client.send_bytes(&vec![b' '; 0x11_0000]).await;
        assert_eq!(client.response().await.status, 413);
    });
}

#[test]
fn generations_over_the_wire() {
    run(async {
        let world = World::new().await;
        let host = Host::echo(&world.authority).await;
        let post = async |generation: u64| {
            world.api_json("POST", "/api/routes/user/alice", &host.record(generation)).await
        };
        assert_eq!(post(7).await.status, 201);
        assert_eq!(post(7).await.status, 201);
        let lower = post(6).await;
        assert_eq!(lower.status, 409);
        assert_eq!(lower.json()["generation"], 7);
        for (generation, expected) in [("6", 409), ("x", 400), ("7", 204), ("7", 404)] {
            let path = format!("/api/routes/user/alice?generation={generation}");
            assert_eq!(world.api("DELETE", &path, "").await.status, expected, "{generation}");
        }
    });
}

#[test]
fn a_synchronisation_deletes_nothing_and_an_old_hub_cannot_send_one() {
    run(async {
        let world = World::new().await;
        let host = Host::echo(&world.authority).await;
        world.alice(&host, 7).await;
        let service = json!({"target": "http://127.0.0.1:1"});
        world.api_json("POST", "/api/routes/services/x", &service).await;
        let send = async |epoch: u64, seq: u64, routes| {
            let body = json!({"epoch": epoch, "seq": seq, "routes": routes});
            world.api_json("PUT", "/api/berth/routes", &body).await
        };
        let first =
            send(3, 5, json!({"/user/alice/": host.record(7), "/user/bob": host.record(1)}));
        assert_eq!(
            first.await.json(),
            json!({
                "added": ["/user/bob"], "changed": [], "same": 1, "refused": {},
                "unknown": [{"path": "/services/x", "server": null, "generation": null}],
            })
        );
        let old = send(3, 4, json!({})).await;
        assert_eq!(old.status, 409);
        assert_eq!((&old.json()["epoch"], &old.json()["seq"]), (&json!(3), &json!(5)));
        assert_eq!(send(2, 9, json!({})).await.status, 409);
        let mut record = host.record(8);
        record["epoch"] = json!(2);
        assert_eq!(world.api_json("POST", "/api/routes/user/alice", &record).await.status, 409);
        let again = send(3, 6, json!({})).await.json();
        assert_eq!(again["unknown"].as_array().unwrap().len(), 3);
        assert_eq!(
            again["unknown"][1],
            json!({"path": "/user/alice", "server": "00112233445566ff", "generation": 7})
        );
        assert_eq!(send(3, 7, json!({"/x": {"target": "?"}})).await.status, 400);
        let table = world.api("GET", "/api/berth/routes", "").await.json();
        assert_eq!((&table["epoch"], &table["seq"]), (&json!(3), &json!(6)));
        assert_eq!(table["routes"].as_object().unwrap().len(), 4);
    });
}

#[test]
fn ten_thousand_routes_are_read_as_one_table() {
    run(async {
        let world = World::new().await;
        let routes: serde_json::Map<_, _> = (0..10_000)
            .map(|i| (format!("/user/u{i}"), json!({"target": "http://127.0.0.1:1", "user": "u"})))
            .collect();
        let body = json!({"epoch": 1, "seq": 1, "routes": routes});
        let done = world.api_json("PUT", "/api/berth/routes", &body).await.json();
        assert_eq!(done["added"].as_array().unwrap().len(), 10_000);
        let table = world.api("GET", "/api/routes", "").await.json();
        assert_eq!(table.as_object().unwrap().len(), 10_001);
    });
}

#[test]
fn the_root_is_the_hub_until_it_posts_another() {
    run(async {
        let world = World::new().await;
        let other =
            Upstream::new(|_| crate::world::Reply::Say(crate::world::ok("other hub"))).await;
        assert!(world.get("/hub/home", "").await.text().starts_with("GET /hub/home"));
        let record = json!({"target": other.url(), "jupyterhub": true, "hub": true});
        assert_eq!(world.api_json("POST", "/api/routes/", &record).await.status, 201);
        assert_eq!(world.get("/hub/home", "").await.text(), "other hub");
        assert_eq!(world.api("DELETE", "/api/routes/", "").await.status, 204);
        assert!(world.get("/hub/home", "").await.text().starts_with("GET /hub/home"));
    });
}

#[test]
fn the_unix_socket_is_the_owners_and_replaces_a_dead_one() {
    run(async {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy.sock");
        for _ in 0..2 {
            let listener = listen::bind(&Place::Unix(path.clone(), Some(0o600))).await.unwrap();
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let second = listen::bind(&Place::Unix(path.clone(), Some(0o600))).await.unwrap_err();
            assert_eq!(second.to_string(), "another process listens there");
            drop(listener);
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "precious").unwrap();
        assert!(listen::bind(&Place::Unix(path.clone(), Some(0o600))).await.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    });
}
