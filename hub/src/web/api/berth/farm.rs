//! What somebody's Dask clusters may take on the compute farm: Dask Gateway asks before it makes one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::farm::{self, Left};
use crate::site::Hub;
use crate::web::api::berth::answer;
use crate::web::api::find_user;
use crate::web::api::path::Names;
use crate::web::error::ApiError;

/// `GET users/:name/farm`.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(name): Names<String>,
) -> Result<Json<Value>, ApiError> {
    let user = caller.require_self_or(&["read:users"], find_user(&hub, &name)?)?;
    let (cores, memory) = farm::left(&hub, &user.account)
        .await
        .map_err(|why| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, why))?;
    Ok(answer(
        "farm",
        json!({
            "user": user.account.name,
            "cores": cores.map(limit),
            "memory": memory.map(limit),
            "slurm_trouble": hub.farm.slurm_trouble(),
        }),
    ))
}

fn limit<T: Serialize>(left: Left<T>) -> Value {
    json!({ "limit": left.limit, "taken": left.taken, "cite": left.cite.to_string() })
}
