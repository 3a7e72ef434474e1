//! The simulated network as agents dial over it and as the link port listens on it.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use berth_agent::link::dial::Network;
use berth_common::HostId;
use berth_hub::link::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

use crate::shared::Shared;
use crate::transcript::{Transcript, What};

/// Where every hub listens for agents.
pub const PORT: u16 = 8443;

/// A host's way out. Which machine the hub's name stands for is looked up at each dial.
#[derive(Debug, Clone)]
pub struct Cable {
    /// Whose it is.
    pub host: HostId,
    /// Who knows the names.
    pub shared: Arc<Shared>,
}

impl Network for Cable {
    type Stream = TcpStream;

    async fn open(&self, _address: &str) -> io::Result<TcpStream> {
        let hub = self.shared.hub_of(&self.host);
        self.shared.log.note(self.host.as_str(), What::Dials(hub.clone()));
        TcpStream::connect((hub, PORT)).await
    }
}

/// A hub's link port.
pub struct Port {
    listener: TcpListener,
    hub: String,
    log: Transcript,
    plug: Plug,
}

/// All connections that a port has accepted.
#[derive(Debug, Clone, Default)]
pub struct Plug(Arc<Mutex<Plugged>>);

#[derive(Debug, Default)]
struct Plugged {
    streams: BTreeMap<u64, TcpStream>,
    accepted: u64,
    pulled: bool,
}

impl Plug {
    /// Ends them in the order in which they came, and nobody is accepted any more. A runtime that
    /// is torn down would end them in an order of its own, another each time.
    pub fn pull(&self) {
        let mut plugged = self.lock();
        plugged.pulled = true;
        while let Some(first) = plugged.streams.pop_first() {
            drop(first);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Plugged> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Port {
    /// Opens it.
    ///
    /// # Errors
    /// When it is taken.
    pub async fn open(hub: &str, log: Transcript) -> io::Result<(Self, Plug)> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
        let plug = Plug::default();
        Ok((Self { listener, hub: hub.to_owned(), log, plug: plug.clone() }, plug))
    }
}

impl Listener for Port {
    type Stream = Accepted;

    async fn accept(&self) -> io::Result<(Accepted, SocketAddr)> {
        let (stream, address) = self.listener.accept().await?;
        if self.plug.lock().pulled {
            return std::future::pending().await;
        }
        let from = turmoil::reverse_lookup(address.ip()).unwrap_or_default();
        self.log.note(&from, What::Accepted(self.hub.clone()));
        let mut plugged = self.plug.lock();
        plugged.accepted += 1;
        let number = plugged.accepted;
        plugged.streams.insert(number, stream);
        let (hub, log, plug) = (self.hub.clone(), self.log.clone(), self.plug.clone());
        Ok((Accepted { number, plug, from, hub, log }, address))
    }
}

/// An accepted connection. That the hub lets go of it is noted.
#[derive(Debug)]
pub struct Accepted {
    number: u64,
    plug: Plug,
    from: String,
    hub: String,
    log: Transcript,
}

impl Accepted {
    fn with<T>(
        &self,
        does: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match self.plug.lock().streams.get_mut(&self.number) {
            Some(stream) => does(Pin::new(stream)),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        if self.plug.lock().streams.remove(&self.number).is_some() {
            self.log.note(&self.from, What::LetGo(self.hub.clone()));
        }
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(cx))
    }
}
