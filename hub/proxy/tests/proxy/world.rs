//! A proxy in this process, with a hub, hosts and clients of a few lines each.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_proto::frame;
use berth_proto::tls::{self, Admit, Credential};
use berth_proto::tunnel::{Answer, Preamble, Status};
use berth_proxy::Running;
use berth_proxy::config::Config;
use berth_proxy::limits::Numbers;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SanType,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub const TOKEN: &str = "the-api-token";

/// A limit for each test, so that a hang is a failure.
pub fn run<F: Future<Output = ()>>(test: F) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(120), test).await.expect("the test hangs");
    });
}

/// For tests whose `BERTH_LONG=1` form takes minutes.
pub fn run_long<F: Future<Output = ()>>(test: F) {
    let limit = if std::env::var_os("BERTH_LONG").is_some() { 7200 } else { 120 };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(limit), test).await.expect("the test hangs");
    });
}

pub struct World {
    pub folder: TempDir,
    pub hub: Upstream,
    pub proxy: Running,
    pub config: Config,
    pub authority: Authority,
}

impl World {
    pub async fn new() -> Self {
        Self::with_hub(Upstream::echo().await).await
    }

    pub async fn with_hub(hub: Upstream) -> Self {
        Self::configured(hub, |_| {}).await
    }

    /// With changes to the configuration.
    pub async fn configured(hub: Upstream, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let credentials = folder.path().join("credentials");
        std::fs::create_dir(&credentials).unwrap();
        let (certificate, key) =
            authority.leaf("spiffe://berth/proxy", ExtendedKeyUsagePurpose::ClientAuth);
        for (name, content) in [
            ("api-token", TOKEN),
            ("ca.pem", &authority.pem()),
            ("cert.pem", &certificate),
            ("key.pem", &key),
        ] {
            std::fs::write(credentials.join(name), content).unwrap();
        }
        let mut config = Config {
            version: 1,
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            hub: format!("http://{}", hub.address),
            api: "127.0.0.1:0".parse().unwrap(),
            state: folder.path().join("state"),
            credentials,
            trusted_proxies: Vec::new(),
            origins: Vec::new(),
            hub_away_hours: 36,
            certificate: None,
            key: None,
            redirect: None,
            metrics: None,
            drain_memory_mib: 1024,
            logs: Default::default(),
            limits: Numbers::default(),
            access_log: None,
        };
        change(&mut config);
        let proxy = berth_proxy::start(&config).await.unwrap();
        Self { folder, hub, proxy, config, authority }
    }

    /// Stops the proxy and starts another on the same state.
    pub async fn restart(self) -> Self {
        let Self { folder, hub, proxy, config, authority } = self;
        proxy.stop().await;
        let proxy = berth_proxy::start(&config).await.unwrap();
        Self { folder, hub, proxy, config, authority }
    }

    pub async fn client(&self) -> Client<TcpStream> {
        Client::new(TcpStream::connect(self.proxy.front).await.unwrap())
    }

    /// One request of a user on a connection of its own.
    pub async fn get(&self, path: &str, fields: &str) -> Response {
        let mut client = self.client().await;
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: hub.example\r\n{fields}\r\n")).await;
        client.response().await
    }

    /// One call of the hub.
    pub async fn api(&self, method: &str, path: &str, body: &str) -> Response {
        let mut client = Client::new(TcpStream::connect(self.proxy.api.unwrap()).await.unwrap());
        let length = body.len();
        client
            .send(&format!(
                "{method} {path} HTTP/1.1\r\nHost: api\r\nAuthorization: token {TOKEN}\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            ))
            .await;
        client.response().await
    }

    pub async fn api_json(&self, method: &str, path: &str, body: &Value) -> Response {
        self.api(method, path, &body.to_string()).await
    }

    /// Adds the route of alice's server on a host.
    pub async fn alice(&self, host: &Host, generation: u64) {
        let record = host.record(generation);
        assert_eq!(self.api_json("POST", "/api/routes/user/alice/", &record).await.status, 201);
    }
}

/// The hub's CA.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn leaf(&self, uri: &str, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        params.extended_key_usages = vec![usage];
        let leaf = params.signed_by(&key, &self.0).unwrap();
        (leaf.pem(), key.serialize_pem())
    }
}

