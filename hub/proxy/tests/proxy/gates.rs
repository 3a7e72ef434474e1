//! The policy `berth` from outside: what is refused, dropped, added and believed, and which change of
//! a route ends what.

use berth_proto::tunnel::Status;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use crate::world::{Client, Host, Reply, Upstream, World, field, ok, run};

const PING: &[u8] = b"\x82\x04ping";
const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

async fn handshake(world: &World, path: &str, fields: &str) -> (u16, Client<TcpStream>) {
    let mut client = world.client().await;
    client
        .send(&format!(
            "GET {path} HTTP/1.1\r\nHost: hub.example\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n{fields}\r\n"
        ))
        .await;
    (client.response().await.status, client)
}

#[test]
fn fields_by_which_clients_could_make_containers_believe_something_are_dropped() {
    run(async {
        let world = World::new().await;
        let host = Host::echo(&world.authority).await;
        world.alice(&host, 7).await;
        for (sent, name, expected) in [
            ("X-Forwarded-For: 6.6.6.6", "x-forwarded-for", Some("127.0.0.1")),
            ("X-Forwarded-Proto: https", "x-forwarded-proto", Some("http")),
            ("X-Forwarded-Host: evil", "x-forwarded-host", Some("hub.example")),
            ("X-Forwarded-Port: 1", "x-forwarded-port", Some("80")),
            ("Forwarded: for=6.6.6.6", "forwarded", None),
            ("X-Real-Ip: 6.6.6.6", "x-real-ip", None),
            ("X-Remote-User: root", "x-remote-user", None),
            ("X-Berth-User: root", "x-berth-user", None),
            ("x-berth-anything: 1", "x-berth-anything", None),
            ("Keep-Alive: 5", "keep-alive", None),
            ("Proxy-Connection: x", "proxy-connection", None),
            ("Proxy-Authorization: x", "proxy-authorization", None),
            ("Connection: x-hop\r\nX-Hop: 1", "x-hop", None),
            ("Connection: host", "host", Some("hub.example")),
            ("Connection: cookie\r\nCookie: a=1", "cookie", Some("a=1")),
            (
                "Connection: authorization\r\nAuthorization: token t",
                "authorization",
                Some("token t"),
            ),
            ("Authorization: token t", "authorization", Some("token t")),
            ("Accept-Encoding: br", "accept-encoding", Some("br")),
            ("X-Own: 1", "x-own", Some("1")),
        ] {
            let text = world.get("/user/alice/x", &format!("{sent}\r\n")).await.text();
            assert_eq!(field(&text, name).as_deref(), expected, "{sent}");
        }
    });
}

#[test]
fn a_trusted_proxys_word_on_its_clients_counts() {
    run(async {
        let world = World::configured(Upstream::echo().await, |config| {
            config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        })
        .await;
        let claims = "X-Forwarded-For: 1.1.1.1, 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\
                      X-Forwarded-Host: nb.example\r\nX-Forwarded-Port: 8443\r\n";
        let text = world.get("/hub/x", claims).await.text();
        for (name, expected) in [
            // The last is what the trusted one has seen itself.
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "nb.example"),
            ("x-forwarded-port", "8443"),
        ] {
            assert_eq!(field(&text, name).as_deref(), Some(expected), "{name}");
        }
    });
}

#[test]
fn websockets_pass_for_our_origins_whole_and_for_tokens_only() {
    run(async {
        let world = World::configured(Upstream::echo().await, |config| {
            config.origins = vec!["https://desk.example".into()];
        })
        .await;
        let host = Host::echo(&world.authority).await;
        world.alice(&host, 7).await;
        for (path, fields, expected) in [
            ("/user/alice/ws", "Origin: http://hub.example\r\n", 101),
            ("/user/alice/ws", "Origin: https://desk.example\r\n", 101),
            ("/user/alice/proxy/8080/ws", "Origin: http://hub.example\r\n", 101),
            ("/user/alice/proxy/8080/ws", "Origin: http://evil.example\r\n", 403),
            ("/user/alice/ws", "Origin: https://hub.example\r\n", 403),
            ("/user/alice/ws", "Origin: http://hub.example:8000\r\n", 403),
            ("/user/alice/ws", "Origin: http://hub.example.evil\r\n", 403),
            ("/user/alice/ws", "Origin: http://evil/hub.example\r\n", 403),
            ("/user/alice/ws", "Origin: https://desk.example.evil\r\n", 403),
            ("/user/alice/ws", "Origin: https://xdesk.example\r\n", 403),
            ("/user/alice/ws", "Origin: null\r\n", 403),
            ("/user/alice/ws", "Origin: \r\n", 403),
            ("/user/alice/ws", "Origin: http://hub.example\r\nOrigin: http://evil\r\n", 403),
            ("/user/alice/ws", "", 403),
            ("/user/alice/ws?token=t", "", 101),
            ("/user/alice/ws?token=", "", 403),
            ("/user/alice/ws?xtoken=t", "", 403),
            ("/user/alice/ws", "Authorization: Bearer t\r\n", 101),
            ("/user/alice/ws?token=t", "Origin: http://evil.example\r\n", 403),
        ] {
            assert_eq!(handshake(&world, path, fields).await.0, expected, "{path} {fields}");
        }
    });
}

