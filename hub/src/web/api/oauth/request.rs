//! An authorization request: which client asks, and where the answer goes. Unknown arguments are
//! ignored.

use berth_store::User;

use crate::auth::next::escape;
use crate::site::Hub;
use crate::web::api::oauth::client::{self, Client};

/// A request that can be answered.
#[derive(Debug)]
pub struct Asked {
    /// Who asks.
    pub client: Client,
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
    /// Nothing in it can be trusted as an address: the person is told, in this text.
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
    // A registered address may have a query of its own.
    let mark = if redirect.contains('?') { '&' } else { '?' };
    format!("{redirect}{mark}{}", query.join("&"))
}

/// Reads the arguments of an authorization request of this visitor.
pub fn read(hub: &Hub, visitor: &User, pairs: &[(String, String)]) -> Result<Asked, Wrong> {
    let get = |name: &str| {
        let found = pairs.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    let client = client::asking(hub, get("client_id"), get("redirect_uri"))?;
    let redirect = client.redirect();
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
    let scopes = match get("scope") {
        None => client.scopes(),
        Some(text) => {
            let asked: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            let roles = &hub.config().people.roles;
            if !asked.iter().all(|scope| client.may_ask(scope, visitor, roles)) {
                return Err(wrong("invalid_scope", None));
            }
            // Access and identity come with every token of a client.
            let mut scopes = client.scopes();
            scopes.truncate(Client::ALWAYS);
            scopes.extend(asked);
            scopes.sort();
            scopes.dedup();
            scopes
        }
    };
    let state = state.map(str::to_owned);
    Ok(Asked { client, redirect, state, scopes, challenge })
}
