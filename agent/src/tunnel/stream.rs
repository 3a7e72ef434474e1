//! One stream of the proxy: prove who it is, read where it wants to go, join the two ends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use berth_common::Generation;
use berth_process::{crash_inside_writes, crash_point};
use berth_proto::tunnel::{Answer, Preamble, Status};
use berth_proto::{TUNNEL_VERSION, frame};
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Shared;

/// For the TLS handshake: strangers may not hold a place for longer.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// For the preamble, after which a stream is the users' own.
const PREAMBLE: Duration = Duration::from_secs(5);

/// For the connection to a container on this machine.
const CONNECT: Duration = Duration::from_secs(2);

/// Streams at once. Beyond it, connections wait in the kernel's queue.
const STREAMS_MAX: u32 = 4_096;

/// Bytes in flight in each direction: one TLS record.
const BUFFER: usize = 16 << 10;

/// When accept fails for want of descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Counts the open streams.
#[derive(Debug, Clone)]
pub struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(STREAMS_MAX as usize)))
    }
}

impl Streams {
    /// Completes when none is open any more. Call it when none can begin.
    pub async fn done(&self) {
        // All places are free at once, or the semaphore was closed, which nobody does.
        let _ = self.0.acquire_many(STREAMS_MAX).await;
    }
}

/// Accepts streams for ever. Dropping it between two of them loses none.
pub async fn accept(listener: &TcpListener, streams: &Streams, shared: &Arc<Shared>) -> Infallible {
    loop {
        let Ok(place) = streams.0.clone().acquire_owned().await else {
            std::future::pending().await
        };
        match listener.accept().await {
            Ok((stream, from)) => {
                let shared = shared.clone();
                tokio::spawn(async move {
                    serve(stream, from, &shared).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("cannot accept: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, from: SocketAddr, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let handshake = tokio::time::timeout(HANDSHAKE, shared.acceptor().accept(stream));
    let mut stream = match handshake.await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::info!(%from, "refused: {error}"),
        Err(_) => return tracing::info!(%from, "refused: no handshake in time"),
    };
    let preamble = frame::read::<Preamble>(&mut stream, frame::PREAMBLE_MAX);
    let preamble = match tokio::time::timeout(PREAMBLE, preamble).await {
        Ok(Ok(preamble)) => preamble,
        Ok(Err(error)) => return tracing::debug!(%from, "no preamble: {error}"),
        Err(_) => return tracing::debug!(%from, "no preamble in time"),
    };
    let upstream = connect(&preamble, shared).await;
    let status = upstream.as_ref().err().copied().unwrap_or(Status::Ok);
    crash_point!("tunnel.answer.send");
    let mut torn = crash_inside_writes!(&mut stream, "tunnel.answer.inside");
    if frame::write(&mut torn, &Answer { status: status.into() }).await.is_err() {
        return;
    }
    crash_point!("tunnel.answer.sent");
    let Ok(mut upstream) = upstream else { return };
    // The end of one direction ends only that one; the other goes on until it ends itself.
    let ended = copy_bidirectional_with_sizes(&mut stream, &mut upstream, BUFFER, BUFFER).await;
    if let Err(error) = ended {
        tracing::debug!(server = %preamble.server, "stream broke: {error}");
    }
}

async fn connect(preamble: &Preamble, shared: &Shared) -> Result<TcpStream, Status> {
    if preamble.version != TUNNEL_VERSION {
        tracing::warn!("the proxy speaks version {} of the tunnel", preamble.version);
        return Err(Status::Gone);
    }
    let server = preamble.server.parse().map_err(|_| Status::Gone)?;
    let address = shared.find(&server, Generation(preamble.generation))?;
    match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
        Ok(Ok(upstream)) => {
            let _ = upstream.set_nodelay(true);
            Ok(upstream)
        }
        _ => Err(Status::NotReady),
    }
}
