//! `servers/:id/visits`: who entered another person's server, until when and why.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use berth_common::{Seconds, Timestamp};
use berth_process::clock::now;
use berth_store::Visit;
use serde_json::{Value, json};

use super::{answer, servers};
use crate::audit::Actor;
use crate::auth::Caller;
use crate::site::Hub;
use crate::visits::{self, NotBegun};
use crate::web::api::body::{self, JsonBody};
use crate::web::api::path::Names;
use crate::web::error::ApiError;

/// `GET servers/:id/visits`, the newest first.
pub async fn list(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(id): Names<String>,
) -> Result<Json<Value>, ApiError> {
    let fleet = hub.fleet.fleet();
    let server = servers::find(&hub, &fleet, &caller, &id)?;
    let visits = hub.storage.read(|reader| reader.visits_to(&server.owner, Timestamp(0)))?;
    let of_it = visits.iter().filter(|visit| visit.server == server.id);
    Ok(answer("visits", json!(of_it.map(model).collect::<Vec<_>>())))
}

/// `POST servers/:id/visits` `{reason, for?}`: lets the caller in for so many seconds. The owner
/// reads the reason.
pub async fn begin(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(id): Names<String>,
    body: JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    caller.require("access:servers")?;
    let body = body.or_empty();
    body::only(&body, &["reason", "for"])?;
    let reason: Option<String> = body::field(&body, "reason")?;
    let span: Option<u64> = body::field(&body, "for")?;
    let visitor = caller.user.as_ref().ok_or_else(|| {
        ApiError::forbidden("Only a person enters a server: use a token of yours.")
    })?;
    let fleet = hub.fleet.fleet();
    let server = servers::find(&hub, &fleet, &caller, &id)?;
    if server.owner == visitor.account.name {
        return Err(ApiError::bad_request("This server is your own."));
    }
    if !visits::may_begin(&hub, &caller.scopes, server)? {
        return Err(ApiError::no_resource());
    }
    let (reason, span) = (reason.unwrap_or_default(), span.map_or(visits::USUAL, Seconds));
    let begun = visits::begin(&hub, &caller, visitor, server, &reason, span).await;
    let visit = begun.map_err(|error| match error {
        NotBegun::Storage(error) => error.into(),
        error => ApiError::bad_request(error.to_string()),
    })?;
    let mut model = model(&visit);
    let site = &hub.config().hub.public_url;
    model["url"] = json!(format!("{site}{}", server.prefix()));
    Ok((StatusCode::CREATED, answer("visit", model)))
}

/// `DELETE servers/:id/visits`: ends the caller's own visits to it.
pub async fn end(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(id): Names<String>,
) -> Result<StatusCode, ApiError> {
    let fleet = hub.fleet.fleet();
    let server = servers::find(&hub, &fleet, &caller, &id)?;
    let visitor = caller.user.as_ref().ok_or_else(ApiError::no_resource)?.account.name.clone();
    let act = caller.act("leave-server").about(server.owner.as_str()).on(server.id.as_str());
    let id = server.id.clone();
    let ended = hub
        .storage
        .write(move |database| {
            database.together(|database| {
                let ended = database.end_visits(&id, &visitor, now())?;
                if ended > 0 {
                    database.record(&act)?;
                }
                Ok(ended)
            })
        })
        .await?;
    if ended == 0 { Err(ApiError::no_resource()) } else { Ok(StatusCode::NO_CONTENT) }
}

fn model(visit: &Visit) -> Value {
    json!({
        "server": visit.server,
        "owner": visit.owner,
        "visitor": visit.visitor,
        "reason": visit.reason,
        "begun": visit.begun.to_string(),
        "until": visit.until.to_string(),
        "under_way": now() < visit.until,
    })
}
