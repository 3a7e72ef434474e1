//! GPUs: under the names of NVIDIA's DCGM exporter, so that its boards work, and by what they do.

use std::collections::BTreeMap;

use berth_common::Timestamp;
use berth_core::fleet::Heard;
use berth_core::{Fleet, Host, HostState};
use prometheus::GaugeVec;

use super::set;
use super::shelf::Shelf;

/// The labels that DCGM's exporter gives each of its series.
const LABELS: [&str; 4] = ["gpu", "UUID", "Hostname", "modelName"];
/// A GPU of a server that does less than this was idle, in percent.
const IDLE: u32 = 1;

/// Series of GPUs.
#[derive(Debug)]
pub struct Gpus {
    busy: GaugeVec,
    memory_used: GaugeVec,
    memory_free: GaugeVec,
    temperature: GaugeVec,
    power: GaugeVec,
    xid: GaugeVec,
    states: GaugeVec,
}

impl Gpus {
    /// With nothing in them.
    pub fn new(shelf: &mut Shelf) -> Result<Self, prometheus::Error> {
        let mut one = |name, meaning| shelf.amounts(name, meaning, &LABELS);
        Ok(Self {
            busy: one("DCGM_FI_DEV_GPU_UTIL", "Share of time in which it computed, in percent")?,
            memory_used: one("DCGM_FI_DEV_FB_USED", "Its memory that is used, in MiB")?,
            memory_free: one("DCGM_FI_DEV_FB_FREE", "Its memory that is free, in MiB")?,
            temperature: one("DCGM_FI_DEV_GPU_TEMP", "Its temperature, in degrees Celsius")?,
            power: one("DCGM_FI_DEV_POWER_USAGE", "The power that it draws, in watts")?,
            xid: one("DCGM_FI_DEV_XID_ERRORS", "The last XID error that its driver reported")?,
            states: shelf.amounts(
                "berth_host_gpus",
                "GPUs of a host: free, used, idle_held (a server has it and it computes nothing \
                 now) or broken (set aside)",
                &["host", "model", "state"],
            )?,
        })
    }

    /// What a host has reported.
    pub fn fill(&self, fleet: &Fleet, host: &Host, heard: &Heard, now: Timestamp) {
        let held: Vec<_> = fleet
            .servers
            .values()
            .filter_map(|server| server.placement().filter(|place| place.host == host.id))
            .flat_map(|place| place.gpus.iter().map(|part| &part.gpu))
            .collect();
        // What a silent host said last is no measurement any more.
        let is_heard = fleet.host_state(host, now) != HostState::Lost;
        let mut states: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for (index, device) in heard.gpus.iter().enumerate() {
            let used = heard.facts.gpus.used.iter().find(|used| used.gpu == device.gpu);
            let busy = used.and_then(|used| used.busy);
            let state = match (&device.trouble, held.contains(&&device.gpu)) {
                (Some(_), _) => "broken",
                (None, false) => "free",
                (None, true) if busy.is_some_and(|busy| busy < IDLE) => "idle_held",
                (None, true) => "used",
            };
            *states.entry((&device.model, state)).or_default() += 1;
            let Some(used) = used.filter(|_| is_heard) else { continue };
            let number = used.device.as_deref().and_then(|name| name.strip_prefix("nvidia"));
            let number = number.map_or_else(|| index.to_string(), str::to_owned);
            let labels = [&number, device.gpu.as_str(), host.id.as_str(), &device.model];
            let put = |series: &GaugeVec, value: Option<f64>| {
                if let Some(value) = value {
                    set(series, &labels, value);
                }
            };
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            let memory = used.memory_used.map(|used| used.0);
            put(&self.busy, busy.map(f64::from));
            put(&self.memory_used, memory.map(mib));
            let free = memory.map(|used| mib(device.memory.0.saturating_sub(used)));
            put(&self.memory_free, free);
            put(&self.temperature, used.temperature.map(f64::from));
            put(&self.power, used.power_mw.map(|power| f64::from(power) / 1e3));
            put(&self.xid, used.last_xid.map(|xid| xid as f64));
        }
        for ((model, state), count) in states {
            set(&self.states, &[host.id.as_str(), model, state], f64::from(count));
        }
    }
}
