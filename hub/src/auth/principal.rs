//! Who calls the API: a person's browser session, a token, a server by its own token, or an
//! administrator on the hub's machine.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use berth_common::{Generation, Seconds, ServerId, ServerName, Timestamp, Username};
use berth_process::clock::now;
use berth_store::{Token, TokenKind, User};
use subtle::ConstantTimeEq;

use crate::auth::imported;
use crate::auth::login;
use crate::auth::scopes::{IDENTIFY, Scopes};
use crate::auth::session;
use crate::auth::xsrf;
use crate::config::roles::Roles;
use crate::config::services::Service;
use crate::keys;
use crate::site::Hub;
use crate::storage::StorageError;
use crate::web::error::ApiError;

/// JupyterHub refuses longer ones unhashed too; nobody may make us hash megabytes.
const LONGEST_TOKEN: usize = 64;
/// The use of a token is saved at most this often.
const USED_EVERY: Seconds = Seconds(60);
/// A person's activity is saved at most this often.
const ACTIVE_EVERY: Seconds = Seconds(30);

/// Marks requests that came over the administrators' socket.
#[derive(Debug, Clone, Copy)]
pub struct LocalAdmin;

/// Who calls.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The person; `None` for a service, and for an administrator on the hub's machine.
    pub user: Option<User>,
    /// What the caller may do.
    pub scopes: Scopes,
    /// By what we know.
    pub via: Via,
    /// The client's address, or the way in.
    pub from: String,
}

/// How a caller was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// A browser session, by its number.
    Session(String),
    /// An API or OAuth token.
    Token {
        /// Its number.
        id: i64,
        /// The browser session that led to it.
        session: Option<String>,
    },
    /// A server's own token.
    Server(ServerId),
    /// A service's own token, by the service's name.
    Service(String),
    /// The administrators' socket.
    Socket,
}

/// A caller, or nobody: for the few endpoints that answer both.
#[derive(Debug, Clone)]
pub struct MaybeCaller(pub Option<Caller>);

impl FromRequestParts<Arc<Hub>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self, ApiError> {
        authenticate(hub, parts)?.ok_or_else(ApiError::no_credentials)
    }
}

impl FromRequestParts<Arc<Hub>> for MaybeCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self, ApiError> {
        Ok(Self(authenticate(hub, parts)?))
    }
}

fn authenticate(hub: &Hub, parts: &Parts) -> Result<Option<Caller>, ApiError> {
    let caller = recognise(hub, parts)?;
    Ok(caller.map(|caller| {
        let from = match caller.via {
            Via::Socket => "admin-socket".to_owned(),
            _ => login::address(&parts.headers),
        };
        Caller { from, ..caller }
    }))
}

fn recognise(hub: &Hub, parts: &Parts) -> Result<Option<Caller>, ApiError> {
    if let Some(token) = bearer(&parts.headers) {
        return Ok(by_token(hub, token, now())?);
    }
    if parts.extensions.get::<LocalAdmin>().is_some() {
        return Ok(Some(caller(None, Scopes::admin(), Via::Socket)));
    }
    by_session(hub, parts)
}

fn caller(user: Option<User>, scopes: Scopes, via: Via) -> Caller {
    Caller { user, scopes, via, from: String::new() }
}

/// The token of `Authorization: token X` or `Bearer X`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(char::is_whitespace)?;
    let token = token.trim_start();
    let ours = scheme.eq_ignore_ascii_case("token") || scheme.eq_ignore_ascii_case("bearer");
    (ours && !token.is_empty() && !token.contains(char::is_whitespace)).then_some(token)
}

fn by_token(hub: &Hub, text: &str, at: Timestamp) -> Result<Option<Caller>, StorageError> {
    if text.len() > LONGEST_TOKEN {
        return Ok(None);
    }
    if let Some((server, generation)) = hub.keys.read_server_token(text) {
        return by_server(hub, &server, generation);
    }
    if let Some((person, service)) = hub.farm.errands.find(text) {
        return by_errand(hub, &person, service);
    }
    let hash = keys::hash(text);
    let token = match hub.storage.read(|reader| reader.token(&hash))? {
        Some(token) => token,
        None => match imported::find(hub, text)? {
            Some(token) => token,
            None => return Ok(by_service(hub, text)),
        },
    };
    if !is_valid(hub, &token, at) {
        return Ok(None);
    }
    let Some(user) = hub.storage.read(|reader| reader.user(&token.user))? else { return Ok(None) };
    if token.last_used.is_none_or(|used| at >= used.plus(USED_EVERY)) {
        let id = token.id;
        hub.storage.write_later("the use of a token", move |database| database.touch_token(id, at));
    }
    note_activity(hub, &user, at);
    let scopes = scopes_of(&token, &user, &hub.config().people.roles);
    let via = Via::Token { id: token.id, session: token.session };
    Ok(Some(caller(Some(user), scopes, via)))
}

