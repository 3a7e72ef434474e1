//! An authorization request: which server asks, and where the answer goes. Unknown arguments are
//! ignored.

use std::sync::Arc;

use berth_core::Server;

use crate::auth::next::escape;
use crate::site::Hub;
use crate::spec::{callback_url, client_id};
use crate::web::api::oauth::{client_scopes, is_allowed};

/// A request that can be answered.
#[derive(Debug)]
pub struct Asked {
    /// The client's id.
    pub client: String,
    /// The server that it stands for.
    pub server: Arc<Server>,
    /// Where the answer goes.
    pub redirect: String,
    /// To be given back.
    pub state: Option<String>,
    /// What the token shall allow.
    pub scopes: Vec<String>,
    /// PKCE challenge and method.
    pub challenge: Option<(String, String)>,
}

/// A request that cannot.
#[derive(Debug)]
pub enum Wrong {
    /// Nothing in it can be trusted as an address: the person is told.
    Page(&'static str),
    /// The client is told, by this address.
    Redirect(String),
}

impl Asked {
    /// The client's address with an answer.
    pub fn answer(&self, pairs: &[(&str, &str)]) -> String {
        answer(&self.redirect, self.state.as_deref(), pairs)
    }
}

fn answer(redirect: &str, state: Option<&str>, pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().copied().chain(state.map(|state| ("state", state)));
    let query: Vec<_> =
        pairs.map(|(key, value)| format!("{key}={}", escape(value).replace("%20", "+"))).collect();
    format!("{redirect}?{}", query.join("&"))
}

/// Reads the arguments of an authorization request.
pub fn read(hub: &Hub, pairs: &[(String, String)]) -> Result<Asked, Wrong> {
    let get = |name: &str| {
        let found = pairs.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    let (client, server, redirect) = client(hub, get("client_id"), get("redirect_uri"))?;
    let state = get("state");
    let wrong = |error: &str, description: Option<&str>| {
        let description = description.map(|text| ("error_description", text));
        let pairs: Vec<_> = [("error", error)].into_iter().chain(description).collect();
        Wrong::Redirect(answer(&redirect, state, &pairs))
    };
    match get("response_type") {
        Some("code") => {}
        None => {
            return Err(wrong("invalid_request", Some("Missing response_type parameter.")));
        }
        Some(_) => return Err(wrong("unsupported_response_type", None)),
    }
    let challenge = match (get("code_challenge"), get("code_challenge_method").unwrap_or("plain")) {
        (None, _) => None,
        (Some(challenge), method @ ("S256" | "plain")) => {
            Some((challenge.to_owned(), method.to_owned()))
        }
        (Some(_), _) => {
            return Err(wrong("invalid_request", Some("Transform algorithm not supported.")));
        }
    };
    let owner = hub.storage.read(|reader| reader.user(&server.owner)).ok().flatten();
    let Some(owner) = owner else { return Err(Wrong::Page(NO_CLIENT)) };
    let scopes = match get("scope") {
        None => client_scopes(&server),
        Some(text) => {
            let asked: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            let roles = &hub.config().people.roles;
            if !asked.iter().all(|scope| is_allowed(scope, &server, &owner, roles)) {
                return Err(wrong("invalid_scope", None));
            }
            // Access and identity come with every token of a client.
            let mut scopes = client_scopes(&server);
            scopes.extend(asked);
            scopes.sort();
            scopes.dedup();
            scopes
        }
    };
    let state = state.map(str::to_owned);
    Ok(Asked { client, server, redirect, state, scopes, challenge })
}

const NO_CLIENT: &str = "Invalid client_id parameter value.";

/// The client and its server. `alice`'s server `n1` and the default server of `alice-n1` have one
/// client id (as in JupyterHub); their redirect URIs tell them apart.
fn client(
    hub: &Hub,
    id: Option<&str>,
    redirect: Option<&str>,
) -> Result<(String, Arc<Server>, String), Wrong> {
    let id = id.ok_or(Wrong::Page(NO_CLIENT))?;
    let fleet = hub.fleet.fleet();
    let mut servers = fleet.servers.values().filter(|server| {
        server.placement().is_some_and(|placement| placement.stop.is_none())
            && client_id(server) == id
    });
    let mut found = servers.next().ok_or(Wrong::Page(NO_CLIENT))?;
    let other = servers.next();
    if let (Some(other), Some(redirect)) = (other, redirect)
        && callback_url(other) == redirect
    {
        found = other;
    }
    let registered = callback_url(found);
    let ambiguous = other.is_some() && redirect.is_none();
    if ambiguous || redirect.is_some_and(|redirect| redirect != registered) {
        return Err(Wrong::Page("Mismatching redirect URI."));
    }
    Ok((id.to_owned(), Arc::clone(found), registered))
}
