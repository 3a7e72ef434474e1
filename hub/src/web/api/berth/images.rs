//! Images: their versions, on which hosts they are, and how far a new version has come.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use berth_common::HostId;
use berth_core::agenda::ImageWish;
use berth_core::settings::Stage;
use berth_core::{Fleet, Settings};
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::answer;
use crate::web::error::ApiError;

pub mod order;

/// `GET images`.
pub async fn list(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let fleet = hub.fleet.fleet();
    let names = fleet.settings.images.keys();
    Ok(answer("images", names.map(|name| describe(&hub, &fleet, name)).collect()))
}

/// The pools whose profiles offer an image: their servers may go to any host of these.
fn pools_of<'a>(settings: &'a Settings, name: &str) -> BTreeSet<&'a str> {
    let offering = settings.profiles.values().filter(|it| it.images.iter().any(|it| it == name));
    offering.map(|profile| profile.pool.as_str()).collect()
}

/// An image with the order that holds for it.
fn describe(hub: &Hub, fleet: &Fleet, name: &str) -> Value {
    let settings = &fleet.settings;
    let reference = settings.images.get(name).map(|image| image.reference.as_str());
    let rollout = settings.rollouts.get(name);
    let (stage, until) = match rollout.map(|rollout| &rollout.stage) {
        None | Some(Stage::Everybody) => ("everybody", None),
        Some(Stage::Canary { until, .. }) => ("canary", *until),
        Some(Stage::TakenBack) => ("taken back", None),
    };
    let mut pools = pools_of(settings, name);
    let order = hub.agenda.image_order(name).filter(|order| order.holds(settings));
    if let Some(ImageWish::Pull { pools: pulled }) = order.as_ref().map(|order| &order.wish) {
        pools.extend(pulled.iter().map(String::as_str));
    }
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
    let before = rollout.map(|rollout| rollout.previous.as_str());
    let of_before = running.clone().filter(|server| {
        let pin = server.placement().and_then(|placement| placement.image.as_ref());
        pin.is_some_and(|pin| Some(pin.name.as_str()) == before)
    });
    let order = order.map(|it| {
        let order = it.order;
        json!({
            "order": it.wish.action().trim_start_matches("image-"),
            "who": order.who,
            "reason": order.reason,
            "at": order.at.to_string(),
        })
    });
    json!({
        "name": name,
        "running_previous": of_before.count(),
        "order": order,
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
