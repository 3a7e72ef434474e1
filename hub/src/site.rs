//! What every part of the hub shares: one value, made at start-up, reached through an `Arc`.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use crate::ca::Ca;
use crate::config::Config;
use crate::driver::FleetHandle;
use crate::keys::Keys;
use crate::storage::Storage;

/// The hub's shared parts.
#[derive(Debug)]
pub struct Hub {
    /// The files as last read and found good.
    pub config: ArcSwap<Config>,
    /// The fleet: snapshots to read, events to send.
    pub fleet: FleetHandle,
    /// People, sessions, tokens, decisions.
    pub storage: Storage,
    /// Secret keys outside the store.
    pub keys: Keys,
    /// The certificate authority for hosts and proxy.
    pub ca: Ca,
    /// SHA-256 hashes of tokens that ended, for the proxy to forget.
    pub revoked: mpsc::UnboundedSender<Vec<u8>>,
}

impl Hub {
    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// Tells the proxy to forget tokens that ended.
    pub fn forget_tokens(&self, hashes: Vec<Vec<u8>>) {
        for hash in hashes {
            let _ = self.revoked.send(hash);
        }
    }
}
