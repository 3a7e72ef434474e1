//! One request of a user: its route, its gates, its way up, the answer's way down.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use berth_process::clock;
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, EXPECT, HOST, HeaderMap, HeaderValue, UPGRADE};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::body::{Relay, RequestBody, ResponseBody};
use crate::cookies::{self, Owner};
use crate::headers::{self, Client};
use crate::limits::{self, Excess, Passage};
use crate::metrics::count;
use crate::page::{self, Page, Wants};
use crate::pool::Sender;
use crate::route::{Doubt, Route, Target};
use crate::shared::Shared;
use crate::upstream::{self, HUB_PATIENCE, TUNNEL_PATIENCE, UpstreamError};
use crate::worker::Share;
use crate::{access, errors, http2, hub_user, path, shield, sockets, websocket};

/// Asked by load balancers, before any routing.
const HEALTH: &str = "/_chp_healthz";

/// What a request needs of its connection.
#[derive(Debug, Clone)]
pub struct From {
    /// The other end's address.
    pub peer: IpAddr,
    /// Whether the connection is TLS.
    pub secure: bool,
    /// What its connection holds.
    pub held: Arc<Held>,
}

/// What a connection holds until it and all that came of it has ended.
#[derive(Debug)]
pub struct Held {
    /// Closed everywhere, it lets the process end.
    pub alive: mpsc::Sender<()>,
    /// Of its worker.
    pub share: Option<Share>,
    /// Its place among those that may be open.
    pub connection: limits::Connection,
}

/// What is kept of a request for the case that it fails.
pub(crate) struct Asked {
    pub method: Method,
    pub uri: Uri,
    pub wants: Wants,
    pub handshake: bool,
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
    let noted = shared.access.as_ref().map(|log| (log, access::Asked::of(&request)));
    let trusted = shared.trusts(from.peer);
    let client = headers::client(from.peer, request.headers(), trusted, from.secure);
    let handshake = websocket::is_handshake(&request);
    let metrics = &shared.metrics;
    count(if handshake { &metrics.requests_ws } else { &metrics.requests_web });
    let begun = Instant::now();
    let found = find(shared, &mut request);
    metrics.find_target.since(begun);
    let asked = Asked {
        method: request.method().clone(),
        uri: request.uri().clone(),
        wants: Wants::of(request.headers()),
        handshake,
    };
    let way = Way { shared, from, client: &client, asked: &asked };
    let route = found.as_ref().ok().map(|route| route.key.as_str());
    let mut response = match &found {
        Ok(route) => way.to(route, request, trusted).await,
        Err(page) => failed(shared, *page, &asked).await,
    };
    if shared.rules.is_none() {
        let status = response.status();
        shield::protect(response.headers_mut(), status, &client);
    }
    if let Some((log, noted)) = noted {
        let status = response.status();
        response.body_mut().ends.entry = log.entry(noted, client.address, route, status);
    }
    response
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
        let path = path::matched(request.uri().path()).map_err(refused)?;
        return shared.table().find(&path).ok_or(Page::NotFound);
    };
    if let Some(path) = path::normalised(request.uri().path()) {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let uri = format!("{path}{query}").parse::<PathAndQuery>();
        *request.uri_mut() = uri.map(Uri::from).map_err(|_| Page::BadRequest)?;
    }
    let path = path::leniently_matched(request.uri().path()).map_err(refused)?;
    if !rules.host_routing {
        return shared.table().find(&path).ok_or(Page::NotFound);
    }
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.split(':').next().unwrap_or_default();
    shared.table().find(&format!("/{name}{path}")).ok_or(Page::NotFound)
}

/// Says what went wrong. What is rare is boxed, here and below: the library moves the whole of a
/// request's future about, so that its size is a cost of every request.
pub(crate) async fn failed(shared: &Shared, wrong: Page, asked: &Asked) -> Response<ResponseBody> {
    match &shared.rules {
        None => {
            shared.metrics.requests_proxy.add(wrong.status());
            wrong.answer(asked.wants)
        }
        Some(rules) => {
            let asked = (&asked.method, &asked.uri, asked.wants, asked.handshake);
            Box::pin(errors::answer(shared, rules, wrong, asked)).await
        }
    }
}

/// What all steps of a request's way need.
pub(crate) struct Way<'a> {
    pub shared: &'a Arc<Shared>,
    pub from: &'a From,
    pub client: &'a Client,
    pub asked: &'a Asked,
}

/// What a handshake brings with it.
pub(crate) struct Handshake {
    upgrade: OnUpgrade,
    passage: Passage,
    entry: sockets::Entry,
}

