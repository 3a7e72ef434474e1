//! A site around an agent: a CA, a small hub that says what it is told to, temporary folders, and
//! the agent's own program.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_common::link::{
    Account, Desired, DesiredSet, Group, Limit, Observed, ObservedState, Origin, Report, RunSpec,
    Verdict, Watch,
};
use berth_common::{ByteCount, Epoch, Generation, Revision, ServerId, Timestamp};
use berth_proto::identity::{Identity, Peer, public_key_hash};
use berth_proto::link::enrolment_server::{Enrolment, EnrolmentServer};
use berth_proto::link::link_server::{Link, LinkServer};
use berth_proto::link::{Certificates, Heartbeat, HostIntent, HostWish, JoinRequest, RenewRequest};
use berth_proto::tls::{self, Admit, Credential};
use futures::{Stream, StreamExt, stream};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, SanType,
};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tonic::{Request, Response, Status, Streaming};

/// Waiting longer than this is a failure.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// What a leaf may be used for.
#[derive(Clone, Copy)]
pub enum Usage {
    Client,
    Server,
}

pub struct Ca {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::from_ca_cert_pem(&pem, key).unwrap(), pem }
    }

    /// Chain and key for an identity, valid for some days from now, or until some days ago.
    pub fn leaf(&self, identity: &Identity, usage: Usage, days: i64) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let leaf = params(identity, usage, days).signed_by(&key, &self.issuer).unwrap().pem();
        (leaf + &self.pem, key.serialize_pem())
    }

    fn sign(&self, csr: &[u8], identity: &Identity, usage: Usage, days: i64) -> String {
        let mut request = CertificateSigningRequestParams::from_der(&csr.to_vec().into()).unwrap();
        request.params = params(identity, usage, days);
        request.signed_by(&self.issuer).unwrap().pem() + &self.pem
    }

    pub fn hash(&self) -> String {
        let certificate = tls::certificates(&self.pem).unwrap().remove(0);
        public_key_hash(&certificate).unwrap().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn params(identity: &Identity, usage: Usage, days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(identity.to_string().try_into().unwrap())];
    params.extended_key_usages = vec![match usage {
        Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
        Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
    }];
    let now = berth_process::clock::now().as_millis() / 1000;
    let at = |seconds: i64| {
        let day = seconds.div_euclid(86_400);
        let (year, month, day) = civil(day);
        rcgen::date_time_ymd(year, month, day)
    };
    // Whole days are enough: from a week ago.
    params.not_before = at(now - 7 * 86_400);
    params.not_after = at(now + days * 86_400);
    params
}

/// The date of a day since 1970.
fn civil(days: i64) -> (i32, u8, u8) {
    let text = Timestamp(days * 86_400_000_000).to_string();
    let mut parts = text[..10].split('-');
    let year = parts.next().unwrap().parse().unwrap();
    let month = parts.next().unwrap().parse().unwrap();
    (year, month, parts.next().unwrap().parse().unwrap())
}

/// What the small hub says and heard.
struct HubState {
    ca: Arc<Ca>,
    host: Mutex<String>,
    token: Mutex<Option<String>>,
    /// Days that new certificates live.
    days: Mutex<i64>,
    wanted: watch::Sender<(Revision, BTreeMap<ServerId, Desired>)>,
    watched: Mutex<Watch>,
    heard: watch::Sender<Option<Report>>,
    renewals: Mutex<Vec<Option<Peer>>>,
}

#[derive(Clone)]
pub struct Hub {
    state: Arc<HubState>,
    pub address: String,
    port_owner: Arc<Mutex<Option<tokio::task::JoinHandle<()>>>>,
}

