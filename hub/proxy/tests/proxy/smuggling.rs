//! Requests that two programs could read differently reach no upstream.

use crate::world::{World, run};

#[test]
fn doubtful_framing_is_answered_400_and_reaches_nobody() {
    run(async {
        let world = World::new().await;
        let good = "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n";
        for bad in [
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked\r\nTransfer-Encoding: x\r\n\r\n",
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\nY: 2\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\rY: 2\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ] {
            // The good one before is answered; the bad one ends the connection, so the good one
            // behind it is never looked at.
            let mut client = world.client().await;
            let unfinished = bad.ends_with("\r\n\r");
            client.send(&format!("{good}{bad}{}{good}", if unfinished { "x\n" } else { "" })).await;
            assert_eq!(client.response().await.status, 200, "{bad:?}");
            let refusal = client.response().await;
            assert_eq!(refusal.status, 400, "{bad:?}");
            assert_eq!(client.rest().await, b"", "{bad:?}");
        }
        let heads: Vec<String> =
            world.hub.requests.lock().unwrap().iter().map(|r| r.head.clone()).collect();
        assert!(heads.iter().all(|head| head.starts_with("GET /ok")), "{heads:?}");
    });
}

#[test]
fn a_broken_chunk_breaks_the_request_on_both_sides() {
    run(async {
        let world = World::new().await;
        let mut client = world.client().await;
        client
            .send(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                 1\r\nab\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
            )
            .await;
        let rest = String::from_utf8(client.rest().await).unwrap();
        assert!(!rest.contains(" 200 "), "{rest}");
        assert!(!rest.contains("smuggled"), "{rest}");
        let heads = world.hub.requests.lock().unwrap().clone();
        assert!(heads.iter().all(|request| request.body != b"a"), "{heads:?}");
    });
}

#[test]
fn heads_have_a_limit() {
    run(async {
        let world = World::new().await;
        let long = world.get("/", &format!("X: {}\r\n", "a".repeat(60_000))).await;
        assert_eq!(long.status, 200);
        let longer = world.get("/", &format!("X: {}\r\n", "a".repeat(70_000))).await;
        assert_eq!(longer.status, 431);
        let many = world.get("/", &"X: 1\r\n".repeat(300)).await;
        assert_eq!(many.status, 431);
        assert_eq!(world.hub.seen(), 1);
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    run(async {
        let world = World::new().await;
        let mut client = world.client().await;
        let mut all = String::new();
        for number in 0..20 {
            all += &format!("POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy");
        }
        client.send(&all).await;
        for number in 0..20 {
            let text = client.response().await.text();
            assert!(text.starts_with(&format!("POST /{number} HTTP")), "{text}");
            assert!(text.ends_with("xy"));
        }
    });
}
