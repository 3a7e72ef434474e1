//! A small site for tests: a hub over a temporary folder, people with sessions, and hosts whose
//! agents are played.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, Request, StatusCode};
use berth_common::link::{
    Account, Capacity, Ending, GpuDevice, GpuFacts, GpuUse, HostFacts, Kernels, Kill, Observed,
    ObservedState, Origin, Pending, Report, SpaceHealth, StartStep, StepDone, Usage, Victim,
};
use berth_common::{BootId, ByteCount, Incarnation, Reason, Revision, Timestamp};
use berth_core::event::{Event, Row};
use berth_core::fleet::Ask;
use berth_core::store::Store;
use berth_core::{Phase, Server, Settings};
use berth_process::clock::now;
use berth_store::{Session, User};
use futures::StreamExt;
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

use crate::ca::Ca;
use crate::keys::{self, Keys};
use crate::site::Hub;
use crate::storage::Storage;
use crate::{config, driver};

pub const PUBLIC_URL: &str = "http://127.0.0.1:8000";
pub const PEOPLE: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

const PROFILES: &str = r#"version = 1
[profile.cpu]
title = "CPU"
use = "Analysis, plots, development"
pool = "cpu"
memory = { default = "2 GB", choices = ["512 MB", "2 GB", "4 GB", "8 GB"], max = "15 GB" }
images = ["py", "root"]
default = true
[profile.gpu]
title = "GPU (K80)"
use = "Training of small networks; one GPU each"
pool = "gpu"
memory = { default = "28 GB" }
images = ["py"]
"#;
const HOSTS: &str = r#"version = 1
host = [
  { names = "wn[1-2]", pool = "cpu", memory = "32 GB", keep_free = "2 GB" },
  { names = "wn3", pool = "gpu" },
  { names = "wn4", pool = "cpu", memory = "16 GB" },
]
"#;
const IMAGES: &str = r#"version = 1
[image.py]
ref = "nb:py"
title = "Python 3.13"
[image.root]
ref = "nb:root"
title = "ROOT 6.34 and C++"
"#;

pub struct Site {
    pub hub: Arc<Hub>,
    router: Router,
    xsrf: BTreeMap<String, String>,
    folder: tempfile::TempDir,
    _revoked: mpsc::UnboundedReceiver<Vec<u8>>,
}

/// A server of alice's that waits since an hour ago, and nobody has looked since.
pub fn forgotten() -> Row {
    let asked = Timestamp(now().0 - 3_600_000_000);
    let ask = Ask {
        profile: "cpu".into(),
        memory: gb(2),
        image: "py".into(),
        gpu_milli: 1_000,
        ..Ask::default()
    };
    let phase = Phase::Waiting {
        since: asked,
        reason: Reason::WaitMemoryReserved,
        watched: Some(asked),
        foreseen: None,
        place: None,
        moved: None,
    };
    Row::Server(Arc::new(Server {
        id: berth_common::ServerId::from_random(7),
        owner: "alice".parse().unwrap(),
        name: berth_common::ServerName::default_server(),
        generation: berth_common::Generation(0),
        phase,
        ask,
        user_options: "{}".into(),
        account: Some(account("alice", 0)),
        decision: None,
        created: asked,
        last_activity: asked,
        peaks: None,
        last_host: None,
        gpu_turn: None,
        last_end: None,
        last_start: None,
        kills: Vec::new(),
        activity_saved: asked,
    }))
}

fn account(name: &str, number: u32) -> Account {
    Account {
        name: name.parse().unwrap(),
        uid: 2_000 + number,
        gid: 2_000,
        groups: Vec::new(),
        home: format!("/home/{name}"),
    }
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// What people read: without markup, and every run of white space one space.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for part in self.body.split('<') {
            let shown = part.split_once('>').map_or(part, |(_, shown)| shown);
            let _ = write!(text, "{shown} ");
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ").replace("&#39;", "'")
    }
}

pub fn gb(n: u64) -> ByteCount {
    ByteCount(n << 30)
}

impl Site {
    /// Two ready hosts, one whose engine is down, one that never reported; nobody has a server.
    pub async fn new() -> Self {
        let site = Self::silent(Vec::new(), |_| ()).await;
        site.everybody_reports().await;
        site
    }