#[test]
fn the_hub_is_not_changed_from_elsewhere() {
    run(async {
        let world = World::new().await;
        let host = Host::echo(&world.authority).await;
        world.alice(&host, 7).await;
        for (method, path, fields, expected) in [
            ("GET", "/hub/home", "Sec-Fetch-Site: cross-site\r\n", 200),
            ("POST", "/hub/login", "Sec-Fetch-Site: same-origin\r\n", 200),
            ("POST", "/hub/login", "Sec-Fetch-Site: cross-site\r\n", 403),
            ("POST", "/hub/login", "Sec-Fetch-Site: same-site\r\n", 403),
            ("DELETE", "/hub/api/users/a", "Sec-Fetch-Site: none\r\n", 403),
            ("POST", "/hub/spawn", "Referer: http://hub.example/user/bob/lab\r\n", 403),
            ("POST", "/hub/spawn", "Referer: http://hub.example/hub/home\r\n", 200),
            ("POST", "/hub/api/x", "", 200),
            // A notebook's own requests are its own matter.
            ("POST", "/user/alice/api", "Sec-Fetch-Site: cross-site\r\n", 200),
        ] {
            let mut client = world.client().await;
            client
                .send(&format!(
                    "{method} {path} HTTP/1.1\r\nHost: hub.example\r\nContent-Length: 0\r\n{fields}\r\n"
                ))
                .await;
            assert_eq!(client.response().await.status, expected, "{method} {path} {fields}");
        }
    });
}

#[test]
fn answers_carry_what_protects_pages_of_one_origin() {
    run(async {
        let own = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nReferrer-Policy: no-referrer\r\n\
                   Content-Security-Policy: frame-ancestors 'none'\r\n\r\n";
        let upstream = Upstream::new(move |_| Reply::Say(own.into())).await;
        let world = World::new().await;
        let record = json!({"target": upstream.url()});
        world.api_json("POST", "/api/routes/services/x", &record).await;
        for (path, name, expected) in [
            ("/hub/x", "x-content-type-options", Some("nosniff")),
            ("/hub/x", "referrer-policy", Some("same-origin")),
            ("/hub/x", "content-security-policy", Some("frame-ancestors 'self'")),
            ("/hub/x", "strict-transport-security", None),
            ("/services/x", "x-content-type-options", Some("nosniff")),
            ("/services/x", "referrer-policy", Some("no-referrer")),
            ("/services/x", "content-security-policy", Some("frame-ancestors 'none'")),
            ("/%", "x-content-type-options", Some("nosniff")),
        ] {
            let answer = world.get(path, "").await;
            assert_eq!(answer.field(name).as_deref(), expected, "{path} {name}");
        }
    });
}

#[test]
fn pages_of_our_own_echo_nothing_and_know_who_reads_them() {
    run(async {
        let world = World::new().await;
        let dead = json!({"target": "http://127.0.0.1:1"});
        world.api_json("POST", "/api/routes/services/dead", &dead).await;
        for (path, accept, status, kind) in [
            ("/%zzscript", "text/html", 400, "text/html; charset=utf-8"),
            ("/services/dead/%3Cscript%3E", "text/html", 503, "text/html; charset=utf-8"),
            ("/services/dead/x", "application/json", 503, "application/json"),
        ] {
            let fields = format!("Accept: {accept}\r\nX-Evil: <script>\r\n");
            let answer = world.get(path, &fields).await;
            assert_eq!(answer.status, status, "{path}");
            assert_eq!(answer.field("content-type").as_deref(), Some(kind), "{path}");
            assert!(!answer.text().contains("script"), "{}", answer.text());
            assert_eq!(answer.field("cache-control").as_deref(), Some("no-store"));
        }
        assert!(world.get("/services/dead/x", "").await.field("retry-after").is_some());
    });
}

