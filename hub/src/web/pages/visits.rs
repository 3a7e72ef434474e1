//! Visits on pages: the form that asks why, and the lines that tell the owner.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use berth_common::{Seconds, Timestamp, Username};
use berth_core::{Fleet, Server};
use berth_process::clock::now;
use berth_store::Visit;
use serde::Deserialize;

use crate::auth::scopes::Scopes;
use crate::auth::{CheckedForm, Next, Visitor};
use crate::site::Hub;
use crate::storage::StorageError;
use crate::visits::{self, NotBegun};
use crate::web::pages::error::PageError;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words::{self, Moment};
use crate::web::say;

/// A visit is shown to the owner for so long after its end.
const SHOWN: Seconds = Seconds(30 * 86_400);

#[derive(Template)]
#[template(path = "enter.html")]
struct EnterPage {
    shell: Shell,
    xsrf: String,
    id: String,
    owner: String,
    /// Its owner and name.
    server: String,
    next: String,
    span: String,
    error: Option<String>,
}

/// The page that asks why. It is a refusal until that is said.
pub fn ask(visitor: &Visitor, server: &Server, next: &str, error: Option<String>) -> Response {
    let status = if error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::FORBIDDEN };
    let view = EnterPage {
        shell: Shell::of(visitor, say::t("enter-tab").to_string(), Here::Nowhere),
        xsrf: visitor.xsrf.clone(),
        id: server.id.to_string(),
        owner: server.owner.to_string(),
        server: words::server_path(&server.owner, &server.name),
        next: next.to_owned(),
        span: words::long(visits::USUAL),
        error,
    };
    page(status, &view)
}

/// The fields of that form.
#[derive(Debug, Deserialize)]
pub struct EnterForm {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    next: String,
}

/// `POST /hub/servers/{id}/enter`: begins a visit and leads to the server.
pub async fn enter(
    State(hub): State<Arc<Hub>>,
    Path(id): Path<String>,
    CheckedForm { visitor, form }: CheckedForm<EnterForm>,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let server = id.parse().ok().and_then(|id| fleet.servers.get(&id));
    let server = server.ok_or(PageError::NotFound)?;
    let scopes = Scopes::of_user(&visitor.user, &hub.config().people.roles);
    if server.owner == visitor.user.account.name || !visits::may_begin(&hub, &scopes, server)? {
        return Err(PageError::NotFound);
    }
    let begun =
        visits::begin(&hub, &visitor, &visitor.user, server, &form.reason, visits::USUAL).await;
    match begun {
        Ok(_) => {
            let next = Next::parse(&form.next, &hub.config().hub.public_url);
            let url = next.map_or_else(|| server.prefix(), |next| next.to_string());
            Ok(Redirect::to(&url).into_response())
        }
        Err(NotBegun::Storage(error)) => Err(error.into()),
        Err(NotBegun::NoReason) => {
            let why = say::t("enter-say-why").to_string();
            Ok(ask(&visitor, server, &form.next, Some(why)))
        }
        Err(NotBegun::Span) => {
            let shortest = words::long(visits::SHORTEST);
            let why = say::t("enter-span").with("shortest", shortest);
            let why = why.with("longest", words::long(visits::LONGEST)).to_string();
            Ok(ask(&visitor, server, &form.next, Some(why)))
        }
    }
}

/// What an owner reads about a visit.
#[derive(Debug, Clone)]
pub struct Line {
    /// Who.
    pub visitor: String,
    /// What was visited.
    pub title: String,
    /// Since when.
    pub begun: Moment,
    /// Until when.
    pub until: Moment,
    /// Whether it is over.
    pub over: bool,
    /// Why, in the visitor's words.
    pub reason: String,
}

/// The visits to somebody's servers that are under way or ended not long ago, the newest first.
///
/// # Errors
/// When the store cannot be read.
pub fn lines(
    hub: &Hub,
    fleet: &Fleet,
    owner: &Username,
) -> Result<Vec<(Visit, Line)>, StorageError> {
    let at = now();
    let since = Timestamp(at.0.saturating_sub(Timestamp(0).plus(SHOWN).0));
    let visits = hub.storage.read(|reader| reader.visits_to(owner, since))?;
    let line = |visit: Visit| {
        let server = fleet.servers.get(&visit.server);
        let title = server.map(|server| words::server_title(&server.name));
        let line = Line {
            visitor: visit.visitor.to_string(),
            title: title.unwrap_or_else(|| say::t("a-server").to_string()),
            begun: Moment::from(visit.begun),
            until: Moment::from(visit.until),
            over: visit.until <= at,
            reason: visit.reason.clone(),
        };
        (visit, line)
    };
    Ok(visits.into_iter().map(line).collect())
}
