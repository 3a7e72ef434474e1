//! The control plane: configurable-http-proxy's REST API, and Berth's own calls beside it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use berth_common::{Epoch, Revision, Timestamp};
use berth_process::clock;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

use crate::body::ResponseBody;
use crate::hub_away::hash_of_hex;
use crate::io::Io;
use crate::listen::{self, Listener, Stream};
use crate::metrics::count;
use crate::pulse::Pulse;
use crate::route::{Record, Route, iso_millis};
use crate::shared::Shared;
use crate::table::{Put, Refusal};
use crate::tls::Terminator;
use crate::{keep, page, path};

/// A record is a few hundred bytes.
const BODY_MAX: usize = 1024 * 1024;

/// A whole table: 20,000 routes of 400 bytes, twice over.
const TABLE_MAX: usize = 16 * 1024 * 1024;

/// For a body that comes over a local socket.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// For a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Between two calls on one connection, as configurable-http-proxy.
const IDLE: Duration = Duration::from_secs(5);

/// Routes written to an answer before other tasks get a turn.
const ROUTES_A_TURN: usize = 500;

type Answer = Response<ResponseBody>;

/// Accepts calls until the proxy ends or a successor accepts in its place.
pub async fn accept(listener: Arc<Listener>, tls: Option<Arc<Terminator>>, shared: Arc<Shared>) {
    listen::each(&listener, &shared, "the API", Pulse::none(), |stream| {
        tokio::spawn(connection(stream, tls.clone(), shared.clone()));
    })
    .await;
}

async fn connection(stream: Stream, tls: Option<Arc<Terminator>>, shared: Arc<Shared>) {
    let Ok(stream) = stream.into_io() else { return };
    let Some(tls) = tls else { return serve(stream, shared).await };
    match timeout(HANDSHAKE, TlsAcceptor::from(tls.config()).accept(stream)).await {
        Ok(Ok(stream)) => serve(Io::accepted(stream), shared).await,
        Ok(Err(error)) => tracing::debug!(%error, "tls handshake of the API failed"),
        Err(_) => tracing::debug!("tls handshake of the API timed out"),
    }
}

async fn serve(stream: Io, shared: Arc<Shared>) {
    let stream = berth_process::crash_inside_writes!(stream, "proxy.api.inside_answer");
    let going = shared.going.turned();
    let shared = &shared;
    let service =
        service_fn(|request| async move { Ok::<_, Infallible>(answer(shared, request).await) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = going => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection of the API ended");
    }
}

/// Which call it is. The path behind `/api/routes` stays as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call<'a> {
    Routes(&'a str),
    Table,
    Revoke,
}

fn call(path: &str) -> Option<Call<'_>> {
    match path {
        "/api/berth/routes" => Some(Call::Table),
        "/api/berth/revoke" => Some(Call::Revoke),
        _ => {
            let rest = path.strip_prefix("/api/routes")?;
            (rest.is_empty() || rest.starts_with('/')).then_some(Call::Routes(rest))
        }
    }
}

async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Answer {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answer = answer_call(shared, request).await;
    let status = answer.status();
    shared.metrics.requests_api.add(status);
    if shared.rules.is_some() {
        match status.as_u16() {
            ..400 => tracing::info!("{} {method} {path}", status.as_u16()),
            400..500 => tracing::warn!("{} {method} {path}", status.as_u16()),
            500.. => tracing::error!("{} {method} {path}", status.as_u16()),
        }
    }
    berth_process::crash_point!("proxy.api.before_answer");
    answer
}

