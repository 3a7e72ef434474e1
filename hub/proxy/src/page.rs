//! What the proxy itself says to people and programs: small pages that never repeat what was asked.

use std::borrow::Cow;

use berth_common::Timestamp;
use bytes::Bytes;
use hyper::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue,
    RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

use crate::body::ResponseBody;
use crate::limits::Excess;
use crate::route::iso_millis;

/// One thing to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The request could be read in two ways.
    BadRequest,
    /// A websocket of a page from elsewhere.
    ForeignOrigin,
    /// A change of the hub, asked for by a page of another site or of a notebook.
    ForeignPage,
    /// A login or token that the hub took back.
    Revoked,
    /// One client has too much under way.
    ClientExcess,
    /// One route has too much under way.
    RouteExcess,
    /// A body that comes too slowly.
    SlowBody,
    /// No route, not even to a hub.
    NotFound,
    /// `Expect` with something we do not know.
    UnknownExpectation,
    /// The hub is not there.
    HubAway,
    /// The server is starting, or its route is a moment behind.
    NotReady,
    /// The host says that the server does not run.
    NotRunning,
    /// No way to the host, since this moment.
    HostUnreachable(Timestamp),
    /// The server broke off before it answered.
    NoAnswer,
}

impl Page {
    /// Who has too much.
    pub fn of_excess(excess: Excess) -> Self {
        match excess {
            Excess::Client => Self::ClientExcess,
            Excess::Route => Self::RouteExcess,
        }
    }

    /// The status it comes with.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::ForeignOrigin | Self::ForeignPage | Self::Revoked => StatusCode::FORBIDDEN,
            Self::ClientExcess => StatusCode::TOO_MANY_REQUESTS,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::UnknownExpectation => StatusCode::EXPECTATION_FAILED,
            Self::RouteExcess
            | Self::HubAway
            | Self::NotReady
            | Self::NotRunning
            | Self::HostUnreachable(_)
            | Self::NoAnswer => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Title and text.
    fn words(self) -> (&'static str, Cow<'static, str>) {
        let (title, text) = match self {
            Self::BadRequest => ("Bad request", "This address or request is malformed."),
            Self::ForeignOrigin => {
                ("Not from here", "A page of another site may not open this connection.")
            }
            Self::ForeignPage => {
                ("Not from here", "Only the hub's own pages may ask for this. Start from them.")
            }
            Self::Revoked => ("Logged out", "This login has ended. Log in again."),
            Self::ClientExcess => {
                ("Too many at once", "Too much is open from your address. Try again in a moment.")
            }
            Self::RouteExcess => {
                ("Too many at once", "Too much is open to this server. Try again in a moment.")
            }
            Self::SlowBody => ("Too slow", "The upload came too slowly and was broken off."),
            Self::NotFound => ("Not found", "Nothing is served under this address."),
            Self::UnknownExpectation => {
                ("Expectation failed", "Only 100-continue can be expected here.")
            }
            Self::HubAway => (
                "The hub is being updated",
                "Notebooks go on. Try this page again in a few seconds.",
            ),
            Self::NotReady => {
                ("The server is starting", "It is not ready yet. Try again in a moment.")
            }
            Self::NotRunning => {
                ("The server is not running", "Start it from the hub, then come back.")
            }
            Self::HostUnreachable(since) => {
                // To the minute: `2026-11-28T03:45`.
                let since = iso_millis(since);
                let since = since.get(..16).unwrap_or_default().replace('T', " ");
                let text = format!(
                    "Its host is unreachable since {since} UTC. What runs there goes on; try again soon."
                );
                return ("The server cannot be reached", text.into());
            }
            Self::NoAnswer => {
                ("No answer", "The server closed the connection before it answered. Try again.")
            }
        };
        (title, text.into())
    }

    /// When it is worth trying again, in seconds.
    fn retry_after_s(self) -> Option<u64> {
        match self {
            Self::NotReady | Self::NoAnswer | Self::ClientExcess | Self::RouteExcess => Some(1),
            Self::HubAway | Self::HostUnreachable(_) => Some(5),
            Self::NotRunning => Some(10),
            _ => None,
        }
    }

    /// The answer, as HTML or, for those who prefer it, JSON.
    pub fn answer(self, wants: Wants) -> Response<ResponseBody> {
        let status = self.status();
        let (title, text) = self.words();
        let json = wants.json && !wants.page;
        let body = if json {
            format!(r#"{{"status": {}, "message": "{title}. {text}"}}"#, status.as_u16())
        } else {
            format!(
                "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
                 <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
                 <style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;\
                 margin:18vh auto 0;padding:0 1rem}}h1{{font-size:1.4rem}}</style></head>\n\
                 <body><h1>{title}</h1><p>{text}</p></body></html>\n"
            )
        };
        let mut response = own(status, body);
        let kind = if json { "application/json" } else { "text/html; charset=utf-8" };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"),
        );
        if let Some(seconds) = self.retry_after_s() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// An answer of our own.
pub fn own(status: StatusCode, body: impl Into<Bytes>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::text(body));
    *response.status_mut() = status;
    response
}

/// An answer of JSON.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<ResponseBody> {
    let mut response = own(status, body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// What the client can make use of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wants {
    /// A browser that shows a page.
    pub page: bool,
    /// A program that reads JSON.
    pub json: bool,
}

impl Wants {
    /// By its `Accept`.
    pub fn of(request: &HeaderMap) -> Self {
        if !request.contains_key(ACCEPT) {
            return Self::default();
        }
        Self { page: accepts(request, "text/html"), json: accepts(request, "application/json") }
    }
}

fn accepts(request: &HeaderMap, kind: &str) -> bool {
    request
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(kind))
}
