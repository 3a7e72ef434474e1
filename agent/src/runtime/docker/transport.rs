//! How a request reaches the engine: on a connection of its own, as bollard's own transport does it,
//! and past crash points if the call has some.

use std::path::{Path, PathBuf};

use berth_process::crash::Torn;
use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker as Client};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

/// bollard's own limit, in seconds: above all of ours, so that it never decides.
const NEVER_S: u64 = 3_600;

/// A socket has no name that a request could ask for.
const ANY_HOST: &str = "docker";

/// Crash points within a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Within {
    /// Half of a part of the request, its head or its body, has left.
    pub(super) inside: &'static str,
    /// All of it has left, and nothing of an answer was read.
    pub(super) sent: &'static str,
}

/// Registers crash points within the calls of a client, and gives the client that passes them.
macro_rules! torn {
    ($client:expr, $inside:literal, $sent:literal) => {
        $crate::runtime::docker::transport::passing(
            &$client,
            $crate::runtime::docker::transport::Within {
                inside: berth_process::registered_point!($inside),
                sent: berth_process::registered_point!($sent),
            },
        )
    };
}
pub(super) use torn;

/// A client whose requests pass these points.
pub(super) fn passing(client: &Client, points: Within) -> Client {
    client.clone().with_request_modifier(move |mut request| {
        request.extensions_mut().insert(points);
        request
    })
}

/// A client of the engine behind a socket. Connects with each request.
///
/// # Errors
/// None that are known.
pub(super) fn client(socket: &Path) -> Result<Client, Error> {
    let socket = socket.to_owned();
    let transport = move |request: BollardRequest| send(socket.clone(), request);
    let address = format!("http://{ANY_HOST}");
    Client::connect_with_custom_transport(transport, Some(address), NEVER_S, API_DEFAULT_VERSION)
}

async fn send(socket: PathBuf, mut request: BollardRequest) -> Result<Response<Incoming>, Error> {
    let stream = UnixStream::connect(socket).await?;
    match request.extensions_mut().remove::<Within>() {
        Some(points) => {
            exchange(Torn::new(stream, points.inside).and_sent(points.sent), request).await
        }
        None => exchange(stream, request).await,
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    mut request: BollardRequest,
) -> Result<Response<Incoming>, Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the answer, or when nobody waits for it any more; what fails is in the answer.
    tokio::spawn(connection);
    request.headers_mut().insert(HOST, HeaderValue::from_static(ANY_HOST));
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map(Uri::from).unwrap_or_default();
    Ok(sender.send_request(request).await?)
}
