//! Hosts that are not there, made like those that are.

use std::ops::Range;
use std::sync::Arc;

use berth_common::link::GpuDevice;
use berth_common::{ByteCount, HostId};
use berth_core::Fleet;
use berth_core::fleet::HostState;
use berth_core::floor::{FloorHost, ReportedMemory};
use berth_core::settings::HostSettings;

use super::NewHost;

/// Why no host can be made up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotMade {
    /// Nothing is called so.
    #[error("there is no declared host or pool {0}")]
    NoModel(String),
    /// It never reported, and its file does not say.
    #[error("how much memory {0} has is not known yet")]
    NoMemory(HostId),
}

/// Hosts like a host, or like the first of a pool, perhaps with other memory or GPUs. They are
/// called by their numbers.
///
/// # Errors
/// When there is nothing to be like.
pub fn like(
    fleet: &Fleet,
    model: &str,
    memory: Option<ByteCount>,
    gpus: Option<u32>,
    numbers: Range<usize>,
) -> Result<Vec<NewHost>, NotMade> {
    let settings = &fleet.settings;
    let of_pool = || settings.hosts.iter().find(|(_, host)| host.pool == model);
    let named = model.parse().ok().and_then(|id: HostId| settings.hosts.get_key_value(&id));
    let (id, declared) =
        named.or_else(of_pool).ok_or_else(|| NotMade::NoModel(model.to_owned()))?;
    let seen = fleet.floor.host(id);
    let total =
        memory.or(declared.memory).or_else(|| seen.and_then(|seen| Some(seen.memory?.total)));
    let total = total.filter(|it| it.0 > 0).ok_or_else(|| NotMade::NoMemory(id.clone()))?;
    let declared = HostSettings { memory: Some(total), ..declared.clone() };
    let new = |number: usize| {
        let name: HostId = format!("new-{number}").parse().ok()?;
        let entry = entry(fleet, &name, seen.map(AsRef::as_ref), total, gpus);
        Some(NewHost { name, declared: declared.clone(), entry })
    };
    Ok(numbers.filter_map(new).collect())
}

fn entry(
    fleet: &Fleet,
    name: &HostId,
    like: Option<&FloorHost>,
    total: ByteCount,
    gpus: Option<u32>,
) -> FloorHost {
    let known = like.map_or_else(Arc::default, |like| Arc::clone(&like.gpus));
    let model = known.first().or_else(|| fleet.floor.hosts.iter().find_map(|it| it.gpus.first()));
    let count = gpus.unwrap_or(u32::try_from(known.len()).unwrap_or(u32::MAX)).min(64);
    let device = |number: u32| {
        let gpu = format!("{name}-{number}").parse().ok()?;
        Some(GpuDevice { gpu, trouble: None, ..model?.clone() })
    };
    FloorHost {
        host: name.clone(),
        state: HostState::Ready,
        silent_since: None,
        note: String::new(),
        drains_by: None,
        memory: Some(ReportedMemory { total, free: total, above_limit: false }),
        cpu_milli: like.map_or(u32::MAX, |like| like.cpu_milli),
        gpus: Arc::new((0..count).filter_map(device).collect()),
        images: like.map_or_else(Arc::default, |like| Arc::clone(&like.images)),
        sick: Default::default(),
        farm: like.and_then(|like| like.farm),
        servers: Vec::new(),
    }
}
