//! The hub's own work: how long it takes, and what browsers complain of.

use std::time::{Duration, Instant};

use berth_core::event::Event;
use prometheus::{Histogram, HistogramVec, IntCounter};

use super::shelf::Shelf;
use super::{CALL_BUCKETS, observe};

/// Between two looks at how late the runtime is.
const LOOK: Duration = Duration::from_millis(250);

/// Series of the hub's own work.
#[derive(Debug)]
pub struct Work {
    logouts: Histogram,
    reports: HistogramVec,
    proxy_polls: Histogram,
    route_checks: Histogram,
    startups: Histogram,
    restores: Histogram,
    lateness: Histogram,
    complaints: IntCounter,
    decisions: Histogram,
}

/// What a step of the fleet was for, as far as its time is of interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// A request was decided.
    Decision,
    /// A host told of servers that run.
    Running,
    /// A host told that it has none.
    Stopped,
    /// Anything else.
    Other,
}

impl StepKind {
    /// Of an event.
    pub fn of(event: &Event) -> Self {
        match event {
            Event::Start(_) => Self::Decision,
            Event::Reported { report, .. } => match &report.engine {
                Ok(servers) if servers.is_empty() => Self::Stopped,
                _ => Self::Running,
            },
            _ => Self::Other,
        }
    }
}

impl Work {
    /// With nothing counted.
    pub fn new(shelf: &mut Shelf) -> Result<Self, prometheus::Error> {
        let calls = &CALL_BUCKETS;
        let work = Self {
            logouts: shelf.histogram(
                "jupyterhub_logout_duration_seconds",
                "Time of a logout",
                calls,
            )?,
            reports: shelf.histograms(
                "jupyterhub_server_poll_duration_seconds",
                "Time to take in a host's report: of servers that run there, or that none does",
                &["status"],
                calls,
            )?,
            proxy_polls: shelf.histogram(
                "jupyterhub_proxy_poll_duration_seconds",
                "Time in which the proxy answers with the routes that it has",
                calls,
            )?,
            route_checks: shelf.histogram(
                "jupyterhub_check_routes_duration_seconds",
                "Time to compare all routes with the proxy's, and to mend them",
                calls,
            )?,
            startups: shelf.histogram(
                "jupyterhub_hub_startup_duration_seconds",
                "From the start of the hub until it is ready",
                calls,
            )?,
            restores: shelf.histogram(
                "jupyterhub_init_spawners_duration_seconds",
                "Time to take hosts and servers from the store at the start",
                calls,
            )?,
            lateness: shelf.histogram(
                "jupyterhub_event_loop_interval_seconds",
                "By how much the hub's runtime comes too late to what is due",
                calls,
            )?,
            complaints: shelf.counter(
                "jupyterhub_csp_reports_total",
                "Complaints of browsers that a page broke its content security policy",
            )?,
            decisions: shelf.histogram(
                "berth_decision_seconds",
                "Time in which a request is decided, without the store's commit",
                calls,
            )?,
        };
        for status in ["running", "stopped"] {
            let _ = work.reports.get_metric_with_label_values(&[status])?;
        }
        Ok(work)
    }

    /// The fleet took one step.
    pub fn stepped(&self, kind: StepKind, begun: Instant) {
        match kind {
            StepKind::Decision => self.decisions.observe(begun.elapsed().as_secs_f64()),
            StepKind::Running => observe(&self.reports, &["running"], begun),
            StepKind::Stopped => observe(&self.reports, &["stopped"], begun),
            StepKind::Other => {}
        }
    }

    /// Somebody logged out.
    pub fn logged_out(&self, begun: Instant) {
        self.logouts.observe(begun.elapsed().as_secs_f64());
    }

    /// The proxy told its routes.
    pub fn proxy_polled(&self, begun: Instant) {
        self.proxy_polls.observe(begun.elapsed().as_secs_f64());
    }

    /// All routes were compared.
    pub fn routes_checked(&self, begun: Instant) {
        self.route_checks.observe(begun.elapsed().as_secs_f64());
    }

    /// The hub is ready.
    pub fn ready(&self, begun: Instant) {
        self.startups.observe(begun.elapsed().as_secs_f64());
    }

    /// Hosts and servers were taken from the store.
    pub fn restored(&self, begun: Instant) {
        self.restores.observe(begun.elapsed().as_secs_f64());
    }

    /// A browser complained.
    pub fn complained(&self) {
        self.complaints.inc();
    }
}

/// Measures for as long as the hub runs how late its runtime is.
pub async fn watch_runtime(metrics: super::Shared) {
    loop {
        let begun = Instant::now();
        tokio::time::sleep(LOOK).await;
        let late = begun.elapsed().saturating_sub(LOOK);
        metrics.work.lateness.observe(late.as_secs_f64());
    }
}
