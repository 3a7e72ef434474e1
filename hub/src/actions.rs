//! What people and programs can do to servers: the one way from pages, API and CLI into the core.

use std::time::Duration;

use berth_common::link::Account;
use berth_common::{ByteCount, DecisionId, Reason, ServerId, ServerName};
use berth_core::event::{Event, StartRequest, Wish};
use berth_core::{Answer, Decision, Fleet, Server};
use berth_process::clock::now;
use tokio::sync::broadcast::error::RecvError;

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

/// Asks for several servers of one person at once, the directory once. The answers are in the order
/// of the names; all that was asked in one moment is mostly saved in one transaction.
///
/// # Errors
/// When some could not be saved.
pub async fn start_all(
    hub: &Hub,
    account: Account,
    names: Vec<ServerName>,
    wish: Wish,
) -> Result<Vec<Answer>, NotSaved> {
    let (account, barred) = hub.directory.for_start(hub, account).await.map_err(|error| {
        tracing::error!(%error, "starts could not ask for their account");
        NotSaved
    })?;
    let starts = names.into_iter().map(|name| {
        let request = request(account.clone(), name, wish.clone(), None);
        let request = StartRequest { barred: barred.clone(), ..request };
        hub.fleet.ask(Event::Start(Box::new(request)))
    });
    futures::future::try_join_all(starts).await
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

/// A container that is asked to end gets ten seconds by its engine, and the agent a moment more.
const LONGEST_STOP: Duration = Duration::from_secs(20);

/// Stops a server, and starts it again as last time as soon as nothing of it is left; `None`: that
/// takes too long, and it stays stopped, as it does if the hub dies meanwhile.
///
/// # Errors
/// When nothing was changed because it could not be saved.
pub async fn restart(
    hub: &Hub,
    account: Account,
    server: &Server,
    reason: Reason,
    watched: bool,
) -> Result<Option<Answer>, NotSaved> {
    let mut changes = hub.fleet.changes();
    stop(hub, &server.id, reason).await?;
    let gone = async {
        while hub.fleet.fleet().servers.get(&server.id).is_some_and(|it| it.is_active()) {
            // A receiver that fell behind looks again just the same.
            if let Err(RecvError::Closed) = changes.recv().await {
                return;
            }
        }
    };
    if tokio::time::timeout(LONGEST_STOP, gone).await.is_err() {
        return Ok(None);
    }
    let wish = Wish { as_before: true, ..Wish::default() };
    start(hub, account, server.name.clone(), wish, None, watched).await.map(Some)
}

/// Puts the stop of a server off by so many steps; `beyond`: whatever its owner's budget.
///
/// # Errors
/// When nothing was changed because it could not be saved.
pub async fn extend(
    hub: &Hub,
    server: &ServerId,
    steps: u32,
    beyond: bool,
) -> Result<Answer, NotSaved> {
    hub.fleet.ask(Event::Extend { server: server.clone(), steps, beyond, reply: None }).await
}

/// Gives a running server another memory limit. The answer comes once the order is durable; how it
/// goes on the host stands with the server.
///
/// # Errors
/// When nothing was changed because it could not be saved.
pub async fn resize(
    hub: &Hub,
    server: &ServerId,
    memory: ByteCount,
    by: &str,
) -> Result<Answer, NotSaved> {
    let event = Event::Resize { server: server.clone(), memory, reply: None };
    let answer = hub.fleet.ask(event).await?;
    if answer == Answer::Resizing {
        tracing::info!(%server, %memory, by, "another memory limit");
    }
    Ok(answer)
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
