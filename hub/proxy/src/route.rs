//! One route: where a path leads, what the hub said about it, and what lives on it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicUsize, Ordering};

use berth_common::{HostId, ServerId, Timestamp};
use hyper::http::uri::{Authority, Uri};
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::path;
use crate::pool::Pool;
use crate::seldom::Seldom;
use crate::switch::{Ear, Switch};

/// Where a route's requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A server behind its host's tunnel port.
    Tunnel(Tunnel),
    /// A plain HTTP server.
    Http(HttpTarget),
}

/// One start of a server, and the port that leads to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// The host whose certificate the port must show.
    pub host: HostId,
    /// The server.
    pub server: ServerId,
    /// The start of the server. The host refuses any other.
    pub generation: u64,
    /// `name:port` of the host's tunnel port.
    pub address: String,
}

/// An HTTP server that is reached without a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpTarget {
    /// How to get there.
    pub way: Way,
    /// Its `Host`.
    pub host: String,
    /// The path put before every request's path, without trailing `/`.
    pub prefix: String,
    /// Put before every request's query.
    pub query: Option<String>,
}

/// How to get to an HTTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// `name:port`.
    Tcp(String),
    /// `name:port`, and the name that its certificate must show.
    Tls(String, ServerName<'static>),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Target {
    /// The target's `Host`, if it has one.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Tunnel(_) => None,
            Self::Http(http) => Some(&http.host),
        }
    }

    /// What stands before a request's path and before its query.
    pub fn prefix(&self) -> (&str, Option<&str>) {
        match self {
            Self::Tunnel(_) => ("", None),
            Self::Http(http) => (&http.prefix, http.query.as_deref()),
        }
    }
}

/// Why a record is refused; the text is the API's answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// As configurable-http-proxy says it.
    #[error("Must specify 'target' as string")]
    NoTarget,
    /// Not a URL, or not one we can reach.
    #[error("target {0}")]
    Target(&'static str),
    /// A field of ours of the wrong kind.
    #[error("field '{0}' {1}")]
    Field(&'static str, &'static str),
}

/// A record as posted, with the fields of ours read from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Where it leads.
    pub target: Target,
    /// The server's start; records of other hubs have none.
    pub generation: Option<u64>,
    /// The reign of the hub that posted it.
    pub epoch: Option<u64>,
    /// All fields as posted, but for `last_activity`.
    pub fields: Map<String, Value>,
}

impl Record {
    /// Reads a posted record. A `last_activity` in it is dropped.
    ///
    /// # Errors
    /// Says which field is wrong.
    pub fn read(mut fields: Map<String, Value>) -> Result<Self, BadRecord> {
        fields.remove("last_activity");
        let number = |name: &'static str| match fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                value.as_u64().map(Some).ok_or(BadRecord::Field(name, "must be a whole number"))
            }
        };
        let (generation, epoch) = (number("generation")?, number("epoch")?);
        let text = fields.get("target").and_then(Value::as_str).ok_or(BadRecord::NoTarget)?;
        let target = match text.split_once("://") {
            Some(("tunnel", rest)) => Target::Tunnel(tunnel(rest, generation, &fields)?),
            Some(("http", _)) => Target::Http(http(text, false)?),
            Some(("https", _)) => Target::Http(http(text, true)?),
            Some(("http+unix" | "unix+http", rest)) => Target::Http(unix(rest)?),
            Some(_) => {
                let known = "has a scheme other than tunnel, http, https or http+unix";
                return Err(BadRecord::Target(known));
            }
            None => return Err(BadRecord::Target("is not a URL")),
        };
        Ok(Self { target, generation, epoch, fields })
    }

    /// A record of nothing but a plain HTTP target.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn of_url(url: &str) -> Result<Self, BadRecord> {
        Self::read(Map::from_iter([("target".to_owned(), Value::from(url))]))
    }

    /// The server of a tunnel, and its start.
    pub fn server(&self) -> Option<(&ServerId, u64)> {
        match &self.target {
            Target::Tunnel(tunnel) => Some((&tunnel.server, tunnel.generation)),
            Target::Http(_) => None,
        }
    }

    /// A text field of the record, such as `user`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.as_str()
    }
}

