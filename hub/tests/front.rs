//! The real hub behind the real proxy, with a host that answers for its containers: what ends in the
//! hub ends in the browser, and what the hub has forgotten goes on.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::header::{CONTENT_TYPE, COOKIE};
use axum::http::{Request, StatusCode};
use berth_common::{Reason, Seconds, ServerId};
use berth_core::life::Evidence;
use berth_core::{Event, Server};
use berth_hub::ca::Ca;
use berth_hub::{actions, housekeeping, routes};
use berth_process::clock::now;
use berth_proto::frame;
use berth_proto::tls::{self, Admit, Credential};
use berth_proto::tunnel::{Answer, Preamble, Status};
use berth_proxy::Running;
use berth_proxy::config::Config as ProxyConfig;
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::site::{self, FORM, SITE, Site};

/// Nothing here takes a second; what takes so long hangs.
const HANG: Duration = Duration::from_secs(120);

/// A server's close frames: going away, and ours for what was taken back.
const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];
const REVOKED: [u8; 4] = [0x88, 0x02, 0x11, 0x31];

const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                        Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";

/// A host's tunnel port. Its containers take every websocket and repeat what they hear.
struct Host {
    address: SocketAddr,
    /// What it says of a server; of others it says that they are ready.
    says: Arc<Mutex<HashMap<String, Status>>>,
    task: JoinHandle<()>,
}

impl Host {
    async fn new(ca: &Ca) -> Self {
        let key = KeyPair::generate().unwrap();
        let request = CertificateParams::default().serialize_request(&key).unwrap();
        let name = "wn1".parse().unwrap();
        let (_, tunnel) = ca.host_leaves(&name, request.der(), request.der()).unwrap();
        let credential = Credential::new(&tunnel, &key.serialize_pem()).unwrap();
        let roots = tls::roots(ca.pem()).unwrap();
        let config = tls::server_config(credential, roots, Admit::ProxyOnly, &[]).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let says: Arc<Mutex<HashMap<String, Status>>> = Arc::default();
        let table = says.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, table) = (acceptor.clone(), table.clone());
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await.ok()?;
                    let asked: Preamble =
                        frame::read(&mut stream, frame::PREAMBLE_MAX).await.ok()?;
                    let status = table.lock().unwrap().get(&asked.server).copied();
                    let status = status.unwrap_or(Status::Ok);
                    let answer = Answer { status: status.into() };
                    frame::write(&mut stream, &answer).await.ok()?;
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.ok()?);
                    }
                    stream.write_all(SWITCH).await.ok()?;
                    let mut piece = [0; 1024];
                    loop {
                        let count =
                            stream.read(&mut piece).await.ok().filter(|count| *count > 0)?;
                        stream.write_all(&piece[..count]).await.ok()?;
                    }
                    #[allow(unreachable_code)]
                    Some(())
                });
            }
        });
        Self { address, says, task }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A hub, its proxy and its host.
struct Front {
    site: Site,
    host: Host,
    proxy: Running,
    /// Keeps the proxy's routes, until the hub is killed.
    keeper: JoinHandle<()>,
}