/// What a token allows now: never more than its owner may.
pub fn scopes_of(token: &Token, owner: &User, roles: &Roles) -> Scopes {
    // What most tokens are. Everybody may be told who they are, so nothing has to be added.
    if token.scopes == ["inherit"] {
        return Scopes::of_user(owner, roles);
    }
    // A scope that a newer version gave and this one does not know allows nothing.
    let known: Vec<String> = token
        .scopes
        .iter()
        .filter(|scope| Scopes::parse(std::slice::from_ref(scope), owner, roles).is_ok())
        .cloned()
        .collect();
    own_part(&known, owner, roles)
}

/// What of a list a person's token allows. Every token tells whose it is.
fn own_part(list: &[String], owner: &User, roles: &Roles) -> Scopes {
    let identify = IDENTIFY.map(str::to_owned);
    let own = Scopes::parse(&[list, &identify].concat(), owner, roles).unwrap_or_default();
    Scopes::of_user(owner, roles).intersect(&own, &owner.account.groups)
}

/// Whether a token is alive: not expired, and what it opens is still there: the start of a server,
/// or a service.
pub fn is_valid(hub: &Hub, token: &Token, at: Timestamp) -> bool {
    let alive = token.expires.is_none_or(|expires| at < expires);
    let current = match (&token.server, token.kind) {
        (Some((server, generation)), _) => is_current(hub, server, *generation),
        (None, TokenKind::Api) => true,
        (None, TokenKind::Oauth) => hub.service_of_client(&token.client).is_some(),
    };
    alive && current
}

/// Whether this is a server's newest start, placed and not ordered to end.
pub fn is_current(hub: &Hub, server: &ServerId, generation: Generation) -> bool {
    let fleet = hub.fleet.fleet();
    fleet.servers.get(server).is_some_and(|server| {
        server.generation == generation
            && server.placement().is_some_and(|placement| placement.stop.is_none())
    })
}

/// A server speaks for its owner, but only about itself, its owner's activity, and what its profile
/// allows beside, as far as the owner may do that.
fn by_server(
    hub: &Hub,
    id: &ServerId,
    generation: Generation,
) -> Result<Option<Caller>, StorageError> {
    if !is_current(hub, id, generation) {
        return Ok(None);
    }
    let fleet = hub.fleet.fleet();
    let Some(server) = fleet.servers.get(id) else { return Ok(None) };
    let Some(user) = hub.storage.read(|reader| reader.user(&server.owner))? else {
        return Ok(None);
    };
    let mut list = vec![
        "users:activity!user".to_owned(),
        format!("access:servers!server={}/{}", server.owner, server.name),
    ];
    // As the files say now: what a site takes back is gone at once.
    let profile = fleet.settings.profiles.get(&server.ask.profile);
    list.extend(profile.into_iter().flat_map(|profile| profile.server_scopes.iter().cloned()));
    let config = hub.config();
    let scopes = own_part(&list, &user, &config.people.roles);
    Ok(Some(caller(Some(user), scopes, Via::Server(id.clone()))))
}

/// The hub itself asks a service in somebody's name: who that is, and that they may use it. It may
/// ask about what they had before they lost the right to it, so the right is the hub's own.
fn by_errand(
    hub: &Hub,
    person: &Username,
    service: String,
) -> Result<Option<Caller>, StorageError> {
    let Some(user) = hub.storage.read(|reader| reader.user(person))? else { return Ok(None) };
    let list = [format!("access:services!service={service}")];
    let list = [&list[..], &IDENTIFY.map(str::to_owned)].concat();
    let scopes = Scopes::parse(&list, &user, &hub.config().people.roles).unwrap_or_default();
    Ok(Some(caller(Some(user), scopes, Via::Service(service))))
}

/// A service speaks for itself, by the token that the site has written down or that the hub gave it.
fn by_service(hub: &Hub, text: &str) -> Option<Caller> {
    let all = hub.all_services();
    let service = all.0.values().find(|service| is_token_of(hub, service, text))?;
    let scopes = Scopes::of_service(service, &hub.config().people.roles);
    Some(caller(None, scopes, Via::Service(service.name.clone())))
}

/// Whether this is a service's token, which is the secret of its OAuth client too.
pub fn is_token_of(hub: &Hub, service: &Service, text: &str) -> bool {
    match &service.token_hash {
        Some(hash) => hash.ct_eq(&keys::hash(text)).into(),
        None => {
            let token = service.has_token().then(|| service_token(hub, service));
            token.is_some_and(|token| token.as_bytes().ct_eq(text.as_bytes()).into())
        }
    }
}