fn tunnel(
    rest: &str,
    generation: Option<u64>,
    fields: &Map<String, Value>,
) -> Result<Tunnel, BadRecord> {
    let (host, server) =
        rest.split_once('/').ok_or(BadRecord::Target("is not tunnel://HOST/SERVER"))?;
    let server = server.strip_suffix('/').unwrap_or(server);
    let address = fields
        .get("address")
        .and_then(Value::as_str)
        .ok_or(BadRecord::Field("address", "must be the host's name:port"))?;
    let named: Option<Authority> = address.parse().ok();
    if named.is_none_or(|named| named.port_u16().is_none() || address.contains('@')) {
        return Err(BadRecord::Field("address", "must be the host's name:port"));
    }
    Ok(Tunnel {
        host: host.parse().map_err(|_| BadRecord::Target("has no valid host name"))?,
        server: server.parse().map_err(|_| BadRecord::Target("has no valid server id"))?,
        generation: generation
            .ok_or(BadRecord::Field("generation", "must be given with a tunnel"))?,
        address: address.to_owned(),
    })
}

fn http(url: &str, secure: bool) -> Result<HttpTarget, BadRecord> {
    let uri: Uri = url.parse().map_err(|_| BadRecord::Target("is not a URL"))?;
    let authority = uri.authority().ok_or(BadRecord::Target("has no host"))?;
    if authority.host().is_empty() || authority.as_str().contains('@') {
        return Err(BadRecord::Target("must be http://HOST[:PORT][/PATH]"));
    }
    let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let address = format!("{}:{port}", authority.host());
    let way = if secure {
        let name = authority.host().trim_matches(['[', ']']).to_owned();
        let name = name.try_into().map_err(|_| BadRecord::Target("has no valid host name"))?;
        Way::Tls(address, name)
    } else {
        Way::Tcp(address)
    };
    let path = uri.path();
    Ok(HttpTarget {
        way,
        host: authority.to_string(),
        prefix: path.strip_suffix('/').unwrap_or(path).to_owned(),
        query: uri.query().filter(|query| !query.is_empty()).map(str::to_owned),
    })
}

/// `%2Fpath%2Fof%2Fsocket`, and behind a `/` what stands before every request's path.
fn unix(rest: &str) -> Result<HttpTarget, BadRecord> {
    let (socket, path) = rest.split_once('/').unwrap_or((rest, ""));
    let socket = path::decode(socket).ok().and_then(|text| String::from_utf8(text.into()).ok());
    let socket = socket.filter(|path| path.starts_with('/'));
    let socket = socket.ok_or(BadRecord::Target("must be http+unix://%2FPATH%2FOF%2FSOCKET"))?;
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let path = path.strip_suffix('/').unwrap_or(path);
    Ok(HttpTarget {
        way: Way::Unix(socket.into()),
        host: "localhost".into(),
        prefix: if path.is_empty() { String::new() } else { format!("/{path}") },
        query: (!query.is_empty()).then(|| query.to_owned()),
    })
}

/// A route in the table. The record never changes; a change makes a new route with the same
/// [`Live`], so that requests under way see one record from beginning to end.
#[derive(Debug)]
pub struct Route {
    /// Its path, decoded, without trailing `/` but for the root.
    pub key: String,
    /// What the hub said.
    pub record: Record,
    /// What lives on it.
    pub live: Arc<Live>,
}

impl Route {
    /// The record as the API shows it.
    pub fn json(&self) -> Value {
        let mut fields = self.record.fields.clone();
        fields.insert("last_activity".into(), iso_millis(self.live.last_activity()).into());
        Value::Object(fields)
    }

    /// Whether requests of this route are the hub's own.
    pub fn is_hub(&self) -> bool {
        self.key == "/" || self.record.fields.get("hub").and_then(Value::as_bool) == Some(true)
    }
}

