//! What all tasks of the proxy share.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::{Notify, watch};

use crate::credentials::Credentials;
use crate::hub_away::HubAway;
use crate::metrics::Metrics;
use crate::rules::Rules;
use crate::setup::Setup;
use crate::table::Table;

/// The proxy's whole state.
#[derive(Debug)]
pub struct Shared {
    table: RwLock<Table>,
    /// Told at each change of the table.
    pub changed: Notify,
    /// Token and certificates.
    pub credentials: Arc<Credentials>,
    /// What the hub said of tokens.
    pub hub_away: HubAway,
    /// Where routes and hub answers are kept, if they are.
    pub state: Option<PathBuf>,
    /// Held while a file is written: two writers would mix theirs.
    pub saving: Mutex<()>,
    /// Proxies before this one.
    pub trusted_proxies: Vec<IpAddr>,
    /// Origins besides our own.
    pub origins: Vec<String>,
    /// The policy `chp`; none is `berth`.
    pub rules: Option<Rules>,
    /// Counters.
    pub metrics: Metrics,
    /// While a successor takes over, the API changes nothing: it would be lost.
    pub frozen: AtomicBool,
    /// Turns true when a successor accepts in our place; what is open here goes on.
    pub draining: watch::Sender<bool>,
    /// Turns true when the proxy ends.
    pub going: watch::Sender<bool>,
}

impl Shared {
    /// State around a table.
    pub fn new(table: Table, setup: Setup) -> Self {
        Self {
            table: RwLock::new(table),
            changed: Notify::new(),
            credentials: Arc::new(setup.credentials),
            hub_away: HubAway::new(setup.hub_away_hours),
            state: setup.state,
            saving: Mutex::new(()),
            trusted_proxies: setup.trusted_proxies,
            origins: setup.origins,
            rules: setup.rules,
            metrics: Metrics::default(),
            frozen: AtomicBool::new(false),
            draining: watch::Sender::new(false),
            going: watch::Sender::new(false),
        }
    }

    /// The table, to read. Hold it for a moment only: requests wait behind a writer.
    pub fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table, to change; whoever does tells `changed`.
    pub fn table_mut(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Completes when the watch turns true, or when nobody is left to turn it.
pub async fn turned(mut watch: watch::Receiver<bool>) {
    let _ = watch.wait_for(|turned| *turned).await;
}
