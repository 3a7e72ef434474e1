//! A site of the test's own: hub, proxy and fake hosts with real tunnels, each a process that can
//! be killed and started again. It has an address of its own on the loopback, so that no other
//! test can take one of its ports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

/// Longest wait for anything that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The proxy answers users with these while the hub is away.
const HUB_AWAY: [StatusCode; 3] =
    [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];

/// A fake host.
pub struct Machine {
    pub name: String,
    pub folder: PathBuf,
    pub place: Place,
    pub boots: u32,
    pub agent: Option<Child>,
    pub tunnel_process: Option<Child>,
}

/// Where a host is in the network.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its tunnel listens there.
    pub tunnel: SocketAddr,
    /// It finds the hub there.
    pub hub: SocketAddr,
    /// Something answers there for its servers.
    pub answers: SocketAddr,
    /// The network namespace that it lives in.
    pub namespace: Option<String>,
}

/// The whole.
pub struct Site {
    pub folder: tempfile::TempDir,
    pub url: String,
    pub link: SocketAddr,
    pub hub: Option<Child>,
    pub proxy: Option<Child>,
    pub machines: Vec<Machine>,
    pub http: Client,
    pub token: String,
}

/// Where cargo puts the programs of this test's profile.
pub fn program(name: &str) -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    let program = folder.join(name);
    assert!(program.exists(), "there is no {}: build the programs first", program.display());
    program
}

/// An address on the loopback that is this site's alone.
pub fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [high, low] = (std::process::id() as u16).to_be_bytes();
    Ipv4Addr::new(127, 1 + (high & 0x7e), low, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A port that nobody has at an address that is ours.
pub fn port(at: Ipv4Addr) -> SocketAddr {
    TcpListener::bind((at, 0)).unwrap().local_addr().unwrap()
}

/// Waits until there is something.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    until_for(what, PATIENCE, look).await
}

/// The same, for a time of the caller's.
pub async fn until_for<T>(
    what: &str,
    patience: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + patience;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {patience:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Answers every request as a JupyterLab that is ready, and sends back what a websocket brings.
pub async fn answerer(at: SocketAddr) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            tokio::spawn(answer(stream));
        }
    });
    address
}

