//! What a host would take, or why it takes nothing; what holds its memory, and who.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use berth_core::Settings;
use berth_core::fleet::Intent;
use berth_core::floor::{Floor, FloorHost};
use berth_core::memory::Kind;
use berth_core::placement::Rows;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::plan;
use crate::site::Hub;
use crate::web::api::berth::{answer, floor, host_id, no_host, reason};
use crate::web::api::path::Names;
use crate::web::error::ApiError;

/// `GET hosts/:name/explain`.
pub async fn of_host(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let fleet = hub.fleet.fleet();
    let id = host_id(&name)?;
    let (host, entry) =
        fleet.hosts.get(&id).zip(fleet.floor.host(&id)).ok_or_else(|| no_host(&id))?;
    let alone = |entry: FloorHost| Floor { version: 0, hosts: vec![Arc::new(entry)] };
    let settings = &fleet.settings;
    let mut servers = entry.servers.clone();
    servers
        .sort_by(|a, b| b.memory.limit.cmp(&a.memory.limit).then_with(|| a.server.cmp(&b.server)));
    let described: Vec<_> = servers
        .iter()
        .map(|held| {
            let name = fleet.servers.get(&held.server).map(|server| server.name.as_str());
            let mut described = floor::server(held);
            described["name"] = json!(name.unwrap_or_default());
            described
        })
        .collect();
    Ok(answer(
        "host",
        json!({
            "name": id,
            "pool": settings.hosts.get(&id).map(|declared| declared.pool.as_str()),
            "state": entry.state.to_string(),
            "reason": reason(entry.state.obstacle()),
            "detail": entry.note,
            "intent": intent(&host.intent),
            "takes": takes(&alone(FloorHost::clone(entry)), settings),
            "would_take": takes(&alone(plan::as_if_ready(entry)), settings),
            "memory": memory(&alone(FloorHost::clone(entry)), settings),
            "gpus": gpus(entry),
            "servers": described,
            "declared_at": settings.hosts.get(&id).map(|declared| declared.cite.to_string()),
        }),
    ))
}

/// What an administrator ordered, with moments as people write them.
pub fn intent(intent: &Intent) -> Value {
    let order = intent.order();
    let plan = match intent {
        Intent::Draining { plan, .. } => Some(plan),
        Intent::Open | Intent::Cordoned(_) => None,
    };
    json!({
        "intent": word(intent),
        "reason": order.map(|order| order.reason.as_str()),
        "who": order.map(|order| order.who.as_str()),
        "since": order.map(|order| order.at.to_string()),
        "by": intent.drains_by().map(|at| at.to_string()),
        "at_deadline": plan.map(|plan| plan.at_deadline),
        "message": plan.and_then(|plan| plan.message.as_deref()),
    })
}

/// The word for it, as it is sent and told.
pub fn word(intent: &Intent) -> &'static str {
    match intent {
        Intent::Open => "open",
        Intent::Cordoned(_) => "cordoned",
        Intent::Draining { .. } => "draining",
    }
}

/// The largest server, one that uses all it asks for, without and with a GPU; null: none at all.
fn takes(host: &Floor, settings: &Arc<Settings>) -> Value {
    let pool = host.hosts.first().and_then(|host| settings.hosts.get(&host.host));
    let Some(pool) = pool.map(|declared| declared.pool.as_str()) else { return Value::Null };
    let largest = |gpus| plan::largest_in(host, settings, pool, gpus).map(|(_, memory)| memory);
    json!({ "memory": largest(0), "memory_with_gpu": largest(1) })
}

fn memory(host: &Floor, settings: &Arc<Settings>) -> Value {
    let rows = Rows::of(host, settings, &Arc::default());
    let Some(row) = rows.row(0) else { return Value::Null };
    let memory = &row.memory;
    let rule = match memory.rule.kind {
        Kind::Limits => "limits",
        Kind::Peaks => "peaks",
    };
    json!({
        "usable": memory.usable_alone(),
        "live": memory.usable(),
        "rule": rule,
        "limits": memory.limits(),
        "limits_most": memory.rule.oversubscribe.of(memory.usable()),
        "peaks": u64::try_from(memory.sums.lately).unwrap_or(u64::MAX),
        "headroom": memory.sums.growth(),
        "used": memory.used(),
    })
}

fn gpus(host: &FloorHost) -> Value {
    let held = |gpu: &berth_common::GpuId| -> Vec<&str> {
        let holders = host.servers.iter();
        let holders = holders.filter(|server| server.gpus.iter().any(|part| part.gpu == *gpu));
        holders.map(|server| server.owner.as_str()).collect()
    };
    let gpus = host.gpus.iter().map(|device| {
        json!({ "model": device.model, "trouble": device.trouble, "users": held(&device.gpu) })
    });
    gpus.collect()
}
