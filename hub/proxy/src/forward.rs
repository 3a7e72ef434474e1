//! One request of a user: its route, its gates, its way up, the answer's way down.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use berth_process::clock;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HOST, HeaderMap,
    HeaderName, HeaderValue, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::body::{Relay, RequestBody, ResponseBody};
use crate::cookies::{self, Owner};
use crate::headers::{self, Client};
use crate::hub_away::{self, BODY_MAX, TokenHash};
use crate::metrics::count;
use crate::page::{self, Page, Wants};
use crate::pool::Sender;
use crate::route::{Route, Target};
use crate::shared::Shared;
use crate::upstream::{self, HUB_PATIENCE, TUNNEL_PATIENCE, UpstreamError};
use crate::{errors, http2, path, websocket};

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
    /// Whether the connection is TLS.
    pub secure: bool,
    /// Held by what outlives the request.
    pub alive: mpsc::Sender<()>,
}

/// What is kept of a request for the case that it fails.
struct Asked {
    uri: Uri,
    wants: Wants,
    handshake: bool,
}

/// Answers one request. Never fails: what goes wrong is an answer.
pub async fn answer(
    shared: &Arc<Shared>,
    from: &From,
    mut request: Request<Incoming>,
) -> Response<ResponseBody> {
    if request.uri().path() == HEALTH && request.uri().query().is_none() {
        return page::json(StatusCode::OK, r#"{"status":"OK"}"#);
    }
    let handshake = websocket::is_handshake(&request);
    let metrics = &shared.metrics;
    count(if handshake { &metrics.requests_ws } else { &metrics.requests_web });
    let begun = Instant::now();
    let found = find(shared, &mut request);
    metrics.find_target.since(begun);
    let asked =
        Asked { uri: request.uri().clone(), wants: Wants::of(request.headers()), handshake };
    let route = match found {
        Ok(route) => route,
        Err(page) => return failed(shared, page, &asked).await,
    };
    let expects = request.headers().get(EXPECT);
    if expects.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return failed(shared, Page::UnknownExpectation, &asked).await;
    }
    let trusted = !shared.trusted_proxies.is_empty()
        && shared.trusted_proxies.contains(&from.peer.to_canonical());
    let client = headers::client(from.peer, request.headers(), trusted, from.secure);
    if handshake
        && shared.rules.is_none()
        && !websocket::origin_allowed(&request, &client, &shared.origins)
    {
        return failed(shared, Page::ForeignOrigin, &asked).await;
    }
    let upgrade = handshake.then(|| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    let way = Way { shared, from, client: &client, asked: &asked };
    if route.is_hub() && shared.state.is_some() {
        return match token_question(&route, &parts) {
            Some(token) if body.is_end_stream() => way.user_of_token(&route, parts, token).await,
            _ => way.to_hub(&route, parts, body, upgrade).await,
        };
    }
    way.to_server(&route, parts, body, upgrade).await
}

/// Answers one request of HTTP/2, as the same request of HTTP/1.1 would be.
pub async fn answer_http2(
    shared: &Arc<Shared>,
    from: &From,
    mut request: Request<Incoming>,
) -> Response<ResponseBody> {
    let expected = match http2::as_http1(&mut request) {
        Ok(expected) => expected,
        Err(reason) => {
            tracing::debug!(reason, "request refused");
            return Page::BadRequest.answer(Wants::of(request.headers()));
        }
    };
    let mut response = answer(shared, from, request).await;
    http2::as_http2(&mut response, expected);
    response
}

/// The route of a request. The policy `chp` resolves dot segments as browsers do, and forwards what
/// it has matched.
fn find(shared: &Shared, request: &mut Request<Incoming>) -> Result<Arc<Route>, Page> {
    let refused = |error: path::BadPath| {
        tracing::debug!(%error, "request refused");
        Page::BadRequest
    };
    let Some(rules) = &shared.rules else {
        let segments = path::segments(request.uri().path()).map_err(refused)?;
        return shared.table().find(&segments).ok_or(Page::NotFound);
    };
    if let Some(path) = path::normalised(request.uri().path()) {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let uri = format!("{path}{query}").parse::<PathAndQuery>();
        *request.uri_mut() = uri.map(Uri::from).map_err(|_| Page::BadRequest)?;
    }
    let mut segments = path::lenient_segments(request.uri().path()).map_err(refused)?;
    if rules.host_routing {
        let host = request.headers().get(HOST).map(HeaderValue::as_bytes).unwrap_or_default();
        let name = host.split(|byte| *byte == b':').next().unwrap_or_default();
        segments.insert(0, name.to_vec().into());
    }
    shared.table().find(&segments).ok_or(Page::NotFound)
}

/// Says what went wrong.
async fn failed(shared: &Shared, wrong: Page, asked: &Asked) -> Response<ResponseBody> {
    match &shared.rules {
        None => {
            shared.metrics.requests_proxy.add(wrong.status());
            wrong.answer(asked.wants)
        }
        Some(rules) => {
            errors::answer(shared, rules, wrong, &asked.uri, asked.wants, asked.handshake).await
        }
    }
}

/// What all steps of a request's way need.
struct Way<'a> {
    shared: &'a Arc<Shared>,
    from: &'a From,
    client: &'a Client,
    asked: &'a Asked,
}