async fn answer(mut stream: tokio::net::TcpStream) {
    let mut head = [0; 4096];
    // The proxy may send an upgrade on a connection that has served requests.
    loop {
        let Ok(seen @ 1..) = stream.peek(&mut head).await else { return };
        let text = String::from_utf8_lossy(&head[..seen]).to_lowercase();
        if text.contains("upgrade: websocket") {
            return echo(stream).await;
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        if stream.read(&mut head).await.is_err() || stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

async fn echo(stream: tokio::net::TcpStream) {
    use futures::{SinkExt, StreamExt};
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() && socket.send(message).await.is_err() {
            return;
        }
    }
}

impl Site {
    /// A site with so many hosts, all up.
    pub async fn new(hosts: usize) -> Self {
        Self::with(hosts, "").await
    }

    /// The same, with more in hub.toml.
    pub async fn with(hosts: usize, more: &str) -> Self {
        let at = own_address();
        let (link, answers) = (port(at), answerer((at, 0).into()).await);
        let place = |_| Place { tunnel: port(at), hub: link, answers, namespace: None };
        let places = (0..hosts).map(place).collect();
        Self::at(at, link, places, more, "15s").await
    }

    /// A site whose hosts are at these places, and lost when they are silent for so long.
    pub async fn at(
        at: Ipv4Addr,
        link: SocketAddr,
        places: Vec<Place>,
        more: &str,
        lost_after: &str,
    ) -> Self {
        let (front, hub) = (port(at), port(at));
        let folder = tempfile::tempdir().unwrap();
        let machine = |(number, place)| {
            let name = format!("h{}", number + 1);
            let folder = folder.path().join(&name);
            Machine { name, folder, place, boots: 0, agent: None, tunnel_process: None }
        };
        let machines = places.into_iter().enumerate().map(machine).collect();
        let http = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let url = format!("http://{front}");
        let (hub_process, proxy) = (None, None);
        let token = String::new();
        let mut site = Self { folder, url, link, hub: hub_process, proxy, machines, http, token };
        site.configure(hub, more, lost_after);
        site.start_hub(None);
        site.enter().await;
        site.start_proxy(None);
        for number in 0..site.machines.len() {
            site.configure_machine(number);
            site.join(number).await;
            site.start_machine(number);
        }
        site.all_ready().await;
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self, hub: SocketAddr, more: &str, lost_after: &str) {
        let config = self.path("config");
        fs::create_dir_all(&config).unwrap();
        let root = self.folder.path().display();
        let write = |name: &str, text: String| fs::write(config.join(name), text).unwrap();
        write(
            "hub.toml",
            format!(
                "version = 1\n[hub]\npublic_url = \"{}\"\ninsecure_cookies = true\n\
                 listen = \"{hub}\"\nstate = \"{root}/hub\"\nadmin_socket = \"{root}/admin.sock\"\n\
                 [agents]\nlisten = \"{}\"\n\
                 lost_after = \"{lost_after}\"\n[proxy]\napi = \"unix:{root}/proxy.sock\"\n{more}",
                self.url, self.link
            ),
        );
        let host = |it: &Machine| {
            format!(
                "{{ names = \"{}\", pool = \"cpu\", memory = \"100 GB\", address = \"{}\" }},\n",
                it.name, it.place.tunnel
            )
        };
        let hosts: String = self.machines.iter().map(host).collect();
        write("hosts.toml", format!("version = 1\nhost = [\n{hosts}]\n"));
        write("pools.toml", "version = 1\n[pool.cpu]\nstrategy = \"spread\"\n".into());
        write(
            "profiles.toml",
            "version = 1\n[profile.cpu]\ntitle = \"CPU\"\npool = \"cpu\"\n\
             memory = { default = \"1 GB\", choices = [\"1 GB\", \"2 GB\"], max = \"2 GB\" }\n\
             images = [\"one\"]\ndefault = true\n"
                .into(),
        );
        write(
            "images.toml",
            "version = 1\n[image.one]\nref = \"berth/notebook:6\"\ntitle = \"One\"\n".into(),
        );
        write(
            "quotas.toml",
            "version = 1\ndefault = { servers = 1000, memory = \"1000 GB\" }\n".into(),
        );
        fs::create_dir_all(self.path("proxy")).unwrap();
        fs::write(
            self.path("proxy.toml"),
            format!(
                "version = 1\nlisten = [\"{}\"]\nhub = \"http://{hub}\"\n\
                 api = \"unix:{root}/proxy.sock\"\nstate = \"{root}/proxy\"\n\
                 credentials = \"{root}/hub/proxy\"\n",
                self.url.trim_start_matches("http://")
            ),
        )
        .unwrap();
    }

    /// A host's files.
    pub fn configure_machine(&self, number: usize) {
        let machine = &self.machines[number];
        fs::create_dir_all(&machine.folder).unwrap();
        let Machine { name, folder, place, boots, .. } = machine;
        let (folder, answers) = (folder.display(), place.answers);
        let agent = format!(
            "version = 1\n[agent]\nname = \"{name}\"\nhub = \"{}\"\nstate = \"{folder}\"\n\
             run = \"{folder}\"\nstarts_at_once = 16\ntunnel = {{ listen = \"{}\" }}\n",
            place.hub, place.tunnel
        );
        fs::write(machine.folder.join("agent.toml"), agent).unwrap();
        let inventory = format!(
            "version = 1\nnature = {{ answer_s = 0, ends_after_days = 0 }}\n[[host]]\n\
             names = [\"{name}\"]\nmemory = \"100 GB\"\ncpus = 64\nimages = [\"berth/notebook:6\"]\n\
             answers = \"{answers}\"\nboots = {boots}\n"
        );
        fs::write(machine.folder.join("inventory.toml"), inventory).unwrap();
    }

    /// The agent's program with these words, in the host's own network.
    fn on(&self, number: usize, words: &[&str], log: &str) -> Command {
        let agent = program("berth-agent");
        match &self.machines[number].place.namespace {
            None => self.logged(agent, words, log),
            Some(namespace) => {
                let inside = ["netns", "exec", namespace, agent.to_str().unwrap()];
                self.logged("ip".into(), &[&inside, words].concat(), log)
            }
        }
    }

    /// A command of ours with its words in a file of the site.
    pub fn command(&self, name: &str, arguments: &[&str], log: &str) -> Command {
        self.logged(program(name), arguments, log)
    }

    fn logged(&self, program: PathBuf, arguments: &[&str], log: &str) -> Command {
        let log = fs::File::options().create(true).append(true).open(self.path(log)).unwrap();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_remove("BERTH_CRASH_AT")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true);
        command
    }

    /// Starts the hub, armed with a crash point if there is one.
    pub fn start_hub(&mut self, point: Option<&str>) {
        self.hub = Some(self.hub_process(point));
    }

    /// A new process of the hub.
    pub fn hub_process(&self, point: Option<&str>) -> Child {
        let config = self.path("config");
        let mut command =
            self.command("berth-hub", &["serve", "--config", config.to_str().unwrap()], "hub.log");
        arm(&mut command, point);
        command.spawn().unwrap()
    }

    /// Starts the proxy, armed with a crash point if there is one.
    pub fn start_proxy(&mut self, point: Option<&str>) {
        self.proxy = Some(self.proxy_process(point));
    }

    /// A new process of the proxy.
    pub fn proxy_process(&self, point: Option<&str>) -> Child {
        let config = self.path("proxy.toml");
        let mut command =
            self.command("berth-proxy", &["--config", config.to_str().unwrap()], "proxy.log");
        arm(&mut command, point);
        command.spawn().unwrap()
    }

    /// Starts a host's agent and tunnel.
    pub fn start_machine(&mut self, number: usize) {
        let file = |name: &str| self.machines[number].folder.join(name).display().to_string();
        let (config, inventory) = (file("agent.toml"), file("inventory.toml"));
        let run = ["--config", &config, "run", "--runtime", "fake", "--inventory", &inventory];
        let agent = self.on(number, &run, "agents.log").spawn().unwrap();
        let tunnel = ["--config", &config, "tunnel"];
        let tunnel = self.on(number, &tunnel, "tunnels.log").spawn().unwrap();
        self.machines[number].agent = Some(agent);
        self.machines[number].tunnel_process = Some(tunnel);
    }

    /// `berth`, over the administrators' socket; its answer once it has one.
    pub async fn berth(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(program("berth"));
        command
            .args(arguments)
            .env("BERTH_URL", format!("unix:{}/admin.sock", self.folder.path().display()));
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// An administrator with a token.
    async fn enter(&mut self) {
        let add = ["user", "add", "admin", "--uid", "20000", "--gid", "20000", "--admin"];
        until("the hub answers", async || self.berth(&["host", "list"]).await.ok()).await;
        self.berth(&add).await.unwrap();
        let create = ["token", "create", "--user", "admin", "--note", "blows", "-q"];
        self.token = self.berth(&create).await.unwrap();
    }

    /// Lets a host get its certificates.
    pub async fn join(&self, number: usize) {
        let machine = &self.machines[number];
        let config = machine.folder.join("agent.toml").display().to_string();
        until("the host joins", async || {
            let token = self.berth(&["host", "add", &machine.name, "-q"]).await.ok()?;
            let join = ["--config", &config, "join", &token];
            let joined = self.on(number, &join, "agents.log").status().await.unwrap();
            joined.success().then_some(())
        })
        .await;
    }

    /// Waits until the hub answers through the proxy and every host is ready.
    pub async fn all_ready(&self) {
        until("all hosts are ready", async || {
            let (status, answer) = self.ask(Method::GET, "/hub/api/berth/hosts", None).await?;
            let hosts = answer["hosts"].as_array()?;
            let ready = hosts.iter().filter(|host| host["state"] == "ready").count();
            (status == StatusCode::OK && ready == self.machines.len()).then_some(())
        })
        .await;
    }

    /// A call as the administrator; `None` when there was no answer of the hub.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Option<(StatusCode, Value)> {
        self.ask_as(&self.token, method, path, body).await
    }

    /// A call with any token.
    pub async fn ask_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Option<(StatusCode, Value)> {
        let request = self.http.request(method, format!("{}{path}", self.url));
        let request = request.header("authorization", format!("token {token}"));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let response = request.send().await.ok()?;
        let status = response.status();
        let text = response.text().await.ok()?;
        let answer = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (!HUB_AWAY.contains(&status)).then_some((status, answer))
    }

    /// The same call until the hub answers.
    pub async fn insist(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let what = format!("{method} {path}");
        until(&what, async || self.ask(method.clone(), path, body.clone()).await).await
    }

    /// What `berth doctor` says of the invariants.
    pub async fn assert_sound(&self, when: &str) {
        let (status, found) = self.insist(Method::GET, "/hub/api/berth/doctor", None).await;
        assert_eq!(status, StatusCode::OK, "{when}: {found}");
        let findings = found["doctor"].as_array().unwrap_or_else(|| panic!("{when}: {found}"));
        let wrong: Vec<_> =
            findings.iter().filter(|it| it["check"] == "fleet" && it["verdict"] != "ok").collect();
        assert!(wrong.is_empty(), "{when}: {wrong:?}");
    }

    /// Whether a process has said something.
    pub fn log_says(&self, log: &str, words: &str) -> Option<()> {
        let text = fs::read_to_string(self.path(log)).unwrap_or_default();
        text.contains(words).then_some(())
    }

    /// The containers of all hosts, read one host after the other.
    pub fn containers(&self) -> Vec<Container> {
        containers(&self.folders())
    }

    fn folders(&self) -> Vec<PathBuf> {
        self.machines.iter().map(|machine| machine.folder.clone()).collect()
    }

    /// Watches from now on that no server has two live containers, and that no start has two.
    pub fn watch(&self) -> Watch {
        let found = Arc::new(Mutex::new(Vec::new()));
        let (folders, wrong) = (self.folders(), Arc::clone(&found));
        let task = tokio::spawn(async move {
            let mut starts = BTreeMap::new();
            loop {
                look(&folders, &mut starts, &wrong);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Watch { task, found }
    }
}

fn arm(command: &mut Command, point: Option<&str>) {
    if let Some(point) = point {
        command.env("BERTH_CRASH_AT", point);
    }
}

/// Waits for a process's end, which must be that of `kill -9`.
pub async fn killed(child: &mut Child, what: &str) {
    let status = tokio::time::timeout(PATIENCE, child.wait()).await;
    let status = status.unwrap_or_else(|_| panic!("{what} was not reached")).unwrap();
    assert_eq!(status.signal(), Some(9), "{what}: {status}");
}

/// A fake container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Container {
    pub server: String,
    pub generation: u64,
    pub host: usize,
    pub id: String,
    pub runs: bool,
}

fn containers(folders: &[PathBuf]) -> Vec<Container> {
    let of = |(host, folder): (usize, &PathBuf)| {
        let text = fs::read_to_string(folder.join("containers.json")).unwrap_or_default();
        let all: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
        let one = move |it: Value| Container {
            server: it["server"].as_str().unwrap_or_default().to_owned(),
            generation: it["generation"].as_u64().unwrap_or_default(),
            host,
            id: it["id"].as_str().unwrap_or_default().to_owned(),
            runs: !it["started"].is_null() && it["ended"].is_null(),
        };
        all.into_iter().map(one).collect::<Vec<_>>()
    };
    folders.iter().enumerate().flat_map(of).collect()
}

/// Two looks, since hosts are not looked at in one moment: what is in both lived at once.
fn look(
    folders: &[PathBuf],
    starts: &mut BTreeMap<(String, u64), (usize, String)>,
    wrong: &Mutex<Vec<String>>,
) {
    let first: BTreeSet<_> = containers(folders).into_iter().collect();
    let both = containers(folders).into_iter().filter(|it| it.runs && first.contains(it));
    let mut alive: BTreeMap<String, Container> = BTreeMap::new();
    for one in both {
        let start = (one.server.clone(), one.generation);
        let place = (one.host, one.id.clone());
        let known = starts.entry(start).or_insert_with(|| place.clone());
        let say = |text: String| wrong.lock().unwrap().push(text);
        if *known != place {
            say(format!("one start, two containers: {one:?}, and before {known:?}"));
        }
        if let Some(other) = alive.insert(one.server.clone(), one.clone()) {
            say(format!("two live containers of one server: {one:?} and {other:?}"));
        }
    }
}

/// Somebody who looks at the containers all the time.
pub struct Watch {
    task: tokio::task::JoinHandle<()>,
    found: Arc<Mutex<Vec<String>>>,
}

impl Watch {
    /// Nothing was wrong until now.
    pub fn assert_nothing(&self, when: &str) {
        assert!(!self.task.is_finished(), "the watch has ended");
        let found = self.found.lock().unwrap();
        assert!(found.is_empty(), "{when}: {found:#?}");
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The crash points of a program.
pub async fn listed(name: &str, arguments: &[&str]) -> BTreeSet<String> {
    let output = Command::new(program(name)).args(arguments).output().await.unwrap();
    assert!(output.status.success(), "{name} {arguments:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// A user of the test's own.
pub fn user(name: &str, uid: u32) -> Value {
    json!({
        "name": name, "password": "correct horse battery", "uid": uid, "gid": uid, "groups": [],
        "home": format!("/home/{name}"), "admin": false,
    })
}
