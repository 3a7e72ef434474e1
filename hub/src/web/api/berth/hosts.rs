//! Hosts, for administrators: capacity, state and reason, and how a new one joins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use berth_common::link::{GpuDevice, SpaceHealth};
use berth_common::{HostId, Reason};
use berth_core::fleet::{Closed, Heard};
use berth_core::{Fleet, Host, HostState};
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::audit::{self, Actor};
use crate::auth::Caller;
use crate::link::enroll::{JoinTokenError, new_join_token};
use crate::site::Hub;
use crate::web::api::berth::{SCHEMA_VERSION, answer, reason, room};
use crate::web::api::path::Names;
use crate::web::error::ApiError;

/// `GET hosts`.
pub async fn list(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let fleet = hub.fleet.fleet();
    let hosts: Vec<_> = fleet.hosts.values().map(|host| describe(&fleet, host)).collect();
    Ok(answer("hosts", json!(hosts)))
}

/// `GET hosts/:name`.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let fleet = hub.fleet.fleet();
    let id = name.parse::<HostId>().map_err(|error| ApiError::bad_request(error.to_string()))?;
    let host = fleet.hosts.get(&id);
    let host = host.ok_or_else(|| ApiError::not_found(format!("There is no host {id}.")))?;
    Ok(answer("host", describe(&fleet, host)))
}

/// When a host that the calendar keeps shut opens, and for what.
fn opens(closed: &Closed) -> String {
    match &closed.opens {
        Some((at, training)) => format!("opens {at} ({training})"),
        None => "no training is planned".to_owned(),
    }
}

/// A host as everybody sees it: page, API, CLI.
pub fn describe(fleet: &Fleet, host: &Host) -> Value {
    let state = fleet.host_state(host, now());
    let closed = fleet.closed(&host.id, now()).filter(|_| state == HostState::Ready);
    let settings = fleet.host_settings(&host.id);
    let detail = closed.as_ref().map_or_else(|| host.note(settings, state), opens);
    let heard = host.heard.as_ref();
    let capacity = heard.map(|heard| heard.capacity);
    let usable = fleet.usable_on(host).memory;
    let reserved = fleet.reserved_on(&host.id).memory;
    let used: Option<u64> = heard.map(|heard| {
        heard.observed.values().map(|seen| seen.memory_used.0).fold(0, u64::saturating_add)
    });
    let servers: Vec<_> = fleet.placed_on(&host.id).map(|(server, _)| server.id.as_str()).collect();
    json!({
        "name": host.id,
        "state": closed.as_ref().map_or_else(|| state.to_string(), |_| "closed".to_owned()),
        "reason": reason(closed.as_ref().map_or(state.obstacle(), |_| Some(Reason::HostClosed))),
        "detail": Some(detail).filter(|detail| !detail.is_empty()),
        "opens": closed.and_then(|closed| closed.opens).map(|(at, training)| {
            json!({ "at": at.to_string(), "training": training })
        }),
        "intent": room::intent(&host.intent),
        "gpus": heard.map(|heard| gpus(fleet, host, heard)),
        "gpu_driver": heard.map(|heard| heard.facts.gpus.driver.as_str()),
        "gpu_trouble": heard.map(|heard| heard.facts.gpus.trouble.as_str()),
        "spaces": heard.map(|heard| heard.spaces.iter().map(space).collect::<Vec<_>>()),
        "memory_pressure": capacity.and_then(|it| it.memory_pressure).map(|it| f64::from(it) / 100.0),
        "pool": settings.map(|settings| settings.pool.as_str()),
        "memory": {
            "declared": settings.and_then(|settings| settings.memory),
            "keep_free": settings.map(|settings| settings.keep_free),
            "reported": capacity.map(|capacity| capacity.memory_total),
            "usable": usable,
            "reserved": reserved,
            "unreserved": usable.minus(reserved),
            "used": used,
            "free": capacity.map(|capacity| capacity.memory_free),
        },
        "cpus": capacity.map(|capacity| capacity.cpus),
        "load": heard.and_then(|heard| heard.load()),
        "servers": servers,
        "agent_version": heard.map(|heard| heard.facts.agent_version.as_str()),
        "engine_version": heard.map(|heard| heard.facts.engine_version.as_str()),
        "images": heard.map(|heard| &heard.facts.images),
        "last_report": heard.map(|heard| heard.at.to_string()),
        "last_report_age_s": heard.map(|heard| now().millis_since(heard.at) / 1000),
        "boot_id": host.boot_id,
        "address": host.address,
        "declared_at": settings.map(|settings| settings.cite.to_string()),
    })
}

/// Each GPU with its use, and the servers that it was given to.
fn gpus(fleet: &Fleet, host: &Host, heard: &Heard) -> Vec<Value> {
    let gpu = |device: &GpuDevice| {
        let used = heard.facts.gpus.used.iter().find(|used| used.gpu == device.gpu);
        let holders = fleet
            .placed_on(&host.id)
            .filter(|(_, placement)| placement.gpus.iter().any(|part| part.gpu == device.gpu));
        json!({
            "gpu": device.gpu,
            "model": device.model,
            "memory": device.memory,
            "trouble": device.trouble,
            "servers": holders.map(|(server, _)| server.id.as_str()).collect::<Vec<_>>(),
            "use": used,
        })
    };
    heard.gpus.iter().map(gpu).collect()
}

/// A watched space of a host.
fn space(space: &SpaceHealth) -> Value {
    let trouble = space.trouble.as_ref();
    json!({
        "name": space.name,
        "reason": reason(trouble.map(|trouble| trouble.reason)),
        "detail": trouble.map(|trouble| &trouble.detail),
        "since": space.since.to_string(),
    })
}

/// `POST hosts/:name/join-token`: the token is shown once.
pub async fn join_token(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    caller.require("admin-ui")?;
    let host = name.parse::<HostId>().map_err(|error| ApiError::bad_request(error.to_string()))?;
    audit::record(&hub, caller.act("join-token").on(host.as_str())).await?;
    let (token, expires) =
        new_join_token(&hub, host.clone()).await.map_err(|error| match error {
            JoinTokenError::Undeclared(_) => ApiError::not_found(error.to_string()),
            JoinTokenError::Storage(error) => error.into(),
            JoinTokenError::Ca(_) => {
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
            }
        })?;
    tracing::info!(%host, by = caller.name(), "join token made");
    let body = json!({
        "schema_version": SCHEMA_VERSION,
        "host": host,
        "token": token,
        "expires_at": expires.to_string(),
    });
    Ok((StatusCode::CREATED, Json(body)))
}
