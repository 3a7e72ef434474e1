//! Extractors for pages: a person with a browser session.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use berth_store::User;

use crate::auth::login;
use crate::auth::next::Next;
use crate::auth::refusal::Refusal;
use crate::auth::rights::{Right, Rights};
use crate::auth::scopes::Scopes;
use crate::auth::session;
use crate::site::Hub;
use crate::web::pages::error::PageError;
use crate::web::pages::shell::Who;
use crate::web::say;

/// A logged-in person. Others are sent to the login page.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Who.
    pub user: User,
    /// The token that forms and scripts must send back, as `_xsrf` or `X-XSRFToken`.
    pub xsrf: String,
    /// The number of the browser session, for OAuth tokens.
    pub session: String,
    /// Whether this is an administrator.
    pub admin: bool,
    /// What this person may see and do beyond what is theirs.
    pub rights: Rights,
    /// Whether this person looks after a training.
    pub teaches: bool,
    /// The client's address.
    pub from: String,
}

/// A logged-in administrator. Other people get a 403 page.
#[derive(Debug, Clone)]
pub struct AdminVisitor(pub Visitor);

/// A person who may be logged in.
#[derive(Debug, Clone)]
pub struct MaybeVisitor(pub Option<Visitor>);

impl Visitor {
    /// The visitor of a request, or the refusal that sends the person to the login page.
    pub(crate) fn of(parts: &mut Parts, hub: &Hub) -> Result<Self, Refusal> {
        match find(parts, hub)? {
            Some(visitor) => Ok(visitor),
            None => Err(to_login(parts, hub)),
        }
    }

    /// Whether this is theirs to see or do.
    pub fn may(&self, right: Right) -> bool {
        self.rights.has(right)
    }

    /// Requires a right.
    ///
    /// # Errors
    /// A page that says which scopes give it.
    pub fn require(&self, right: Right) -> Result<(), PageError> {
        if self.may(right) { Ok(()) } else { Err(PageError::Forbidden(right)) }
    }
}

fn find(parts: &Parts, hub: &Hub) -> Result<Option<Visitor>, Refusal> {
    let live = session::find(hub, &parts.headers)?;
    let visitor = live.map(|live| Visitor {
        admin: hub.is_admin(&live.user),
        rights: Rights::of(&Scopes::of_user(&live.user, &hub.config().people.roles)),
        teaches: hub.teaches(&live.user),
        user: live.user,
        xsrf: live.xsrf,
        session: live.id,
        from: login::address(&parts.headers),
    });
    if let Some(visitor) = &visitor {
        Who::met(visitor);
    }
    Ok(visitor)
}

fn to_login(parts: &Parts, hub: &Hub) -> Refusal {
    let asked = parts.uri.path_and_query().filter(|_| parts.method == Method::GET);
    let next = asked.and_then(|path| Next::parse(path.as_str(), &hub.config().hub.public_url));
    Refusal::Login(next.map_or_else(|| "/hub/login".to_owned(), |next| next.login_url()))
}

/// 302, as JupyterHub's clients know it.
pub fn found(url: &str) -> Response {
    let mut response = Redirect::to(url).into_response();
    *response.status_mut() = StatusCode::FOUND;
    response
}

impl FromRequestParts<Arc<Hub>> for Visitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self, Refusal> {
        Self::of(parts, hub)
    }
}

impl FromRequestParts<Arc<Hub>> for AdminVisitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self, Refusal> {
        let visitor = Visitor::of(parts, hub)?;
        if visitor.admin {
            Ok(Self(visitor))
        } else {
            let why = say::t("error-for-administrators").to_string();
            Err(Refusal::page(StatusCode::FORBIDDEN, why))
        }
    }
}

impl FromRequestParts<Arc<Hub>> for MaybeVisitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self, Refusal> {
        Ok(Self(find(parts, hub)?))
    }
}
