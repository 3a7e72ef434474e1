//! Ports of a host that the compute farm reaches, e.g. for the scheduler of a Dask cluster whose
//! workers are jobs there. They are given as GPUs are: each to one server at a time.

use std::collections::BTreeSet;

use crate::floor::FloorHost;

/// The ports of a host that nobody holds, the lowest first.
pub fn free(host: &FloorHost) -> impl Iterator<Item = u16> {
    let held: BTreeSet<u16> =
        host.servers.iter().flat_map(|server| server.farm_ports.iter().copied()).collect();
    let range = host.farm.map(|range| range.first..=range.last);
    range.into_iter().flatten().filter(move |port| !held.contains(port))
}

/// The ports that a server gets there: as many as it needs, or those that are left.
pub fn take(host: Option<&FloorHost>, count: u32) -> Vec<u16> {
    let free = host.into_iter().flat_map(free);
    free.take(usize::try_from(count).unwrap_or(usize::MAX)).collect()
}
