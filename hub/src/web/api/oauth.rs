//! The OAuth provider of the notebook servers: authorization code grant, with PKCE where the
//! client sends it. Each server is a client; it exists while its current start does.

mod exchange;
mod request;

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use berth_common::{Seconds, Timestamp};
use berth_core::Server;
use berth_process::clock::now;
use berth_store::OauthCode;

use crate::auth::scopes::{IDENTIFY, Scopes};
use crate::auth::visitor::found;
use crate::auth::{CheckedForm, Visitor, form, session};
use crate::config::roles::Roles;
use crate::keys;
use crate::site::Hub;
use crate::web::error::{page, unavailable};
pub use exchange::token;
use request::{Asked, Wrong};

/// A code is exchanged by the server at once; JupyterHub's limit.
const CODE_LIFE: Seconds = Seconds(300);

/// `GET /oauth2/authorize`: a notebook server sends its visitor here. No confirm page: the only
/// ones who get past the check of access are owners at their own servers.
pub async fn ask(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let pairs = form::query_pairs(&uri);
    authorize(&hub, visitor, &pairs, &headers).await
}

/// `POST /oauth2/authorize`: the confirm page of older clients posts back to the same address.
pub async fn confirm(
    State(hub): State<Arc<Hub>>,
    uri: Uri,
    headers: HeaderMap,
    CheckedForm { visitor, .. }: CheckedForm<Vec<(String, String)>>,
) -> Response {
    let pairs = form::query_pairs(&uri);
    authorize(&hub, visitor, &pairs, &headers).await
}

async fn authorize(
    hub: &Arc<Hub>,
    visitor: Visitor,
    pairs: &[(String, String)],
    headers: &HeaderMap,
) -> Response {
    let asked = match request::read(hub, pairs) {
        Ok(asked) => asked,
        Err(Wrong::Page(message)) => return page(StatusCode::BAD_REQUEST, message),
        Err(Wrong::Redirect(url)) => return found(&url),
    };
    // Others' servers stay closed even to those who could hold the scope: on one origin, entering
    // one hands its owner's scripts the visitor's session.
    if asked.server.owner != visitor.user.account.name {
        let why = format!("This server belongs to {}.", asked.server.owner);
        return page(StatusCode::FORBIDDEN, &why);
    }
    let text = keys::secret();
    let (hash, code) = (keys::hash(&text), code(&visitor, &asked, now()));
    if let Err(error) = hub.storage.write(move |database| database.add_code(&hash, &code)).await {
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
        client: asked.client.clone(),
        server: (asked.server.id.clone(), asked.server.generation),
        redirect: asked.redirect.clone(),
        scopes: asked.scopes.clone(),
        challenge: asked.challenge.clone(),
        session: visitor.session.clone(),
        expires: at.plus(CODE_LIFE),
    }
}

/// The scopes of a server's tokens: who the visitor is, and that the visitor may enter.
fn client_scopes(server: &Server) -> Vec<String> {
    let access = format!("access:servers!server={}/{}", server.owner, server.name);
    IDENTIFY.iter().map(|scope| (*scope).to_owned()).chain([access]).collect()
}

/// Whether a scope is one that a server's client may ask for.
fn is_allowed(scope: &str, server: &Server, owner: &berth_store::User, roles: &Roles) -> bool {
    let list = client_scopes(server);
    let allowed = Scopes::parse(&list, owner, roles).unwrap_or_default();
    let asked = Scopes::parse(&[scope.to_owned()], owner, roles);
    asked.is_ok_and(|asked| allowed.cover(&asked, &owner.account.groups))
}
