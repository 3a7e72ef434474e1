//! configurable-http-proxy's command line, whole: what scripts and JupyterHub pass to it is
//! understood or refused here in the same way, with the same exit codes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use berth_process::clock;
use clap::{ArgAction, Parser};
use hyper::header::{HeaderName, HeaderValue};

use crate::credentials::Credentials;
use crate::limits::Numbers;
use crate::listen::Place;
use crate::route::{Live, Record, Route};
use crate::rules::{ErrorPages, Rules};
use crate::setup::Setup;
use crate::tls::{self, Files};

/// The options. Their names, and what they do, are configurable-http-proxy's.
#[derive(Debug, Parser)]
#[command(
    name = "berth-proxy",
    version,
    // As there, the last one counts.
    args_override_self = true,
    about = "A proxy whose routes are changed over REST, by the command line of configurable-http-proxy",
    after_help = "With --config FILE the proxy works by Berth's configuration file instead."
)]
pub struct Arguments {
    /// Public-facing IP of the proxy
    #[arg(long, value_name = "ip-address")]
    ip: Option<String>,
    /// Public-facing port of the proxy (8000)
    #[arg(long, value_name = "n")]
    port: Option<u16>,
    /// Path to a UNIX domain socket for the proxy to listen on
    #[arg(long, value_name = "path")]
    socket: Option<PathBuf>,
    /// SSL key to use, if any
    #[arg(long, value_name = "keyfile")]
    ssl_key: Option<PathBuf>,
    /// SSL certificate to use, if any
    #[arg(long, value_name = "certfile")]
    ssl_cert: Option<PathBuf>,
    /// SSL certificate authority, if any
    #[arg(long, value_name = "ca-file")]
    ssl_ca: Option<PathBuf>,
    /// Request SSL certs to authenticate clients
    #[arg(long)]
    ssl_request_cert: bool,
    /// Reject unauthorized SSL connections
    #[arg(long)]
    ssl_reject_unauthorized: bool,
    /// Accepted and ignored: TLS 1.2 and 1.3 are spoken
    #[arg(long, value_name = "ssl-protocol")]
    ssl_protocol: Option<String>,
    /// Accepted and ignored: only modern ciphers are spoken
    #[arg(long, value_name = "ciphers")]
    ssl_ciphers: Option<String>,
    /// Accepted and ignored: RC4 is never spoken
    #[arg(long)]
    ssl_allow_rc4: bool,
    /// Accepted and ignored: only elliptic curves are used
    #[arg(long, value_name = "dhparam-file")]
    ssl_dhparam: Option<PathBuf>,
    /// Inward-facing IP for API requests
    #[arg(long, value_name = "ip", default_value = "localhost")]
    api_ip: String,
    /// Inward-facing port for API requests (the port after the proxy's)
    #[arg(long, value_name = "n")]
    api_port: Option<u16>,
    /// Path to a UNIX domain socket for the API server
    #[arg(long, value_name = "path")]
    api_socket: Option<PathBuf>,
    /// SSL key to use, if any, for API requests
    #[arg(long, value_name = "keyfile")]
    api_ssl_key: Option<PathBuf>,
    /// SSL certificate to use, if any, for API requests
    #[arg(long, value_name = "certfile")]
    api_ssl_cert: Option<PathBuf>,
    /// SSL certificate authority, if any, for API requests
    #[arg(long, value_name = "ca-file")]
    api_ssl_ca: Option<PathBuf>,
    /// Request SSL certs to authenticate clients for API requests
    #[arg(long)]
    api_ssl_request_cert: bool,
    /// Reject unauthorized SSL connections for API requests
    #[arg(long)]
    api_ssl_reject_unauthorized: bool,
    /// SSL key to use, if any, for proxy to client requests
    #[arg(long, value_name = "keyfile")]
    client_ssl_key: Option<PathBuf>,
    /// SSL certificate to use, if any, for proxy to client requests
    #[arg(long, value_name = "certfile")]
    client_ssl_cert: Option<PathBuf>,
    /// SSL certificate authority, if any, for proxy to client requests
    #[arg(long, value_name = "ca-file")]
    client_ssl_ca: Option<PathBuf>,
    /// Accepted: upstreams always show a certificate
    #[arg(long)]
    client_ssl_request_cert: bool,
    /// Accepted: upstreams are always verified but with --insecure
    #[arg(long)]
    client_ssl_reject_unauthorized: bool,
    /// Default proxy target (proto://host[:port])
    #[arg(long, value_name = "target")]
    default_target: Option<String>,
    /// Alternate server for handling proxy errors (proto://host[:port])
    #[arg(long, value_name = "target")]
    error_target: Option<String>,
    /// Alternate folder of error pages: CODE.html or error.html
    #[arg(long, value_name = "path")]
    error_path: Option<PathBuf>,
    /// Redirect HTTP requests on this port to the server on HTTPS
    #[arg(long, value_name = "port")]
    redirect_port: Option<u16>,
    /// Redirect HTTP requests from --redirect-port to this port
    #[arg(long, value_name = "port")]
    redirect_to: Option<u16>,
    /// Write our PID to a file
    #[arg(long, value_name = "pid-file")]
    pid_file: Option<PathBuf>,
    /// Don't add 'X-Forwarded-' headers
    #[arg(long)]
    no_x_forward: bool,
    /// Don't prepend the target's path
    #[arg(long)]
    no_prepend_path: bool,
    /// Don't include the routing prefix in proxied requests
    #[arg(long)]
    no_include_prefix: bool,
    /// Rewrite the Location header's host and port in redirect responses
    #[arg(long)]
    auto_rewrite: bool,
    /// Change the origin of the host header to the target's
    #[arg(long)]
    change_origin: bool,
    /// Rewrite the Location header's protocol in redirect responses
    #[arg(long, value_name = "proto")]
    protocol_rewrite: Option<String>,
    /// Custom header to add to proxied requests (key:value), repeatable
    #[arg(long, value_name = "header", action = ArgAction::Append, allow_hyphen_values = true)]
    custom_header: Vec<String>,
    /// Disable SSL cert verification of upstreams
    #[arg(long)]
    insecure: bool,
    /// Use host routing (host as first level of path)
    #[arg(long)]
    host_routing: bool,
    /// IP for metrics server
    #[arg(long, value_name = "ip")]
    metrics_ip: Option<String>,
    /// Port of metrics server; without it or --metrics-socket there is none
    #[arg(long, value_name = "n")]
    metrics_port: Option<u16>,
    /// Path to a UNIX domain socket for the metrics server
    #[arg(long, value_name = "path")]
    metrics_socket: Option<PathBuf>,
    /// Log level (debug, info, warn, error)
    #[arg(long, value_name = "loglevel", default_value = "info")]
    log_level: String,
    /// Timeout (in ms) when the proxy drops an idle connection of a client
    #[arg(long, value_name = "n")]
    timeout: Option<u64>,
    /// Timeout (in ms) when the proxy receives no response from the target
    #[arg(long, value_name = "n")]
    proxy_timeout: Option<u64>,
    /// Refused: routes are kept in memory
    #[arg(long, value_name = "storage-class")]
    storage_backend: Option<String>,
    /// Timeout (in ms) of an idle kept-alive connection
    #[arg(long, value_name = "n", default_value_t = 5000)]
    keep_alive_timeout: u64,
    /// Keep the routes in this folder over restarts (Berth's own)
    #[arg(long, value_name = "path")]
    state_dir: Option<PathBuf>,
}

