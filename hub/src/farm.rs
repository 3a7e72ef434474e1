//! Work on the compute farm that belongs to servers: Dask clusters as Dask Gateway tells of them,
//! and Slurm's jobs. Both are asked now and then, within limits of time, and what they said last is
//! shown until they answer again; that one of them is silent is said, and harms nobody.

mod clusters;
pub mod dashboard;
mod errands;
mod gateway;
mod jobqueue;
mod quota;
mod slurm;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_common::{ByteCount, Generation, ServerId, Username};
use berth_core::life::Evidence;
use berth_core::{Event, Fleet, Server};
use berth_process::clock::now;
use serde::Serialize;
use tokio::time::MissedTickBehavior;

use clusters::Owed;
pub use errands::Errands;
pub use gateway::Gateway;
pub use quota::{Left, left};

use crate::site::Hub;

/// A Dask cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// The gateway's name for it; of dask-jobqueue's, whose schedulers are in the notebook, the
    /// program's name and the scheduler's farm port.
    pub name: String,
    /// What it does: `pending`, `running`, `stopping`.
    pub state: String,
    /// Workers that are there; this and what follows is `None` when nobody says.
    pub workers: Option<u64>,
    /// Processors of the workers.
    pub cores: Option<u64>,
    /// Memory of the workers.
    pub memory: Option<ByteCount>,
    /// Whether it computes.
    pub busy: Option<bool>,
    /// The path of its dashboard, for its owner.
    pub dashboard: Option<String>,
}

/// A job in Slurm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Job {
    /// Slurm's number.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Slurm's word for its state, in small letters.
    pub state: String,
    /// Its processors.
    pub cores: u64,
    /// Its memory, if Slurm says.
    pub memory: Option<ByteCount>,
    /// Why it waits.
    pub reason: Option<String>,
}

/// What is known of a server's work on the farm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Work {
    /// Its Dask clusters.
    pub clusters: Vec<Cluster>,
    /// Its jobs in Slurm.
    pub jobs: Vec<Job>,
    /// Why Slurm could not be asked; the jobs are then those that it told of last.
    pub slurm_trouble: Option<String>,
    /// The same of the gateway and its clusters.
    pub gateway_trouble: Option<String>,
}

impl Cluster {
    /// Whether its scheduler is in the notebook, and Slurm says what there is to say.
    fn is_in_notebook(&self) -> bool {
        self.name.starts_with(jobqueue::NAME)
    }
}

impl Work {
    /// Whether there is anything to tell.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a cluster of it computes, as was heard just now.
    fn is_busy(&self) -> bool {
        let trouble = |cluster: &Cluster| match cluster.is_in_notebook() {
            true => &self.slurm_trouble,
            false => &self.gateway_trouble,
        };
        let mut clusters = self.clusters.iter();
        clusters.any(|cluster| cluster.busy == Some(true) && trouble(cluster).is_none())
    }
}

/// What the farm told last.
#[derive(Debug, Default)]
pub struct Shared {
    seen: Mutex<Seen>,
    /// Tokens by which the hub asks the gateway in somebody's name.
    pub errands: Errands,
}

#[derive(Debug, Default)]
struct Seen {
    work: BTreeMap<ServerId, Arc<Work>>,
    slurm_trouble: Option<String>,
}

impl Shared {
    /// The work of a server.
    pub fn of(&self, server: &ServerId) -> Arc<Work> {
        self.lock().work.get(server).cloned().unwrap_or_default()
    }

    /// Why Slurm did not answer when it was asked last.
    pub fn slurm_trouble(&self) -> Option<String> {
        self.lock().slurm_trouble.clone()
    }

