//! The data plane: carries all users' traffic to their servers. It knows routes and tunnels,
//! nothing of users, hosts' capacity or the store.
//!
//! Reading order: `config` and `arguments`, which both become a `setup`; then the pure rules
//! (`path`, `table`, `headers`, `cookies`, `shield`, `framing`, `rules`), then a request's way
//! (`listen`, `pulse`, `worker`, `front`, `guard`, `http2`, `forward`, `hub_user`, `upstream`,
//! `tunnel`, `websocket`, `errors`), then the control plane (`api`, `persist`, `hub_away`,
//! `credentials`, `tls`, `metrics`, `access`), and what systemd brings (`activation`).

pub mod access;
pub mod activation;
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
pub mod handover;
pub mod headers;
pub mod http2;
pub mod hub_away;
mod hub_user;
pub mod io;
pub mod keep;
pub mod limits;
pub mod listen;
pub mod log;
pub mod metrics;
pub mod pace;
pub mod page;
pub mod path;
pub mod persist;
pub mod pool;
pub mod pulse;
pub mod route;
pub mod rules;
pub mod seldom;
pub mod setup;
pub mod shared;
pub mod shield;
pub mod socket;
pub mod sockets;
pub mod switch;
pub mod table;
pub mod tls;
pub mod tunnel;
pub mod upstream;
pub mod wave;
pub mod websocket;
pub mod worker;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_process::clock;
use berth_process::file::{self, FileError};
use berth_process::systemd::{self, Watchdog};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::access::AccessLog;
use crate::config::Config;
use crate::handover::{Inherited, Line};
use crate::listen::{Listener, Place};
use crate::persist::Saved;
use crate::pulse::Pulse;
use crate::setup::{Setup, SetupError};
use crate::shared::Shared;
use crate::table::Table;
use crate::tls::{Terminator, TlsError};
use crate::worker::Workers;

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
    /// The access log cannot be opened.
    #[error("access_log: cannot open {}: {source}; give another path", path.display())]
    AccessLog {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The system has no threads left.
    #[error("cannot start a worker: {0}")]
    Worker(std::io::Error),
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
    /// All that listen, by name.
    listeners: Listeners,
    /// Speaks with the process before, while that one drains.
    before: Option<JoinHandle<()>>,
    /// Closed when no connection lives any more.
    alive: mpsc::Receiver<()>,
    workers: Workers,
}

type Listeners = Arc<Mutex<Vec<(String, Arc<Listener>)>>>;

/// Starts the proxy by its configuration file.
///
/// # Errors
/// When an address or the state folder cannot be used.
pub async fn start(config: &Config) -> Result<Running, StartError> {
    start_setup(Setup::of_config(config)?, None).await
}

