//! The tunnel: a process of its own that takes the proxy's streams to the containers of this
//! host. It is not root, has no Docker socket and knows only the agent's table, so that the agent
//! may restart, and a hub or proxy in wrong hands can reach nothing but servers.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use berth_agent_sys::{account, machine, socket};
use berth_common::{Generation, ServerId};
use berth_process::signal::EndSignals;
use berth_proto::tls::{self, Admit, Credential, TlsError};
use berth_proto::tunnel::Status;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

use crate::config::Config;
use crate::identity::{self, Folder, IdentityError};

pub mod control;
pub mod feed;
pub mod handover;
pub mod stream;
pub mod table;

use handover::Parent;
use table::{Stamp, Table};

/// How often the certificate's files are looked at.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(5);

/// Why the tunnel cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// The certificates cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// They are damaged.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A socket cannot be had.
    #[error("cannot listen on {place}: {source}; {remedy}")]
    Listen {
        /// Address or path.
        place: String,
        /// The system's reason.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// The account of the tunnel cannot be taken on.
    #[error("cannot become {user}: {source}")]
    User {
        /// Its name.
        user: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Anything else the system refuses.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// The sockets, before the process has a runtime and while it may still be root.
#[derive(Debug)]
pub struct Sockets {
    /// For the proxy.
    tunnel: std::net::TcpListener,
    /// For the agent.
    control: std::os::unix::net::UnixListener,
    /// The predecessor, which waits for our word before it lets go.
    parent: Option<Parent>,
}

/// What all streams share.
pub struct Shared {
    table: RwLock<Known>,
    file: PathBuf,
    acceptor: RwLock<TlsAcceptor>,
}

#[derive(Debug, Default)]
struct Known {
    table: Table,
    /// Which writing of the file it is; `None` if it came over the socket.
    stamp: Option<Stamp>,
}

/// Opens or inherits the sockets, then gives up root. Call it before anything else.
///
/// # Errors
/// Says which socket, and what to do.
pub fn prepare(config: &Config) -> Result<Sockets, TunnelError> {
    let parent = handover::parent();
    let mut inherited = socket::inherited()?;
    let tunnel = match inherited.remove("tunnel") {
        Some(fd) => fd.into(),
        None => bind(config.agent.tunnel.listen)?,
    };
    let control = match inherited.remove("control") {
        Some(fd) => fd.into(),
        None => bind_control(&config.agent.run)?,
    };
    tunnel.set_nonblocking(true)?;
    control.set_nonblocking(true)?;
    if let Some(user) = config.agent.tunnel.user.clone().filter(|_| machine::is_root()) {
        let become_it = || -> io::Result<()> {
            let found = account::by_name(&user)?;
            let found = found.ok_or_else(|| io::Error::other("no such account on this host"))?;
            account::become_account(&found)
        };
        become_it().map_err(|source| TunnelError::User { user: user.clone(), source })?;
    }
    Ok(Sockets { tunnel, control, parent })
}

fn bind(address: SocketAddr) -> Result<std::net::TcpListener, TunnelError> {
    // std sets SO_REUSEADDR, so a restart does not wait for old connections to be forgotten.
    std::net::TcpListener::bind(address).map_err(|source| TunnelError::Listen {
        place: address.to_string(),
        source,
        remedy: "is a tunnel running already? see [agent] tunnel.listen",
    })
}

fn bind_control(run: &Path) -> Result<std::os::unix::net::UnixListener, TunnelError> {
    let path = table::socket(run);
    let bind = || -> io::Result<std::os::unix::net::UnixListener> {
        if !run.is_dir() {
            berth_process::file::make_folder(run, 0o755).map_err(io::Error::other)?;
        }
        // The TCP port is ours by now, so a socket that is still there has no owner.
        let _ = std::fs::remove_file(&path);
        let listener = std::os::unix::net::UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    bind().map_err(|source| TunnelError::Listen {
        place: path.display().to_string(),
        source,
        remedy: "start the tunnel as root (it gives root up), or let systemd open its sockets",
    })
}

/// Serves until it is told to end, or until a successor has taken over and the last stream is
/// done.
///
/// # Errors
/// When it cannot begin.
pub async fn run(config: Arc<Config>, sockets: Sockets) -> Result<(), TunnelError> {
    // Before anybody can know that this process serves: unhandled, a signal would end it.
    let mut upgrade = signal(SignalKind::user_defined2())?;
    let mut end = EndSignals::hear()?;
    let shared = Arc::new(Shared {
        table: RwLock::default(),
        file: table::file(&config.agent.run),
        acceptor: RwLock::new(acceptor(&config)?),
    });
    shared.refresh();
    let tunnel = TcpListener::from_std(sockets.tunnel)?;
    let control = UnixListener::from_std(sockets.control)?;
    tracing::info!("tunnel listens on {}", tunnel.local_addr()?);
    let streams = stream::Streams::default();
    let certificates = tokio::spawn(watch_certificates(config, shared.clone()));
    handover::ready(sockets.parent);
    loop {
        tokio::select! {
            () = end.asked() => return Ok(()),
            never = control::serve(&control, &shared) => match never {},
            never = stream::accept(&tunnel, &streams, &shared) => match never {},
            _ = upgrade.recv() => match handover::start_successor(&tunnel, &control).await {
                Ok(successor) => {
                    tracing::info!("process {successor} has taken over; finishing open streams");
                    break;
                }
                Err(error) => tracing::error!("no successor, this process goes on: {error}"),
            },
        }
    }
    // From here on nothing new comes in. Without a time limit: a stream may be a kernel's.
    drop((tunnel, control));
    certificates.abort();
    tokio::select! {
        () = streams.done() => {}
        () = end.asked() => {}
    }
    Ok(())
}

fn acceptor(config: &Config) -> Result<TlsAcceptor, TunnelError> {
    let folder = Folder::new(config).tunnel();
    let credential = Credential::new(
        &identity::read(&folder.join("tunnel.pem"))?,
        &identity::read(&folder.join("tunnel.key"))?,
    )?;
    let roots = tls::roots(&identity::read(&folder.join("ca.pem"))?)?;
    let config = tls::server_config(credential, roots, Admit::ProxyOnly, &[])?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Puts new certificates in force soon after the agent has written them.
async fn watch_certificates(config: Arc<Config>, shared: Arc<Shared>) {
    let folder = Folder::new(&config).tunnel();
    let stamps =
        || ["tunnel.pem", "tunnel.key", "ca.pem"].map(|name| table::stamp(&folder.join(name)));
    let mut known = stamps();
    loop {
        tokio::time::sleep(CERTIFICATES_EVERY).await;
        let found = stamps();
        if found == known {
            continue;
        }
        match acceptor(&config) {
            Ok(acceptor) => {
                *shared.acceptor.write().unwrap_or_else(PoisonError::into_inner) = acceptor;
                known = found;
                tracing::info!("new certificates are in force");
            }
            // Half written, perhaps: looked at again.
            Err(error) => tracing::warn!("the new certificates are not used: {error}"),
        }
    }
}

impl Shared {
    /// Where a server of exactly this generation listens, or why the stream goes nowhere.
    fn find(&self, server: &ServerId, generation: Generation) -> Result<SocketAddr, Status> {
        let look = || {
            let known = self.table.read().unwrap_or_else(PoisonError::into_inner);
            match known.table.get(server) {
                Some((found, address)) if *found == generation => Ok(*address),
                Some(_) => Err(Status::WrongGeneration),
                None => Err(Status::Gone),
            }
        };
        // Nobody is told that a server is gone before the file, the newest there is, says so too.
        look().or_else(|_| {
            self.refresh();
            look()
        })
    }

    /// Takes the file over if it is not the one that is known.
    fn refresh(&self) {
        let stamp = table::stamp(&self.file);
        let mut known = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if stamp.is_some() && stamp != known.stamp {
            match table::read(&self.file) {
                Ok(table) => *known = Known { table, stamp },
                Err(error) => tracing::error!("cannot read {}: {error}", self.file.display()),
            }
        }
    }

    /// Takes a table from the agent over.
    fn replace(&self, table: Table) {
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Known { table, stamp: None };
    }

    fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
