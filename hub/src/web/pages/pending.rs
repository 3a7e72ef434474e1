//! The page of a server that starts, waits or failed to start. It has no side effects; the
//! browser goes to the server by itself once it answers.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use berth_core::{Decision, Server};
use berth_process::clock::now;

use crate::auth::form::query_value;
use crate::auth::{Next, Right, Visitor};
use crate::site::Hub;
use crate::web::pages::error::PageError;
use crate::web::pages::progress::{Progress, Stage};
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::stopped;
use crate::web::pages::target::{May, Target};
use crate::web::pages::ticket;
use crate::web::say;

#[derive(Template)]
#[template(path = "pending.html")]
struct PendingPage {
    shell: Shell,
    progress: Progress,
    /// Where its parts come from, again and again.
    live: String,
    /// Where the browser goes when it is ready.
    go: String,
    /// This page, for those without scripts.
    here: String,
}

/// `GET /hub/spawn-pending/{user}` and `/{user}/{server}`
pub async fn show(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    Path(path): Path<Vec<(String, String)>>,
    uri: Uri,
) -> Result<Response, PageError> {
    let target = Target::of(&path, &visitor, Right::SeeServers)?;
    let next =
        query_value(&uri, "next").and_then(|it| Next::parse(&it, &hub.config().hub.public_url));
    let fleet = hub.fleet.fleet();
    let Some(server) = fleet.find(&target.owner, &target.name) else {
        let (next, ok) = (next.as_ref(), StatusCode::OK);
        return Ok(stopped::page_for(&hub, &visitor, &target, None, next, ok));
    };
    let decision = decision_about(&hub, server)?;
    let next_text = next.as_ref().map_or("", Next::as_str);
    let progress = Progress::of(
        &fleet,
        server,
        hub.is_open(server),
        decision.as_ref(),
        (May::of(&visitor, &server.owner), &visitor.xsrf),
        next_text,
        now(),
    );
    let progress = Progress { help: ticket::of(&hub, &fleet, server), ..progress };
    let go = next.as_ref().map_or_else(|| server.prefix(), ToString::to_string);
    match progress.stage {
        Stage::Ready => return Ok(crate::auth::visitor::found(&go).into_response()),
        Stage::Ended { .. } => {
            let (server, next, ok) = (Some(server), next.as_ref(), StatusCode::OK);
            return Ok(stopped::page_for(&hub, &visitor, &target, server, next, ok));
        }
        _ => {}
    }
    let query = next.as_ref().map_or_else(String::new, |next| format!("?next={}", next.escaped()));
    let view = PendingPage {
        shell: Shell::of(&visitor, progress.tab(), Here::Home),
        live: format!("/hub/live/servers/{}{query}", server.id),
        here: format!("/hub/spawn-pending/{}{query}", progress.path),
        go,
        progress,
    };
    Ok(page(StatusCode::OK, &view))
}

/// The newest decision about a server.
pub fn decision_about(hub: &Hub, server: &Server) -> Result<Option<Decision>, PageError> {
    let Some(id) = &server.decision else { return Ok(None) };
    Ok(hub.storage.read(|reader| reader.decision(id))?)
}