/// What the engine gets, and what is said beside it.
#[derive(Debug)]
pub struct Asked {
    /// For the engine.
    pub setup: Setup,
    /// A file for the process id.
    pub pid_file: Option<PathBuf>,
    /// Lines at the start: options that are accepted and ignored, and the like.
    pub warnings: Vec<String>,
    /// What configurable-http-proxy says about options that are on.
    pub notes: Vec<String>,
}

/// Why a command line is refused.
#[derive(Debug, thiserror::Error)]
pub enum BadArguments {
    /// Said as configurable-http-proxy says it.
    #[error("{0}")]
    Said(String),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
}

fn said<T>(text: impl Into<String>) -> Result<T, BadArguments> {
    Err(BadArguments::Said(text.into()))
}

impl Arguments {
    /// How much is logged.
    pub fn log_level(&self) -> &str {
        &self.log_level
    }

    /// Makes the engine's setup of it. `token` is `CONFIGPROXY_AUTH_TOKEN`.
    ///
    /// # Errors
    /// With configurable-http-proxy's words where it has some.
    pub fn setup(self, token: Option<String>) -> Result<Asked, BadArguments> {
        let mut warnings = Vec::new();
        let mut notes = Vec::new();
        if self.storage_backend.is_some() {
            return said(
                "--storage-backend is not supported: it names a JavaScript class. Routes are kept \
                 in memory, and with --state-dir on disk.",
            );
        }
        if self.socket.is_some() && (self.ip.is_some() || self.port.is_some()) {
            return said("Cannot specify both --socket and --ip or --port. Pick one.");
        }
        if self.error_target.is_some() && self.error_path.is_some() {
            return said("Cannot specify both error-target and error-path. Pick one.");
        }
        let front_tls = pair(self.ssl_key.as_ref(), self.ssl_cert.as_ref(), "--ssl")?.map(
            |(key, certificate)| Files {
                key,
                certificate,
                authority: self.ssl_ca.clone(),
                ask: self.ssl_request_cert,
                require: self.ssl_reject_unauthorized,
            },
        );
        if front_tls.is_none() && self.redirect_port.is_some() {
            return said("HTTPS redirection specified but certificates not provided.");
        }
        let api_tls = pair(self.api_ssl_key.as_ref(), self.api_ssl_cert.as_ref(), "--api-ssl")?
            .map(|(key, certificate)| Files {
                key,
                certificate,
                authority: self.api_ssl_ca.clone(),
                ask: self.api_ssl_request_cert,
                require: self.api_ssl_reject_unauthorized,
            });
        let ignored = [
            (self.ssl_protocol.is_some(), "--ssl-protocol"),
            (self.ssl_ciphers.is_some(), "--ssl-ciphers"),
            (self.ssl_allow_rc4, "--ssl-allow-rc4"),
            (self.ssl_dhparam.is_some(), "--ssl-dhparam"),
        ];
        for (_, name) in ignored.iter().filter(|(given, _)| *given) {
            warnings
                .push(format!("{name} has no effect: TLS 1.2 and 1.3 with modern ciphers only."));
        }
        if token.is_none() {
            warnings.push("REST API is not authenticated.".to_owned());
        }
        for (on, note) in [
            (self.auto_rewrite, "AutoRewrite of Location headers enabled.".to_owned()),
            (self.change_origin, "Change Origin of host headers enabled.".to_owned()),
            (
                self.protocol_rewrite.is_some(),
                format!(
                    "ProtocolRewrite enabled. Rewriting to {}",
                    self.protocol_rewrite.as_deref().unwrap_or_default()
                ),
            ),
        ] {
            if on {
                notes.push(note);
            }
        }
        let port = self.port.unwrap_or(8000);
        let front = match &self.socket {
            Some(path) => Place::Unix(path.clone(), None),
            None => Place::Tcp(host(self.ip.as_deref().unwrap_or_default()), port),
        };
        let api_port = self.api_port.unwrap_or_else(|| port.saturating_add(1));
        let api = match &self.api_socket {
            Some(path) => Place::Unix(path.clone(), None),
            None => Place::Tcp(host(&self.api_ip), api_port),
        };
        let metrics = match (&self.metrics_socket, self.metrics_port) {
            (Some(path), _) => Some(Place::Unix(path.clone(), None)),
            (None, Some(port)) => {
                Some(Place::Tcp(host(self.metrics_ip.as_deref().unwrap_or_default()), port))
            }
            (None, None) => None,
        };
        let redirect = self
            .redirect_port
            .filter(|_| self.socket.is_none() && port != 80)
            .map(|from| (Place::Tcp(String::new(), from), self.redirect_to.unwrap_or(port)));
        let root = self.default_target.as_deref().map(record).transpose()?;
        let own =
            pair(self.client_ssl_key.as_ref(), self.client_ssl_cert.as_ref(), "--client-ssl")?;
        let outward = tls::client_config(
            own.as_ref().map(|(key, certificate)| (key.as_path(), certificate.as_path())),
            self.client_ssl_ca.as_deref(),
            self.insecure,
        )?;
        let rules = self.rules()?;
        let setup = Setup {
            front: vec![front],
            front_is_tls: front_tls.is_some(),
            front_tls,
            api,
            api_is_tls: api_tls.is_some(),
            api_tls,
            metrics,
            redirect,
            root,
            state: self.state_dir,
            credentials: Credentials::fixed(token, outward),
            trusted_proxies: Vec::new(),
            origins: Vec::new(),
            hub_away_hours: 36,
            rules: Some(rules),
            limits: Numbers::default(),
            drain_memory_mib: crate::config::drain_memory_mib(),
            access: None,
        };
        Ok(Asked { setup, pid_file: self.pid_file, warnings, notes })
    }

