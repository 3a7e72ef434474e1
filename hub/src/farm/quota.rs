//! What somebody's clusters may still take on the farm, for whoever makes clusters.

use berth_common::ByteCount;
use berth_common::link::Account;
use berth_core::rules::{Person, quota_of};
use berth_core::settings::Cite;
use berth_process::clock::now;

use super::Gateway;
use crate::site::Hub;

/// A limit, what of it other clusters of the person may take, and the line that says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left<T> {
    /// For all of the person's clusters together.
    pub limit: T,
    /// What those that there are may take.
    pub taken: T,
    /// Where it is written.
    pub cite: Cite,
}

/// What a person's clusters may take of the farm: processors and memory; `None`: there is no limit.
///
/// # Errors
/// When the gateway does not say which clusters there are.
pub async fn left(
    hub: &Hub,
    account: &Account,
) -> Result<(Option<Left<u64>>, Option<Left<ByteCount>>), String> {
    let fleet = hub.fleet.fleet();
    let groups: Vec<_> = account.groups.iter().map(|group| group.name.as_str()).collect();
    let person = Person { name: &account.name, groups: &groups };
    let limits = quota_of(&fleet.settings.quotas, person, now());
    let reserved = match Gateway::of(&hub.config()) {
        Some(gateway) => {
            let errand = hub.farm.errands.begin(&account.name, gateway.service());
            gateway.reserved(&errand).await?
        }
        None => Vec::new(),
    };
    let cores = limits.farm_cores.map(|(limit, cite)| {
        let taken = reserved.iter().map(|(cores, _)| *cores).sum();
        Left { limit: u64::from(limit), taken, cite }
    });
    let memory = limits.farm_memory.map(|(limit, cite)| {
        let taken = ByteCount(reserved.iter().map(|(_, memory)| memory.0).sum());
        Left { limit, taken, cite }
    });
    Ok((cores, memory))
}
