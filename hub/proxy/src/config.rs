//! The configuration file: read once, checked whole, and refused with the line and what to do.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use berth_process::logging::Logs;
use berth_process::mistake::{self, Mistake};
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
    /// What is logged, and how; of answers [`Config::access_log`] says that.
    #[serde(default)]
    pub logs: Logs,
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
    /// Something in it is wrong.
    #[error(transparent)]
    Wrong(#[from] Mistake),
}

/// Reads a configuration file.
///
/// # Errors
/// Names the file and the line, and says what to do.
pub fn read(path: &Path) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    Ok(parse(&path.display().to_string(), &text)?)
}

/// Reads the text of a configuration file; `file` is its name in messages.
///
/// # Errors
/// The first mistake in it.
pub fn parse(file: &str, text: &str) -> Result<Config, Mistake> {
    let config: Config = mistake::read(file, text)?;
    let wrong = |path: &[&str], what: String| {
        let span = mistake::place_of(text, path);
        Err(Mistake::bad_value(file, text, span, what))
    };
    if config.version != 1 {
        let what = format!("version is {}, this proxy reads 1", config.version);
        return wrong(&["version"], what);
    }
    if config.listen.is_empty() {
        let what = "name at least one address, such as \"127.0.0.1:8000\"";
        return wrong(&["listen"], what.into());
    }
    if let Err(error) = crate::route::Record::of_url(&config.hub) {
        let error = error.to_string().replace("target", "hub");
        let what = format!("{error}; write such as \"http://127.0.0.1:8081\"");
        return wrong(&["hub"], what);
    }
    match (&config.certificate, &config.key) {
        (Some(_), None) => return wrong(&["certificate"], "give key with it".into()),
        (None, Some(_)) => return wrong(&["key"], "give certificate with it".into()),
        (None, None) if config.redirect.is_some() => {
            let what = "there is no certificate, so no https to go to";
            return wrong(&["redirect"], what.into());
        }
        _ => {}
    }
    if config.access_log.as_ref().is_some_and(|log| !(0.0..=1.0).contains(&log.sample)) {
        return wrong(&["access_log", "sample"], "sample is a share from 0 to 1".into());
    }
    for origin in &config.origins {
        if !(origin.starts_with("https://") || origin.starts_with("http://"))
            || origin.matches('/').count() != 2
        {
            let what =
                format!("'{origin}' is not an origin; write such as \"https://example.org\"");
            return wrong(&["origins"], what);
        }
    }
    Ok(config)
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
        let config = parse("p", GOOD).unwrap();
        assert_eq!(config.api, ApiAddress::Unix("/run/berth/proxy.sock".into()));
        assert_eq!((config.listen.len(), config.hub_away_hours), (2, 36));
        let with_tcp = GOOD.replace("unix:/run/berth/proxy.sock", "127.0.0.1:8001");
        assert_eq!(parse("p", &with_tcp).unwrap().api.to_string(), "127.0.0.1:8001");
    }

    #[test]
    fn the_packaged_file_can_be_used_as_it_is_and_with_all_it_offers() {
        let text = include_str!("../../../packaging/etc/proxy.toml");
        let plain = parse("p", text).unwrap();
        assert_eq!(plain.limits, Numbers::default());
        let offered: String = text
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let all = parse("p", &offered).unwrap();
        let defaults = Numbers { connections: Some(100_000), ..Numbers::default() };
        assert_eq!(all.limits, defaults, "the file shows the defaults");
        assert_eq!(all.drain_memory_mib, plain.drain_memory_mib);
        assert_eq!(all.hub_away_hours, plain.hub_away_hours);
        assert_eq!(all.access_log.unwrap().sample, 0.1);
    }

    #[test]
    fn a_bad_file_is_refused_with_its_line() {
        for (from, to, expected) in [
            ("listen", "lisen", "2: unknown key \"lisen\"; did you mean \"listen\"?"),
            (
                "state",
                "qwertyuiop",
                "5: unknown key \"qwertyuiop\"; possible here: version, listen, hub, api, state, credentials, trusted_proxies, origins, hub_away_hours, certificate, key, redirect, metrics, drain_memory_mib, logs, limits, access_log",
            ),
            ("version = 1", "version = 2", "1: version is 2, this proxy reads 1"),
            (
                "http://127",
                "ftp://127",
                "3: hub has a scheme other than tunnel, http, https or http+unix; write such as \"http://127.0.0.1:8081\"",
            ),
            ("unix:/run", "unix:run", "4: api: the path after unix: must start with /"),
            (
                "unix:/run/berth/proxy.sock",
                "nowhere",
                "4: api: write \"unix:/PATH\" or an address with its port, \"127.0.0.1:8001\"",
            ),
            ("state = \"/var/lib/berth-proxy\"\n", "", "1: key \"state\" is missing here"),
            ("\"127.0.0.1:8000\"", "\"127.0.0.1\"", "2: invalid socket address syntax"),
            (
                "\"127.0.0.1:8000\", \"[::1]:8000\"",
                "",
                "2: name at least one address, such as \"127.0.0.1:8000\"",
            ),
        ] {
            assert_eq!(told(&GOOD.replace(from, to)), expected);
        }
        for (lines, expected) in [
            ("key = \"/k\"\n", "7: give certificate with it"),
            ("certificate = \"/c\"\n", "7: give key with it"),
            (
                "[limits]\nroute_request = 1\n",
                "8: unknown key \"route_request\"; did you mean \"route_requests\"?",
            ),
            ("[access_log]\npath = \"-\"\nsample = 2.0\n", "9: sample is a share from 0 to 1"),
            ("redirect = \"[::]:80\"\n", "7: there is no certificate, so no https to go to"),
        ] {
            assert_eq!(told(&format!("{GOOD}{lines}")), expected);
        }
        let origins = format!("{GOOD}origins = [\"*\"]\n");
        assert!(told(&origins).starts_with("7: '*' is not an origin"), "{}", told(&origins));
    }

    /// Line and words of the mistake, which is shown with a caret under it.
    #[track_caller]
    fn told(text: &str) -> String {
        let mistake = parse("proxy.toml", text).unwrap_err();
        let (line, shown) = (mistake.line, mistake.to_string());
        assert!(
            shown.contains(&format!("--> proxy.toml:{line}:")) && shown.contains('^'),
            "{shown}"
        );
        let (words, _) =
            mistake.message.split_once(" Possible here").unwrap_or((&mistake.message, ""));
        format!("{line}: {words}")
    }
}