    fn rules(&self) -> Result<Rules, BadArguments> {
        let custom_headers: Result<_, _> =
            self.custom_header.iter().map(|text| header(text)).collect();
        let errors = match (&self.error_target, &self.error_path) {
            (Some(url), _) => {
                let route = Route {
                    key: String::new(),
                    record: record(url)?,
                    live: Live::new(clock::now()),
                };
                ErrorPages::Target(Arc::new(route))
            }
            (None, Some(folder)) => ErrorPages::Folder(folder.clone()),
            (None, None) => ErrorPages::BuiltIn,
        };
        let positive = |ms: Option<u64>| ms.filter(|ms| *ms > 0).map(Duration::from_millis);
        Ok(Rules {
            host_routing: self.host_routing,
            prepend_path: !self.no_prepend_path,
            include_prefix: !self.no_include_prefix,
            x_forward: !self.no_x_forward,
            auto_rewrite: self.auto_rewrite,
            change_origin: self.change_origin,
            protocol_rewrite: self.protocol_rewrite.clone(),
            custom_headers: custom_headers?,
            errors,
            timeout: positive(self.timeout),
            proxy_timeout: positive(self.proxy_timeout),
            keep_alive: Duration::from_millis(self.keep_alive_timeout),
        })
    }
}

/// A name or address; none and `*` mean every interface.
fn host(text: &str) -> String {
    if text == "*" { String::new() } else { text.trim_matches(['[', ']']).to_owned() }
}

