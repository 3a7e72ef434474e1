//! `berth-agent swarm`: all fake hosts of an inventory in one process, each with certificates and
//! a link of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use berth_common::HostId;
use berth_process::file::{self, FileError};
use berth_process::signal::EndSignals;
use futures::{StreamExt, stream};

use crate::command::{self, CommandError};
use crate::config::{Config, HubAddress};
use crate::fake::host;
use crate::fake::inventory::Inventory;
use crate::identity::{self, Folder, IdentityError};
use crate::link::Outside;
use crate::link::dial::Tcp;

/// Hosts that join at the same time.
const JOINING: usize = 8;

/// Runs them until the process is asked to end. Those that have no certificates yet join first, by
/// the tokens of a file with a line `HOST TOKEN` for each.
///
/// # Errors
/// Says which host cannot live, and why.
pub fn run(
    inventory: &Path,
    hub: &HubAddress,
    state: &Path,
    tokens: Option<&Path>,
) -> Result<(), CommandError> {
    let inventory = Inventory::read(inventory)?;
    let tokens = tokens.map(read_tokens).transpose()?.unwrap_or_default();
    file::make_folder(state, 0o711)?;
    let all = inventory.hosts().map(|(name, has)| {
        let config = host::config(name, hub.as_str(), state)?;
        Ok((Arc::new(config), has.clone()))
    });
    let all = all.collect::<Result<Vec<_>, CommandError>>()?;
    command::runtime()?.block_on(async {
        let _only_one = command::lock(state)?;
        let joining = stream::iter(all.iter().map(|(config, _)| join(config, &tokens)));
        let mut joining = joining.buffer_unordered(JOINING);
        while let Some(joined) = joining.next().await {
            joined?;
        }
        drop(joining);
        tracing::info!("{} fake hosts begin", all.len());
        for (config, has) in all {
            let nature = inventory.nature.clone();
            tokio::spawn(async move {
                let name = config.agent.name.clone();
                if let Err(error) = host::live(config, has, nature, Outside::real()).await {
                    tracing::error!(host = %name, "{error}");
                }
            });
        }
        EndSignals::hear()?.asked().await;
        tracing::info!("the fake hosts end; their servers are remembered");
        Ok(())
    })
}

async fn join(config: &Config, tokens: &BTreeMap<HostId, String>) -> Result<(), CommandError> {
    if Folder::new(config).link_certificate().exists() {
        return Ok(());
    }
    let name = &config.agent.name;
    let token = tokens.get(name).ok_or_else(|| CommandError::NoToken(name.clone()))?;
    let joined: Result<(), IdentityError> =
        identity::join(config, &Tcp, &config.agent.hub, token).await;
    Ok(joined?)
}

fn read_tokens(path: &Path) -> Result<BTreeMap<HostId, String>, CommandError> {
    let text = file::read_if_there(path)?.unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let pairs = lines.map(|line| {
        let wrong = || {
            let why = std::io::Error::other("each line is to be HOST TOKEN");
            CommandError::File(FileError::new("read", path, why))
        };
        let (host, token) = line.split_once(' ').ok_or_else(wrong)?;
        Ok((host.parse().map_err(|_| wrong())?, token.trim().to_owned()))
    });
    pairs.collect()
}
