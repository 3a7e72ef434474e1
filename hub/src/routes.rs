//! Keeps the proxy's routes equal to those that the fleet wants.
//!
//! Level-triggered: every change, every reconnect and every half minute the wanted routes are
//! compared with what the proxy was last told. A route that the hub does not know is never swept
//! away: only one whose server the hub knows to have ended is removed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_core::route::{Route, routes};
use berth_process::crash_point;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;

use crate::site::Hub;

/// The whole table is sent again this often, in case the proxy lost it.
const RESYNC: Duration = Duration::from_secs(30);
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
    #[error("the proxy's answer cannot be read: {0}")]
    Answer(#[from] serde_json::Error),
}

/// Keeps the proxy in line until the hub ends. Tokens to be forgotten come in by `revoked`.
pub async fn keep(hub: Arc<Hub>, mut revoked: mpsc::UnboundedReceiver<Vec<u8>>) {
    let mut fleet = hub.fleet.watch();
    let mut told: Option<BTreeMap<String, Route>> = None;
    let mut owed: Vec<Vec<u8>> = Vec::new();
    let mut seq = 0_u64;
    let mut complained = false;
    let mut resync = tokio::time::interval(RESYNC);
    loop {
        let wanted = routes(&fleet.borrow_and_update().clone());
        if told.as_ref() != Some(&wanted) || !owed.is_empty() {
            seq = seq.saturating_add(1);
            match bring_in_line(&hub, told.as_ref(), &wanted, &mut owed, seq).await {
                Ok(()) => {
                    let confirmed =
                        wanted.iter().map(|(path, route)| (path.clone(), route.generation));
                    hub.routed.send_replace(confirmed.collect());
                    told = Some(wanted);
                    complained = false;
                }
                Err(error) => {
                    if !complained {
                        tracing::warn!(%error, "routes are not up to date");
                    }
                    complained = true;
                    told = None;
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            }
        }
        tokio::select! {
            changed = fleet.changed() => if changed.is_err() { return },
            hash = revoked.recv() => match hash {
                Some(hash) => owed.push(hash),
                None => return,
            },
            _ = resync.tick() => told = None,
        }
    }
}

#[derive(Deserialize)]
struct SyncAnswer {
    #[serde(default)]
    unknown: Vec<UnknownRoute>,
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
    told: Option<&BTreeMap<String, Route>>,
    wanted: &BTreeMap<String, Route>,
    owed: &mut Vec<Vec<u8>>,
    seq: u64,
) -> Result<(), ProxyError> {
    if !owed.is_empty() {
        let tokens: Vec<String> = owed.iter().map(|hash| hex(hash)).collect();
        call(hub, Method::POST, "/api/berth/revoke", Some(json!({ "tokens": tokens }))).await?;
        owed.clear();
    }
    match told {
        None => {
            let epoch = hub.fleet.fleet().epoch.0;
            let table: BTreeMap<_, _> =
                wanted.iter().map(|(path, route)| (path, record(route, epoch))).collect();
            crash_point!("hub.routes.before_sync");
            let body = json!({ "epoch": epoch, "seq": seq, "routes": table });
            let answer = call(hub, Method::PUT, "/api/berth/routes", Some(body)).await?;
            crash_point!("hub.routes.after_sync");
            let answer: SyncAnswer = serde_json::from_slice(&answer)?;
            for unknown in answer.unknown {
                remove_if_ended(hub, &unknown).await?;
            }
        }
        Some(told) => {
            for (path, route) in
                wanted.iter().filter(|(path, route)| told.get(*path) != Some(route))
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
            for (path, route) in told.iter().filter(|(path, _)| !wanted.contains_key(*path)) {
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

/// The proxy's table: for activity, and for `GET /hub/api/proxy`.
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
        Some(socket) => {
            send(TokioIo::new(UnixStream::connect(Path::new(socket)).await?), request).await?
        }
        None => {
            send(TokioIo::new(TcpStream::connect(&config.hub.proxy_api).await?), request).await?
        }
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
    io: impl hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<hyper::Response<hyper::body::Incoming>, hyper::Error> {
    let (mut sender, connection) = handshake(io).await?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    sender.send_request(request).await
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