fn record(url: &str) -> Result<Record, BadArguments> {
    Record::of_url(url).or_else(|error| said(format!("{url}: {error}")))
}

fn pair(
    key: Option<&PathBuf>,
    certificate: Option<&PathBuf>,
    name: &str,
) -> Result<Option<(PathBuf, PathBuf)>, BadArguments> {
    match (key, certificate) {
        (Some(key), Some(certificate)) => Ok(Some((key.clone(), certificate.clone()))),
        (None, None) => Ok(None),
        _ => said(format!("{name}-key and {name}-cert must be given together.")),
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), BadArguments> {
    let Some((name, value)) = text.split_once(':') else {
        return said(format!("A colon was expected in custom header: {text}"));
    };
    match (name.trim().parse(), value.trim().parse()) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => said(format!("Invalid custom header: {text}")),
    }
}

/// Whether a command line is configurable-http-proxy's: it has options, and `--config` is none of
/// them; or the program was called by that name.
pub fn is_meant(program: &Path, mut rest: impl Iterator<Item = String>) -> bool {
    if program.file_name().is_some_and(|name| name == "configurable-http-proxy") {
        return true;
    }
    let mut any = false;
    let ours = rest.any(|argument| {
        any = true;
        argument == "--config" || argument.starts_with("--config=")
    });
    any && !ours
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(line: &str) -> String {
        let words = std::iter::once("berth-proxy").chain(line.split_whitespace());
        let arguments = match Arguments::try_parse_from(words) {
            Ok(arguments) => arguments,
            Err(error) => return error.kind().to_string(),
        };
        match arguments.setup(Some("secret".into())) {
            Ok(asked) => {
                let Setup { front, api, metrics, .. } = asked.setup;
                let metrics = metrics.map(|place| format!(" metrics {place}")).unwrap_or_default();
                format!("{} api {api}{metrics}", front[0])
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn listeners_are_where_configurable_http_proxy_has_them() {
        for (line, expected) in [
            ("", "*:8000 api localhost:8001"),
            ("--port 9000", "*:9000 api localhost:9001"),
            ("--ip=* --port=9000 --api-ip= --api-port=1", "*:9000 api *:1"),
            ("--ip ::1 --metrics-port 7", "[::1]:8000 api localhost:8001 metrics *:7"),
            ("--socket /s --api-socket /a", "unix:/s api unix:/a"),
            ("--api-socket /a --api-port 7", "*:8000 api unix:/a"),
            ("--socket /s --port 1", "Cannot specify both --socket and --ip or --port. Pick one."),
            (
                "--error-target http://x --error-path /y",
                "Cannot specify both error-target and error-path. Pick one.",
            ),
            ("--redirect-port 1", "HTTPS redirection specified but certificates not provided."),
            ("--custom-header a", "A colon was expected in custom header: a"),
            (
                "--default-target ftp://x",
                "ftp://x: target has a scheme other than tunnel, http, https or http+unix",
            ),
            ("--no-such-option", "unexpected argument found"),
        ] {
            assert_eq!(check(line), expected, "{line}");
        }
    }

    #[test]
    fn whose_command_line_it_is() {
        let check = |program: &str, rest: &[&str]| {
            is_meant(Path::new(program), rest.iter().map(|word| (*word).to_owned()))
        };
        assert!(check("/x/configurable-http-proxy", &[]));
        assert!(check("berth-proxy", &["--port", "1"]));
        assert!(!check("berth-proxy", &["--config=/x"]));
        assert!(!check("berth-proxy", &[]));
    }
}
