//! Connections to a route's target, and one exchange over them.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::body::{BodyError, RequestBody};
use crate::credentials::Credentials;
use crate::io::Io;
use crate::pool::{Sender, Whose};
use crate::route::{Live, Route, Target, Way};
use crate::{socket, tunnel};

/// Within a data centre a connect takes milliseconds; this is one lost SYN and its repetition.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The time a tunnel process or an agent takes to start anew.
pub const TUNNEL_PATIENCE: Duration = Duration::from_secs(2);

/// The time a hub takes to start anew.
pub const HUB_PATIENCE: Duration = Duration::from_secs(5);

/// Between two tries: short beside either patience, long beside a refused connect.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// With at most so many requests under way on its route, a request takes the idle connection of any
/// worker: opening one costs more than waking its thread. With more, each worker opens its own.
const FEW: usize = 8;

/// What requests in flight get when their route ends.
const ENDING: Duration = Duration::from_secs(5);

/// Why an upstream gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// Nobody listens, or whoever does is just ending: nothing was sent.
    #[error("connection refused")]
    Refused,
    /// No way there.
    #[error("{0}")]
    Unreachable(String),
    /// Somebody else is there.
    #[error("the host's port does not hold the host's certificate: {0}")]
    Identity(String),
    /// The hub has not yet written our certificate.
    #[error("no certificate to show to the host yet")]
    NoCredentials,
    /// The container does not accept connections yet.
    #[error("the server is not ready")]
    NotReady,
    /// The host runs another start of this server.
    #[error("the host runs another generation of the server")]
    WrongGeneration,
    /// The host does not run this server.
    #[error("the host does not run the server")]
    Gone,
    /// The client sent its body too slowly.
    #[error("the client sends its body too slowly")]
    Slow,
    /// The connection broke before the head of an answer.
    #[error("no answer: {0}")]
    Broken(hyper::Error),
}

impl From<hyper::Error> for UpstreamError {
    fn from(error: hyper::Error) -> Self {
        let source = std::error::Error::source(&error);
        let body = source.and_then(|source| source.downcast_ref::<BodyError>());
        if matches!(body, Some(BodyError::Slow)) { Self::Slow } else { Self::Broken(error) }
    }
}

impl UpstreamError {
    /// Before a byte of the request was sent.
    pub fn of_io(error: &io::Error) -> Self {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, UnexpectedEof,
        };
        match error.kind() {
            ConnectionRefused | ConnectionReset | ConnectionAborted | BrokenPipe
            | UnexpectedEof => Self::Refused,
            _ => Self::Unreachable(error.to_string()),
        }
    }
}

/// Connects to `name:port`.
///
/// # Errors
/// When nobody is there within the time.
pub async fn dial(address: &str) -> Result<Io, UpstreamError> {
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|_| UpstreamError::Unreachable("connect timed out".into()))?
        .map_err(|error| UpstreamError::of_io(&error))?;
    socket::tune(&stream);
    Ok(Io::Tcp(stream))
}

/// Sends a request over an idle or a new connection and returns the head of the answer. Framing
/// is made anew here. `patience` is how long a refused connect is tried again.
///
/// # Errors
/// When there is no answer. A request is sent a second time only if it can be and the first
/// connection was an idle one that turned out to be closed.
pub async fn exchange(
    route: &Route,
    credentials: &Credentials,
    parts: Parts,
    body: RequestBody,
    patience: Duration,
) -> Result<(Response<Incoming>, Sender), UpstreamError> {
    // A websocket stays with its connection, and a busy route's requests with theirs.
    let handshake = parts.headers.contains_key(UPGRADE);
    let busy = route.live.in_flight.load(Ordering::Relaxed) > FEW;
    let whose = if handshake || busy { Whose::Own } else { Whose::Any };
    let harmless = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let mut request = framed(parts, body);
    if let Some(mut sender) = route.live.pool.take(whose) {
        let spare = (harmless && request.body().is_end_stream()).then(|| bodiless(&request));
        match sender.http.try_send_request(request).await {
            Ok(response) => return Ok((response, sender)),
            Err(mut failed) => {
                request = match (failed.take_message(), spare) {
                    // It was never written.
                    (Some(unsent), _) => unsent,
                    (None, Some(spare)) if !failed.error().is_parse() => spare,
                    _ => return Err(failed.into_error().into()),
                }
            }
        }
    }
    let mut sender = Box::pin(open_patiently(route, credentials, patience)).await?;
    let response = sender.http.send_request(request).await?;
    Ok((response, sender))
}

/// The length or chunks that the body itself asks for, whatever the client's head said.
fn framed(mut parts: Parts, body: RequestBody) -> Request<RequestBody> {
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.remove(TRANSFER_ENCODING);
    match body.size_hint().exact() {
        Some(0) => {}
        Some(length) => {
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        None => {
            parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
    Request::from_parts(parts, body)
}

fn bodiless(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

async fn open_patiently(
    route: &Route,
    credentials: &Credentials,
    patience: Duration,
) -> Result<Sender, UpstreamError> {
    let until = Instant::now() + patience;
    loop {
        match open(route, credentials).await {
            Err(UpstreamError::Refused) if Instant::now() + TRY_AGAIN <= until => {
                sleep(TRY_AGAIN).await;
            }
            other => return other,
        }
    }
}

async fn open(route: &Route, credentials: &Credentials) -> Result<Sender, UpstreamError> {
    let stream = match &route.record.target {
        Target::Http(http) => match &http.way {
            Way::Tcp(address) => dial(address).await?,
            Way::Tls(address, name) => {
                let connector = TlsConnector::from(credentials.outward());
                let tcp = dial(address).await?;
                let stream = timeout(CONNECT_TIMEOUT, connector.connect(name.clone(), tcp)).await;
                let stream = stream
                    .map_err(|_| UpstreamError::Unreachable("tls handshake timed out".into()))?;
                Io::connected(stream.map_err(|e| UpstreamError::Unreachable(e.to_string()))?)
            }
            Way::Unix(path) => {
                let stream = UnixStream::connect(path).await;
                Io::Unix(stream.map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => UpstreamError::Refused,
                    _ => UpstreamError::of_io(&error),
                })?)
            }
        },
        Target::Tunnel(tunnel) => tunnel::open(tunnel, credentials).await?,
    };
    connection(stream, &route.live).await
}

/// Starts HTTP on a stream. The connection drives itself until both sides let go of it, or a while
/// after its route has ended.
async fn connection(stream: Io, live: &Arc<Live>) -> Result<Sender, UpstreamError> {
    let (sender, connection) = http1::Builder::new().handshake(TokioIo::new(stream)).await?;
    let ear = live.ear();
    let live = live.clone();
    tokio::spawn(async move {
        let mut connection = pin!(connection.with_upgrades());
        let mut ear = ear;
        let driven = poll_fn(|cx| match connection.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if ear.hears(live.ended(), cx) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        let ended = match driven.await {
            Some(ended) => ended,
            None => timeout(ENDING, connection).await.unwrap_or(Ok(())),
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    Ok(Sender::new(sender))
}
