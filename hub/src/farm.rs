//! Work on the compute farm that belongs to servers: Dask clusters as Dask Gateway tells of them,
//! and Slurm's jobs. Both are asked now and then, within limits of time, and what they said last is
//! shown until they answer again; that one of them is silent is said, and harms nobody.

pub mod dashboard;
mod errands;
mod gateway;
mod quota;
mod slurm;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_common::{ByteCount, Generation, ServerId, Username};
use berth_core::life::Evidence;
use berth_core::{Event, Fleet, Server};
use berth_process::clock::now;
use futures::StreamExt;
use serde::Serialize;
use tokio::time::MissedTickBehavior;

pub use errands::Errands;
pub use gateway::Gateway;
pub use quota::{Left, left};

use crate::site::Hub;

/// Owners whose clusters are asked for side by side.
const AT_ONCE: usize = 8;
/// What dask-jobqueue calls the jobs of its workers.
const JOBQUEUE_WORKER: &str = "dask-worker";

/// A Dask cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// The gateway's name for it; of dask-jobqueue's, whose schedulers are in the notebook, the
    /// program's name.
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

impl Work {
    /// Whether there is anything to tell.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a cluster of it computes, as was heard just now.
    fn is_busy(&self) -> bool {
        let trouble = |cluster: &Cluster| match cluster.name.as_str() {
            JOBQUEUE => &self.slurm_trouble,
            _ => &self.gateway_trouble,
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
    let mut owed: Option<BTreeSet<Username>> = None;
    loop {
        let every = hub.config().farm.every;
        let mut pause = tokio::time::interval(Duration::from_secs(every.0.max(1)));
        pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pause.tick().await;
        owed = Some(look(&hub, owed).await);
        pause.tick().await;
    }
}

/// Asks once. `owed` are those whose clusters must be looked at although nothing of theirs runs;
/// `None`: all. Returns who is owed now.
async fn look(hub: &Arc<Hub>, owed: Option<BTreeSet<Username>>) -> BTreeSet<Username> {
    let config = hub.config();
    let fleet = hub.fleet.fleet();
    let owners = |active: bool| {
        let theirs = move |server: &&Arc<Server>| !active || server.is_active();
        let servers = fleet.servers.values().filter(theirs);
        servers.map(|server| server.owner.clone()).collect::<BTreeSet<_>>()
    };
    let active = owners(true);
    let asked = match owed {
        None => owners(false),
        Some(owed) => active.union(&owed).cloned().collect(),
    };
    let gateway = Gateway::of(&config);
    let nobody: &[String] = &[];
    let squeue = if active.is_empty() { nobody } else { &config.farm.squeue };
    let (slurm, told) = tokio::join!(slurm::jobs(squeue), clusters(hub, gateway.as_ref(), &asked));
    let mut work: BTreeMap<ServerId, Work> = BTreeMap::new();
    let mut still_owed = BTreeSet::new();
    for (owner, clusters) in told {
        match clusters {
            Ok(clusters) => {
                for (mark, cluster) in clusters {
                    let server = mark.as_deref().and_then(read_mark).and_then(|(id, start)| {
                        let server = fleet.servers.get(&id)?;
                        (server.owner == owner).then_some((server, start))
                    });
                    let Some((server, start)) = server else { continue };
                    let newest = server.generation == start;
                    // One that began after we looked at the servers is told of the next time.
                    let over = start < server.generation || (newest && !server.is_active());
                    if newest && server.is_active() {
                        work.entry(server.id.clone()).or_default().clusters.push(cluster);
                    } else if over && config.farm.end_with_server && cluster.state != "stopping" {
                        still_owed.insert(owner.clone());
                        end(hub, gateway.as_ref(), &owner, &cluster.name).await;
                    }
                }
                if active.contains(&owner) {
                    // Whoever has a server now may leave a cluster behind when it ends.
                    still_owed.insert(owner);
                }
            }
            Err(trouble) => {
                for server in active_servers(&fleet, &owner) {
                    let before = hub.farm.of(&server.id);
                    let work = work.entry(server.id.clone()).or_default();
                    let kept = before.clusters.iter().filter(|it| it.name != JOBQUEUE);
                    work.clusters = kept.cloned().collect();
                    work.gateway_trouble = Some(trouble.clone());
                }
                still_owed.insert(owner);
            }
        }
    }
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
    for work in work.values_mut() {
        work.clusters.extend(jobqueue(&work.jobs));
    }
    for (server, work) in &work {
        if work.is_busy() {
            let (server, kind, at) = (server.clone(), Evidence::Cluster, now());
            hub.fleet.send(Event::Activity { server, kind, at }).await;
        }
    }
    let work = work.into_iter().map(|(server, work)| (server, Arc::new(work))).collect();
    *hub.farm.lock() = Seen { work, slurm_trouble: trouble };
    still_owed
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

/// The clusters of some people, each with the mark of the server that began it.
type Told = (Username, Result<Vec<(Option<String>, Cluster)>, String>);

async fn clusters(
    hub: &Arc<Hub>,
    gateway: Option<&Gateway>,
    owners: &BTreeSet<Username>,
) -> Vec<Told> {
    let Some(gateway) = gateway else { return Vec::new() };
    let allowed = owners.iter().filter(|owner| gateway.may_use(hub, owner));
    let asked: Vec<_> = allowed.map(|owner| ask(hub, gateway.clone(), owner.clone())).collect();
    futures::stream::iter(asked).buffer_unordered(AT_ONCE).collect().await
}

fn ask(hub: &Arc<Hub>, gateway: Gateway, owner: Username) -> impl Future<Output = Told> + use<> {
    let errand = hub.farm.errands.begin(&owner, gateway.service());
    async move {
        let told = gateway.clusters(&errand).await;
        (owner, told)
    }
}

async fn end(hub: &Arc<Hub>, gateway: Option<&Gateway>, owner: &Username, cluster: &str) {
    let Some(gateway) = gateway else { return };
    let token = hub.farm.errands.begin(owner, gateway.service());
    match gateway.end(&token, cluster).await {
        Ok(()) => tracing::info!(%owner, cluster, "cluster ended with its server"),
        Err(error) => tracing::warn!(%owner, cluster, error, "cluster not ended yet"),
    }
}

const JOBQUEUE: &str = "dask-jobqueue";

/// The workers of dask-jobqueue's schedulers in the notebook, as one cluster. A job that runs is a
/// worker; schedulers that have nothing to do end by themselves, and their workers with them.
fn jobqueue(jobs: &[Job]) -> Option<Cluster> {
    let all: Vec<&Job> = jobs.iter().filter(|job| job.name == JOBQUEUE_WORKER).collect();
    let run: Vec<&&Job> = all.iter().filter(|job| job.state == "running").collect();
    let memory: u64 = run.iter().filter_map(|job| Some(job.memory?.0)).sum();
    (!all.is_empty()).then(|| Cluster {
        name: JOBQUEUE.to_owned(),
        state: if run.is_empty() { "pending" } else { "running" }.to_owned(),
        workers: u64::try_from(run.len()).ok(),
        cores: Some(run.iter().map(|job| job.cores).sum()),
        memory: Some(ByteCount(memory)),
        busy: Some(!run.is_empty()),
        dashboard: None,
    })
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

    #[test]
    fn workers_of_jobqueue_are_a_cluster() {
        let job = |name: &str, state: &str| Job {
            id: "1".into(),
            name: name.into(),
            state: state.into(),
            cores: 2,
            memory: Some(ByteCount(500)),
            reason: None,
        };
        assert_eq!(jobqueue(&[job("wrap", "running")]), None);
        let waits = jobqueue(&[job(JOBQUEUE_WORKER, "pending")]).unwrap();
        assert_eq!(
            (waits.state.as_str(), waits.workers, waits.busy),
            ("pending", Some(0), Some(false))
        );
        let jobs = [
            job(JOBQUEUE_WORKER, "running"),
            job(JOBQUEUE_WORKER, "running"),
            job("wrap", "running"),
        ];
        let runs = jobqueue(&jobs).unwrap();
        assert_eq!(
            (runs.workers, runs.cores, runs.memory),
            (Some(2), Some(4), Some(ByteCount(1000)))
        );
        assert_eq!(runs.busy, Some(true));
    }
}
