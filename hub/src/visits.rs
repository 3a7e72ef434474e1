//! Visits to other people's servers: with a reason, for a while, and told to the owner. On one
//! origin the owner's pages run with the visitor's session, so a visit is never begun by a mere
//! link: the visitor says why.

use std::sync::Arc;
use std::time::Duration;

use berth_common::link::Account;
use berth_common::{Seconds, ServerId, ServerName, Timestamp, Username};
use berth_core::Server;
use berth_process::clock::now;
use berth_store::{User, Visit};
use tokio::time::MissedTickBehavior;

use crate::audit::Actor;
use crate::auth::scopes::Scopes;
use crate::site::Hub;
use crate::storage::StorageError;
use crate::web::error::cut;

/// How long a visit lasts where nothing is said.
pub const USUAL: Seconds = Seconds(3_600);
/// The shortest visit.
pub const SHORTEST: Seconds = Seconds(600);
/// The longest visit.
pub const LONGEST: Seconds = Seconds(8 * 3_600);
/// A notebook server believes for so long what the hub said of a token. So the hub says no this
/// much before the end, and at the end nobody is let in any more.
const BELIEVED: Seconds = Seconds(300);
/// How soon open websockets are closed after the end.
const LOOK: Duration = Duration::from_secs(5);
/// A hub that was away closes what ended meanwhile.
const LOOK_BACK: Seconds = Seconds(86_400);

/// Why a visit does not begin.
#[derive(Debug, thiserror::Error)]
pub enum NotBegun {
    /// There is no reason.
    #[error("Say why: the owner reads it.")]
    NoReason,
    /// The span is not possible.
    #[error("A visit lasts from {SHORTEST} to {LONGEST}.")]
    Span,
    /// It could not be saved.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Begins a visit. Visit and record are durable before anybody is let in.
///
/// # Errors
/// Why not; whether the visitor may is for the caller to check.
pub async fn begin(
    hub: &Hub,
    actor: &impl Actor,
    visitor: &User,
    server: &Server,
    reason: &str,
    span: Seconds,
) -> Result<Visit, NotBegun> {
    let reason = cut(reason.trim());
    if reason.is_empty() {
        return Err(NotBegun::NoReason);
    }
    if !(SHORTEST..=LONGEST).contains(&span) {
        return Err(NotBegun::Span);
    }
    let at = now();
    let visit = Visit {
        server: server.id.clone(),
        owner: server.owner.clone(),
        visitor: visitor.account.name.clone(),
        reason,
        begun: at,
        until: at.plus(span),
    };
    let act = actor.act("enter-server").about(visit.owner.as_str()).on(server.id.as_str());
    let (act, saved) = (act.because(&visit.reason), visit.clone());
    hub.storage
        .write(move |database| {
            database.together(|database| {
                database.add_visit(&saved)?;
                database.record(&act)
            })
        })
        .await?;
    tracing::info!(action = "enter-server", outcome = "success", user = %visit.visitor,
        server = %visit.server, owner = %visit.owner, why = visit.reason, "somebody was let in");
    Ok(visit)
}

/// Whether somebody may visit a server: the scope is held, whatever a visit needs besides.
///
/// # Errors
/// When the store cannot be read.
pub fn may_begin(hub: &Hub, scopes: &Scopes, server: &Server) -> Result<bool, StorageError> {
    let owner = hub.storage.read(|reader| reader.user(&server.owner))?;
    let scope = "access:servers";
    Ok(owner.is_some_and(|owner| scopes.reach_server(scope, &owner.account, &server.name)))
}

/// The visit to a server under which somebody is let in now.
///
/// # Errors
/// When the store cannot be read.
pub fn under_way(
    hub: &Hub,
    visitor: &Username,
    server: &ServerId,
) -> Result<Option<Visit>, StorageError> {
    let visits = hub.storage.read(|reader| reader.visits_by(visitor, now()))?;
    Ok(visits.into_iter().find(|visit| visit.server == *server && now() < lets_in_until(visit)))
}

/// The first moment at which a visit lets nobody in any more.
pub fn lets_in_until(visit: &Visit) -> Timestamp {
    let last = visit.until.0.saturating_sub(Timestamp(0).plus(BELIEVED).0);
    Timestamp(last)
}

/// The servers that somebody visits now, by owner and name.
///
/// # Errors
/// When the store cannot be read.
pub fn visited(hub: &Hub, visitor: &Username) -> Result<Vec<(Account, ServerName)>, StorageError> {
    let at = now();
    let visits = hub.storage.read(|reader| reader.visits_by(visitor, at))?;
    let fleet = hub.fleet.fleet();
    let mut visited = Vec::new();
    for visit in visits.iter().filter(|visit| at < lets_in_until(visit)) {
        let owner = hub.storage.read(|reader| reader.user(&visit.owner))?;
        if let (Some(server), Some(owner)) = (fleet.servers.get(&visit.server), owner) {
            visited.push((owner.account, server.name.clone()));
        }
    }
    Ok(visited)
}

/// Closes what visitors have open when their visits end, until the hub ends. The proxy knows whose a
/// websocket is, not by which visit it came: all of the visitor's are closed, and those of their own
/// servers open again by themselves.
pub async fn close(hub: Arc<Hub>) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = Timestamp(now().0.saturating_sub(Timestamp(0).plus(LOOK_BACK).0));
    loop {
        look.tick().await;
        let at = now();
        match close_ended(&hub, seen, at) {
            Ok(()) => seen = at,
            Err(error) => tracing::error!(%error, "visits that have ended were not closed"),
        }
    }
}

fn close_ended(hub: &Hub, after: Timestamp, until: Timestamp) -> Result<(), StorageError> {
    let ended = hub.storage.read(|reader| reader.visits_ending(after, until))?;
    for visit in ended {
        let hashes = hub.storage.read(|reader| reader.secrets_of(&visit.visitor))?;
        hub.forget_tokens(hashes);
    }
    Ok(())
}
