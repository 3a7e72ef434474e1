//! A hub that answers by heart: on TCP, with TLS and on a Unix socket, at one moment of one day.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::site;

/// When all of this happens.
const DATE: &str = "Mon, 11 May 2026 14:03:00 GMT";

/// A running stub; it ends with its runtime.
pub struct Stub {
    /// Over TCP.
    pub url: String,
    /// Over the socket.
    pub socket_url: String,
    /// Over TLS, and the certificate that proves it, as PEM.
    pub secure_url: String,
    /// The certificate.
    pub certificate: String,
    /// A port that refuses.
    pub closed_url: String,
    /// What was asked, in order: method, path, who, body.
    pub asked: Arc<Mutex<Vec<String>>>,
    _closed: TcpSocket,
    _folder: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

/// What the answers depend on besides the question.
#[derive(Default)]
struct Shared {
    asked: Arc<Mutex<Vec<String>>>,
    progress_opened: Notify,
}

impl Stub {
    /// Listens on free ports.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("admin.sock");
        let (tcp, tls, unix, closed) = runtime.block_on(async {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let tls = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let unix = UnixListener::bind(&socket).unwrap();
            // Bound and not listening: nobody else gets the port, and it refuses.
            let closed = TcpSocket::new_v4().unwrap();
            closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            (tcp, tls, unix, closed)
        });
        let shared = Arc::new(Shared::default());
        let asked = shared.asked.clone();
        let url = format!("http://{}", tcp.local_addr().unwrap());
        let secure_url = format!("https://{}", tls.local_addr().unwrap());
        let (of_tls, of_socket) = (shared.clone(), shared.clone());
        let (acceptor, certificate) = acceptor();
        runtime.spawn(async move {
            while let Ok((stream, _)) = tls.accept().await {
                let (acceptor, shared) = (acceptor.clone(), of_tls.clone());
                tokio::spawn(async move {
                    // A client that does not trust the certificate goes away.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, shared, "nobody").await;
                    }
                });
            }
        });
        runtime.spawn(async move {
            while let Ok((stream, _)) = tcp.accept().await {
                tokio::spawn(serve(stream, shared.clone(), "nobody"));
            }
        });
        runtime.spawn(async move {
            while let Ok((stream, _)) = unix.accept().await {
                tokio::spawn(serve(stream, of_socket.clone(), "socket"));
            }
        });
        Self {
            url,
            secure_url,
            certificate,
            socket_url: format!("unix:{}", socket.display()),
            closed_url: format!("http://{}", closed.local_addr().unwrap()),
            asked,
            _closed: closed,
            _folder: folder,
            _runtime: runtime,
        }
    }
}

/// A certificate for this machine, signed by nobody.
fn acceptor() -> (TlsAcceptor, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), made.cert.pem())
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    shared: Arc<Shared>,
    stranger: &'static str,
) {
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(answer(request, &shared, stranger).await) }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    shared: &Shared,
    stranger: &str,
) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let sent: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let token = parts.headers.get("authorization").map(|value| value.to_str().unwrap());
    let who = token.map_or(stranger, |token| token.strip_prefix("token ").unwrap());
    let call = format!("{} {}", parts.method, parts.uri.path());
    let mut entry = format!("{call} as {who}");
    if !sent.is_null() {
        entry.push_str(&format!(" {sent}"));
    }
    let before = {
        let mut asked = shared.asked.lock().unwrap();
        asked.push(entry);
        asked.iter().filter(|other| other.starts_with(&call)).count() - 1
    };
    if call.ends_with("/progress") {
        shared.progress_opened.notify_one();
    }
    if call == "POST /hub/api/users/heidi/server" {
        // Answered only once somebody watches: the steps must be told meanwhile.
        shared.progress_opened.notified().await;
    }
    let site::Answer { status, headers, body } = site::answer(who, &call, &sent, before);
    let mut response = Response::builder().status(status).header("date", DATE);
    // The proxy, and others that answer there, have no such line.
    if !matches!(who, "gateway" | "updating" | "stranger") {
        response = response.header("x-jupyterhub-version", "5.5.4");
    }
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Full::new(Bytes::from(body))).unwrap()
}