impl Front {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = Ca::open(&folder.path().join("ca")).unwrap();
        ca.refresh_proxy(&folder.path().join("proxy")).unwrap();
        let host = Host::new(&ca).await;
        let site = Site::at(SITE, false, folder, &host.address.to_string()).await;
        let pages = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = site.hub.config().hub.state.clone();
        let config = format!(
            "version = 1\nlisten = [\"127.0.0.1:0\"]\nhub = \"http://{}\"\napi = \"unix:{1}/proxy.sock\"\n\
             state = \"{1}/proxy-state\"\ncredentials = \"{1}/proxy\"\n",
            pages.local_addr().unwrap(),
            state.display()
        );
        let path = state.join("proxy.toml");
        std::fs::write(&path, config).unwrap();
        let config: ProxyConfig = berth_proxy::config::read(&path).unwrap();
        let proxy = berth_proxy::start(&config).await.unwrap();
        let router = site.router.clone();
        tokio::spawn(async move { axum::serve(pages, router).await.unwrap() });
        let mut front = Self { site, host, proxy, keeper: tokio::spawn(async {}) };
        front.start_keeper();
        front
    }

    /// A hub that begins to look after its proxy.
    fn start_keeper(&mut self) {
        let (_, nobody) = mpsc::unbounded_channel();
        let revoked = std::mem::replace(&mut self.site.revoked, nobody);
        self.keeper = tokio::spawn(routes::keep(self.site.hub.clone(), revoked));
    }

    /// A hub that was killed: nothing that it had in mind is left. Its pages go on.
    fn kill_keeper(&mut self) {
        self.keeper.abort();
        // Whoever speaks into it does so in vain, as in a process that dies.
        let (_, nobody) = mpsc::unbounded_channel();
        self.site.revoked = nobody;
    }

    /// A server with its route.
    async fn running(&self, user: &str) -> Arc<Server> {
        let server = self.site.running(user, "").await;
        within(async {
            while self.routes().await.get(format!("/user/{user}")).is_none() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        server
    }

    /// What the proxy has.
    async fn routes(&self) -> serde_json::Value {
        routes::table(&self.site.hub).await.unwrap()
    }

    /// A websocket's handshake at the proxy, and its status.
    async fn open(&self, path: &str, shown: &str) -> (u16, TcpStream) {
        let mut stream = TcpStream::connect(self.proxy.front).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nOrigin: {SITE}\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: x\r\n{shown}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), stream)
    }

    async fn websocket(&self, path: &str, shown: &str) -> TcpStream {
        let (status, stream) = within(self.open(path, shown)).await;
        assert_eq!(status, 101);
        stream
    }
}

/// A login in a browser that shows a session already.
async fn log_in_again(site: &Site, user: &str, shown: &str) -> StatusCode {
    let form = site.get("/hub/login").await.cookie("__Host-berth-login");
    let session = shown.strip_prefix("Cookie: ").unwrap();
    let body = format!(
        "username={user}&password={}&_xsrf={}",
        site::PASSWORD.replace(' ', "+"),
        form.split_once('=').unwrap().1
    );
    let request = Request::post("/hub/login")
        .header(COOKIE, format!("{session}; {form}"))
        .header(CONTENT_TYPE, FORM);
    site.send(request.body(body.into()).unwrap()).await.status
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, what).await.expect("it hangs")
}

/// What comes before the end.
async fn last_words(stream: &mut TcpStream) -> Vec<u8> {
    let mut words = Vec::new();
    let _ = within(stream.read_to_end(&mut words)).await;
    words
}

async fn echoes(stream: &mut TcpStream) -> bool {
    let mut back = [0; 6];
    stream.write_all(b"\x82\x04ping").await.is_ok()
        && within(stream.read_exact(&mut back)).await.is_ok()
        && &back == b"\x82\x04ping"
}

/// How long it took, for people to read; nothing is asserted of it.
fn say(what: &str, begun: Instant) {
    println!("{what}: closed after {} ms", begun.elapsed().as_millis());
}

