//! The REST API of configurable-http-proxy, sentence by sentence, on the real program without a
//! configuration of ours.

use serde_json::json;
use tokio::net::TcpStream;

use crate::chp::{Started, start};
use crate::program::Program;
use crate::world::{Client, Reply, SWITCH, TOKEN, Upstream, ok, run};

const NOBODY: &str = "http://127.0.0.1:1";

async fn proxy() -> Started {
    start(&[], "http").await
}

async fn raw(started: &Started, head: &str) -> String {
    let mut client = Client::new(TcpStream::connect(started.api).await.unwrap());
    client.send(head).await;
    client.response().await.short()
}

#[test]
fn only_the_whole_token_after_the_word_opens() {
    run(async {
        let started = proxy().await;
        for (authorization, status) in [
            (format!("token {TOKEN}"), "404"),
            (format!("Token {TOKEN}"), "403"),
            (format!("Bearer {TOKEN}"), "403"),
            (format!("token  {TOKEN}"), "403"),
            (format!("token {TOKEN}x"), "403"),
            (format!("token {}", &TOKEN[1..]), "403"),
            (format!("token {TOKEN}, token x"), "403"),
            ("token".to_owned(), "403"),
            ("token ".to_owned(), "403"),
            (String::new(), "403"),
        ] {
            let head = format!(
                "GET /api/routes/none HTTP/1.1\r\nHost: a\r\nAuthorization: {authorization}\r\n\r\n"
            );
            assert_eq!(raw(&started, &head).await, status, "{authorization}");
        }
        let none = "GET /api/routes HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(raw(&started, none).await, "403");
        let doubled = format!(
            "GET /api/routes HTTP/1.1\r\nHost: a\r\nAuthorization: token {TOKEN}\r\n\
             Authorization: token {TOKEN}\r\n\r\n"
        );
        assert_eq!(raw(&started, &doubled).await, "403");
    });
}

#[test]
fn paths_and_methods_beside_the_api_have_their_words() {
    run(async {
        let started = proxy().await;
        for (method, path, expected) in [
            ("GET", "/", "404 Not Found"),
            ("GET", "/api", "404 Not Found"),
            ("GET", "/api/", "404 Not Found"),
            ("GET", "/api/routesx", "404 Not Found"),
            ("POST", "/api/other", "404 Not Found"),
            ("GET", "/_chp_healthz", "404 Not Found"),
            ("GET", "/metrics", "404 Not Found"),
            ("PUT", "/api/routes/a", "405 Method not supported"),
            ("PATCH", "/api/routes", "405 Method not supported"),
            ("OPTIONS", "/api/routes", "405 Method not supported"),
        ] {
            assert_eq!(started.api(method, path, "").await.short(), expected, "{method} {path}");
        }
    });
}

#[test]
fn keys_are_decoded_led_by_a_slash_and_cut_of_one() {
    run(async {
        let started = proxy().await;
        let record = json!({"target": NOBODY}).to_string();
        for (posted, key) in [
            ("/user/alice", "/user/alice"),
            ("/user/bob/", "/user/bob"),
            ("/user/%E7%A7%80%E6%A8%B9/", "/user/秀樹"),
            ("/user/has%40", "/user/has@"),
            ("/user/has@2", "/user/has@2"),
            ("/user/~TestJH", "/user/~TestJH"),
            ("/user/with%20space", "/user/with space"),
            ("/user/50%25", "/user/50%"),
            ("/constructor", "/constructor"),
            ("/__proto__", "/__proto__"),
            ("/a//b", "/a//b"),
        ] {
            let answer = started.api("POST", &format!("/api/routes{posted}"), &record).await;
            assert_eq!(answer.short(), "201", "{posted}");
            let table = started.api("GET", "/api/routes", "").await.json();
            assert!(table.get(key).is_some(), "{posted}: {table}");
            let one = started.api("GET", &format!("/api/routes{posted}"), "").await.json();
            assert_eq!(one, table[key], "{posted}");
            let gone = started.api("DELETE", &format!("/api/routes{posted}"), "").await;
            assert_eq!(gone.short(), "204", "{posted}");
        }
        assert_eq!(started.api("GET", "/api/routes", "").await.json(), json!({}));
    });
}

