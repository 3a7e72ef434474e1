//! The link port: agents dial in over TLS that we terminate, and who they are is read from their
//! certificate. A connection without one may only join, one whose certificate expired only renew.

pub mod asked;
pub mod enroll;
mod puppet;
mod session;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use berth_common::HostId;
use berth_process::clock::now;
use berth_process::crash::Torn;
use berth_proto::identity::{Identity, Peer, common_name};
use berth_proto::link::enrolment_server::EnrolmentServer;
use berth_proto::link::link_server::LinkServer;
use berth_proto::tls::{self, Admit, Credential, TlsError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use crate::ca::{self, CaError};
use crate::site::Hub;

/// A stranger may hold a connection without a handshake for this long.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes under way at once; more wait in the kernel's queue.
const HANDSHAKES: usize = 64;
/// How often it is asked whether a certificate is to be renewed.
const RENEWAL_EVERY: Duration = Duration::from_secs(60);
/// Largest heartbeat: 1,000 servers with their labels and steps.
const LARGEST_MESSAGE: usize = 4 << 20;

/// Why the link port cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The hub's own certificate.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// Its use.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The gRPC server.
    #[error("link: {0}")]
    Server(#[from] tonic::transport::Error),
}

/// Where agents connect. Tests bring one of their own.
pub trait Listener: Send + 'static {
    /// Bytes of an agent and back.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, and where it comes from.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = TcpListener::accept(self).await?;
        let _ = stream.set_nodelay(true);
        Ok((stream, address))
    }
}

/// Serves agents on the listener until the process ends.
///
/// # Errors
/// When the hub's certificate cannot be made, or the server fails.
pub async fn serve(hub: Arc<Hub>, listener: impl Listener) -> Result<(), LinkError> {
    let leaf = hub.ca.hub_leaf()?;
    let credential = Credential::new(&leaf.chain_pem, &leaf.key_pem)?;
    let config = tls::server_config_with(
        Arc::clone(&credential),
        tls::roots(hub.ca.pem())?,
        Admit::Enrolling,
        hub.config().hub.puppet.clone(),
        &[b"h2"],
    )?;
    tokio::spawn(renew(Arc::clone(&hub), credential));
    let (accepted, incoming) = mpsc::channel(HANDSHAKES);
    tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), accepted));
    Server::builder()
        // A dead host's connection must end some day; its silence is noticed much earlier.
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .add_service(EnrolmentServer::new(enroll::Service::new(Arc::clone(&hub))))
        .add_service(
            LinkServer::new(session::Service::new(hub)).max_decoding_message_size(LARGEST_MESSAGE),
        )
        .serve_with_incoming(ReceiverStream::new(incoming))
        .await?;
    Ok(())
}

async fn accept<L: Listener>(
    listener: L,
    acceptor: TlsAcceptor,
    accepted: mpsc::Sender<io::Result<AgentStream<Torn<L::Stream>>>>,
) {
    let handshakes = Arc::new(tokio::sync::Semaphore::new(HANDSHAKES));
    loop {
        let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else { return };
        let (stream, address) = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                // Out of descriptors, most likely: wait for some to be given back.
                tracing::warn!(%error, "an agent's connection was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let stream = berth_process::crash_inside_writes!(stream, "hub.link.inside_send");
        let (acceptor, accepted) = (acceptor.clone(), accepted.clone());
        tokio::spawn(async move {
            let _permit = permit;
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let _ = accepted.send(Ok(AgentStream::new(stream, address))).await;
                }
                Ok(Err(error)) => {
                    tracing::info!(address = %address.ip(), %error, "handshake of an agent failed")
                }
                Err(_) => {
                    tracing::info!(address = %address.ip(), "handshake of an agent timed out")
                }
            }
        });
    }
}

/// Renews the hub's own certificate and the proxy's when they are a day old. It is asked often
/// and by the wall clock: a machine that was suspended for a week must not wait for another day.
async fn renew(hub: Arc<Hub>, credential: Arc<Credential>) {
    let mut often = tokio::time::interval(RENEWAL_EVERY);
    loop {
        often.tick().await;
        if !ca::is_fresh(&credential) {
            let renewed = hub.ca.hub_leaf().map_err(LinkError::from);
            let renewed =
                renewed.and_then(|leaf| Ok(credential.replace(&leaf.chain_pem, &leaf.key_pem)?));
            if let Err(error) = renewed {
                tracing::error!(%error, "the hub's own certificate was not renewed");
            }
        }
        if let Err(error) = hub.ca.refresh_proxy(&hub.config().hub.state.join("proxy")) {
            tracing::error!(%error, "the proxy's certificate was not renewed");
        }
    }
}

/// An agent's connection with what its certificate says.
struct AgentStream<S> {
    stream: TlsStream<S>,
    who: Who,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
struct Who {
    peer: Option<Peer>,
    /// The name that another authority's certificate proves.
    guest: Option<String>,
    address: SocketAddr,
}

impl<S> AgentStream<S> {
    fn new(stream: TlsStream<S>, address: SocketAddr) -> Self {
        let certificates = stream.get_ref().1.peer_certificates();
        let leaf = certificates.and_then(|chain| chain.first());
        let peer = leaf.and_then(|leaf| Peer::of(leaf).ok());
        let guest = leaf.filter(|_| peer.is_none()).and_then(common_name);
        Self { stream, who: Who { peer, guest, address } }
    }
}

impl<S> Connected for AgentStream<S> {
    type ConnectInfo = Who;
    fn connect_info(&self) -> Who {
        self.who.clone()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for AgentStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for AgentStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// The host that a request comes from, whether or not its certificate has expired.
fn known_host<T>(request: &tonic::Request<T>) -> Result<(HostId, bool), Status> {
    let who = request.extensions().get::<Who>();
    let peer = who.and_then(|who| who.peer.clone());
    match peer {
        Some(Peer { identity: Identity::Host(host), valid_until }) => {
            Ok((host, now() > valid_until))
        }
        _ => Err(Status::unauthenticated("this connection shows no host certificate: join first")),
    }
}

/// The host that a request comes from, its certificate being valid at this moment.
fn valid_host<T>(request: &tonic::Request<T>) -> Result<HostId, Status> {
    match known_host(request)? {
        (host, false) => Ok(host),
        (host, true) => Err(Status::unauthenticated(format!(
            "the certificate of {host} has expired: renew it first"
        ))),
    }
}
