//! A hub in a temporary folder with one pretended host, and a browser or program that asks it.

#![allow(dead_code)] // each test program uses its part

pub mod host;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use berth_common::link::{
    Account, Capacity, Group, HostFacts, Observed, ObservedState, Origin, Report, Usage,
};
use berth_common::{
    BootId, ByteCount, Epoch, Incarnation, Reason, Revision, Seconds, ServerId, Timestamp,
};
use berth_core::settings::{Cite, HostSettings, Image, Pool, Profile, Quota, Quotas, Settings};
use berth_core::{Event, Server};
use berth_hub::auth::oidc::Providers;
use berth_hub::ca::Ca;
use berth_hub::config::services::Services;
use berth_hub::config::{Config, HubConfig, People};
use berth_hub::directory::Directory;
use berth_hub::keys::Keys;
use berth_hub::metrics::Metrics;
use berth_hub::site::Hub;
use berth_hub::storage::Storage;
use berth_hub::{actions, driver, web};
use berth_process::clock::now;
use berth_store::User;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

/// The site's address: cookies are `__Host-` ones.
pub const SITE: &str = "http://127.0.0.1:8000";
/// Everybody's password, under the cheapest hash there is: tests verify it often.
pub const PASSWORD: &str = "correct horse";

/// A running hub.
pub struct Site {
    pub hub: Arc<Hub>,
    pub router: Router,
    pub revoked: mpsc::UnboundedReceiver<Vec<u8>>,
    _folder: tempfile::TempDir,
}

impl Site {
    /// A hub with alice, bob and the administrator root_, and a host with 32 GB.
    pub async fn new() -> Self {
        Self::with(SITE, false).await
    }

    pub async fn with(public_url: &str, insecure_cookies: bool) -> Self {
        Self::at(public_url, insecure_cookies, tempfile::tempdir().unwrap(), "wn1:8444").await
    }

    /// On a folder that may hold a store, with the address of the host's tunnel port.
    pub async fn at(
        public_url: &str,
        insecure_cookies: bool,
        folder: tempfile::TempDir,
        host: &str,
    ) -> Self {
        let mut site = Self::silent(public_url, folder, host).await;
        let state = site.hub.config().hub.state.clone();
        let config = Config {
            settings: settings(host),
            hub: hub_config(public_url, insecure_cookies, &state),
            people: People::default(),
            services: Services::default(),
            farm: Default::default(),
        };
        site.hub.config.store(Arc::new(config));
        site.router = web::router(Arc::clone(&site.hub));
        for (uid, name) in ["alice", "bob", "root_"].into_iter().enumerate() {
            site.add_user(name, 1000 + u32::try_from(uid).unwrap(), name == "root_").await;
        }
        site.report(Vec::new()).await;
        site
    }

    /// The same, with whomever the folder's store knows, and before the host has reported.
    pub async fn silent(public_url: &str, folder: tempfile::TempDir, host: &str) -> Self {
        let insecure_cookies = false;
        let state = folder.path();
        let storage = Storage::open(state).unwrap();
        let settings = settings(host);
        let metrics = Arc::new(Metrics::new().unwrap());
        let shared = Arc::new(settings.clone());
        let started = driver::start(storage.clone(), shared, metrics.clone(), Default::default());
        let fleet = started.await.unwrap();
        let services = berth_hub::services::Shared::open(&storage).unwrap();
        let agenda = berth_hub::agenda::Agenda::open(&storage).unwrap();
        let (revoked_in, revoked) = mpsc::unbounded_channel();
        let hub = Arc::new(Hub {
            config: ArcSwap::from_pointee(Config {
                settings,
                hub: hub_config(public_url, insecure_cookies, state),
                people: People::default(),
                services: Services::default(),
                farm: Default::default(),
            }),
            fleet,
            storage,
            keys: Keys::open(&state.join("ca")).unwrap(),
            configuration: Default::default(),
            agenda,
            providers: Providers::default(),
            directory: Directory::default(),
            ca: Ca::open(&state.join("ca")).unwrap(),
            revoked: revoked_in,
            metrics,
            services,
            asked: Default::default(),
            farm: Default::default(),
            samples: Default::default(),
            checked: Default::default(),
            routed: watch::Sender::new(BTreeMap::new()),
            end: Default::default(),
        });
        Self { router: web::router(Arc::clone(&hub)), hub, revoked, _folder: folder }
    }