#[test]
fn a_record_is_kept_whole_and_replaced_whole() {
    run(async {
        let started = proxy().await;
        let first = json!({
            "target": NOBODY, "jupyterhub": true, "user": "a", "server_name": "", "service": null,
            "hub": false, "extra": {"deep": [1, 2.5, "x", null]},
        });
        started.api("POST", "/api/routes/a", &first.to_string()).await;
        let mut found = started.api("GET", "/api/routes/a", "").await.json();
        assert!(found.as_object_mut().unwrap().remove("last_activity").is_some());
        assert_eq!(found, first);
        started.api("POST", "/api/routes/a", &json!({"target": NOBODY, "b": 1}).to_string()).await;
        let mut found = started.api("GET", "/api/routes/a", "").await.json();
        found.as_object_mut().unwrap().remove("last_activity");
        assert_eq!(found, json!({"target": NOBODY, "b": 1}));
    });
}

#[test]
fn a_post_is_activity_whatever_its_body_says() {
    run(async {
        let started = proxy().await;
        let record = json!({"target": NOBODY, "last_activity": "2001-01-01T00:00:00.000Z"});
        let at = async |started: &Started| {
            let found = started.api("GET", "/api/routes/a", "").await.json();
            found["last_activity"].as_str().unwrap().to_owned()
        };
        started.api("POST", "/api/routes/a", &record.to_string()).await;
        let first = at(&started).await;
        assert!(first.as_str() > "2020" && first.len() == 24 && first.ends_with('Z'), "{first}");
        // The clock has milliseconds: the next one that differs is later.
        let mut again = first.clone();
        while again == first {
            started.api("POST", "/api/routes/a", &record.to_string()).await;
            again = at(&started).await;
        }
        assert!(again > first);
    });
}

#[test]
fn inactivity_is_asked_for_as_javascript_reads_dates() {
    run(async {
        let started = proxy().await;
        started.api("POST", "/api/routes/a", &json!({"target": NOBODY}).to_string()).await;
        for name in ["inactive_since", "inactiveSince"] {
            for (date, found) in [
                ("", Some(1)),
                ("2100", Some(1)),
                ("2100-01", Some(1)),
                ("2100-01-01", Some(1)),
                ("2000", Some(0)),
                ("2000-12-31", Some(0)),
                ("2100-01-01T00:00", Some(1)),
                ("2100-01-01T00:00:00Z", Some(1)),
                ("2100-01-01T00:00:00.5Z", Some(1)),
                ("2000-01-01T00:00:00.123456Z", Some(0)),
                ("2100-01-01T00:00:00%2B02:00", Some(1)),
                ("yesterday", None),
                ("2100-13", None),
                ("2100-01-32", None),
                ("21000", None),
            ] {
                let answer = started.api("GET", &format!("/api/routes?{name}={date}"), "").await;
                match found {
                    Some(count) => {
                        assert_eq!(answer.json().as_object().unwrap().len(), count, "{date}");
                    }
                    None => assert_eq!(
                        answer.short(),
                        format!("400 Invalid datestamp '{date}' must be ISO8601.")
                    ),
                }
            }
        }
    });
}

