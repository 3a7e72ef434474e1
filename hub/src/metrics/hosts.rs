//! Says in the log when a host's state changes, also by time alone: a host that falls silent tells
//! nothing itself.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_common::{HostId, Reason};
use berth_core::HostState;
use berth_process::clock::now;

use crate::driver::FleetHandle;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);

/// Follows the hosts' states for as long as the hub runs.
pub async fn tell_changes(fleet: FleetHandle) {
    let mut known: BTreeMap<HostId, HostState> = BTreeMap::new();
    let mut every = tokio::time::interval(LOOK);
    loop {
        every.tick().await;
        let fleet = fleet.fleet();
        for host in fleet.hosts.values() {
            let state = fleet.host_state(host, now());
            let Some(was) = known.insert(host.id.clone(), state) else { continue };
            if was != state {
                let reason = state.obstacle().map(Reason::code);
                let pool = fleet.host_settings(&host.id).map(|it| it.pool.as_str());
                tracing::info!(action = "host-state", host = %host.id, pool, reason, %was, %state,
                    "{} is {state}", host.id);
            }
        }
    }
}
