//! The routes that the proxy should have: a plain function of the fleet.

use std::collections::BTreeMap;

use berth_common::{Generation, HostId, ServerId, ServerName, Username};

use crate::fleet::Fleet;

/// A route to one start of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The host whose tunnel leads there.
    pub host: HostId,
    /// Where that tunnel listens, `name:port`.
    pub address: String,
    /// Which server.
    pub server: ServerId,
    /// Which start of it.
    pub generation: Generation,
    /// Whose.
    pub user: Username,
    /// Its name.
    pub name: ServerName,
}

/// All routes by path prefix: every server that answers and was not told to stop. An unreachable
/// one keeps its route: unknown is not absent.
pub fn routes(fleet: &Fleet) -> BTreeMap<String, Route> {
    let ready = fleet.servers.values().filter(|server| server.is_ready());
    ready
        .filter_map(|server| {
            let host = server.placement()?.host.clone();
            let address = fleet.hosts.get(&host)?.address.clone();
            let route = Route {
                host,
                address,
                server: server.id.clone(),
                generation: server.generation,
                user: server.owner.clone(),
                name: server.name.clone(),
            };
            Some((server.prefix(), route))
        })
        .collect()
}
