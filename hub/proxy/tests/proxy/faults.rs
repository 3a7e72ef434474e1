//! The faults of configurable-http-proxy 5.3.0 that its drop-in must not have, one test each.

use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::chp::{Started, start};
use crate::world::{Client, Reply, SWITCH, TOKEN, Upstream, ok, run};

async fn to(upstream: &Upstream, options: &[&str]) -> Started {
    let target = upstream.url();
    start(&[&["--default-target", target.as_str()][..], options].concat(), "http").await
}

async fn raw(address: std::net::SocketAddr, text: &str) -> Client<TcpStream> {
    let mut client = Client::new(TcpStream::connect(address).await.unwrap());
    client.send(text).await;
    client
}

#[test]
fn every_api_path_is_answered() {
    run(async {
        let upstream = Upstream::echo().await;
        let proxy = to(&upstream, &[]).await;
        assert_eq!(proxy.api("DELETE", "/api/routes", "").await.status, 204);
        assert_eq!(proxy.api("DELETE", "/api/routes", "").await.status, 404);
        for method in ["GET", "POST", "DELETE"] {
            let answer = proxy.api(method, "/api/routes/%zz", r#"{"target": "http://a:1"}"#).await;
            assert_eq!(answer.status, 400, "{method}");
        }
    });
}

#[test]
fn the_token_is_checked_first_and_whole() {
    run(async {
        let upstream = Upstream::echo().await;
        let proxy = to(&upstream, &[]).await;
        for authorization in [format!("Nottoken {TOKEN}"), format!("token {TOKEN} x"), "x".into()] {
            let head = format!(
                "POST /api/routes/a HTTP/1.1\r\nHost: a\r\nAuthorization: {authorization}\r\n\
                 Content-Length: 2000000\r\n\r\n"
            );
            // No body: an answer shows that nobody waits for it.
            assert_eq!(raw(proxy.api, &head).await.response().await.short(), "403");
        }
        let head = format!(
            "POST /api/routes/a HTTP/1.1\r\nHost: a\r\nAuthorization: token {TOKEN}\r\n\
             Content-Length: 2000000\r\n\r\n"
        );
        assert_eq!(raw(proxy.api, &head).await.response().await.status, 413);
    });
}

#[test]
fn no_secret_is_logged() {
    run(async {
        let upstream = Upstream::echo().await;
        let mut proxy = to(&upstream, &["--log-level=debug"]).await;
        raw(
            proxy.api,
            "POST /api/routes/a HTTP/1.1\r\nHost: a\r\nAuthorization: token hunter2\r\n\
             Content-Length: 0\r\n\r\n",
        )
        .await
        .response()
        .await;
        proxy.api("POST", "/api/routes/a", "{hunter2").await;
        proxy.api("POST", "/api/routes/a?token=hunter2", r#"{"target": 1}"#).await;
        proxy.get("/a?token=hunter2", "Authorization: token hunter2\r\n").await;
        proxy.api("POST", "/api/routes/last", r#"{"target": "http://a:1"}"#).await;
        loop {
            let line = proxy.program.out.next_line().await.unwrap().expect("it has ended");
            assert!(!line.contains("hunter2") && !line.contains(TOKEN), "{line}");
            if line.contains("/last") {
                break;
            }
        }
    });
}

#[test]
fn a_bad_target_is_refused_when_it_is_posted() {
    run(async {
        let upstream = Upstream::echo().await;
        let proxy = to(&upstream, &[]).await;
        for target in ["", "nothing", "ftp://a", "http://", "//a", "http+unix://relative"] {
            let body = json!({"target": target}).to_string();
            assert_eq!(proxy.api("POST", "/api/routes/a", &body).await.status, 400, "{target}");
        }
        assert_eq!(proxy.api("GET", "/api/routes/a", "").await.status, 404);
    });
}

#[test]
fn names_of_prototypes_and_odd_paths_are_paths() {
    run(async {
        let upstream = Upstream::echo().await;
        let user = Upstream::new(|_| Reply::Say(ok("user"))).await;
        let proxy = to(&upstream, &[]).await;
        let record = json!({"target": user.url()}).to_string();
        proxy.api("POST", "/api/routes/user/a", &record).await;
        for path in ["/constructor", "/toString", "/__proto__", "//", "//x/user/a", "/user%2Fa/x"] {
            let text = proxy.get(path, "").await.text();
            assert!(text.starts_with(&format!("GET {path} HTTP/1.1\r\n")), "{path}: {text}");
        }
        for path in ["/%", "/%zz", "/a%2"] {
            assert_eq!(proxy.get(path, "").await.status, 400, "{path}");
        }
        assert_eq!(proxy.get("/user/a/x", "").await.text(), "user");
    });
}

#[test]
fn a_prefix_is_cut_by_segments() {
    run(async {
        let upstream = Upstream::echo().await;
        let proxy = to(&upstream, &["--no-include-prefix"]).await;
        let record = json!({"target": upstream.url()}).to_string();
        proxy.api("POST", "/api/routes/user/@a", &record).await;
        for (path, expected) in [("/user/%40a/tree", "GET /tree "), ("/user/@a", "GET / ")] {
            let text = proxy.get(path, "").await.text();
            assert!(text.starts_with(expected), "{path}: {text}");
        }
    });
}

#[test]
fn the_body_of_no_method_becomes_a_request() {
    run(async {
        let upstream = Upstream::echo().await;
        let proxy = to(&upstream, &[]).await;
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        for method in ["DELETE", "OPTIONS", "GET", "HEAD", "PATCH", "PROPFIND"] {
            let mut client = raw(
                proxy.front,
                &format!(
                    "{method} /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\
                     Connection: close\r\n\r\n{:x}\r\n{smuggled}\r\n0\r\n\r\n",
                    smuggled.len()
                ),
            )
            .await;
            client.rest().await;
            let request = upstream.requests.lock().unwrap().pop().unwrap();
            assert!(request.head.starts_with(&format!("{method} /x ")), "{}", request.head);
            assert_eq!(request.body, smuggled.as_bytes(), "{method}");
            let head = request.head.to_ascii_lowercase();
            assert!(head.contains("transfer-encoding: chunked"), "{head}");
            assert!(!head.contains("content-length"), "{head}");
        }
        assert_eq!(upstream.seen(), 0);
    });
}

#[test]
fn what_concerns_one_connection_ends_there() {
    run(async {
        let upstream = Upstream::new(|request| {
            let head = request.head.to_ascii_lowercase();
            let fields = "Connection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 1\r\n\
                          Proxy-Authenticate: x\r\nUpgrade: h2c\r\n";
            let length = head.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {length}\r\n\r\n{head}");
            Reply::Say(answer.into_bytes())
        })
        .await;
        let proxy = to(&upstream, &[]).await;
        let answer = proxy
            .get(
                "/x",
                "Connection: X-Drop, keep-alive\r\nX-Drop: 1\r\nKeep-Alive: 5\r\nTE: gzip\r\n\
                 Proxy-Connection: keep-alive\r\nProxy-Authorization: x\r\nTrailer: x\r\n",
            )
            .await;
        let gone =
            ["x-drop", "keep-alive", "te:", "proxy-connection", "proxy-authorization", "trailer"];
        for name in gone {
            assert!(!answer.text().contains(name), "{name} went up: {}", answer.text());
        }
        for name in ["x-mine", "keep-alive", "proxy-authenticate", "upgrade", "connection"] {
            assert_eq!(answer.field(name), None, "{name} came back");
        }
    });
}

#[test]
fn an_upgrade_that_is_no_websocket_is_just_a_request() {
    run(async {
        let upstream = Upstream::echo().await;
        let proxy = to(&upstream, &[]).await;
        let fields = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n";
        let answer = proxy.get("/x", fields).await;
        assert_eq!(answer.status, 200);
        let text = answer.text().to_ascii_lowercase();
        assert!(!text.contains("upgrade") && !text.contains("http2-settings"), "{text}");
    });
}

#[test]
fn a_websocket_without_a_route_is_answered_and_closed() {
    run(async {
        let proxy = start(&[], "http").await;
        let mut client = raw(
            proxy.front,
            "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n",
        )
        .await;
        let answer = client.response().await;
        assert_eq!(answer.short(), "404");
        assert_eq!(client.rest().await, b"");
    });
}

#[test]
fn bytes_behind_a_handshake_wait_for_the_101() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = format!("--default-target=http://{}", listener.local_addr().unwrap());
        let proxy = start(&[&target], "http").await;
        let mut client = raw(
            proxy.front,
            "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\nearly",
        )
        .await;
        let (stream, _) = listener.accept().await.unwrap();
        let mut peer = Client::new(stream);
        let head = peer.head().await.unwrap().to_ascii_lowercase();
        // tornado knows http and https only.
        assert!(head.contains("x-forwarded-proto: http\r\n"), "{head}");
        assert!(peer.stream.buffer().is_empty(), "bytes came with the handshake");
        peer.send(SWITCH).await;
        assert_eq!(peer.bytes(5).await, b"early");
        assert!(client.head().await.unwrap().starts_with("HTTP/1.1 101 "));
    });
}

