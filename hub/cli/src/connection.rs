//! The hub's HTTP API as a client sees it: one connection a call, over TCP, TLS or a Unix socket.
//! The only file that names the HTTP client and TLS.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use berth_common::{ByteCount, Timestamp};
use berth_process::clock;
use bytes::{Buf, Bytes, BytesMut};
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HOST, HeaderMap, HeaderName, LOCATION, RETRY_AFTER,
    USER_AGENT,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{InvalidDnsNameError, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A hub that does not take a connection within this time is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A start is answered after ten seconds at the latest; a busy hub may need as much again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The progress stream is never silent for longer than eight seconds.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Ten thousand servers of two kilobytes, thrice over.
const ANSWER_MAX: ByteCount = ByteCount(64 << 20);
/// One line of the progress stream.
const LINE_MAX: usize = 1 << 20;

/// The header that carries a decision's reason code.
const REASON: HeaderName = HeaderName::from_static("x-berth-reason");

/// Every answer of a hub has it, and no answer of the proxy in its place.
const OF_THE_HUB: HeaderName = HeaderName::from_static("x-jupyterhub-version");

/// Where a hub is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubUrl {
    /// Over TCP.
    Tcp {
        /// With TLS.
        secure: bool,
        /// Name or address, IPv6 addresses in brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// Why a text is not the address of a hub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// Another scheme, or none.
    #[error("it begins with neither https:// nor http:// nor unix:/")]
    Scheme,
    /// Not readable as a URL.
    #[error("it is not a URL")]
    Malformed,
    /// It goes on behind the host.
    #[error("it has a path, and hubs have none")]
    Path,
}

impl FromStr for HubUrl {
    type Err = BadUrl;

    /// Reads `https://HOST[:PORT]`, `http://HOST[:PORT]` or `unix:/PATH`. A hub page's address,
    /// as copied from a browser, means its hub.
    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.starts_with('/') {
                Ok(Self::Unix(path.into()))
            } else {
                Err(BadUrl::Scheme)
            };
        }
        let secure = match text.split_once("://") {
            Some(("https", _)) => true,
            Some(("http", _)) => false,
            _ => return Err(BadUrl::Scheme),
        };
        let uri: Uri = text.parse().map_err(|_| BadUrl::Malformed)?;
        let authority = uri.authority().ok_or(BadUrl::Malformed)?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(BadUrl::Malformed);
        }
        if !matches!(uri.path(), "" | "/" | "/hub") && !uri.path().starts_with("/hub/") {
            return Err(BadUrl::Path);
        }
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self::Tcp { secure, host: authority.host().to_ascii_lowercase(), port })
    }
}

impl fmt::Display for HubUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { secure, host, port } => {
                let (scheme, usual) = if *secure { ("https", 443) } else { ("http", 80) };
                write!(f, "{scheme}://{host}")?;
                if *port == usual { Ok(()) } else { write!(f, ":{port}") }
            }
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl HubUrl {
    /// Whether what is sent there can be read on the way.
    pub fn is_open_to_eyes(&self) -> bool {
        matches!(self, Self::Tcp { secure: false, .. }) && !self.is_this_machine()
    }

    /// Whether the hub is reached without any network.
    pub fn is_this_machine(&self) -> bool {
        match self {
            Self::Tcp { host, .. } => {
                host == "localhost" || host == "[::1]" || host.starts_with("127.")
            }
            Self::Unix(_) => true,
        }
    }

    /// Host and port as the header `Host` has them.
    fn host_header(&self) -> String {
        match self {
            Self::Tcp { .. } => {
                let url = self.to_string();
                url.split_once("://").map_or(String::new(), |(_, host)| host.to_owned())
            }
            Self::Unix(_) => "localhost".into(),
        }
    }
}

/// A hub and the token to show it.
#[derive(Clone)]
pub struct Connection {
    /// Where.
    pub url: HubUrl,
    /// Who asks; `None` over the administrators' socket.
    pub token: Option<String>,
}

impl fmt::Debug for Connection {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({})", self.url)
    }
}

/// What the hub answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The reason code that came with it.
    pub reason: Option<String>,
    /// When to try again, if it said so.
    pub retry_after_s: Option<u64>,
    /// Where it pointed instead.
    pub location: Option<String>,
    /// The hub's clock, so that ages do not depend on this machine's.
    pub now: Timestamp,
    /// The JSON in it; null if there is none.
    pub body: Value,
}

