//! Which person's which server a path means, and whether the visitor may act on it.

use berth_common::link::Account;
use berth_common::{ServerId, ServerName, Username};
use berth_core::{Fleet, Server};

use crate::auth::{Right, Visitor};
use crate::site::Hub;
use crate::web::pages::error::PageError;
use crate::web::pages::words;

/// A server that is there or could be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whose.
    pub owner: Username,
    /// Its name.
    pub name: ServerName,
}

impl Target {
    /// Reads `{user}` and `{server}` of a path, for somebody who may do this with the server. What
    /// is malformed and what belongs to somebody else look alike.
    pub fn of(
        path: &[(String, String)],
        visitor: &Visitor,
        right: Right,
    ) -> Result<Self, PageError> {
        let part = |name: &str| path.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        let owner = part("user").map_or_else(
            || Ok(visitor.user.account.name.clone()),
            |text| text.parse().map_err(|_| PageError::NotFound),
        )?;
        let name = part("server").map_or("", String::as_str);
        let name = name.parse().map_err(|_| PageError::NotFound)?;
        check(visitor, &owner, right)?;
        Ok(Self { owner, name })
    }

    /// The last part of its pages' paths.
    pub fn path(&self) -> String {
        words::server_path(&self.owner, &self.name)
    }
}

/// What a visitor may do with a person's servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct May {
    /// Starting and keeping them.
    pub start: bool,
    /// Ending and forgetting them.
    pub stop: bool,
    /// Going in.
    pub enter: bool,
}

impl May {
    /// What this visitor may do with this person's.
    pub fn of(visitor: &Visitor, owner: &Username) -> Self {
        Self {
            start: may(visitor, owner, Right::StartServers),
            stop: may(visitor, owner, Right::StopServers),
            enter: may(visitor, owner, Right::EnterServers),
        }
    }
}

/// Whether a visitor may do this with a person's servers: with their own, everything.
pub fn may(visitor: &Visitor, owner: &Username, right: Right) -> bool {
    visitor.user.account.name == *owner || visitor.may(right)
}

/// The same. Who may see them hears what is missing; for others they are not there.
fn check(visitor: &Visitor, owner: &Username, right: Right) -> Result<(), PageError> {
    match may(visitor, owner, right) {
        true => Ok(()),
        false if visitor.may(Right::SeeServers) => Err(PageError::Forbidden(right)),
        false => Err(PageError::NotFound),
    }
}

/// The server of this id, if the visitor may do this with it.
pub fn server<'a>(
    fleet: &'a Fleet,
    id: &str,
    visitor: &Visitor,
    right: Right,
) -> Result<&'a Server, PageError> {
    let id: ServerId = id.parse().map_err(|_| PageError::NotFound)?;
    let server = fleet.servers.get(&id).ok_or(PageError::NotFound)?;
    check(visitor, &server.owner, right)?;
    Ok(server)
}

/// The identity on the hosts of a server's owner.
pub fn account(hub: &Hub, visitor: &Visitor, owner: &Username) -> Result<Account, PageError> {
    if visitor.user.account.name == *owner {
        return Ok(visitor.user.account.clone());
    }
    let user = hub.storage.read(|reader| reader.user(owner))?;
    user.map(|user| user.account).ok_or(PageError::NotFound)
}
