//! Hosts that take nothing new by an administrator's order, and how far those are that are emptied;
//! and drains by their numbers, also when they are over.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use berth_core::fleet::{Drain, DrainId, Intent};
use berth_core::{Fleet, Host};
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::{answer, room};
use crate::web::api::path::Names;
use crate::web::error::{ApiError, cut};

/// `GET drains`: every host that is cordoned, drained, or being emptied.
pub async fn list(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let fleet = hub.fleet.fleet();
    let closed = fleet.hosts.values().filter(|host| host.intent != Intent::Open);
    let drains: Vec<_> = closed.map(|host| describe(&fleet, host)).collect();
    Ok(answer("drains", json!(drains)))
}

/// `GET drains/:id`: one of them, by its number.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(id): Names<String>,
) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let number: DrainId = id.parse().map_err(|_| no_drain(&id))?;
    let fleet = hub.fleet.fleet();
    let host = fleet.drained_by(number).and_then(|host| fleet.hosts.get(host));
    let drain = match host {
        Some(host) => describe(&fleet, host),
        None => {
            let kept = hub.storage.read(|reader| reader.drain(number))?;
            over(&fleet, &kept.ok_or_else(|| no_drain(&id))?)
        }
    };
    Ok(answer("drain", drain))
}

fn no_drain(id: &str) -> ApiError {
    ApiError::not_found(format!("There is no drain {}.", cut(id)))
}

/// A drain that is over, in the words of those that are under way.
fn over(fleet: &Fleet, drain: &Drain) -> Value {
    let Drain { id, host, order, by, at_deadline, message, ended } = drain;
    json!({
        "id": id,
        "host": host,
        "pool": fleet.host_settings(host).map(|declared| declared.pool.as_str()),
        "state": "over",
        "intent": {
            "intent": "draining",
            "reason": order.reason,
            "who": order.who,
            "since": order.at.to_string(),
            "by": by.map(|at| at.to_string()),
            "at_deadline": at_deadline,
            "message": message,
        },
        "left": ended.map(|ended| ended.left),
        "ended": ended.map(|ended| ended.at.to_string()),
        "servers": [],
    })
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
        "id": host.drain,
        "host": host.id,
        "pool": fleet.host_settings(&host.id).map(|declared| declared.pool.as_str()),
        "state": fleet.host_state(host, now()).to_string(),
        "intent": room::intent(&host.intent),
        "left": servers.len(),
        "ended": null,
        "servers": servers,
    })
}