impl Way<'_> {
    /// Through the gates, then to the route's target.
    async fn to(
        &self,
        route: &Arc<Route>,
        mut request: Request<Incoming>,
        trusted: bool,
    ) -> Response<ResponseBody> {
        if let Err(page) = self.may_pass(route, &request) {
            return failed(self.shared, page, self.asked).await;
        }
        let passage = match self.passage(route, trusted) {
            Ok(passage) => passage,
            Err(excess) => {
                count(&self.shared.metrics.refused_by_limit);
                return failed(self.shared, Page::of_excess(excess), self.asked).await;
            }
        };
        let (passage, handshake) = if self.asked.handshake {
            let shown =
                websocket::shown(request.headers(), request.uri().query().unwrap_or_default());
            if self.shared.hub_away.is_revoked(&shown) {
                return failed(self.shared, Page::Revoked, self.asked).await;
            }
            let entry = self.shared.sockets.enter(&route.live, shown);
            let upgrade = hyper::upgrade::on(&mut request);
            (None, Some(Handshake { upgrade, passage, entry }))
        } else {
            (Some(passage), None)
        };
        let (parts, body) = request.into_parts();
        let mut response = if route.is_hub() && self.shared.state.is_some() {
            match hub_user::question(route, &parts) {
                Some(token) if body.is_end_stream() => {
                    Box::pin(self.user_of_token(route, parts, token)).await
                }
                _ => self.to_hub(route, parts, body, handshake).await,
            }
        } else {
            self.to_server(route, parts, body, handshake).await
        };
        response.body_mut().ends.passage = passage;
        response
    }

    fn may_pass(&self, route: &Route, request: &Request<Incoming>) -> Result<(), Page> {
        let expects = request.headers().get(EXPECT);
        if expects.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
            return Err(Page::UnknownExpectation);
        }
        if self.shared.rules.is_some() {
            return Ok(());
        }
        let origins = &self.shared.origins;
        if self.asked.handshake && !websocket::origin_allowed(request, self.client, origins) {
            return Err(Page::ForeignOrigin);
        }
        let base = route.key.strip_suffix('/').unwrap_or(&route.key);
        if route.is_hub() && !shield::may_change_the_hub(request.method(), request.headers(), base)
        {
            return Err(Page::ForeignPage);
        }
        Ok(())
    }

    fn passage(&self, route: &Route, trusted: bool) -> Result<Passage, Excess> {
        let limits = &self.shared.limits;
        let of_client;
        let client = if trusted {
            of_client = limits.client(self.client.address);
            &of_client
        } else {
            &self.from.held.connection.client
        };
        limits.pass(client, &route.live, self.asked.handshake)
    }

    async fn to_hub(
        &self,
        route: &Arc<Route>,
        parts: Parts,
        body: Incoming,
        handshake: Option<Handshake>,
    ) -> Response<ResponseBody> {
        let body = RequestBody::of(body, &route.live, self.shared.limits.body_bytes_per_second());
        let parts = self.prepared(route, parts, handshake.is_some());
        match self.exchange(route, parts, body, HUB_PATIENCE).await {
            Ok((response, sender)) => self.relay(route, response, sender, handshake),
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
        handshake: Option<Handshake>,
    ) -> Response<ResponseBody> {
        // A page that finds its server gone is the hub's: it offers to start the server.
        let page = self.shared.rules.is_none()
            && parts.method == Method::GET
            && self.asked.wants.page
            && body.is_end_stream();
        let page_headers = page.then(|| parts.headers.clone());
        let body = RequestBody::of(body, &route.live, self.shared.limits.body_bytes_per_second());
        let patience = match route.record.target {
            Target::Tunnel(_) => TUNNEL_PATIENCE,
            Target::Http(_) => Duration::ZERO,
        };
        let parts = self.prepared(route, parts, handshake.is_some());
        let error = match self.exchange(route, parts, body, patience).await {
            Ok((response, sender)) => {
                route.live.host_says(None);
                return self.relay(route, response, sender, handshake);
            }
            Err(error) => error,
        };
        match error {
            UpstreamError::Gone => route.live.host_says(Some(Doubt::Gone)),
            UpstreamError::WrongGeneration => route.live.host_says(Some(Doubt::WrongGeneration)),
            _ => {}
        }
        say(route, &error);
        match (&error, page_headers) {
            (UpstreamError::Gone, Some(headers)) => Box::pin(self.hubs_page(headers)).await,
            _ => failed(self.shared, page_of(&error, route), self.asked).await,
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
    pub(crate) async fn exchange(
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

fn page_of(error: &UpstreamError, route: &Route) -> Page {
    match error {
        UpstreamError::NotReady | UpstreamError::WrongGeneration => Page::NotReady,
        UpstreamError::Gone => Page::NotRunning,
        UpstreamError::Slow => Page::SlowBody,
        UpstreamError::Broken(_) => Page::NoAnswer,
        UpstreamError::Refused
        | UpstreamError::Unreachable(_)
        | UpstreamError::Identity(_)
        | UpstreamError::NoCredentials => {
            Page::HostUnreachable(route.live.host_is_silent(clock::now()))
        }
    }
}

/// Logs a route's trouble, once a minute: stale tabs ask every few seconds.
pub(crate) fn say(route: &Route, error: &UpstreamError) {
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
    pub(crate) fn prepared(&self, route: &Route, mut parts: Parts, handshake: bool) -> Parts {
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
        handshake: Option<Handshake>,
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
        match (server, handshake) {
            (Some(server), Some(Handshake { upgrade: client, passage, entry })) => {
                parts.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
                parts.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                let live = route.live.clone();
                let held = (self.from.held.clone(), Some(passage));
                let accepted = websocket::Accepted { client, server, live, held, entry };
                tokio::spawn(websocket::carry(accepted, shared.clone()));
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
                Response::from_parts(parts, ResponseBody::upstream(body))
            }
        }
    }
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