/// What an upstream is asked.
#[derive(Debug, Clone)]
pub struct Request {
    pub head: String,
    pub body: Vec<u8>,
}

/// What it does then.
pub enum Reply {
    /// Says these bytes and waits for the next request.
    Say(Vec<u8>),
    /// Says these bytes and closes.
    SayAndClose(Vec<u8>),
    /// Says these bytes, then repeats every byte it gets.
    SayAndEcho(Vec<u8>),
    /// Says these bytes, then the pieces that come, then closes.
    SayAndFollow(Vec<u8>, mpsc::Receiver<Vec<u8>>),
}

pub fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

type Handler = Arc<dyn Fn(Request) -> Reply + Send + Sync>;

/// A plain HTTP server. It ends with this value, connections with it.
pub struct Upstream {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    pub requests: Arc<Mutex<Vec<Request>>>,
    tasks: JoinSet<()>,
}

impl Upstream {
    pub async fn new(handler: impl Fn(Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, requests) = (Arc::<AtomicUsize>::default(), Arc::default());
        let (counter, seen) = (connections.clone(), Arc::clone(&requests));
        let handler: Handler = Arc::new(handler);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut tasks = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                tasks.spawn(serve(stream, handler.clone(), Arc::clone(&seen)));
            }
        });
        Self { address, connections, requests, tasks }
    }

    /// Answers with the head and body it got.
    pub async fn echo() -> Self {
        Self::new(|request| {
            Reply::Say(ok(&format!("{}{}", request.head, String::from_utf8_lossy(&request.body))))
        })
        .await
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// Ends, so that connects are refused.
    pub async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }
}

/// Serves on a Unix socket, for ever. One that a killed process left is replaced.
pub async fn serve_unix(path: &Path, handler: impl Fn(Request) -> Reply + Send + Sync + 'static) {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).unwrap();
    let handler: Handler = Arc::new(handler);
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, handler.clone(), Arc::default()));
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    handler: Handler,
    seen: Arc<Mutex<Vec<Request>>>,
) {
    let mut peer = Client::new(stream);
    while let Some(head) = peer.head().await {
        let Some(body) = peer.body(&head, false).await else { return };
        let request = Request { head, body };
        seen.lock().unwrap().push(request.clone());
        match handler(request) {
            Reply::Say(bytes) => peer.send_bytes(&bytes).await,
            Reply::SayAndClose(bytes) => return peer.send_bytes(&bytes).await,
            Reply::SayAndEcho(bytes) => {
                peer.send_bytes(&bytes).await;
                let mut piece = [0; 4096];
                loop {
                    match peer.stream.read(&mut piece).await {
                        Ok(0) | Err(_) => return,
                        Ok(count) => peer.send_bytes(&piece[..count]).await,
                    }
                }
            }
            Reply::SayAndFollow(bytes, mut pieces) => {
                peer.send_bytes(&bytes).await;
                while let Some(piece) = pieces.recv().await {
                    peer.send_bytes(&piece).await;
                }
                return;
            }
        }
    }
}

/// A host's tunnel port.
pub struct Host {
    pub name: String,
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    /// (server, generation) to the host's answer; what is not there is gone.
    pub answers: Arc<Mutex<HashMap<(String, u64), Status>>>,
    pub requests: Arc<Mutex<Vec<Request>>>,
    _tasks: JoinSet<()>,
}

pub const SERVER: &str = "00112233445566ff";

