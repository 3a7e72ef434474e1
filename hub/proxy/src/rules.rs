//! The policy `chp`: what configurable-http-proxy's command line asks for, and how a request and
//! its answer are changed by that.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, LOCATION};
use hyper::http::uri::PathAndQuery;
use hyper::{StatusCode, http::uri::Authority};

use crate::headers::Client;
use crate::route::{Route, Target};

/// Where the words of an error come from.
#[derive(Debug, Default)]
pub enum ErrorPages {
    /// Our own.
    #[default]
    BuiltIn,
    /// `TARGET/CODE?url=…` of another server. It stands as a route, though not in the table.
    Target(Arc<Route>),
    /// `CODE.html` or `error.html` of a folder.
    Folder(PathBuf),
}

/// All that can be switched.
#[derive(Debug)]
pub struct Rules {
    /// The first segment of a route is the host.
    pub host_routing: bool,
    /// The target's path stands before the request's.
    pub prepend_path: bool,
    /// The route's prefix stays in the request's path.
    pub include_prefix: bool,
    /// Forwarding fields are added.
    pub x_forward: bool,
    /// `Location` gets the host of the request.
    pub auto_rewrite: bool,
    /// `Host` becomes the target's.
    pub change_origin: bool,
    /// `Location` gets this scheme.
    pub protocol_rewrite: Option<String>,
    /// Set on every request.
    pub custom_headers: Vec<(HeaderName, HeaderValue)>,
    /// What people see when something fails.
    pub errors: ErrorPages,
    /// How long a client's connection may be silent.
    pub timeout: Option<Duration>,
    /// How long an upstream may take for the head of its answer.
    pub proxy_timeout: Option<Duration>,
    /// Between two requests on one connection.
    pub keep_alive: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            host_routing: false,
            prepend_path: true,
            include_prefix: true,
            x_forward: true,
            auto_rewrite: false,
            change_origin: false,
            protocol_rewrite: None,
            custom_headers: Vec::new(),
            errors: ErrorPages::BuiltIn,
            timeout: None,
            proxy_timeout: None,
            keep_alive: Duration::from_secs(5),
        }
    }
}

impl Rules {
    /// Makes the fields of a request ready to go up; hop-by-hop ones are gone already.
    pub fn prepare_request(
        &self,
        headers: &mut HeaderMap,
        client: &Client,
        target: &Target,
        websocket: bool,
    ) {
        if self.x_forward {
            append(headers, "x-forwarded-for", &client.address.to_string());
            append(headers, "x-forwarded-port", &client.port.to_string());
            append(headers, "x-forwarded-proto", client.scheme);
            if !websocket && !headers.contains_key("x-forwarded-host") {
                set(headers, "x-forwarded-host", client.host());
            }
        }
        if self.change_origin
            && let Some(host) = target.host()
            && let Ok(host) = HeaderValue::from_str(host)
        {
            headers.insert(HOST, host);
        }
        for (name, value) in &self.custom_headers {
            headers.insert(name.clone(), value.clone());
        }
    }

    /// The path and query that go up.
    pub fn upstream_uri(&self, route: &Route, uri: &Uri) -> Uri {
        let path = if self.include_prefix {
            uri.path()
        } else {
            let host = usize::from(self.host_routing);
            without_segments(uri.path(), crate::table::depth(&route.key).saturating_sub(host))
        };
        let (prefix, own_query) = route.record.target.prefix();
        let prefix = if self.prepend_path { prefix } else { "" };
        let query = [own_query.unwrap_or_default(), uri.query().unwrap_or_default()];
        let query = query.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&");
        let mark = if query.is_empty() && uri.query().is_none() { "" } else { "?" };
        let whole = format!("{prefix}{path}{mark}{query}");
        whole.parse::<PathAndQuery>().map_or_else(|_| uri.clone(), Uri::from)
    }

