//! The OAuth provider of the notebook servers and of services: authorization code grant, with PKCE
//! where the client sends it. A server is a client while its current start lives; a service, as long
//! as it stands in the site's files.

pub mod client;
mod exchange;
mod request;

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use berth_common::{Seconds, Timestamp};
use berth_core::Server;
use berth_process::clock::now;
use berth_store::{OauthCode, TokenKind};

use crate::audit::Actor;
use crate::auth::principal::is_valid;
use crate::auth::scopes::{IDENTIFY, Scopes};
use crate::auth::visitor::found;
use crate::auth::{CheckedForm, Visitor, form, session};
use crate::config::services::Service;
use crate::keys;
use crate::site::Hub;
use crate::storage::StorageError;
use crate::visits;
use crate::web::error::{page, unavailable};
use crate::web::pages::{self, consent};
use crate::web::say;
use client::Client;
pub use exchange::token;
use request::{Asked, Wrong};

/// A code is exchanged by the client at once; JupyterHub's limit.
const CODE_LIFE: Seconds = Seconds(300);

/// `GET /oauth2/authorize`: a client sends its visitor here. A service's visitors are asked first
/// whether it may know them.
pub async fn ask(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    authorize(&hub, visitor, &uri, &headers, None).await
}

/// `POST /oauth2/authorize`: the confirm page posts back to its own address the scopes that the
/// visitor grants.
pub async fn confirm(
    State(hub): State<Arc<Hub>>,
    uri: Uri,
    headers: HeaderMap,
    CheckedForm { visitor, form }: CheckedForm<Vec<(String, String)>>,
) -> Response {
    let granted = form.into_iter().filter(|(key, _)| key == "scopes");
    let granted = granted.map(|(_, scope)| scope).collect();
    authorize(&hub, visitor, &uri, &headers, Some(granted)).await
}

async fn authorize(
    hub: &Arc<Hub>,
    visitor: Visitor,
    uri: &Uri,
    headers: &HeaderMap,
    granted: Option<Vec<String>>,
) -> Response {
    let mut asked = match request::read(hub, &visitor.user, &form::query_pairs(uri)) {
        Ok(asked) => asked,
        Err(Wrong::Page(text)) => return page(StatusCode::BAD_REQUEST, &say::t(text).to_string()),
        Err(Wrong::Redirect(url)) => return found(&url),
    };
    let answer = match asked.client.clone() {
        Client::Server(server) => at_server(hub, &visitor, &server, uri),
        Client::Service(service) => at_service(hub, &visitor, &service, &mut asked, granted),
    };
    match answer {
        Some(answer) => answer,
        None => give_code(hub, &visitor, &asked, headers).await,
    }
}

/// What the visitor of another person's server gets in place of a code: a refusal, or the question
/// why. Under a visit the owner has been told.
fn at_server(hub: &Hub, visitor: &Visitor, server: &Server, uri: &Uri) -> Option<Response> {
    let name = &visitor.user.account.name;
    if server.owner == *name {
        return None;
    }
    let scopes = Scopes::of_user(&visitor.user, &hub.config().people.roles);
    let may = visits::may_begin(hub, &scopes, server);
    let may = may.and_then(|may| Ok((may, visits::under_way(hub, name, &server.id)?)));
    match may {
        Err(error) => Some(unavailable(&error)),
        Ok((false, _)) => {
            let why = say::t("oauth-not-yours").with("owner", server.owner.as_str());
            Some(page(StatusCode::FORBIDDEN, &why.to_string()))
        }
        Ok((true, None)) => {
            let here = uri.path_and_query().map_or("", PathAndQuery::as_str);
            Some(pages::visits::ask(visitor, server, here, None))
        }
        Ok((true, Some(_))) => None,
    }
}

/// What the visitor of a service gets in place of a code: a refusal, or the question whether the
/// service may know them. What was granted is left in the request.
fn at_service(
    hub: &Hub,
    visitor: &Visitor,
    service: &Service,
    asked: &mut Asked,
    granted: Option<Vec<String>>,
) -> Option<Response> {
    let config = hub.config();
    let (user, roles) = (&visitor.user, &config.people.roles);
    let own = Scopes::of_user(user, roles);
    if !own.reach_service("access:services", &service.name) {
        let why = say::t("oauth-no-service").with("service", &service.name);
        return Some(page(StatusCode::FORBIDDEN, &why.to_string()));
    }
    // What the visitor does not hold would allow nothing.
    asked.scopes.retain(|scope| {
        let wanted = Scopes::parse(std::slice::from_ref(scope), user, roles).unwrap_or_default();
        own.intersect(&wanted, &user.account.groups) != Scopes::default()
    });
    let known = match is_known(hub, visitor, service, &asked.scopes) {
        Ok(known) => known,
        Err(error) => return Some(unavailable(&error)),
    };
    if service.no_confirm || known {
        return None;
    }
    let Some(granted) = granted else {
        return Some(consent::page_for(visitor, service, &asked.scopes));
    };
    asked.scopes.retain(|scope| IDENTIFY.contains(&scope.as_str()) || granted.contains(scope));
    None
}

/// Whether a living token of the same client holds these scopes already: then nobody is asked again.
fn is_known(
    hub: &Hub,
    visitor: &Visitor,
    service: &Service,
    scopes: &[String],
) -> Result<bool, StorageError> {
    let tokens = hub.storage.read(|reader| reader.tokens_of(&visitor.user.account.name))?;
    let at = now();
    let given: Vec<String> = tokens
        .into_iter()
        .filter(|token| token.kind == TokenKind::Oauth && token.client == service.client_id)
        .filter(|token| is_valid(hub, token, at))
        .flat_map(|token| token.scopes)
        .collect();
    Ok(scopes.iter().all(|scope| given.contains(scope)))
}

async fn give_code(
    hub: &Arc<Hub>,
    visitor: &Visitor,
    asked: &Asked,
    headers: &HeaderMap,
) -> Response {
    let text = keys::secret();
    let (hash, code) = (keys::hash(&text), code(visitor, asked, now()));
    let act = match &asked.client {
        // To one's own server, or under a visit that is in the record already.
        Client::Server(_) => None,
        Client::Service(service) => Some(visitor.act("service-login").on(&service.name)),
    };
    let saved = hub.storage.write(move |database| {
        database.together(|database| {
            database.add_code(&hash, &code)?;
            act.map_or(Ok(()), |act| database.record(&act))
        })
    });
    if let Err(error) = saved.await {
        return unavailable(&error);
    }
    let mut response = found(&asked.answer(&[("code", &text)]));
    if let Some(cookie) = session::number_cookie(hub, headers, &visitor.session) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

fn code(visitor: &Visitor, asked: &Asked, at: Timestamp) -> OauthCode {
    OauthCode {
        user: visitor.user.account.name.clone(),
        client: asked.client.id(),
        server: asked.client.server(),
        redirect: asked.redirect.clone(),
        scopes: asked.scopes.clone(),
        challenge: asked.challenge.clone(),
        session: visitor.session.clone(),
        expires: at.plus(CODE_LIFE),
    }
}
