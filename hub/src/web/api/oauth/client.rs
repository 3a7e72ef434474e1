//! Who sends visitors here: a server, for as long as its current start lives, or a service.

use std::sync::Arc;

use berth_common::{Generation, ServerId};
use berth_core::Server;
use berth_store::User;

use crate::auth::principal::{is_current, is_token_of};
use crate::auth::scopes::{IDENTIFY, Scopes};
use crate::config::roles::Roles;
use crate::config::services::Service;
use crate::site::Hub;
use crate::spec::{callback_url, client_id};
use crate::web::api::oauth::request::Wrong;

/// An OAuth client.
#[derive(Debug, Clone)]
pub enum Client {
    /// A server that runs, or is about to.
    Server(Arc<Server>),
    /// A service of the site.
    Service(Arc<Service>),
}

impl Client {
    /// Its id.
    pub fn id(&self) -> String {
        match self {
            Self::Server(server) => client_id(server),
            Self::Service(service) => service.client_id.clone(),
        }
    }

    /// Its one redirect URI.
    pub fn redirect(&self) -> String {
        match self {
            Self::Server(server) => callback_url(server),
            Self::Service(service) => service.redirect.clone(),
        }
    }

    /// The start behind a server's client.
    pub fn server(&self) -> Option<(ServerId, Generation)> {
        match self {
            Self::Server(server) => Some((server.id.clone(), server.generation)),
            Self::Service(_) => None,
        }
    }

    /// What its tokens allow at most: who the visitor is, that the visitor may enter, and what the
    /// site gives a service besides.
    pub fn scopes(&self) -> Vec<String> {
        let (access, more) = match self {
            Self::Server(server) => {
                (format!("access:servers!server={}/{}", server.owner, server.name), &[][..])
            }
            Self::Service(service) => (service.access_scope(), &service.visitor_scopes[..]),
        };
        let always = IDENTIFY.iter().map(|scope| (*scope).to_owned()).chain([access]);
        always.chain(more.iter().cloned()).collect()
    }

    /// How many of these scopes come with every token: identity and access.
    pub const ALWAYS: usize = IDENTIFY.len() + 1;

    /// Whether a scope is one that it may ask its visitor for.
    pub fn may_ask(&self, scope: &str, visitor: &User, roles: &Roles) -> bool {
        let allowed = Scopes::parse(&self.scopes(), visitor, roles).unwrap_or_default();
        let asked = Scopes::parse(&[scope.to_owned()], visitor, roles);
        asked.is_ok_and(|asked| allowed.cover(&asked, &visitor.account.groups))
    }
}

const NO_CLIENT: &str = "oauth-no-client";
const NO_REDIRECT: &str = "oauth-no-redirect";

/// The client of a request. `alice`'s server `n1` and the default server of `alice-n1` have one
/// client id (as in JupyterHub); their redirect URIs tell them apart.
pub fn asking(hub: &Hub, id: Option<&str>, redirect: Option<&str>) -> Result<Client, Wrong> {
    let id = id.ok_or(Wrong::Page(NO_CLIENT))?;
    let client = match hub.service_of_client(id) {
        Some(service) => Client::Service(service),
        None => Client::Server(server(hub, id, redirect)?),
    };
    if redirect.is_some_and(|redirect| redirect != client.redirect()) {
        return Err(Wrong::Page(NO_REDIRECT));
    }
    Ok(client)
}

fn server(hub: &Hub, id: &str, redirect: Option<&str>) -> Result<Arc<Server>, Wrong> {
    let fleet = hub.fleet.fleet();
    let mut servers = fleet.servers.values().filter(|server| {
        server.placement().is_some_and(|placement| placement.stop.is_none())
            && client_id(server) == id
    });
    let found = servers.next().ok_or(Wrong::Page(NO_CLIENT))?;
    match (servers.next(), redirect) {
        (None, _) => Ok(Arc::clone(found)),
        (Some(_), None) => Err(Wrong::Page(NO_REDIRECT)),
        (Some(other), Some(redirect)) if callback_url(other) == redirect => Ok(Arc::clone(other)),
        (Some(_), Some(_)) => Ok(Arc::clone(found)),
    }
}

/// The client whose id and secret these are.
pub fn proven(hub: &Hub, id: Option<&str>, secret: Option<&str>) -> Option<Client> {
    let (id, secret) = (id?, secret?);
    if let Some(service) = hub.service_of_client(id) {
        return is_token_of(hub, &service, secret).then_some(Client::Service(service));
    }
    let (server, generation) = hub.keys.read_server_token(secret)?;
    let fleet = hub.fleet.fleet();
    let server = fleet.servers.get(&server).filter(|server| client_id(server) == id)?;
    is_current(hub, &server.id, generation).then(|| Client::Server(Arc::clone(server)))
}