/// What a host last said against a route to a server of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// It does not run the server.
    Gone,
    /// It runs another start of the server.
    WrongGeneration,
}

/// What outlives a change of a route's record: connections and clocks. It ends with the route.
#[derive(Debug)]
pub struct Live {
    last_activity: AtomicI64,
    from_client: AtomicI64,
    from_server: AtomicI64,
    said: Seldom,
    ended: Switch,
    /// 0, or 1 more than a [`Doubt`].
    doubt: AtomicU8,
    /// When the first try failed of those that failed in a row.
    cut_off: AtomicI64,
    /// Requests under way.
    pub in_flight: AtomicUsize,
    /// Websockets open.
    pub websockets: AtomicUsize,
    /// Idle connections to the target.
    pub pool: Pool,
}

impl Live {
    /// Starts with the given `last_activity`.
    pub fn new(last_activity: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            last_activity: AtomicI64::new(last_activity.0),
            from_client: AtomicI64::new(0),
            from_server: AtomicI64::new(0),
            said: Seldom::default(),
            ended: Switch::default(),
            doubt: AtomicU8::new(0),
            cut_off: AtomicI64::new(0),
            in_flight: AtomicUsize::new(0),
            websockets: AtomicUsize::new(0),
            pool: Pool::default(),
        })
    }

    /// The clock of configurable-http-proxy's record: requests' bytes, good answers, nothing else.
    pub fn last_activity(&self) -> Timestamp {
        Timestamp(self.last_activity.load(Ordering::Relaxed))
    }

    /// Moves that clock.
    pub fn active(&self, now: Timestamp) {
        self.last_activity.fetch_max(now.0, Ordering::Relaxed);
    }

    /// Bytes came from the client: activity, and a clock of our own.
    pub fn client_sent(&self, now: Timestamp) {
        self.from_client.fetch_max(now.0, Ordering::Relaxed);
        self.active(now);
    }

    /// Bytes came from the server: a clock of our own only, since an open page is not work.
    pub fn server_sent(&self, now: Timestamp) {
        self.from_server.fetch_max(now.0, Ordering::Relaxed);
    }

    /// When the client and the server last sent bytes, if they did since the start.
    pub fn last_bytes(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let read = |clock: &AtomicI64| {
            let at = clock.load(Ordering::Relaxed);
            (at > 0).then_some(Timestamp(at))
        };
        (read(&self.from_client), read(&self.from_server))
    }

    /// Ends all that lives here: idle connections now, websockets by their own watch.
    pub fn end(&self) {
        self.ended.turn();
        self.pool.close();
    }

    /// Whether the route has ended.
    pub fn has_ended(&self) -> bool {
        self.ended.is_on()
    }

    /// Turns at the route's end.
    pub fn ended(&self) -> &Switch {
        &self.ended
    }

    /// An ear for that, for a task of its own.
    pub fn ear(&self) -> Ear {
        Ear::new(&self.ended)
    }

    /// Notes what the host says of the route; `None` when it led to the server.
    pub fn host_says(&self, doubt: Option<Doubt>) {
        let number = match doubt {
            None => 0,
            Some(Doubt::Gone) => 1,
            Some(Doubt::WrongGeneration) => 2,
        };
        // Nearly always there is nothing to change, and every request comes by here.
        if self.doubt.load(Ordering::Relaxed) != number {
            self.doubt.store(number, Ordering::Relaxed);
        }
        if self.cut_off.load(Ordering::Relaxed) != 0 {
            self.cut_off.store(0, Ordering::Relaxed);
        }
    }

    /// Notes that there is no way to the host. Returns since when that is so.
    pub fn host_is_silent(&self, now: Timestamp) -> Timestamp {
        let first = self.cut_off.compare_exchange(0, now.0, Ordering::Relaxed, Ordering::Relaxed);
        Timestamp(first.err().unwrap_or(now.0))
    }

    /// What the host last said against the route, for the hub to hear.
    pub fn doubt(&self) -> Option<Doubt> {
        match self.doubt.load(Ordering::Relaxed) {
            1 => Some(Doubt::Gone),
            2 => Some(Doubt::WrongGeneration),
            _ => None,
        }
    }

    /// Whether a trouble of this route may be logged.
    pub fn may_say(&self, now: Timestamp) -> bool {
        self.said.is_due(now)
    }
}

