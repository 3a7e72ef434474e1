//! What goes up and what comes back.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::mpsc;

use crate::world::{Host, Reply, Upstream, World, ok, run};

/// Adds `/services/x` with a plain upstream.
async fn service(world: &World, upstream: &Upstream) {
    let record = json!({"target": upstream.url()});
    assert_eq!(world.api_json("POST", "/api/routes/services/x", &record).await.status, 201);
}

fn sorted(head: &str) -> String {
    let mut lines: Vec<String> = head.trim_end().lines().map(str::to_ascii_lowercase).collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn a_container_sees_the_bytes_of_the_path_and_none_of_the_hubs_secrets() {
    run(async {
        let world = World::new().await;
        let host = Host::echo(&world.authority).await;
        world.alice(&host, 7).await;
        let response = world
            .get(
                "/user/alice/a%20b//c%2Fd?x=%zz&token=1",
                "Cookie: berth-session=1; jupyterhub-user-alice=2; jupyterhub-user-bob=3\r\n\
                 Authorization: token t\r\nX-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n\
                 Forwarded: for=6.6.6.6\r\nX-Berth-User: root\r\nConnection: keep-alive, X-Hop\r\n\
                 X-Hop: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\n",
            )
            .await;
        assert_eq!(response.status, 200);
        assert_eq!(
            sorted(&response.text()),
            "authorization: token t\ncookie: jupyterhub-user-alice=2\n\
             get /user/alice/a%20b//c%2fd?x=%zz&token=1 http/1.1\nhost: hub.example\n\
             x-forwarded-for: 127.0.0.1\nx-forwarded-host: hub.example\n\
             x-forwarded-port: 80\nx-forwarded-proto: http"
        );
    });
}

#[test]
fn the_hub_gets_its_cookies_and_containers_cannot_set_them() {
    run(async {
        let world = World::new().await;
        let cookies = "Cookie: __Host-berth=1; jupyterhub-hub-login=2\r\n";
        let hub = world.get("/hub/home", cookies).await.text();
        assert!(
            hub.to_ascii_lowercase().contains("cookie: __host-berth=1; jupyterhub-hub-login=2")
        );
        let host = Host::new(&world.authority, "wn01", "wn01", |_| {
            Reply::Say(
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: __Host-berth=evil; Path=/\r\n\
                 Set-Cookie: a=1; Path=/user/alice/\r\nSet-Cookie: b=1; Path=/\r\n\
                 Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\r\n"
                    .into(),
            )
        })
        .await;
        host.set(7, berth_proto::tunnel::Status::Ok);
        world.alice(&host, 7).await;
        let response = world.get("/user/alice/", "").await;
        let mut names: Vec<String> = response
            .head
            .lines()
            .skip(1)
            .filter_map(|line| Some(line.split_once(':')?.0.to_ascii_lowercase()))
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "content-length",
                "content-security-policy",
                "date",
                "referrer-policy",
                "set-cookie",
                "x-content-type-options"
            ]
        );
        assert_eq!(response.field("set-cookie").as_deref(), Some("a=1; Path=/user/alice/"));
    });
}

#[test]
fn doubtful_paths_are_refused_and_errors_echo_nothing() {
    run(async {
        let world = World::new().await;
        for (path, expected) in [
            ("//evil.example/user/alice", 400),
            ("/user/../hub", 400),
            ("/user/%2e%2e/hub", 400),
            ("/user\\alice", 400),
            ("/%", 400),
            ("/a%00", 400),
            ("/constructor", 200),
            ("/__proto__", 200),
        ] {
            let response = world.get(path, "Accept: text/html\r\n").await;
            assert_eq!(response.status, expected, "{path}");
            if expected == 400 {
                assert!(!response.text().contains("evil"), "{}", response.text());
                assert!(response.text().contains("<title>Bad request</title>"));
            }
        }
        let json = world.get("/%", "Accept: application/json\r\n").await.json();
        assert_eq!(json["status"], 400);
        assert_eq!(world.hub.seen(), 2);
        assert_eq!(world.get("/_chp_healthz", "").await.json(), json!({"status": "OK"}));
        assert_eq!(world.get("/x", "Expect: the-worst\r\n").await.status, 417);
        assert_eq!(world.hub.seen(), 2);
    });
}

