//! How much Berth adds to the start of a notebook server, and how twenty at once fare.
//!
//! ```text
//! examples/laptop/up && tests/bench/spawn
//! ```
//!
//! The raw side is `docker run -d` with the same image, command line, environment, limits, mounts
//! and network, with the same hub answering. Both sides are asked for `GET /user/NAME/api`: ours
//! through the proxy, the raw one at the container's address. Alternating, so that a drift of the
//! machine's speed meets both.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};

/// Starts on each side.
const ROUNDS: usize = 20;
/// People who start at once.
const CROWD: usize = 20;
/// Bound of any wait.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() {
    let site = Site::running();
    println!("{}", machine());
    one_by_one(&site).await;
    all_at_once(&site).await;
    idle(&site);
}

struct Site {
    url: String,
    token: String,
    state: PathBuf,
    http: Client,
    copies: tempfile::TempDir,
}

impl Site {
    fn running() -> Self {
        let port = std::env::var("BERTH_PORT").unwrap_or_else(|_| "8000".into());
        let root =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned();
        let state = std::env::var_os("BERTH_STATE")
            .map_or_else(|| root.join("examples/laptop/.state"), PathBuf::from);
        let token = std::fs::read_to_string(state.join("admin-token"))
            .expect("no site is running: examples/laptop/up");
        let http = Client::builder().no_proxy().build().expect("a client");
        let copies = tempfile::tempdir().expect("a folder");
        Self {
            url: format!("http://127.0.0.1:{port}"),
            token: token.trim().into(),
            state,
            http,
            copies,
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .header("authorization", format!("token {}", self.token));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("the site answers");
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or_default())
    }

    async fn user(&self, name: &str, uid: u32) {
        let home = self.state.join("homes").join(name);
        let body = json!({ "name": name, "password": "benchmark only", "uid": uid, "gid": uid, "groups": [],
                           "home": home, "admin": false });
        let (status, answer) = self.call(Method::POST, "/hub/api/berth/users", Some(body)).await;
        assert!(status == 201 || status == 409, "{status} {answer}");
    }

    async fn start(&self, name: &str) {
        let path = format!("/hub/api/users/{name}/server");
        let (status, answer) = self.call(Method::POST, &path, None).await;
        assert!((200..300).contains(&status), "start of {name}: {status} {answer}");
    }

    async fn stop(&self, name: &str) {
        let path = format!("/hub/api/users/{name}/server");
        self.call(Method::DELETE, &path, None).await;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let (_, user) = self.call(Method::GET, &format!("/hub/api/users/{name}"), None).await;
            if user["servers"].as_object().is_some_and(serde_json::Map::is_empty) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{name} does not stop");
    }

    /// Asks until the notebook server itself answers; the hub's own pages do not count.
    async fn answered(&self, url: &str, every: Duration) {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let asked = Instant::now();
            if let Ok(response) = self.http.get(url).send().await
                && response.status().is_success()
                && response.text().await.is_ok_and(|body| body.contains("\"version\""))
            {
                return;
            }
            tokio::time::sleep(every.saturating_sub(asked.elapsed())).await;
        }
        panic!("{url} does not answer");
    }

    /// The `docker run` that makes the same container as the one of a user's running server.
    fn raw_arguments(&self, user: &str) -> Vec<String> {
        let filter = format!("label=berth.user={user}");
        let id = docker(&["ps", "-q", "--filter", &filter]);
        let inspected: Value =
            serde_json::from_str(&docker(&["inspect", id.trim()])).expect("inspect");
        let (host, config) = (&inspected[0]["HostConfig"], &inspected[0]["Config"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut arguments: Vec<String> = vec![
            "--init".into(),
            format!("--user={}", text(&config["User"])),
            format!("--workdir={}", text(&config["WorkingDir"])),
            format!("--memory={}", host["Memory"]),
            format!("--memory-swap={}", host["MemorySwap"]),
            format!("--pids-limit={}", host["PidsLimit"]),
            format!("--network={}", text(&host["NetworkMode"])),
            format!("--log-driver={}", text(&host["LogConfig"]["Type"])),
        ];
        let each = |value: &Value, name: &str| -> Vec<String> {
            value
                .as_array()
                .into_iter()
                .flatten()
                .map(|v| format!("--{name}={}", text(v)))
                .collect()
        };
        arguments.extend(each(&host["GroupAdd"], "group-add"));
        arguments.extend(each(&host["CapDrop"], "cap-drop"));
        arguments.extend(each(&host["SecurityOpt"], "security-opt"));
        arguments.extend(each(&config["Env"], "env"));
        for (key, value) in host["LogConfig"]["Config"].as_object().into_iter().flatten() {
            arguments.push(format!("--log-opt={key}={}", text(value)));
        }
        for mount in host["Mounts"].as_array().into_iter().flatten() {
            let read_only = if mount["ReadOnly"] == json!(true) { ",readonly" } else { "" };
            let (mut source, target) = (text(&mount["Source"]), text(&mount["Target"]));
            if PathBuf::from(&source).is_file() {
                // The agent takes its own passwd and group away with the server.
                let copy = self.copies.path().join(target.replace('/', "_"));
                std::fs::copy(&source, &copy).expect("a copy");
                source = copy.display().to_string();
            }
            arguments.push(format!("--mount=type=bind,source={source},target={target}{read_only}"));
        }
        arguments.push(text(&config["Image"]));
        arguments.extend(config["Cmd"].as_array().into_iter().flatten().map(text));
        arguments
    }
}

async fn one_by_one(site: &Site) {
    site.user("bench", 24_000).await;
    let api = format!("{}/user/bench/api", site.url);
    // One on each side that does not count: it warms the page cache, and tells the raw side's
    // command line.
    site.start("bench").await;
    site.answered(&api, Duration::from_millis(5)).await;
    let arguments = site.raw_arguments("bench");
    site.stop("bench").await;
    raw(site, "bench", &arguments, Duration::from_millis(5)).await;

    let (mut ours, mut raws) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let (_, ()) =
            tokio::join!(site.start("bench"), site.answered(&api, Duration::from_millis(5)));
        ours.push(begun.elapsed());
        site.stop("bench").await;
        raws.push(raw(site, "bench", &arguments, Duration::from_millis(5)).await);
    }
    println!("\none start, {ROUNDS} on each side, alternating, asked every 5 ms");
    row("berth", &mut ours);
    row("docker run", &mut raws);
    let (a, b) = (median(&ours), median(&raws));
    println!(
        "  median berth / docker run = {:.3}   difference {:+.0} ms   (bar: at most 1.10)",
        a.as_secs_f64() / b.as_secs_f64(),
        (a.as_secs_f64() - b.as_secs_f64()) * 1000.0
    );
}

