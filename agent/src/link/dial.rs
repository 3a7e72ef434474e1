//! One connection to the hub, with TLS of our own, so that what goes wrong can be told apart.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_common::Timestamp;
use berth_process::crash_inside_writes;
use berth_proto::tls;
use hyper::Request;
use hyper::header::DATE;
use hyper_util::rt::TokioIo;
use rustls::{CertificateError, ClientConfig, Error};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceExt;

use crate::config::HubAddress;

/// For the connection and for the handshake, each.
const LIMIT: Duration = Duration::from_secs(5);

/// A link without a sign of life for this long and once more is taken down: a cut cable says
/// nothing by itself.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Why there is no connection to the hub.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nobody there.
    #[error("the hub at {hub} cannot be reached: {why}")]
    Unreachable {
        /// Its address.
        hub: String,
        /// The system's reason.
        why: String,
    },
    /// Somebody else is there.
    #[error(
        "{hub} does not prove that it is the hub: its certificate is not of the CA that this \
             host knows; check the address, or join anew with a fresh token"
    )]
    WrongCa {
        /// Its address.
        hub: String,
    },
    /// A certificate is not valid at this time.
    #[error(
        "a certificate of {hub} is not valid at this host's time, {now}; check this host's \
             clock, then the hub's certificate"
    )]
    Clock {
        /// Its address.
        hub: String,
        /// What this host takes for the time.
        now: String,
    },
    /// Any other trouble of TLS.
    #[error("{hub} does not speak as the hub does: {why}")]
    Tls {
        /// Its address.
        hub: String,
        /// rustls' reason.
        why: String,
    },
}

/// The network that the hub is reached over. Tests bring one of their own.
pub trait Network: Clone + Send + Sync + 'static {
    /// Bytes to the hub and back.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Connects to `HOST:PORT`.
    fn open(&self, address: &str) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// The system's network.
#[derive(Debug, Clone, Copy)]
pub struct Tcp;

impl Network for Tcp {
    type Stream = TcpStream;

    async fn open(&self, address: &str) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// What the hub takes for the time: it stands in the head of whatever it answers. `None`: it does not
/// say.
pub async fn time_of(hub: Channel) -> Option<Timestamp> {
    let question = Request::post("http://hub/").body(tonic::body::Body::empty()).ok()?;
    let answer = tokio::time::timeout(LIMIT, hub.oneshot(question)).await.ok()?.ok()?;
    let date = httpdate::parse_http_date(answer.headers().get(DATE)?.to_str().ok()?).ok()?;
    let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(i64::try_from(since.as_millis()).ok()?))
}

/// Connects, and proves both ends to one another.
///
/// # Errors
/// Says who failed at what.
pub async fn connect(
    network: &impl Network,
    hub: &HubAddress,
    config: ClientConfig,
) -> Result<Channel, DialError> {
    let unreachable = |why: String| DialError::Unreachable { hub: hub.as_str().to_owned(), why };
    let late = || unreachable(format!("no answer within {} s", LIMIT.as_secs()));
    let stream = match tokio::time::timeout(LIMIT, network.open(hub.as_str())).await {
        Ok(connected) => connected.map_err(|error| unreachable(error.to_string()))?,
        Err(_) => return Err(late()),
    };
    let stream = crash_inside_writes!(stream, "link.inside_send");
    let connector = TlsConnector::from(Arc::new(config));
    let stream =
        match tokio::time::timeout(LIMIT, connector.connect(tls::server_name(), stream)).await {
            Ok(proved) => proved.map_err(|error| tls_trouble(hub, &error))?,
            Err(_) => return Err(late()),
        };
    // The one connection there is: when it breaks, whoever holds the channel dials anew.
    let once = Arc::new(Mutex::new(Some(TokioIo::new(stream))));
    let connector = tower::service_fn(move |_| {
        let stream = once.lock().unwrap_or_else(PoisonError::into_inner).take();
        std::future::ready(stream.ok_or_else(|| io::Error::other("the connection is gone")))
    });
    Endpoint::from_static("http://hub")
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .connect_with_connector(connector)
        .await
        .map_err(|error| unreachable(error.to_string()))
}

fn tls_trouble(hub: &HubAddress, error: &io::Error) -> DialError {
    let hub = hub.as_str().to_owned();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(
            CertificateError::UnknownIssuer
            | CertificateError::ApplicationVerificationFailure
            | CertificateError::BadSignature,
        )) => DialError::WrongCa { hub },
        Some(Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::NotValidYet
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYetContext { .. },
        )) => DialError::Clock { hub, now: berth_process::clock::now().to_string() },
        _ => DialError::Tls { hub, why: error.to_string() },
    }
}