fn cookie(client: &site::Client<'_>) -> String {
    format!("Cookie: {}", client.headers[0].1)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_a_login_closes_what_it_opened_and_nothing_else() {
    let front = Front::new().await;
    front.running("bob").await;
    let site = &front.site;
    let root = site.program("root_").await;
    let admin = cookie(&site.browser("root_").await);
    let mut other = front.websocket("/user/bob/ws", &admin).await;
    for way in ["logout", "own password", "password by an administrator", "login of another"] {
        let alice = site.browser("alice").await;
        let shown = cookie(&alice);
        let mut socket = front.websocket("/user/bob/ws", &shown).await;
        assert!(echoes(&mut socket).await);
        let begun = Instant::now();
        let status = match way {
            "logout" => {
                let body = format!("_xsrf={}", alice.xsrf);
                let form = [(CONTENT_TYPE.as_str(), FORM)];
                alice.send("POST", "/hub/logout", &form, &body).await.status
            }
            "own password" => {
                let body = format!(r#"{{"password": "{}"}}"#, site::PASSWORD);
                let path = "/hub/api/berth/users/alice/password";
                let fields = [
                    (CONTENT_TYPE.as_str(), "application/json"),
                    ("x-xsrftoken", alice.xsrf.as_str()),
                ];
                alice.send("POST", path, &fields, &body).await.status
            }
            "password by an administrator" => {
                let body = format!(r#"{{"password": "{}"}}"#, site::PASSWORD);
                root.json("POST", "/hub/api/berth/users/alice/password", &body).await.status
            }
            // In the same browser: the former session of it ends.
            _ => log_in_again(site, "bob", &shown).await,
        };
        assert!(status.is_success() || status.is_redirection(), "{way}: {status}");
        assert_eq!(last_words(&mut socket).await, REVOKED, "{way}");
        say(way, begun);
        assert_eq!(within(front.open("/user/bob/ws", &shown)).await.0, 403, "{way}");
    }
    assert!(echoes(&mut other).await, "another person's websocket was closed");
}

/// JupyterHub GHSA-cw7p-q79f-m2v7: of several tabs, one was left logged in. Each has a websocket.
#[tokio::test(flavor = "multi_thread")]
async fn every_tab_of_a_login_ends_with_it() {
    let front = Front::new().await;
    front.running("bob").await;
    let alice = front.site.browser("alice").await;
    let shown = cookie(&alice);
    let mut tabs = Vec::new();
    for _ in 0..5 {
        tabs.push(front.websocket("/user/bob/ws", &shown).await);
    }
    for tab in &mut tabs {
        assert!(echoes(tab).await);
    }
    let body = format!("_xsrf={}", alice.xsrf);
    let begun = Instant::now();
    let out = alice.send("POST", "/hub/logout", &[(CONTENT_TYPE.as_str(), FORM)], &body).await;
    assert!(out.status.is_redirection(), "{out:?}");
    for tab in &mut tabs {
        assert_eq!(last_words(tab).await, REVOKED);
    }
    say("five tabs", begun);
    for _ in 0..5 {
        assert_eq!(within(front.open("/user/bob/ws", &shown)).await.0, 403);
    }
    assert_eq!(alice.get("/hub/api/user").await.status, StatusCode::FORBIDDEN);
}

/// A proxy that has lost its table gets every route anew: nobody was at work for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_route_is_not_activity_and_what_a_client_sends_is() {
    let front = Front::new().await;
    front.running("bob").await;
    let hub = &front.site.hub;
    let sign =
        || front.site.server("bob", "").placement()?.life.signs.get(&Evidence::Browser).copied();
    // What was sent before an answer has been taken in by then.
    let taken = async || {
        housekeeping::take_activity(hub).await;
        let server = ServerId::from_random(0);
        hub.fleet.ask(Event::Remove { server, reply: None }).await.unwrap();
    };
    taken().await;
    assert_eq!(sign(), None, "nobody has come yet");

    let alice = front.site.browser("alice").await;
    let mut socket = front.websocket("/user/bob/ws", &cookie(&alice)).await;
    let before = now();
    assert!(echoes(&mut socket).await);
    taken().await;
    // The proxy's clock has whole milliseconds.
    assert!(sign().is_some_and(|at| before.millis_since(at) <= 1), "{:?} {before}", sign());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_account_and_a_token_taken_back_close_websockets() {
    let front = Front::new().await;
    front.running("bob").await;
    let root = front.site.program("root_").await;

    let secret = front.site.token("alice", &["inherit"]).await;
    let shown = format!("Authorization: token {secret}");
    let mut by_token = front.websocket("/user/bob/ws", &shown).await;
    let tokens = root.get("/hub/api/users/alice/tokens").await.json();
    let id = tokens["api_tokens"][0]["id"].as_str().unwrap().to_owned();
    let begun = Instant::now();
    let gone = root.json("DELETE", &format!("/hub/api/users/alice/tokens/{id}"), "").await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(last_words(&mut by_token).await, REVOKED);
    say("an administrator takes a token back", begun);
    assert_eq!(within(front.open("/user/bob/ws", &shown)).await.0, 403);

    let mut by_cookie = {
        let alice = front.site.browser("alice").await;
        front.websocket("/user/bob/ws", &cookie(&alice)).await
    };
    let secret = front.site.token("alice", &["inherit"]).await;
    let mut by_token =
        front.websocket("/user/bob/ws", &format!("Authorization: Bearer {secret}")).await;
    let begun = Instant::now();
    let gone = root.json("DELETE", "/hub/api/users/alice", "").await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.text);
    assert_eq!(last_words(&mut by_cookie).await, REVOKED);
    assert_eq!(last_words(&mut by_token).await, REVOKED);
    say("an account is removed", begun);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_closes_the_servers_websockets_and_no_others() {
    let front = Front::new().await;
    let server = front.running("alice").await;
    let shown = cookie(&front.site.browser("alice").await);
    let mut socket = front.websocket("/user/alice/ws", &shown).await;
    let begun = Instant::now();
    actions::stop(&front.site.hub, &server.id, Reason::StoppedAdmin).await.unwrap();
    assert_eq!(last_words(&mut socket).await, GOING_AWAY);
    say("a stop", begun);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_comes_back_says_what_the_one_before_owed() {
    let mut front = Front::new().await;
    front.running("bob").await;
    let shown = {
        let alice = front.site.browser("alice").await;
        cookie(&alice)
    };
    let mut socket = front.websocket("/user/bob/ws", &shown).await;
    front.kill_keeper();
    let root = front.site.program("root_").await;
    let path = "/hub/api/berth/users/alice/password";
    let set = root.json("POST", path, r#"{"password": "another horse"}"#).await;
    assert_eq!(set.status, StatusCode::OK);
    assert!(echoes(&mut socket).await, "nobody has told the proxy yet");
    drop(root);
    front.start_keeper_anew();
    assert_eq!(last_words(&mut socket).await, REVOKED);
    // Told once, it is not owed any more.
    within(async {
        while !front.site.hub.storage.read(|reader| reader.revocations()).unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_merely_expires_is_not_taken_back() {
    let site = Site::new().await;
    let alice = site.browser("alice").await;
    let in_a_week = now().plus(Seconds(8 * 86_400));
    let expired = site.hub.storage.write(move |database| {
        database.expire(in_a_week, in_a_week, in_a_week)?;
        database.reader()?.revocations()
    });
    assert_eq!(expired.await.unwrap(), []);
    assert_eq!(alice.get("/hub/api/user").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_with_an_empty_store_cuts_nobody_off_and_hosts_say_what_is_gone() {
    let mut front = Front::new().await;
    let server = front.running("alice").await;
    let bob = front.running("bob").await;
    let admin = front.site.token("root_", &["inherit"]).await;
    let shown = format!("Authorization: token {admin}");
    let mut socket = front.websocket("/user/alice/ws", &shown).await;

    // The store is lost. A new hub's reign is lower than what the proxy has seen: refused whole.
    front.kill_keeper();
    let folder = tempfile::tempdir().unwrap();
    let state = front.site.hub.config().hub.state.clone();
    let links = ["ca", "proxy", "proxy.sock"];
    for name in links {
        std::os::unix::fs::symlink(state.join(name), folder.path().join(name)).unwrap();
    }
    {
        let mut store = berth_store::Database::open(folder.path()).unwrap();
        for _ in 0..5 {
            store.next_epoch().unwrap();
        }
    }
    let address = front.host.address.to_string();
    let empty = Site::at(SITE, false, folder, &address).await;
    let before = std::mem::replace(&mut front.site, empty);
    let mut routed = front.site.hub.routed.subscribe();
    // It has spoken once its list is confirmed, which replaces what is noted before it begins.
    front.site.hub.routed.send_modify(|routed| {
        routed.insert("asked".into(), server.generation);
    });
    front.start_keeper();
    within(routed.wait_for(|routed| !routed.contains_key("asked"))).await.unwrap();
    let table = front.routes().await;
    assert!(table.get("/user/alice").is_some() && table.get("/user/bob").is_some(), "{table}");
    assert!(echoes(&mut socket).await, "a hub that knows nobody cut somebody off");
    let mut another = front.websocket("/user/bob/ws", &shown).await;
    assert!(echoes(&mut another).await);

    // Bob's host says that it does not run this server: the one route that goes.
    front.host.says.lock().unwrap().insert(bob.id.to_string(), Status::Gone);
    drop(another);
    assert_eq!(within(front.open("/user/bob/ws2", &shown)).await.0, 503);
    front.keeper.abort();
    front.start_keeper_anew();
    within(async {
        while front.routes().await.get("/user/bob").is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(front.routes().await.get("/user/alice").is_some());
    assert!(echoes(&mut socket).await);
    drop(before);
}

impl Front {
    /// Another hub process on the same store.
    fn start_keeper_anew(&mut self) {
        let (alive, revoked) = mpsc::unbounded_channel();
        // Nobody speaks here, as in the first moments of a process.
        self.keeper = tokio::spawn({
            let hub = self.site.hub.clone();
            async move {
                routes::keep(hub, revoked).await;
                drop(alive);
            }
        });
    }
}
