//! Images: their versions, on which hosts they are, and how far a new version has come.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use berth_common::HostId;
use berth_core::Fleet;
use berth_core::settings::Stage;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::answer;
use crate::web::error::ApiError;

/// `GET images`.
pub async fn list(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let fleet = hub.fleet.fleet();
    let names = fleet.settings.images.keys();
    Ok(answer("images", names.map(|name| describe(&fleet, name)).collect()))
}

fn describe(fleet: &Fleet, name: &str) -> Value {
    let settings = &fleet.settings;
    let reference = settings.images.get(name).map(|image| image.reference.as_str());
    let rollout = settings.rollouts.get(name);
    let (stage, until) = match rollout.map(|rollout| &rollout.stage) {
        None | Some(Stage::Everybody) => ("everybody", None),
        Some(Stage::Canary { until, .. }) => ("canary", *until),
        Some(Stage::TakenBack) => ("taken back", None),
    };
    // A profile's servers may go to any host of its pool, so the image is wanted on all of them.
    let offering = settings.profiles.values().filter(|it| it.images.iter().any(|it| it == name));
    let pools: BTreeSet<&str> = offering.map(|profile| profile.pool.as_str()).collect();
    let hosts = settings.hosts.iter().filter(|(_, host)| pools.contains(host.pool.as_str()));
    let wanted: Vec<&HostId> = hosts.map(|(id, _)| id).collect();
    let has = |id: &&&HostId| {
        let heard = fleet.hosts.get(**id).and_then(|host| host.heard.as_ref());
        heard.is_some_and(|it| it.facts.images.iter().any(|it| Some(it.as_str()) == reference))
    };
    let running = fleet
        .servers
        .values()
        .filter(|server| server.placement().is_some() && server.ask.image == name);
    json!({
        "name": name,
        "title": settings.images.get(name).map(|image| &image.title),
        "reference": reference,
        "previous": rollout.map(|rollout| &rollout.previous),
        "stage": stage,
        "until": until.map(|at| at.to_string()),
        "wanted_on": wanted,
        "present_on": wanted.iter().filter(has).collect::<Vec<_>>(),
        "running": running.count(),
    })
}