async fn all_at_once(site: &Site) {
    let every = Duration::from_millis(100);
    let names: Vec<String> = (0..CROWD).map(|n| format!("crowd{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        site.user(name, 24_100 + n as u32).await;
    }
    // Each starts once before, so that no HOME is made within the measured time.
    site.start(&names[0]).await;
    site.answered(&format!("{}/user/{}/api", site.url, names[0]), every).await;
    let arguments = site.raw_arguments(&names[0]);
    site.stop(&names[0]).await;

    let begun = Instant::now();
    let starts = names.iter().map(|name| async move {
        let api = format!("{}/user/{name}/api", site.url);
        tokio::join!(site.start(name), site.answered(&api, every));
        begun.elapsed()
    });
    let mut ours = futures::future::join_all(starts).await;
    for name in &names {
        site.stop(name).await;
    }
    let starts = (0..CROWD).map(|_| {
        let arguments = arguments.clone();
        async move { raw(site, &user_of(&arguments), &arguments, every).await }
    });
    let mut raws = futures::future::join_all(starts).await;
    println!("\n{CROWD} starts at once, asked every 100 ms; none failed");
    row("berth", &mut ours);
    row("docker run", &mut raws);
    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    println!(
        "  slowest {:.2} of the slowest raw one (bar: at most 1.3), median {:.2} of the raw median (bar: at most 0.7)",
        ratio(*ours.last().expect("some"), *raws.last().expect("some")),
        ratio(median(&ours), median(&raws)),
    );
}

/// The user whose prefix the raw container serves: told by its environment.
fn user_of(arguments: &[String]) -> String {
    let found = arguments.iter().find_map(|a| a.strip_prefix("--env=JUPYTERHUB_USER="));
    found.expect("JUPYTERHUB_USER").to_owned()
}

/// One raw start: `docker run -d`, the container's address, the first answer; then it is removed.
async fn raw(site: &Site, user: &str, arguments: &[String], every: Duration) -> Duration {
    let begun = Instant::now();
    let owned = arguments.to_vec();
    let (id, address) = tokio::task::spawn_blocking(move || {
        let mut all = vec!["run", "-d"];
        all.extend(owned.iter().map(String::as_str));
        let id = docker(&all).trim().to_owned();
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let address = docker(&["inspect", "-f", format, &id]).trim().to_owned();
        (id, address)
    })
    .await
    .expect("docker run");
    site.answered(&format!("http://{address}:8888/user/{user}/api"), every).await;
    let took = begun.elapsed();
    tokio::task::spawn_blocking(move || docker(&["rm", "-f", &id])).await.expect("docker rm");
    took
}

/// Resident memory and CPU of the idle processes, and the sizes of the programs.
fn idle(site: &Site) {
    println!("\nidle processes, over 10 s");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(site.state.join("run")).expect("run").flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let pid = std::fs::read_to_string(entry.path()).unwrap_or_default().trim().to_owned();
        if !name.ends_with(".keeper") && name != "dockerd" {
            found.push((name, pid.clone(), ticks(&pid)));
        }
    }
    std::thread::sleep(Duration::from_secs(10));
    found.sort();
    for (name, pid, before) in found {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let rss = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or("?").trim();
        let percent = (ticks(&pid) - before) as f64 / 10.0;
        let size = std::fs::metadata(format!("/proc/{pid}/exe")).map(|m| m.len()).unwrap_or(0);
        println!(
            "  {name:<20} {rss:>10} resident  {percent:>5.1} % of a core  program {:.1} MB",
            size as f64 / 1e6
        );
    }
}

/// Processor time used so far, in hundredths of a second.
fn ticks(pid: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let field = |n: usize| fields.get(n).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    field(11) + field(12)
}

fn row(name: &str, times: &mut [Duration]) {
    times.sort();
    let ms = |d: &Duration| d.as_millis();
    println!(
        "  {name:<12} min {:>6} ms   median {:>6} ms   max {:>6} ms",
        ms(times.first().expect("some")),
        median(times).as_millis(),
        ms(times.last().expect("some"))
    );
}

/// The middle one, or the mean of the two middle ones.
fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2
}

fn docker(arguments: &[&str]) -> String {
    let out = Command::new("docker").args(arguments).output().expect("docker");
    assert!(out.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}

fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!("{cpus} processors, load before: {}", load.split_whitespace().next().unwrap_or("?"))
}
