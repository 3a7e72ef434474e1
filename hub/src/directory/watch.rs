//! Accounts that end while their servers run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use berth_common::{Reason, Timestamp, Username};
use berth_core::{Phase, Server};
use berth_process::clock::now;
use berth_store::Lapse;

use super::{Standing, take_over};
use crate::actions;
use crate::config::directory::WhenInvalid;
use crate::site::Hub;
use crate::storage::StorageError;

/// Looked at no more often than this, whatever the cache time is.
const LEAST: Duration = Duration::from_secs(1);

/// Looks at the accounts of everybody who has a server, once in the cache time, until the hub
/// ends.
pub async fn watch(hub: Arc<Hub>) {
    loop {
        let every = Duration::from_secs(hub.config().people.directory.cache.0).max(LEAST);
        tokio::time::sleep(every).await;
        round(&hub).await;
    }
}

/// Looks once at everybody who has a server.
pub async fn round(hub: &Hub) {
    let fleet = hub.fleet.fleet();
    let active = fleet.servers.values().filter(|server| server.is_active());
    let owners: BTreeSet<Username> = active.map(|server| server.owner.clone()).collect();
    for owner in owners {
        if let Err(error) = look_at(hub, &owner).await {
            tracing::error!(user = %owner, %error, "an account was not looked at");
        }
    }
}

async fn look_at(hub: &Hub, owner: &Username) -> Result<(), StorageError> {
    let Some(user) = hub.storage.read(|reader| reader.user(owner))? else { return Ok(()) };
    let standing = hub.directory.look(hub, owner, None).await?;
    let lapse = hub.storage.read(|reader| reader.lapse(owner))?;
    let config = hub.config();
    let why = match &standing {
        Standing::Valid(account) => {
            take_over(hub, &user.account, account).await?;
            if lapse.is_some() {
                tracing::info!(user = %owner, "the account is valid again");
                let owner = owner.clone();
                hub.storage.write(move |database| database.end_lapse(&owner)).await?;
            }
            return Ok(());
        }
        // Nobody knows: nothing changes.
        Standing::Unavailable(_) => return Ok(()),
        Standing::Invalid(_) | Standing::Unknown(_) => standing.refusal(&config.people.directory).1,
    };
    let since = match lapse {
        Some(lapse) => lapse.since,
        None => {
            let rule = config.people.directory.servers;
            tracing::warn!(user = %owner, %why, ?rule, "the account is no longer valid");
            let lapse = Lapse { user: owner.clone(), since: now(), why };
            let since = lapse.since;
            hub.storage.write(move |database| database.save_lapse(&lapse)).await?;
            since
        }
    };
    end_servers(hub, owner, since).await;
    Ok(())
}

/// Stops what the rules stop: running servers after their grace time, waiting ones at once, since
/// they must not start.
async fn end_servers(hub: &Hub, owner: &Username, since: Timestamp) {
    let config = hub.config();
    let rules = &config.people.directory;
    let over = rules.servers == WhenInvalid::Stop && now() >= since.plus(rules.grace);
    let ends = |server: &&Arc<Server>| match &server.phase {
        Phase::Idle => false,
        Phase::Waiting { .. } => true,
        Phase::Placed(placement) => over && placement.stop.is_none(),
    };
    let fleet = hub.fleet.fleet();
    for server in fleet.servers_of(owner).filter(ends) {
        if let Err(error) = actions::stop(hub, &server.id, Reason::StoppedAccount).await {
            tracing::error!(server = %server.id, %error, "a server was not stopped");
        }
    }
}
