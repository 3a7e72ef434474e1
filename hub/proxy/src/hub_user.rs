//! The one question that is answered for a hub that is away: whose token is this?

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use tokio::time::timeout;

use crate::body::{Relay, RequestBody, ResponseBody};
use crate::forward::{Way, failed, say};
use crate::headers;
use crate::hub_away::{self, BODY_MAX, TokenHash};
use crate::metrics::count;
use crate::page::{self, Page};
use crate::pool::Sender;
use crate::route::Route;
use crate::shared::Shared;
use crate::upstream::{self, HUB_PATIENCE, UpstreamError};

/// A hub that takes longer for a token's owner is as good as away: with socket activation
/// connects succeed while nobody listens.
const HUB_ANSWER: Duration = Duration::from_secs(3);

/// The token of exactly `GET {base}/hub/api/user`, the one question that is answered for a hub
/// that is away.
pub(crate) fn question(route: &Route, parts: &Parts) -> Option<TokenHash> {
    let base = if route.key == "/" { "" } else { &route.key };
    let exactly = parts.uri.path().strip_prefix(base) == Some("/hub/api/user")
        && parts.uri.query().is_none()
        && parts.method == Method::GET;
    if exactly { hub_away::token_of(&parts.headers) } else { None }
}

impl Way<'_> {
    /// Asks the hub, or remembers what it said.
    pub(crate) async fn user_of_token(
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
        return Ok(Response::from_parts(parts, ResponseBody::upstream(body)));
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
