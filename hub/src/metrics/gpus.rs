//! What the GPUs of hosts are there for at this moment; what each of them does is in `dcgm`.

use std::collections::{BTreeMap, BTreeSet};

use berth_core::fleet::Heard;
use berth_core::{Fleet, Host, Phase};
use prometheus::GaugeVec;

use super::present::set;

/// A GPU of a server that computes less than this is idle, in percent.
const IDLE: u32 = 1;

/// Counts a host's GPUs by model and state.
pub fn count(states: &GaugeVec, fleet: &Fleet, host: &Host, heard: &Heard) {
    let placed = fleet.servers.values().filter_map(|server| server.placement());
    let here = placed.filter(|place| place.host == host.id);
    let held: BTreeSet<_> = here.flat_map(|place| &place.gpus).map(|part| &part.gpu).collect();
    let waiting = fleet.waiting().filter_map(|server| match &server.phase {
        Phase::Waiting { place: Some(place), .. } if place.host == host.id => Some(&place.gpus),
        _ => None,
    });
    let promised: BTreeSet<_> = waiting.flatten().map(|part| &part.gpu).collect();
    let mut counts: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for device in heard.gpus.iter() {
        let used = heard.facts.gpus.used.iter().find(|used| used.gpu == device.gpu);
        let state = match (&device.trouble, held.contains(&device.gpu)) {
            (Some(_), _) => "broken",
            (None, false) if promised.contains(&device.gpu) => "promised",
            (None, false) => "free",
            (None, true) if used.and_then(|it| it.busy).is_some_and(|it| it < IDLE) => "idle_held",
            (None, true) => "used",
        };
        *counts.entry((&device.model, state)).or_default() += 1;
    }
    for ((model, state), count) in counts {
        set(states, &[host.id.as_str(), model, state], f64::from(count));
    }
}
