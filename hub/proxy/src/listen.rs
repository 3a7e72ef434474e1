//! Listeners: on TCP, where names are allowed as on configurable-http-proxy's command line, or on
//! a Unix socket.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use rustix::net::{AddressFamily, sockopt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::config::ApiAddress;
use crate::io::Io;
use crate::pulse::Pulse;
use crate::shared::Shared;
use crate::socket;

/// After a failed accept (no descriptors left).
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A name or address and a port. No name at all means every interface.
    Tcp(String, u16),
    /// A Unix socket. The permission bits are set when they are given, else left to the umask.
    Unix(PathBuf, Option<u32>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.is_empty() => write!(f, "*:{port}"),
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path, _) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address.ip().to_string(), address.port())
    }
}

impl From<&ApiAddress> for Place {
    fn from(address: &ApiAddress) -> Self {
        match address {
            ApiAddress::Unix(path) => Self::Unix(path.clone(), Some(0o600)),
            ApiAddress::Tcp(address) => (*address).into(),
        }
    }
}

/// An open listener.
#[derive(Debug)]
pub enum Listener {
    /// On TCP.
    Tcp(TcpListener),
    /// On a Unix socket.
    Unix(UnixListener),
}

/// An accepted connection, not yet driven by any thread.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP, with the other end's address.
    Tcp(std::net::TcpStream, SocketAddr),
    /// Over a Unix socket.
    Unix(std::os::unix::net::UnixStream),
}

impl Stream {
    /// The stream, driven by the thread that calls this.
    ///
    /// # Errors
    /// When the system refuses to watch it.
    pub fn into_io(self) -> io::Result<Io> {
        match self {
            Self::Tcp(stream, _) => {
                let stream = TcpStream::from_std(stream)?;
                socket::tune(&stream);
                Ok(Io::Tcp(stream))
            }
            Self::Unix(stream) => UnixStream::from_std(stream).map(Io::Unix),
        }
    }
}

/// Gives each connection to `each`, until the proxy ends or a successor accepts in its place.
/// `whose` stands in the log.
pub async fn each(
    listener: &Listener,
    shared: &Shared,
    whose: &'static str,
    mut pulse: Pulse,
    mut each: impl FnMut(Stream),
) {
    let (mut going, mut draining) = (pin!(shared.going.turned()), pin!(shared.draining.turned()));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = pulse.due() => {
                pulse.beat();
                continue;
            }
            () = &mut going => return,
            () = &mut draining => return,
        };
        match accepted {
            Ok(stream) => each(stream),
            Err(error) if of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, whose, "cannot accept connections");
                tokio::time::sleep(TRY_AGAIN).await;
            }
        }
    }
}

impl Listener {
    /// The next connection.
    ///
    /// # Errors
    /// The system's reason.
    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Stream::Tcp(stream.into_std()?, peer))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Stream::Unix(stream.into_std()?))
            }
        }
    }

    /// A socket that somebody else has opened, of whichever kind it is.
    ///
    /// # Errors
    /// When the system refuses to watch it.
    pub fn of_socket(socket: OwnedFd) -> io::Result<Self> {
        if sockopt::socket_domain(&socket)? == AddressFamily::UNIX {
            let listener = std::os::unix::net::UnixListener::from(socket);
            listener.set_nonblocking(true)?;
            return UnixListener::from_std(listener).map(Self::Unix);
        }
        let listener = std::net::TcpListener::from(socket);
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener).map(Self::Tcp)
    }

    /// The address, if it is on TCP.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

/// Whether a failed accept concerns a connection that is gone already.
fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Listens.
///
/// # Errors
/// When the place cannot be used.
pub async fn bind(place: &Place) -> io::Result<Listener> {
    match place {
        Place::Unix(path, mode) => bind_unix(path, *mode).await.map(Listener::Unix),
        Place::Tcp(host, port) if host.is_empty() => {
            // Both families at once; a machine without IPv6 has the other.
            let both = TcpListener::bind(("::", *port)).await;
            match both {
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    TcpListener::bind(("0.0.0.0", *port)).await
                }
                other => other,
            }
            .map(Listener::Tcp)
        }
        Place::Tcp(host, port) => {
            TcpListener::bind((host.as_str(), *port)).await.map(Listener::Tcp)
        }
    }
}

/// Listens on a Unix socket. One that a dead process left is replaced, that of a living one is not.
async fn bind_unix(path: &Path, mode: Option<u32>) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::other("a file that is no socket is in the way"));
        }
        Ok(_) if UnixStream::connect(path).await.is_ok() => {
            return Err(io::Error::other("another process listens there"));
        }
        Ok(_) => std::fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    if let Some(mode) = mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(listener)
}
