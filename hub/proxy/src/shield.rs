//! What keeps pages of one origin apart as far as headers can: servers of different people and the
//! hub share it (policy `berth`).

use hyper::header::{
    AUTHORIZATION, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERER,
    REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, StatusCode};

use crate::headers::Client;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A year: what browsers' lists ask for.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

const FRAMES: HeaderValue = HeaderValue::from_static("frame-ancestors 'self'");

/// Whether a request to the hub that changes something comes from where it may: not from another
/// site, and not from a page of a notebook server or a dashboard. A program that shows a token is
/// no page.
pub fn may_change_the_hub(method: &Method, headers: &HeaderMap, base: &str) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return true;
    }
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    let site_is_ours = match (sites.next(), sites.next()) {
        (None, _) => true,
        (Some(site), None) => site == "same-origin",
        (Some(_), Some(_)) => false,
    };
    site_is_ours && (headers.contains_key(AUTHORIZATION) || !is_of_a_program(headers, base))
}

/// Where pages of people's own programs are: their servers', and the dashboards of their clusters.
const OF_PROGRAMS: [&str; 2] = ["/user/", "/hub/dask/"];

/// Whether the page that asks is one of a person's own programs.
fn is_of_a_program(headers: &HeaderMap, base: &str) -> bool {
    headers.get_all(REFERER).iter().any(|page| {
        let page = page.to_str().unwrap_or_default();
        let behind = page.split_once("://").map_or(page, |(_, rest)| rest);
        let path = behind.find('/').and_then(|at| behind.get(at..)).unwrap_or_default();
        let path = path.strip_prefix(base).unwrap_or_default();
        OF_PROGRAMS.iter().any(|prefix| path.starts_with(prefix))
    })
}

/// Adds to an answer what its maker left out.
pub fn protect(headers: &mut HeaderMap, status: StatusCode, client: &Client) {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let mut missing = |name: HeaderName, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
    missing(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    missing(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    if client.scheme == "https" {
        missing(STRICT_TRANSPORT_SECURITY, HSTS);
    }
    let framed = headers
        .get_all(CONTENT_SECURITY_POLICY)
        .iter()
        .any(|policy| policy.to_str().is_ok_and(|policy| policy.contains("frame-ancestors")));
    if !framed {
        // Browsers take all policies together, so that this one takes nothing away.
        headers.append(CONTENT_SECURITY_POLICY, FRAMES);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_hub_is_changed_by_its_own_pages_and_by_programs() {
        for (method, fields, expected) in [
            ("GET", vec![("sec-fetch-site", "cross-site")], true),
            ("POST", vec![("sec-fetch-site", "cross-site")], false),
            ("POST", vec![("sec-fetch-site", "same-site")], false),
            ("DELETE", vec![("sec-fetch-site", "none")], false),
            ("POST", vec![("sec-fetch-site", "same-origin")], true),
            ("POST", vec![("sec-fetch-site", "same-origin"), ("sec-fetch-site", "x")], false),
            ("POST", vec![], true),
            ("POST", vec![("referer", "https://a/user/bob/lab")], false),
            ("POST", vec![("referer", "https://a/hub/dask/gateway/clusters/x/status")], false),
            ("POST", vec![("referer", "https://a/hub/home")], true),
            ("POST", vec![("referer", "https://a")], true),
            ("POST", vec![("referer", "https://a/user/b"), ("authorization", "token x")], true),
            ("POST", vec![("sec-fetch-site", "cross-site"), ("authorization", "token x")], false),
        ] {
            let method: Method = method.parse().unwrap();
            let found = may_change_the_hub(&method, &headers(&fields), "");
            assert_eq!(found, expected, "{method} {fields:?}");
        }
        let fields = headers(&[("referer", "https://a/jupyter/user/bob/lab")]);
        assert!(!may_change_the_hub(&Method::POST, &fields, "/jupyter"));
    }

    #[test]
    fn only_what_is_missing_is_added() {
        let client = |scheme| Client {
            address: "127.0.0.1".parse().unwrap(),
            scheme,
            host: HeaderValue::from_static("a"),
            port: 1,
        };
        let mut bare = HeaderMap::new();
        protect(&mut bare, StatusCode::OK, &client("https"));
        assert_eq!(bare.len(), 4);
        assert_eq!(bare[STRICT_TRANSPORT_SECURITY], "max-age=31536000");
        let mut own = headers(&[
            ("content-security-policy", "default-src 'self'"),
            ("referrer-policy", "no-referrer"),
        ]);
        protect(&mut own, StatusCode::OK, &client("http"));
        assert_eq!(own[REFERRER_POLICY], "no-referrer");
        assert!(!own.contains_key(STRICT_TRANSPORT_SECURITY));
        let policies: Vec<_> = own.get_all(CONTENT_SECURITY_POLICY).iter().collect();
        assert_eq!(policies, ["default-src 'self'", "frame-ancestors 'self'"]);
        protect(&mut own, StatusCode::OK, &client("http"));
        assert_eq!(own.get_all(CONTENT_SECURITY_POLICY).iter().count(), 2);
    }
}
