//! The manual of the proxy's series is what the program serves.

use berth_proxy::metrics::series;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/docs/metrics-proxy.md");
const HEAD: &str = "# Metrics of the proxy\n\nWhat Prometheus finds at `/metrics` of the address `metrics` in `proxy.toml`, beside the \
`process_*` names of its own client libraries. Names without `berth_` are configurable-http-proxy's. \
Made from `hub/proxy/src/metrics/series.rs`.\n\n";

#[test]
fn every_series_stands_in_the_manual() {
    let manual = format!("{HEAD}{}", series::table());
    if std::env::var_os("BERTH_BLESS").is_some() {
        std::fs::write(PAGE, &manual).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(written == manual, "{PAGE} is not what the program says: BERTH_BLESS=1 writes it");
}
