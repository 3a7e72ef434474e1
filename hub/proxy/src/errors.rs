//! What the policy `chp` answers in an upstream's place: the words of an error target or of a
//! folder, under our own status.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::timeout;

use crate::body::{RequestBody, ResponseBody};
use crate::page::{self, Page, Wants};
use crate::route::{Route, Target};
use crate::rules::{ErrorPages, Rules};
use crate::shared::Shared;
use crate::upstream;

/// A person waits for this page.
const PATIENCE: Duration = Duration::from_secs(2);

/// More words than anybody reads.
const BODY_MAX: usize = 1024 * 1024;

/// Kept as they are in a query's value.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*');

/// The answer for what went wrong. Of the request: its method, its path and query, what it can
/// make use of, whether it is a websocket's handshake.
pub async fn answer(
    shared: &Shared,
    rules: &Rules,
    wrong: Page,
    (method, asked, wants, handshake): (&Method, &Uri, Wants, bool),
) -> Response<ResponseBody> {
    let status = match wrong.status() {
        StatusCode::FORBIDDEN => StatusCode::NOT_FOUND,
        other => other,
    };
    shared.metrics.requests_proxy.add(status);
    tracing::error!("{} {method} {}", status.as_u16(), asked.path());
    if handshake {
        // Nobody reads a page there.
        let mut response = page::own(status, "");
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return response;
    }
    match &rules.errors {
        ErrorPages::BuiltIn => wrong.answer(wants),
        ErrorPages::Folder(folder) => match of_folder(folder, status).await {
            Some(body) => words(status, body, Some(HeaderValue::from_static("text/html")), None),
            None => wrong.answer(wants),
        },
        ErrorPages::Target(target) => {
            match timeout(PATIENCE, of_target(shared, target, status, asked)).await {
                Ok(Some(response)) => response,
                _ => {
                    tracing::error!("Failed to get custom error page");
                    let text = status.canonical_reason().unwrap_or_default();
                    words(status, text.into(), Some(HeaderValue::from_static("text/plain")), None)
                }
            }
        }
    }
}

async fn of_folder(folder: &Path, status: StatusCode) -> Option<Bytes> {
    for name in [format!("{}.html", status.as_u16()), "error.html".to_owned()] {
        if let Ok(content) = tokio::fs::read(folder.join(name)).await {
            return Some(content.into());
        }
    }
    None
}

async fn of_target(
    shared: &Shared,
    target: &Route,
    status: StatusCode,
    asked: &Uri,
) -> Option<Response<ResponseBody>> {
    let Target::Http(http) = &target.record.target else { return None };
    let asked = asked.path_and_query().map_or("/", |asked| asked.as_str());
    let own = http.query.as_ref().map(|query| format!("{query}&")).unwrap_or_default();
    let url = utf8_percent_encode(asked, QUERY);
    let mut request = Request::new(());
    *request.method_mut() = Method::GET;
    *request.uri_mut() =
        format!("{}/{}?{own}url={url}", http.prefix, status.as_u16()).parse().ok()?;
    request.headers_mut().insert(HOST, HeaderValue::from_str(&http.host).ok()?);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    let (parts, ()) = request.into_parts();
    let exchange =
        upstream::exchange(target, &shared.credentials, parts, RequestBody::Empty, Duration::ZERO);
    let (response, _sender) = exchange.await.ok()?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, BODY_MAX).collect().await.ok()?.to_bytes();
    let field = |name| parts.headers.get(name).cloned();
    Some(words(status, body, field(CONTENT_TYPE), field(CONTENT_ENCODING)))
}

fn words(
    status: StatusCode,
    body: Bytes,
    kind: Option<HeaderValue>,
    encoding: Option<HeaderValue>,
) -> Response<ResponseBody> {
    let mut response = page::own(status, body);
    let headers = response.headers_mut();
    for (name, value) in [(CONTENT_TYPE, kind), (CONTENT_ENCODING, encoding)] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    response
}
