//! A server's work on the compute farm, on its card and page.

use berth_common::ByteCount;
use berth_core::Server;

use crate::farm::{Cluster, Job};
use crate::site::Hub;
use crate::web::say;

/// More jobs nobody reads on a card; the others are counted.
const MOST_JOBS: usize = 10;

/// What is shown of it.
#[derive(Debug, Clone)]
pub struct FarmPart {
    /// Dask clusters.
    pub clusters: Vec<ClusterLine>,
    /// Jobs in Slurm.
    pub jobs: Vec<JobLine>,
    /// Jobs beyond those.
    pub more: usize,
    /// What is not known, and why.
    pub troubles: Vec<String>,
}

/// A Dask cluster.
#[derive(Debug, Clone)]
pub struct ClusterLine {
    /// Its name, cut to what tells it from others.
    pub name: String,
    /// Its state.
    pub state: String,
    /// Workers, processors, memory.
    pub has: String,
    /// Whether it computes, in words.
    pub busy: Option<String>,
    /// Its dashboard.
    pub dashboard: Option<String>,
}

/// A job.
#[derive(Debug, Clone)]
pub struct JobLine {
    /// Slurm's number.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its state in Slurm's word, and why it waits.
    pub state: String,
    /// Processors and memory.
    pub has: String,
}

impl FarmPart {
    /// Of a server at this moment; `None` when there is nothing to tell.
    pub fn of(hub: &Hub, server: &Server) -> Option<Self> {
        let work = hub.farm.of(&server.id);
        if work.is_nothing() || !server.is_active() {
            return None;
        }
        let gateway =
            work.gateway_trouble.iter().map(|why| say::t("farm-clusters-unknown").with("why", why));
        let slurm =
            work.slurm_trouble.iter().map(|why| say::t("farm-jobs-unknown").with("why", why));
        Some(Self {
            clusters: work.clusters.iter().map(cluster).collect(),
            jobs: work.jobs.iter().take(MOST_JOBS).map(job).collect(),
            more: work.jobs.len().saturating_sub(MOST_JOBS),
            troubles: gateway.chain(slurm).map(|said| said.to_string()).collect(),
        })
    }
}

fn cluster(it: &Cluster) -> ClusterLine {
    let known = it.workers.zip(it.cores);
    let has = known.map(|(workers, cores)| {
        let workers = say::t("farm-workers").with("count", workers);
        format!("{workers}, {}", amounts(cores, it.memory))
    });
    let busy = it.busy.map(|busy| if busy { say::t("farm-busy") } else { say::t("farm-idle") });
    ClusterLine {
        name: it.name.clone(),
        state: it.state.clone(),
        has: has.unwrap_or_default(),
        busy: busy.map(|said| said.to_string()),
        dashboard: it.dashboard.clone(),
    }
}

fn job(it: &Job) -> JobLine {
    let state = match &it.reason {
        Some(reason) => format!("{} ({reason})", it.state),
        None => it.state.clone(),
    };
    let has = amounts(it.cores, it.memory);
    JobLine { id: it.id.clone(), name: it.name.clone(), state, has }
}

fn amounts(cores: u64, memory: Option<ByteCount>) -> String {
    let cores = say::t("farm-cores").with("count", cores);
    match memory {
        Some(memory) => format!("{cores}, {memory}"),
        None => cores.to_string(),
    }
}
