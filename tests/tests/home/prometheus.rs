//! A real Prometheus reads the site as monitoring/README.md says, with our alerts; then everything
//! that the boards ask is asked of it. The program is Debian's.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A busy machine is waited for; a right answer comes within seconds.
const PATIENCE: Duration = Duration::from_secs(180);

/// What must have values on a site where people work, beside being answered.
const WITH_DATA: [&str; 15] = [
    "berth_pool_largest_start_bytes",
    "berth_host_state",
    "berth_host_memory_bytes",
    "berth_host_gpus",
    "berth_image_present",
    "berth_servers",
    "berth_server_memory_bytes",
    "berth_usage_gibibyte_hours",
    "berth_config_ok",
    "jupyterhub_running_servers > 50",
    "jupyterhub_server_spawn_duration_seconds_count",
    "DCGM_FI_DEV_GPU_UTIL",
    // As the community's boards select.
    "sum by (le) (jupyterhub_request_duration_seconds_bucket{app=\"jupyterhub\",namespace=~\".*\"})",
    "max by (namespace) (jupyterhub_active_users{period=\"24h\",namespace=~\"berth\"})",
    "sum by (status) (jupyterhub_server_spawn_duration_seconds_count{status!=\"success\"})",
];

/// It ends with the test.
struct Prometheus {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Prometheus {
    fn start(site: u16, token: &Path, monitoring: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "global: {{ scrape_interval: 5s, evaluation_interval: 1s }}\n\
             rule_files: [ {rules} ]\n\
             scrape_configs:\n\
             \x20 - job_name: berth-hub\n\
             \x20   metrics_path: /hub/metrics\n\
             \x20   authorization: {{ type: token, credentials_file: {token} }}\n\
             \x20   static_configs: [ {{ targets: [ \"127.0.0.1:{site}\" ], labels: {{ app: jupyterhub }} }} ]\n\
             \x20 - job_name: berth-gpus\n\
             \x20   metrics_path: /hub/metrics/gpus\n\
             \x20   honor_labels: true\n\
             \x20   authorization: {{ type: token, credentials_file: {token} }}\n\
             \x20   static_configs: [ {{ targets: [ \"127.0.0.1:{site}\" ] }} ]\n",
            rules = monitoring.join("prometheus/berth.rules.yml").display(),
            token = token.display(),
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .expect("Debian's package prometheus is needed");
        Self { process, port, folder }
    }

    /// What it answers; `None` while it does not.
    fn get(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        // The old version of HTTP has no parts to be put together.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()
    }

    fn query(&self, query: &str) -> Option<Value> {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        self.get(&format!("/api/v1/query?query={escaped}"))
    }

    /// Waits until something holds of what it answers.
    fn until(&self, what: &str, path: &str, holds: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        let mut last = None;
        while begun.elapsed() < PATIENCE {
            if let Some(answer) = self.get(path) {
                if holds(&answer) {
                    return;
                }
                last = Some(answer);
            }
            sleep(Duration::from_millis(200));
        }
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("{what}: the last answer was {last:?}\n{log}");
    }
}

/// Everything that the boards ask, with what Grafana would fill in.
fn queries(monitoring: &Path) -> Vec<(PathBuf, String)> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                let said = fields.get("expr").and_then(Value::as_str);
                found.extend(said.map(str::to_owned));
                fields.values().for_each(|field| collect(field, found));
            }
            Value::Array(parts) => parts.iter().for_each(|part| collect(part, found)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    for file in std::fs::read_dir(monitoring.join("grafana")).unwrap() {
        let path = file.unwrap().path();
        let board = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let mut found = Vec::new();
        collect(&board, &mut found);
        all.extend(found.into_iter().map(|query| (path.clone(), query)));
    }
    all
}

/// Reads the site for a while, and asks.
pub fn asks_all_that_boards_and_alerts_ask(site: u16, token: &Path, monitoring: &Path) {
    let prometheus = Prometheus::start(site, token, monitoring);
    prometheus.until("both jobs are read without error", "/api/v1/targets", |answer| {
        let targets = answer["data"]["activeTargets"].as_array();
        targets.is_some_and(|all| all.len() == 2 && all.iter().all(|it| it["health"] == "up"))
    });
    prometheus.until("each rule was evaluated without error", "/api/v1/rules", |answer| {
        let groups = answer["data"]["groups"].as_array().into_iter().flatten();
        let rules: Vec<_> = groups.flat_map(|group| group["rules"].as_array()).flatten().collect();
        rules.len() >= 10 && rules.iter().all(|rule| rule["health"] == "ok")
    });
    let queries = queries(monitoring);
    assert!(queries.len() > 30, "only {} queries: are these the boards?", queries.len());
    for (board, query) in &queries {
        let filled = query.replace("$__rate_interval", "5m").replace("$__range", "1h");
        assert!(!filled.contains('$'), "a variable is not filled in: {query}");
        let answer = prometheus.query(&filled).expect("it answers");
        assert_eq!(answer["status"], "success", "{query} in {}: {answer}", board.display());
    }
    for query in WITH_DATA {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        prometheus.until(query, &format!("/api/v1/query?query={escaped}"), |answer| {
            answer["data"]["result"].as_array().is_some_and(|result| !result.is_empty())
        });
    }
}