    /// A hub that has just started: its store holds this, and no host has reported yet.
    pub async fn silent(rows: Vec<Row>, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let hub_toml = format!(
            "version = 1\n[hub]\npublic_url = \"{PUBLIC_URL}\"\nstate = \"{}\"\n",
            at("state").display()
        );
        let pools = "version = 1\n[pool.cpu]\nstrategy = \"spread\"\n[pool.gpu]\n";
        let files = [
            ("hub", hub_toml.as_str()),
            ("pools", pools),
            ("profiles", PROFILES),
            ("hosts", HOSTS),
            ("images", IMAGES),
        ];
        for (name, text) in files {
            std::fs::write(at(&format!("{name}.toml")), text).unwrap();
        }
        let mut config = config::load(folder.path(), now()).unwrap().0;
        // Too little for the profile of its pool. The check refuses it; the pages have words for it.
        config.settings.hosts.get_mut(&"wn3".parse().unwrap()).unwrap().memory = Some(gb(16));
        change(&mut config.settings);
        let storage = Storage::open(&config.hub.state).unwrap();
        storage.write(move |database| database.commit(&rows)).await.unwrap();
        let metrics = Arc::new(crate::metrics::Metrics::new().unwrap());
        let fleet = driver::start(
            storage.clone(),
            Arc::new(config.settings.clone()),
            metrics.clone(),
            Default::default(),
        )
        .await
        .unwrap();
        let (revoked, _revoked) = mpsc::unbounded_channel();
        let hub = Arc::new(Hub {
            fleet,
            storage,
            keys: Keys::open(&at("keys")).unwrap(),
            configuration: crate::reload::Configuration::open(folder.path()).unwrap().1,
            agenda: Default::default(),
            providers: Default::default(),
            directory: Default::default(),
            ca: Ca::open(&at("ca")).unwrap(),
            revoked,
            metrics,
            services: crate::services::Shared::default(),
            asked: Default::default(),
            farm: Default::default(),
            samples: Default::default(),
            checked: Default::default(),
            routed: watch::Sender::new(BTreeMap::new()),
            end: Default::default(),
            config: ArcSwap::from_pointee(config),
        });
        let router =
            super::super::router().fallback(super::super::outside).with_state(Arc::clone(&hub));
        let mut site = Self { hub, router, xsrf: BTreeMap::new(), folder, _revoked };
        for (number, name) in PEOPLE.into_iter().enumerate() {
            site.person(name, u32::try_from(number).unwrap());
            site.log_in(name).await;
        }
        site
    }

    /// The hosts come, with nothing on them.
    pub async fn everybody_reports(&self) {
        self.report("wn1", Ok(Vec::new())).await;
        self.report("wn2", Ok(Vec::new())).await;
        self.report("wn3", Err("cannot connect to /run/docker.sock".into())).await;
    }

    /// With alice's server running, dave's ended for want of memory, and a host nobody declared.
    pub async fn busy() -> Self {
        let site = Self::new().await;
        site.post("alice", "/hub/spawn/alice", "profile=cpu&memory=4G&image=py").await;
        site.run("alice", "").await;
        site.post("dave", "/hub/spawn/dave", "profile=cpu&memory=2G").await;
        site.run("dave", "").await;
        site.end("dave", "", Reason::StoppedOom, "python reached 2 GB of 2 GB.").await;
        site.vanish("dave", "").await;
        site.post("carol", "/hub/spawn/carol", "profile=cpu&memory=2G&name=fit-2").await;
        site.post("carol", "/hub/spawn/carol", "profile=cpu&memory=2G").await;
        site.report("wn9", Ok(Vec::new())).await;
        site.open_all();
        site
    }

    /// Puts other settings in force.
    pub async fn change_settings(&self, change: impl FnOnce(&mut Settings)) {
        let config = self.hub.config();
        let mut settings = config.settings.clone();
        change(&mut settings);
        let (people, services, farm) = Default::default();
        let fresh = config::Config { settings, people, services, farm, hub: config.hub.clone() };
        self.hub.config.store(Arc::new(fresh));
        crate::agenda::put_in_force(&self.hub).await;
    }