async fn answer_call(shared: &Arc<Shared>, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let mut tokens = parts.headers.get_all(AUTHORIZATION).iter();
    let token = match (tokens.next(), tokens.next()) {
        (Some(token), None) => token.to_str().ok().and_then(|text| text.strip_prefix("token ")),
        _ => None,
    };
    match shared.credentials.is_token(token.unwrap_or_default()) {
        Some(true) => {}
        Some(false) => return text(StatusCode::FORBIDDEN, ""),
        // JupyterHub and Berth's hub both try again.
        None => return text(StatusCode::SERVICE_UNAVAILABLE, "there is no API token yet"),
    }
    let Some(call) = call(parts.uri.path()) else {
        return text(StatusCode::NOT_FOUND, "Not Found");
    };
    let query = parts.uri.query().unwrap_or_default();
    let metrics = &shared.metrics;
    match (call, &parts.method) {
        (Call::Routes("" | "/"), &Method::GET) => {
            count(&metrics.api_route_get);
            list(shared, query).await
        }
        (Call::Routes(path), &Method::GET) => with_key(path, |key| get(shared, &key)),
        (Call::Routes(path), &Method::POST) => match read(body, BODY_MAX).await {
            Ok(body) => {
                count(&metrics.api_route_add);
                with_key(path, |key| post(shared, key, &body))
            }
            Err(answer) => answer,
        },
        (Call::Routes(path), &Method::DELETE) => {
            count(&metrics.api_route_delete);
            with_key(path, |key| delete(shared, &key, query))
        }
        (Call::Table, &Method::GET) => whole_table(shared).await,
        (Call::Table, &Method::PUT) => match read(body, TABLE_MAX).await {
            Ok(body) => synchronise(shared, &body),
            Err(answer) => answer,
        },
        (Call::Revoke, &Method::POST) => match read(body, BODY_MAX).await {
            Ok(body) => revoke(shared, &body).await,
            Err(answer) => answer,
        },
        _ => text(StatusCode::METHOD_NOT_ALLOWED, "Method not supported"),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    page::own(status, body)
}

fn with_key(path: &str, then: impl FnOnce(String) -> Answer) -> Answer {
    match path::key(path) {
        Some(key) => then(key),
        None => text(StatusCode::BAD_REQUEST, "The path cannot be a route's"),
    }
}

async fn read(body: Incoming, limit: usize) -> Result<Bytes, Answer> {
    let too_large = || text(StatusCode::PAYLOAD_TOO_LARGE, "Body too large");
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    match timeout(BODY_TIMEOUT, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(text(StatusCode::BAD_REQUEST, "Body broken")),
        Err(_) => Err(text(StatusCode::REQUEST_TIMEOUT, "Body too slow")),
    }
}

/// The value of a query's argument, decoded.
fn argument(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    String::from_utf8(path::decode(value).ok()?.into_owned()).ok()
}

/// JavaScript, and so configurable-http-proxy, also takes a year or a month for its first moment.
fn whole_date(text: &str) -> Cow<'_, str> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('-') {
        None if text.len() == 4 && digits(text) => format!("{text}-01-01").into(),
        Some((year, month)) if year.len() == 4 && month.len() == 2 && digits(month) => {
            format!("{text}-01").into()
        }
        _ => text.into(),
    }
}

async fn list(shared: &Shared, query: &str) -> Answer {
    let given = argument(query, "inactive_since").or_else(|| argument(query, "inactiveSince"));
    let since = match given.filter(|given| !given.is_empty()) {
        None => None,
        Some(given) => match whole_date(&given).parse::<Timestamp>() {
            Ok(since) => Some(since),
            Err(_) => {
                let why = format!("Invalid datestamp '{given}' must be ISO8601.");
                return text(StatusCode::BAD_REQUEST, why);
            }
        },
    };
    let routes: Vec<Arc<Route>> = shared.table().all().cloned().collect();
    let wanted = |route: &Route| since.is_none_or(|since| route.live.last_activity() < since);
    let body = written(routes.into_iter().filter(|route| wanted(route)), Route::json).await;
    page::json(StatusCode::OK, body)
}

