//! Logging: text for people, or ECS lines for Elasticsearch, chosen by `BERTH_LOG_FORMAT`.

mod ecs;

use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging to standard error for the program `service`. `BERTH_LOG` holds a filter (`info`
/// by default), `BERTH_LOG_FORMAT=ecs` makes each line a JSON object with Elastic's field names.
pub fn start(service: &'static str) {
    let filter = EnvFilter::try_from_env("BERTH_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::env::var("BERTH_LOG_FORMAT").is_ok_and(|format| format == "ecs") {
        builder.event_format(ecs::Lines { service }).init();
    } else {
        builder
            .with_target(false)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .init();
    }
}
