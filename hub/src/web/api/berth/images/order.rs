//! Orders about images: fetched ahead, given to everybody, taken back. They are kept in the store and
//! hold as if the files said so, for as long as these name the same version.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use berth_core::Settings;
use berth_core::agenda::{Entry, ImageOrder, ImageWish};
use berth_core::fleet::Order;
use berth_core::settings::Stage;
use berth_process::clock::now;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{describe, pools_of};
use crate::agenda;
use crate::audit::Actor;
use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::SCHEMA_VERSION;
use crate::web::api::body::{self, JsonBody};
use crate::web::api::path::Names;
use crate::web::error::{ApiError, cut};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Pull,
    Promote,
    Revert,
}

/// `POST images/:name/orders` `{order, reason, pools?, dry_run?}`.
pub async fn give(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    caller.require("admin-ui")?;
    let body = body.or_empty();
    body::only(&body, &["order", "reason", "pools", "dry_run"])?;
    let word: Option<Word> = body::field(&body, "order")?;
    let word = word.ok_or_else(|| ApiError::bad_request("order: say pull, promote or revert"))?;
    let pools: Option<BTreeSet<String>> = body::field(&body, "pools")?;
    if pools.is_some() && word != Word::Pull {
        return Err(ApiError::bad_request("pools goes with pull only"));
    }
    let reason: Option<String> = body::field(&body, "reason")?;
    let reason = reason.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty());
    let reason = reason.ok_or_else(|| ApiError::bad_request("reason: say why; it is kept"))?;
    let dry_run = body::field::<bool>(&body, "dry_run")?.unwrap_or(false);
    let fleet = hub.fleet.fleet();
    let settings = &fleet.settings;
    let image = settings.images.get(&name).ok_or_else(|| {
        ApiError::not_found(format!("There is no image {} in images.toml.", cut(&name)))
    })?;
    let wish = match word {
        Word::Pull => ImageWish::Pull { pools: pull(settings, &name, &image.reference, pools)? },
        Word::Promote => ImageWish::Promote,
        Word::Revert => ImageWish::Revert,
    };
    rolls_out(settings, &name, &wish)?;
    let order = ImageOrder {
        image: name.clone(),
        reference: image.reference.clone(),
        wish,
        order: Order { reason: cut(&reason), who: caller.actor(), at: now() },
    };
    if !dry_run {
        let action = order.wish.action();
        let act = caller.act(action).on(&name).because(&reason);
        agenda::add(&hub, act, Entry::Image(order.clone())).await?;
        tracing::info!(image = name, order = action, by = caller.name(), why = reason, "image");
    }
    let mut fleet = (*hub.fleet.fleet()).clone();
    if dry_run {
        order.apply(Arc::make_mut(&mut fleet.settings));
    }
    Ok(Json(json!({
        "schema_version": SCHEMA_VERSION,
        "dry_run": dry_run,
        "image": describe(&hub, &fleet, &name),
    })))
}

/// The pools whose hosts fetch it: those that are named, or all in which it is offered.
fn pull(
    settings: &Settings,
    name: &str,
    reference: &str,
    wanted: Option<BTreeSet<String>>,
) -> Result<BTreeSet<String>, ApiError> {
    let conflict = |why: String| ApiError::new(StatusCode::CONFLICT, why);
    if let Some(unknown) = wanted.iter().flatten().find(|it| !settings.pools.contains_key(*it)) {
        return Err(ApiError::not_found(format!("There is no pool {}.", cut(unknown))));
    }
    // As the agent sees it: without a registry in its name an image is one of the host's own.
    let registry = reference.split_once('/').map(|(first, _)| first);
    if !registry.is_some_and(|first| first.contains(['.', ':']) || first == "localhost") {
        let why = format!(
            "{reference} names no registry, so hosts cannot fetch it: it is built or loaded there"
        );
        return Err(conflict(why));
    }
    let offered = pools_of(settings, name).into_iter().map(str::to_owned).collect();
    let pools: BTreeSet<String> = wanted.unwrap_or(offered);
    if pools.is_empty() {
        return Err(conflict(format!("no profile offers {name}; name pools whose hosts fetch it")));
    }
    Ok(pools)
}

/// Whether there is a way to go on, or back.
fn rolls_out(settings: &Settings, name: &str, wish: &ImageWish) -> Result<(), ApiError> {
    let conflict = |why: String| Err(ApiError::new(StatusCode::CONFLICT, why));
    let stage = settings.rollouts.get(name).map(|rollout| &rollout.stage);
    match (wish, stage) {
        (ImageWish::Pull { .. }, _) => Ok(()),
        (_, None) => conflict(format!(
            "images.toml names no version of {name} before this one (previous = \"...\")"
        )),
        (ImageWish::Promote, Some(Stage::Everybody)) => {
            conflict(format!("everybody starts with this version of {name} already"))
        }
        (ImageWish::Revert, Some(Stage::TakenBack)) => {
            conflict(format!("this version of {name} is taken back already"))
        }
        (_, Some(_)) => Ok(()),
    }
}
