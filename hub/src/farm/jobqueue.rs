//! Clusters of dask-jobqueue, whose schedulers are in notebooks: known by the jobs of their workers.

use std::collections::BTreeMap;

use berth_common::ByteCount;
use berth_common::farm::{WORKER_JOB, dashboard_port, port_of_job};
use berth_core::Server;

use super::{Cluster, Job};

/// How its clusters' names begin.
pub const NAME: &str = "dask-jobqueue";

/// The clusters of a server, one for each scheduler. A job that runs is a worker; schedulers that
/// have nothing to do end by themselves, and their workers with them.
pub fn clusters(server: &Server, jobs: &[Job]) -> Vec<Cluster> {
    let ports = server.placement().map_or(&[][..], |placement| &placement.farm_ports);
    grouped(jobs, |port| dashboard(&server.prefix(), ports, port))
}

/// The jobs of workers, by the port of their scheduler, which has its dashboard somewhere.
fn grouped(jobs: &[Job], dashboard: impl Fn(u16) -> Option<String>) -> Vec<Cluster> {
    let mut by_port: BTreeMap<Option<u16>, Vec<&Job>> = BTreeMap::new();
    for job in jobs {
        let port = port_of_job(&job.name);
        if port.is_some() || job.name == WORKER_JOB {
            by_port.entry(port).or_default().push(job);
        }
    }
    let cluster = |(port, jobs)| cluster(port, port.and_then(&dashboard), jobs);
    by_port.into_iter().map(cluster).collect()
}

/// What these workers are together. `port`: where their scheduler is, if somebody says.
fn cluster(port: Option<u16>, dashboard: Option<String>, jobs: Vec<&Job>) -> Cluster {
    let run: Vec<_> = jobs.iter().filter(|job| job.state == "running").collect();
    let memory: u64 = run.iter().filter_map(|job| Some(job.memory?.0)).sum();
    Cluster {
        name: port.map_or_else(|| NAME.to_owned(), |port| format!("{NAME}:{port}")),
        state: if run.is_empty() { "pending" } else { "running" }.to_owned(),
        workers: u64::try_from(run.len()).ok(),
        cores: Some(run.iter().map(|job| job.cores).sum()),
        memory: Some(ByteCount(memory)),
        busy: Some(!run.is_empty()),
        dashboard,
    }
}

/// The path of the dashboard through the notebook server (jupyter-server-proxy), which lets in its
/// owner. `ports`: those of the server, in their order.
fn dashboard(prefix: &str, ports: &[u16], port: u16) -> Option<String> {
    let nth = ports.iter().position(|it| *it == port)?;
    Some(format!("{prefix}proxy/{}/status", dashboard_port(nth)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, state: &str) -> Job {
        Job {
            id: "1".into(),
            name: name.into(),
            state: state.into(),
            cores: 2,
            memory: Some(ByteCount(500)),
            reason: None,
        }
    }

    fn seen(jobs: &[Job]) -> Vec<Cluster> {
        grouped(jobs, |port| dashboard("/user/ann/", &[30_000, 30_001], port))
    }

    #[test]
    fn workers_are_clusters_by_their_scheduler() {
        assert_eq!(seen(&[job("wrap", "running")]), []);
        let jobs = [
            job("dask-worker-30001", "pending"),
            job("dask-worker-30000", "running"),
            job("dask-worker-30000", "running"),
            job("dask-worker-30000", "pending"),
            job("wrap", "running"),
        ];
        let [runs, waits] = &seen(&jobs)[..] else { panic!("one for each scheduler") };
        assert_eq!((runs.name.as_str(), runs.state.as_str()), ("dask-jobqueue:30000", "running"));
        assert_eq!(
            (runs.workers, runs.cores, runs.memory, runs.busy),
            (Some(2), Some(4), Some(ByteCount(1000)), Some(true))
        );
        assert_eq!(runs.dashboard.as_deref(), Some("/user/ann/proxy/8800/status"));
        assert_eq!((waits.name.as_str(), waits.state.as_str()), ("dask-jobqueue:30001", "pending"));
        assert_eq!((waits.workers, waits.busy), (Some(0), Some(false)));
        assert_eq!(waits.dashboard.as_deref(), Some("/user/ann/proxy/8801/status"));
    }

    #[test]
    fn a_scheduler_that_nobody_can_place_has_no_dashboard() {
        let [unnamed, elsewhere] =
            &seen(&[job("dask-worker", "running"), job("dask-worker-7", "running")])[..]
        else {
            panic!("two clusters")
        };
        assert_eq!((unnamed.name.as_str(), &unnamed.dashboard), ("dask-jobqueue", &None));
        assert_eq!((elsewhere.name.as_str(), &elsewhere.dashboard), ("dask-jobqueue:7", &None));
    }
}
