//! What somebody who teaches does for a participant: starts the training's server, stops it, or both.
//! Other servers of that person are never touched.

use berth_common::{Reason, Username};
use berth_core::Answer;
use berth_core::event::Wish;
use berth_core::fleet::Fleet;
use berth_core::settings::Training;
use berth_store::User;

use super::{Role, name_to_start, server_of};
use crate::actions;
use crate::audit::{self, Actor};
use crate::driver::NotSaved;
use crate::site::Hub;
use crate::storage::StorageError;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// Nobody of that name takes part, as far as is known here.
    #[error("nobody of that name takes part, as far as is known here")]
    NotThere,
    /// A server of the same name runs, and is none of the training.
    #[error("another server of {0} runs under that name; its owner has to stop it first")]
    OtherServer(Username),
    /// The rules say no.
    #[error("{1}")]
    Refused(Reason, String),
    /// There is nothing to stop.
    #[error("{0} has no server of the training that could be stopped")]
    NothingRuns(Username),
    /// It could not be saved.
    #[error(transparent)]
    NotSaved(#[from] NotSaved),
    /// The store cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A participant with an account here.
fn participant(hub: &Hub, training: &Training, user: &str) -> Result<User, NotDone> {
    let name: Username = user.to_lowercase().parse().map_err(|_| NotDone::NotThere)?;
    let user = hub.storage.read(|reader| reader.user(&name))?.ok_or(NotDone::NotThere)?;
    match Role::of(&user.account, false, training) {
        Some(Role::Participant) => Ok(user),
        _ => Err(NotDone::NotThere),
    }
}

/// Starts the training's server of a participant.
///
/// # Errors
/// Why it was not started.
pub async fn start(
    hub: &Hub,
    actor: &impl Actor,
    (name, training): (&str, &Training),
    user: &str,
) -> Result<(), NotDone> {
    let account = participant(hub, training, user)?.account;
    let owner = account.name.clone();
    let fleet = hub.fleet.fleet();
    let server = name_to_start(&fleet, &owner, name);
    let subject = format!("{owner}/{server}");
    audit::on_server(hub, actor, "server-start", owner.as_str(), &subject).await?;
    let wish = Wish { profile: Some(name.to_owned()), ..Wish::default() };
    let answer = actions::start(hub, account, server, wish, None, false).await?;
    match answer {
        Answer::Refused(decision) => Err(NotDone::Refused(decision.reason(), decision.sentence())),
        Answer::Accepted(_) => Ok(()),
        _ if is_of_training(&hub.fleet.fleet(), &owner, name) => Ok(()),
        _ => Err(NotDone::OtherServer(owner)),
    }
}

fn is_of_training(fleet: &Fleet, owner: &Username, name: &str) -> bool {
    server_of(fleet, owner, name).is_some_and(|server| server.is_active())
}

/// Stops the training's server of a participant, or takes it out of the queue.
///
/// # Errors
/// Why it was not stopped.
pub async fn stop(
    hub: &Hub,
    actor: &impl Actor,
    (name, training): (&str, &Training),
    user: &str,
) -> Result<(), NotDone> {
    let owner = participant(hub, training, user)?.account.name;
    let fleet = hub.fleet.fleet();
    let server = server_of(&fleet, &owner, name).filter(|server| server.is_active());
    let server = server.ok_or_else(|| NotDone::NothingRuns(owner.clone()))?;
    audit::on_server(hub, actor, "server-stop", owner.as_str(), server.id.as_str()).await?;
    actions::stop(hub, &server.id, Reason::StoppedInstructor).await?;
    Ok(())
}

/// Stops the training's server of a participant and starts it again as it was.
///
/// # Errors
/// Why that was not done.
pub async fn restart(
    hub: &Hub,
    actor: &impl Actor,
    (name, training): (&str, &Training),
    user: &str,
) -> Result<(), NotDone> {
    let account = participant(hub, training, user)?.account;
    let owner = account.name.clone();
    let fleet = hub.fleet.fleet();
    let server = server_of(&fleet, &owner, name).filter(|server| server.is_active());
    let server = server.ok_or_else(|| NotDone::NothingRuns(owner.clone()))?;
    audit::on_server(hub, actor, "server-restart", owner.as_str(), server.id.as_str()).await?;
    match actions::restart(hub, account, server, Reason::StoppedInstructor, false).await? {
        Some(Answer::Refused(decision)) => {
            Err(NotDone::Refused(decision.reason(), decision.sentence()))
        }
        _ => Ok(()),
    }
}
