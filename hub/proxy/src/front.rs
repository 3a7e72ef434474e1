//! Where users' connections come in: listeners, and one task a connection.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use hyper::header::{CONNECTION, HOST, HeaderValue, LOCATION};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::body::ResponseBody;
use crate::forward::{self, From, Held};
use crate::guard::{Gate, Guarded};
use crate::io::Io;
use crate::limits;
use crate::listen::{self, Listener, Place, Stream};
use crate::metrics::{self, count};
use crate::page;
use crate::pulse::Pulse;
use crate::shared::Shared;
use crate::switch::Ear;
use crate::tls::Terminator;
use crate::worker::{Share, Workers};

/// Between two requests: longer than browsers keep an idle connection, so they close first.
const IDLE: Duration = Duration::from_secs(75);

/// For a TLS handshake: a client that takes longer is not one.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// For an address that is not there yet, and after a failed accept (no descriptors left).
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// More than the guard lets through, so that the guard's limit is the one that counts.
const BUFFER_MAX: usize = 256 * 1024;

/// Between two requests to the plain port.
const REDIRECT_IDLE: Duration = Duration::from_secs(30);

/// The protocols offered, by preference.
pub const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Of one HTTP/2 connection: browsers open about a hundred.
const STREAMS_MAX: u32 = 100;

/// Room in flight for a stream and a connection of HTTP/2: enough for a fast network.
const WINDOW: u32 = 1024 * 1024;

/// Waits until an address can be listened on, for ever; says once that it waits.
pub async fn bind_patiently(place: Place) -> Listener {
    let mut said = false;
    loop {
        match listen::bind(&place).await {
            Ok(listener) => {
                tracing::info!(listen = %place, "listening");
                return listener;
            }
            Err(error) if !said => {
                tracing::warn!(listen = %place, %error, "cannot listen yet, trying every second");
                said = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

/// Accepts connections until the proxy ends or a successor accepts in its place.
pub async fn accept(
    listener: Arc<Listener>,
    tls: Option<Arc<Terminator>>,
    shared: Arc<Shared>,
    alive: mpsc::Sender<()>,
    workers: Workers,
    pulse: Pulse,
) {
    listen::each(&listener, &shared, "users", pulse, |stream| {
        let peer = match &stream {
            Stream::Tcp(_, peer) => peer.ip(),
            Stream::Unix(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let Some(connection) = shared.limits.connection(peer, shared.trusts(peer)) else {
            count(&shared.metrics.refused_by_limit);
            shared.say_refused(peer);
            return;
        };
        let (tls, shared, alive) = (tls.clone(), shared.clone(), alive.clone());
        workers.carry(Accepted { stream, peer, connection, share: None, tls, shared, alive });
    })
    .await;
}

/// A connection on its way to its worker.
#[derive(Debug)]
pub struct Accepted {
    stream: Stream,
    peer: IpAddr,
    connection: limits::Connection,
    /// Of the worker that gets it.
    pub share: Option<Share>,
    tls: Option<Arc<Terminator>>,
    shared: Arc<Shared>,
    alive: mpsc::Sender<()>,
}

impl Accepted {
    /// Serves it to its end, on the thread of its worker.
    pub async fn serve(self) {
        let Self { stream, peer, connection, share, tls, shared, alive } = self;
        let _open = metrics::Held::new(&shared, |metrics| &metrics.connections);
        let held = Arc::new(Held { alive, share, connection });
        let from = From { peer, secure: tls.is_some(), held };
        let stream = match stream.into_io() {
            Ok(stream) => stream,
            Err(error) => return tracing::error!(%error, "a connection cannot be served"),
        };
        let Some(tls) = tls else { return serve(stream, from, &shared).await };
        let accepted = timeout(HANDSHAKE, TlsAcceptor::from(tls.config()).accept(stream));
        match accepted.await {
            Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                serve_http2(Io::accepted(stream), from, &shared).await;
            }
            Ok(Ok(stream)) => serve(Io::accepted(stream), from, &shared).await,
            Ok(Err(error)) => tracing::debug!(%error, "tls handshake failed"),
            Err(_) => tracing::debug!("tls handshake timed out"),
        }
    }
}

/// HTTP/1.1.
async fn serve(stream: Io, from: From, shared: &Arc<Shared>) {
    let gate = Gate::default();
    let silence = shared.rules.as_ref().and_then(|rules| rules.timeout);
    let guarded = Guarded::new(stream, gate.clone(), silence);
    let requests = AtomicU64::new(0);
    let service = service_fn(|request| {
        // Requests of one connection come one after the other, so their order is their number.
        let number = requests.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let (from, gate) = (&from, &gate);
        gate.begin(Request::version(&request));
        async move {
            let mut response = forward::answer(shared, from, request).await;
            response.body_mut().ends.answering = Some(gate.answering());
            let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
            gate.decide(number, switched);
            // A successor accepts by now: the client's next request shall be its.
            if !switched && shared.draining.is_on() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let idle = shared.rules.as_ref().map_or(IDLE, |rules| rules.keep_alive);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(BUFFER_MAX)
        .serve_connection(TokioIo::new(guarded), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut going = Ear::new(&shared.going);
    let driven = poll_fn(|cx| match connection.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending if going.hears(&shared.going, cx) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    let ended = match driven.await {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

/// HTTP/2. Its framing is the library's: there are no two ways to read a binary length.
async fn serve_http2(stream: Io, from: From, shared: &Arc<Shared>) {
    let (going, draining) = (shared.going.turned(), shared.draining.turned());
    let (owned, from) = (shared.clone(), Arc::new(from));
    let service = service_fn(move |request| {
        let (shared, from) = (owned.clone(), from.clone());
        async move { Ok::<_, Infallible>(forward::answer_http2(&shared, &from, request).await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(u32::try_from(crate::framing::HEAD_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(IDLE)
        .enable_connect_protocol()
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async { tokio::select! { () = going => {}, () = draining => {} } } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

/// Sends browsers from a plain port to the `https` one.
pub async fn redirect(listener: Arc<Listener>, port: u16, shared: Arc<Shared>) {
    listen::each(&listener, &shared, "redirects", Pulse::none(), |stream| {
        tokio::spawn(async move {
            let gate = Gate::default();
            let gate = &gate;
            let service = service_fn(|request| async move {
                let mut response = redirected(&request, port);
                response.body_mut().ends.answering = Some(gate.answering());
                Ok::<_, Infallible>(response)
            });
            let guarded = Guarded::new(stream.into_io()?, gate.clone(), None);
            let ended = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(REDIRECT_IDLE)
                .serve_connection(TokioIo::new(guarded), service)
                .await;
            ended.map_err(io::Error::other)
        });
    })
    .await;
}

fn redirected(request: &Request<Incoming>, port: u16) -> Response<ResponseBody> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    // A request without a host is refused by the guard before it comes here.
    let host = host.unwrap_or_default();
    let name = match host.rfind(']') {
        Some(end) => host.get(..=end).unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let mut response = page::own(StatusCode::MOVED_PERMANENTLY, "");
    match HeaderValue::from_str(&format!("https://{name}{port}{path}")) {
        Ok(place) => {
            response.headers_mut().insert(LOCATION, place);
        }
        Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    response
}