/// A moment as configurable-http-proxy writes it: `2026-11-22T15:15:50.850Z`.
pub fn iso_millis(moment: Timestamp) -> String {
    let mut text = moment.to_string();
    if text.ends_with('Z') {
        text.truncate(text.len().saturating_sub(4));
        text.push('Z');
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn records_are_checked_when_posted() {
        let check = |json: &str| {
            let fields: Map<String, Value> = serde_json::from_str(json).unwrap();
            match Record::read(fields) {
                Ok(record) => format!("{:?}", record.target),
                Err(error) => error.to_string(),
            }
        };
        let tunnel =
            |target: &str, rest: &str| check(&format!(r#"{{"target": "{target}"{rest}}}"#));
        let good = r#", "generation": 7, "address": "wn03.example.org:8444""#;
        assert_eq!(
            tunnel("tunnel://wn03/00112233445566ff", good),
            "Tunnel(Tunnel { host: \"wn03\", server: \"00112233445566ff\", generation: 7, \
             address: \"wn03.example.org:8444\" })"
        );
        assert_eq!(
            tunnel("http://[::1]:8/a/", ""),
            "Http(HttpTarget { way: Tcp(\"[::1]:8\"), host: \"[::1]:8\", prefix: \"/a\", query: None })"
        );
        assert_eq!(
            tunnel("http://hub", ""),
            "Http(HttpTarget { way: Tcp(\"hub:80\"), host: \"hub\", prefix: \"\", query: None })"
        );
        assert_eq!(
            tunnel("http+unix://%2Frun%2Fx.sock/a/?b", ""),
            "Http(HttpTarget { way: Unix(\"/run/x.sock\"), host: \"localhost\", prefix: \"/a\", \
             query: Some(\"b\") })"
        );
        for (json, expected) in [
            (r#"{}"#, "Must specify 'target' as string"),
            (r#"{"target": 3}"#, "Must specify 'target' as string"),
            (r#"{"target": "hub:80"}"#, "target is not a URL"),
            (
                r#"{"target": "ftp://hub"}"#,
                "target has a scheme other than tunnel, http, https or http+unix",
            ),
            (r#"{"target": "http://"}"#, "target is not a URL"),
            (r#"{"target": "http://u:p@hub/"}"#, "target must be http://HOST[:PORT][/PATH]"),
            (
                r#"{"target": "http://hub", "generation": "7"}"#,
                "field 'generation' must be a whole number",
            ),
        ] {
            assert_eq!(check(json), expected, "{json}");
        }
        for (target, rest, expected) in [
            ("tunnel://wn03", good, "target is not tunnel://HOST/SERVER"),
            ("tunnel://WN03/00112233445566ff", good, "target has no valid host name"),
            ("tunnel://wn03/alice", good, "target has no valid server id"),
            (
                "tunnel://wn03/00112233445566ff",
                r#", "address": "h:1""#,
                "field 'generation' must be given with a tunnel",
            ),
            (
                "tunnel://wn03/00112233445566ff",
                r#", "generation": 7"#,
                "field 'address' must be the host's name:port",
            ),
            (
                "tunnel://wn03/00112233445566ff",
                r#", "generation": 7, "address": "wn03""#,
                "field 'address' must be the host's name:port",
            ),
        ] {
            assert_eq!(tunnel(target, rest), expected, "{target}{rest}");
        }
    }

    #[test]
    fn moments_have_milliseconds() {
        assert_eq!(iso_millis(Timestamp(850_999)), "1970-01-01T00:00:00.850Z");
    }
}
