//! What every answer carries, and the answers to requests that nobody handles.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::site::Hub;
use crate::web::error::{ApiError, page};
use crate::web::pages::shell::with_menu;
use crate::web::reader::Reader;
use crate::web::say;

/// The version that clients see: that of the JupyterHub whose contract we keep, and our own.
/// Clients compare the major number only.
pub const JUPYTERHUB_VERSION: &str = concat!("6.1.1+berth.", env!("CARGO_PKG_VERSION"));

const API_POLICY: HeaderValue = HeaderValue::from_static(
    "frame-ancestors 'none'; report-uri /hub/security/csp-report; default-src 'none'",
);
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; \
     base-uri 'none'; object-src 'none'",
);

/// The same where a form of ours leads on to another site: the logout to the identity provider,
/// login and consent to a service elsewhere.
fn page_policy(hub: &Hub) -> HeaderValue {
    let all = hub.all_services();
    let services = all.0.values().filter_map(|service| {
        let redirect = url::Url::parse(&service.redirect).ok()?;
        Some(redirect.origin().ascii_serialization())
    });
    let origins: Vec<_> = hub.providers.logout_origin().into_iter().chain(services).collect();
    if origins.is_empty() {
        return PAGE_POLICY;
    }
    let policy = PAGE_POLICY;
    let Ok(policy) = policy.to_str() else { return PAGE_POLICY };
    let with = format!("form-action 'self' {};", origins.join(" "));
    HeaderValue::from_str(&policy.replace("form-action 'self';", &with)).unwrap_or(PAGE_POLICY)
}
/// One origin serves everything, so its pages need none of a browser's devices.
const PERMISSIONS: HeaderValue =
    HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()");

/// Adds the headers that every answer carries, and writes the request down.
pub async fn finish(State(hub): State<Arc<Hub>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let is_api = is_api(request.uri());
    // The pattern, not the path: paths and queries can hold secrets.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let reader = Reader::of(request.headers());
    let mut response = reader.served(with_menu(next.run(request))).await;
    if !method.is_safe() {
        berth_process::crash_point!("hub.web.before_answer");
    }
    let https = hub.config().hub.is_https();
    complete(response.headers_mut(), is_api, https, &hub);
    let route = route.as_ref().map_or("no route", MatchedPath::as_str);
    let (status, millis) = (response.status().as_u16(), begun.elapsed().as_millis());
    hub.metrics.request(method.as_str(), route, status, begun);
    if status >= 500 {
        tracing::warn!(%method, route, status, millis, "request");
    } else {
        tracing::debug!(%method, route, status, millis, "request");
    }
    response
}

fn complete(headers: &mut HeaderMap, is_api: bool, https: bool, hub: &Hub) {
    let fixed = [
        (
            HeaderName::from_static("x-jupyterhub-version"),
            HeaderValue::from_static(JUPYTERHUB_VERSION),
        ),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("same-origin"),
        ),
    ];
    headers.extend(fixed);
    if https {
        let a_year = HeaderValue::from_static("max-age=31536000");
        headers.insert(STRICT_TRANSPORT_SECURITY, a_year);
    }
    let is_html =
        headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let policy = if is_api && !is_html { API_POLICY } else { page_policy(hub) };
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if is_api {
        let allowed = HeaderValue::from_static("accept, content-type, authorization");
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    }
}

fn is_api(uri: &Uri) -> bool {
    let path = uri.path();
    path == "/hub/api" || path.starts_with("/hub/api/")
}

/// An API path that does not exist.
pub async fn no_such_endpoint() -> ApiError {
    ApiError::not_found("There is no such endpoint.")
}

/// A path that exists, asked in a way it does not know.
pub async fn wrong_method(method: Method, uri: Uri) -> Response {
    match (is_api(&uri), method) {
        (true, Method::OPTIONS) => StatusCode::OK.into_response(),
        (true, method) => {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not possible here."))
                .into_response()
        }
        (false, _) => {
            let text = say::t("error-not-possible-here").to_string();
            page(StatusCode::METHOD_NOT_ALLOWED, &text)
        }
    }
}