#[test]
fn connections_that_went_stale_cost_nobody_an_answer() {
    run(async {
        // Says that it keeps the connection, and closes it.
        let upstream = Upstream::new(|_| Reply::SayAndClose(ok("fine"))).await;
        let proxy = to(&upstream, &[]).await;
        for _ in 0..10 {
            assert_eq!(proxy.get("/x", "").await.short(), "200 fine");
        }
    });
}

#[test]
fn an_upstream_that_dies_in_mid_body_is_no_clean_end() {
    run(async {
        let upstream = Upstream::new(|request| {
            Reply::SayAndClose(if request.head.contains("/chunked") {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".into()
            } else {
                b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello".into()
            })
        })
        .await;
        let proxy = to(&upstream, &[]).await;
        for path in ["/chunked", "/length"] {
            let mut client =
                raw(proxy.front, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            let all = String::from_utf8(client.rest().await).unwrap();
            assert!(all.contains("hello") && !all.ends_with("0\r\n\r\n"), "{path}: {all}");
        }
    });
}

#[test]
fn an_error_target_that_is_silent_holds_nobody() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = format!("--error-target=http://{}", listener.local_addr().unwrap());
        let proxy = start(&[&target], "http").await;
        // The listener accepts and says nothing; the test's own limit is the bound.
        let answer = proxy.get("/nowhere", "").await;
        assert_eq!(answer.status, 404);
        assert!(!answer.body.is_empty());
    });
}

