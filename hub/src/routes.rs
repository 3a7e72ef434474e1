//! Keeps the proxy's routes equal to those that the fleet wants.
//!
//! Level-triggered: every change, every reconnect and every half minute the wanted routes are
//! compared with what the proxy was last told. A route that the hub does not know is never swept
//! away: only one whose server the hub knows to have ended is removed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_common::Timestamp;
use berth_core::route::{Route, routes};
use berth_process::{crash_inside_writes, crash_point};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::keys::hash;
use crate::services;
use crate::site::Hub;
use crate::storage::StorageError;

/// The whole table is sent again this often, in case the proxy lost it.
const RESYNC: Duration = Duration::from_secs(30);
/// Whoever ends a session or token says so at once; what nobody said is found this soon.
const LOOK: Duration = Duration::from_secs(1);
/// Hashes in one call: the proxy takes a body of 1 MiB.
const REVOKED_AT_ONCE: usize = 10_000;
/// Between tries while the proxy does not answer.
const RETRY: Duration = Duration::from_millis(250);
/// One call to the proxy on the same machine.
const CALL: Duration = Duration::from_secs(10);

/// Why the proxy was not told.
#[derive(Debug, thiserror::Error)]
enum ProxyError {
    #[error("the proxy does not answer: {0}")]
    Io(#[from] std::io::Error),
    #[error("the proxy's connection broke: {0}")]
    Http(#[from] hyper::Error),
    #[error("the proxy did not answer within 10 s")]
    Timeout,
    #[error("the proxy answered {0}: {1}")]
    Status(StatusCode, String),
    #[error("the request to the proxy cannot be made: {0}")]
    Request(#[from] http::Error),
    #[error(transparent)]
    Store(#[from] StorageError),
    #[error("the proxy's answer cannot be read: {0}")]
    Answer(#[from] serde_json::Error),
}

/// Keeps the proxy in line until the hub ends. Tokens to be forgotten come in by `revoked`, and by the
/// store, where everything that ends a session or token leaves a row.
pub async fn keep(hub: Arc<Hub>, mut revoked: mpsc::UnboundedReceiver<Vec<u8>>) {
    let mut fleet = hub.fleet.watch();
    let mut services = hub.services.routes();
    let mut told: Option<Wanted> = None;
    // A hub that died may not have said that these ended.
    let mut owed = ended_server_tokens(&hub);
    let mut seq = 0_u64;
    let mut complained = false;
    let mut resync = tokio::time::interval(RESYNC);
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // What is taken back comes first: nobody may come in by a route that is told next.
        let mut done = revoke(&hub, &mut owed).await;
        let wanted = Wanted {
            servers: routes(&fleet.borrow_and_update().clone()),
            services: services.borrow_and_update().clone(),
        };
        if told.as_ref() != Some(&wanted) {
            seq = seq.saturating_add(1);
            let begun = Instant::now();
            match bring_in_line(&hub, told.as_ref(), &wanted, seq).await {
                Ok(()) => {
                    if told.is_none() {
                        hub.metrics.work.routes_checked(begun);
                    }
                    let servers = wanted.servers.iter();
                    let confirmed = servers.map(|(path, route)| (path.clone(), route.generation));
                    hub.routed.send_replace(confirmed.collect());
                    told = Some(wanted);
                }
                Err(error) => {
                    told = None;
                    done = Err(error);
                }
            }
        }
        if let Err(error) = done {
            if !complained {
                tracing::warn!(%error, "the proxy is not up to date");
            }
            complained = true;
            tokio::time::sleep(RETRY).await;
            continue;
        }
        complained = false;
        loop {
            tokio::select! {
                changed = fleet.changed() => if changed.is_err() { return },
                changed = services.changed() => if changed.is_err() { return },
                hash = revoked.recv() => match hash {
                    Some(hash) => owed.push(hash),
                    None => return,
                },
                _ = resync.tick() => told = None,
                _ = look.tick() => if !owes(&hub) { continue },
            }
            break;
        }
    }
}

/// All routes that the proxy should have beside its own to the hub.
#[derive(PartialEq)]
struct Wanted {
    servers: BTreeMap<String, Route>,
    services: services::Routes,
}

/// Hashes of the tokens of servers that have ended, by the last start that the hub knows of.
fn ended_server_tokens(hub: &Hub) -> Vec<Vec<u8>> {
    let fleet = hub.fleet.fleet();
    let ended = fleet.servers.values().filter(|server| !server.is_active());
    ended
        .map(|server| hash(&hub.keys.server_token(&server.id, server.generation)).to_vec())
        .collect()
}

/// Whether the store holds something that the proxy was not told.
fn owes(hub: &Hub) -> bool {
    hub.storage.read(|reader| reader.revocations()).is_ok_and(|rows| !rows.is_empty())
}

/// Tells the proxy what has ended; it is owed until the proxy has said that it knows.
async fn revoke(hub: &Hub, owed: &mut Vec<Vec<u8>>) -> Result<(), ProxyError> {
    let rows = hub.storage.read(|reader| reader.revocations())?;
    let hashes: BTreeSet<&Vec<u8>> = owed.iter().chain(rows.iter().map(|row| &row.hash)).collect();
    let tokens: Vec<String> = hashes.into_iter().map(|hash| hex(hash)).collect();
    crash_point!("hub.routes.before_revoke");
    for tokens in tokens.chunks(REVOKED_AT_ONCE) {
        call(hub, Method::POST, "/api/berth/revoke", Some(json!({ "tokens": tokens }))).await?;
    }
    crash_point!("hub.routes.after_revoke");
    owed.clear();
    if let Some(last) = rows.last().map(|row| row.id) {
        hub.storage.write(move |database| database.settle_revocations(last)).await?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct SyncAnswer {
    #[serde(default)]
    unknown: Vec<UnknownRoute>,
    #[serde(default)]
    doubtful: Vec<DoubtfulRoute>,
}

/// A route whose host has told the proxy that it leads to nobody.
#[derive(Deserialize)]
struct DoubtfulRoute {
    path: String,
    server: String,
    generation: u64,
    host_says: String,
}

/// A route that the proxy has and the hub did not send.
#[derive(Deserialize)]
struct UnknownRoute {
    path: String,
    #[serde(default)]
    server: Option<String>,
    #[serde(default)]
    generation: Option<u64>,
}

async fn bring_in_line(
    hub: &Hub,
    told: Option<&Wanted>,
    wanted: &Wanted,
    seq: u64,
) -> Result<(), ProxyError> {
    match told {
        None => {
            let epoch = hub.fleet.fleet().epoch.0;
            let servers = wanted.servers.iter().map(|(path, route)| (path, record(route, epoch)));
            let services =
                wanted.services.iter().map(|(path, route)| (path, service_record(route)));
            let table: BTreeMap<_, _> = servers.chain(services).collect();
            crash_point!("hub.routes.before_sync");
            let body = json!({ "epoch": epoch, "seq": seq, "routes": table });
            let begun = Instant::now();
            let answer = call(hub, Method::PUT, "/api/berth/routes", Some(body)).await?;
            hub.metrics.work.proxy_polled(begun);
            crash_point!("hub.routes.after_sync");
            let answer: SyncAnswer = serde_json::from_slice(&answer)?;
            for unknown in answer.unknown {
                remove_if_ended(hub, &unknown).await?;
                remove_if_service(hub, &unknown).await?;
            }
            for gone in answer.doubtful.iter().filter(|doubtful| doubtful.host_says == "gone") {
                remove_if_gone(hub, gone).await?;
            }
        }
        Some(told) => {
            let Wanted { servers, services } = wanted;
            for (path, route) in
                services.iter().filter(|(path, it)| told.services.get(*path) != Some(it))
            {
                let path = format!("/api/routes{path}");
                call(hub, Method::POST, &path, Some(service_record(route))).await?;
            }
            for path in told.services.keys().filter(|path| !services.contains_key(*path)) {
                remove_service(hub, path).await?;
            }
            for (path, route) in
                servers.iter().filter(|(path, route)| told.servers.get(*path) != Some(route))
            {
                let epoch = hub.fleet.fleet().epoch.0;
                crash_point!("hub.routes.before_add");
                let path = format!("/api/routes{path}");
                let begun = Instant::now();
                let added = call(hub, Method::POST, &path, Some(record(route, epoch))).await;
                hub.metrics.route_added(added.is_ok(), begun);
                added?;
                crash_point!("hub.routes.after_add");
            }
            for (path, route) in
                told.servers.iter().filter(|(path, _)| !servers.contains_key(*path))
            {
                crash_point!("hub.routes.before_remove");
                let begun = Instant::now();
                let removed = remove(hub, path, route.generation.0).await;
                hub.metrics.route_deleted(removed.is_ok(), begun);
                removed?;
                crash_point!("hub.routes.after_remove");
            }
        }
    }
    Ok(())
}

/// Removes a route that nobody wants, if the hub knows that its server has ended. One of a server
/// that the hub does not know stays: a hub with an empty store must not cut everybody off.
async fn remove_if_ended(hub: &Hub, unknown: &UnknownRoute) -> Result<(), ProxyError> {
    let fleet = hub.fleet.fleet();
    let known = unknown
        .server
        .as_ref()
        .and_then(|id| id.parse().ok())
        .and_then(|id| fleet.servers.get(&id));
    let (Some(server), Some(generation)) = (known, unknown.generation) else {
        if unknown.path != "/" && unknown.server.is_some() {
            tracing::warn!(
                path = unknown.path,
                "the proxy has a route of a server that the hub does not know"
            );
        }
        return Ok(());
    };
    if generation <= server.generation.0 && !server.is_ready() {
        remove(hub, &unknown.path, generation).await?;
    }
    Ok(())
}

/// Removes the route of a service that is no longer in the site's files: these are all in force, so
/// that what they do not name has ended.
async fn remove_if_service(hub: &Hub, unknown: &UnknownRoute) -> Result<(), ProxyError> {
    if unknown.server.is_none() && unknown.path.starts_with("/services/") {
        remove_service(hub, &unknown.path).await?;
    }
    Ok(())
}

async fn remove_service(hub: &Hub, path: &str) -> Result<(), ProxyError> {
    match call(hub, Method::DELETE, &format!("/api/routes{path}"), None).await {
        Ok(_) | Err(ProxyError::Status(StatusCode::NOT_FOUND, _)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes a route whose host says that its server is gone, unless the hub itself wants that very
/// route: then the host's report will say what is true. So a hub that does not know the server gets
/// rid of the route too.
async fn remove_if_gone(hub: &Hub, gone: &DoubtfulRoute) -> Result<(), ProxyError> {
    let fleet = hub.fleet.fleet();
    let server = gone.server.parse().ok().and_then(|id| fleet.servers.get(&id));
    if server.is_some_and(|server| server.is_ready() && server.generation.0 == gone.generation) {
        tracing::warn!(path = gone.path, "the host says gone of a server that should run");
        return Ok(());
    }
    tracing::info!(path = gone.path, "the host says that its server is gone: route removed");
    remove(hub, &gone.path, gone.generation).await
}

async fn remove(hub: &Hub, path: &str, generation: u64) -> Result<(), ProxyError> {
    let path = format!("/api/routes{path}?generation={generation}");
    match call(hub, Method::DELETE, &path, None).await {
        // Gone already, or a newer start has taken the path: both are what we want.
        Ok(_) | Err(ProxyError::Status(StatusCode::NOT_FOUND | StatusCode::CONFLICT, _)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn record(route: &Route, epoch: u64) -> Value {
    json!({
        "target": format!("tunnel://{}/{}", route.host, route.server),
        "address": route.address,
        "generation": route.generation.0,
        "epoch": epoch,
        "jupyterhub": true,
        "user": route.user.as_str(),
        "server_name": route.name.as_str(),
    })
}

fn service_record(route: &services::Route) -> Value {
    json!({ "target": route.target, "jupyterhub": true, "service": route.service })
}

/// When a client last sent bytes on each route, by its path without the slash at the end; without
/// those on which nobody has. `None`: the proxy does not answer.
pub async fn last_sent(hub: &Hub) -> Option<BTreeMap<String, Timestamp>> {
    #[derive(Deserialize)]
    struct Table {
        routes: BTreeMap<String, Clocks>,
    }
    #[derive(Deserialize)]
    struct Clocks {
        last_client_bytes: Option<String>,
    }
    let answer = call(hub, Method::GET, "/api/berth/routes", None).await.ok()?;
    let table: Table = serde_json::from_slice(&answer).ok()?;
    let clock = |(path, clocks): (String, Clocks)| {
        Some((path.trim_end_matches('/').to_owned(), clocks.last_client_bytes?.parse().ok()?))
    };
    Some(table.routes.into_iter().filter_map(clock).collect())
}

/// The proxy's table as JupyterHub knows it, for `GET /hub/api/proxy`.
pub async fn table(hub: &Hub) -> Option<Value> {
    let answer = call(hub, Method::GET, "/api/routes", None).await.ok()?;
    serde_json::from_slice(&answer).ok()
}

async fn call(
    hub: &Hub,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Result<Bytes, ProxyError> {
    tokio::time::timeout(CALL, call_now(hub, method, path, body))
        .await
        .map_err(|_| ProxyError::Timeout)?
}

async fn call_now(
    hub: &Hub,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Result<Bytes, ProxyError> {
    let config = hub.config();
    let token = std::fs::read_to_string(config.hub.state.join("proxy/api-token"))?;
    let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "proxy")
        .header("authorization", format!("token {}", token.trim()))
        .header("content-type", "application/json")
        .body(Full::new(body))?;
    let response = match config.hub.proxy_api.strip_prefix("unix:") {
        Some(socket) => send(UnixStream::connect(Path::new(socket)).await?, request).await?,
        None => send(TcpStream::connect(&config.hub.proxy_api).await?, request).await?,
    };
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if status.is_success() {
        Ok(body)
    } else {
        Err(ProxyError::Status(status, String::from_utf8_lossy(&body).chars().take(200).collect()))
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<hyper::Response<hyper::body::Incoming>, hyper::Error> {
    let stream = crash_inside_writes!(stream, "hub.routes.inside_send");
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    sender.send_request(request).await
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