#[test]
fn uploads_of_any_framing_arrive_whole() {
    run(async {
        let upstream =
            Upstream::new(|request| Reply::Say(ok(&request.body.len().to_string()))).await;
        let world = World::new().await;
        service(&world, &upstream).await;
        let size = 20_000_000;
        let body = vec![b'x'; size];

        let mut client = world.client().await;
        client
            .send(&format!(
                "PUT /services/x/a HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\
                 Expect: 100-continue\r\n\r\n"
            ))
            .await;
        assert_eq!(client.head().await.unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
        client.send_bytes(&body).await;
        assert_eq!(client.response().await.text(), size.to_string());

        // On the same connection, in chunks; for a method that has no body in most programs.
        for method in ["POST", "DELETE", "OPTIONS", "GET"] {
            client
                .send(&format!(
                    "{method} /services/x/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
                     {size:x}\r\n"
                ))
                .await;
            client.send_bytes(&body).await;
            client.send("\r\n0\r\n\r\n").await;
            assert_eq!(client.response().await.text(), size.to_string(), "{method}");
            let head = upstream.requests.lock().unwrap().last().unwrap().head.to_ascii_lowercase();
            assert!(head.contains("transfer-encoding: chunked"), "{head}");
            assert!(!head.contains("content-length"), "{head}");
        }
        client.send("POST /services/x/a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(client.response().await.text(), "0");
    });
}

#[test]
fn each_piece_of_a_stream_is_there_before_the_next_is_sent() {
    run(async {
        let (sender, receiver) = mpsc::channel::<Vec<u8>>(1);
        let receiver = Mutex::new(Some(receiver));
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        let upstream = Upstream::new(move |_| {
            Reply::SayAndFollow(head.into(), receiver.lock().unwrap().take().unwrap())
        })
        .await;
        let world = World::new().await;
        service(&world, &upstream).await;
        let mut client = world.client().await;
        client.send("GET /services/x/events HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert!(client.head().await.unwrap().starts_with("HTTP/1.1 200"));
        for piece in ["data: 1\n\n", "data: 22\n\n"] {
            sender.send(format!("{:x}\r\n{piece}\r\n", piece.len()).into_bytes()).await.unwrap();
            assert_eq!(client.line().await.unwrap(), format!("{:X}\r\n", piece.len()));
            assert_eq!(client.bytes(piece.len() + 2).await, format!("{piece}\r\n").as_bytes());
        }
        // The upstream dies in the middle: the client must not see a clean end.
        drop(sender);
        assert_eq!(client.rest().await, b"");
    });
}

#[test]
fn an_upstream_that_dies_in_a_body_of_known_length_ends_the_connection() {
    run(async {
        let upstream = Upstream::new(|_| {
            Reply::SayAndClose(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".into())
        })
        .await;
        let world = World::new().await;
        service(&world, &upstream).await;
        let mut client = world.client().await;
        client.send("GET /services/x/ HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert!(client.try_response().await.is_none());
    });
}

#[test]
fn answers_without_a_body_keep_their_length() {
    run(async {
        let upstream = Upstream::new(|request| {
            Reply::Say(if request.head.starts_with("HEAD") {
                b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n".into()
            } else {
                b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n".into()
            })
        })
        .await;
        let world = World::new().await;
        service(&world, &upstream).await;
        let mut client = world.client().await;
        client.send("HEAD /services/x/ HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let head = client.head().await.unwrap();
        assert!(head.to_ascii_lowercase().contains("content-length: 12345"), "{head}");
        client.send("GET /services/x/ HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(client.response().await.field("etag").as_deref(), Some("\"x\""));
    });
}

#[test]
fn connections_are_kept_and_a_stale_one_costs_nobody_a_request() {
    run(async {
        // Each connection serves one request, pretends to stay, and is closed when the next comes.
        let upstream = Upstream::new(|request| {
            if request.head.contains("/second") {
                return Reply::SayAndClose(Vec::new());
            }
            Reply::Say(ok("fine"))
        })
        .await;
        let world = World::new().await;
        service(&world, &upstream).await;
        let connections = || upstream.connections.load(Ordering::Relaxed);
        assert_eq!(world.get("/services/x/first", "").await.text(), "fine");
        assert_eq!(world.get("/services/x/first", "").await.text(), "fine");
        assert_eq!(connections(), 1, "the second request takes the kept connection");

        // A GET is sent again on a fresh connection, once.
        assert_eq!(world.get("/services/x/second", "").await.status, 503);
        assert_eq!((connections(), upstream.seen()), (2, 4));

        // What may have had an effect is not.
        assert_eq!(world.get("/services/x/first", "").await.text(), "fine");
        let mut client = world.client().await;
        client
            .send("POST /services/x/second HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx")
            .await;
        assert_eq!(client.response().await.status, 503);
        assert_eq!((connections(), upstream.seen()), (3, 6));
    });
}

#[test]
fn a_get_on_a_stale_connection_is_answered_by_a_fresh_one() {
    run(async {
        let count = AtomicUsize::new(0);
        let upstream = Upstream::new(move |_| match count.fetch_add(1, Ordering::Relaxed) {
            1 => Reply::SayAndClose(Vec::new()),
            _ => Reply::Say(ok("fine")),
        })
        .await;
        let world = World::new().await;
        service(&world, &upstream).await;
        assert_eq!(world.get("/services/x/", "").await.text(), "fine");
        assert_eq!(world.get("/services/x/", "").await.text(), "fine");
        assert_eq!((upstream.connections.load(Ordering::Relaxed), upstream.seen()), (2, 3));
    });
}

#[test]
fn requests_wait_for_a_hub_that_is_just_restarting_and_then_say_so() {
    run(async {
        let mut world = World::new().await;
        world.hub.stop().await;
        let asked = Instant::now();
        let response = world.get("/hub/home", "Accept: text/html\r\n").await;
        assert!(asked.elapsed() > Duration::from_secs(4), "no patience");
        assert_eq!(response.status, 503);
        assert!(response.text().contains("The hub is being updated"));
        assert_eq!(response.field("retry-after").as_deref(), Some("5"));
    });
}

#[test]
fn activity_moves_as_configurable_http_proxy_moves_it() {
    run(async {
        let upstream = Upstream::new(|request| {
            Reply::Say(if request.head.contains("/good") {
                ok("fine")
            } else {
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into()
            })
        })
        .await;
        let world = World::new().await;
        service(&world, &upstream).await;
        let clock = async || {
            let record = world.api("GET", "/api/routes/services/x", "").await.json();
            record["last_activity"].as_str().unwrap().to_owned()
        };
        // The clock of milliseconds has moved on when a fresh stamp differs.
        let pass_a_moment = async || {
            let before = clock().await;
            let other = json!({"target": upstream.url()});
            while {
                world.api_json("POST", "/api/routes/services/y", &other).await;
                let y = world.api("GET", "/api/routes/services/y", "").await.json();
                y["last_activity"].as_str().unwrap() <= before.as_str()
            } {}
            before
        };
        let before = pass_a_moment().await;
        world.get("/services/x/bad", "").await;
        assert_eq!(clock().await, before, "a 404 is no activity");
        world.get("/services/x/good", "").await;
        assert!(clock().await > before, "a good answer is");
        let before = pass_a_moment().await;
        let mut client = world.client().await;
        client.send("POST /services/x/bad HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx").await;
        assert_eq!(client.response().await.status, 404);
        assert!(clock().await > before, "bytes of a body are, whatever the answer");
    });
}
