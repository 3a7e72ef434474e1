//! Logging: text for people, JSON lines for machines, chosen by `BERTH_LOG_FORMAT`.

use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging to standard error. `BERTH_LOG` holds a filter (`info` by default),
/// `BERTH_LOG_FORMAT=json` makes each line a JSON object.
pub fn start() {
    let filter = EnvFilter::try_from_env("BERTH_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::env::var("BERTH_LOG_FORMAT").is_ok_and(|format| format == "json") {
        builder.json().flatten_event(true).init();
    } else {
        builder
            .with_target(false)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .init();
    }
}
