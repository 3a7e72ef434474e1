//! A table of our own in the kernel's packet filter: what containers cannot reach. They are in the
//! host's network otherwise, and it trusts its neighbours: file servers, management interfaces, the
//! cloud's metadata.
//!
//! From the containers' bridge nothing goes to the host and to private ranges, but for what is
//! allowed; nothing goes out under another address than a container's own; nobody but the host opens
//! a connection into the bridge, but the compute farm to the ports that are given for it. The public
//! Internet stays open. Docker's own tables are not touched:
//! a packet has to get through both.

use std::net::IpAddr;
use std::path::Path;

use serde_json::Value;
use tokio::sync::Mutex;

use crate::config::{Farm, Firewall, Mode};

mod nft;
mod rules;

use nft::Nft;
pub use rules::Prefix;

/// The bridge of this host's containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Its interface on the host.
    pub interface: String,
    /// The addresses of the containers.
    pub subnets: Vec<Prefix>,
    /// The host's own address in it.
    pub gateway: Option<IpAddr>,
}

/// The table, kept as it should be.
#[derive(Debug)]
pub struct Wall {
    table: String,
    nft: Nft,
    config: Firewall,
    farm: Option<Farm>,
    /// What the table is for, and how the kernel showed it when it was made.
    made: Mutex<Option<(Bridge, Value)>>,
}

impl Wall {
    /// The wall of the host with this name.
    pub fn new(host: &str, config: Firewall, farm: Option<Farm>) -> Self {
        let nft = Nft(config.nft.clone());
        Self {
            nft,
            table: format!("berth_{}", host.replace('-', "_")),
            config,
            farm,
            made: Mutex::default(),
        }
    }

    /// Whether servers may be made without it.
    pub fn is_required(&self) -> bool {
        self.config.mode == Mode::Required
    }

    /// Makes sure that the table is there and as it was made; says whether it had to be made.
    ///
    /// # Errors
    /// In words, when it cannot be made.
    pub async fn ensure(&self, bridge: &Bridge) -> Result<bool, String> {
        let mut made = self.made.lock().await;
        if self.config.mode == Mode::Off {
            return Ok(false);
        }
        let shown = self.nft.list(&self.table).await;
        if let (Some((of, right)), Ok(shown)) = (made.as_ref(), &shown)
            && of == bridge
            && right == shown
        {
            return Ok(false);
        }
        let again = made.take().is_some();
        // Containers' questions about names come from their own network.
        let names = rules::name_servers(Path::new("/etc/resolv.conf"));
        let farm = self.farm.as_ref();
        let table = rules::table(&self.table, bridge, &self.config.allow, &names, farm);
        self.nft.apply(&table).await?;
        *made = Some((bridge.clone(), self.nft.list(&self.table).await?));
        if again {
            tracing::warn!("the table {} was changed by somebody else: made anew", self.table);
        }
        Ok(true)
    }

    /// Removes the table, if there is one: what the configuration does not want must not stay.
    pub async fn remove(&self) {
        if self.nft.list(&self.table).await.is_ok() {
            match self.nft.apply(&rules::removal(&self.table)).await {
                Ok(()) => tracing::info!("the table {} is removed", self.table),
                Err(trouble) => tracing::warn!("the table {} stays: {trouble}", self.table),
            }
        }
    }

    /// How it is, for `berth-agent check`.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub async fn look(&self) -> Result<String, String> {
        if self.config.mode == Mode::Off {
            let text = "off: containers reach this host and its private networks";
            return Ok(format!("{text}; see [firewall]"));
        }
        let version = self.nft.version().await.map_err(|trouble| {
            let then = match self.is_required() {
                true => "no server is started without it",
                false => "servers run without it",
            };
            format!("{trouble}; {then}; install nftables, or see [firewall]")
        })?;
        match self.nft.list(&self.table).await {
            Ok(_) => Ok(format!("the table {} is there ({version})", self.table)),
            Err(trouble) => Err(format!("{trouble}; is the agent running? It makes the table")),
        }
    }
}