    /// Rewrites `Location`, if that is asked for and it names the target.
    pub fn prepare_response(
        &self,
        headers: &mut HeaderMap,
        status: StatusCode,
        target: &Target,
        client: &Client,
    ) {
        if !(self.auto_rewrite || self.protocol_rewrite.is_some())
            || ![201, 301, 302, 307, 308].contains(&status.as_u16())
        {
            return;
        }
        let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok()) else {
            return;
        };
        let Some(rewritten) = self.rewritten(location, target, client) else { return };
        if let Ok(value) = HeaderValue::from_str(&rewritten) {
            headers.insert(LOCATION, value);
        }
    }

    fn rewritten(&self, location: &str, target: &Target, client: &Client) -> Option<String> {
        let (scheme, rest) = location.split_once("://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, path) = rest.split_at_checked(end)?;
        let default_port = if scheme == "https" { 443 } else { 80 };
        let whole = |host: &str| match host.parse::<Authority>().ok()?.port_u16() {
            Some(_) => Some(host.to_ascii_lowercase()),
            None => Some(format!("{host}:{default_port}").to_ascii_lowercase()),
        };
        if whole(host)? != whole(target.host()?)? {
            return None;
        }
        let scheme = self.protocol_rewrite.as_deref().unwrap_or(scheme);
        let host = if self.auto_rewrite { client.host() } else { host };
        Some(format!("{scheme}://{host}{path}"))
    }
}

/// Behind what the client sent, as configurable-http-proxy does: a comma, no space.
fn append(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let sent: Vec<&str> =
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    let all =
        if sent.is_empty() { value.to_owned() } else { format!("{},{value}", sent.join(",")) };
    set(headers, name, &all);
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Cuts so many whole segments off a path as received.
fn without_segments(path: &str, count: usize) -> &str {
    let mut rest = path;
    for _ in 0..count {
        let Some(inner) = rest.strip_prefix('/') else { break };
        rest = inner.find('/').and_then(|at| inner.get(at..)).unwrap_or_default();
    }
    if rest.is_empty() { "/" } else { rest }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use berth_common::Timestamp;

    use super::*;
    use crate::route::{Live, Record};

    #[test]
    fn paths_go_up_by_the_options() {
        for (key, target, prepend, include, uri, expected) in [
            ("/user/a", "http://x:1", true, true, "/user/a/b?c", "/user/a/b?c"),
            ("/user/a", "http://x:1/base/?q=1", true, true, "/user/a?c=2", "/base/user/a?q=1&c=2"),
            ("/user/a", "http://x:1/base", false, true, "/user/a", "/user/a"),
            ("/user/a", "http://x:1/base", true, false, "/user/a/b", "/base/b"),
            ("/user/@a", "http://x:1", true, false, "/user/%40a/tree", "/tree"),
            ("/user/a", "http://x:1", true, false, "/user/a", "/"),
            ("/", "http://x:1", true, false, "/user/a", "/user/a"),
            ("/x", "http://x:1", true, true, "/x//y%2Fz?", "/x//y%2Fz?"),
        ] {
            let rules =
                Rules { prepend_path: prepend, include_prefix: include, ..Rules::default() };
            let record = Record::of_url(target).unwrap();
            let route = Route { key: key.into(), record, live: Live::new(Timestamp(0)) };
            let up = rules.upstream_uri(&route, &uri.parse().unwrap());
            assert_eq!(up.to_string(), expected, "{target} {uri}");
        }
    }

    #[test]
    fn locations_are_rewritten_only_when_they_name_the_target() {
        let client = Client {
            address: "127.0.0.1".parse().unwrap(),
            scheme: "https",
            host: "hub.example".parse().unwrap(),
            port: 443,
        };
        let target = Record::of_url("http://inner:80/x").unwrap().target;
        let rules = Rules {
            auto_rewrite: true,
            protocol_rewrite: Some("https".into()),
            ..Rules::default()
        };
        for (status, location, expected) in [
            (302, "http://inner/a?b", "https://hub.example/a?b"),
            (201, "http://inner:80/a", "https://hub.example/a"),
            (303, "http://inner/a", "http://inner/a"),
            (302, "http://inner:81/a", "http://inner:81/a"),
            (302, "http://other/a", "http://other/a"),
            (302, "/a", "/a"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, location.parse().unwrap());
            let status = StatusCode::from_u16(status).unwrap();
            rules.prepare_response(&mut headers, status, &target, &client);
            assert_eq!(headers[LOCATION], expected, "{status} {location}");
        }
    }
}
