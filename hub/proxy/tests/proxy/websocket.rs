//! Websockets: the gates, the bytes, the ends.

use std::time::Duration;

use berth_proto::tunnel::Status;
use tokio::net::TcpStream;

use crate::world::{Client, Host, Reply, SWITCH, Upstream, World, run};

const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

fn handshake(fields: &str) -> String {
    format!(
        "GET /user/alice/api/kernels/1/channels HTTP/1.1\r\nHost: hub.example\r\n\
         Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: x\r\nSec-WebSocket-Protocol: v1.kernel\r\n{fields}\r\n"
    )
}

const OURS: &str = "Origin: http://hub.example\r\n";

async fn open(world: &World) -> Client<TcpStream> {
    let mut client = world.client().await;
    client.send(&handshake(OURS)).await;
    let head = client.head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    client
}

#[test]
fn bytes_go_both_ways_and_none_before_the_101() {
    run(async {
        let world = World::new().await;
        let host = Host::echo(&world.authority).await;
        world.alice(&host, 7).await;
        let mut client = world.client().await;
        // Bytes right behind the handshake are kept and delivered.
        client.send(&(handshake(OURS) + "early")).await;
        let head = client.head().await.unwrap().to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert!(
            head.contains("connection: upgrade\r\n") && head.contains("upgrade: websocket\r\n")
        );
        assert!(head.contains("sec-websocket-accept: x\r\n"));
        assert_eq!(client.bytes(5).await, b"early");
        let big: Vec<u8> = (0..3_000_000_u32).map(|i| i.to_le_bytes()[0]).collect();
        let (mut read, mut write) = tokio::io::split(client.stream);
        let sent = big.clone();
        let writing = tokio::spawn(async move {
            tokio::io::AsyncWriteExt::write_all(&mut write, &sent).await.unwrap();
            write
        });
        let mut back = vec![0; big.len()];
        tokio::io::AsyncReadExt::read_exact(&mut read, &mut back).await.unwrap();
        assert!(back == big);
        writing.await.unwrap();
        let up = host.requests.lock().unwrap()[0].head.to_ascii_lowercase();
        assert!(up.contains("connection: upgrade\r\n") && up.contains("upgrade: websocket\r\n"));
        assert!(up.contains("sec-websocket-protocol: v1.kernel\r\n"), "{up}");
    });
}

#[test]
fn a_refused_handshake_is_an_answer_and_its_early_bytes_are_a_request() {
    run(async {
        let upstream = Upstream::new(|request| {
            Reply::Say(if request.head.contains("/channels") {
                b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".into()
            } else {
                crate::world::ok(&request.head)
            })
        })
        .await;
        let world = World::new().await;
        let record = serde_json::json!({"target": upstream.url()});
        world.api_json("POST", "/api/routes/user/alice", &record).await;
        let mut client = world.client().await;
        // The bytes behind it go through the same checks as any request: this one is sound, the
        // next is not.
        let next = "GET /user/alice/next HTTP/1.1\r\nHost: hub.example\r\n\r\n";
        client.send(&format!("{}{next}GET /x HTTP/1.1\r\n\r\n", handshake(OURS))).await;
        assert_eq!(client.response().await.short(), "403 no");
        assert!(client.response().await.text().starts_with("GET /user/alice/next"));
        assert_eq!(client.response().await.status, 400);
        assert_eq!(upstream.seen(), 2);
    });
}

#[test]
fn foreign_pages_and_programs_without_a_token_are_refused() {
    run(async {
        let world = World::new().await;
        let host = Host::echo(&world.authority).await;
        world.alice(&host, 7).await;
        for (fields, expected) in [
            ("Origin: http://evil.example\r\n", 403),
            ("Origin: http://hub.example.evil.example\r\n", 403),
            ("Origin: null\r\n", 403),
            ("", 403),
            ("Authorization: token t\r\n", 101),
            (OURS, 101),
        ] {
            let mut client = world.client().await;
            client.send(&handshake(fields)).await;
            assert_eq!(client.response().await.status, expected, "{fields}");
        }
        assert_eq!(host.requests.lock().unwrap().len(), 2);
    });
}

