//! A reader puts a notice away, or says that it was read: it stands above the servers no more.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::one::reaches;
use crate::agenda;
use crate::auth::{CheckedForm, Next};
use crate::site::Hub;
use crate::web::pages::error::PageError;

/// The fields of the button's form.
#[derive(Debug, Deserialize)]
pub struct ReadForm {
    #[serde(default)]
    next: String,
}

/// `POST /hub/notices/{id}/read`
pub async fn submit(
    State(hub): State<Arc<Hub>>,
    Path(id): Path<i64>,
    CheckedForm { visitor, form }: CheckedForm<ReadForm>,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let notices = hub.agenda.notices();
    let notice = notices.iter().find(|(other, _)| *other == id).map(|(_, notice)| notice);
    let known = notice.filter(|notice| reaches(notice, &fleet, &visitor));
    known.ok_or(PageError::NotFound)?;
    agenda::read(&hub, id, visitor.user.account.name.clone()).await?;
    let next = Next::parse(&form.next, &hub.config().hub.public_url);
    Ok(Redirect::to(next.as_ref().map_or("/hub/home", Next::as_str)).into_response())
}
