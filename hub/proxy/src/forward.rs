//! One request of a user: its route, its gates, its way up, the answer's way down.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use berth_process::clock;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HeaderName, HeaderValue,
    UPGRADE,
};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::body::{Relay, RequestBody, ResponseBody};
use crate::cookies::{self, Owner};
use crate::headers::{self, Client};
use crate::hub_away::{self, BODY_MAX, TokenHash};
use crate::page::{self, Page};
use crate::pool::Sender;
use crate::route::{Route, Target};
use crate::shared::Shared;
use crate::upstream::{self, HUB_PATIENCE, TUNNEL_PATIENCE, UpstreamError};
use crate::{path, websocket};

/// Asked by load balancers, before any routing.
const HEALTH: &str = "/_chp_healthz";

/// A hub that takes longer for a token's owner is as good as away: with socket activation
/// connects succeed while nobody listens.
const HUB_ANSWER: Duration = Duration::from_secs(3);

/// What a request needs of its connection.
#[derive(Debug, Clone)]
pub struct From {
    /// The other end's address.
    pub peer: IpAddr,
    /// Held by what outlives the request.
    pub alive: mpsc::Sender<()>,
}

/// Answers one request. Never fails: what goes wrong is an answer.
pub async fn answer(
    shared: &Arc<Shared>,
    from: &From,
    mut request: Request<Incoming>,
) -> Response<ResponseBody> {
    if request.uri().path() == HEALTH {
        return page::json(StatusCode::OK, r#"{"status":"OK"}"#);
    }
    let route = match path::segments(request.uri().path()) {
        Ok(segments) => shared.table().find(&segments),
        Err(error) => {
            tracing::debug!(%error, "request refused");
            return Page::BadRequest.answer(request.headers());
        }
    };
    let Some(route) = route else { return Page::NotFound.answer(request.headers()) };
    let expects = request.headers().get(EXPECT);
    if expects.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Page::UnknownExpectation.answer(request.headers());
    }
    let trusted = shared.trusted_proxies.contains(&from.peer.to_canonical());
    let client = headers::client(from.peer, request.headers(), trusted);
    let handshake = websocket::is_handshake(&request);
    if handshake && !websocket::origin_allowed(&request, &client, &shared.origins) {
        return Page::ForeignOrigin.answer(request.headers());
    }
    let upgrade = handshake.then(|| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    if route.is_hub() {
        return match token_question(&route, &parts) {
            Some(token) if body.is_end_stream() => {
                user_of_token(shared, &route, &client, parts, token).await
            }
            _ => to_hub(shared, from, &route, &client, parts, body, upgrade).await,
        };
    }
    to_server(shared, from, &route, &client, parts, body, upgrade).await
}

async fn to_hub(
    shared: &Arc<Shared>,
    from: &From,
    route: &Arc<Route>,
    client: &Client,
    parts: Parts,
    body: Incoming,
    upgrade: Option<OnUpgrade>,
) -> Response<ResponseBody> {
    let asked = parts.headers.clone();
    let body = RequestBody::of(body, &route.live);
    let parts = prepared(route, client, parts, upgrade.is_some());
    match upstream::exchange(route, &shared.credentials, parts, body, HUB_PATIENCE).await {
        Ok((response, sender)) => relay(shared, from, route, response, sender, upgrade),
        Err(error) => {
            say(route, &error);
            Page::HubAway.answer(&asked)
        }
    }
}

async fn to_server(
    shared: &Arc<Shared>,
    from: &From,
    route: &Arc<Route>,
    client: &Client,
    parts: Parts,
    body: Incoming,
    upgrade: Option<OnUpgrade>,
) -> Response<ResponseBody> {
    let asked = parts.headers.clone();
    // A page that finds its server gone is the hub's: it offers to start the server.
    let page = parts.method == Method::GET && page::wants_page(&asked) && body.is_end_stream();
    let page_uri = page.then(|| parts.uri.clone());
    let body = RequestBody::of(body, &route.live);
    let patience = match route.record.target {
        Target::Tunnel(_) => TUNNEL_PATIENCE,
        Target::Http(_) => Duration::ZERO,
    };
    let parts = prepared(route, client, parts, upgrade.is_some());
    let error = match upstream::exchange(route, &shared.credentials, parts, body, patience).await {
        Ok((response, sender)) => return relay(shared, from, route, response, sender, upgrade),
        Err(error) => error,
    };
    say(route, &error);
    match (&error, page_uri) {
        (UpstreamError::Gone, Some(uri)) => {
            let Some(root) = shared.table().root() else {
                return Page::NotRunning.answer(&asked);
            };
            let mut parts = Request::new(()).into_parts().0;
            parts.uri = uri;
            parts.headers = asked.clone();
            let parts = prepared(&root, client, parts, false);
            let empty = RequestBody::Empty;
            match upstream::exchange(&root, &shared.credentials, parts, empty, HUB_PATIENCE).await {
                Ok((response, sender)) => relay(shared, from, &root, response, sender, None),
                Err(_) => Page::NotRunning.answer(&asked),
            }
        }
        _ => page_of(&error).answer(&asked),
    }
}

fn page_of(error: &UpstreamError) -> Page {
    match error {
        UpstreamError::NotReady | UpstreamError::WrongGeneration => Page::NotReady,
        UpstreamError::Gone => Page::NotRunning,
        UpstreamError::Broken(_) => Page::NoAnswer,
        UpstreamError::Refused
        | UpstreamError::Unreachable(_)
        | UpstreamError::Identity(_)
        | UpstreamError::NoCredentials => Page::HostUnreachable,
    }
}

/// Logs a route's trouble, once a minute: stale tabs ask every few seconds.
fn say(route: &Route, error: &UpstreamError) {
    if !route.live.may_say(clock::now()) {
        return;
    }
    let generation = route.record.generation;
    match error {
        UpstreamError::Identity(_) => {
            tracing::error!(path = route.key, generation, %error, "no answer for users");
        }
        _ => tracing::warn!(path = route.key, generation, %error, "no answer for users"),
    }
}

/// The head that goes up.
fn prepared(route: &Route, client: &Client, mut parts: Parts, handshake: bool) -> Parts {
    headers::prepare_request(&mut parts.headers, client);
    if handshake {
        parts.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        parts.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    if !route.is_hub() {
        cookies::strip_request(&mut parts.headers, owner(route));
    }
    parts.uri = upstream_uri(&route.record.target, &parts.uri);
    parts.version = Version::HTTP_11;
    parts
}

/// Path and query as received, behind the target's own path.
fn upstream_uri(target: &Target, uri: &Uri) -> Uri {
    let received = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let prefix = match target {
        Target::Tunnel(_) => "",
        Target::Http(http) => &http.prefix,
    };
    let path = match uri.path_and_query() {
        Some(path) if prefix.is_empty() => Some(path.clone()),
        _ => format!("{prefix}{received}").parse().ok(),
    };
    path.map_or_else(Uri::default, Uri::from)
}

fn owner(route: &Route) -> Owner<'_> {
    Owner {
        prefix: &route.key,
        user: route.record.text("user"),
        server_name: route.record.text("server_name").unwrap_or_default(),
    }
}

/// Sends the answer down as it comes, or becomes the websocket that was asked for.
fn relay(
    shared: &Arc<Shared>,
    from: &From,
    route: &Arc<Route>,
    mut response: Response<Incoming>,
    sender: Sender,
    upgrade: Option<OnUpgrade>,
) -> Response<ResponseBody> {
    let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let server = switching.then(|| hyper::upgrade::on(&mut response));
    let (mut parts, incoming) = response.into_parts();
    headers::prepare_response(&mut parts.headers);
    if !route.is_hub() && matches!(route.record.target, Target::Tunnel(_)) {
        let dropped = cookies::strip_response(&mut parts.headers, owner(route));
        if dropped > 0 && route.live.may_say(clock::now()) {
            tracing::warn!(path = route.key, dropped, "cookies that a server may not set");
        }
    }
    parts.version = Version::HTTP_11;
    match (server, upgrade) {
        (Some(server), Some(client)) => {
            parts.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            parts.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            let going = shared.going.subscribe();
            let (live, alive) = (route.live.clone(), from.alive.clone());
            tokio::spawn(websocket::carry(client, server, live, going, alive));
            Response::from_parts(parts, ResponseBody::text(""))
        }
        // A switch that nobody asked for.
        (Some(_), None) => Page::NoAnswer.answer(&hyper::HeaderMap::new()),
        (None, _) => {
            let counts = parts.status.as_u16() < 300;
            let body = Relay::new(incoming, route.live.clone(), sender, counts);
            Response::from_parts(parts, ResponseBody::Upstream(body))
        }
    }
}

/// The token of exactly `GET {base}/hub/api/user`, the one question that is answered for a hub
/// that is away.
fn token_question(route: &Route, parts: &Parts) -> Option<TokenHash> {
    let base = if route.key == "/" { "" } else { &route.key };
    let exactly = parts.uri.path().strip_prefix(base) == Some("/hub/api/user")
        && parts.uri.query().is_none()
        && parts.method == Method::GET;
    if exactly { hub_away::token_of(&parts.headers) } else { None }
}

async fn user_of_token(
    shared: &Arc<Shared>,
    route: &Arc<Route>,
    client: &Client,
    mut parts: Parts,
    token: TokenHash,
) -> Response<ResponseBody> {
    let asked = parts.headers.clone();
    let memory = &shared.hub_away;
    let recall = || memory.recall(&token, hub_away::boot_time_s());
    if memory.is_away()
        && let Some(remembered) = recall()
    {
        return remembered_answer(&token, remembered);
    }
    // A remembered answer needs no waiting; without one, a hub that is just starting is worth it.
    let patience = if recall().is_some() { Duration::ZERO } else { HUB_PATIENCE };
    parts.headers.remove(ACCEPT_ENCODING);
    let parts = prepared(route, client, parts, false);
    let empty = RequestBody::Empty;
    let exchange = upstream::exchange(route, &shared.credentials, parts, empty, patience);
    let asked_hub = timeout(HUB_ANSWER + patience, async {
        let (response, sender) = exchange.await?;
        hub_answer(shared, route, response, sender, token).await
    });
    match asked_hub.await {
        Ok(Ok(response)) => {
            memory.note_back();
            response
        }
        failed => {
            if let Ok(Err(error)) = &failed {
                say(route, error);
            }
            memory.note_away();
            match recall() {
                Some(remembered) => remembered_answer(&token, remembered),
                None => Page::HubAway.answer(&asked),
            }
        }
    }
}

/// The hub's answer about a token, remembered if it is good, forgotten if the token is not.
async fn hub_answer(
    shared: &Shared,
    route: &Arc<Route>,
    response: Response<Incoming>,
    sender: Sender,
    token: TokenHash,
) -> Result<Response<ResponseBody>, UpstreamError> {
    let (mut parts, incoming) = response.into_parts();
    headers::prepare_response(&mut parts.headers);
    if matches!(parts.status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED) {
        shared.hub_away.forget(&token);
    }
    let small = incoming.size_hint().upper().is_some_and(|size| size <= BODY_MAX as u64);
    let plain = !parts.headers.contains_key(CONTENT_ENCODING);
    if parts.status != StatusCode::OK || !small || !plain {
        let body = Relay::new(incoming, route.live.clone(), sender, false);
        return Ok(Response::from_parts(parts, ResponseBody::Upstream(body)));
    }
    let collected = Limited::new(incoming, BODY_MAX).collect().await;
    let body = collected
        .map_err(|error| UpstreamError::Unreachable(format!("the hub broke off: {error}")))?
        .to_bytes();
    route.live.pool.put(sender);
    let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or("application/json").to_owned();
    shared.hub_away.remember(token, body.clone(), content_type, hub_away::boot_time_s());
    Ok(Response::from_parts(parts, ResponseBody::text(body)))
}

fn remembered_answer(
    token: &TokenHash,
    remembered: hub_away::Remembered,
) -> Response<ResponseBody> {
    let short = crate::persist::hex(token.get(..4).unwrap_or_default());
    tracing::info!(token = short, age_s = remembered.age_s, "answered for the hub, which is away");
    let mut response = page::own(StatusCode::OK, remembered.body);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&remembered.content_type) {
        headers.insert(CONTENT_TYPE, value);
    }
    headers
        .insert(HeaderName::from_static("x-berth-from-cache"), HeaderValue::from(remembered.age_s));
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::route::Record;

    #[test]
    fn paths_go_up_as_received() {
        for (target, uri, expected) in [
            ("http://x:1", "/user/a%40b/x%2Fy//z?q=%20", "/user/a%40b/x%2Fy//z?q=%20"),
            ("http://x:1/base/", "/a?b", "/base/a?b"),
            ("http://x:1", "http://host/a", "/a"),
            ("http://x:1", "http://host", "/"),
        ] {
            let target = Record::of_url(target).unwrap().target;
            assert_eq!(upstream_uri(&target, &uri.parse().unwrap()).to_string(), expected);
        }
    }
}