    pub async fn add_user(&self, name: &str, uid: u32, admin: bool) {
        let user = User {
            account: Account {
                name: name.parse().unwrap(),
                uid,
                gid: uid,
                groups: vec![Group { name: "lab".into(), gid: 5000 }],
                home: format!("/home/{name}"),
            },
            admin,
            password: cheap_hash(),
            created: Timestamp(1_000_000),
            last_activity: Timestamp(1_000_000),
        };
        self.hub.storage.write(move |database| database.save_user(&user)).await.unwrap();
    }

    /// The host's heartbeat with these containers. It has applied everything that it was told.
    pub async fn report(&self, engine: Vec<Observed>) {
        let fleet = self.hub.fleet.fleet();
        let seq = fleet.hosts.values().map(|host| host.seq).max().unwrap_or(0);
        self.send_report(Ok(engine), fleet.epoch, seq).await;
    }

    /// The heartbeat of the host with no containers and with these facts.
    pub async fn report_facts(&self, facts: HostFacts) {
        let fleet = self.hub.fleet.fleet();
        let seq = fleet.hosts.values().map(|host| host.seq).max().unwrap_or(0);
        let report = Report { facts, ..Self::heartbeat(Ok(Vec::new()), fleet.epoch, seq) };
        self.take_in(report).await;
    }

    async fn send_report(&self, engine: Result<Vec<Observed>, String>, epoch: Epoch, seq: u64) {
        self.take_in(Self::heartbeat(engine, epoch, seq)).await;
    }

    fn heartbeat(engine: Result<Vec<Observed>, String>, epoch: Epoch, seq: u64) -> Report {
        Report {
            incarnation: Incarnation(1),
            boot_id: "boot-1".parse::<BootId>().unwrap(),
            sent: now(),
            applied: Revision { epoch, seq },
            engine,
            pending: Vec::new(),
            gpus: Vec::new(),
            spaces: Vec::new(),
            capacity: Capacity {
                memory_total: ByteCount(32 << 30),
                memory_free: ByteCount(32 << 30),
                cpus: 8,
                memory_pressure: None,
            },
            facts: HostFacts::default(),
        }
    }

    async fn take_in(&self, report: Report) {
        let host = "wn1".parse().unwrap();
        let event = Event::Reported { host, session: 1, report: Box::new(report) };
        self.hub.fleet.send(event).await;
        self.settle().await;
    }

    /// Lets the host's container engine fall silent.
    pub async fn silence_host(&self) {
        let fleet = self.hub.fleet.fleet();
        let seq = fleet.hosts.values().map(|host| host.seq).max().unwrap_or(0);
        self.send_report(Err("no answer from dockerd".into()), fleet.epoch, seq).await;
    }

    /// Waits until everything sent before has been taken in.
    pub async fn settle(&self) {
        let nobody = ServerId::from_random(0);
        actions::stop(&self.hub, &nobody, Reason::StoppedAdmin).await.unwrap();
    }

    pub fn server(&self, owner: &str, name: &str) -> Arc<Server> {
        let fleet = self.hub.fleet.fleet();
        fleet.find(&owner.parse().unwrap(), &name.parse().unwrap()).unwrap().clone()
    }

