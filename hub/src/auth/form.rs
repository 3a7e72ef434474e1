//! Forms and query strings. A form that changes something is read only after its token was found
//! right.

use std::sync::Arc;

use axum::Form;
use axum::body::Bytes;
use axum::extract::{FromRequest, Query, Request};
use axum::http::{HeaderMap, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;

use crate::auth::refusal::Refusal;
use crate::auth::visitor::Visitor;
use crate::auth::xsrf;
use crate::site::Hub;
use crate::web::say;

/// No form of ours comes near this size.
const LARGEST: usize = 64 << 10;

/// The arguments of a query, in their order.
pub fn query_pairs(uri: &Uri) -> Vec<(String, String)> {
    Query::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default()
}

/// The first argument of this name in a query.
pub fn query_value(uri: &Uri, name: &str) -> Option<String> {
    first(query_pairs(uri), name)
}

/// The first value of this name.
pub fn first(pairs: Vec<(String, String)>, name: &str) -> Option<String> {
    pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// A form of a logged-in person whose token and origin are right.
#[derive(Debug)]
pub struct CheckedForm<T> {
    /// Who sent it.
    pub visitor: Visitor,
    /// Its fields. Repeated fields are seen as `Vec<(String, String)>` only.
    pub form: T,
}

impl<T: DeserializeOwned> FromRequest<Arc<Hub>> for CheckedForm<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, hub: &Arc<Hub>) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::of(&mut parts, hub)?;
        let bytes = read(body).await?;
        let headers = parts.headers.clone();
        check(&headers, hub, &bytes, &parts.uri, &visitor.xsrf).await?;
        Ok(Self { visitor, form: fields(&headers, bytes).await? })
    }
}

async fn check(
    headers: &HeaderMap,
    hub: &Hub,
    bytes: &Bytes,
    uri: &Uri,
    expected: &str,
) -> Result<(), Refusal> {
    xsrf::check_origin(headers, &hub.config().hub.public_url)?;
    let carried = xsrf::carried(headers, uri);
    let given = match carried {
        Some(token) => Some(token),
        None => first(fields(headers, bytes.clone()).await?, "_xsrf"),
    };
    Ok(xsrf::check_token(given.as_deref(), expected)?)
}

/// Reads a form's body, within limits.
pub async fn read(body: axum::body::Body) -> Result<Bytes, Refusal> {
    let body = Limited::new(body, LARGEST).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|_| {
        let why = say::t("error-form-too-large").to_string();
        Refusal::page(StatusCode::PAYLOAD_TOO_LARGE, why)
    })
}

/// Takes a form apart.
pub async fn fields<T: DeserializeOwned>(headers: &HeaderMap, bytes: Bytes) -> Result<T, Refusal> {
    let mut request = Request::post("/").body(bytes.into()).unwrap_or_default();
    *request.headers_mut() = headers.clone();
    let form = Form::from_request(request, &()).await;
    form.map(|Form(form)| form).map_err(|_| {
        let why = say::t("error-form-unread").to_string();
        Refusal::page(StatusCode::BAD_REQUEST, why)
    })
}
