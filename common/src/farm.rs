//! What hosts and hub agree on about Dask's schedulers in notebooks: each listens on a farm port of
//! its server, its workers' jobs say by their name on which, and its dashboard has a port of its own
//! inside the server.

/// What dask-jobqueue calls the jobs of its workers where nothing else is said.
pub const WORKER_JOB: &str = "dask-worker";

/// Beyond Dask's own 8787, which any other cluster of a notebook takes first.
const FIRST_DASHBOARD: u16 = 8800;

/// The port inside the server at which the dashboard is of the scheduler on its nth farm port; the
/// first is 0. `None`: no server has so many.
pub fn dashboard_port(nth: usize) -> Option<u16> {
    u16::try_from(nth).ok()?.checked_add(FIRST_DASHBOARD)
}

/// The name of the jobs whose workers belong to the scheduler on a farm port.
pub fn worker_job(port: u16) -> String {
    format!("{WORKER_JOB}-{port}")
}

/// The farm port in a job's name; `None`: it is no such job.
pub fn port_of_job(name: &str) -> Option<u16> {
    name.strip_prefix(WORKER_JOB)?.strip_prefix('-')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jobs_name_says_the_port_of_its_scheduler() {
        assert_eq!(port_of_job(&worker_job(30_001)), Some(30_001));
        for other in [WORKER_JOB, "dask-worker-", "dask-worker-x", "dask-worker-70000", "fit"] {
            assert_eq!(port_of_job(other), None, "{other}");
        }
        assert_eq!(dashboard_port(1), Some(8801));
        assert_eq!(dashboard_port(usize::MAX), None);
    }
}
