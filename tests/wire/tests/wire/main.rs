//! What must hold of the link, whatever the network, the clocks and the processes do. After each
//! simulated hundredth of a second [`Site`] looks besides: nobody is told of another's servers, one
//! session counts for a host and only grows newer, and no host obeys an earlier reign.

mod certificates;
mod hand_over;
mod network;
mod storm;

use std::time::Duration;

use berth_wire::site::Site;
use berth_wire::transcript::{Line, What};

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// What happened to a host since a moment.
fn of(site: &Site, host: &str, since_ms: u64) -> Vec<Line> {
    site.since(since_ms).into_iter().filter(|line| line.who == host).collect()
}

/// Who has lost its link since a moment.
fn lost(site: &Site, since_ms: u64) -> Vec<String> {
    let lines = site.since(since_ms).into_iter();
    lines.filter(|line| matches!(line.what, What::Away(_))).map(|line| line.who).collect()
}

/// Starts as many servers as there are hosts and waits until they run.
fn start_some(site: &mut Site) {
    for _ in site.hosts() {
        site.start("hub1");
    }
    site.pass(seconds(1));
    site.until("servers run", seconds(20), |site| site.converged("hub1"));
}