#[test]
fn generations_decide_what_a_change_ends() {
    run(async {
        let world = World::new().await;
        let host = Host::echo(&world.authority).await;
        host.set(8, Status::Ok);
        world.alice(&host, 7).await;
        let token = "Authorization: token t\r\n";
        let (status, mut socket) = handshake(&world, "/user/alice/ws", token).await;
        assert_eq!(status, 101);
        let path = "/api/routes/user/alice";
        // The same again, another field, a lower one, a late stop: it stays open.
        let mut renamed = host.record(7);
        renamed["user"] = json!("alice2");
        for (method, path, body, status) in [
            ("POST", path.to_owned(), host.record(7), 201),
            ("POST", path.to_owned(), renamed, 201),
            ("POST", path.to_owned(), host.record(6), 409),
            ("DELETE", format!("{path}?generation=6"), json!(null), 409),
            ("DELETE", format!("{path}?generation=x"), json!(null), 400),
        ] {
            let answer = world.api_json(method, &path, &body).await;
            assert_eq!(answer.status, status, "{method} {path} {body}");
            socket.send_bytes(PING).await;
            assert_eq!(socket.bytes(6).await, PING, "{method} {path} {body}");
        }
        let refused = world.api_json("POST", path, &host.record(6)).await.json();
        assert_eq!(refused["generation"], 7);
        assert_eq!(world.api_json("POST", path, &host.record(8)).await.status, 201);
        assert_eq!(socket.rest().await, GOING_AWAY);
        let (status, mut newer) = handshake(&world, "/user/alice/ws", token).await;
        assert_eq!(status, 101);
        assert_eq!(world.api("DELETE", &format!("{path}?generation=8"), "").await.status, 204);
        assert_eq!(newer.rest().await, GOING_AWAY);
    });
}

#[test]
fn a_request_under_way_may_end_after_its_route() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let world = World::new().await;
        let record = json!({"target": format!("http://{}", listener.local_addr().unwrap())});
        world.api_json("POST", "/api/routes/services/x", &record).await;
        let mut client = world.client().await;
        client.send("GET /services/x HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut peer = Client::new(listener.accept().await.unwrap().0);
        peer.head().await.unwrap();
        assert_eq!(world.api("DELETE", "/api/routes/services/x", "").await.status, 204);
        peer.send_bytes(&ok("late")).await;
        assert_eq!(client.response().await.short(), "200 late");
        // Its connection is not kept for anybody.
        assert_eq!(peer.rest().await, b"");
    });
}

#[test]
fn what_hosts_say_against_a_route_reaches_the_hub_until_they_serve_again() {
    run(async {
        let world = World::new().await;
        let host = Host::echo(&world.authority).await;
        world.alice(&host, 7).await;
        let mut seq = 0;
        let mut heard = async || {
            seq += 1;
            let body = json!({"epoch": 1, "seq": seq, "routes": {}});
            let answer = world.api_json("PUT", "/api/berth/routes", &body).await.json();
            answer.get("doubtful").cloned().unwrap_or(json!([]))
        };
        assert_eq!(heard().await, json!([]));
        let said = |what: &str| {
            let server = crate::world::SERVER;
            json!([{"path": "/user/alice", "server": server, "generation": 7, "host_says": what}])
        };
        for (status, expected) in [
            (Status::NotReady, json!([])),
            (Status::WrongGeneration, said("wrong_generation")),
            (Status::Gone, said("gone")),
            // Not ready is no word against the route, and none for it.
            (Status::NotReady, said("gone")),
            (Status::Ok, json!([])),
        ] {
            host.set(7, status);
            world.get("/user/alice/x", "Accept: application/json\r\n").await;
            assert_eq!(heard().await, expected, "{status:?}");
        }
        // It stays a route all the while.
        assert_eq!(world.api("GET", "/api/routes/user/alice", "").await.status, 200);
    });
}

#[test]
fn odd_forms_of_a_path_are_refused_and_plain_ones_pass_as_they_are() {
    run(async {
        let world = World::new().await;
        let host = Host::echo(&world.authority).await;
        world.alice(&host, 7).await;
        for path in [
            "//user/alice",
            "/user/alice/..",
            "/user/alice/../bob",
            "/user/alice/%2e%2e/bob",
            "/user/alice/%2E./bob",
            "/user/alice/.%2e",
            "/user\\alice",
            "/user/alice/%",
            "/user/alice/%2",
            "/user/alice/%zz",
            "/user/alice/%00",
            "/user/alice/%0a",
        ] {
            assert_eq!(world.get(path, "").await.status, 400, "{path}");
        }
        assert_eq!(host.requests.lock().unwrap().len(), 0);
        for path in [
            "/user/alice/a%20b",
            "/user/alice/a%2Fb",
            "/user/alice/a%5Cb",
            "/user/alice/a//b",
            "/user/alice/~a",
            "/user/alice/%E7%A7%80",
            "/user/alice/a;b=c",
            "/user/alice/a+b",
            "/user/alice?..=//\\",
            "/user/%61lice/x",
        ] {
            let text = world.get(path, "").await.text();
            assert_eq!(text.lines().next().unwrap(), format!("GET {path} HTTP/1.1"));
        }
        // Segments count whole: these are the hub's.
        for path in ["/user/alicex", "/user/Alice/x", "/user%2Falice/x", "/users/alice"] {
            let seen = world.hub.seen();
            assert_eq!(world.get(path, "").await.status, 200, "{path}");
            assert_eq!(world.hub.seen(), seen + 1, "{path}");
        }
    });
}
