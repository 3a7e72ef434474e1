//! TLS at the front: HTTP/2 by ALPN, websockets over it, and a certificate that is replaced.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair};
use sha1::{Digest, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::program::Program;
use crate::world::{Reply, Upstream, field, ok, run};

/// Writes a new key and certificate.
fn certify(folder: &Path) {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(folder.join("key"), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("cert"), certificate.pem()).unwrap();
}

async fn connect(front: SocketAddr, alpn: &[u8]) -> TlsStream<TcpStream> {
    let mut config = berth_proxy::tls::client_config(None, None, true).unwrap();
    config.alpn_protocols = vec![alpn.to_vec()];
    let tcp = TcpStream::connect(front).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap()
}

async fn start(folder: &Path, target: &str) -> (Program, SocketAddr) {
    let option = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let mut program = Program::chp(&[
        "--ip=127.0.0.1",
        "--port=0",
        "--api-ip=127.0.0.1",
        "--api-port=0",
        "--ssl-key",
        &option("key"),
        "--ssl-cert",
        &option("cert"),
        "--default-target",
        target,
    ]);
    let front = program.word("Proxying https://").await.parse().unwrap();
    (program, front)
}

#[test]
fn http_2_carries_requests_and_websockets() {
    run(async {
        let upstream = Upstream::new(|request| {
            let Some(key) = field(&request.head, "sec-websocket-key") else {
                return Reply::Say(ok(&request.head));
            };
            let magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
            let accept = STANDARD.encode(Sha1::digest(format!("{key}{magic}")));
            Reply::SayAndEcho(
                format!(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                     Upgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\nfirst"
                )
                .into_bytes(),
            )
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        certify(folder.path());
        let (_program, front) = start(folder.path(), &upstream.url()).await;
        let stream = connect(front, b"h2").await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("https://hub.example/x?y")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body(Empty::<Bytes>::new())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let up = response.into_body().collect().await.unwrap().to_bytes();
        let up = String::from_utf8(up.to_vec()).unwrap();
        assert!(up.starts_with("GET /x?y HTTP/1.1\r\n"), "{up}");
        assert!(
            up.contains("host: hub.example\r\n") && up.contains("cookie: a=1; b=2\r\n"),
            "{up}"
        );

        let request = Request::builder()
            .method(Method::CONNECT)
            .uri("https://hub.example/ws")
            .extension(Protocol::from_static("websocket"))
            .body(Empty::<Bytes>::new())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut socket = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        let mut first = [0; 5];
        socket.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"first");
        socket.write_all(b"there").await.unwrap();
        socket.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"there");
    });
}

#[test]
fn a_new_certificate_is_shown_without_a_restart() {
    run(async {
        let upstream = Upstream::echo().await;
        let folder = tempfile::tempdir().unwrap();
        certify(folder.path());
        let (_program, front) = start(folder.path(), &upstream.url()).await;
        let shown = async || {
            let stream = connect(front, b"http/1.1").await;
            stream.get_ref().1.peer_certificates().unwrap()[0].clone()
        };
        let before = shown().await;
        certify(folder.path());
        // Bounded by the test's own limit.
        while shown().await == before {}
    });
}