impl Hub {
    pub async fn start(ca: Arc<Ca>) -> Self {
        let state = HubState {
            ca,
            host: Mutex::default(),
            token: Mutex::default(),
            days: Mutex::new(7),
            wanted: watch::Sender::new((Revision { epoch: Epoch(1), seq: 1 }, BTreeMap::new())),
            watched: Mutex::default(),
            heard: watch::Sender::new(None),
            renewals: Mutex::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let hub = Self { state: Arc::new(state), address, port_owner: Arc::default() };
        hub.serve(listener);
        hub
    }

    fn serve(&self, listener: TcpListener) {
        let task = tokio::spawn(serve(self.state.clone(), listener));
        *self.port_owner.lock().unwrap() = Some(task);
    }

    /// Ends the hub; its connections break.
    pub fn stop(&self) {
        if let Some(task) = self.port_owner.lock().unwrap().take() {
            task.abort();
        }
        self.state.heard.send_replace(None);
    }

    /// Begins a new reign on the same address.
    pub async fn restart(&self) {
        self.state.wanted.send_modify(|(revision, _)| {
            *revision = Revision { epoch: revision.epoch.next(), seq: 1 };
        });
        self.serve(TcpListener::bind(&self.address).await.unwrap());
    }

    pub fn token(&self, host: &str) -> String {
        let token = format!("berth1.{}.id.{:016x}", self.state.ca.hash(), rand::random::<u64>());
        *self.state.token.lock().unwrap() = Some(token.clone());
        *self.state.host.lock().unwrap() = host.to_owned();
        token
    }

    pub fn certificates_live(&self, days: i64) {
        *self.state.days.lock().unwrap() = days;
    }

    pub fn renewals(&self) -> Vec<Option<Peer>> {
        self.state.renewals.lock().unwrap().clone()
    }

    pub fn say(&self, server: &ServerId, generation: u64, what: Verdict) {
        self.say_limit(server, generation, what, None);
    }

    /// The same with a memory limit that the container is to have.
    pub fn say_limit(
        &self,
        server: &ServerId,
        generation: u64,
        what: Verdict,
        limit: Option<Limit>,
    ) {
        let generation = Generation(generation);
        self.state.wanted.send_modify(|(revision, servers)| {
            revision.seq += 1;
            servers.insert(server.clone(), Desired { generation, what, limit });
        });
    }

    /// Has the host watch these spaces, each second, with a second's patience.
    pub fn watch(&self, paths: &[(&str, &Path)], sick_after: u32) {
        let path = |(name, path): &(&str, &Path)| ((*name).to_owned(), path.display().to_string());
        let paths = paths.iter().map(path).collect();
        *self.state.watched.lock().unwrap() =
            Watch { every_s: 1, timeout_s: 1, sick_after, paths, ..Watch::default() };
        self.state.wanted.send_modify(|(revision, _)| revision.seq += 1);
    }

    /// Has the host ask registries what they give for these names.
    pub fn asks_about(&self, images: &[&str]) {
        let images = images.iter().map(|image| (*image).to_owned()).collect();
        self.state.watched.lock().unwrap().unknown = images;
        self.state.wanted.send_modify(|(revision, _)| revision.seq += 1);
    }

    /// Has the host fetch these images before anybody needs them.
    pub fn prepare(&self, images: &[&str]) {
        let images = images.iter().map(|image| (*image).to_owned()).collect();
        self.state.watched.lock().unwrap().images = images;
        self.state.wanted.send_modify(|(revision, _)| revision.seq += 1);
    }

    pub fn drop_verdict(&self, server: &ServerId) {
        self.state.wanted.send_modify(|(revision, servers)| {
            revision.seq += 1;
            servers.remove(server);
        });
    }

    pub fn revision(&self) -> Revision {
        self.state.wanted.borrow().0
    }

    /// Waits until a report is as wanted, and returns it.
    pub async fn heard(&self, what: &str, wanted: impl Fn(&Report) -> bool) -> Report {
        let mut heard = self.state.heard.subscribe();
        let found = heard.wait_for(|report| report.as_ref().is_some_and(&wanted));
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => found.unwrap().clone().unwrap(),
            Err(_) => panic!("never heard of: {what}; last: {:#?}", self.state.heard.borrow()),
        }
    }

    /// Waits until a server is in the state wanted.
    pub async fn sees(
        &self,
        server: &ServerId,
        what: &str,
        wanted: impl Fn(&ObservedState) -> bool,
    ) -> Observed {
        let find = |report: &Report| {
            let observed = report.engine.iter().flatten();
            observed.filter(|one| one.server == *server).find(|one| wanted(&one.state)).cloned()
        };
        find(&self.heard(what, |report| find(report).is_some()).await).unwrap()
    }

    /// Waits until nothing of a server is on the host, as H3 wants it.
    pub async fn sees_nothing_of(&self, server: &ServerId) {
        let revision = self.revision();
        self.heard("absence", |report| {
            report.applied >= revision
                && report.pending.iter().all(|pending| pending.server != *server)
                && report
                    .engine
                    .as_ref()
                    .is_ok_and(|all| all.iter().all(|one| one.server != *server))
        })
        .await;
    }
}

