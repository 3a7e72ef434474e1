//! The series, each described once: for who reads `/metrics`, and for the manual.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{ByStatus, Metrics, Summary};
use crate::shared::Shared;

/// A series.
pub struct Series {
    /// Its name.
    pub name: &'static str,
    /// Its meaning and unit.
    pub meaning: &'static str,
    value: Value,
}

/// What it holds, and where that is.
enum Value {
    Counter(fn(&Shared) -> u64),
    Gauge(fn(&Shared) -> u64),
    ByStatus(fn(&Metrics) -> &ByStatus),
    /// `None`: nothing is timed, and the name stays for dashboards.
    Summary(Option<fn(&Metrics) -> &Summary>),
}

/// All but those of the process. Names without `berth_` are configurable-http-proxy's.
pub const ALL: &[Series] = &[
    Series::counter("api_route_get", "Count of API route get requests", |it| {
        read(&it.metrics.api_route_get)
    }),
    Series::counter("api_route_add", "Count of API route add requests", |it| {
        read(&it.metrics.api_route_add)
    }),
    Series::counter("api_route_delete", "Count of API route delete requests", |it| {
        read(&it.metrics.api_route_delete)
    }),
    Series::counter("requests_ws", "Count of websocket requests", |it| {
        read(&it.metrics.requests_ws)
    }),
    Series::counter("requests_web", "Count of web requests", |it| read(&it.metrics.requests_web)),
    Series::gauge("berth_proxy_routes", "Routes posted", |it| it.table().posted().count() as u64),
    Series::gauge("berth_proxy_websockets", "Websockets open", |it| read(&it.metrics.websockets)),
    Series::gauge("berth_proxy_connections", "Connections of clients open", |it| {
        read(&it.metrics.connections)
    }),
    Series::gauge(
        "berth_proxy_unknown_routes",
        "Routes that the hub's last list did not hold",
        |it| read(&it.metrics.unknown_routes),
    ),
    Series::gauge(
        "berth_proxy_save_failed",
        "1 if the routes could not be saved the last time, else 0",
        |it| read(&it.metrics.save_failed),
    ),
    Series::counter(
        "berth_proxy_answered_for_hub_total",
        "Answers given in the place of a hub that is away",
        |it| read(&it.metrics.answered_for_hub),
    ),
    Series::counter(
        "berth_proxy_refused_by_limit_total",
        "Connections and requests refused by a limit",
        |it| read(&it.metrics.refused_by_limit),
    ),
    Series::counter(
        "berth_proxy_access_log_dropped_total",
        "Lines of the access log that the disk could not take",
        |it| it.access.as_ref().map_or(0, |log| read(&log.dropped)),
    ),
    Series {
        name: "requests_proxy",
        meaning: "Count of proxy requests",
        value: Value::ByStatus(|metrics| &metrics.requests_proxy),
    },
    Series {
        name: "requests_api",
        meaning: "Count of API requests",
        value: Value::ByStatus(|metrics| &metrics.requests_api),
    },
    Series {
        name: "find_target_for_req",
        meaning: "Summary of find target requests, in seconds",
        value: Value::Summary(Some(|metrics| &metrics.find_target)),
    },
    // Activity is a store into an atomic: it is not timed.
    Series {
        name: "last_activity_updating",
        meaning: "Summary of last activity updating requests; always 0",
        value: Value::Summary(None),
    },
];

impl Series {
    const fn counter(name: &'static str, meaning: &'static str, value: fn(&Shared) -> u64) -> Self {
        Self { name, meaning, value: Value::Counter(value) }
    }

    const fn gauge(name: &'static str, meaning: &'static str, value: fn(&Shared) -> u64) -> Self {
        Self { name, meaning, value: Value::Gauge(value) }
    }

    /// What Prometheus calls its type.
    fn kind(&self) -> &'static str {
        match self.value {
            Value::Counter(_) | Value::ByStatus(_) => "counter",
            Value::Gauge(_) => "gauge",
            Value::Summary(_) => "summary",
        }
    }

    /// Its one label, if it has one.
    fn label(&self) -> &'static str {
        match self.value {
            Value::ByStatus(_) => "status",
            Value::Counter(_) | Value::Gauge(_) | Value::Summary(_) => "",
        }
    }

    /// Writes it as Prometheus reads it.
    pub fn write(&self, shared: &Shared, text: &mut String) {
        let Self { name, meaning, .. } = self;
        let _ = writeln!(text, "# HELP {name} {meaning}\n# TYPE {name} {}", self.kind());
        match &self.value {
            Value::Counter(value) | Value::Gauge(value) => {
                let _ = writeln!(text, "{name} {}", value(shared));
            }
            Value::ByStatus(counts) => {
                for (status, count) in counts(&shared.metrics).0.iter().enumerate() {
                    let count = read(count);
                    if count > 0 {
                        let _ = writeln!(text, "{name}{{status=\"{status}\"}} {count}");
                    }
                }
            }
            Value::Summary(summary) => {
                let summary = summary.map(|summary| summary(&shared.metrics));
                let count = summary.map_or(0, |summary| read(&summary.count));
                let nanoseconds = summary.map_or(0, |summary| read(&summary.nanoseconds));
                let seconds = Duration::from_nanos(nanoseconds).as_secs_f64();
                let _ = writeln!(text, "{name}_sum {seconds}\n{name}_count {count}");
            }
        }
    }
}

/// The manual's table.
pub fn table() -> String {
    let mut text = String::from("| Series | Type | Labels | Meaning |\n|---|---|---|---|\n");
    for one in ALL {
        let Series { name, meaning, .. } = one;
        let _ = writeln!(text, "| `{name}` | {} | {} | {meaning} |", one.kind(), one.label());
    }
    text
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