/// Starts the proxy: the table first, then the listeners. It never waits for the hub. Sockets and
/// knowledge of a process before are taken over.
///
/// # Errors
/// When an address, a certificate or the state folder cannot be used.
pub async fn start_setup(
    mut setup: Setup,
    inherited: Option<Inherited>,
) -> Result<Running, StartError> {
    let Inherited { sockets, knowledge, before } =
        inherited.unwrap_or(Inherited { sockets: Vec::new(), knowledge: None, before: None });
    let (routes, hub_users) =
        knowledge.map(|knowledge| (knowledge.routes, knowledge.hub_users)).unzip();
    let table = first_table(&mut setup, routes)?;
    let front_tls = terminator(setup.front_tls.take(), &front::ALPN)?;
    let api_tls = terminator(setup.api_tls.take(), &[b"http/1.1"])?;
    let mut open = Open { sockets, listeners: Listeners::default() };
    let mut places = std::mem::take(&mut setup.front).into_iter();
    let first = places.next().ok_or(StartError::NoAddress)?;
    let listener = open.listener("front", &first, "", "; is another proxy running?").await?;
    let api_listener = open.listener("api", &setup.api, " for the hub", "").await?;
    let metrics_listener = match &setup.metrics {
        Some(place) => Some(open.listener("metrics", place, " for metrics", "").await?),
        None => None,
    };
    let redirect_listener = match &setup.redirect {
        Some((place, port)) => {
            Some((open.listener("redirect", place, " for redirects", "").await?, *port))
        }
        None => None,
    };
    let none = SocketAddr::from(([0, 0, 0, 0], 0));
    let front = listener.address().unwrap_or(none);
    let api = api_listener.address();
    let metrics = metrics_listener.as_ref().and_then(|listener| listener.address());
    let redirect = redirect_listener.as_ref().and_then(|(listener, _)| listener.address());
    say_where(&setup, &first, &listener, &api_listener, metrics);

    let workers = Workers::start().map_err(StartError::Worker)?;
    let access = setup.access.take().map(open_access_log).transpose()?;
    let shared = Arc::new(Shared::new(table, setup, access));
    let mut said = String::new();
    if shared.credentials.come_from_files() {
        credentials::look(&shared.credentials, &mut said);
    }
    let wall_s = clock::now().as_millis() / 1000;
    match (hub_users, &shared.state) {
        (Some(saved), _) => shared.hub_away.restore(saved, wall_s),
        (None, Some(state)) => shared.hub_away.load(state, wall_s),
        (None, None) => {}
    }
    let (alive_sender, alive) = mpsc::channel(1);
    let mut tasks = vec![
        tokio::spawn(front::accept(
            listener,
            front_tls.clone(),
            shared.clone(),
            alive_sender.clone(),
            workers.clone(),
            Pulse::new(Watchdog::of_the_unit(), workers.clone()),
        )),
        tokio::spawn(api::accept(api_listener, api_tls, shared.clone())),
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
    for (index, place) in places.enumerate() {
        let (shared, alive, tls) = (shared.clone(), alive_sender.clone(), front_tls.clone());
        let workers = workers.clone();
        let name = format!("front {}", index.saturating_add(1));
        let (taken, listeners) = (open.take(&name), open.listeners.clone());
        tasks.push(tokio::spawn(async move {
            let listener = match taken {
                Some(listener) => listener,
                None => Arc::new(front::bind_patiently(place).await),
            };
            let known = (name, listener.clone());
            listeners.lock().unwrap_or_else(PoisonError::into_inner).push(known);
            front::accept(listener, tls, shared, alive, workers, Pulse::none()).await;
        }));
    }
    if before.is_none() {
        systemd::ready();
    }
    let before = before.map(|before| {
        let (sender, lines) = mpsc::unbounded_channel();
        shared.set_before(sender);
        tokio::spawn(handover::keep_before(before, shared.clone(), lines))
    });
    let listeners = open.listeners;
    Ok(Running { front, api, metrics, redirect, shared, tasks, listeners, before, alive, workers })
}

fn open_access_log(settings: access::Settings) -> Result<Arc<AccessLog>, StartError> {
    let path = settings.path.clone();
    AccessLog::open(settings).map_err(|source| StartError::AccessLog { path, source })
}

/// Listeners on their way to being open.
struct Open {
    /// Of the process before, or of systemd.
    sockets: Vec<(String, OwnedFd)>,
    listeners: Listeners,
}

impl Open {
    async fn listener(
        &mut self,
        name: &str,
        place: &Place,
        purpose: &'static str,
        hint: &'static str,
    ) -> Result<Arc<Listener>, StartError> {
        let listener = match self.take(name) {
            Some(listener) => listener,
            None => {
                let bound = listen::bind(place).await;
                let place = place.clone();
                Arc::new(bound.map_err(|source| StartError::Listen {
                    purpose,
                    place,
                    source,
                    hint,
                })?)
            }
        };
        let known = (name.to_owned(), listener.clone());
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(known);
        Ok(listener)
    }

    /// The socket of this name, if it came with us.
    fn take(&mut self, name: &str) -> Option<Arc<Listener>> {
        let at = self.sockets.iter().position(|(given, _)| given == name)?;
        let (_, socket) = self.sockets.swap_remove(at);
        match Listener::of_socket(socket) {
            Ok(listener) => Some(Arc::new(listener)),
            Err(error) => {
                tracing::error!(name, %error, "an inherited socket cannot be used");
                None
            }
        }
    }
}

/// Addresses as they are, also when the port was left to the system.
fn say_where(
    setup: &Setup,
    first: &Place,
    front: &Listener,
    api: &Listener,
    metrics: Option<SocketAddr>,
) {
    let shown = |place: &Place, listener: &Listener| match listener.address() {
        Some(address) => address.to_string(),
        None => place.to_string(),
    };
    let (front, api) = (shown(first, front), shown(&setup.api, api));
    if setup.rules.is_none() {
        tracing::info!(listen = front, api, "listening");
        return;
    }
    let scheme = |tls: bool| if tls { "https" } else { "http" };
    let target = setup.root.as_ref().and_then(|root| root.text("target"));
    let target = target.unwrap_or("(no default)");
    tracing::info!("Proxying {}://{front} to {target}", scheme(setup.front_is_tls));
    tracing::info!("Proxy API at {}://{api}/api/routes", scheme(setup.api_is_tls));
    if let Some(metrics) = metrics {
        tracing::info!("Serve metrics at http://{metrics}/metrics");
    }
}

/// The table as the last process left it, or with nothing but the root.
fn first_table(setup: &mut Setup, handed_over: Option<Saved>) -> Result<Table, StartError> {
    let now = clock::now();
    let root = setup.root.clone();
    if let Some(state) = &setup.state {
        file::make_folder(state, 0o700)?;
    }
    let mut table = match (&setup.rules, root) {
        (None, root) => Table::with_root(root, now),
        // In configurable-http-proxy it is a route like any other.
        (Some(_), root) => {
            let mut table = Table::default();
            if let Some(root) = root.filter(|_| handed_over.is_none()) {
                let target = root.text("target").unwrap_or_default().to_owned();
                if table.put("/".to_owned(), root, now).is_ok() {
                    tracing::info!("Route added / -> {target}");
                }
            }
            table
        }
    };
    let loaded = match (handed_over, &setup.state) {
        (Some(saved), _) => Some(saved),
        (None, Some(state)) => Some(persist::load(state)),
        (None, None) => None,
    };
    if let Some(saved) = loaded {
        table.highest = saved.highest;
        for route in persist::routes_of(saved) {
            table.restore(route);
        }
        tracing::info!(routes = table.posted().count(), "routes loaded");
    }
    Ok(table)
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
        systemd::stopping();
        self.shared.end();
        self.shared.tell_before(Line::Going);
        // Listeners end by themselves; those that still wait for their address do not.
        for task in &self.tasks {
            task.abort();
        }
        if timeout(DRAIN, self.alive.recv()).await.is_err() {
            tracing::warn!("connections are left after {} s and are cut", DRAIN.as_secs());
        }
        // Those that drain have been told; the last of them closes the line.
        if let Some(before) = self.before {
            let _ = timeout(DRAIN, before).await;
        }
        self.shared.flush_access_log().await;
        keep::save_all(self.shared).await;
    }

    /// Ends the proxy as configurable-http-proxy does: nothing in flight is waited for.
    pub async fn stop_at_once(self) {
        for task in &self.tasks {
            task.abort();
        }
        keep::save_all(self.shared).await;
    }

    /// Hands the listeners and all knowledge to the program that now stands where this one was
    /// started from, then drains. Returns when no connection is left; gives the proxy back when
    /// no successor came to serve.
    ///
    /// # Errors
    /// Never but with the proxy itself, which goes on as before.
    pub async fn hand_over(self) -> Result<(), Box<Self>> {
        self.shared.freeze(true);
        systemd::reloading(activation::clock_micros());
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let routes = keep::snapshot(&self.shared);
        let successor = match handover::start_successor(&self.shared, &listeners, routes).await {
            Ok(successor) => successor,
            Err(error) => {
                tracing::error!(%error, "no successor: this process goes on");
                self.shared.freeze(false);
                systemd::ready();
                return Err(Box::new(self));
            }
        };
        if let Some(id) = successor.id() {
            systemd::handed_over(id);
        }
        self.shared.draining.turn();
        for task in &self.tasks {
            task.abort();
        }
        // From here on nothing is accepted: who waits for this line opens the successor's connections.
        tracing::info!("a successor serves; this process drains");
        drop((listeners, self.listeners));
        handover::drain(self.shared, successor, self.before, self.alive).await;
        drop(self.workers);
        Ok(())
    }
}
