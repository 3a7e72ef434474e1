//! The network of this host's servers.

use std::collections::{BTreeSet, HashMap};
use std::sync::PoisonError;

use berth_process::crash_point;
use bollard::Docker as Client;
use bollard::models::{NetworkCreateRequest, NetworkInspect};
use bollard::query_parameters::{
    InspectNetworkOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
};

use super::transport::torn;
use super::trouble::{Trouble, within};
use super::{Docker, HOST, QUESTION, WORK, podman};
use crate::firewall::Bridge;
use crate::runtime::Network;

/// Docker's option for the interface of a bridge.
const BRIDGE_NAME: &str = "com.docker.network.bridge.name";

/// Docker's option that keeps containers of a bridge from one another.
const ICC: &str = "com.docker.network.bridge.enable_icc";

impl Docker {
    /// The network, made if it is not there, and the only one of its name.
    pub(super) async fn try_network(&self) -> Result<Network, Trouble> {
        let mut last = self.network.lock().await;
        let client = self.client().await?;
        let name = self.network_name();
        let mut ids = networks(&client, &name).await?;
        if ids.is_empty() {
            self.make_network(&client, &name).await?;
            // One that an agent asked for which died may have come beside it.
            ids = networks(&client, &name).await?;
        }
        let lost = || Trouble::Unknown(format!("the Docker network {name} is gone again"));
        let id = self.only_one(&client, ids, last.as_ref()).await?.ok_or_else(lost)?;
        *last = Some(id.clone());
        let network =
            within(QUESTION, client.inspect_network(&id, None::<InspectNetworkOptions>)).await?;
        usable(&name, &network).map_err(Trouble::Unknown)?;
        *self.bridge.lock().unwrap_or_else(PoisonError::into_inner) = Some(bridge(&id, &network));
        let config = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        let gateway = config.into_iter().find_map(|config| config.gateway?.parse().ok());
        Ok(Network { id, gateway })
    }

    /// Removes all but one of several networks of the name: an agent that died while it asked for
    /// one leaves a second behind, at once or a moment later, and the engine starts nothing in a
    /// network whose name is ambiguous. One for which a container was made stays, else the last that
    /// was given out, for which one may be made just now, else the smallest id, which is the same
    /// for everybody who asks.
    async fn only_one(
        &self,
        client: &Client,
        ids: Vec<String>,
        last: Option<&String>,
    ) -> Result<Option<String>, Trouble> {
        if ids.len() < 2 {
            return Ok(ids.into_iter().next());
        }
        let filters = HashMap::from([("label", vec![format!("{HOST}={}", self.host)])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let made = within(QUESTION, client.list_containers(Some(options))).await?;
        let made = made.into_iter().filter_map(|it| it.host_config?.network_mode);
        let wanted: BTreeSet<String> = made.collect();
        let stays = ids.iter().find(|id| wanted.contains(*id));
        let stays = stays.or(last.filter(|id| ids.contains(id))).or(ids.first()).cloned();
        for twin in ids.iter().filter(|id| Some(*id) != stays.as_ref() && !wanted.contains(*id)) {
            crash_point!("engine.twin.before");
            let torn = torn!(client, "engine.twin.inside", "engine.twin.sent");
            let _ = within(QUESTION, torn.remove_network(twin)).await;
            crash_point!("engine.twin.after");
        }
        Ok(stays)
    }

    async fn make_network(&self, client: &Client, name: &str) -> Result<(), Trouble> {
        let version = within(QUESTION, client.version()).await?;
        if let Some(podman) = podman::of(&version) {
            return Err(Trouble::Unknown(podman));
        }
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".into()),
            options: Some(HashMap::from([(ICC.to_owned(), "false".to_owned())])),
            labels: Some(HashMap::from([(HOST.to_owned(), self.host.to_string())])),
            ..NetworkCreateRequest::default()
        };
        crash_point!("engine.network.before");
        let client = torn!(client, "engine.network.inside", "engine.network.sent");
        within(WORK, client.create_network(request)).await?;
        crash_point!("engine.network.after");
        Ok(())
    }
}

/// The networks of a name, by id. Names are not unique, and the engine's filter finds parts of them.
async fn networks(client: &Client, name: &str) -> Result<Vec<String>, Trouble> {
    let filters = HashMap::from([("name", vec![name.to_owned()])]);
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    let found = within(QUESTION, client.list_networks(Some(options))).await?;
    let exact = found.into_iter().filter(|network| network.name.as_deref() == Some(name));
    let mut ids: Vec<String> = exact.filter_map(|network| network.id).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// The bridge of a network, as the host sees it.
fn bridge(id: &str, network: &NetworkInspect) -> Bridge {
    let named = network.options.as_ref().and_then(|options| options.get(BRIDGE_NAME));
    let short: String = id.chars().take(12).collect();
    let configs = network.ipam.iter().flat_map(|ipam| ipam.config.iter().flatten());
    let gateways = configs.clone().filter_map(|config| config.gateway.as_ref()?.parse().ok());
    Bridge {
        interface: named.cloned().unwrap_or_else(|| format!("br-{short}")),
        subnets: configs.filter_map(|config| config.subnet.as_ref()?.parse().ok()).collect(),
        gateway: gateways.into_iter().next(),
    }
}

/// The network must keep servers from one another, whoever made it.
fn usable(name: &str, network: &NetworkInspect) -> Result<(), String> {
    let icc = network.options.as_ref().and_then(|options| options.get(ICC));
    let closed = icc.is_some_and(|value| value == "false");
    if network.driver.as_deref() == Some("bridge") && closed {
        return Ok(());
    }
    Err(format!(
        "the Docker network {name} exists but is not a bridge with {ICC}=false; \
         remove it (docker network rm {name}), the agent makes a right one"
    ))
}
