//! What Prometheus reads at `/hub/metrics`: JupyterHub's names, so that the community's boards work
//! unchanged, and our own. What happens is counted as it happens; what is, is looked at when asked.

mod consumed;
mod dcgm;
mod each;
mod gpus;
mod happened;
mod hosts;
mod life;
mod present;
mod shelf;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use berth_common::{Reason, Timestamp};
use prometheus::{Gauge, GaugeVec, HistogramVec, IntCounterVec, IntGauge, TextEncoder};

pub use happened::Happened;
pub use hosts::tell_changes;
use present::Present;
pub use shelf::Series;
use shelf::Shelf;
pub use work::{StepKind, Work, watch_runtime};

use crate::doctor::Verdict;
use crate::site::Hub;

/// JupyterHub's buckets for what takes a server's start, in seconds.
const START_BUCKETS: [f64; 12] =
    [0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0];
/// For answers and calls, in seconds.
const CALL_BUCKETS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Everything that is counted as it happens.
#[derive(Debug)]
pub struct Metrics {
    shelf: Shelf,
    requests: HistogramVec,
    logins: HistogramVec,
    starts: HistogramVec,
    ends_took: HistogramVec,
    routes_added: HistogramVec,
    routes_deleted: HistogramVec,
    decisions: IntCounterVec,
    ends: IntCounterVec,
    config_ok: IntGauge,
    config_loaded: Gauge,
    doctor: GaugeVec,
    lives: life::Lives,
    consumed: consumed::Consumed,
    /// The hub's own work.
    pub work: Work,
}

impl Metrics {
    /// With nothing counted.
    ///
    /// # Errors
    /// When two series have one name: a mistake of this program.
    pub fn new() -> Result<Self, prometheus::Error> {
        let mut shelf = Shelf::new()?;
        let calls = &CALL_BUCKETS;
        let metrics = Self {
            requests: shelf.histograms(
                "jupyterhub_request_duration_seconds",
                "Time to the head of the answer, by route",
                &["method", "handler", "code"],
                calls,
            )?,
            logins: shelf.histograms(
                "jupyterhub_login_duration_seconds",
                "Time of a login with a password",
                &["status"],
                calls,
            )?,
            starts: shelf.histograms(
                "jupyterhub_server_spawn_duration_seconds",
                "From the placement of a server to its first answer, or to the failure",
                &["status", "reason"],
                &START_BUCKETS,
            )?,
            ends_took: shelf.histograms(
                "jupyterhub_server_stop_seconds",
                "From the order to end a server to the proof that it has ended",
                &["status"],
                &START_BUCKETS,
            )?,
            routes_added: shelf.histograms(
                "jupyterhub_proxy_add_duration_seconds",
                "Time of a route's addition at the proxy",
                &["status"],
                calls,
            )?,
            routes_deleted: shelf.histograms(
                "jupyterhub_proxy_delete_duration_seconds",
                "Time of a route's removal at the proxy",
                &["status"],
                calls,
            )?,
            decisions: shelf.counters(
                "berth_decisions_total",
                "Decisions, by profile, outcome (placed, waits, refused) and reason code",
                &["profile", "outcome", "reason"],
            )?,
            ends: shelf.counters(
                "berth_stops_total",
                "Servers that ended, by profile and reason code",
                &["profile", "reason"],
            )?,
            config_ok: shelf.number(
                "berth_config_ok",
                "1 if the files on disk are in force, 0 if they were refused",
            )?,
            doctor: shelf.amounts(
                "berth_doctor",
                "What 'berth doctor' finds, by check: 0 all is well, 1 somebody should look, 2 \
                 something does not work",
                &["check"],
            )?,
            config_loaded: shelf.amount(
                "berth_config_loaded_timestamp_seconds",
                "When the files in force were read",
            )?,
            lives: life::Lives::new(&mut shelf)?,
            consumed: consumed::Consumed::new(&mut shelf)?,
            work: Work::new(&mut shelf)?,
            shelf,
        };
        // Shown from the first scrape on, as the community's boards expect.
        let _ = metrics.starts.get_metric_with_label_values(&["success", ""])?;
        for reason in Reason::ALL.iter().map(|reason| reason.code()) {
            let status = match reason.split_once('.') {
                Some(("refused", _)) => "failure",
                Some(("failed", _)) => "error",
                _ => continue,
            };
            let _ = metrics.starts.get_metric_with_label_values(&[status, reason])?;
        }
        for status in ["success", "failure", "error"] {
            let _ = metrics.ends_took.get_metric_with_label_values(&[status])?;
        }
        for status in ["success", "failure"] {
            let _ = metrics.logins.get_metric_with_label_values(&[status])?;
            let _ = metrics.routes_added.get_metric_with_label_values(&[status])?;
            let _ = metrics.routes_deleted.get_metric_with_label_values(&[status])?;
        }
        Ok(metrics)
    }

