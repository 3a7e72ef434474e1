//! Many websockets whose server speaks first: the race of the 101 and the first frame, in which
//! other proxies lose some (pingora #946).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::mutation::share;
use crate::world::{Reply, SWITCH, Upstream, World, run_long};

const HELLO: &[u8] = b"\x82\x05hello";

#[test]
fn no_handshake_and_no_first_frame_is_lost() {
    run_long(async {
        let upstream =
            Upstream::new(|_| Reply::SayAndEcho([SWITCH.as_bytes(), HELLO].concat())).await;
        let world = Arc::new(World::new().await);
        let record = json!({"target": upstream.url()});
        world.api_json("POST", "/api/routes/user/alice", &record).await;
        let (total, at_once) = (share(2_000, 20_000), share(500, 2_000));
        let open = Arc::new(Semaphore::new(at_once));
        let most = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for number in 0..total {
            let place = open.clone().acquire_owned().await.unwrap();
            most.fetch_max(at_once - open.available_permits(), Ordering::Relaxed);
            let world = world.clone();
            tasks.spawn(async move {
                let mut client = world.client().await;
                let early = format!("early {number}");
                client
                    .send(&format!(
                        "GET /user/alice/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
                         Upgrade: websocket\r\nAuthorization: token x\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n{early}"
                    ))
                    .await;
                let head = client.head().await.expect("the handshake is lost");
                assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
                let mut back = vec![0; HELLO.len() + early.len()];
                client.stream.read_exact(&mut back).await.expect("the first frame is lost");
                assert_eq!(back, [HELLO, early.as_bytes()].concat());
                drop(place);
            });
        }
        let done = tasks.join_all().await.len();
        assert_eq!((done, upstream.seen()), (total, total));
        assert!(most.load(Ordering::Relaxed) > at_once / 2);
    });
}
