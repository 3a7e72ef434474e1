//! What all tasks of the proxy share.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::{Notify, watch};

use crate::credentials::Credentials;
use crate::hub_away::HubAway;
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
    /// Where routes and hub answers are kept.
    pub state: PathBuf,
    /// Held while a file is written: two writers would mix theirs.
    pub saving: Mutex<()>,
    /// Proxies before this one.
    pub trusted_proxies: Vec<IpAddr>,
    /// Origins besides our own.
    pub origins: Vec<String>,
    /// Turns true when the proxy ends.
    pub going: watch::Sender<bool>,
}

impl Shared {
    /// State around a table.
    pub fn new(
        table: Table,
        credentials: Arc<Credentials>,
        config: &crate::config::Config,
    ) -> Self {
        Self {
            table: RwLock::new(table),
            changed: Notify::new(),
            credentials,
            hub_away: HubAway::new(config.hub_away_hours),
            state: config.state.clone(),
            saving: Mutex::new(()),
            trusted_proxies: config.trusted_proxies.clone(),
            origins: config.origins.clone(),
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
