//! The manuals of reason codes and of metrics are what the program prints.

use std::process::Command;

const REASONS: &str = "# Reason codes\n\nThe same on pages, in the API, the command, logs and metrics. A code is never changed, only added \
to. Made by `berth-hub reasons`.\n\n";
const METRICS: &str = "# Metrics\n\nWhat Prometheus finds at `/hub/metrics`, and at `/hub/metrics/gpus` what begins with `DCGM`. The one number to alert on is \
`berth_pool_largest_start_bytes`. Made by `berth-hub metrics`.\n\n";

/// Beside the manual's own words stand the program's.
fn compare(page: &str, head: &str, verb: &str) {
    let page = format!("{}/../packaging/docs/{page}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(env!("CARGO_BIN_EXE_berth-hub")).arg(verb).output().unwrap();
    let manual = format!("{head}{}", String::from_utf8(output.stdout).unwrap());
    if std::env::var_os("BERTH_BLESS").is_some() {
        std::fs::write(&page, &manual).unwrap();
    }
    let written = std::fs::read_to_string(&page).unwrap();
    assert!(written == manual, "{page} is not what berth-hub {verb} prints");
}

#[test]
fn every_code_stands_in_the_manual() {
    compare("reason-codes.md", REASONS, "reasons");
}

#[test]
fn every_series_stands_in_the_manual() {
    compare("metrics.md", METRICS, "metrics");
}