    /// Makes this what the farm told last of a server, for tests of what people are shown.
    #[cfg(test)]
    pub(crate) fn tell(&self, server: &ServerId, work: Work) {
        self.lock().work.insert(server.clone(), Arc::new(work));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Marks what a start of a server sends to the farm, in jobs and clusters.
pub fn mark(server: &ServerId, generation: Generation) -> String {
    format!("berth-{server}-{}", generation.0)
}

/// The server and start of a mark.
fn read_mark(text: &str) -> Option<(ServerId, Generation)> {
    let (server, generation) = text.strip_prefix("berth-")?.split_once('-')?;
    Some((server.parse().ok()?, Generation(generation.parse().ok()?)))
}

/// Asks the farm again and again, until the hub ends.
pub async fn keep(hub: Arc<Hub>) {
    // Of clusters whose server ended while no hub looked, nobody else knows.
    let mut owed = None;
    loop {
        let every = hub.config().farm.every;
        let mut pause = tokio::time::interval(Duration::from_secs(every.0.max(1)));
        pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pause.tick().await;
        owed = look(&hub, owed).await;
        pause.tick().await;
    }
}

/// Asks once, and returns whose clusters must be looked at the next time whatever happens to their
/// rights and servers; `None`: all, as nobody has been asked yet.
async fn look(hub: &Arc<Hub>, owed: Option<Owed>) -> Option<Owed> {
    let config = hub.config();
    let fleet = hub.fleet.fleet();
    let gateway = Gateway::of(&config);
    let nobody: &[String] = &[];
    let is_used = fleet.servers.values().any(|server| server.is_active());
    let squeue = if is_used { &config.farm.squeue } else { nobody };
    let asked = clusters::ask(hub, &fleet, gateway.as_ref(), owed.as_ref());
    let (slurm, heard) = tokio::join!(slurm::jobs(squeue), asked);
    let mut work: BTreeMap<ServerId, Work> = BTreeMap::new();
    let gateway = gateway.as_ref();
    let still_owed = clusters::note(hub, &fleet, gateway, heard, owed.as_ref(), &mut work).await;
    let trouble = slurm.as_ref().err().cloned();
    match slurm {
        Ok(jobs) => {
            for (mark, owner, job) in jobs {
                let server = fleet.servers.get(&mark).filter(|it| it.is_active());
                if let Some(server) = server.filter(|server| server.owner.as_str() == owner) {
                    work.entry(server.id.clone()).or_default().jobs.push(job);
                }
            }
        }
        Err(trouble) => {
            for server in fleet.servers.values().filter(|server| uses_farm(&fleet, server)) {
                let before = hub.farm.of(&server.id);
                let work = work.entry(server.id.clone()).or_default();
                work.jobs.clone_from(&before.jobs);
                work.slurm_trouble = Some(trouble.clone());
            }
        }
    }
    for (id, work) in &mut work {
        if let Some(server) = fleet.servers.get(id) {
            work.clusters.extend(jobqueue::clusters(server, &work.jobs));
        }
    }
    for (server, work) in &work {
        if work.is_busy() {
            let (server, kind, at) = (server.clone(), Evidence::Cluster, now());
            hub.fleet.send(Event::Activity { server, kind, at }).await;
        }
    }
    let work = work.into_iter().map(|(server, work)| (server, Arc::new(work))).collect();
    *hub.farm.lock() = Seen { work, slurm_trouble: trouble };
    gateway.is_some().then_some(still_owed)
}

fn active_servers<'a>(
    fleet: &'a Fleet,
    owner: &'a Username,
) -> impl Iterator<Item = &'a Arc<Server>> {
    fleet.servers_of(owner).filter(|server| server.is_active())
}

/// Whether a server is of a profile for the farm.
fn uses_farm(fleet: &Fleet, server: &Server) -> bool {
    let profile = fleet.settings.profiles.get(&server.ask.profile);
    server.is_active() && profile.is_some_and(|profile| profile.is_for_farm())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_names_a_start() {
        let server = ServerId::from_random(7);
        let text = mark(&server, Generation(3));
        assert_eq!(read_mark(&text), Some((server, Generation(3))));
        for bad in ["", "berth-", "berth-x-1", "berth-0000000000000007", "0000000000000007-3"] {
            assert_eq!(read_mark(bad), None, "{bad}");
        }
    }
}
