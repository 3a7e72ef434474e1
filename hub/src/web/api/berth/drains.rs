//! Hosts that take nothing new by an administrator's order, and how far those are that are emptied.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use berth_core::fleet::Intent;
use berth_core::{Fleet, Host};
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::{answer, room};
use crate::web::error::ApiError;

/// `GET drains`: every host that is cordoned, drained, or being emptied.
pub async fn list(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let fleet = hub.fleet.fleet();
    let closed = fleet.hosts.values().filter(|host| host.intent != Intent::Open);
    let drains: Vec<_> = closed.map(|host| describe(&fleet, host)).collect();
    Ok(answer("drains", json!(drains)))
}

fn describe(fleet: &Fleet, host: &Host) -> Value {
    let servers: Vec<_> = fleet
        .placed_on(&host.id)
        .map(|(server, placement)| {
            let told = fleet.leaving(server).map(|leaving| leaving.told);
            json!({
                "id": server.id,
                "user": server.owner,
                "name": server.name,
                "told_at": told.map(|told| told.newest.to_string()),
                "mailed": told.is_some_and(|told| told.mailed),
                "stopping": placement.stop.is_some(),
                "last_activity": server.last_activity.to_string(),
            })
        })
        .collect();
    json!({
        "host": host.id,
        "pool": fleet.host_settings(&host.id).map(|declared| declared.pool.as_str()),
        "state": fleet.host_state(host, now()).to_string(),
        "intent": room::intent(&host.intent),
        "left": servers.len(),
        "servers": servers,
    })
}
