//! The configuration file: read once, checked whole, and refused with the line and what to do.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use crate::access;
use crate::limits::Numbers;

/// Everything the proxy is told by its administrator.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The version of this file's form: 1.
    pub version: u32,
    /// Where users' traffic comes in. The first must be there at the start; the others may come
    /// later, as the bridges of a container engine do.
    pub listen: Vec<SocketAddr>,
    /// The hub, for all paths without a route.
    pub hub: String,
    /// Where the hub posts routes.
    pub api: ApiAddress,
    /// The folder of routes and hub answers.
    pub state: PathBuf,
    /// The folder in which the hub puts the API token, and certificate, key and CA.
    pub credentials: PathBuf,
    /// Addresses of proxies before this one, whose X-Forwarded fields are believed.
    #[serde(default)]
    pub trusted_proxies: Vec<IpAddr>,
    /// Origins besides our own whose pages may open websockets.
    #[serde(default)]
    pub origins: Vec<String>,
    /// For how many hours a token that the hub confirmed is good while the hub is away.
    #[serde(default = "hub_away_hours")]
    pub hub_away_hours: u32,
    /// The certificate with its chain, when the proxy itself speaks TLS. Read anew when it changes.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// Its key.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// A plain address from which browsers are sent to the first of `listen`.
    #[serde(default)]
    pub redirect: Option<SocketAddr>,
    /// Where Prometheus reads `/metrics`, and others `/healthz`.
    #[serde(default)]
    pub metrics: Option<ApiAddress>,
    /// How much memory the processes may have that an upgrade has left to drain, in MiB; above it
    /// the oldest of them closes its websockets, one by one.
    #[serde(default = "drain_memory_mib")]
    pub drain_memory_mib: u64,
    /// How much may be open at once.
    #[serde(default)]
    pub limits: Numbers,
    /// Where answers are noted, if they are.
    #[serde(default)]
    pub access_log: Option<access::Settings>,
}

/// A day and a half: a hub that breaks in the evening is repaired the next day.
fn hub_away_hours() -> u32 {
    36
}

/// Forty thousand idle websockets through the tunnel.
pub fn drain_memory_mib() -> u64 {
    1024
}

/// Where the API listens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum ApiAddress {
    /// A Unix socket, for the hub on the same machine.
    Unix(PathBuf),
    /// A TCP port.
    Tcp(SocketAddr),
}

impl FromStr for ApiAddress {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => Err("the path after unix: must start with /"),
            None => text.parse().map(Self::Tcp).map_err(
                |_| "write \"unix:/PATH\" or an address with its port, \"127.0.0.1:8001\"",
            ),
        }
    }
}

impl TryFrom<String> for ApiAddress {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse()
    }
}

impl fmt::Display for ApiAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}; give another with --config", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A line is wrong.
    #[error("{}:{line}: {what}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong there and what to do.
        what: String,
    },
}

/// Reads a configuration file.
///
/// # Errors
/// Names the file and the line, and says what to do.
pub fn read(path: &Path) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    parse(&text).map_err(|(line, what)| ConfigError::Line { path: path.to_owned(), line, what })
}

fn parse(text: &str) -> Result<Config, (usize, String)> {
    let config: Config = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count().saturating_add(1);
        (line, hint(error.message()))
    })?;
    let at = |key: &str| {
        let is_key = |line: &str| {
            line.trim_start()
                .strip_prefix(key)
                .is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        text.lines().position(is_key).map_or(1, |line| line.saturating_add(1))
    };
    if config.version != 1 {
        let what = format!("version is {}, this proxy reads 1", config.version);
        return Err((at("version"), what));
    }
    if config.listen.is_empty() {
        return Err((at("listen"), "name at least one address, such as \"127.0.0.1:8000\"".into()));
    }
    if let Err(error) = crate::route::Record::of_url(&config.hub) {
        let error = error.to_string().replace("target", "hub");
        return Err((at("hub"), format!("{error}; write such as \"http://127.0.0.1:8081\"")));
    }
    match (&config.certificate, &config.key) {
        (Some(_), None) => return Err((at("certificate"), "give key with it".into())),
        (None, Some(_)) => return Err((at("key"), "give certificate with it".into())),
        (None, None) if config.redirect.is_some() => {
            return Err((at("redirect"), "there is no certificate, so no https to go to".into()));
        }
        _ => {}
    }
    if config.access_log.as_ref().is_some_and(|log| !(0.0..=1.0).contains(&log.sample)) {
        return Err((at("sample"), "sample is a share from 0 to 1".into()));
    }
    for origin in &config.origins {
        if !(origin.starts_with("https://") || origin.starts_with("http://"))
            || origin.matches('/').count() != 2
        {
            let what =
                format!("'{origin}' is not an origin; write such as \"https://example.org\"");
            return Err((at("origins"), what));
        }
    }
    Ok(config)
}

