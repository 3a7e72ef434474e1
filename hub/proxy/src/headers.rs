//! Which header fields go up and come back: hop-by-hop fields end here, forwarding fields are ours.

use std::net::IpAddr;

use bytes::Bytes;
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderName,
    HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

/// Who speaks to us and how, as the containers shall see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The client's address.
    pub address: IpAddr,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The host and port that the browser shows.
    pub host: HeaderValue,
    /// That port, also when it is the scheme's own and not shown.
    pub port: u16,
}

impl Client {
    /// The host and port that the browser shows.
    pub fn host(&self) -> &str {
        self.host.to_str().unwrap_or_default()
    }
}

/// Who the client is: the peer itself, or what a trusted proxy before us says.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: bool, secure: bool) -> Client {
    let last = |name: &str| {
        if !trusted {
            return None;
        }
        let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
        let value = value.rsplit(',').next()?.trim();
        (!value.is_empty()).then_some(value)
    };
    let claimed = last("x-forwarded-host").and_then(|host| HeaderValue::from_str(host).ok());
    let host = claimed.or_else(|| headers.get(HOST).cloned());
    let host = host.unwrap_or(HeaderValue::from_static(""));
    let scheme = match last("x-forwarded-proto") {
        Some("https" | "wss") => "https",
        None if secure => "https",
        _ => "http",
    };
    let port = last("x-forwarded-port")
        .and_then(|port| port.parse().ok())
        .or_else(|| port_of(host.to_str().ok()?))
        .unwrap_or(if scheme == "https" { 443 } else { 80 });
    let address = last("x-forwarded-for").and_then(|text| text.parse().ok()).unwrap_or(peer);
    Client { address: address.to_canonical(), scheme, host, port }
}

fn port_of(host: &str) -> Option<u16> {
    let (_, port) = host.rsplit_once(':')?;
    port.parse().ok()
}

/// Fields of which a client could make an upstream believe something: all are ours to set or none.
const CLAIMS: [&str; 8] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-remote-user",
    "x-scheme",
];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Makes the fields of a request ready to go up: hop-by-hop and claimed ones dropped, ours set.
pub fn prepare_request(headers: &mut HeaderMap, client: &Client) {
    prepare_framing(headers);
    if headers.keys().any(|name| CLAIMS.contains(&name.as_str())) {
        for name in CLAIMS {
            headers.remove(name);
        }
    }
    drop_ours(headers);
    let text = |text: &dyn std::fmt::Display| {
        // An address or a number is always a sound value.
        HeaderValue::from_maybe_shared(Bytes::from(text.to_string())).ok()
    };
    let fields = [
        (X_FORWARDED_FOR, text(&client.address)),
        (X_FORWARDED_PROTO, Some(HeaderValue::from_static(client.scheme))),
        (X_FORWARDED_HOST, Some(client.host.clone())),
        (X_FORWARDED_PORT, Some(HeaderValue::from(client.port))),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
}

/// Drops what concerns the client's connection or the framing on it.
pub fn prepare_framing(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    // The front answers 100 itself when the upload is first read; the upstream reads at once.
    headers.remove(EXPECT);
    // Framing is made anew from the body, for every method.
    headers.remove(CONTENT_LENGTH);
}

/// Makes the fields of a response ready to go down.
pub fn prepare_response(headers: &mut HeaderMap) {
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    strip_hop_by_hop(headers);
}

fn drop_ours(headers: &mut HeaderMap) {
    if !headers.keys().any(|name| name.as_str().starts_with("x-berth-")) {
        return;
    }
    let ours: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("x-berth-")).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
}

/// Drops the fields that concern one connection only, and those that `Connection` names, save the
/// ones that a client must not be able to take away. `Trailer` stays with a body in chunks: it says
/// which fields come behind the body, and those are for the other end.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| ![HOST, CONTENT_LENGTH, COOKIE, AUTHORIZATION].contains(name))
        .collect();
    for name in named {
        headers.remove(name);
    }
    if !headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(TRAILER);
    }
    for name in [CONNECTION, TE, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization"] {
        headers.remove(name);
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(name)
        || name == "keep-alive"
        || name.as_str().starts_with("proxy-")
}