/// Why there is no answer from a hub.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Nobody takes the connection.
    #[error("{0}")]
    Connect(String),
    /// Too slow.
    #[error("no answer within {}", berth_common::Seconds(.0.as_secs()))]
    Slow(Duration),
    /// TLS.
    #[error("its certificate cannot be trusted: {0}")]
    Tls(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The answer is too large.
    #[error("its answer is larger than {ANSWER_MAX}")]
    TooLarge,
    /// Somebody else answers there.
    #[error("what answers there is not the hub's API (status {status})")]
    NotTheHub {
        /// The status.
        status: StatusCode,
    },
    /// A path, name or token that HTTP cannot carry.
    #[error("the request cannot be sent: {0}")]
    Unsendable(#[from] http::Error),
}

impl ConnectionError {
    /// Whether it is so while a hub is replaced, and passes.
    pub fn passes(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Slow(_) | Self::Broken(_) => true,
            Self::NotTheHub { status } => is_gateway(*status),
            Self::Tls(_) | Self::TooLarge | Self::Unsendable(_) => false,
        }
    }
}

/// What the proxy answers in the hub's place.
pub fn is_gateway(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}

impl Connection {
    /// Asks the hub and reads its whole answer.
    ///
    /// # Errors
    /// When no hub answers. A refusal is an answer.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, ConnectionError> {
        let answer = async {
            let response = self.send(method, path, body).await?;
            read(response).await
        };
        timeout(ANSWER_TIMEOUT, answer).await.map_err(|_| ConnectionError::Slow(ANSWER_TIMEOUT))?
    }

    /// Opens an event stream. An answer that is none is given back whole.
    ///
    /// # Errors
    /// When no hub answers.
    pub async fn events(&self, path: &str) -> Result<Result<Events, Answer>, ConnectionError> {
        let open = async {
            let response = self.send(Method::GET, path, None).await?;
            let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
            if kind.is_some_and(|kind| kind.starts_with(b"text/event-stream")) {
                Ok(Ok(Events { body: response.into_body(), buffer: BytesMut::new() }))
            } else {
                read(response).await.map(Err)
            }
        };
        timeout(ANSWER_TIMEOUT, open).await.map_err(|_| ConnectionError::Slow(ANSWER_TIMEOUT))?
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<Incoming>, ConnectionError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.url.host_header())
            .header(USER_AGENT, concat!("berth/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json, text/event-stream");
        if let Some(token) = &self.token {
            let mut value = HeaderValue::try_from(format!("token {token}"))
                .map_err(|error| ConnectionError::Unsendable(error.into()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let body = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(body))?;
        let stream = timeout(CONNECT_TIMEOUT, self.connect())
            .await
            .map_err(|_| ConnectionError::Slow(CONNECT_TIMEOUT))??;
        exchange(stream, request).await
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, ConnectionError> {
        match &self.url {
            HubUrl::Unix(path) => Ok(Box::new(UnixStream::connect(path).await.map_err(no_way)?)),
            HubUrl::Tcp { secure, host, port } => {
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                let stream = TcpStream::connect((bare, *port)).await.map_err(no_way)?;
                let _ = stream.set_nodelay(true);
                if *secure { encrypt(stream, bare).await } else { Ok(Box::new(stream)) }
            }
        }
    }
}

/// An event stream of the hub.
pub struct Events {
    body: Incoming,
    buffer: BytesMut,
}

impl Events {
    /// The next event's data; `None` at the stream's end.
    ///
    /// # Errors
    /// When the connection breaks or the hub falls silent.
    pub async fn next(&mut self) -> Result<Option<Value>, ConnectionError> {
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end);
                self.buffer.advance(1);
                let data = line.strip_prefix(b"data:");
                if let Some(event) = data.and_then(|data| serde_json::from_slice(data).ok()) {
                    return Ok(Some(event));
                }
            }
            if self.buffer.len() > LINE_MAX {
                return Err(ConnectionError::TooLarge);
            }
            let frame = timeout(SILENCE_MAX, self.body.frame())
                .await
                .map_err(|_| ConnectionError::Slow(SILENCE_MAX))?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(ConnectionError::Broken(causes(&error))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

async fn exchange(
    stream: Box<dyn Stream>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, ConnectionError> {
    let broken = |error: hyper::Error| ConnectionError::Broken(causes(&error));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Its end shows in the response; nobody waits for the task itself.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(broken)
}

async fn read(response: Response<Incoming>) -> Result<Answer, ConnectionError> {
    let (parts, body) = response.into_parts();
    if is_gateway(parts.status) && !parts.headers.contains_key(OF_THE_HUB) {
        return Err(ConnectionError::NotTheHub { status: parts.status });
    }
    let limit = usize::try_from(ANSWER_MAX.0).unwrap_or(usize::MAX);
    let body = Limited::new(body, limit).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            ConnectionError::TooLarge
        } else {
            ConnectionError::Broken(causes(error.as_ref()))
        }
    })?;
    let body = body.to_bytes();
    let body = if body.is_empty() {
        Value::Null
    } else {
        match serde_json::from_slice(&body) {
            Ok(body) => body,
            Err(_) if parts.status.is_redirection() => Value::Null,
            Err(_) => return Err(ConnectionError::NotTheHub { status: parts.status }),
        }
    };
    let text = |name: HeaderName| header(&parts.headers, &name);
    Ok(Answer {
        status: parts.status,
        reason: text(REASON),
        retry_after_s: text(RETRY_AFTER).and_then(|seconds| seconds.parse().ok()),
        location: text(LOCATION),
        now: text(DATE).and_then(|date| moment(&date)).unwrap_or_else(clock::now),
        body,
    })
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// The moment in a `Date` header.
fn moment(date: &str) -> Option<Timestamp> {
    let zoned = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(Timestamp(zoned.as_microsecond()))
}

async fn encrypt(stream: TcpStream, host: &str) -> Result<Box<dyn Stream>, ConnectionError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error: InvalidDnsNameError| ConnectionError::Tls(error.to_string()))?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectionError::Tls(error.to_string()))?
        .with_root_certificates(roots())
        .with_no_client_auth();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    match stream {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(ConnectionError::Tls(causes(&error)))
        }
        Err(error) => Err(ConnectionError::Broken(causes(&error))),
    }
}