/// Whether a text is somebody's token already.
///
/// # Errors
/// When the store cannot be read.
pub fn is_taken(hub: &Hub, text: &str) -> Result<bool, StorageError> {
    let hash = keys::hash(text);
    Ok(hub.keys.read_server_token(text).is_some()
        || hub.storage.read(|reader| reader.token(&hash))?.is_some()
        || imported::find(hub, text)?.is_some()
        || by_service(hub, text).is_some())
}

/// The token of a service that has one.
pub fn service_token(hub: &Hub, service: &Service) -> String {
    match &service.token {
        Some(token) => token.reveal().to_owned(),
        None => hub.keys.service_token(&service.name),
    }
}

fn by_session(hub: &Hub, parts: &Parts) -> Result<Option<Caller>, ApiError> {
    let Some(live) = session::find(hub, &parts.headers)? else { return Ok(None) };
    if !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        if has_other_content(&parts.headers) {
            return Ok(None);
        }
        xsrf::check_origin(&parts.headers, &hub.config().hub.public_url)
            .map_err(|error| ApiError::forbidden(error.to_string()))?;
    }
    if !xsrf::is_exempt(&parts.method, &parts.headers) {
        let given = xsrf::carried(&parts.headers, &parts.uri);
        xsrf::check_token(given.as_deref(), &live.xsrf)
            .map_err(|error| ApiError::forbidden(error.to_string()))?;
    }
    note_activity(hub, &live.user, now());
    let scopes = Scopes::of_user(&live.user, &hub.config().people.roles);
    Ok(Some(caller(Some(live.user), scopes, Via::Session(live.id))))
}

/// A form of another site can send anything but JSON; so cookies go with JSON only.
fn has_other_content(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return false };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    !kind.trim().eq_ignore_ascii_case("application/json")
}

fn note_activity(hub: &Hub, user: &User, at: Timestamp) {
    if at >= user.last_activity.plus(ACTIVE_EVERY) {
        hub.storage.note_seen(user.account.name.clone(), at);
    }
}

impl Caller {
    /// The caller's name for the log.
    pub fn name(&self) -> &str {
        match (&self.user, &self.via) {
            (Some(user), _) => user.account.name.as_str(),
            (None, Via::Service(service)) => service,
            (None, _) => "the local administrator",
        }
    }

    /// Whether the caller is this person.
    pub fn is(&self, user: &User) -> bool {
        self.user.as_ref().is_some_and(|caller| caller.account.name == user.account.name)
    }

    /// Requires a scope, whatever it reaches.
    ///
    /// # Errors
    /// 403 when it is not held at all.
    pub fn require(&self, scope: &str) -> Result<(), ApiError> {
        if self.scopes.hold(scope) { Ok(()) } else { Err(ApiError::no_scope(&[scope])) }
    }

    /// Requires a scope over everything.
    ///
    /// # Errors
    /// 403 when it is not held for all resources.
    pub fn require_for_all(&self, scope: &str) -> Result<(), ApiError> {
        if self.scopes.hold_for_all(scope) { Ok(()) } else { Err(ApiError::no_scope(&[scope])) }
    }

    /// Requires one of some scopes over a person; `None` is a person who does not exist.
    ///
    /// # Errors
    /// 403 when none is held at all, 404 when they reach others only: the same for people who do
    /// not exist.
    pub fn require_user(&self, scopes: &[&str], user: Option<User>) -> Result<User, ApiError> {
        if !scopes.iter().any(|scope| self.scopes.hold(scope)) {
            return Err(ApiError::no_scope(scopes));
        }
        user.filter(|user| scopes.iter().any(|scope| self.scopes.reach_user(scope, &user.account)))
            .ok_or_else(ApiError::no_resource)
    }

    /// The same, but everybody may look at themselves, whatever they hold.
    ///
    /// # Errors
    /// As [`Caller::require_user`], for others.
    pub fn require_self_or(&self, scopes: &[&str], user: Option<User>) -> Result<User, ApiError> {
        match user {
            Some(user) if self.is(&user) => Ok(user),
            user => self.require_user(scopes, user),
        }
    }

    /// Requires a scope over a person's server.
    ///
    /// # Errors
    /// As [`Caller::require_user`].
    pub fn require_server(
        &self,
        scope: &str,
        user: Option<User>,
        server: &ServerName,
    ) -> Result<User, ApiError> {
        self.require(scope)?;
        user.filter(|user| self.scopes.reach_server(scope, &user.account, server))
            .ok_or_else(ApiError::no_resource)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn tokens_come_in_two_spellings() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(text).unwrap());
            bearer(&headers).map(str::to_owned)
        };
        for good in ["token abc", "Bearer abc", "bearer  abc", "TOKEN abc"] {
            assert_eq!(read(good).as_deref(), Some("abc"), "{good}");
        }
        for bad in ["abc", "Basic abc", "token", "token a b", "jupyterhub abc"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