/// Our own view: CHP's table with the highest (epoch, seq) and the two clocks of bytes.
async fn whole_table(shared: &Shared) -> Answer {
    let (highest, routes) = {
        let table = shared.table();
        (table.highest, table.all().cloned().collect::<Vec<_>>())
    };
    let record = |route: &Route| {
        let mut record = route.json();
        let (client, server) = route.live.last_bytes();
        if let Value::Object(fields) = &mut record {
            fields.insert("last_client_bytes".into(), client.map(iso_millis).into());
            fields.insert("last_server_bytes".into(), server.map(iso_millis).into());
        }
        record
    };
    let routes = written(routes.into_iter(), record).await;
    let head = format!(r#"{{"epoch":{},"seq":{},"routes":"#, highest.epoch, highest.seq);
    page::json(StatusCode::OK, [head.as_bytes(), &routes, b"}"].concat())
}

/// A JSON object of routes, written outside the table's lock and in turns, so that a big table
/// delays nobody.
async fn written(
    routes: impl Iterator<Item = Arc<Route>>,
    record: impl Fn(&Route) -> Value,
) -> Vec<u8> {
    let mut body = vec![b'{'];
    for (index, route) in routes.enumerate() {
        if index > 0 {
            body.push(b',');
        }
        let key = Value::from(route.key.as_str());
        body.extend(format!("{key}:{}", record(&route)).bytes());
        if index % ROUTES_A_TURN == ROUTES_A_TURN - 1 {
            tokio::task::yield_now().await;
        }
    }
    body.push(b'}');
    body
}

fn get(shared: &Shared, key: &str) -> Answer {
    match shared.table().get(key) {
        Some(route) => page::json(StatusCode::OK, route.json().to_string()),
        None => text(StatusCode::NOT_FOUND, ""),
    }
}

fn post(shared: &Shared, key: String, body: &[u8]) -> Answer {
    let mut fields = match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => Map::new(),
        Err(error) => {
            return text(StatusCode::BAD_REQUEST, format!("Body not valid JSON: {error}"));
        }
    };
    if shared.rules.as_ref().is_some_and(|rules| rules.host_routing) {
        let host = key.split('/').nth(1).unwrap_or_default();
        fields.insert("host".into(), host.into());
    }
    let record = match Record::read(fields) {
        Ok(record) => record,
        Err(error) => return text(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let generation = record.generation;
    let target = record.text("target").unwrap_or_default().to_owned();
    let Some(mut table) = shared.table_mut() else { return frozen() };
    let done = table.put(key.clone(), record, clock::now());
    drop(table);
    match done {
        Ok((put, ended)) => {
            if put != Put::Same {
                match shared.rules {
                    None => tracing::info!(path = key, generation, "route {}", word(put)),
                    Some(_) => tracing::info!("Route added {key} -> {target}"),
                }
                shared.after_change(ended);
            }
            text(StatusCode::CREATED, "")
        }
        Err(refusal) => refused(&key, &refusal),
    }
}

fn word(put: Put) -> &'static str {
    match put {
        Put::Added => "added",
        Put::Changed => "changed",
        Put::Same => "same",
    }
}

fn delete(shared: &Arc<Shared>, key: &str, query: &str) -> Answer {
    let up_to = match argument(query, "generation").map(|text| text.parse::<u64>()) {
        None => None,
        Some(Ok(generation)) => Some(generation),
        Some(Err(_)) => {
            return text(StatusCode::BAD_REQUEST, "generation must be a whole number");
        }
    };
    let Some(mut table) = shared.table_mut() else { return frozen() };
    shared.wave().before(Instant::now(), table.posted());
    let done = table.remove(key, up_to);
    drop(table);
    match done {
        Ok(None) => text(StatusCode::NOT_FOUND, ""),
        Ok(ended) => {
            match shared.rules {
                None => tracing::info!(path = key, "route removed"),
                Some(_) => tracing::info!("Removing route {key}"),
            }
            let before = shared.wave().deleted(Instant::now());
            if let Some(before) = before {
                keep::save_before_wave(shared, before);
            }
            shared.after_change(ended);
            text(StatusCode::NO_CONTENT, "")
        }
        Err(refusal) => refused(key, &refusal),
    }
}

/// A successor takes over: JupyterHub and Berth's hub both try again.
fn frozen() -> Answer {
    let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, "a new process takes over");
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

fn refused(key: &str, refusal: &Refusal) -> Answer {
    tracing::warn!(path = key, %refusal, "change of a route refused");
    page::json(StatusCode::CONFLICT, conflict(refusal).to_string())
}

fn conflict(refusal: &Refusal) -> Value {
    match refusal {
        Refusal::LowerGeneration { stored, .. } => {
            json!({"message": refusal.to_string(), "generation": stored})
        }
        Refusal::OtherHost(generation) => {
            json!({"message": refusal.to_string(), "generation": generation})
        }
        Refusal::Stale { stored, .. } => {
            json!({"message": refusal.to_string(), "epoch": stored.epoch, "seq": stored.seq})
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WholeTable {
    epoch: u64,
    seq: u64,
    routes: BTreeMap<String, Map<String, Value>>,
}

fn synchronise(shared: &Shared, body: &[u8]) -> Answer {
    let given: WholeTable = match serde_json::from_slice(body) {
        Ok(given) => given,
        Err(error) => {
            return text(StatusCode::BAD_REQUEST, format!("Body not valid JSON: {error}"));
        }
    };
    let mut records = Vec::new();
    for (path, fields) in given.routes {
        let record = Record::read(fields).map_err(|error| error.to_string());
        match path::plain_key(&path)
            .ok_or_else(|| "not a path".to_owned())
            .and_then(|key| record.map(|record| (key, record)))
        {
            Ok(record) => records.push(record),
            // All or nothing: a hub that sends one bad record has a fault that must be seen.
            Err(why) => return text(StatusCode::BAD_REQUEST, format!("route '{path}': {why}")),
        }
    }
    let revision = Revision { epoch: Epoch(given.epoch), seq: given.seq };
    let Some(mut table) = shared.table_mut() else { return frozen() };
    let done = table.synchronise(revision, records, clock::now());
    drop(table);
    match done {
        Ok((done, ended)) => {
            // The hub repeats the whole table every half minute: news only is worth a line.
            if !done.added.is_empty() || !done.changed.is_empty() || !done.unknown.is_empty() {
                tracing::info!(
                    %revision, added = done.added.len(), changed = done.changed.len(),
                    same = done.same, "routes synchronised"
                );
            }
            let unknown = done.unknown.len() as u64;
            shared.metrics.unknown_routes.store(unknown, Ordering::Relaxed);
            for unknown in &done.unknown {
                tracing::warn!(path = unknown.path, "the hub does not know this route; it stays");
            }
            for doubtful in &done.doubtful {
                tracing::warn!(
                    path = doubtful.path, generation = doubtful.generation,
                    host_says = ?doubtful.host_says, "a route leads to nobody; the hub is told"
                );
            }
            for (path, why) in &done.refused {
                tracing::warn!(path, why, "route refused");
            }
            shared.after_change(ended);
            page::json(StatusCode::OK, json!(done).to_string())
        }
        Err(refusal) => refused("", &refusal),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoked {
    tokens: Vec<String>,
}

/// Forgets tokens and sessions, and closes the websockets that were opened with them. They are gone from the disk before the answer, or a restart would know them.
async fn revoke(shared: &Arc<Shared>, body: &[u8]) -> Answer {
    let given: Revoked = match serde_json::from_slice(body) {
        Ok(given) => given,
        Err(error) => {
            return text(StatusCode::BAD_REQUEST, format!("Body not valid JSON: {error}"));
        }
    };
    let Some(hashes) =
        given.tokens.iter().map(|text| hash_of_hex(text)).collect::<Option<Vec<_>>>()
    else {
        return text(StatusCode::BAD_REQUEST, "a token is not a SHA-256 of 64 hexadecimal digits");
    };
    let dropped = shared.hub_away.revoke(&hashes);
    let closed = shared.revoke_sockets(&hashes);
    if dropped > 0 {
        let saving = shared.clone();
        let saved = tokio::task::spawn_blocking(move || keep::save_hub_users(&saving));
        let failed = match saved.await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = failed {
            tracing::error!(error, "revoked tokens are still on disk");
            return text(StatusCode::INTERNAL_SERVER_ERROR, "cannot save");
        }
    }
    page::json(StatusCode::OK, json!({"dropped": dropped, "closed": closed}).to_string())
}
