//! What groups used, as counts that only grow. Added up between scrapes: a hub that starts anew
//! begins at zero, as Prometheus expects of counters.

use std::collections::BTreeMap;
use std::sync::Mutex;

use berth_common::Timestamp;
use berth_core::Fleet;
use prometheus::CounterVec;

use super::shelf::Shelf;
use crate::web::api::berth::usage::{self, By, Sum};

/// The series.
#[derive(Debug)]
pub struct Consumed {
    memory: CounterVec,
    gpus: CounterVec,
    /// What was added up so far, by group: reserved, used, GPUs.
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    at: Option<Timestamp>,
    groups: BTreeMap<String, [f64; 3]>,
}

impl Consumed {
    /// With nothing counted.
    pub fn new(shelf: &mut Shelf) -> Result<Self, prometheus::Error> {
        Ok(Self {
            memory: shelf.sums(
                "berth_usage_gibibyte_seconds_total",
                "Memory over time by main group: reserved by limits, and used",
                &["group", "kind"],
            )?,
            gpus: shelf.sums(
                "berth_usage_gpu_seconds_total",
                "GPUs over time by main group: held by servers, and used (at work)",
                &["group", "kind"],
            )?,
            told: Mutex::default(),
        })
    }

    /// Adds what came since the last scrape. Usage is added up by day, so the sum since the hub's
    /// first scrape is compared with what was told.
    pub fn look(&self, fleet: &Fleet, now: Timestamp) {
        let Ok(mut told) = self.told.lock() else { return };
        let Told { at, groups } = &mut *told;
        // The day of the first look counts whole in the sums, and is what the counters begin after.
        let first = at.is_none();
        let passed = at.map_or(0.0, |at| now.millis_since(at) as f64 / 1e3);
        let from = Timestamp(now.0.saturating_sub(usage::MONTH_MICROS));
        for Sum { name, amount, .. } in usage::sums(fleet, By::Group, from, now, now, |_| true) {
            let is = [
                amount.mib_s as f64 / 1024.0,
                amount.used_mib_s as f64 / 1024.0,
                amount.gpu_milli_s as f64 / 1e3,
            ];
            let was = groups.insert(name.clone(), is);
            let was = was.unwrap_or(if first { is } else { [0.0; 3] });
            // A day that leaves the month takes its use out of the sum; nothing is counted then.
            let more = |index: usize| (is[index] - was[index]).max(0.0);
            add(&self.memory, &[&name, "reserved"], more(0));
            add(&self.memory, &[&name, "used"], more(1));
            add(&self.gpus, &[&name, "held"], more(2));
        }
        for (group, at_work) in at_work(fleet) {
            add(&self.gpus, &[group, "used"], at_work * passed);
        }
        *at = Some(now);
    }
}

/// How many GPUs are at work at this moment, by group.
fn at_work(fleet: &Fleet) -> BTreeMap<&str, f64> {
    let mut groups: BTreeMap<&str, f64> = BTreeMap::new();
    for server in fleet.servers.values() {
        let Some(placement) = server.placement().filter(|it| !it.gpus.is_empty()) else { continue };
        let heard = fleet.hosts.get(&placement.host).and_then(|host| host.heard.as_ref());
        let Some(heard) = heard else { continue };
        for part in &placement.gpus {
            let used = heard.facts.gpus.used.iter().find(|used| used.gpu == part.gpu);
            let busy = used.and_then(|used| used.busy).unwrap_or(0);
            *groups.entry(server.main_group()).or_default() += f64::from(busy) / 100.0;
        }
    }
    groups
}

fn add(sums: &CounterVec, labels: &[&str], more: f64) {
    if let Ok(sum) = sums.get_metric_with_label_values(labels) {
        sum.inc_by(more);
    }
}