#[test]
fn the_routes_end_says_going_away() {
    run(async {
        let world = World::new().await;
        let host = Host::echo(&world.authority).await;
        world.alice(&host, 7).await;
        let mut kept = open(&world).await;
        // The same record again touches nothing.
        world.alice(&host, 7).await;
        kept.send("ping").await;
        assert_eq!(kept.bytes(4).await, b"ping");
    });
    run(async {
        let world = World::new().await;
        let host = Host::echo(&world.authority).await;
        world.alice(&host, 7).await;
        let mut old = open(&world).await;
        host.set(8, Status::Ok);
        world.alice(&host, 8).await;
        assert_eq!(old.rest().await, GOING_AWAY, "a new generation");
        let mut old = open(&world).await;
        assert_eq!(world.api("DELETE", "/api/routes/user/alice", "").await.status, 204);
        assert_eq!(old.rest().await, GOING_AWAY, "a stop");
    });
}

#[test]
fn a_close_never_falls_into_a_frame() {
    run(async {
        // The server has begun a frame of 5 bytes and sent 2 of them.
        let upstream = Upstream::new(|_| {
            Reply::SayAndEcho([SWITCH.as_bytes(), &[0x81, 5, b'h', b'e']].concat())
        })
        .await;
        let world = World::new().await;
        let record = serde_json::json!({"target": upstream.url()});
        world.api_json("POST", "/api/routes/user/alice", &record).await;
        let mut client = open(&world).await;
        assert_eq!(client.bytes(4).await, [0x81, 5, b'h', b'e']);
        world.api("DELETE", "/api/routes/user/alice", "").await;
        assert_eq!(client.rest().await, b"");
    });
}

#[test]
fn the_proxys_end_says_going_away_and_does_not_wait_for_tabs() {
    run(async {
        let world = World::new().await;
        let host = Host::echo(&world.authority).await;
        world.alice(&host, 7).await;
        let mut client = open(&world).await;
        let before = std::time::Instant::now();
        world.proxy.stop().await;
        assert_eq!(client.rest().await, GOING_AWAY);
        assert!(before.elapsed() < Duration::from_secs(4), "{:?}", before.elapsed());
    });
}

#[test]
fn a_server_that_closes_closes_the_client() {
    run(async {
        let upstream =
            Upstream::new(|_| Reply::SayAndClose([SWITCH.as_bytes(), b"bye"].concat())).await;
        let world = World::new().await;
        let record = serde_json::json!({"target": upstream.url()});
        world.api_json("POST", "/api/routes/user/alice", &record).await;
        let mut client = open(&world).await;
        assert_eq!(client.rest().await, b"bye");
    });
}

#[test]
fn bytes_of_the_client_are_activity_and_bytes_of_the_server_are_not() {
    run(async {
        let (sender, receiver) = tokio::sync::mpsc::channel::<Vec<u8>>(1);
        let receiver = std::sync::Mutex::new(Some(receiver));
        let upstream = Upstream::new(move |_| {
            Reply::SayAndFollow(SWITCH.into(), receiver.lock().unwrap().take().unwrap())
        })
        .await;
        let world = World::new().await;
        let record = serde_json::json!({"target": upstream.url()});
        world.api_json("POST", "/api/routes/user/alice", &record).await;
        let clocks = async || {
            let table = world.api("GET", "/api/berth/routes", "").await.json();
            let route = table["routes"]["/user/alice"].clone();
            let text = |name: &str| route[name].as_str().unwrap_or_default().to_owned();
            (text("last_activity"), text("last_client_bytes"), text("last_server_bytes"))
        };
        let posted = clocks().await;
        assert_eq!((posted.1.as_str(), posted.2.as_str()), ("", ""));
        let mut client = open(&world).await;
        assert_eq!(clocks().await, posted, "opening is no activity");
        sender.send(b"\x81\x02hi".to_vec()).await.unwrap();
        assert_eq!(client.bytes(4).await, b"\x81\x02hi");
        let heard = clocks().await;
        assert_eq!(heard.0, posted.0, "what the server says is no activity");
        assert!(!heard.2.is_empty());
        client.send("\u{9}\0").await;
        // The test's own limit bounds the wait.
        while clocks().await.0 == posted.0 {
            tokio::task::yield_now().await;
        }
        assert!(!clocks().await.1.is_empty());
    });
}
