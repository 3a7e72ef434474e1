//! What follows from the fleet's changes elsewhere: tokens that end with their server, activity
//! that the proxy saw, rows that expired.

use std::sync::Arc;
use std::time::Duration;

use berth_common::{Seconds, ServerId, Timestamp};
use berth_core::Event;
use berth_core::life::Evidence;
use berth_process::clock::now;
use tokio::sync::broadcast::error::RecvError;

use crate::keys::hash;
use crate::routes;
use crate::site::Hub;

/// Nothing stops as idle before the proxy was read once more, so a stop comes at most this late;
/// JupyterHub reads it every five minutes.
const ACTIVITY_EVERY: Duration = Duration::from_secs(20);
/// Expired rows hurt nobody; they are only in the way.
const EXPIRE_EVERY: Duration = Duration::from_secs(3_600);
/// A browser session ends a week after its login, whatever it does.
pub const SESSION_LIFE: Seconds = Seconds(7 * 86_400);
/// A browser session ends when unused for this long.
pub const SESSION_IDLE: Seconds = Seconds(8 * 3_600);

/// Ends the tokens of servers that stop, until the hub ends.
pub async fn end_tokens(hub: Arc<Hub>) {
    let mut changes = hub.fleet.changes();
    loop {
        match changes.recv().await {
            Ok(server) => end_tokens_of(&hub, &server).await,
            Err(RecvError::Lagged(_)) => {
                let idle: Vec<_> = hub.fleet.fleet().servers.keys().cloned().collect();
                for server in idle {
                    end_tokens_of(&hub, &server).await;
                }
            }
            Err(RecvError::Closed) => return,
        }
    }
}

async fn end_tokens_of(hub: &Hub, id: &ServerId) {
    let fleet = hub.fleet.fleet();
    let Some(server) = fleet.servers.get(id).filter(|server| !server.is_active()) else { return };
    let id = id.clone();
    let token = hub.keys.server_token(&id, server.generation);
    hub.forget_tokens(vec![hash(&token).to_vec()]);
    match hub.storage.write(move |database| database.delete_server_tokens(&id)).await {
        Ok(hashes) => hub.forget_tokens(hashes),
        Err(error) => tracing::error!(%error, "tokens of a stopped server were not deleted"),
    }
}

/// Takes over the activity that the proxy saw, until the hub ends.
pub async fn collect_activity(hub: Arc<Hub>) {
    let mut every = tokio::time::interval(ACTIVITY_EVERY);
    loop {
        every.tick().await;
        take_activity(&hub).await;
    }
}

/// Takes over when a client last sent something to each server. Not the clock of JupyterHub's
/// table, which starts with the route: a proxy that has lost its state would make every server of
/// the site look as if somebody were at work in it.
pub async fn take_activity(hub: &Hub) {
    let until = now();
    let Some(sent) = routes::last_sent(hub).await else { return };
    let fleet = hub.fleet.fleet();
    for server in fleet.servers.values().filter(|server| server.is_active()) {
        if let Some(at) = sent.get(server.prefix().trim_end_matches('/')) {
            let (server, kind, at) = (server.id.clone(), Evidence::Browser, *at);
            hub.fleet.send(Event::Activity { server, kind, at }).await;
        }
    }
    hub.fleet.send(Event::ActivityTold { until }).await;
}

/// Deletes what has expired, until the hub ends.
pub async fn expire(hub: Arc<Hub>) {
    let mut every = tokio::time::interval(EXPIRE_EVERY);
    loop {
        every.tick().await;
        forget(&hub);
        hub.storage.write_later("expiry", |database| {
            let before =
                |span: Seconds| Timestamp(now().0.saturating_sub(Timestamp(0).plus(span).0));
            database.expire(now(), before(SESSION_LIFE), before(SESSION_IDLE))
        });
    }
}

/// Forgets decisions and what they were made from once they are older than the site keeps them;
/// people's use stays as long as a budget or the order of the queue looks back.
fn forget(hub: &Hub) {
    /// The order of the queue looks back a week.
    const LEAST: Seconds = Seconds(8 * 86_400);
    let keep = hub.config().hub.keep_decisions;
    let fleet = hub.fleet.fleet();
    let windows = fleet.settings.quotas.budgets.iter().map(|budget| budget.window);
    let used = windows.map(|window| Seconds(window.0.saturating_add(86_400))).max();
    let used = used.unwrap_or(LEAST).max(LEAST).max(keep);
    let before = |span: Seconds| Timestamp(now().0.saturating_sub(Timestamp(0).plus(span).0));
    let day = before(used).0.div_euclid(86_400 * 1_000_000);
    hub.storage.write_later("retention", move |database| database.forget(before(keep), day));
    let acts = before(hub.config().hub.keep_audit);
    hub.storage.write_later("retention", move |database| {
        database.forget_acts(acts)?;
        database.forget_agenda(acts)?;
        database.forget_drains(acts)
    });
}