/// The certificate authorities that this machine trusts; `SSL_CERT_FILE` names others.
fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn no_way(error: io::Error) -> ConnectionError {
    ConnectionError::Connect(match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there".into(),
        io::ErrorKind::NotFound => "there is no such socket".into(),
        io::ErrorKind::PermissionDenied => "this user may not open the socket".into(),
        _ => causes(&error),
    })
}

/// An error with its causes, without what is said twice.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> String {
        text.parse::<HubUrl>().map_or_else(|error| error.to_string(), |url| url.to_string())
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, read) in [
            ("https://Hub.example.org/", "https://hub.example.org"),
            ("https://hub.example.org:443/hub/home", "https://hub.example.org"),
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("http://[::1]:8000/hub", "http://[::1]:8000"),
            ("unix:/run/berth/admin.sock", "unix:/run/berth/admin.sock"),
            ("unix:///run/berth/admin.sock", "unix:/run/berth/admin.sock"),
            ("hub.example.org", "it begins with neither https:// nor http:// nor unix:/"),
            ("ftp://hub", "it begins with neither https:// nor http:// nor unix:/"),
            ("unix:admin.sock", "it begins with neither https:// nor http:// nor unix:/"),
            ("https://", "it is not a URL"),
            ("https://alice:secret@hub", "it is not a URL"),
            ("https://hub/jupyter", "it has a path, and hubs have none"),
        ] {
            assert_eq!(check(text), read, "{text}");
        }
    }

    #[test]
    fn only_plain_http_beyond_this_machine_can_be_read_on_the_way() {
        for (url, open) in [
            ("http://hub", true),
            ("https://hub", false),
            ("http://localhost:8000", false),
            ("http://127.0.0.1", false),
            ("unix:/run/s", false),
        ] {
            assert_eq!(url.parse::<HubUrl>().unwrap().is_open_to_eyes(), open, "{url}");
        }
    }

    #[test]
    fn the_token_is_in_no_log() {
        let connection =
            Connection { url: HubUrl::Unix("/s".into()), token: Some("secret".into()) };
        assert!(!format!("{connection:?}").contains("secret"));
    }

    #[test]
    fn the_hubs_clock_is_read() {
        assert_eq!(moment("Mon, 11 May 2026 14:00:00 GMT"), "2026-05-11T14:00:00Z".parse().ok());
        assert_eq!(moment("yesterday"), None);
    }
}
