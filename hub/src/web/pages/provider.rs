//! Login and logout by the site's identity provider.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::auth::form::{self, query_value};
use crate::auth::oidc::{self, Problem};
use crate::auth::visitor::found;
use crate::auth::{MaybeVisitor, Next, Refusal};
use crate::site::Hub;

/// `GET /hub/oauth_login`: to the provider. It starts nothing but the login.
pub async fn begin(
    State(hub): State<Arc<Hub>>,
    MaybeVisitor(visitor): MaybeVisitor,
    request: Request,
) -> Result<Response, Problem> {
    let next = query_value(request.uri(), "next")
        .and_then(|next| Next::parse(&next, &hub.config().hub.public_url));
    if visitor.is_some() {
        return Ok(found(next.as_ref().map_or("/hub/home", Next::as_str)));
    }
    oidc::begin(&hub, request.headers(), next.as_ref()).await
}

/// `GET /hub/oauth_callback`: back from the provider.
pub async fn finish(State(hub): State<Arc<Hub>>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    oidc::finish(&hub, &parts).await
}

#[derive(Deserialize)]
struct LogoutForm {
    logout_token: String,
}

/// `POST /hub/backchannel_logout`: the provider says that somebody has logged out. What proves it
/// is the token alone; there is no browser, no cookie and no form of ours.
pub async fn logout(
    State(hub): State<Arc<Hub>>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refusal> {
    let bytes = form::read(request.into_body()).await?;
    let LogoutForm { logout_token } = form::fields(&headers, bytes).await?;
    Ok(match oidc::back_channel(&hub, &logout_token).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err((status, why)) => (status, why).into_response(),
    })
}
