//! A person's home as that person sees it: to be looked at, not to be used. Who looked is in the
//! audit.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use berth_process::clock::now;

use super::one::find;
use crate::audit::{self, Actor};
use crate::auth::{Right, Visitor};
use crate::site::Hub;
use crate::web::pages::error::PageError;
use crate::web::pages::home::{Cards, visits_to};
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::visits;
use crate::web::say;

#[derive(Template)]
#[template(path = "view-as.html")]
struct ViewPage {
    shell: Shell,
    name: String,
    notice: Option<String>,
    visits: Vec<visits::Line>,
    cards: Option<Cards>,
}

/// `GET /hub/admin/people/{user}/home`
pub async fn show(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    visitor.require(Right::SeePeople)?;
    let owner = find(&hub, &name)?.account.name;
    audit::record(&hub, visitor.act("view-as").about(owner.as_str())).await?;
    let fleet = hub.fleet.fleet();
    let lapse = hub.storage.read(|reader| reader.lapse(&owner))?;
    // Without a token no button of these cards could do anything.
    let cards = Cards::of(&hub, &fleet, &owner, "", now());
    let has_some = fleet.servers_of(&owner).next().is_some();
    let view = ViewPage {
        shell: Shell::of(&visitor, owner.to_string(), Here::People),
        notice: lapse.map(|lapse| say::t("account-lapsed").with("why", &lapse.why).to_string()),
        visits: visits_to(&hub, &fleet, &owner)?,
        cards: has_some.then_some(cards),
        name: owner.to_string(),
    };
    Ok(page(StatusCode::OK, &view))
}