#[test]
fn bodies_that_are_no_record_say_why() {
    run(async {
        let started = proxy().await;
        for (body, expected) in [
            ("", "400 Body not valid JSON:"),
            ("{", "400 Body not valid JSON:"),
            ("target=x", "400 Body not valid JSON:"),
            ("{}", "400 Must specify 'target' as string"),
            ("null", "400 Must specify 'target' as string"),
            ("[]", "400 Must specify 'target' as string"),
            (r#""text""#, "400 Must specify 'target' as string"),
            (r#"{"target": null}"#, "400 Must specify 'target' as string"),
            (r#"{"target": ["http://a"]}"#, "400 Must specify 'target' as string"),
        ] {
            let answer = started.api("POST", "/api/routes/a", body).await.short();
            assert!(answer.starts_with(expected), "{body}: {answer}");
        }
        assert_eq!(started.api("GET", "/api/routes", "").await.json(), json!({}));
    });
}

#[test]
fn the_root_is_posted_and_deleted_with_or_without_its_slash() {
    run(async {
        let started = proxy().await;
        let record = json!({"target": NOBODY}).to_string();
        for (post, delete) in [
            ("/api/routes", "/api/routes"),
            ("/api/routes/", "/api/routes/"),
            ("/api/routes", "/api/routes/"),
        ] {
            assert_eq!(started.api("POST", post, &record).await.short(), "201");
            let table = started.api("GET", "/api/routes/", "").await.json();
            assert_eq!(table.as_object().unwrap().keys().collect::<Vec<_>>(), ["/"]);
            assert_eq!(started.api("DELETE", delete, "").await.short(), "204");
            assert_eq!(started.api("DELETE", delete, "").await.short(), "404");
        }
    });
}

#[test]
fn children_stay_when_their_parent_goes() {
    run(async {
        let upstream = Upstream::new(|_| Reply::Say(ok("child"))).await;
        let started = proxy().await;
        let record = json!({"target": upstream.url()}).to_string();
        started.api("POST", "/api/routes/a", &record).await;
        started.api("POST", "/api/routes/a/b", &record).await;
        assert_eq!(started.api("DELETE", "/api/routes/a", "").await.short(), "204");
        assert_eq!(started.get("/a/b/c", "").await.short(), "200 child");
        assert_eq!(started.get("/a/x", "").await.status, 404);
    });
}

#[test]
fn a_connection_carries_many_calls_and_many_connections_call_at_once() {
    run(async {
        let started = proxy().await;
        let mut client = Client::new(TcpStream::connect(started.api).await.unwrap());
        for number in 0..20 {
            let body = json!({"target": NOBODY}).to_string();
            client
                .send(&format!(
                    "POST /api/routes/u{number} HTTP/1.1\r\nHost: a\r\nAuthorization: token {TOKEN}\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                ))
                .await;
            assert_eq!(client.response().await.short(), "201");
        }
        // All ask before any is answered.
        let mut clients = Vec::new();
        for _ in 0..10 {
            let mut client = Client::new(TcpStream::connect(started.api).await.unwrap());
            client
                .send(&format!(
                    "GET /api/routes HTTP/1.1\r\nHost: a\r\nAuthorization: token {TOKEN}\r\n\r\n"
                ))
                .await;
            clients.push(client);
        }
        for mut client in clients {
            assert_eq!(client.response().await.json().as_object().unwrap().len(), 20);
        }
    });
}

#[test]
fn posting_a_route_again_leaves_its_websockets_open() {
    run(async {
        let upstream = Upstream::new(|_| Reply::SayAndEcho(SWITCH.into())).await;
        let started = proxy().await;
        let record = json!({"target": upstream.url()}).to_string();
        started.api("POST", "/api/routes/ws", &record).await;
        let mut client = Client::new(TcpStream::connect(started.front).await.unwrap());
        client
            .send(
                "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n",
            )
            .await;
        assert_eq!(client.response().await.status, 101);
        for body in [record, json!({"target": upstream.url(), "user": "a"}).to_string()] {
            assert_eq!(started.api("POST", "/api/routes/ws", &body).await.short(), "201");
            client.send_bytes(b"\x82\x04ping").await;
            assert_eq!(client.bytes(6).await, b"\x82\x04ping");
        }
        // Another target is another server: what was open ends.
        let other = json!({"target": NOBODY}).to_string();
        started.api("POST", "/api/routes/ws", &other).await;
        assert_eq!(client.rest().await, [0x88, 0x02, 0x03, 0xe9]);
    });
}

#[test]
fn the_log_has_a_line_for_each_call_and_each_failure() {
    run(async {
        let mut started = proxy().await;
        let record = json!({"target": NOBODY}).to_string();
        started.api("POST", "/api/routes/a?secret=1", &record).await;
        started.get("/a/x?secret=2", "").await;
        started.get("/nowhere?secret=3", "").await;
        started.api("GET", "/api/routes/none", "").await;
        started.api("DELETE", "/api/routes/a", "").await;
        for expected in [
            "info: Route added /a -> http://127.0.0.1:1",
            "info: 201 POST /api/routes/a",
            "error: 503 GET /a/x",
            "error: 404 GET /nowhere",
            "warn: 404 GET /api/routes/none",
            "info: Removing route /a",
            "info: 204 DELETE /api/routes/a",
        ] {
            let line = next_of(&mut started.program, expected).await;
            assert!(line.contains(" [ConfigProxy] "), "{line}");
        }
    });
}

/// The next line that ends with this; none before it holds a query.
async fn next_of(program: &mut Program, end: &str) -> String {
    loop {
        let line = program.line("[ConfigProxy]").await;
        assert!(!line.contains("secret"), "{line}");
        if line.ends_with(end) {
            return line;
        }
    }
}