    /// An HTTP answer. `route` is the pattern, never the path.
    pub fn request(&self, method: &str, route: &str, status: u16, begun: Instant) {
        let code = status.to_string();
        observe(&self.requests, &[method, route, &code], begun);
    }

    /// A login by password.
    pub fn login(&self, succeeded: bool, begun: Instant) {
        observe(&self.logins, &[word(succeeded)], begun);
    }

    /// A route was added at the proxy, or was not.
    pub fn route_added(&self, succeeded: bool, begun: Instant) {
        observe(&self.routes_added, &[word(succeeded)], begun);
    }

    /// A route was removed at the proxy, or was not.
    pub fn route_deleted(&self, succeeded: bool, begun: Instant) {
        observe(&self.routes_deleted, &[word(succeeded)], begun);
    }

    /// Everything was looked at; the worst by check.
    pub fn examined(&self, worst: &BTreeMap<&'static str, Verdict>) {
        self.doctor.reset();
        for (check, verdict) in worst {
            if let Ok(gauge) = self.doctor.get_metric_with_label_values(&[check]) {
                gauge.set(f64::from(*verdict as u8));
            }
        }
    }

    /// The site's files were read: in force since then, or refused.
    pub fn configuration(&self, in_force_since: Option<Timestamp>) {
        self.config_ok.set(i64::from(in_force_since.is_some()));
        if let Some(at) = in_force_since {
            self.config_loaded.set(seconds(at));
        }
    }
}

fn word(succeeded: bool) -> &'static str {
    if succeeded { "success" } else { "failure" }
}

fn observe(histograms: &HistogramVec, labels: &[&str], begun: Instant) {
    if let Ok(histogram) = histograms.get_metric_with_label_values(labels) {
        histogram.observe(begun.elapsed().as_secs_f64());
    }
}

/// Since 1970, in seconds.
fn seconds(at: Timestamp) -> f64 {
    at.0 as f64 / 1e6
}

/// Everything, in Prometheus's text format.
///
/// # Errors
/// When the store cannot be read.
pub fn text(hub: &Hub, now: Timestamp) -> anyhow::Result<String> {
    let fleet = hub.fleet.fleet();
    hub.metrics.consumed.look(&fleet, now);
    hub.metrics.lives.know(fleet.settings.profiles.keys());
    let mut families = hub.metrics.shelf.gather();
    families.append(&mut Present::of(hub, now)?.gather());
    Ok(TextEncoder::new().encode_to_string(&families)?)
}

/// The GPUs under the names of NVIDIA's dcgm-exporter, in Prometheus's text format.
///
/// # Errors
/// When two series have one name: a mistake of this program.
pub fn gpus(hub: &Hub) -> anyhow::Result<String> {
    let families = dcgm::Gpus::of(&hub.fleet.fleet())?.gather();
    Ok(TextEncoder::new().encode_to_string(&families)?)
}

/// Every series that there is, in the order of their names.
///
/// # Errors
/// When two series have one name: a mistake of this program.
pub fn all_series() -> Result<Vec<Series>, prometheus::Error> {
    let mut series = Metrics::new()?.shelf.series();
    series.append(&mut Present::new()?.series());
    series.append(&mut dcgm::Gpus::new()?.series());
    series.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(series)
}

/// What a hub counts, shared.
pub type Shared = Arc<Metrics>;