    /// What the host shows of a server.
    pub fn seen(&self, server: &Server, state: ObservedState) -> Observed {
        Observed {
            server: server.id.clone(),
            generation: server.generation,
            epoch: self.hub.fleet.fleet().epoch,
            state,
            steps: Vec::new(),
            memory_used: ByteCount(1 << 30),
            usage: Usage::default(),
            limit: Some(server.ask.memory),
            resize_refused: None,
            kills: Vec::new(),
            left_out: Vec::new(),
            origin: Origin {
                user: server.owner.clone(),
                server_name: server.name.clone(),
                profile: server.ask.profile.clone(),
                memory: server.ask.memory,
                gpus: Vec::new(),
                decision: server.decision.clone(),
            },
        }
    }

    /// Makes a placed server answer, and the proxy lead to it.
    pub async fn make_ready(&self, owner: &str, name: &str) {
        let server = self.server(owner, name);
        let fleet = self.hub.fleet.fleet();
        let others =
            fleet.servers.values().filter(|other| other.is_ready() && other.id != server.id);
        let all = others.chain([&server]).map(|server| self.seen(server, ObservedState::Ready));
        self.report(all.collect()).await;
        self.hub.routed.send_modify(|routed| {
            routed.insert(server.prefix(), server.generation);
        });
    }

    /// A running server of this person, started over the API.
    pub async fn running(&self, owner: &str, name: &str) -> Arc<Server> {
        let account = self.hub.storage.read(|reader| reader.user(&owner.parse().unwrap()));
        let account = account.unwrap().unwrap().account;
        let wish = berth_core::event::Wish::default();
        actions::start(&self.hub, account, name.parse().unwrap(), wish, None, false).await.unwrap();
        self.make_ready(owner, name).await;
        self.server(owner, name)
    }

    pub fn server_token(&self, server: &Server) -> String {
        self.hub.keys.server_token(&server.id, server.generation)
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request);
        let response = tokio::time::timeout(Duration::from_secs(60), response).await;
        Reply::read(response.expect("an answer in time").unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub fn by_token<'a>(&'a self, token: &str) -> Client<'a> {
        let authorization = (AUTHORIZATION.as_str().to_owned(), format!("token {token}"));
        Client { site: self, headers: vec![authorization], xsrf: String::new() }
    }

    /// A program with an API token of this person.
    pub async fn program(&self, user: &str) -> Client<'_> {
        let token = self.token(user, &["inherit"]).await;
        self.by_token(&token)
    }

    pub async fn token(&self, user: &str, scopes: &[&str]) -> String {
        let text = format!("berth_pat_{}", berth_hub::keys::secret());
        let token = berth_store::Token {
            id: 0,
            kind: berth_store::TokenKind::Api,
            user: user.parse().unwrap(),
            client: "JupyterHub".into(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            note: "test".into(),
            session: None,
            server: None,
            created: now(),
            expires: None,
            last_used: None,
        };
        let hash = berth_hub::keys::hash(&text);
        self.hub.storage.write(move |database| database.add_token(&hash, &token)).await.unwrap();
        text
    }

    /// A browser in which this person has logged in by the form.
    pub async fn browser(&self, user: &str) -> Client<'_> {
        let form = self.get("/hub/login").await;
        let cookie = form.cookie("__Host-berth-login");
        let body = format!(
            "username={user}&password={}&_xsrf={}",
            PASSWORD.replace(' ', "+"),
            cookie.split_once('=').unwrap().1
        );
        let request = Request::post("/hub/login")
            .header(COOKIE, &cookie)
            .header(CONTENT_TYPE, FORM)
            .body(body.into())
            .unwrap();
        let reply = self.send(request).await;
        assert_eq!(reply.status, StatusCode::FOUND, "{}", reply.text);
        let session = reply.cookie("__Host-berth");
        let id = reply.cookie("jupyterhub-session-id");
        let xsrf = self.xsrf(session.split_once('=').unwrap().1);
        let cookies = (COOKIE.as_str().to_owned(), format!("{session}; {id}"));
        Client { site: self, headers: vec![cookies], xsrf }
    }

    fn xsrf(&self, secret: &str) -> String {
        let hash = berth_hub::keys::hash(secret);
        self.hub.storage.read(|reader| reader.session(&hash)).unwrap().unwrap().xsrf
    }
}

