//! The gateway's clusters: whose are asked for, which belong to a server that runs, and which are
//! ended because theirs does not run any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_common::{ServerId, Username};
use berth_core::Fleet;
use futures::StreamExt;

use super::{Cluster, Gateway, Work, active_servers, read_mark, uses_farm};
use crate::site::Hub;

/// Owners whose clusters are asked for side by side.
const AT_ONCE: usize = 8;

/// Whose clusters are looked at although they may not use the gateway any more, or have no server,
/// and of which servers those clusters may be: who had a cluster, or could begin one, last time.
pub type Owed = BTreeMap<Username, BTreeSet<ServerId>>;

/// What the gateway said about one person: the clusters, each with the mark of its server, or why
/// it did not say.
type Told = (Username, Result<Vec<(Option<String>, Cluster)>, String>);

/// What the gateway says of all who are asked for.
#[derive(Debug, Default)]
pub struct Heard {
    told: Vec<Told>,
    /// Who may use the gateway.
    allowed: BTreeSet<Username>,
}

/// Asks for the clusters of those who have a server and may use the gateway, and of those who are
/// owed; when nobody knows who is (`None`: the hub has just started), of everybody.
pub async fn ask(
    hub: &Arc<Hub>,
    fleet: &Fleet,
    gateway: Option<&Gateway>,
    owed: Option<&Owed>,
) -> Heard {
    let Some(gateway) = gateway else { return Heard::default() };
    let servers = fleet.servers.values().filter(|server| owed.is_none() || server.is_active());
    let mut owners: BTreeSet<Username> = servers.map(|server| server.owner.clone()).collect();
    let allowed: BTreeSet<Username> =
        owners.iter().filter(|owner| gateway.may_use(hub, owner)).cloned().collect();
    if let Some(owed) = owed {
        owners = allowed.iter().chain(owed.keys()).cloned().collect();
    }
    // Of somebody whom the hub knows no more it cannot tell the gateway anything either.
    owners
        .retain(|owner| hub.storage.read(|reader| reader.user(owner)).is_ok_and(|it| it.is_some()));
    let asked: Vec<_> = owners.into_iter().map(|owner| told(hub, gateway.clone(), owner)).collect();
    let told = futures::stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
    Heard { told, allowed }
}

fn told(hub: &Arc<Hub>, gateway: Gateway, owner: Username) -> impl Future<Output = Told> + use<> {
    let errand = hub.farm.errands.begin(&owner, gateway.service());
    async move {
        let told = gateway.clusters(&errand).await;
        (owner, told)
    }
}

/// Notes the clusters at the servers that began them and ends, where the site wants that, those
/// whose server is over. Returns who is owed now.
pub async fn note(
    hub: &Arc<Hub>,
    fleet: &Fleet,
    gateway: Option<&Gateway>,
    heard: Heard,
    owed: Option<&Owed>,
    work: &mut BTreeMap<ServerId, Work>,
) -> Owed {
    let config = hub.config();
    let mut still_owed = Owed::new();
    for (owner, told) in heard.told {
        let former = owed.and_then(|owed| owed.get(&owner));
        let mut servers = BTreeSet::new();
        let may_use = heard.allowed.contains(&owner);
        if may_use || former.is_some_and(|it| !it.is_empty()) {
            // Whoever has a server now may leave a cluster behind when it ends, and a gateway
            // believes for a while that somebody may use it who has lost the right.
            servers.extend(active_servers(fleet, &owner).map(|server| server.id.clone()));
        }
        match told {
            Ok(clusters) => {
                for (mark, mut cluster) in clusters {
                    let Some((id, start)) = mark.as_deref().and_then(read_mark) else { continue };
                    let (runs, over) = match fleet.servers.get(&id) {
                        Some(server) if server.owner != owner => continue,
                        Some(server) => {
                            let newest = server.generation == start;
                            let runs = newest && server.is_active();
                            // One that began after we looked at the servers is told of the next time.
                            (runs, start < server.generation || (newest && !runs))
                        }
                        // Removed since it ran. Of a server that this hub never saw it cannot say
                        // that it is over: a host that is not there yet may have it.
                        None => (false, former.is_some_and(|it| it.contains(&id))),
                    };
                    if runs {
                        if !may_use {
                            // It would not open.
                            cluster.dashboard = None;
                        }
                        servers.insert(id.clone());
                        work.entry(id).or_default().clusters.push(cluster);
                    } else if over && config.farm.end_with_server && cluster.state != "stopping" {
                        servers.insert(id);
                        end(hub, gateway, &owner, &cluster.name).await;
                    }
                }
                if !servers.is_empty() {
                    still_owed.insert(owner, servers);
                }
            }
            Err(trouble) => {
                for server in active_servers(fleet, &owner) {
                    let before = hub.farm.of(&server.id);
                    let kept = before.clusters.iter().filter(|it| !it.is_in_notebook());
                    let kept: Vec<_> = kept.cloned().collect();
                    if kept.is_empty() && !uses_farm(fleet, server) {
                        continue;
                    }
                    let work = work.entry(server.id.clone()).or_default();
                    work.clusters = kept;
                    work.gateway_trouble = Some(trouble.clone());
                }
                servers.extend(former.into_iter().flatten().cloned());
                still_owed.insert(owner, servers);
            }
        }
    }
    still_owed
}

async fn end(hub: &Arc<Hub>, gateway: Option<&Gateway>, owner: &Username, cluster: &str) {
    let Some(gateway) = gateway else { return };
    let token = hub.farm.errands.begin(owner, gateway.service());
    match gateway.end(&token, cluster).await {
        Ok(()) => tracing::info!(%owner, cluster, "cluster ended with its server"),
        Err(error) => tracing::warn!(%owner, cluster, error, "cluster not ended yet"),
    }
}
