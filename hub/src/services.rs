//! The services of `services.toml`: those with a command are started, kept alive and stopped here;
//! all with an address are told to the proxy. So are those that the API made.

mod environment;
mod made;
mod process;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::config::services::{Service, Services};
use crate::site::Hub;
use crate::storage::{Storage, StorageError};

/// How soon a change of the files is seen.
const LOOK: Duration = Duration::from_secs(1);

/// What others may know of the services.
#[derive(Debug, Default)]
pub struct Shared {
    /// The processes that run, by service.
    pids: Mutex<BTreeMap<String, u32>>,
    /// Where the proxy leads, by path: the service and its address.
    routes: watch::Sender<Routes>,
    /// Those that the API made.
    made: ArcSwap<Services>,
}

/// Routes of services, by path.
pub type Routes = BTreeMap<String, Route>;

/// A route to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its name.
    pub service: String,
    /// Scheme, host and port: the path stays as it was asked.
    pub target: String,
}

impl Shared {
    /// Before anything is started, with the services that the API made.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open(storage: &Storage) -> Result<Self, StorageError> {
        let shared = Self::default();
        shared.load(storage)?;
        Ok(shared)
    }

    /// Takes over the services that the API made.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn load(&self, storage: &Storage) -> Result<(), StorageError> {
        let made = storage.read(berth_store::Reader::made_services)?;
        let made = made.into_iter().map(|made| (made.name.clone(), Arc::new(made::read(made))));
        self.made.store(Arc::new(Services(made.collect())));
        Ok(())
    }

    /// The services that the API made.
    pub fn made(&self) -> Arc<Services> {
        self.made.load_full()
    }

    /// The process of a service that runs here.
    pub fn pid(&self, service: &str) -> Option<u32> {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner).get(service).copied()
    }

    fn note(&self, service: &str, pid: Option<u32>) {
        let mut pids = self.pids.lock().unwrap_or_else(PoisonError::into_inner);
        match pid {
            Some(pid) => pids.insert(service.to_owned(), pid),
            None => pids.remove(service),
        };
    }

    /// Follows the routes.
    pub fn routes(&self) -> watch::Receiver<Routes> {
        self.routes.subscribe()
    }

    /// Takes over where these are, before anybody is told of routes.
    pub fn follow(&self, services: &Services) {
        let wanted = routes(services);
        self.routes.send_if_modified(|told| {
            let changed = *told != wanted;
            *told = wanted;
            changed
        });
    }
}

fn routes(services: &Services) -> Routes {
    let mut routes = Routes::new();
    for service in services.0.values() {
        let Some(url) = &service.url else { continue };
        let target = url.origin().ascii_serialization();
        let own = service.prefix();
        let own = own.trim_end_matches('/');
        let below = service.only.iter().map(|path| path.trim_end_matches('/'));
        // Of a service that is whole, its own path is the one that is led there.
        for path in below.chain(service.only.is_empty().then_some("")) {
            let route = Route { service: service.name.clone(), target: target.clone() };
            routes.insert(format!("{own}{path}"), route);
        }
    }
    routes
}

/// Keeps processes and routes as the files want them, until it is stopped.
#[derive(Debug)]
pub struct Keeper {
    end: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Begins.
    pub fn start(hub: Arc<Hub>) -> Self {
        let (end, ended) = watch::channel(false);
        hub.services.follow(&hub.all_services());
        Self { end, task: tokio::spawn(keep(hub, ended)) }
    }

    /// Stops all processes and waits until they have ended.
    pub async fn stop(self) {
        self.end.send_replace(true);
        let _ = self.task.await;
    }
}

/// A service that is kept alive.
struct Kept {
    service: Arc<Service>,
    end: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Kept {
    fn start(hub: &Arc<Hub>, service: &Arc<Service>) -> Self {
        let (end, ended) = watch::channel(false);
        let task = tokio::spawn(process::keep_alive(Arc::clone(hub), Arc::clone(service), ended));
        Self { service: Arc::clone(service), end, task }
    }
}

async fn keep(hub: Arc<Hub>, mut ended: watch::Receiver<bool>) {
    let mut kept: BTreeMap<String, Kept> = BTreeMap::new();
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = told(&mut ended) => break,
        }
        let config = hub.config();
        hub.services.follow(&hub.all_services());
        let is_wanted = |one: &Kept| {
            let service = config.services.0.get(&one.service.name);
            service.is_some_and(|service| service.runs_like(&one.service))
        };
        let (stay, go) = kept.into_iter().partition(|(_, one)| is_wanted(one));
        kept = stay;
        // A changed one is stopped first: the new one may want the same port.
        end_all(go).await;
        for (name, service) in &config.services.0 {
            if !service.command.is_empty() && !kept.contains_key(name) {
                kept.insert(name.clone(), Kept::start(&hub, service));
            }
        }
    }
    end_all(kept).await;
}

/// Completes when the end was asked for.
async fn told(ended: &mut watch::Receiver<bool>) {
    let _ = ended.wait_for(|ended| *ended).await;
}

/// Stops services side by side.
async fn end_all(services: BTreeMap<String, Kept>) {
    for one in services.values() {
        one.end.send_replace(true);
    }
    for (_, one) in services {
        let _ = one.task.await;
    }
}
