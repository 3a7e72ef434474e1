//! Websockets end with the login or token that opened them.

use berth_proxy::hub_away::hash;
use berth_proxy::persist::hex;
use serde_json::json;
use tokio::net::TcpStream;

use crate::world::{Client, Host, World, run};

const REVOKED: [u8; 4] = [0x88, 0x02, 0x11, 0x31];

async fn open(world: &World, query: &str, fields: &str) -> Client<TcpStream> {
    let mut client = world.client().await;
    client
        .send(&format!(
            "GET /user/alice/ws{query} HTTP/1.1\r\nHost: hub.example\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nOrigin: http://hub.example\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: x\r\n{fields}\r\n"
        ))
        .await;
    client
}

#[test]
fn a_logout_or_a_revoked_token_closes_what_it_opened_and_nothing_else() {
    run(async {
        let world = World::new().await;
        let host = Host::echo(&world.authority).await;
        world.alice(&host, 7).await;
        let shown = [
            ("", "Cookie: a=b; __Host-berth=one; x=y\r\n", "one"),
            ("", "Cookie: berth-session=two\r\n", "two"),
            ("", "Authorization: token three\r\n", "three"),
            ("?a=1&token=fo%75r", "", "four"),
        ];
        let mut sockets = Vec::new();
        for (query, fields, _) in shown {
            let mut socket = open(&world, query, fields).await;
            assert_eq!(socket.response().await.status, 101);
            sockets.push(socket);
        }
        let mut other = open(&world, "", "Cookie: __Host-berth=other\r\n").await;
        assert_eq!(other.response().await.status, 101);
        for ((query, fields, secret), mut socket) in shown.into_iter().zip(sockets) {
            let body = json!({"tokens": [hex(&hash(secret.as_bytes()))]});
            let done = world.api_json("POST", "/api/berth/revoke", &body).await.json();
            assert_eq!(done["closed"], 1, "{secret}");
            assert_eq!(socket.rest().await, REVOKED, "{secret}");
            // It does not come in again.
            assert_eq!(open(&world, query, fields).await.response().await.status, 403);
        }
        other.send("ping").await;
        assert_eq!(other.bytes(4).await, b"ping");
    });
}