async fn serve(state: Arc<HubState>, listener: TcpListener) {
    let (chain, key) = state.ca.leaf(&Identity::Hub, Usage::Server, 30);
    let config = tls::server_config(
        Credential::new(&chain, &key).unwrap(),
        tls::roots(&state.ca.pem).unwrap(),
        Admit::Enrolling,
        &[b"h2"],
    );
    let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
    // All connections end with this task.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, state) = (acceptor.clone(), state.clone());
        connections.spawn(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let leaf =
                stream.get_ref().1.peer_certificates().and_then(|chain| chain.first().cloned());
            let peer = leaf.and_then(|leaf| Peer::of(&leaf).ok());
            let (near, mut far) = tokio::io::duplex(64 << 10);
            let service = Service { state, peer };
            let served = tonic::transport::Server::builder()
                .add_service(EnrolmentServer::new(service.clone()))
                .add_service(LinkServer::new(service))
                .serve_with_incoming(
                    stream::once(std::future::ready(Ok::<_, std::io::Error>(near)))
                        .chain(stream::pending()),
                );
            tokio::select! {
                _ = served => {}
                _ = tokio::io::copy_bidirectional(&mut stream, &mut far) => {}
            }
        });
    }
}

#[derive(Clone)]
struct Service {
    state: Arc<HubState>,
    peer: Option<Peer>,
}

impl Service {
    fn certificates(&self, link: &[u8], tunnel: &[u8]) -> Response<Certificates> {
        let (host, days) =
            (self.state.host.lock().unwrap().clone(), *self.state.days.lock().unwrap());
        let identity = Identity::Host(host.parse().unwrap());
        let ca = &self.state.ca;
        Response::new(Certificates {
            host,
            ca_pem: ca.pem.clone(),
            link_pem: ca.sign(link, &identity, Usage::Client, days),
            tunnel_pem: ca.sign(tunnel, &identity, Usage::Server, days),
        })
    }
}

#[tonic::async_trait]
impl Enrolment for Service {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<Certificates>, Status> {
        let request = request.into_inner();
        let known = self.state.token.lock().unwrap().take();
        if known.as_ref() != Some(&request.token) {
            *self.state.token.lock().unwrap() = known;
            return Err(Status::permission_denied(
                "this join token was used before or has expired",
            ));
        }
        Ok(self.certificates(&request.link_csr, &request.tunnel_csr))
    }

    async fn renew(
        &self,
        request: Request<RenewRequest>,
    ) -> Result<Response<Certificates>, Status> {
        self.state.renewals.lock().unwrap().push(self.peer.clone());
        if self.peer.is_none() {
            return Err(Status::unauthenticated("no certificate"));
        }
        let request = request.into_inner();
        Ok(self.certificates(&request.link_csr, &request.tunnel_csr))
    }
}

#[tonic::async_trait]
impl Link for Service {
    type SessionStream =
        Pin<Box<dyn Stream<Item = Result<berth_proto::link::Desired, Status>> + Send>>;

    async fn session(
        &self,
        request: Request<Streaming<Heartbeat>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let now = berth_process::clock::now();
        if self.peer.as_ref().is_none_or(|peer| peer.valid_until <= now) {
            return Err(Status::unauthenticated("the certificate has expired: renew it first"));
        }
        let (state, mut heartbeats) = (self.state.clone(), request.into_inner());
        let (sender, desired) = mpsc::channel(16);
        tokio::spawn(async move {
            let mut wanted = state.wanted.subscribe();
            let mut last: Option<Report> = None;
            loop {
                tokio::select! {
                    heartbeat = heartbeats.message() => match heartbeat {
                        Ok(Some(heartbeat)) => {
                            let report = Report::try_from(heartbeat).unwrap();
                            last = Some(report.clone());
                            state.heard.send_replace(Some(report));
                        }
                        _ => return,
                    },
                    changed = wanted.changed() => if changed.is_err() { return },
                }
                let Some(last) = &last else { continue };
                let (revision, servers) = wanted.borrow_and_update().clone();
                let set = DesiredSet {
                    revision,
                    incarnation: last.incarnation,
                    echo: last.sent,
                    servers,
                    watch: state.watched.lock().unwrap().clone(),
                };
                if sender.send(Ok(set.into())).await.is_err() {
                    return;
                }
            }
        });
        let out = stream::unfold(desired, |mut desired| async {
            desired.recv().await.map(|message| (message, desired))
        });
        Ok(Response::new(Box::pin(out)))
    }

    type AskedStream =
        Pin<Box<dyn Stream<Item = Result<berth_proto::link::Question, Status>> + Send>>;

    /// As a hub answers that is older than the agent.
    async fn asked(
        &self,
        _: Request<Streaming<berth_proto::link::HostAnswer>>,
    ) -> Result<Response<Self::AskedStream>, Status> {
        Err(Status::unimplemented("no such method"))
    }

    async fn intend(&self, request: Request<HostWish>) -> Result<Response<HostIntent>, Status> {
        let wish = request.into_inner();
        let words = format!("open {}, {} s: {}", wish.open, wish.within_s, wish.reason);
        Ok(Response::new(HostIntent { words }))
    }
}

