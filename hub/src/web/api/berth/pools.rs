//! Pools with their room and rules.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use berth_common::{ByteCount, Timestamp};
use berth_core::largest::largest_start;
use berth_core::settings::Pool;
use berth_core::{Fleet, Host, HostState};
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::answer;
use crate::web::error::ApiError;

/// `GET pools`.
pub async fn list(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let fleet = hub.fleet.fleet();
    let now = now();
    let pools = fleet.settings.pools.iter().map(|(name, pool)| describe(&fleet, name, pool, now));
    Ok(answer("pools", pools.collect()))
}

fn describe(fleet: &Fleet, name: &str, pool: &Pool, now: Timestamp) -> Value {
    let declared = fleet.settings.hosts.iter().filter(|(_, it)| it.pool == name);
    let ids: Vec<_> = declared.map(|(id, _)| id).collect();
    let hosts: Vec<&Arc<Host>> = ids.iter().filter_map(|id| fleet.hosts.get(*id)).collect();
    let is_ready = |host: &&&Arc<Host>| {
        let state = fleet.host_state(host, now);
        state == HostState::Ready && fleet.closed(&host.id, now).is_none()
    };
    let ready = hosts.iter().filter(is_ready).count();
    let sum = |of: fn(&Fleet, &Host) -> u64| -> u64 {
        hosts.iter().map(|host| of(fleet, host)).fold(0, u64::saturating_add)
    };
    let profiles = &fleet.settings.profiles;
    let in_pool = |profile: &str| profiles.get(profile).is_some_and(|it| it.pool == name);
    let waiting = fleet.waiting().filter(|server| in_pool(&server.ask.profile)).count();
    let state = match (pool.trainings_only, ready) {
        (true, 0) => "for trainings",
        (_, 0) => "closed",
        (true, _) => "open for a training",
        (false, _) => "open",
    };
    json!({
        "name": name,
        "state": state,
        "hosts": ids,
        "ready": ready,
        "servers": sum(|fleet, host| fleet.placed_on(&host.id).count() as u64),
        "waiting": waiting,
        "memory": {
            "usable": sum(|fleet, host| fleet.usable_on(host).memory.0),
            "reserved": sum(|fleet, host| fleet.reserved_on(&host.id).memory.0),
            "used": sum(|_, host| used(host).0),
        },
        "gpus": {
            "all": sum(|_, host| host.heard.as_ref().map_or(0, |heard| heard.gpus.len() as u64)),
            "held": sum(|fleet, host| {
                fleet.placed_on(&host.id).map(|(_, placement)| placement.gpus.len() as u64).sum()
            }),
        },
        "largest_start": largest_start(fleet, name),
        "strategy": pool.strategy,
        "memory_rule": pool.memory_rule,
        "oversubscribe": f64::from(pool.oversubscribe_milli) / 1000.0,
        "trainings_only": pool.trainings_only,
        "declared_at": pool.cite.to_string(),
    })
}

fn used(host: &Host) -> ByteCount {
    let observed = host.heard.iter().flat_map(|heard| heard.observed.values());
    observed.map(|seen| seen.memory_used).fold(ByteCount::ZERO, ByteCount::plus)
}
