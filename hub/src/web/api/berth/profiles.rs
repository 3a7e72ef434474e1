//! Profiles, with what would come of asking for each now.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use berth_common::ServerName;
use berth_core::event::Wish;
use serde_json::{Value, json};

use crate::actions;
use crate::auth::Caller;
use crate::explanation::Recorded;
use crate::site::Hub;
use crate::web::api::berth::{answer, decisions};
use crate::web::error::ApiError;

/// `GET profiles`.
pub async fn list(State(hub): State<Arc<Hub>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require("read:servers")?;
    let fleet = hub.fleet.fleet();
    let default = fleet.settings.default_profile().map(|(name, _)| name.clone());
    let present = Recorded::present(&fleet);
    let profiles = fleet.settings.profiles.iter().map(|(name, profile)| {
        let verdict = caller.user.as_ref().map(|user| {
            let wish = Wish { profile: Some(name.clone()), ..Wish::default() };
            let account = user.account.clone();
            let decision = actions::dry_run_on(&fleet, account, ServerName::default_server(), wish);
            decisions::describe(&caller, &decision, Some(&present))
        });
        let images: Vec<_> = profile
            .images
            .iter()
            .map(|image| {
                let known = fleet.settings.images.get(image);
                json!({
                    "name": image,
                    "title": known.map_or(image, |known| &known.title),
                    "reference": known.map(|known| &known.reference),
                })
            })
            .collect();
        json!({
            "name": name,
            "title": profile.title,
            "use_case": profile.use_case,
            "pool": profile.pool,
            "default": Some(name) == default.as_ref(),
            "memory": {
                "default": profile.memory_default,
                "choices": profile.memory_choices,
                "max": profile.memory_max,
            },
            "gpus": profile.gpus.as_ref().map(|gpus| {
                json!({ "default": gpus.default, "max": gpus.max, "models": gpus.models })
            }),
            "images": images,
            "declared_at": profile.cite.to_string(),
            "verdict": verdict,
        })
    });
    Ok(answer("profiles", profiles.collect()))
}
