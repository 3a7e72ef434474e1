//! Counters under configurable-http-proxy's names (without `_total`), a few of our own, and the
//! listener that shows them together with a health check that looks at more than itself.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::time::Instant;

use crate::body::ResponseBody;
use crate::listen::{self, Listener, Stream};
use crate::page;
use crate::pulse::Pulse;
use crate::shared::Shared;

pub mod series;

/// Status codes up to this one are counted apart.
const CODES: usize = 600;

/// How many times something happened, by status.
#[derive(Debug)]
pub struct ByStatus([AtomicU64; CODES]);

impl Default for ByStatus {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl ByStatus {
    /// Counts one.
    pub fn add(&self, status: StatusCode) {
        if let Some(count) = self.0.get(usize::from(status.as_u16())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How often and for how long in all.
#[derive(Debug, Default)]
pub struct Summary {
    count: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Summary {
    /// Counts one that began then.
    pub fn since(&self, begun: Instant) {
        let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(took, Ordering::Relaxed);
    }
}

/// All counters.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Readings of the whole table.
    pub api_route_get: AtomicU64,
    /// Posts of a route.
    pub api_route_add: AtomicU64,
    /// Deletions of a route, of unknown ones too.
    pub api_route_delete: AtomicU64,
    /// Websocket handshakes.
    pub requests_ws: AtomicU64,
    /// Other requests, without health checks.
    pub requests_web: AtomicU64,
    /// Answers of upstreams and errors of ours.
    pub requests_proxy: ByStatus,
    /// Answers of the API.
    pub requests_api: ByStatus,
    /// Looking up routes.
    pub find_target: Summary,
    /// Requests answered in the place of a hub that is away.
    pub answered_for_hub: AtomicU64,
    /// Connections refused by a limit.
    pub refused_by_limit: AtomicU64,
    /// Websockets open now.
    pub websockets: AtomicU64,
    /// Client connections open now.
    pub connections: AtomicU64,
    /// Routes that the hub's last list did not hold.
    pub unknown_routes: AtomicU64,
    /// Whether the last save of the routes failed.
    pub save_failed: AtomicU64,
}

/// Counts one.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A number that is up for as long as this lives.
#[derive(Debug)]
pub struct Held<F: Fn(&Metrics) -> &AtomicU64> {
    shared: Arc<Shared>,
    which: F,
}

impl<F: Fn(&Metrics) -> &AtomicU64> Held<F> {
    /// One more from now on.
    pub fn new(shared: &Arc<Shared>, which: F) -> Self {
        which(&shared.metrics).fetch_add(1, Ordering::Relaxed);
        Self { shared: shared.clone(), which }
    }
}

impl<F: Fn(&Metrics) -> &AtomicU64> Drop for Held<F> {
    fn drop(&mut self) {
        (self.which)(&self.shared.metrics).fetch_sub(1, Ordering::Relaxed);
    }
}

/// Accepts readers of the metrics until the proxy ends.
pub async fn accept(listener: Arc<Listener>, shared: Arc<Shared>) {
    listen::each(&listener, &shared, "metrics", Pulse::none(), |stream| {
        tokio::spawn(serve(stream, shared.clone()));
    })
    .await;
}

async fn serve(stream: Stream, shared: Arc<Shared>) {
    let Ok(stream) = stream.into_io() else { return };
    let shared = &shared;
    let service =
        service_fn(|request| async move { Ok::<_, Infallible>(answer(shared, &request)) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(30))
        .serve_connection(TokioIo::new(stream), service);
    let _ = connection.await;
}

fn answer(shared: &Shared, request: &Request<Incoming>) -> Response<ResponseBody> {
    match request.uri().path() {
        "/metrics" => {
            let mut response = page::own(StatusCode::OK, text(shared));
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        "/healthz" => health(shared),
        _ => page::own(StatusCode::NOT_FOUND, "Not Found"),
    }
}

/// What an operator would want to be woken for: nothing accepted, nothing saved, no certificate
/// for tunnels that are asked for.
fn health(shared: &Shared) -> Response<ResponseBody> {
    let mut faults = Vec::new();
    if shared.going.is_on() || shared.draining.is_on() {
        faults.push("no new connections are accepted: this process is ending");
    }
    if shared.metrics.save_failed.load(Ordering::Relaxed) > 0 {
        faults.push("the routes cannot be saved");
    }
    let (routes, tunnels) = {
        let table = shared.table();
        let tunnels = table.posted().filter(|route| route.record.server().is_some()).count();
        (table.posted().count(), tunnels)
    };
    if tunnels > 0 && !shared.credentials.can_tunnel() {
        faults.push("there is no certificate for the hosts");
    }
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if faults.is_empty() { "OK" } else { "failing" };
    let hub = if shared.hub_away.is_away() { "away" } else { "not known to be away" };
    let body = json!({"status": word, "faults": faults, "routes": routes, "hub": hub});
    page::json(status, body.to_string())
}

fn text(shared: &Shared) -> String {
    let mut text = String::new();
    for one in series::ALL {
        one.write(shared, &mut text);
    }
    process(&mut text);
    text
}

/// The memory of this process that is in use, in bytes.
pub fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok());
    pages.unwrap_or(0).saturating_mul(rustix::param::page_size() as u64)
}

/// The `process_*` names of Prometheus' own client libraries.
fn process(text: &mut String) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold anything.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().collect())
        .unwrap_or_default();
    let field = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let ticks = f64::from(u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100));
    let page = f64::from(u32::try_from(rustix::param::page_size()).unwrap_or(4096));
    let (user, system) = (field(11) / ticks, field(12) / ticks);
    let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let boot = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let boot =
        boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok());
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    for (name, kind, value) in [
        ("process_cpu_user_seconds_total", "counter", user),
        ("process_cpu_system_seconds_total", "counter", system),
        ("process_cpu_seconds_total", "counter", user + system),
        ("process_start_time_seconds", "gauge", boot.unwrap_or_default() + field(19) / ticks),
        ("process_virtual_memory_bytes", "gauge", field(20)),
        ("process_resident_memory_bytes", "gauge", field(21) * page),
    ] {
        let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}");
    }
    let _ = writeln!(text, "# TYPE process_open_fds gauge\nprocess_open_fds {descriptors}");
    if let Some(limit) = limit {
        let _ = writeln!(text, "# TYPE process_max_fds gauge\nprocess_max_fds {limit}");
    }
}
