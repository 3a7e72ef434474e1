//! How much a person may hold, what they hold, and the lines that say so.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use berth_core::rules::{Person, quota_of};
use berth_core::settings::Cite;
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::answer;
use crate::web::api::find_user;
use crate::web::api::path::Names;
use crate::web::error::ApiError;

/// `GET users/:name/quota`. A training's servers have a quota of their own and are not in it.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
) -> Result<Json<Value>, ApiError> {
    let user = caller.require_self_or(&["read:users"], find_user(&hub, &name)?)?;
    let fleet = hub.fleet.fleet();
    let account = &user.account;
    let groups: Vec<&str> = account.groups.iter().map(|group| group.name.as_str()).collect();
    let person = Person { name: &account.name, groups: &groups };
    let limits = quota_of(&fleet.settings.quotas, person, now());
    let of_training = |profile: &str| {
        fleet.settings.profiles.get(profile).is_some_and(|profile| profile.training.is_some())
    };
    let held: Vec<_> = fleet
        .servers_of(&account.name)
        .filter(|server| server.is_active() && !of_training(&server.ask.profile))
        .collect();
    let memory = held.iter().map(|server| {
        let placement = server.placement();
        placement.map_or(server.ask.memory, |placement| placement.reservation.memory).0
    });
    let gpus: u64 = held.iter().map(|server| u64::from(server.ask.gpus)).sum();
    let rows = [
        row("servers", "", held.len() as u64, limits.servers.map(|(n, at)| (u64::from(n), at))),
        row("memory", "bytes", memory.sum(), limits.memory.map(|(bytes, at)| (bytes.0, at))),
        row("GPUs", "", gpus, limits.gpus.map(|(n, at)| (u64::from(n), at))),
    ];
    Ok(answer("quota", json!(rows)))
}

fn row(resource: &str, unit: &str, held: u64, limit: Option<(u64, Cite)>) -> Value {
    let (limit, cite) = limit.map_or((None, None), |(limit, cite)| (Some(limit), Some(cite)));
    let cite = cite.filter(|cite| !cite.file.is_empty()).map(|cite| cite.to_string());
    json!({ "resource": resource, "unit": unit, "held": held, "limit": limit, "cite": cite })
}
