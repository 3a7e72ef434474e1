//! The data plane: carries all users' traffic to their servers. It knows routes and tunnels,
//! nothing of users, hosts' capacity or the store.
//!
//! Reading order: `config`, then the pure rules (`path`, `table`, `headers`, `cookies`,
//! `framing`), then a request's way (`front`, `guard`, `forward`, `upstream`, `tunnel`,
//! `websocket`), then the control plane (`api`, `persist`, `hub_away`, `credentials`).

pub mod api;
pub mod body;
pub mod config;
pub mod cookies;
pub mod copy;
pub mod credentials;
pub mod forward;
pub mod frames;
pub mod framing;
pub mod front;
pub mod guard;
pub mod headers;
pub mod hub_away;
pub mod keep;
pub mod page;
pub mod path;
pub mod persist;
pub mod pool;
pub mod route;
pub mod shared;
pub mod socket;
pub mod table;
pub mod tunnel;
pub mod upstream;
pub mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use berth_process::clock;
use berth_process::file::{self, FileError};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::{ApiAddress, Config};
use crate::credentials::Credentials;
use crate::route::{BadRecord, Record};
use crate::shared::Shared;
use crate::table::Table;

/// What requests in flight get when the proxy ends: shorter than systemd's patience.
const DRAIN: Duration = Duration::from_secs(5);

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The first address is what users come to; without it there is nothing to do.
    #[error("cannot listen on {address}: {source}; is another proxy running?")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Without the API no route would ever come.
    #[error("cannot listen for the hub on {address}: {source}")]
    Api {
        /// Which address.
        address: ApiAddress,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The hub's address is none.
    #[error("hub: {0}")]
    Hub(#[from] BadRecord),
    /// The state folder cannot be made.
    #[error(transparent)]
    State(#[from] FileError),
    /// The configuration names no address.
    #[error("no address to listen on")]
    NoAddress,
}

/// A proxy at work.
#[derive(Debug)]
pub struct Running {
    /// Where users' traffic comes in: the first address.
    pub front: SocketAddr,
    /// Where the API listens, if that is TCP.
    pub api: Option<SocketAddr>,
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
    /// Closed when no connection lives any more.
    alive: mpsc::Receiver<()>,
}

/// Starts the proxy: the table first, then the listeners. It never waits for the hub.
///
/// # Errors
/// When an address or the state folder cannot be used.
pub async fn start(config: &Config) -> Result<Running, StartError> {
    file::make_folder(&config.state, 0o700)?;
    let mut table = Table::new(Record::of_url(&config.hub)?, clock::now());
    let saved = persist::load(&config.state);
    table.highest = saved.highest;
    for route in persist::routes_of(saved) {
        table.restore(route);
    }
    let credentials = Arc::new(Credentials::new(&config.credentials));
    let mut said = String::new();
    credentials::look(&credentials, &mut said);
    let shared = Arc::new(Shared::new(table, credentials.clone(), config));
    shared.hub_away.load(&config.state, clock::now().as_millis() / 1000);
    tracing::info!(routes = shared.table().posted().count(), "routes loaded");

    let (first, others) = config.listen.split_first().ok_or(StartError::NoAddress)?;
    let listener = TcpListener::bind(first).await;
    let listener = listener.map_err(|source| StartError::Listen { address: *first, source })?;
    let front = listener.local_addr().unwrap_or(*first);
    let (api_listener, api) = bind_api(&config.api)
        .await
        .map_err(|source| StartError::Api { address: config.api.clone(), source })?;
    tracing::info!(address = %front, api = %config.api, hub = config.hub, "listening");

    let (alive_sender, alive) = mpsc::channel(1);
    let mut tasks = vec![
        tokio::spawn(front::accept(listener, shared.clone(), alive_sender.clone())),
        tokio::spawn(api::accept(api_listener, shared.clone())),
        tokio::spawn(keep::keep_saved(shared.clone())),
        tokio::spawn(keep::keep_swept(shared.clone())),
        tokio::spawn(credentials::keep_fresh(credentials, said)),
    ];
    for address in others.iter().copied() {
        let (shared, alive) = (shared.clone(), alive_sender.clone());
        tasks.push(tokio::spawn(async move {
            let listener = front::bind_patiently(address).await;
            front::accept(listener, shared, alive).await;
        }));
    }
    Ok(Running { front, api, shared, tasks, alive })
}

async fn bind_api(address: &ApiAddress) -> std::io::Result<(api::Listener, Option<SocketAddr>)> {
    match address {
        ApiAddress::Unix(path) => Ok((api::Listener::Unix(api::bind_unix(path).await?), None)),
        ApiAddress::Tcp(address) => {
            let listener = TcpListener::bind(address).await?;
            let local = listener.local_addr()?;
            Ok((api::Listener::Tcp(listener), Some(local)))
        }
    }
}

impl Running {
    /// Ends the proxy: no new connections, a few seconds for requests in flight, websockets are
    /// told to go away, then all is saved.
    pub async fn stop(mut self) {
        self.shared.going.send_replace(true);
        // Listeners end by themselves; those that still wait for their address do not.
        for task in &self.tasks {
            task.abort();
        }
        if timeout(DRAIN, self.alive.recv()).await.is_err() {
            tracing::warn!("connections are left after {} s and are cut", DRAIN.as_secs());
        }
        keep::save_all(self.shared).await;
    }
}
