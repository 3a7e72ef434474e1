//! The GPUs of one host: how they are and who is on them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Redirect;
use berth_common::link::{GpuDevice, GpuProcess, GpuUse, Observed};
use berth_common::{GpuId, ServerId};
use berth_core::Fleet;
use berth_core::fleet::Heard;

use crate::auth::{Right, Visitor};
use crate::site::Hub;
use crate::web::pages::error::PageError;
use crate::web::say;

/// `GET /hub/admin/gpus/{gpu}`: wherever it is now. A board that moved to another host keeps its
/// address.
pub async fn find(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    Path(gpu): Path<String>,
) -> Result<Redirect, PageError> {
    visitor.require(Right::SeeHosts)?;
    let gpu: GpuId = gpu.parse().map_err(|_| PageError::NotFound)?;
    let path = path_of(&hub.fleet.fleet(), &gpu).ok_or(PageError::NotFound)?;
    Ok(Redirect::to(&path))
}

fn path_of(fleet: &Fleet, gpu: &GpuId) -> Option<String> {
    let has = |heard: &Heard| heard.gpus.iter().any(|device| device.gpu == *gpu);
    let host = fleet.hosts.values().find(|host| host.heard.as_ref().is_some_and(|it| has(it)))?;
    Some(format!("/hub/admin/hosts/{}#{gpu}", host.id))
}

/// One GPU.
pub struct GpuRow {
    /// NVML's own, which it keeps wherever it is built in.
    pub id: String,
    /// NVML's name of the model.
    pub model: String,
    /// Why it is set aside; empty: it can be given.
    pub trouble: String,
    /// What an administrator should look at; empty: nothing.
    pub warning: String,
    /// Used, and all of it.
    pub memory: String,
    /// In percent; empty: not known.
    pub busy: String,
    /// A line each.
    pub users: Vec<String>,
}

/// The GPUs of a host as it reported them last.
pub fn rows(heard: &Heard) -> Vec<GpuRow> {
    let used = &heard.facts.gpus.used;
    heard.gpus.iter().map(|device| row(device, used, &heard.observed)).collect()
}

fn row(device: &GpuDevice, used: &[GpuUse], observed: &BTreeMap<ServerId, Observed>) -> GpuRow {
    let used = used.iter().find(|used| used.gpu == device.gpu);
    let held = used.and_then(|used| used.memory_used);
    let busy = used.and_then(|used| used.busy);
    let processes = used.map(|used| used.processes.as_slice()).unwrap_or_default();
    GpuRow {
        id: device.gpu.to_string(),
        model: device.model.clone(),
        trouble: device.trouble.clone().unwrap_or_default(),
        warning: used.and_then(|used| used.warning.clone()).unwrap_or_default(),
        memory: match held {
            Some(held) => {
                say::t("some-of").with("some", held).with("all", device.memory).to_string()
            }
            None => device.memory.to_string(),
        },
        busy: busy.map(|busy| format!("{busy} %")).unwrap_or_default(),
        users: processes.iter().map(|process| line(process, observed)).collect(),
    }
}

fn line(process: &GpuProcess, observed: &BTreeMap<ServerId, Observed>) -> String {
    let seen = process.server.as_ref().and_then(|server| observed.get(server));
    let whose = match seen {
        Some(seen) => seen.origin.user.to_string(),
        None => say::t("program-unknown").with("uid", process.uid.to_string().as_str()).to_string(),
    };
    let held = process.memory.map(|held| format!(", {held}")).unwrap_or_default();
    format!("{} ({whose}{held})", process.program)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use berth_common::ByteCount;

    use super::*;

    #[test]
    fn a_row_says_how_a_gpu_is_and_who_is_on_it() {
        let gpu: berth_common::GpuId = "GPU-a".parse().unwrap();
        let device = GpuDevice {
            gpu: gpu.clone(),
            model: "Tesla K80".into(),
            memory: ByteCount(11 << 30),
            trouble: Some("used by somebody else".into()),
        };
        let process = GpuProcess {
            pid: 7,
            memory: Some(ByteCount(2 << 30)),
            server: None,
            uid: 4242,
            program: "python3".into(),
        };
        let used = GpuUse {
            device: Some("nvidia0".into()),
            busy: Some(80),
            memory_used: Some(ByteCount(2 << 30)),
            processes: vec![process],
            ..GpuUse::unknown(gpu)
        };
        let known = row(&device, &[used], &BTreeMap::new());
        assert_eq!((known.memory.as_str(), known.busy.as_str()), ("2 GB of 11 GB", "80 %"));
        assert_eq!(known.users, ["python3 (uid 4242, no server, 2 GB)"]);
        let silent = row(&device, &[], &BTreeMap::new());
        assert_eq!((silent.memory.as_str(), silent.busy.as_str()), ("11 GB", ""));
        assert_eq!(silent.trouble, "used by somebody else");
    }
}
