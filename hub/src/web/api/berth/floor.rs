//! The hosts and what is on them, at any past minute.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use berth_core::Settings;
use berth_core::floor::{FloorHost, FloorServer};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::{answer, moment};
use crate::web::error::ApiError;

/// When.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    at: Option<String>,
}

/// `GET floor?at=`: as it was at that moment, to the minute; now, if none is given. What the files
/// said of the hosts is not recorded with it: pools are those of today.
pub async fn at(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    when: Result<Query<When>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let Query(when) = when.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let fleet = hub.fleet.fleet();
    let floor = match &when.at {
        None => fleet.floor.clone(),
        Some(text) => {
            let at = moment("at", text)?;
            hub.storage.read(|reader| reader.floor_at(at))?
        }
    };
    let hosts: Vec<_> = floor.hosts.iter().map(|host| describe(host, &fleet.settings)).collect();
    Ok(answer("floor", json!({ "version": floor.version, "hosts": hosts })))
}

fn describe(host: &FloorHost, settings: &Settings) -> Value {
    let declared = settings.hosts.get(&host.host);
    json!({
        "name": host.host,
        "pool": declared.map(|declared| declared.pool.as_str()),
        "state": host.state.to_string(),
        "note": host.note,
        "silent_since": host.silent_since.map(|at| at.to_string()),
        "drains_by": host.drains_by.map(|at| at.to_string()),
        "memory": {
            "total": host.memory.map(|memory| memory.total),
            "free": host.memory.map(|memory| memory.free),
            "keep_free": declared.map(|declared| declared.keep_free),
        },
        "cpu_milli": host.cpu_milli,
        "gpus": host.gpus,
        "images": host.images,
        "servers": host.servers.iter().map(server).collect::<Vec<_>>(),
    })
}

/// A server as a floor has it.
pub fn server(server: &FloorServer) -> Value {
    json!({
        "id": server.server,
        "user": server.owner,
        "profile": server.profile,
        "memory": {
            "limit": server.memory.limit,
            "peak": server.memory.peak,
            "used": server.memory.used,
        },
        "cpu_milli": server.cpu_milli,
        "gpus": server.gpus,
    })
}
