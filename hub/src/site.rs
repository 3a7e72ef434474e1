//! What every part of the hub shares: one value, made at start-up, reached through an `Arc`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use berth_common::Generation;
use berth_core::Server;
use berth_store::User;
use tokio::sync::{Notify, mpsc, watch};

use crate::agenda::Agenda;
use crate::auth::oidc::Providers;
use crate::ca::Ca;
use crate::config::Config;
use crate::config::services::{Service, Services};
use crate::directory::Directory;
use crate::doctor;
use crate::driver::FleetHandle;
use crate::farm;
use crate::keys::Keys;
use crate::link;
use crate::metrics;
use crate::reload::Configuration;
use crate::samples;
use crate::services;
use crate::storage::Storage;

/// The hub's shared parts.
#[derive(Debug)]
pub struct Hub {
    /// The files as last read and found good.
    pub config: ArcSwap<Config>,
    /// Where those files come from, and what is to be said of those on disk.
    pub configuration: Configuration,
    /// The fleet: snapshots to read, events to send.
    pub fleet: FleetHandle,
    /// The calendar that people keep beside the files.
    pub agenda: Agenda,
    /// People, sessions, tokens, decisions.
    pub storage: Storage,
    /// Secret keys outside the store.
    pub keys: Keys,
    /// The site's identity provider.
    pub providers: Providers,
    /// Whose word counts for accounts.
    pub directory: Directory,
    /// The certificate authority for hosts and proxy.
    pub ca: Ca,
    /// SHA-256 hashes of tokens that ended, for the proxy to forget.
    pub revoked: mpsc::UnboundedSender<Vec<u8>>,
    /// What is counted, for Prometheus.
    pub metrics: metrics::Shared,
    /// The services that run here, and where the proxy finds all of them.
    pub services: services::Shared,
    /// The hosts, for what is asked of them when somebody looks.
    pub asked: link::asked::Hosts,
    /// Work on the compute farm.
    pub farm: farm::Shared,
    /// What running servers used over their life.
    pub samples: samples::Samples,
    /// How the checks of `doctor` went before.
    pub checked: doctor::past::Pasts,
    /// The routes that the proxy has confirmed, by path.
    pub routed: watch::Sender<BTreeMap<String, Generation>>,
    /// Somebody who may has asked the hub to end.
    pub end: Notify,
}

impl Hub {
    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// The service of this name.
    pub fn service(&self, name: &str) -> Option<Arc<Service>> {
        let written = self.config().services.0.get(name).cloned();
        written.or_else(|| self.services.made().0.get(name).cloned())
    }

    /// The service with this OAuth client, if it can prove itself.
    pub fn service_of_client(&self, id: &str) -> Option<Arc<Service>> {
        self.all_services().by_client(id).cloned()
    }

    /// The services of the files and those that the API made. A name in the files is the files'.
    pub fn all_services(&self) -> Services {
        let mut all = self.services.made().0.clone();
        all.extend(
            self.config().services.0.iter().map(|(name, it)| (name.clone(), Arc::clone(it))),
        );
        Services(all)
    }

    /// Whether somebody is an administrator: made one in the hub, or by the site's roles.
    pub fn is_admin(&self, user: &User) -> bool {
        user.admin || self.config().people.roles.make_admin(&user.account)
    }

    /// Whether somebody looks after a training.
    pub fn teaches(&self, user: &User) -> bool {
        let fleet = self.fleet.fleet();
        let mut trainings = fleet.settings.trainings.values();
        trainings.any(|training| training.instructors.contains(&user.account.name))
    }

    /// Whether people can open a server: it answers, and the proxy leads there.
    pub fn is_open(&self, server: &Server) -> bool {
        server.is_ready() && self.routed.borrow().get(&server.prefix()) == Some(&server.generation)
    }

    /// Tells the proxy to forget tokens that ended.
    pub fn forget_tokens(&self, hashes: Vec<Vec<u8>>) {
        for hash in hashes {
            let _ = self.revoked.send(hash);
        }
    }
}
