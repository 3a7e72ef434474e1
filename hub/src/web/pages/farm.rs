//! A server's work on the compute farm, on its card and page.

use berth_common::ByteCount;
use berth_core::Server;

use crate::farm::{Cluster, Job};
use crate::site::Hub;
use crate::web::say;

/// More clusters or jobs nobody reads on a card; the others are counted.
const MOST: usize = 10;

/// What is shown of it.
#[derive(Debug, Clone)]
pub struct FarmPart {
    /// Dask clusters.
    pub clusters: Vec<ClusterLine>,
    /// Clusters beyond those.
    pub more_clusters: usize,
    /// Jobs in Slurm.
    pub jobs: Vec<JobLine>,
    /// Jobs beyond those.
    pub more_jobs: usize,
    /// What is not known, and why.
    pub troubles: Vec<Trouble>,
}

/// Something that could not be asked.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// What is not known.
    pub said: String,
    /// Why, in the words of whoever was asked.
    pub why: String,
}

/// A Dask cluster.
#[derive(Debug, Clone)]
pub struct ClusterLine {
    /// Its name, by which a notebook connects to it.
    pub name: String,
    /// Its state, in words.
    pub state: String,
    /// How the state is drawn.
    pub class: &'static str,
    /// Workers, processors, memory; empty while there are none.
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
    /// Its state in Slurm's word.
    pub state: String,
    /// How the state is drawn.
    pub class: &'static str,
    /// Processors and memory.
    pub has: String,
    /// Why it waits, in Slurm's word.
    pub reason: Option<String>,
}

impl FarmPart {
    /// Of a server at this moment; `None` when there is nothing to tell.
    pub fn of(hub: &Hub, server: &Server) -> Option<Self> {
        let work = hub.farm.of(&server.id);
        if work.is_nothing() || !server.is_active() {
            return None;
        }
        let trouble =
            |unknown, why: &String| Trouble { said: say::t(unknown).to_string(), why: why.clone() };
        let gateway = work.gateway_trouble.iter().map(|why| trouble("farm-clusters-unknown", why));
        let slurm = work.slurm_trouble.iter().map(|why| trouble("farm-jobs-unknown", why));
        Some(Self {
            clusters: work.clusters.iter().take(MOST).map(cluster).collect(),
            more_clusters: work.clusters.len().saturating_sub(MOST),
            jobs: work.jobs.iter().take(MOST).map(job).collect(),
            more_jobs: work.jobs.len().saturating_sub(MOST),
            troubles: gateway.chain(slurm).collect(),
        })
    }
}

fn cluster(it: &Cluster) -> ClusterLine {
    let runs = it.state == "running";
    let has = match it.workers.zip(it.cores) {
        Some((workers, cores)) => {
            let workers = say::t("farm-workers").with("count", workers);
            format!("{workers}, {}", amounts(cores, it.memory))
        }
        None if runs => say::t("farm-size-unknown").to_string(),
        None => String::new(),
    };
    let busy = it.busy.map(|busy| if busy { say::t("farm-busy") } else { say::t("farm-idle") });
    let state = match it.state.as_str() {
        "pending" => say::t("farm-pending").to_string(),
        "running" => say::t("farm-running").to_string(),
        "stopping" => say::t("farm-stopping").to_string(),
        other => other.to_owned(),
    };
    ClusterLine {
        name: it.name.clone(),
        state,
        class: class(&it.state),
        has,
        busy: busy.map(|said| said.to_string()),
        dashboard: it.dashboard.clone(),
    }
}

fn job(it: &Job) -> JobLine {
    JobLine {
        id: it.id.clone(),
        name: it.name.clone(),
        state: it.state.clone(),
        class: class(&it.state),
        has: amounts(it.cores, it.memory),
        reason: it.reason.clone(),
    }
}

fn class(state: &str) -> &'static str {
    match state {
        "running" => "is-good",
        "pending" => "is-warn",
        _ => "",
    }
}

fn amounts(cores: u64, memory: Option<ByteCount>) -> String {
    let cores = say::t("farm-cores").with("count", cores);
    match memory {
        Some(memory) => format!("{cores}, {memory}"),
        None => cores.to_string(),
    }
}