/// Whether a list field holds a word, in any case: `Connection: keep-alive, Upgrade`.
pub fn lists(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(word))
}

/// Whether a page of the given `Origin` may open a websocket: exactly the origin that the browser
/// shows for us, or one of the listed.
pub fn origin_allowed(origin: &str, client: &Client, listed: &[String]) -> bool {
    let host = client.host();
    let shown = match (client.scheme, port_of(host)) {
        ("http", Some(80)) | ("https", Some(443)) => {
            host.rsplit_once(':').map_or(host, |(host, _)| host)
        }
        _ => host,
    };
    let ours = format!("{}://{shown}", client.scheme);
    origin.eq_ignore_ascii_case(&ours)
        || listed.iter().any(|listed| origin.eq_ignore_ascii_case(listed))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(text: &str) -> HeaderMap {
        let mut map = HeaderMap::new();
        for line in text.lines() {
            let (name, value) = line.split_once(": ").unwrap();
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        map
    }

    fn text(headers: &HeaderMap) -> String {
        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines.join("\n")
    }

    #[test]
    fn hop_by_hop_ends_here_and_claims_are_replaced() {
        let mut request = headers(
            "host: hub.example:8443\nconnection: close, x-secret, host, cookie, authorization\n\
             x-secret: 1\ncookie: a=1\nauthorization: token t\nkeep-alive: 5\nte: trailers\n\
             proxy-authorization: x\nupgrade: h2c\ntrailer: x\ntransfer-encoding: chunked\n\
             forwarded: for=1.2.3.4\nx-forwarded-for: 1.2.3.4\nx-real-ip: 1.2.3.4\n\
             x-remote-user: root\nx-berth-user: root\nexpect: 100-continue\naccept: */*",
        );
        let peer = "::ffff:10.1.2.3".parse().unwrap();
        let client = client(peer, &request, false, false);
        prepare_request(&mut request, &client);
        assert_eq!(
            text(&request),
            "accept: */*\nauthorization: token t\ncookie: a=1\nhost: hub.example:8443\n\
             trailer: x\nx-forwarded-for: 10.1.2.3\nx-forwarded-host: hub.example:8443\n\
             x-forwarded-port: 8443\nx-forwarded-proto: http"
        );
    }

    #[test]
    fn only_a_trusted_proxy_may_say_who_the_client_is() {
        let request = headers(
            "host: inner\nx-forwarded-for: 6.6.6.6, 192.0.2.7\nx-forwarded-proto: https\n\
             x-forwarded-host: hub.example",
        );
        let peer = "127.0.0.1".parse().unwrap();
        let show = |client: Client| {
            format!("{} {} {} {}", client.address, client.scheme, client.host(), client.port)
        };
        assert_eq!(show(client(peer, &request, true, false)), "192.0.2.7 https hub.example 443");
        assert_eq!(show(client(peer, &request, false, false)), "127.0.0.1 http inner 80");
    }

    #[test]
    fn origins_match_whole() {
        let client = |scheme, host: &str| Client {
            address: "127.0.0.1".parse().unwrap(),
            scheme,
            host: host.parse().unwrap(),
            port: 1,
        };
        let listed = ["https://desk.example".to_owned()];
        for (origin, scheme, host, expected) in [
            ("http://hub.example", "http", "hub.example", true),
            ("http://hub.example:8000", "http", "hub.example:8000", true),
            ("https://hub.example", "https", "hub.example:443", true),
            ("https://desk.example", "http", "hub.example", true),
            ("http://hub.example.evil.example", "http", "hub.example", false),
            ("http://hub.example:1", "http", "hub.example", false),
            ("https://hub.example", "http", "hub.example", false),
            ("null", "http", "hub.example", false),
            ("", "http", "hub.example", false),
        ] {
            assert_eq!(
                origin_allowed(origin, &client(scheme, host), &listed),
                expected,
                "{origin}"
            );
        }
    }
}