#[test]
fn insecure_takes_any_certificate_and_nothing_else_does() {
    run(async {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(std::sync::Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let Ok(stream) = acceptor.accept(tcp).await else { continue };
                let mut peer = Client::new(stream);
                if peer.head().await.is_some() {
                    peer.send_bytes(&ok("secret")).await;
                }
            }
        });
        let target = format!("--default-target=https://localhost:{port}");
        let strict = start(&[&target], "http").await;
        assert_eq!(strict.get("/x", "").await.status, 503);
        let insecure = start(&[&target, "--insecure"], "http").await;
        assert_eq!(insecure.get("/x", "").await.short(), "200 secret");
    });
}

#[test]
fn a_restart_keeps_the_routes_where_there_is_a_folder_for_them() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let upstream = Upstream::new(|_| Reply::Say(ok("user"))).await;
        let state = format!("--state-dir={}", folder.path().display());
        let record = json!({"target": upstream.url()}).to_string();
        for first in [true, false] {
            let mut proxy = start(&[&state], "http").await;
            if first {
                proxy.api("POST", "/api/routes/user/a", &record).await;
            }
            assert_eq!(proxy.get("/user/a", "").await.short(), "200 user");
            proxy.program.signal("TERM");
            proxy.program.code().await;
        }
        // Without one the table is empty, as JupyterHub's tests want it.
        let proxy = start(&[], "http").await;
        assert_eq!(proxy.get("/user/a", "").await.status, 404);
    });
}

#[test]
fn a_broken_request_takes_nobody_with_it() {
    run(async {
        let count = AtomicUsize::new(0);
        let upstream = Upstream::new(move |_| {
            Reply::Say(ok(&count.fetch_add(1, Ordering::Relaxed).to_string()))
        })
        .await;
        let proxy = to(&upstream, &[]).await;
        let mut other = raw(proxy.front, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(other.response().await.text(), "0");
        for bad in ["\0\0\0", "GET", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"] {
            let mut client = raw(proxy.front, bad).await;
            tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
            let answer = String::from_utf8(client.rest().await).unwrap();
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
        }
        other.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(other.response().await.text(), "1");
    });
}
