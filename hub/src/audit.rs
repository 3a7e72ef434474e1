//! Who did what: each act of administrators, tokens, logins and visits is recorded, in the
//! transaction of the act where it is the store's, else before the act.

use berth_process::clock::now;
use berth_store::Act;

use crate::auth::principal::Via;
use crate::auth::{Caller, Visitor};
use crate::site::Hub;
use crate::storage::StorageError;

/// Somebody who acts.
pub trait Actor {
    /// An account's name, `service:NAME`, or `local-admin`.
    fn actor(&self) -> String;

    /// An address, or the way in.
    fn from(&self) -> &str;

    /// An act of theirs, now.
    fn act(&self, action: &str) -> Act {
        Act::new(now(), &self.actor(), action, self.from())
    }
}

impl Actor for Caller {
    fn actor(&self) -> String {
        match (&self.user, &self.via) {
            (Some(user), _) => user.account.name.to_string(),
            (None, Via::Service(name)) => format!("service:{name}"),
            (None, _) => "local-admin".to_owned(),
        }
    }

    fn from(&self) -> &str {
        &self.from
    }
}

impl Actor for Visitor {
    fn actor(&self) -> String {
        self.user.account.name.to_string()
    }

    fn from(&self) -> &str {
        &self.from
    }
}

/// Records an act that is not the store's, before it is done.
///
/// # Errors
/// When it could not be saved: then the act is not done either.
pub async fn record(hub: &Hub, act: Act) -> Result<(), StorageError> {
    hub.storage.write(move |database| database.record(&act)).await
}

/// Records what somebody is about to do to a server, if it is another person's: what people do with
/// their own is in the decisions and in the servers themselves.
///
/// # Errors
/// As [`record`].
pub async fn on_server(
    hub: &Hub,
    actor: &impl Actor,
    action: &str,
    owner: &str,
    server: &str,
) -> Result<(), StorageError> {
    on_server_because(hub, actor, (action, owner, server), None).await
}

/// The same, with what they say of it: the action, the owner, the server, and why.
///
/// # Errors
/// As [`record`].
pub async fn on_server_because(
    hub: &Hub,
    actor: &impl Actor,
    (action, owner, server): (&str, &str, &str),
    why: Option<&str>,
) -> Result<(), StorageError> {
    if actor.actor() == owner {
        return Ok(());
    }
    let act = actor.act(action).about(owner).on(server);
    record(hub, why.iter().fold(act, |act, why| act.because(why))).await
}