impl Way<'_> {
    async fn to_hub(
        &self,
        route: &Arc<Route>,
        parts: Parts,
        body: Incoming,
        upgrade: Option<OnUpgrade>,
    ) -> Response<ResponseBody> {
        let body = RequestBody::of(body, &route.live);
        let parts = self.prepared(route, parts, upgrade.is_some());
        match self.exchange(route, parts, body, HUB_PATIENCE).await {
            Ok((response, sender)) => self.relay(route, response, sender, upgrade),
            Err(error) => {
                say(route, &error);
                failed(self.shared, Page::HubAway, self.asked).await
            }
        }
    }

    async fn to_server(
        &self,
        route: &Arc<Route>,
        parts: Parts,
        body: Incoming,
        upgrade: Option<OnUpgrade>,
    ) -> Response<ResponseBody> {
        // A page that finds its server gone is the hub's: it offers to start the server.
        let page = self.shared.rules.is_none()
            && parts.method == Method::GET
            && self.asked.wants.page
            && body.is_end_stream();
        let page_headers = page.then(|| parts.headers.clone());
        let body = RequestBody::of(body, &route.live);
        let patience = match route.record.target {
            Target::Tunnel(_) => TUNNEL_PATIENCE,
            Target::Http(_) => Duration::ZERO,
        };
        let parts = self.prepared(route, parts, upgrade.is_some());
        let error = match self.exchange(route, parts, body, patience).await {
            Ok((response, sender)) => return self.relay(route, response, sender, upgrade),
            Err(error) => error,
        };
        say(route, &error);
        match (&error, page_headers) {
            (UpstreamError::Gone, Some(headers)) => self.hubs_page(headers).await,
            _ => failed(self.shared, page_of(&error), self.asked).await,
        }
    }

    /// The hub's own page about a server that does not run.
    async fn hubs_page(&self, headers: HeaderMap) -> Response<ResponseBody> {
        let Some(root) = self.shared.table().root() else {
            return failed(self.shared, Page::NotRunning, self.asked).await;
        };
        let mut parts = Request::new(()).into_parts().0;
        parts.uri = self.asked.uri.clone();
        parts.headers = headers;
        let parts = self.prepared(&root, parts, false);
        match self.exchange(&root, parts, RequestBody::Empty, HUB_PATIENCE).await {
            Ok((response, sender)) => self.relay(&root, response, sender, None),
            Err(_) => failed(self.shared, Page::NotRunning, self.asked).await,
        }
    }

    /// One exchange with a route's target, under the policy's limit of time.
    async fn exchange(
        &self,
        route: &Route,
        parts: Parts,
        body: RequestBody,
        patience: Duration,
    ) -> Result<(Response<Incoming>, Sender), UpstreamError> {
        let patience = if self.shared.rules.is_some() { Duration::ZERO } else { patience };
        let exchange = upstream::exchange(route, &self.shared.credentials, parts, body, patience);
        match self.shared.rules.as_ref().and_then(|rules| rules.proxy_timeout) {
            None => exchange.await,
            Some(limit) => timeout(limit, exchange)
                .await
                .unwrap_or_else(|_| Err(UpstreamError::Unreachable("no answer in time".into()))),
        }
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

impl Way<'_> {
    /// The head that goes up.
    fn prepared(&self, route: &Route, mut parts: Parts, handshake: bool) -> Parts {
        let target = &route.record.target;
        match &self.shared.rules {
            None => {
                headers::prepare_request(&mut parts.headers, self.client);
                parts.uri = upstream_uri(target, &parts.uri);
            }
            Some(rules) => {
                headers::prepare_framing(&mut parts.headers);
                rules.prepare_request(&mut parts.headers, self.client, target, handshake);
                parts.uri = rules.upstream_uri(route, &parts.uri);
            }
        }
        if handshake {
            parts.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            parts.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
        if !route.is_hub() && self.shared.rules.is_none() {
            cookies::strip_request(&mut parts.headers, owner(route));
        }
        parts.version = Version::HTTP_11;
        parts
    }
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

impl Way<'_> {
    /// Sends the answer down as it comes, or becomes the websocket that was asked for.
    fn relay(
        &self,
        route: &Arc<Route>,
        mut response: Response<Incoming>,
        sender: Sender,
        upgrade: Option<OnUpgrade>,
    ) -> Response<ResponseBody> {
        let shared = self.shared;
        let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let server = switching.then(|| hyper::upgrade::on(&mut response));
        let (mut parts, incoming) = response.into_parts();
        shared.metrics.requests_proxy.add(parts.status);
        headers::prepare_response(&mut parts.headers);
        match &shared.rules {
            Some(rules) => {
                let target = &route.record.target;
                rules.prepare_response(&mut parts.headers, parts.status, target, self.client);
            }
            None if !route.is_hub() && matches!(route.record.target, Target::Tunnel(_)) => {
                let dropped = cookies::strip_response(&mut parts.headers, owner(route));
                if dropped > 0 && route.live.may_say(clock::now()) {
                    tracing::warn!(path = route.key, dropped, "cookies that a server may not set");
                }
            }
            None => {}
        }
        parts.version = Version::HTTP_11;
        match (server, upgrade) {
            (Some(server), Some(client)) => {
                parts.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
                parts.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                let (live, alive) = (route.live.clone(), self.from.alive.clone());
                tokio::spawn(websocket::carry(client, server, live, shared.clone(), alive));
                Response::from_parts(parts, ResponseBody::text(""))
            }
            // A switch that nobody asked for.
            (Some(_), None) => Page::NoAnswer.answer(self.asked.wants),
            (None, refused) => {
                if refused.is_some() && shared.rules.is_some() {
                    parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
                }
                let counts = parts.status.as_u16() < 300;
                let body = Relay::new(incoming, route.live.clone(), sender, counts);
                Response::from_parts(parts, ResponseBody::Upstream(body))
            }
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

impl Way<'_> {
    async fn user_of_token(
        &self,
        route: &Arc<Route>,
        mut parts: Parts,
        token: TokenHash,
    ) -> Response<ResponseBody> {
        let memory = &self.shared.hub_away;
        let recall = || memory.recall(&token, hub_away::boot_time_s());
        if memory.is_away()
            && let Some(remembered) = recall()
        {
            return remembered_answer(self.shared, &token, remembered);
        }
        // A remembered answer needs no waiting; without one, a hub that is just starting is worth
        // it.
        let patience = if recall().is_some() { Duration::ZERO } else { HUB_PATIENCE };
        parts.headers.remove(ACCEPT_ENCODING);
        let parts = self.prepared(route, parts, false);
        let empty = RequestBody::Empty;
        let credentials = &self.shared.credentials;
        let exchange = upstream::exchange(route, credentials, parts, empty, patience);
        let asked_hub = timeout(HUB_ANSWER + patience, async {
            let (response, sender) = exchange.await?;
            hub_answer(self.shared, route, response, sender, token).await
        });
        match asked_hub.await {
            Ok(Ok(response)) => {
                memory.note_back();
                response
            }
            broken => {
                if let Ok(Err(error)) = &broken {
                    say(route, error);
                }
                memory.note_away();
                match recall() {
                    Some(remembered) => remembered_answer(self.shared, &token, remembered),
                    None => failed(self.shared, Page::HubAway, self.asked).await,
                }
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
    shared: &Shared,
    token: &TokenHash,
    remembered: hub_away::Remembered,
) -> Response<ResponseBody> {
    count(&shared.metrics.answered_for_hub);
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
