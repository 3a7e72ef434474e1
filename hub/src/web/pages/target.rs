//! Which person's which server a path means, and whether the visitor may act on it.

use berth_common::link::Account;
use berth_common::{ServerId, ServerName, Username};
use berth_core::{Fleet, Server};

use crate::auth::Visitor;
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
    /// Reads `{user}` and `{server}` of a path. What is malformed and what belongs to somebody
    /// else look alike.
    pub fn of(path: &[(String, String)], visitor: &Visitor) -> Result<Self, PageError> {
        let part = |name: &str| path.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        let owner = part("user").map_or_else(
            || Ok(visitor.user.account.name.clone()),
            |text| text.parse().map_err(|_| PageError::NotFound),
        )?;
        let name = part("server").map_or("", String::as_str);
        let name = name.parse().map_err(|_| PageError::NotFound)?;
        may_act(visitor, &owner).then_some(Self { owner, name }).ok_or(PageError::NotFound)
    }

    /// The last part of its pages' paths.
    pub fn path(&self) -> String {
        words::server_path(&self.owner, &self.name)
    }
}

/// Whether a visitor may see and steer a person's servers.
pub fn may_act(visitor: &Visitor, owner: &Username) -> bool {
    visitor.admin || visitor.user.account.name == *owner
}

/// The server of this id, if the visitor may act on it.
pub fn server<'a>(fleet: &'a Fleet, id: &str, visitor: &Visitor) -> Result<&'a Server, PageError> {
    let id: ServerId = id.parse().map_err(|_| PageError::NotFound)?;
    let server = fleet.servers.get(&id).filter(|server| may_act(visitor, &server.owner));
    server.map(AsRef::as_ref).ok_or(PageError::NotFound)
}

/// The identity on the hosts of a server's owner.
pub fn account(hub: &Hub, visitor: &Visitor, owner: &Username) -> Result<Account, PageError> {
    if visitor.user.account.name == *owner {
        return Ok(visitor.user.account.clone());
    }
    let user = hub.storage.read(|reader| reader.user(owner))?;
    user.map(|user| user.account).ok_or(PageError::NotFound)
}