    /// Changes one of the site's files on disk.
    pub fn change_file(&self, name: &str, change: impl FnOnce(String) -> String) {
        let path = self.folder.path().join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, change(text)).unwrap();
    }

    fn person(&self, name: &str, number: u32) {
        let account = account(name, number);
        // Nobody logs in by password here: hashing one for each would take most of the time.
        let password = String::new();
        let user =
            User { account, admin: name == "erin", password, created: now(), last_activity: now() };
        let storage = self.hub.storage.clone();
        storage.write_later("a user", move |database| database.save_user(&user));
    }

    /// Somebody more, who has no server.
    pub async fn newcomer(&self, name: &'static str) {
        self.person(name, 100);
        let (hash, at) = (keys::hash(&secret(name)), now());
        let session =
            Session { user: name.parse().unwrap(), xsrf: keys::secret(), created: at, seen: at };
        let storage = &self.hub.storage;
        storage.write(move |database| database.add_session(&hash, &session)).await.unwrap();
    }

    async fn log_in(&mut self, name: &str) {
        let (hash, xsrf, at) = (keys::hash(&secret(name)), keys::secret(), now());
        self.xsrf.insert(name.to_owned(), xsrf.clone());
        let session = Session { user: name.parse().unwrap(), xsrf, created: at, seen: at };
        self.hub
            .storage
            .write(move |database| database.add_session(&hash, &session))
            .await
            .unwrap();
    }

    fn request(&self, user: &str, path: &str) -> axum::http::request::Builder {
        let request = Request::builder().uri(path).header("accept", "text/html,*/*;q=0.8");
        if user.is_empty() { request } else { request.header("cookie", cookie(user)) }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub async fn get(&self, user: &str, path: &str) -> Answer {
        self.send(self.request(user, path).body(Body::empty()).unwrap()).await
    }

    /// By all of the hub's routes, to a browser that reads this language.
    pub async fn whole(&self, user: &str, path: &str, language: &str) -> Answer {
        let request = self.request(user, path).header("accept-language", language);
        let router = crate::web::router(Arc::clone(&self.hub));
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Only the status: for streams, which have no end.
    pub async fn status(&self, user: &str, path: &str) -> StatusCode {
        let request = self.request(user, path).body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap().status()
    }

    pub async fn live(&self, user: &str, path: &str) -> Live {
        let request = self.request(user, path).body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Live { stream: response.into_body().into_data_stream() }
    }

    pub async fn post(&self, user: &str, path: &str, form: &str) -> Answer {
        let xsrf = self.xsrf.get(user).unwrap();
        self.post_raw(user, path, &format!("_xsrf={xsrf}&{form}")).await
    }

    pub async fn post_raw(&self, user: &str, path: &str, form: &str) -> Answer {
        let request = self
            .request(user, path)
            .method("POST")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin");
        self.send(request.body(Body::from(form.to_owned())).unwrap()).await
    }

    pub fn server(&self, owner: &str, name: &str) -> Arc<Server> {
        let fleet = self.hub.fleet.fleet();
        Arc::clone(fleet.find(&owner.parse().unwrap(), &name.parse().unwrap()).unwrap())
    }

    /// The proxy leads to every server that answers.
    pub fn open_all(&self) {
        let routes = berth_core::route::routes(&self.hub.fleet.fleet());
        let open = routes.into_iter().map(|(prefix, route)| (prefix, route.generation)).collect();
        self.hub.routed.send_replace(open);
    }

    /// A start gets on: each milestone half a second after the one before.
    pub async fn reach(&self, owner: &str, name: &str, steps: &[StartStep], state: ObservedState) {
        self.show(owner, name, steps, Some(state)).await;
    }

    /// It answers.
    pub async fn run(&self, owner: &str, name: &str) {
        self.show(owner, name, &StartStep::ALL, Some(ObservedState::Ready)).await;
    }

    /// It fails to start.
    pub async fn fail(&self, owner: &str, name: &str, reason: Reason, detail: &str) {
        let ending = Ending { reason, detail: detail.to_owned() };
        self.show(owner, name, &[], Some(ObservedState::Failed(ending))).await;
    }

    /// It ends after it ran.
    pub async fn end(&self, owner: &str, name: &str, reason: Reason, detail: &str) {
        let ending = Ending { reason, detail: detail.to_owned() };
        self.show(owner, name, &StartStep::ALL, Some(ObservedState::Exited(ending))).await;
    }

    /// Nothing of it is left on its host.
    pub async fn vanish(&self, owner: &str, name: &str) {
        self.show(owner, name, &[], None).await;
    }

    /// The host's next report, with this one server as given and the others as they were.
    async fn show(
        &self,
        owner: &str,
        name: &str,
        steps: &[StartStep],
        state: Option<ObservedState>,
    ) {
        let server = self.server(owner, name);
        let placement = server.placement().unwrap();
        let host = placement.host.clone();
        let fleet = self.hub.fleet.fleet();
        let heard = fleet.hosts[&host].heard.as_ref().unwrap();
        let mut seen: Vec<_> =
            heard.observed.values().filter(|it| it.server != server.id).cloned().collect();
        let half =
            |n: usize| Timestamp(placement.placed_at.0 + 500_000 * i64::try_from(n).unwrap());
        let steps = (1..).zip(steps).map(|(n, step)| StepDone { step: *step, at: half(n) });
        seen.extend(state.map(|state| Observed {
            server: server.id.clone(),
            generation: server.generation,
            epoch: fleet.epoch,
            state,
            steps: steps.collect(),
            memory_used: ByteCount(3 << 29),
            usage: Usage::default(),
            limit: None,
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
        }));
        self.report(host.as_str(), Ok(seen)).await;
    }

    /// It uses this much memory now.
    pub async fn uses(&self, owner: &str, name: &str, memory: ByteCount) {
        let server = self.server(owner, name);
        let host = server.placement().unwrap().host.clone();
        let fleet = self.hub.fleet.fleet();
        let mut seen = fleet.hosts[&host].heard.as_ref().unwrap().observed.clone();
        seen.get_mut(&server.id).unwrap().memory_used = memory;
        self.report(host.as_str(), Ok(seen.into_values().collect())).await;
    }

    /// So many of its kernels are busy.
    pub async fn works(&self, owner: &str, name: &str, busy: u32) {
        let server = self.server(owner, name);
        let host = server.placement().unwrap().host.clone();
        let fleet = self.hub.fleet.fleet();
        let mut seen = fleet.hosts[&host].heard.as_ref().unwrap().observed.clone();
        seen.get_mut(&server.id).unwrap().usage.kernels = Some(Kernels { busy, quiet_ms: Some(0) });
        self.report(host.as_str(), Ok(seen.into_values().collect())).await;
    }

    /// The host says that a process of this server was killed while the server runs on.
    pub async fn out_of_memory(&self, owner: &str, name: &str) {
        let server = self.server(owner, name);
        let host = server.placement().unwrap().host.clone();
        let fleet = self.hub.fleet.fleet();
        let mut seen = fleet.hosts[&host].heard.as_ref().unwrap().observed.clone();
        let victim =
            Victim { name: "python3".into(), notebook: "fit.ipynb".into(), ..Victim::default() };
        let (highest, limit) = (gb(4), gb(4));
        let kill =
            Kill { number: 1, at: now(), victim: Some(victim), highest, limit, by_host: false };
        seen.get_mut(&server.id).unwrap().kills.push(kill);
        self.report(host.as_str(), Ok(seen.into_values().collect())).await;
    }

    /// The host fetches the image of a server, and so much of it is there.
    pub async fn fetch(&self, owner: &str, name: &str, percent: Option<u32>) {
        let server = self.server(owner, name);
        let host = server.placement().unwrap().host.clone();
        let fleet = self.hub.fleet.fleet();
        let seen = fleet.hosts[&host].heard.as_ref().unwrap().observed.clone();
        let (server, generation) = (server.id.clone(), server.generation);
        let pending = vec![Pending { server, generation, operation: "fetch", percent }];
        let seen = Ok(seen.into_values().collect());
        let report = Report { pending, ..self.of_host(host.as_str(), seen) };
        self.take_in(host.as_str(), report).await;
    }

    /// The host has looked after its spaces.
    pub async fn finds(&self, host: &str, spaces: Vec<SpaceHealth>) {
        let fleet = self.hub.fleet.fleet();
        let heard = fleet.hosts[&host.parse().unwrap()].heard.as_ref().unwrap();
        let seen = Ok(heard.observed.values().cloned().collect());
        self.take_in(host, Report { spaces, ..self.of_host(host, seen) }).await;
    }

    /// A heartbeat, and the wait until it was taken in.
    pub async fn report(&self, host: &str, engine: Result<Vec<Observed>, String>) {
        self.take_in(host, self.of_host(host, engine)).await;
    }

    /// What a host says when all is well with it.
    fn of_host(&self, host: &str, engine: Result<Vec<Observed>, String>) -> Report {
        let total = if host == "wn3" { gb(16) } else { gb(32) };
        let fleet = self.hub.fleet.fleet();
        Report {
            incarnation: Incarnation(1),
            boot_id: "b1".parse::<BootId>().unwrap(),
            sent: now(),
            applied: Revision { epoch: fleet.epoch, seq: u64::MAX },
            engine,
            pending: Vec::new(),
            gpus: gpus(host),
            spaces: Vec::new(),
            capacity: Capacity {
                memory_total: total,
                memory_free: ByteCount(total.0 / 16 * 15),
                cpus: 16,
                memory_pressure: None,
            },
            facts: HostFacts {
                agent_version: "0.1.0".into(),
                engine_version: "28.1".into(),
                images: vec!["nb:py".into(), "nb:root".into()],
                builds: BTreeMap::new(),
                gpus: GpuFacts { used: uses(host), ..GpuFacts::default() },
                ..HostFacts::default()
            },
        }
    }

    async fn take_in(&self, host: &str, report: Report) {
        let report = Box::new(report);
        self.hub
            .fleet
            .send(Event::Reported { host: host.parse().unwrap(), session: 1, report })
            .await;
        // An answered event behind it proves that it was taken in.
        let nobody = berth_common::ServerId::from_random(0);
        self.hub.fleet.ask(Event::Remove { server: nobody, reply: None }).await.unwrap();
    }
}

/// Two GPUs on the host that has some, one of them at work.
fn gpus(host: &str) -> Vec<GpuDevice> {
    let device = |number: u32| GpuDevice {
        gpu: format!("GPU-{host}-{number}").parse().unwrap(),
        model: "Tesla K80".into(),
        memory: gb(12),
        trouble: None,
    };
    if host == "gpu1" { vec![device(0), device(1)] } else { Vec::new() }
}

fn uses(host: &str) -> Vec<GpuUse> {
    let used = |(device, busy): (GpuDevice, u32)| GpuUse {
        busy: Some(busy),
        memory_used: Some(gb(5)),
        ..GpuUse::unknown(device.gpu)
    };
    gpus(host).into_iter().zip([72, 0]).map(used).collect()
}

/// A stream of events, one block at a time.
pub struct Live {
    stream: BodyDataStream,
}

/// Nothing that is waited for takes a minute; what takes so long hangs.
const HANG: std::time::Duration = std::time::Duration::from_secs(60);

impl Live {
    /// The next event; empty when the stream has ended.
    pub async fn next(&mut self) -> String {
        match self.stream.next().await {
            Some(Ok(bytes)) => String::from_utf8(bytes.to_vec()).unwrap(),
            _ => String::new(),
        }
    }

    /// The first event that holds this text.
    pub async fn until(&mut self, text: &str) -> String {
        let end = tokio::time::Instant::now() + HANG;
        let mut last = String::new();
        loop {
            let event = tokio::time::timeout_at(end, self.next()).await;
            let event = event.unwrap_or_else(|_| panic!("{text:?} did not come after {last}"));
            assert!(!event.is_empty(), "the stream ended before {text:?}");
            if event.contains(text) {
                return event;
            }
            last = event;
        }
    }
}

pub fn cookie(user: &str) -> String {
    format!("__Host-berth={}", secret(user))
}

fn secret(user: &str) -> String {
    format!("secret-of-{user}")
}
