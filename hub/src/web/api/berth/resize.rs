//! Another memory limit for a server that runs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use berth_common::ByteCount;
use berth_core::Answer;
use berth_core::event::ResizeRefusal;
use berth_process::clock::now;
use serde_json::{Value, json};

use crate::actions;
use crate::audit;
use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::berth::{SCHEMA_VERSION, servers};
use crate::web::api::body::{self, JsonBody};
use crate::web::api::find_user;
use crate::web::api::path::Names;
use crate::web::error::{ApiError, cut};

/// `PUT servers/:id/memory` `{memory, dry_run?, reason?}`: bytes, or a text with a unit. Whoever may start a
/// server may change its memory: within profile, quota and the room of its host.
pub async fn change(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(id): Names<String>,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    caller.require("start:servers")?;
    caller.require("read:servers")?;
    let body = body.or_empty();
    body::only(&body, &["memory", "dry_run", "reason"])?;
    let why: Option<String> = body::field(&body, "reason")?;
    let memory = amount(body.get("memory"))?;
    let dry_run = body::field::<bool>(&body, "dry_run")?.unwrap_or(false);
    let fleet = hub.fleet.fleet();
    let server = servers::find(&hub, &fleet, &caller, &id)?;
    let id = server.id.clone();
    if !caller.scopes.hold_for_all("start:servers") {
        let user = find_user(&hub, server.owner.as_str())?;
        caller.require_server("start:servers", user, &server.name)?;
    }
    let refusal = if dry_run {
        let verdict = berth_core::step::resize_verdict(&fleet, now(), &id, memory);
        verdict.ok_or_else(ApiError::no_resource)?.err()
    } else {
        let owner = server.owner.as_str();
        let act = ("server-resize", owner, id.as_str());
        audit::on_server_because(&hub, &caller, act, why.as_deref().map(cut).as_deref()).await?;
        match actions::resize(&hub, &id, memory, caller.name()).await? {
            Answer::ResizeRefused(refusal) => Some(*refusal),
            Answer::NoSuchServer => return Err(ApiError::no_resource()),
            _ => None,
        }
    };
    if let Some(refusal) = refusal {
        return Err(ApiError::new(StatusCode::CONFLICT, sentence(&refusal)).because(refusal.reason));
    }
    let fleet = hub.fleet.fleet();
    let server = fleet.servers.get(&id).ok_or_else(ApiError::no_resource)?;
    Ok(Json(json!({
        "schema_version": SCHEMA_VERSION,
        "dry_run": dry_run,
        "server": servers::describe(&hub, &fleet, server),
    })))
}

/// Why not, and what would work.
fn sentence(refusal: &ResizeRefusal) -> String {
    match refusal.nearest {
        Some(nearest) => format!("{} {nearest} would work now.", refusal.detail),
        None => refusal.detail.clone(),
    }
}

fn amount(value: Option<&Value>) -> Result<ByteCount, ApiError> {
    let wrong = |why: &str| ApiError::bad_request(format!("memory: {why}"));
    match value {
        Some(Value::Number(bytes)) => {
            bytes.as_u64().map(ByteCount).ok_or_else(|| wrong("a whole number of bytes is needed"))
        }
        Some(Value::String(text)) => {
            text.parse().map_err(|error: berth_common::unit::BadAmount| wrong(&error.to_string()))
        }
        _ => Err(wrong("say how much, e.g. \"16 GB\"")),
    }
}