impl Host {
    /// A host whose containers answer by the handler. `shows` is the name in its certificate.
    pub async fn new(
        authority: &Authority,
        name: &str,
        shows: &str,
        handler: impl Fn(Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let uri = format!("spiffe://berth/host/{shows}");
        let (certificate, key) = authority.leaf(&uri, ExtendedKeyUsagePurpose::ServerAuth);
        let credential = Credential::new(&certificate, &key).unwrap();
        let roots = tls::roots(&authority.pem()).unwrap();
        let config = tls::server_config(credential, roots, Admit::ProxyOnly, &[]).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers: Arc<Mutex<HashMap<(String, u64), Status>>> = Arc::default();
        let (connections, requests) = (Arc::<AtomicUsize>::default(), Arc::default());
        let handler: Handler = Arc::new(handler);
        let (table, counter, seen) = (answers.clone(), connections.clone(), Arc::clone(&requests));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut tasks = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                let (acceptor, table) = (acceptor.clone(), table.clone());
                let (handler, seen) = (handler.clone(), Arc::clone(&seen));
                tasks.spawn(async move {
                    let Ok(mut stream) = acceptor.accept(tcp).await else { return };
                    let asked: Preamble =
                        frame::read(&mut stream, frame::PREAMBLE_MAX).await.unwrap();
                    assert_eq!(asked.version, 1);
                    let status =
                        table.lock().unwrap().get(&(asked.server, asked.generation)).copied();
                    let status = status.unwrap_or(Status::Gone);
                    frame::write(&mut stream, &Answer { status: status.into() }).await.unwrap();
                    if status == Status::Ok {
                        serve(stream, handler, seen).await;
                    }
                });
            }
        });
        Self { name: name.to_owned(), address, connections, answers, requests, _tasks: tasks }
    }

    /// A host with alice's server in generation 7, whose container repeats what it is asked.
    pub async fn echo(authority: &Authority) -> Self {
        let host = Self::new(authority, "wn01", "wn01", |request| {
            if request.head.to_ascii_lowercase().contains("upgrade: websocket") {
                return Reply::SayAndEcho(SWITCH.into());
            }
            Reply::Say(ok(&format!("{}{}", request.head, String::from_utf8_lossy(&request.body))))
        });
        let host = host.await;
        host.set(7, Status::Ok);
        host
    }

    pub fn set(&self, generation: u64, status: Status) {
        self.answers.lock().unwrap().insert((SERVER.to_owned(), generation), status);
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub fn record(&self, generation: u64) -> Value {
        json!({
            "target": format!("tunnel://{}/{SERVER}", self.name), "generation": generation,
            "address": self.address.to_string(), "jupyterhub": true, "user": "alice",
            "server_name": "",
        })
    }
}

pub const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                          Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";

/// One side of an HTTP connection, by hand.
pub struct Client<S> {
    pub stream: BufReader<S>,
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        assert_eq!(self.field("content-type").as_deref(), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn field(&self, name: &str) -> Option<String> {
        field(&self.head, name)
    }

    /// Status and text, for tables of expectations.
    pub fn short(&self) -> String {
        format!("{} {}", self.status, self.text()).trim_end().to_owned()
    }
}

pub fn field(head: &str, name: &str) -> Option<String> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn new(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    pub async fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes()).await;
    }

    /// The other side may have closed; what it says is read anyway.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// A head with its empty line, or nothing when the stream ends before.
    pub async fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.ok()?);
        }
        Some(String::from_utf8_lossy(&head).into_owned())
    }

    /// The body that a head announces; nothing when it breaks off.
    pub async fn body(&mut self, head: &str, to_the_end: bool) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        if field(head, "transfer-encoding").is_some() {
            loop {
                let size = self.line().await?;
                let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
                if size == 0 {
                    // Trailers, up to the empty line.
                    while self.line().await? != "\r\n" {}
                    return Some(body);
                }
                let mut chunk = vec![0; size + 2];
                self.stream.read_exact(&mut chunk).await.ok()?;
                body.extend_from_slice(&chunk[..size]);
            }
        }
        match field(head, "content-length") {
            Some(length) => {
                body.resize(length.parse().unwrap(), 0);
                self.stream.read_exact(&mut body).await.ok()?;
            }
            None if to_the_end => {
                self.stream.read_to_end(&mut body).await.ok()?;
            }
            None => {}
        }
        Some(body)
    }

    pub async fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(self.stream.read_u8().await.ok()?);
        }
        Some(String::from_utf8_lossy(&line).into_owned())
    }

    pub async fn response(&mut self) -> Response {
        self.try_response().await.expect("no whole response")
    }

    pub async fn try_response(&mut self) -> Option<Response> {
        let head = self.head().await?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let bodiless = matches!(status, 101 | 204 | 304);
        let body = if bodiless { Vec::new() } else { self.body(&head, true).await? };
        Some(Response { status, head, body })
    }

    /// Exactly so many bytes.
    pub async fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    /// What comes until the other side closes, cleanly or not.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest).await;
        rest
    }
}
