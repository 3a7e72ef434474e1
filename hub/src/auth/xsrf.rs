//! Requests that another site, or another person's notebook, made a browser send.
//!
//! On one origin a notebook's page is of the same origin as the hub, so fetch metadata alone does
//! not tell them apart: the token of the session is needed as well.

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method, Uri};
use subtle::ConstantTimeEq;

use crate::auth::form::query_value;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XsrfError {
    /// It comes from another site.
    #[error("this request was sent by another site")]
    OtherSite,
    /// It carries no token.
    #[error("'_xsrf' argument missing")]
    Missing,
    /// It carries another session's token.
    #[error("XSRF token does not match; reload the page and try again")]
    Mismatch,
}

/// Whether a browser says that a request that changes something comes from one of our own pages.
/// What it does not say is left to the token.
pub fn check_origin(headers: &HeaderMap, public_url: &str) -> Result<(), XsrfError> {
    if let Some(site) = headers.get("sec-fetch-site")
        && site != "same-origin"
    {
        return Err(XsrfError::OtherSite);
    }
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().map_err(|_| XsrfError::OtherSite)?;
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let is_host = |(_, authority): (&str, &str)| host == Some(authority);
    if is_origin_of(origin, public_url) || origin.split_once("://").is_some_and(is_host) {
        Ok(())
    } else {
        Err(XsrfError::OtherSite)
    }
}

fn is_origin_of(origin: &str, url: &str) -> bool {
    url.strip_prefix(origin).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Compares the token of a form or header with the expected one.
pub fn check_token(given: Option<&str>, expected: &str) -> Result<(), XsrfError> {
    let given = given.ok_or(XsrfError::Missing)?;
    if bool::from(given.as_bytes().ct_eq(expected.as_bytes())) {
        Ok(())
    } else {
        Err(XsrfError::Mismatch)
    }
}

/// The token that a request carries in its headers or its query.
pub fn carried(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let header = ["x-xsrftoken", "x-csrftoken"]
        .into_iter()
        .find_map(|name| headers.get(name)?.to_str().ok().map(str::to_owned));
    header.or_else(|| query_value(uri, "_xsrf"))
}

/// Whether a cookie-authenticated API request of this kind goes without a token: navigations and
/// plain loads of our own pages, as JupyterHub has it.
pub fn is_exempt(method: &Method, headers: &HeaderMap) -> bool {
    let mode = headers.get("sec-fetch-mode").map(axum::http::HeaderValue::as_bytes);
    let same_origin = headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin");
    match *method {
        Method::HEAD | Method::OPTIONS => true,
        Method::GET => match mode {
            None | Some(b"navigate" | b"websocket") => true,
            Some(b"no-cors") => same_origin,
            Some(_) => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &str) -> HeaderMap {
        let pairs = lines.lines().filter_map(|line| line.split_once(": "));
        pairs
            .map(|(name, value)| {
                (name.parse::<axum::http::HeaderName>().unwrap(), value.parse().unwrap())
            })
            .collect()
    }

    #[test]
    fn only_our_own_pages_change_things() {
        let check = |lines: &str| check_origin(&headers(lines), "https://nb.example.org").is_ok();
        for good in [
            "host: hub:8081",
            "sec-fetch-site: same-origin",
            "origin: https://nb.example.org",
            "host: 127.0.0.1:8000\norigin: http://127.0.0.1:8000",
            "sec-fetch-site: same-origin\norigin: https://nb.example.org",
        ] {
            assert!(check(good), "{good}");
        }
        for bad in [
            "sec-fetch-site: cross-site",
            "sec-fetch-site: same-site",
            "sec-fetch-site: none",
            "origin: null",
            "origin: https://evil.example",
            "origin: https://nb.example.org.evil.example",
            "origin: https://nb.example.or",
            "origin: http://nb.example.org",
            "host: nb.example.org\norigin: https://evil.example",
            "sec-fetch-site: cross-site\norigin: https://nb.example.org",
        ] {
            assert!(!check(bad), "{bad}");
        }
    }

    #[test]
    fn scripts_need_the_token_even_to_read() {
        let exempt = |method: Method, lines: &str| is_exempt(&method, &headers(lines));
        assert!(exempt(Method::GET, ""));
        assert!(exempt(Method::GET, "sec-fetch-mode: navigate"));
        assert!(exempt(Method::GET, "sec-fetch-mode: no-cors\nsec-fetch-site: same-origin"));
        assert!(!exempt(Method::GET, "sec-fetch-mode: no-cors\nsec-fetch-site: cross-site"));
        assert!(!exempt(Method::GET, "sec-fetch-mode: cors"));
        assert!(!exempt(Method::GET, "sec-fetch-mode: same-origin"));
        assert!(!exempt(Method::POST, ""));
        assert!(!exempt(Method::DELETE, "sec-fetch-mode: navigate"));
    }

    #[test]
    fn tokens_are_compared_whole() {
        assert_eq!(check_token(None, "t"), Err(XsrfError::Missing));
        assert_eq!(check_token(Some(""), "t"), Err(XsrfError::Mismatch));
        assert_eq!(check_token(Some("tt"), "t"), Err(XsrfError::Mismatch));
        assert_eq!(check_token(Some("t"), "t"), Ok(()));
    }
}
