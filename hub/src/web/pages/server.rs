//! `/hub/servers/{id}`: one server, with all that is known of its life.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use berth_process::clock::now;

use crate::auth::Visitor;
use crate::site::Hub;
use crate::web::pages::card::Card;
use crate::web::pages::error::PageError;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::target;
use crate::web::pages::visits::{self, Line};

#[derive(Template)]
#[template(path = "server.html")]
struct ServerPage {
    shell: Shell,
    xsrf: String,
    card: Card,
    owner: String,
    /// Who entered it.
    visits: Vec<Line>,
    /// Where its buttons come back to.
    here: String,
}

/// `GET /hub/servers/{id}`
pub async fn show(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let server = target::server(&fleet, &id, &visitor)?;
    let card = Card::of(&fleet, server, now());
    let all = visits::lines(&hub, &fleet, &server.owner)?.into_iter();
    let of_it = all.filter(|(visit, _)| visit.server == server.id);
    let view = ServerPage {
        visits: of_it.map(|(_, line)| line).collect(),
        shell: Shell::of(&visitor, "Server", Here::Home),
        xsrf: visitor.xsrf.clone(),
        owner: server.owner.to_string(),
        here: format!("/hub/servers/{}", server.id),
        card,
    };
    Ok(page(StatusCode::OK, &view))
}