pub const FORM: &str = "application/x-www-form-urlencoded";

/// Somebody with credentials.
pub struct Client<'a> {
    site: &'a Site,
    pub headers: Vec<(String, String)>,
    pub xsrf: String,
}

impl Client<'_> {
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        extra: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        for (name, value) in extra {
            request = request.header(*name, *value);
        }
        self.site.send(request.body(body.to_owned().into()).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], "").await
    }

    pub async fn json(&self, method: &str, path: &str, body: &str) -> Reply {
        self.send(method, path, &[(CONTENT_TYPE.as_str(), "application/json")], body).await
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Self { status: parts.status, headers: parts.headers, text }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn location(&self) -> &str {
        self.header(LOCATION.as_str())
    }

    /// `name=value` of a cookie that is set.
    pub fn cookie(&self, name: &str) -> String {
        let all = self.headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap());
        let start = format!("{name}=");
        let found = all.into_iter().find(|cookie| cookie.starts_with(&start));
        let cookie = found.unwrap_or_else(|| panic!("no cookie {name}: {self:?}"));
        cookie.split(';').next().unwrap().to_owned()
    }
}

fn cheap_hash() -> String {
    use argon2::password_hash::{PasswordHasher, SaltString};
    use argon2::{Algorithm, Argon2, Params, Version};
    let params = Params::new(8, 1, 1, None).unwrap();
    let salt = SaltString::encode_b64(b"0123456789abcdef").unwrap();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(PASSWORD.as_bytes(), &salt)
        .unwrap()
        .to_string()
}

fn hub_config(public_url: &str, insecure_cookies: bool, state: &std::path::Path) -> HubConfig {
    HubConfig {
        public_url: public_url.into(),
        listen: ([127, 0, 0, 1], 1).into(),
        state: state.to_owned(),
        admin_socket: state.join("admin.sock"),
        api_url: format!("{public_url}/hub/api"),
        keep_decisions: berth_common::Seconds(90 * 86_400),
        keep_audit: berth_common::Seconds(1_095 * 86_400),
        per_user: Default::default(),
        puppet: None,
        insecure_cookies,
        agents_listen: ([127, 0, 0, 1], 2).into(),
        proxy_api: format!("unix:{}", state.join("proxy.sock").display()),
        keep_ended_cards: None,
        logs: Default::default(),
        mail: None,
    }
}

fn settings(host_address: &str) -> Settings {
    let cite = Cite { file: "test.toml".into(), line: 1 };
    let host = HostSettings {
        pool: "cpu".into(),
        memory: None,
        keep_free: ByteCount(2 << 30),
        gpus: None,
        address: host_address.into(),
        cite: cite.clone(),
    };
    let profile = Profile {
        title: "CPU".into(),
        use_case: String::new(),
        pool: "cpu".into(),
        memory_default: ByteCount(4 << 30),
        memory_choices: vec![ByteCount(4 << 30), ByteCount(16 << 30)],
        memory_max: ByteCount(64 << 30),
        images: vec!["base".into()],
        default: true,
        cite: cite.clone(),
        ..Profile::default()
    };
    let image = Image { reference: "nb:1".into(), title: "Base".into(), shm: None, cite };
    Settings {
        hosts: BTreeMap::from([("wn1".parse().unwrap(), host)]),
        pools: BTreeMap::from([("cpu".to_owned(), Pool::default())]),
        profiles: BTreeMap::from([("cpu".to_owned(), profile)]),
        images: BTreeMap::from([("base".to_owned(), image)]),
        quotas: Quotas {
            default: Quota { servers: Some(3), ..Quota::default() },
            ..Quotas::default()
        },
        lost_after: Seconds(3_600),
        ..Settings::default()
    }
}
