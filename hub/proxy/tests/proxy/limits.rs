//! What one client and one route may have at once.

use serde_json::json;
use tokio::net::TcpSocket;
use tokio::sync::mpsc;

use crate::world::{Client, Reply, SWITCH, Upstream, World, ok, run};

/// An upstream that answers `/slow…` never, websockets at once, the rest too.
async fn upstream() -> Upstream {
    Upstream::new(|request| {
        if request.head.to_ascii_lowercase().contains("upgrade: websocket") {
            return Reply::SayAndEcho(SWITCH.into());
        }
        if request.head.contains("/slow") {
            let (sender, receiver) = mpsc::channel(1);
            std::mem::forget(sender);
            return Reply::SayAndFollow(Vec::new(), receiver);
        }
        Reply::Say(ok("fine"))
    })
    .await
}

async fn client_from(world: &World, address: [u8; 4]) -> Client<tokio::net::TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    Client::new(socket.connect(world.proxy.front).await.unwrap())
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: hub.example\r\n\r\n")
}

fn handshake(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: hub.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Authorization: token x\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n"
    )
}

#[test]
fn connections_of_one_address_leave_room_for_others() {
    run(async {
        let hub = upstream().await;
        let world = World::configured(hub, |c| c.limits.client_connections = 2).await;
        let mut one = client_from(&world, [127, 0, 0, 9]).await;
        let mut two = client_from(&world, [127, 0, 0, 9]).await;
        for client in [&mut one, &mut two] {
            client.send(&get("/a")).await;
            assert_eq!(client.response().await.status, 200);
        }
        let mut three = client_from(&world, [127, 0, 0, 9]).await;
        three.send(&get("/a")).await;
        assert_eq!(three.rest().await, b"", "closed at once");
        let mut other = client_from(&world, [127, 0, 0, 8]).await;
        other.send(&get("/a")).await;
        assert_eq!(other.response().await.status, 200);
        // Room comes back.
        drop((one, two));
        loop {
            let mut again = client_from(&world, [127, 0, 0, 9]).await;
            again.send(&get("/a")).await;
            if again.try_response().await.is_some_and(|response| response.status == 200) {
                break;
            }
        }
    });
}

#[test]
fn connections_of_all_have_a_limit() {
    run(async {
        let world = World::configured(upstream().await, |c| c.limits.connections = Some(1)).await;
        let mut one = world.client().await;
        one.send(&get("/a")).await;
        assert_eq!(one.response().await.status, 200);
        let mut two = client_from(&world, [127, 0, 0, 8]).await;
        two.send(&get("/a")).await;
        assert_eq!(two.rest().await, b"");
    });
}

#[test]
fn requests_under_way_are_limited_by_client_and_by_route() {
    for (of_client, expected) in [(true, 429), (false, 503)] {
        run(async move {
            let slow = upstream().await;
            let world = World::configured(upstream().await, |c| {
                let limit = if of_client {
                    &mut c.limits.client_requests
                } else {
                    &mut c.limits.route_requests
                };
                *limit = 1;
            })
            .await;
            let record = json!({"target": slow.url()});
            world.api_json("POST", "/api/routes/user/alice", &record).await;
            let mut held = world.client().await;
            held.send(&get("/user/alice/slow")).await;
            while slow.seen() == 0 {
                tokio::task::yield_now().await;
            }
            let refused = world.get("/user/alice/a", "").await;
            assert_eq!(refused.status, expected);
            assert_eq!(refused.field("retry-after").as_deref(), Some("1"));
            let elsewhere = world.get("/hub/a", "").await.status;
            assert_eq!(elsewhere, if of_client { 429 } else { 200 });
            drop(held);
            while world.get("/user/alice/a", "").await.status != 200 {}
        });
    }
}

#[test]
fn websockets_are_limited_apart_from_requests() {
    run(async {
        let server = upstream().await;
        let hub = upstream().await;
        let world = World::configured(hub, |c| c.limits.route_websockets = 1).await;
        let record = json!({"target": server.url()});
        world.api_json("POST", "/api/routes/user/alice", &record).await;
        let mut open = world.client().await;
        open.send(&handshake("/user/alice/ws")).await;
        assert_eq!(open.response().await.status, 101);
        let mut more = world.client().await;
        more.send(&handshake("/user/alice/ws")).await;
        assert_eq!(more.response().await.status, 503);
        assert_eq!(world.get("/user/alice/a", "").await.status, 200);
        drop(open);
        loop {
            let mut again = world.client().await;
            again.send(&handshake("/user/alice/ws")).await;
            if again.response().await.status == 101 {
                break;
            }
        }
    });
}

#[test]
fn behind_a_trusted_proxy_the_clients_it_names_are_limited() {
    run(async {
        let slow = upstream().await;
        let world = World::configured(upstream().await, |c| {
            c.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
            (c.limits.client_requests, c.limits.client_connections) = (1, 1);
        })
        .await;
        let record = json!({"target": slow.url()});
        world.api_json("POST", "/api/routes/user/alice", &record).await;
        let mut held = world.client().await;
        held.send("GET /user/alice/slow HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
            .await;
        while slow.seen() == 0 {
            tokio::task::yield_now().await;
        }
        let status = async |client: &str| {
            world.get("/user/alice/a", &format!("X-Forwarded-For: {client}\r\n")).await.status
        };
        assert_eq!(status("192.0.2.1").await, 429);
        assert_eq!(status("192.0.2.2").await, 200);
    });
}
