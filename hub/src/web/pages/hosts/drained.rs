//! `/hub/admin/drains/{id}`: a drain by its number, under way or over.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use berth_core::fleet::DrainId;

use crate::auth::{Right, Visitor};
use crate::site::Hub;
use crate::storage::StorageError;
use crate::web::live::{self, Part, Streams};
use crate::web::pages::error::PageError;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words::{self, Moment};
use crate::web::say;

#[derive(Template)]
#[template(path = "drained.html")]
struct DrainPage {
    shell: Shell,
    id: String,
    part: DrainPart,
}

/// The part of the page that is kept up to date.
#[derive(Template)]
#[template(path = "drained-part.html")]
struct DrainPart {
    title: String,
    host: String,
    reason: String,
    who: String,
    since: Moment,
    by: Option<Moment>,
    ended: Option<Moment>,
    /// What is still there.
    left: String,
}

impl DrainPart {
    /// A drain as it is now; none, if there is no such number.
    fn of(hub: &Hub, id: DrainId) -> Result<Option<Self>, StorageError> {
        let Some(drain) = hub.storage.read(|reader| reader.drain(id))? else { return Ok(None) };
        Ok(Some(Self {
            title: id.to_string(),
            left: words::servers(hub.fleet.fleet().placed_on(&drain.host).count()),
            host: drain.host.to_string(),
            reason: drain.order.reason,
            who: drain.order.who,
            since: Moment::from(drain.order.at),
            by: drain.by.map(Moment::from),
            ended: drain.ended.map(|ended| Moment::from(ended.at)),
        }))
    }
}

/// `GET /hub/admin/drains/{id}`
pub async fn show(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    visitor.require(Right::SeeHosts)?;
    let id: DrainId = id.parse().map_err(|_| PageError::NotFound)?;
    let part = DrainPart::of(&hub, id)?.ok_or(PageError::NotFound)?;
    let shell = Shell::of(&visitor, id.to_string(), Here::Hosts);
    Ok(page(StatusCode::OK, &DrainPage { shell, id: id.to_string(), part }))
}

/// `GET /hub/live/drains/{id}`
pub async fn follow(
    State(hub): State<Arc<Hub>>,
    Extension(streams): Extension<Arc<Streams>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    visitor.require(Right::SeeHosts)?;
    let id: DrainId = id.parse().map_err(|_| PageError::NotFound)?;
    DrainPart::of(&hub, id)?.ok_or(PageError::NotFound)?;
    let render = move |hub: &Hub| match DrainPart::of(hub, id) {
        Ok(Some(part)) => Part::of(&part, String::new()),
        _ => Part::Gone,
    };
    Ok(live::stream(&hub, &streams, &visitor.user.account.name, render))
}