/// Adds what was probably meant to a message about an unknown key.
fn hint(message: &str) -> String {
    // The library names the unknown key, then all that it knows there.
    let mut quoted = message.split('`').skip(1).step_by(2);
    let (true, Some(unknown)) = (message.starts_with("unknown field"), quoted.next()) else {
        return message.to_owned();
    };
    let known: Vec<&str> = quoted.collect();
    let nearest = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(unknown, name), name))
        .filter(|(distance, name)| *distance <= name.len() / 2)
        .min();
    match nearest {
        Some((_, name)) => format!("unknown key '{unknown}'; did you mean '{name}'?"),
        None => format!("unknown key '{unknown}'; known are {}", known.join(", ")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const GOOD: &str = r#"version = 1
listen = ["127.0.0.1:8000", "[::1]:8000"]
hub = "http://127.0.0.1:8081"
api = "unix:/run/berth/proxy.sock"
state = "/var/lib/berth-proxy"
credentials = "/var/lib/berth/proxy"
"#;

    #[test]
    fn a_good_file_is_read() {
        let config = parse(GOOD).unwrap();
        assert_eq!(config.api, ApiAddress::Unix("/run/berth/proxy.sock".into()));
        assert_eq!((config.listen.len(), config.hub_away_hours), (2, 36));
        let with_tcp = GOOD.replace("unix:/run/berth/proxy.sock", "127.0.0.1:8001");
        assert_eq!(parse(&with_tcp).unwrap().api.to_string(), "127.0.0.1:8001");
    }

    #[test]
    fn the_packaged_file_can_be_used_as_it_is_and_with_all_it_offers() {
        let text = include_str!("../../../packaging/etc/proxy.toml");
        let plain = parse(text).unwrap();
        assert_eq!(plain.limits, Numbers::default());
        let offered: String = text
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let all = parse(&offered).unwrap();
        let defaults = Numbers { connections: Some(100_000), ..Numbers::default() };
        assert_eq!(all.limits, defaults, "the file shows the defaults");
        assert_eq!(all.drain_memory_mib, plain.drain_memory_mib);
        assert_eq!(all.hub_away_hours, plain.hub_away_hours);
        assert_eq!(all.access_log.unwrap().sample, 0.1);
    }

    #[test]
    fn a_bad_file_is_refused_with_its_line() {
        for (from, to, expected) in [
            ("listen", "lisen", "2: unknown key 'lisen'; did you mean 'listen'?"),
            (
                "state",
                "qwertyuiop",
                "5: unknown key 'qwertyuiop'; known are version, listen, hub, api, state, credentials, trusted_proxies, origins, hub_away_hours, certificate, key, redirect, metrics, drain_memory_mib, limits, access_log",
            ),
            ("version = 1", "version = 2", "1: version is 2, this proxy reads 1"),
            (
                "http://127",
                "ftp://127",
                "3: hub has a scheme other than tunnel, http, https or http+unix; write such as \"http://127.0.0.1:8081\"",
            ),
            ("unix:/run", "unix:run", "4: the path after unix: must start with /"),
            (
                "unix:/run/berth/proxy.sock",
                "nowhere",
                "4: write \"unix:/PATH\" or an address with its port, \"127.0.0.1:8001\"",
            ),
            ("state = \"/var/lib/berth-proxy\"\n", "", "1: missing field `state`"),
            ("\"127.0.0.1:8000\"", "\"127.0.0.1\"", "2: invalid socket address syntax"),
            (
                "\"127.0.0.1:8000\", \"[::1]:8000\"",
                "",
                "2: name at least one address, such as \"127.0.0.1:8000\"",
            ),
        ] {
            let (line, what) = parse(&GOOD.replace(from, to)).unwrap_err();
            assert_eq!(format!("{line}: {what}"), expected);
        }
        for (lines, expected) in [
            ("key = \"/k\"\n", "7: give certificate with it"),
            ("certificate = \"/c\"\n", "7: give key with it"),
            (
                "[limits]\nroute_request = 1\n",
                "8: unknown key 'route_request'; did you mean 'route_requests'?",
            ),
            ("[access_log]\npath = \"-\"\nsample = 2.0\n", "9: sample is a share from 0 to 1"),
            ("redirect = \"[::]:80\"\n", "7: there is no certificate, so no https to go to"),
        ] {
            let (line, what) = parse(&format!("{GOOD}{lines}")).unwrap_err();
            assert_eq!(format!("{line}: {what}"), expected);
        }
        let origins = format!("{GOOD}origins = [\"*\"]\n");
        assert_eq!(parse(&origins).unwrap_err().0, 7);
    }
}