/// One host: its folders, its configuration, and its name, under which nothing else exists on
/// this machine's engine.
pub struct Host {
    pub name: String,
    pub folder: tempfile::TempDir,
    pub config: PathBuf,
}

impl Host {
    pub fn new(hub: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("bt").tempdir().unwrap();
        // Containers' users must get through to their HOMEs.
        std::os::unix::fs::chown(folder.path(), None, None).unwrap();
        fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        fs::create_dir(folder.path().join("home")).unwrap();
        let name = format!("t{:08x}", rand::random::<u32>());
        let config = folder.path().join("agent.toml");
        let host = Self { name, folder, config };
        host.configure(hub, "users = \"hub\"");
        host
    }

    pub fn configure(&self, hub: &str, limits: &str) {
        self.configure_more(hub, limits, "");
    }

    pub fn configure_more(&self, hub: &str, limits: &str, agent: &str) {
        let root = self.folder.path().display();
        let text = format!(
            "version = 1\n[agent]\nname = \"{}\"\nhub = \"{hub}\"\nstate = \"{root}/state\"\nrun = \"{root}/run\"\n\
             tunnel = {{ listen = \"127.0.0.1:0\" }}\nreport_every = \"500ms\"\n{agent}\n\
             [limits]\nmount_sources = [\"{root}/home\"]\nimages = [\"berth/\"]\n{limits}\n",
            self.name
        );
        fs::write(&self.config, text).unwrap();
    }

    pub fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Makes a HOME and returns its path.
    pub fn home(&self, user: &str, uid: u32, gid: u32) -> String {
        let home = self.folder.path().join("home").join(user);
        fs::create_dir(&home).unwrap();
        std::os::unix::fs::chown(&home, Some(uid), Some(gid)).unwrap();
        home.to_str().unwrap().to_owned()
    }

    /// The name of a server's container.
    pub fn container(&self, server: &ServerId) -> String {
        format!("berth.{}.{server}", self.name)
    }

    /// The program with this host's configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_berth-agent"));
        command.args(arguments).arg("--config").arg(&self.config).kill_on_drop(true);
        command
    }

    pub async fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().await.unwrap()
    }

    pub async fn joined(hub: &Hub) -> Self {
        let host = Self::new(&hub.address);
        let output = host.output(&["join", &hub.token(&host.name)]).await;
        assert!(output.status.success(), "{}", text(&output));
        host
    }

    pub fn agent(&self) -> Child {
        self.command(&["run"]).spawn().unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Nothing of a test stays on the engine.
        let label = format!("label=berth.host={}", self.name);
        let ids =
            std::process::Command::new("docker").args(["ps", "-aq", "--filter", &label]).output();
        if let Ok(ids) = ids {
            let ids = String::from_utf8_lossy(&ids.stdout).into_owned();
            for id in ids.split_whitespace() {
                let _ = std::process::Command::new("docker").args(["rm", "-f", id]).output();
            }
        }
        let network = format!("berth-{}", self.name);
        let _ = std::process::Command::new("docker").args(["network", "rm", &network]).output();
    }
}

pub fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

pub fn server_id() -> ServerId {
    ServerId::from_random(rand::random())
}

/// A server of alice that answers at once.
pub fn spec(image: &str, home: &str) -> RunSpec {
    let command = ["httpd", "-f", "-p", "8888", "-h", "/www"];
    RunSpec {
        origin: Origin {
            user: "alice".parse().unwrap(),
            server_name: "".parse().unwrap(),
            profile: "small".into(),
            memory: ByteCount(64 << 20),
            gpus: Vec::new(),
            decision: None,
        },
        account: Account {
            name: "alice".parse().unwrap(),
            uid: 20_001,
            gid: 30_001,
            groups: vec![Group { name: "atlas".into(), gid: 30_003 }],
            home: home.into(),
        },
        pool: "cpu".into(),
        image: image.into(),
        build: String::new(),
        command: command.map(str::to_owned).to_vec(),
        spaces: Vec::new(),
        shown: BTreeMap::new(),
        env: BTreeMap::from([("JUPYTERHUB_API_TOKEN".to_owned(), "a-secret".to_owned())]),
        api_url: "http://{gateway}:8000/hub/api".into(),
        prefix: "/user/alice/".into(),
        port: 8888,
        farm_ports: Vec::new(),
        shm: None,
        cpu: Default::default(),
    }
}

pub fn run(spec: RunSpec) -> Verdict {
    Verdict::Run(Box::new(spec))
}

/// Waits for a file to be as wanted, and returns its text.
pub async fn file(path: &Path, wanted: impl Fn(&str) -> bool) -> String {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        if wanted(&text) {
            return text;
        }
        assert!(tokio::time::Instant::now() < end, "{} holds {text:?}", path.display());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
