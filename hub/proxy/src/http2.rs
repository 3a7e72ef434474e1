//! HTTP/2 and HTTP/1.1 as each other: the host from the pseudo field, cookies in one field, and
//! websockets by extended CONNECT (RFC 8441) as the handshake that upstreams know.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::ext::Protocol;
use hyper::header::{
    CONNECTION, COOKIE, HOST, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    UPGRADE,
};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use rustls::crypto::ring;
use sha1::{Digest, Sha1};

use crate::body::ResponseBody;
use crate::page::{Page, Wants};

/// RFC 6455, 1.3.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Makes an HTTP/1.1 request of an HTTP/2 one. For a websocket, the accept value that the
/// upstream must answer with.
///
/// # Errors
/// Says why the request is none that HTTP/1.1 could have carried.
pub fn as_http1<B>(request: &mut Request<B>) -> Result<Option<HeaderValue>, &'static str> {
    let authority = request.uri().authority().map(ToString::to_string);
    let host = request.headers().get(HOST).cloned();
    let host = match (authority, host) {
        (Some(authority), Some(host))
            if !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) =>
        {
            return Err(":authority and Host differ");
        }
        (Some(authority), _) => {
            HeaderValue::from_str(&authority).map_err(|_| "the authority is malformed")?
        }
        (None, Some(host)) => host,
        (None, None) => return Err("no authority"),
    };
    if !host
        .as_bytes()
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]%".contains(byte))
    {
        return Err("the authority is not a host");
    }
    request.headers_mut().insert(HOST, host);
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    let cookies: Vec<&[u8]> =
        request.headers().get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1 {
        let joined = HeaderValue::from_bytes(&cookies.join(&b"; "[..]));
        request.headers_mut().insert(COOKIE, joined.map_err(|_| "the cookies are malformed")?);
    }
    *request.version_mut() = Version::HTTP_11;
    if request.method() != Method::CONNECT {
        return Ok(None);
    }
    let protocol =
        request.extensions().get::<Protocol>().map(|protocol| protocol.as_str() == "websocket");
    if protocol != Some(true) {
        return Err("CONNECT for something other than a websocket");
    }
    let (key, accept) = key()?;
    *request.method_mut() = Method::GET;
    let headers = request.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_KEY, key);
    if !headers.contains_key(HeaderName::from_static("sec-websocket-version")) {
        headers.insert("sec-websocket-version", HeaderValue::from_static("13"));
    }
    Ok(Some(accept))
}

/// A key of our own, and what answers it.
fn key() -> Result<(HeaderValue, HeaderValue), &'static str> {
    let mut random = [0; 16];
    ring::default_provider().secure_random.fill(&mut random).map_err(|_| "no random numbers")?;
    let key = STANDARD.encode(random);
    let accept = STANDARD.encode(Sha1::digest(format!("{key}{MAGIC}")));
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| "no key");
    Ok((value(&key)?, value(&accept)?))
}

/// Makes an HTTP/2 answer of an HTTP/1.1 one.
pub fn as_http2(response: &mut Response<ResponseBody>, expected: Option<HeaderValue>) {
    response.headers_mut().remove(CONNECTION);
    response.headers_mut().remove(UPGRADE);
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let accept = response.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
    if expected.is_none() || accept != expected {
        // Not a websocket server: its end of the connection falls with the client's.
        *response = Page::NoAnswer.answer(Wants::default());
        return;
    }
    *response.status_mut() = StatusCode::OK;
    *response.version_mut() = Version::HTTP_2;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn requests_become_what_http_1_would_have_carried() {
        let check = |request: Request<()>| {
            let mut request = request;
            match as_http1(&mut request) {
                Err(reason) => reason.to_owned(),
                Ok(expected) => format!(
                    "{} {} {} {} {}",
                    request.method(),
                    request.uri(),
                    request.headers()[HOST].to_str().unwrap(),
                    request.headers().get(COOKIE).map_or("-", |value| value.to_str().unwrap()),
                    expected.is_some(),
                ),
            }
        };
        let get = |uri: &str| Request::get(uri);
        for (request, expected) in [
            (
                get("https://a.b:8/c?d").header(COOKIE, "x=1").header(COOKIE, "y=2").body(()),
                "GET /c?d a.b:8 x=1; y=2 false",
            ),
            (get("https://a/").header(HOST, "b").body(()), ":authority and Host differ"),
            (get("/x").body(()), "no authority"),
            (
                Request::builder().method("CONNECT").uri("https://a/x").body(()),
                "CONNECT for something other than a websocket",
            ),
            (
                Request::builder()
                    .method("CONNECT")
                    .uri("https://a/x")
                    .extension(Protocol::from_static("websocket"))
                    .body(()),
                "GET /x a - true",
            ),
        ] {
            assert_eq!(check(request.unwrap()), expected);
        }
    }
}
