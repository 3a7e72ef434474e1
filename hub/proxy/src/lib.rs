//! The data plane: carries all users' traffic to their servers. It knows routes and tunnels,
//! nothing of users, hosts' capacity or the store.
//!
//! Reading order: `config` and `arguments`, which both become a `setup`; then the pure rules
//! (`path`, `table`, `headers`, `cookies`, `framing`, `rules`), then a request's way (`listen`,
//! `front`, `guard`, `http2`, `forward`, `upstream`, `tunnel`, `websocket`, `errors`), then the
//! control plane (`api`, `persist`, `hub_away`, `credentials`, `tls`, `metrics`).

pub mod api;
pub mod arguments;
pub mod body;
pub mod config;
pub mod cookies;
pub mod copy;
pub mod credentials;
pub mod errors;
pub mod forward;
pub mod frames;
pub mod framing;
pub mod front;
pub mod guard;
pub mod headers;
pub mod http2;
pub mod hub_away;
pub mod keep;
pub mod listen;
pub mod log;
pub mod metrics;
pub mod page;
pub mod path;
pub mod persist;
pub mod pool;
pub mod route;
pub mod rules;
pub mod setup;
pub mod shared;
pub mod socket;
pub mod table;
pub mod tls;
pub mod tunnel;
pub mod upstream;
pub mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use berth_process::clock;
use berth_process::file::{self, FileError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::Config;
use crate::listen::{Listener, Place};
use crate::setup::{Setup, SetupError};
use crate::shared::Shared;
use crate::table::Table;
use crate::tls::{Terminator, TlsError};

/// What requests in flight get when the proxy ends: shorter than systemd's patience.
const DRAIN: Duration = Duration::from_secs(5);

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Without its listeners there is nothing to do.
    #[error("cannot listen{purpose} on {place}: {source}{hint}")]
    Listen {
        /// For whom, when not for users.
        purpose: &'static str,
        /// Where.
        place: Place,
        /// The system's reason.
        source: std::io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// The configuration cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
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
    /// Where users' traffic comes in: the first address, if that is TCP.
    pub front: SocketAddr,
    /// Where the API listens, if that is TCP.
    pub api: Option<SocketAddr>,
    /// Where metrics are read, if that is TCP.
    pub metrics: Option<SocketAddr>,
    /// Where plain requests are redirected.
    pub redirect: Option<SocketAddr>,
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
    /// Closed when no connection lives any more.
    alive: mpsc::Receiver<()>,
}

/// Starts the proxy by its configuration file.
///
/// # Errors
/// When an address or the state folder cannot be used.
pub async fn start(config: &Config) -> Result<Running, StartError> {
    start_setup(Setup::of_config(config)?).await
}

/// Starts the proxy: the table first, then the listeners. It never waits for the hub.
///
/// # Errors
/// When an address, a certificate or the state folder cannot be used.
pub async fn start_setup(mut setup: Setup) -> Result<Running, StartError> {
    let table = first_table(&mut setup)?;
    let front_tls = terminator(setup.front_tls.take(), &front::ALPN)?;
    let api_tls = terminator(setup.api_tls.take(), &[b"http/1.1"])?;
    let mut places = std::mem::take(&mut setup.front).into_iter();
    let first = places.next().ok_or(StartError::NoAddress)?;
    let hint = "; is another proxy running?";
    let listener = bind(&first, "", hint).await?;
    let api_listener = bind(&setup.api, " for the hub", "").await?;
    let metrics_listener = match &setup.metrics {
        Some(place) => Some(bind(place, " for metrics", "").await?),
        None => None,
    };
    let redirect_listener = match &setup.redirect {
        Some((place, port)) => Some((Arc::new(bind(place, " for redirects", "").await?), *port)),
        None => None,
    };
    let none = SocketAddr::from(([0, 0, 0, 0], 0));
    let front = listener.address().unwrap_or(none);
    let api = api_listener.address();
    let metrics = metrics_listener.as_ref().and_then(Listener::address);
    let redirect = redirect_listener.as_ref().and_then(|(listener, _)| listener.address());
    tracing::info!(address = %first, api = %setup.api, "listening");

    let shared = Arc::new(Shared::new(table, setup));
    let mut said = String::new();
    if shared.credentials.come_from_files() {
        credentials::look(&shared.credentials, &mut said);
    }
    if let Some(state) = &shared.state {
        shared.hub_away.load(state, clock::now().as_millis() / 1000);
    }
    let (alive_sender, alive) = mpsc::channel(1);
    let listener = Arc::new(listener);
    let mut tasks = vec![
        tokio::spawn(front::accept(
            listener,
            front_tls.clone(),
            shared.clone(),
            alive_sender.clone(),
        )),
        tokio::spawn(api::accept(Arc::new(api_listener), api_tls, shared.clone())),
        tokio::spawn(keep::keep_saved(shared.clone())),
        tokio::spawn(keep::keep_swept(shared.clone())),
    ];
    if shared.credentials.come_from_files() {
        tasks.push(tokio::spawn(credentials::keep_fresh(shared.credentials.clone(), said)));
    }
    if let Some(listener) = metrics_listener {
        tasks.push(tokio::spawn(metrics::accept(listener, shared.clone())));
    }
    if let Some((listener, port)) = redirect_listener {
        if let Some(address) = redirect {
            tracing::info!("Added HTTP to HTTPS redirection from {} to {port}", address.port());
        }
        tasks.push(tokio::spawn(front::redirect(listener, port, shared.clone())));
    }
    for place in places {
        let (shared, alive, tls) = (shared.clone(), alive_sender.clone(), front_tls.clone());
        tasks.push(tokio::spawn(async move {
            let listener = Arc::new(front::bind_patiently(place).await);
            front::accept(listener, tls, shared, alive).await;
        }));
    }
    Ok(Running { front, api, metrics, redirect, shared, tasks, alive })
}

/// The table as the last process left it, or with nothing but the root.
fn first_table(setup: &mut Setup) -> Result<Table, StartError> {
    let now = clock::now();
    let root = setup.root.take();
    if let Some(state) = &setup.state {
        file::make_folder(state, 0o700)?;
    }
    let mut table = match (&setup.rules, root) {
        (None, root) => Table::with_root(root, now),
        // In configurable-http-proxy it is a route like any other.
        (Some(_), root) => {
            let mut table = Table::default();
            if let Some(root) = root {
                let target = root.text("target").unwrap_or_default().to_owned();
                if table.put("/".to_owned(), root, now).is_ok() {
                    tracing::info!("Route added / -> {target}");
                }
            }
            table
        }
    };
    if let Some(state) = &setup.state {
        let saved = persist::load(state);
        table.highest = saved.highest;
        for route in persist::routes_of(saved) {
            table.restore(route);
        }
        tracing::info!(routes = table.posted().count(), "routes loaded");
    }
    Ok(table)
}

async fn bind(
    place: &Place,
    purpose: &'static str,
    hint: &'static str,
) -> Result<Listener, StartError> {
    let bound = listen::bind(place).await;
    bound.map_err(|source| StartError::Listen { purpose, place: place.clone(), source, hint })
}

fn terminator(
    files: Option<tls::Files>,
    alpn: &[&'static [u8]],
) -> Result<Option<Arc<Terminator>>, TlsError> {
    files.map(|files| Terminator::new(files, alpn).map(Arc::new)).transpose()
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

    /// Ends the proxy as configurable-http-proxy does: nothing in flight is waited for.
    pub async fn stop_at_once(self) {
        for task in &self.tasks {
            task.abort();
        }
        keep::save_all(self.shared).await;
    }
}
