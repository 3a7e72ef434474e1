//! The GPUs of one host: how they are and who is on them.

use berth_common::link::{GpuDevice, GpuProcess, GpuUse};
use berth_core::fleet::Heard;

/// One GPU.
pub struct GpuRow {
    pub id: String,
    pub model: String,
    /// Why it is set aside; empty: it can be given.
    pub trouble: String,
    /// What an administrator should look at; empty: nothing.
    pub warning: String,
    pub memory: String,
    pub busy: String,
    /// A line each.
    pub users: Vec<String>,
}

/// The GPUs of a host as it reported them last.
pub fn rows(heard: &Heard) -> Vec<GpuRow> {
    heard.gpus.iter().map(|device| row(heard, device)).collect()
}

fn row(heard: &Heard, device: &GpuDevice) -> GpuRow {
    let used = heard.facts.gpus.used.iter().find(|used| used.gpu == device.gpu);
    let held = used.and_then(|used| used.memory_used);
    let busy = used.and_then(|used| used.busy);
    GpuRow {
        id: device.gpu.to_string(),
        model: device.model.clone(),
        trouble: device.trouble.clone().unwrap_or_default(),
        warning: used.and_then(|used| used.warning.clone()).unwrap_or_default(),
        memory: match held {
            Some(held) => format!("{held} of {}", device.memory),
            None => device.memory.to_string(),
        },
        busy: busy.map(|busy| format!("{busy} %")).unwrap_or_default(),
        users: used.map(|used| users(heard, used)).unwrap_or_default(),
    }
}

fn users(heard: &Heard, used: &GpuUse) -> Vec<String> {
    let line = |process: &GpuProcess| {
        let server = process.server.as_ref().and_then(|server| heard.observed.get(server));
        let whose = match server {
            Some(seen) => seen.origin.user.to_string(),
            None => format!("uid {}, no server", process.uid),
        };
        let held = process.memory.map(|held| format!(", {held}")).unwrap_or_default();
        format!("{} ({whose}{held})", process.program)
    };
    used.processes.iter().map(line).collect()
}
