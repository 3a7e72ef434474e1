//! `POST /hub/api/users/:name/activity`: what a running server reports every five minutes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use berth_common::{Seconds, Timestamp};
use berth_core::Event;
use berth_core::life::Evidence;
use berth_process::clock::now;
use serde_json::{Map, Value};

use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::body::JsonBody;
use crate::web::api::path::Names;
use crate::web::api::{find_user, server_name};
use crate::web::error::ApiError;

/// Clocks differ; more than this is no clock.
const AHEAD: Seconds = Seconds(59 * 60);

/// Notes the activity of a person and of the person's servers.
pub async fn report(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
    body: JsonBody,
) -> Result<StatusCode, ApiError> {
    let user = caller.require_user(&["users:activity"], find_user(&hub, &name)?)?;
    let body = body.or_empty();
    let own = body.get("last_activity").map(moment).transpose()?;
    let servers = match body.get("servers") {
        None => None,
        Some(Value::Object(servers)) => Some(servers),
        Some(_) => return Err(ApiError::bad_request("servers must be an object")),
    };
    if own.is_none() && servers.is_none() {
        return Err(ApiError::bad_request(
            "body must contain at least one of `last_activity` or `servers`",
        ));
    }
    let owner = &user.account.name;
    let events = events(&hub, owner, servers)?;
    let newest = events.iter().map(|(_, at)| *at).chain(own).max();
    for (server, at) in events {
        let kind = Evidence::Notebook;
        hub.fleet.send(Event::Activity { server, kind, at }).await;
    }
    if let Some(at) = newest.filter(|at| *at > user.last_activity) {
        hub.storage.note_seen(owner.clone(), at.min(now()));
    }
    Ok(StatusCode::OK)
}

fn events(
    hub: &Hub,
    owner: &berth_common::Username,
    servers: Option<&Map<String, Value>>,
) -> Result<Vec<(berth_common::ServerId, Timestamp)>, ApiError> {
    let fleet = hub.fleet.fleet();
    let entries = servers.into_iter().flatten().map(|(name, entry)| {
        let found = server_name(name).ok().and_then(|name| fleet.find(owner, &name).cloned());
        let server = found.ok_or_else(|| {
            let shown: String = name.chars().take(40).collect();
            ApiError::bad_request(format!("No such server '{shown}' for user {owner}"))
        })?;
        let at = entry
            .get("last_activity")
            .ok_or_else(|| ApiError::bad_request("each server needs `last_activity`"))?;
        Ok((server.id.clone(), moment(at)?))
    });
    entries.collect()
}

fn moment(value: &Value) -> Result<Timestamp, ApiError> {
    let text =
        value.as_str().ok_or_else(|| ApiError::bad_request("last_activity must be a text"))?;
    let at: Timestamp =
        text.parse().map_err(|error| ApiError::bad_request(format!("last_activity: {error}")))?;
    if at > now().plus(AHEAD) {
        return Err(ApiError::bad_request(format!("last_activity {at} lies in the future")));
    }
    Ok(at)
}
