//! How messages end: trailers, half-closed connections, clients that leave.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{Client, World, ok, run};

/// A service whose other end the test plays by hand.
struct Service(TcpListener);

impl Service {
    async fn of(world: &World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let record = json!({"target": format!("http://{}", listener.local_addr().unwrap())});
        assert_eq!(world.api_json("POST", "/api/routes/services/x", &record).await.status, 201);
        Self(listener)
    }

    /// The next connection, of which one head has been read.
    async fn asked(&self) -> Client<TcpStream> {
        let mut peer = Client::new(self.0.accept().await.unwrap().0);
        peer.head().await.unwrap();
        peer
    }
}

/// A client that has asked for the service.
async fn asking(world: &World) -> Client<TcpStream> {
    let mut client = world.client().await;
    client.send("GET /services/x/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client
}

#[test]
fn trailers_pass_both_ways() {
    run(async {
        let world = World::new().await;
        let service = Service::of(&world).await;
        let upstream = tokio::spawn(async move {
            let (mut stream, _) = service.0.accept().await.unwrap();
            let mut got = Vec::new();
            while !got.ends_with(b"\r\n\r\n") || !got.windows(5).any(|end| end == b"\r\n0\r\n") {
                got.push(stream.read_u8().await.unwrap());
            }
            stream
                .write_all(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Down\r\n\r\n\
                      2\r\nok\r\n0\r\nX-Down: 2\r\n\r\n",
                )
                .await
                .unwrap();
            String::from_utf8(got).unwrap().to_ascii_lowercase()
        });
        let mut client = world.client().await;
        client
            .send(
                "POST /services/x/ HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-Up\r\n\
                 Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Up: 1\r\n\r\n",
            )
            .await;
        let up = upstream.await.unwrap();
        assert!(up.ends_with("3\r\nabc\r\n0\r\nx-up: 1\r\n\r\n"), "{up}");
        let down = String::from_utf8(client.rest().await).unwrap().to_ascii_lowercase();
        assert!(down.ends_with("2\r\nok\r\n0\r\nx-down: 2\r\n\r\n"), "{down}");
    });
}

#[test]
fn a_client_that_closes_its_half_gets_its_answer() {
    run(async {
        let world = World::new().await;
        let service = Service::of(&world).await;
        let mut client = asking(&world).await;
        let mut peer = service.asked().await;
        client.stream.shutdown().await.unwrap();
        // Another request goes round, so that the end has surely been seen.
        assert_eq!(world.get("/hub/x", "").await.status, 200);
        peer.send_bytes(&ok("late")).await;
        assert_eq!(client.response().await.text(), "late");
        assert_eq!(client.rest().await, b"");
    });
}

#[test]
fn a_client_that_leaves_ends_its_request_upstream() {
    leave(true);
}

#[test]
fn a_client_that_closes_for_good_ends_its_request_upstream() {
    leave(false);
}

fn leave(reset: bool) {
    run(async move {
        let world = World::new().await;
        let service = Service::of(&world).await;
        let client = asking(&world).await;
        let mut peer = service.asked().await;
        let stream: TcpStream = client.stream.into_inner();
        if reset {
            stream.set_zero_linger().unwrap();
        }
        drop(stream);
        assert_eq!(peer.rest().await, b"");
    });
}

#[test]
fn a_stream_without_a_reader_does_not_fill_the_proxy() {
    run(async {
        // The upstream could send for ever; the client reads nothing. What the upstream gets rid of
        // is what the kernel's buffers and the proxy hold.
        let world = World::new().await;
        let service = Service::of(&world).await;
        let mut client = asking(&world).await;
        let mut peer = service.asked().await;
        let size = 1_000_000_000;
        peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")).await;
        client.head().await.unwrap();
        let block = vec![b'x'; 1024 * 1024];
        let mut sent = 0;
        // A write that waits for two seconds is held back.
        while let Ok(written) =
            tokio::time::timeout(std::time::Duration::from_secs(2), peer.stream.write(&block)).await
        {
            sent += written.unwrap();
            assert!(sent < 64 * 1024 * 1024, "nothing holds the upstream back");
        }
        let back = client.bytes(sent.min(1024 * 1024)).await;
        assert!(back.iter().all(|byte| *byte == b'x'));
    });
}

#[test]
fn an_unread_upload_ends_its_upstream_connection() {
    run(async {
        // The upstream answers before it has read the body; its connection is not used again.
        let world = World::new().await;
        let service = Service::of(&world).await;
        let early = tokio::spawn(async move {
            let mut peer = service.asked().await;
            peer.send_bytes(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n").await;
            // The next request must not come here.
            let mut second = service.asked().await;
            second.send_bytes(&ok("second")).await;
            (peer, second)
        });
        let mut client = world.client().await;
        client
            .send("POST /services/x/ HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nstart")
            .await;
        assert_eq!(client.response().await.status, 413);
        drop(client);
        assert_eq!(world.get("/services/x/", "").await.text(), "second");
        early.await.unwrap();
    });
}
