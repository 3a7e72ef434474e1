//! What people and programs can do to servers: the one way from pages, API and CLI into the core.

use berth_common::link::Account;
use berth_common::{DecisionId, Reason, ServerId, ServerName};
use berth_core::event::{Event, StartRequest, Wish};
use berth_core::{Answer, Decision, Fleet};
use berth_process::clock::now;

use crate::driver::NotSaved;
use crate::site::Hub;

/// Asks for a server; `watched`: a person who will look at its page does. The directory is asked
/// first: the server gets the account as it is now, and none if it is not valid. The answer comes
/// once it is durable; a second click gets the first one's.
///
/// # Errors
/// When nothing was changed because it could not be saved.
pub async fn start(
    hub: &Hub,
    account: Account,
    name: ServerName,
    wish: Wish,
    user_options: Option<String>,
    watched: bool,
) -> Result<Answer, NotSaved> {
    let (account, barred) = hub.directory.for_start(hub, account).await.map_err(|error| {
        tracing::error!(%error, "a start could not ask for its account");
        NotSaved
    })?;
    let request = StartRequest { watched, barred, ..request(account, name, wish, user_options) };
    hub.fleet.ask(Event::Start(Box::new(request))).await
}

/// What would come of asking for a server now. Changes nothing.
pub fn dry_run(hub: &Hub, account: Account, name: ServerName, wish: Wish) -> Decision {
    dry_run_on(&hub.fleet.fleet(), account, name, wish)
}

/// The same on a snapshot that the caller goes on to look at.
pub fn dry_run_on(fleet: &Fleet, account: Account, name: ServerName, wish: Wish) -> Decision {
    berth_core::step::dry_run(fleet, now(), &request(account, name, wish, None))
}

/// Ends a server, or takes a waiting one out of the queue.
///
/// # Errors
/// When nothing was changed because it could not be saved.
pub async fn stop(hub: &Hub, server: &ServerId, reason: Reason) -> Result<Answer, NotSaved> {
    hub.fleet.ask(Event::Stop { server: server.clone(), reason, reply: None }).await
}

/// Forgets a server that does not run.
///
/// # Errors
/// When nothing was changed because it could not be saved.
pub async fn remove(hub: &Hub, server: &ServerId) -> Result<Answer, NotSaved> {
    hub.fleet.ask(Event::Remove { server: server.clone(), reply: None }).await
}

fn request(
    account: Account,
    name: ServerName,
    wish: Wish,
    user_options: Option<String>,
) -> StartRequest {
    StartRequest {
        server: ServerId::from_random(rand::random()),
        decision: DecisionId::from_random(rand::random()),
        account,
        name,
        wish,
        watched: false,
        barred: None,
        user_options,
        reply: None,
    }
}
