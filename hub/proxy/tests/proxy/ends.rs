//! How messages end: trailers, half-closed connections, clients that leave.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{Client, Reply, Upstream, World, ok, run};

async fn service(world: &World, url: &str) {
    let record = json!({"target": url});
    assert_eq!(world.api_json("POST", "/api/routes/services/x", &record).await.status, 201);
}

#[test]
fn trailers_pass_both_ways() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let upstream = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
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
        let world = World::new().await;
        service(&world, &url).await;
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
        let (release, wait) = tokio::sync::watch::channel(false);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut peer = Client::new(stream);
            peer.head().await.unwrap();
            wait.clone().wait_for(|go| *go).await.unwrap();
            peer.send_bytes(&ok("late")).await;
            peer.rest().await;
        });
        let world = World::new().await;
        service(&world, &url).await;
        let mut client = world.client().await;
        client.send("GET /services/x/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.stream.shutdown().await.unwrap();
        // Another request goes round, so that the end has surely been seen.
        assert_eq!(world.get("/hub/x", "").await.status, 200);
        release.send_replace(true);
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let world = World::new().await;
        service(&world, &url).await;
        let mut client = world.client().await;
        client.send("GET /services/x/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let (stream, _) = listener.accept().await.unwrap();
        let mut peer = Client::new(stream);
        peer.head().await.unwrap();
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let world = World::new().await;
        service(&world, &url).await;
        let mut client = world.client().await;
        client.send("GET /services/x/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let (stream, _) = listener.accept().await.unwrap();
        let mut peer = Client::new(stream);
        peer.head().await.unwrap();
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
        let upstream = Upstream::new(|_| Reply::Say(ok("fine"))).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let early = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut peer = Client::new(stream);
            peer.head().await.unwrap();
            peer.send_bytes(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n").await;
            // The next request must not come here.
            let (second, _) = listener.accept().await.unwrap();
            let mut second = Client::new(second);
            second.head().await.unwrap();
            second.send_bytes(&ok("second")).await;
        });
        let world = World::with_hub(upstream).await;
        service(&world, &url).await;
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
